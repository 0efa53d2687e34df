//! From content and users' files to an engine.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::content::{Catalogue, Item, Maturity, Rule};
use crate::event::Field;
use crate::sigma::correlation::{Correlation, Memory};
use crate::sigma::expression::{Expr, Tests};
use crate::sigma::modifier::{Context, Placeholders};
use crate::sigma::rule::{self, Query};
use crate::sigma::user::{self, Draft, PLACEHOLDERS_FILE, Refusal, UserRule, What};
use crate::sigma::{Fault, Node};
use crate::text;

use super::{BuildError, Engine, Joined, Loaded, Losses, Names, index::Index};

/// Most rules of the user.
pub const USER_RULES_MAX: usize = 20_000;
/// Most different tests of all rules.
const TESTS_MAX: usize = 250_000;

#[derive(Default)]
struct Builder {
    rules: Vec<Loaded>,
    tests: Tests,
    names: Names,
    /// Correlations whose rules are not found yet, with their place among the rules.
    open: Vec<(usize, Correlation)>,
    refusals: Vec<Refusal>,
    /// How many rules are the catalogue's.
    own: usize,
}

pub(super) fn engine(catalogue: &Catalogue, user: &[UserRule]) -> Result<Engine, BuildError> {
    let mut builder = Builder::default();
    for item in catalogue.items().filter(|it| it.rule.is_about_events()) {
        builder
            .item(item)
            .map_err(|fault| BuildError { rule: item.rule.id.clone(), reason: fault.reason })?;
    }
    let mut correlations = Vec::new();
    for (place, correlation) in std::mem::take(&mut builder.open) {
        let parts = builder
            .find(&builder.id(place), &correlation)
            .map_err(|fault| BuildError { rule: builder.id(place), reason: fault.reason })?;
        correlations.push(Joined { rule: place, correlation, parts, memory: Memory::default() });
    }
    let (correlations, circular) = ordered(correlations);
    if let Some(it) = circular.first() {
        let reason = "the correlation joins itself".to_owned();
        return Err(BuildError { rule: builder.id(it.rule), reason });
    }
    builder.own = builder.rules.len();
    let correlations = builder.user(user, correlations);
    builder.tests.close();
    let index = Index::new(&builder.rules, &builder.tests);
    Ok(Engine {
        rules: builder.rules,
        tests: builder.tests,
        index,
        correlations,
        refusals: builder.refusals,
        losses: Losses::default(),
        held: Vec::new(),
    })
}

impl Builder {
    fn id(&self, place: usize) -> String {
        self.rules.get(place).map(|it| it.rule.id.clone()).unwrap_or_default()
    }

    fn push(&mut self, rule: Arc<Rule>, query: Option<Query>, alarms: bool) -> usize {
        let disabled = rule.maturity == Maturity::Deprecated;
        let embedded = rule.attribution.is_none();
        let found = |it: &str| it.parse().ok().map(|field: Field| (it.to_owned(), field));
        let params = rule.params.iter().filter_map(|it| found(it)).collect();
        let places = text::names(&rule.subject).filter_map(found).collect();
        self.rules.push(Loaded { rule, query, alarms, disabled, embedded, params, places });
        self.rules.len() - 1
    }

    fn item(&mut self, item: &Item) -> Result<(), Fault> {
        let none = Placeholders::new();
        let shared = Arc::clone(&item.rule);
        let query = match (&item.rule.logsource, &item.rule.detection) {
            (Some(logsource), Some(detection)) => {
                Some(rule::query(logsource, detection, &none, &mut self.tests)?)
            }
            _ => None,
        };
        let place = self.push(Arc::clone(&shared), query, true);
        self.names.insert(item.rule.id.clone(), place);
        for part in &item.parts {
            let query = rule::query(&part.logsource, &part.detection, &none, &mut self.tests)?;
            let place = self.push(Arc::clone(&shared), Some(query), false);
            self.names.insert(local(&item.rule.id, &part.name), place);
        }
        if let Some(node) = &item.rule.correlation {
            self.open.push((place, Correlation::read(node)?));
        }
        Ok(())
    }

    /// The places of the rules that a correlation names: parts of its own file first.
    fn find(&self, id: &str, open: &Correlation) -> Result<Vec<usize>, Fault> {
        let place = |name: &String| {
            let found = self.names.get(&local(id, name)).or_else(|| self.names.get(name));
            found.copied().ok_or_else(|| {
                Fault::new(open.line, format!("the correlation joins `{name}`, which is no rule"))
            })
        };
        open.rules.iter().map(place).collect()
    }

    /// Adds users' rules; what does not work is told of and left out.
    fn user(&mut self, files: &[UserRule], mut correlations: Vec<Joined>) -> Vec<Joined> {
        let placeholders = self.placeholders(files);
        let (mut filters, mut open) = (Vec::new(), Vec::new());
        for file in files.iter().filter(|it| !is_placeholders(it)) {
            for draft in user::read(file, &mut self.refusals) {
                match &draft.what {
                    What::Filter { logsource, filter } => {
                        filters.push((draft.clone(), logsource.clone(), filter.clone()));
                    }
                    _ => self.draft(draft, &placeholders, &mut open),
                }
            }
        }
        for (draft, logsource, filter) in filters {
            if let Err(fault) = self.filter(&logsource, &filter, &placeholders) {
                self.refuse(&draft.file, fault);
            }
        }
        self.join_user(open, &mut correlations);
        correlations
    }

    fn join_user(
        &mut self,
        mut open: Vec<(usize, Correlation, Draft)>,
        correlations: &mut Vec<Joined>,
    ) {
        // One that joins what does not work does not work either, and so on.
        loop {
            let mut faults = Vec::new();
            open.retain(|(place, correlation, draft)| match self.find("", correlation) {
                Ok(_) => true,
                Err(fault) => {
                    faults.push((*place, draft.clone(), fault));
                    false
                }
            });
            if faults.is_empty() {
                break;
            }
            for (place, draft, fault) in faults {
                self.forget(place, &draft);
                self.refuse(&draft.file, fault);
            }
        }
        let mut drafts = HashMap::new();
        let mut found = Vec::new();
        for (rule, correlation, draft) in open {
            drafts.insert(rule, draft);
            if let Ok(parts) = self.find("", &correlation) {
                found.push(Joined { rule, correlation, parts, memory: Memory::default() });
            }
        }
        let (good, circular) = ordered(found);
        for it in circular {
            if let Some(draft) = drafts.get(&it.rule) {
                self.forget(it.rule, draft);
                let reason = "the correlation joins itself, or one that does";
                self.refuse(&draft.file, Fault::new(it.correlation.line, reason));
            }
        }
        for it in good.iter().filter(|it| !it.correlation.generate) {
            // Sigma: what a correlation joins does not alarm by itself, unless it says so.
            for part in &it.parts {
                if let Some(it) = self.rules.get_mut(*part).filter(|it| !it.embedded) {
                    it.alarms = false;
                }
            }
        }
        correlations.extend(good);
    }

    fn refuse(&mut self, file: &str, fault: Fault) {
        let (file, Fault { line, reason }) = (file.to_owned(), fault);
        self.refusals.push(Refusal { file, line, reason });
    }

    /// Takes a rule out that turned out not to work.
    fn forget(&mut self, place: usize, draft: &Draft) {
        if let Some(it) = self.rules.get_mut(place) {
            it.alarms = false;
            it.disabled = true;
        }
        self.names.remove(&draft.rule.id);
        if let Some(name) = &draft.name {
            self.names.remove(name);
        }
    }

    fn placeholders(&mut self, files: &[UserRule]) -> Placeholders {
        let mut all = Placeholders::new();
        for file in files.iter().filter(|it| is_placeholders(it)) {
            match user::placeholders(&file.text) {
                Ok(more) => all.extend(more),
                Err(fault) => self.refuse(&file.file, fault),
            }
        }
        all
    }

    fn draft(
        &mut self,
        draft: Draft,
        placeholders: &Placeholders,
        open: &mut Vec<(usize, Correlation, Draft)>,
    ) {
        let over = if self.rules.len() >= self.own + USER_RULES_MAX {
            Some(format!("more than {USER_RULES_MAX} rules"))
        } else if self.tests.len() >= TESTS_MAX {
            Some(format!("all rules together ask more than {TESTS_MAX} tests"))
        } else {
            None
        };
        if let Some(reason) = over {
            return self.refuse(&draft.file, Fault::new(draft.line, reason));
        }
        let taken = |it: &String| self.names.contains_key(it);
        if let Some(name) =
            [Some(&draft.rule.id), draft.name.as_ref()].into_iter().flatten().find(|it| taken(it))
        {
            let reason = format!("the id or name {name} is taken by another rule");
            return self.refuse(&draft.file, Fault::new(draft.line, reason));
        }
        let read = match &draft.what {
            What::Detection { logsource, detection } => {
                rule::query(logsource, detection, placeholders, &mut self.tests)
                    .map(|it| (Some(it), None))
            }
            What::Correlation(node) => Correlation::read(node).map(|it| (None, Some(it))),
            What::Filter { .. } => return,
        };
        let (query, correlation) = match read {
            Ok(it) => it,
            Err(fault) => return self.refuse(&draft.file, fault),
        };
        let place = self.push(Arc::new(draft.rule.clone()), query, !draft.silent);
        self.names.insert(draft.rule.id.clone(), place);
        if let Some(name) = &draft.name {
            self.names.insert(name.clone(), place);
        }
        if let Some(correlation) = correlation {
            open.push((place, correlation, draft));
        }
    }

    /// The filter's condition must hold too, in every rule that it names.
    fn filter(
        &mut self,
        logsource: &Node,
        filter: &Node,
        placeholders: &Placeholders,
    ) -> Result<(), Fault> {
        let scope = rule::scope(logsource)?;
        let context = Context { audit: scope.audit, placeholders };
        let expr = rule::search(filter, &context, &mut self.tests)?;
        let rules = filter.get("rules").ok_or_else(|| filter.fault("the filter names no rules"))?;
        let named = rules.texts("a rule's name")?;
        let every = named == ["any"];
        let mut places = HashSet::new();
        for name in named.iter().filter(|_| !every) {
            let place = self.names.get(*name).ok_or_else(|| {
                rules.fault(format!("the filter names `{name}`, which is no rule"))
            })?;
            places.insert(*place);
        }
        for (place, it) in self.rules.iter_mut().enumerate() {
            let Some(query) = &mut it.query else { continue };
            let meant = if every {
                query.categories.iter().any(|it| scope.categories.contains(it))
            } else {
                places.contains(&place)
            };
            if meant {
                query.expr = Expr::All(vec![query.expr.clone(), expr.clone()]);
            }
        }
        Ok(())
    }
}

fn local(id: &str, name: &str) -> String {
    format!("{id}\u{1f}{name}")
}

fn is_placeholders(file: &UserRule) -> bool {
    file.file.rsplit('/').next() == Some(PLACEHOLDERS_FILE)
}

/// Correlations after those that they join; and those that join themselves.
fn ordered(mut open: Vec<Joined>) -> (Vec<Joined>, Vec<Joined>) {
    let mut done = Vec::new();
    loop {
        let waiting: HashSet<usize> = open.iter().map(|it| it.rule).collect();
        let ready = |it: &mut Joined| !it.parts.iter().any(|part| waiting.contains(part));
        let before = open.len();
        done.extend(open.extract_if(.., ready));
        if open.len() == before {
            return (done, open);
        }
    }
}
