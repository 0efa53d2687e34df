//! Asks every event all rules that are about events.
//!
//! Rules come from the catalogue, all of which must work, and from users, where one that does
//! not is told of and left out. [`index`] chooses the few rules that can hold for an event;
//! what it leaves out cannot hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::asset::Row;
use model::finding::{Evidence, Finding, SUBJECT_BYTES_MAX};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::content::{Catalogue, Maturity, Rule};
use crate::event::{Category, Event, Field};
use crate::sigma::carried;
use crate::sigma::column::{Column, View};
use crate::sigma::correlation::{Correlation, Memory, share_bytes};
use crate::sigma::expression::{TestId, Tests, searched};
use crate::sigma::rule::Query;
pub use crate::sigma::user::{PLACEHOLDERS_FILE, Refusal, UserRule};
use crate::text;

mod build;
pub use build::USER_RULES_MAX;
mod index;
#[cfg(test)]
mod tests;

/// Most values one alarm quotes of what its rule matched.
const MATCHED_MAX: usize = 16;
/// Longest text that an alarm quotes of one value.
const QUOTED_CHARS_MAX: usize = 1_000;

/// Why the catalogue gives no engine.
#[derive(Debug, thiserror::Error)]
#[error("{rule}: {reason}")]
pub struct BuildError {
    pub rule: String,
    pub reason: String,
}

/// A rule that held.
#[derive(Clone, Debug)]
pub struct Detection {
    pub rule: Arc<Rule>,
    pub at: Timestamp,
    pub subject: String,
    pub matched: Vec<Matched>,
    /// Of a correlation how many events, values or rules met; otherwise 1.
    pub count: u64,
    pub params: Row,
}

/// A field of the event, its value, and what of the rule it met.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched {
    pub field: String,
    pub value: serde_json::Value,
    pub pattern: String,
}

/// What correlations remember, to be kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By the id of the rule.
    correlations: BTreeMap<String, Memory>,
}

/// What had to be forgotten before it expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Groups and moments of correlations beyond their limits.
    pub correlation_entries: u64,
}

/// How good the index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFacts {
    pub bytes: usize,
    /// Of what the tests of all rules look for.
    pub tests_bytes: usize,
    /// Ids of the rules that have nothing to be found by.
    pub always: Vec<(Category, Vec<String>)>,
}

/// All rules about events, ready to be asked.
#[derive(Debug)]
pub struct Engine {
    rules: Vec<Loaded>,
    tests: Tests,
    index: index::Index,
    /// Correlations after those that they join.
    correlations: Vec<Joined>,
    refusals: Vec<Refusal>,
    losses: Losses,
    /// The rules that hold for the event being asked about; kept for its memory.
    held: Vec<usize>,
}

/// A rule and how it is asked.
#[derive(Debug)]
struct Loaded {
    rule: Arc<Rule>,
    /// Absent: a correlation.
    query: Option<Query>,
    /// Not only there for a correlation.
    alarms: bool,
    disabled: bool,
    embedded: bool,
    /// The fields of its parameters and of its subject, found once.
    params: Vec<(String, Field)>,
    places: Vec<(String, Field)>,
}

#[derive(Debug)]
struct Joined {
    /// Its own place among the rules.
    rule: usize,
    correlation: Correlation,
    /// The rules that it joins, in its order.
    parts: Vec<usize>,
    memory: Memory,
}

impl Engine {
    /// The catalogue's rules must all work; which of the user's do not is in [`Self::refusals`].
    pub fn new(catalogue: &Catalogue, user: &[UserRule]) -> Result<Self, BuildError> {
        build::engine(catalogue, user)
    }

    /// The user's rules that do not work, and why.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// The rules that alarm, in no order; a user's have an attribution.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.iter().filter(|it| it.alarms).map(|it| &it.rule)
    }

    /// Users' rules that work but ask for what their events never carry, and why.
    pub fn doubts(&self) -> impl Iterator<Item = (&Arc<Rule>, String)> {
        self.rules.iter().filter(|it| !it.embedded).filter_map(|it| {
            let reason = carried::missing(it.query.as_ref()?, &self.tests)?;
            Some((&it.rule, reason))
        })
    }

    /// Switches off the rules with these ids, and all others on.
    pub fn set_disabled(&mut self, ids: &[String]) {
        for it in &mut self.rules {
            it.disabled = it.rule.maturity == Maturity::Deprecated || ids.contains(&it.rule.id);
        }
    }

    /// The rules that hold now. Of events with one time the order of the calls counts.
    pub fn evaluate(&mut self, event: &Event) -> Vec<Detection> {
        let mut held = std::mem::take(&mut self.held);
        held.clear();
        self.index.hold(event, &self.tests, &self.rules, &mut held);
        let found = if held.is_empty() { Vec::new() } else { self.told(event, &mut held) };
        self.held = held;
        found
    }

    /// The detections that hold, without what correlations and alarms add.
    pub fn holding(&mut self, event: &Event) -> Vec<Arc<Rule>> {
        let mut held = Vec::new();
        self.index.hold(event, &self.tests, &self.rules, &mut held);
        let rules = held.iter().filter_map(|it| self.rules.get(*it));
        rules.filter(|it| it.alarms).map(|it| Arc::clone(&it.rule)).collect()
    }

    /// [`Self::holding`] without the index: what that is tested and measured by.
    pub fn holding_plainly(&self, event: &Event) -> Vec<Arc<Rule>> {
        let holds = |it: &&Loaded| {
            let query = it.query.as_ref();
            it.alarms
                && !it.disabled
                && query.is_some_and(|query| {
                    query.categories.contains(&event.category)
                        && query.expr.holds(&mut |id| self.tests.holds(id, event))
                })
        };
        self.rules.iter().filter(holds).map(|it| Arc::clone(&it.rule)).collect()
    }

    /// Detections of the rules that hold, and of the correlations that they complete.
    fn told(&mut self, event: &Event, held: &mut Vec<usize>) -> Vec<Detection> {
        let mut found = Vec::new();
        for place in held.iter() {
            let Some(it) = self.rules.get(*place).filter(|it| it.alarms) else { continue };
            let Some(query) = &it.query else { continue };
            let mut proof = Vec::new();
            query.expr.proof(&mut |id| self.tests.holds(id, event), &mut proof);
            let matched = proof.iter().filter_map(|it| matched(&self.tests, *it, event));
            found.push(detection(it, event, matched.take(MATCHED_MAX).collect(), None));
        }
        let share = share_bytes(self.correlations.len());
        for joined in &mut self.correlations {
            let Some(it) = self.rules.get(joined.rule).filter(|it| !it.disabled) else { continue };
            let mut met = None;
            // The later places first, so that one event is no two steps of a sequence.
            for (place, part) in joined.parts.iter().enumerate().rev() {
                if held.contains(part) {
                    let lost = &mut self.losses.correlation_entries;
                    let now = joined.memory.note(&joined.correlation, place, event, share, lost);
                    met = met.or(now);
                }
            }
            let Some(met) = met else { continue };
            held.push(joined.rule);
            if it.alarms {
                let mut quoted: Vec<_> = joined
                    .correlation
                    .group_columns()
                    .zip(&joined.correlation.group_names)
                    .map(|(column, name)| quote(column.name(), column.view(event), name.clone()))
                    .collect();
                quoted.truncate(MATCHED_MAX);
                found.push(detection(it, event, quoted, Some(met.count)));
            }
        }
        found
    }

    /// What correlations remember.
    pub fn state(&self) -> State {
        let id = |it: &Joined| self.rules.get(it.rule).map(|it| it.rule.id.clone());
        let filled = self.correlations.iter().filter(|it| it.memory.groups() > 0);
        let correlations = filled.filter_map(|it| Some((id(it)?, it.memory.clone()))).collect();
        State { correlations }
    }

    /// Takes up what [`Self::state`] gave. What belongs to rules that are no more, or is beyond
    /// the limits of this build, is left out and counted. Where the clock was set back meanwhile,
    /// the last of it was now.
    pub fn restore(&mut self, mut state: State, now: Timestamp) {
        let share = share_bytes(self.correlations.len());
        for joined in &mut self.correlations {
            let Some(it) = self.rules.get(joined.rule) else { continue };
            let Some(memory) = state.correlations.remove(&it.rule.id) else { continue };
            match memory.restored(share) {
                Ok(memory) => joined.memory = memory,
                Err(groups) => self.losses.correlation_entries += groups as u64,
            }
        }
        let gone: usize = state.correlations.values().map(Memory::groups).sum();
        self.losses.correlation_entries += gone as u64;
        let last = self.correlations.iter().filter_map(|it| it.memory.last_at()).max();
        if let Some(last) = last.filter(|it| *it > now) {
            self.move_clock(now.0.saturating_sub(last.0));
        }
    }

    /// The clock was set by so many microseconds: what correlations remember moves along, so that
    /// an attack that goes on meanwhile is still counted as one.
    pub fn move_clock(&mut self, by_us: i64) {
        self.correlations.iter_mut().for_each(|it| it.memory.move_clock(by_us));
    }

    /// Forgets all that correlations remember.
    pub fn forget(&mut self) {
        self.correlations.iter_mut().for_each(|it| it.memory = Memory::default());
    }

    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// What the index comes to: its bytes, and the rules asked about every event of a category.
    pub fn index(&self) -> IndexFacts {
        let id = |it: usize| self.rules.get(it).map(|it| it.rule.id.clone());
        let of = |category: &Category| {
            let rules: Vec<_> = self.index.always(*category).filter_map(id).collect();
            (*category, rules)
        };
        IndexFacts {
            bytes: self.index.bytes(),
            tests_bytes: self.tests.bytes(),
            always: Category::ALL.iter().map(of).filter(|(_, it)| !it.is_empty()).collect(),
        }
    }
}

impl Detection {
    /// The finding: `evidence` first, then what the rule matched.
    pub fn finding(&self, mut evidence: Vec<Evidence>, incident: String) -> Finding {
        evidence.extend(self.matched.iter().map(|it| Evidence::Match {
            field: it.field.clone(),
            value: it.value.clone(),
            pattern: Some(it.pattern.clone()),
        }));
        if let Some(origin) = &self.rule.attribution {
            let fact = |name: &str, value: &str| Evidence::Fact {
                name: name.to_owned(),
                value: value.into(),
            };
            let named = [("rule_author", &origin.author), ("rule_license", &origin.license)];
            let filled = named.iter().filter(|(_, it)| !it.is_empty());
            evidence.extend(filled.map(|(name, it)| fact(name, it)));
        }
        Finding {
            kind: self.rule.kind,
            rule: self.rule.id.clone(),
            category: self.rule.category.clone(),
            severity: self.rule.severity,
            subject: self.subject.clone(),
            sentence: self.rule.sentence(&self.params),
            params: self.params.clone(),
            evidence,
            first_at: self.at,
            last_at: self.at,
            occurrences: 1,
            resolved: false,
            incident,
            confidence: self.rule.confidence,
        }
    }
}

/// A value of an event in JSON.
pub fn json(value: &crate::event::Value) -> serde_json::Value {
    View::of(value).quoted()
}

/// What keywords are looked for in, as one message of lines.
pub fn message(event: &Event) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (_, value) in searched(event) {
        View::of(value).any(|it| {
            lines.push(it.to_owned());
            false
        });
    }
    lines.join("\n")
}

/// What the event has under the names that auditd rules use.
pub fn audit_names(event: &Event) -> Vec<(String, serde_json::Value)> {
    let names = crate::sigma::column::audit_names();
    let seen = names.map(|(name, column)| (name.to_owned(), column.view(event)));
    seen.filter(|(_, view)| !view.is_absent()).map(|(name, it)| (name, it.quoted())).collect()
}

fn detection(
    loaded: &Loaded,
    event: &Event,
    matched: Vec<Matched>,
    count: Option<usize>,
) -> Detection {
    let rule = &loaded.rule;
    let value = |(name, field): &(String, Field)| {
        let value = match field {
            Field::EventCount => count.map_or(serde_json::Value::Null, Into::into),
            field => quoted(event.get(*field).map_or(View::Absent, View::of)),
        };
        (name.clone(), value)
    };
    let params: Row = loaded.params.iter().map(value).collect();
    let subject = if rule.subject.is_empty() {
        // Only correlations of users have none: what their groups are named by is one.
        let values = matched.iter().map(|it| text::render("{it}", &named("it", &it.value)));
        values.collect::<Vec<_>>().join("|")
    } else {
        let places: Row = loaded.places.iter().map(value).collect();
        text::render(&rule.subject, &places)
    };
    Detection {
        rule: Arc::clone(rule),
        at: event.at,
        subject: text::bounded(
            if subject.is_empty() { &rule.id } else { &subject },
            SUBJECT_BYTES_MAX,
        ),
        matched,
        count: count.unwrap_or(1) as u64,
        params,
    }
}

fn named(name: &str, value: &serde_json::Value) -> Row {
    std::iter::once((name.to_owned(), value.clone())).collect()
}

fn matched(tests: &Tests, id: TestId, event: &Event) -> Option<Matched> {
    let test = tests.get(id)?;
    let (name, view) = match test.column {
        // The first field that the keyword stands in.
        Column::Anywhere => searched(event).find_map(|(field, value)| {
            let column = Column::Field(field);
            let here = crate::sigma::expression::Test { column, ..test.clone() };
            here.holds(event).then(|| (column.name(), View::of(value)))
        })?,
        column => (column.name(), column.view(event)),
    };
    Some(quote(name, view, test.written.clone()))
}

fn quote(name: std::borrow::Cow<'static, str>, view: View<'_>, pattern: String) -> Matched {
    Matched { field: name.into_owned(), value: quoted(view), pattern }
}

/// The value, its texts cut to what an alarm carries.
fn quoted(view: View<'_>) -> serde_json::Value {
    let cut = |it: &str| it.chars().take(QUOTED_CHARS_MAX).collect::<String>();
    match view {
        View::Text(it) => cut(it).into(),
        View::List(items) => items.iter().take(64).map(|it| cut(it)).collect::<Vec<_>>().into(),
        other => other.quoted(),
    }
}

/// Rules by every name that a correlation may call them.
type Names = HashMap<String, usize>;
