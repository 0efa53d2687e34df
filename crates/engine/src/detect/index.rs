//! Which rules can hold for an event.
//!
//! Every rule is given a *clause*: a few tests of which at least one says yes whenever the rule
//! holds, chosen so that this is rare. The texts of all clauses that look at one column are one
//! automaton, so that a single pass over the event's texts finds every rule whose clause is
//! met; only those are asked whole. A rule without a clause is always asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::Loaded;
use crate::event::{Category, Event, Field, Form, Value};
use crate::sigma::column::{Column, View};
use crate::sigma::expression::{Expr, Judge, Test, TestId, Tests, is_searched, searched};
use crate::sigma::pattern::{Shape, fold_into};

/// Texts of one automaton in bytes up to which it is made for speed; beyond, for size.
const DENSE_BYTES_MAX: usize = 64 * 1024;

/// Place of a rule among the engine's.
type RuleId = u32;

#[derive(Debug)]
pub(super) struct Index {
    /// By category.
    plans: Vec<Plan>,
    scratch: Scratch,
}

/// How the events of one category are looked at.
#[derive(Debug, Default)]
struct Plan {
    /// Rules without a clause.
    always: Vec<RuleId>,
    columns: Vec<ColumnPlan>,
    /// Where in `columns` a field stands, where every text is looked at.
    by_field: Vec<Option<usize>>,
    /// Keywords, which may stand in any field.
    anywhere: Option<ColumnPlan>,
    /// Tests that the pass over the texts answers: what it does not meet is not there.
    answered: Vec<bool>,
}

/// The clauses that look at one column.
#[derive(Debug)]
struct ColumnPlan {
    column: Column,
    automaton: Option<Arc<AhoCorasick>>,
    /// By the number of the text in the automaton.
    hits: Vec<Vec<Hit>>,
    whole: HashMap<Vec<u8>, Vec<RuleId>, BuildHasherDefault<Fnv>>,
    integers: HashMap<i64, Vec<RuleId>, BuildHasherDefault<Fnv>>,
    truths: [Vec<RuleId>; 2],
}

/// A text of a clause was met.
#[derive(Debug)]
struct Hit {
    spot: Spot,
    rules: Vec<RuleId>,
    /// Keywords that are answered by this alone.
    answered: Vec<TestId>,
}

/// Where the text must stand for the test to say yes, as far as that is cheap to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spot {
    Begin,
    End,
    Within,
}

/// Memory that is used again for every event.
#[derive(Debug, Default)]
struct Scratch {
    /// Number of the event; what carries another number is of an earlier one.
    generation: u32,
    seen: Vec<u32>,
    candidates: Vec<RuleId>,
    /// What tests said.
    answers: Vec<(u32, bool)>,
    /// Texts of the event, folded, one behind the other.
    folded: Vec<u8>,
    /// Where in `folded` the text of a field stands.
    ranges: Vec<(u32, usize, usize)>,
}

impl Index {
    pub(super) fn new(rules: &[Loaded], tests: &Tests) -> Self {
        let mut automata = BTreeMap::new();
        let plan =
            |category: &Category| Draft::new(*category, rules, tests).plan(tests, &mut automata);
        let plans = Category::ALL.iter().map(plan).collect();
        let scratch = Scratch {
            seen: vec![0; rules.len()],
            answers: vec![(0, false); tests.len()],
            ranges: vec![(0, 0, 0); Field::ALL.len()],
            ..Scratch::default()
        };
        Self { plans, scratch }
    }

    /// Bytes of all automata.
    pub(super) fn bytes(&self) -> usize {
        let mut found = BTreeMap::new();
        for plan in &self.plans {
            for it in
                plan.columns.iter().chain(&plan.anywhere).filter_map(|it| it.automaton.as_ref())
            {
                found.insert(Arc::as_ptr(it), it.memory_usage());
            }
        }
        found.values().sum()
    }

    /// Rules of one category that are asked about every event.
    pub(super) fn always(&self, category: Category) -> impl Iterator<Item = usize> {
        let plan = self.plans.get(category as usize);
        plan.into_iter().flat_map(|it| &it.always).map(|it| *it as usize)
    }

    /// The rules that hold for the event, in their order.
    pub(super) fn hold(
        &mut self,
        event: &Event,
        tests: &Tests,
        rules: &[Loaded],
        held: &mut Vec<usize>,
    ) {
        let Some(plan) = self.plans.get(event.category as usize) else { return };
        let scratch = &mut self.scratch;
        scratch.begin();
        plan.look(event, scratch);
        scratch.candidates.sort_unstable();
        let candidates = std::mem::take(&mut scratch.candidates);
        for place in plan.always.iter().chain(&candidates) {
            let place = *place as usize;
            let Some(rule) = rules.get(place).filter(|it| !it.disabled) else { continue };
            let Some(query) = &rule.query else { continue };
            if query.expr.holds(&mut |id| scratch.answer(id, plan, tests, event)) {
                held.push(place);
            }
        }
        held.sort_unstable();
        scratch.candidates = candidates;
    }
}

impl Scratch {
    fn begin(&mut self) {
        self.candidates.clear();
        self.folded.clear();
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.seen.fill(0);
            self.answers.fill((0, false));
            self.ranges.fill((0, 0, 0));
            self.generation = 1;
        }
    }

    /// What the test says, asked at most once an event.
    fn answer(&mut self, id: TestId, plan: &Plan, tests: &Tests, event: &Event) -> bool {
        if let Some((generation, answer)) = self.answers.get(id)
            && *generation == self.generation
        {
            return *answer;
        }
        if plan.answered.get(id).is_some_and(|it| *it) {
            return false;
        }
        let Some(test) = tests.get(id) else { return false };
        let answer = match (&test.judge, test.column) {
            (Judge::Text(pattern), Column::Field(field)) if !pattern.cased => {
                match event.get(field) {
                    Some(Value::Text(text)) => pattern.shape.matches(self.text(field, text)),
                    _ => test.holds(event),
                }
            }
            _ => test.holds(event),
        };
        self.note(id, answer);
        answer
    }

    fn note(&mut self, id: TestId, answer: bool) {
        if let Some(it) = self.answers.get_mut(id) {
            *it = (self.generation, answer);
        }
    }

    /// The text of a field, folded at most once an event.
    fn text(&mut self, field: Field, text: &str) -> &[u8] {
        let known = self.ranges.get(field as usize).copied().unwrap_or_default();
        let (start, end) = if known.0 == self.generation {
            (known.1, known.2)
        } else {
            let start = self.folded.len();
            fold_into(text, &mut self.folded);
            let range = (self.generation, start, self.folded.len());
            if let Some(it) = self.ranges.get_mut(field as usize) {
                *it = range;
            }
            (start, self.folded.len())
        };
        self.folded.get(start..end).unwrap_or_default()
    }

    fn add(&mut self, rules: &[RuleId]) {
        for rule in rules {
            let Some(seen) = self.seen.get_mut(*rule as usize) else { continue };
            if *seen != self.generation {
                *seen = self.generation;
                self.candidates.push(*rule);
            }
        }
    }
}

impl Plan {
    /// One pass over the texts of the event.
    fn look(&self, event: &Event, scratch: &mut Scratch) {
        if let Some(anywhere) = &self.anywhere {
            for (field, value) in searched(event) {
                let own = self.by_field.get(field as usize).copied().flatten();
                let own = own.and_then(|it| self.columns.get(it));
                look(field, value, [own, Some(anywhere)], scratch);
            }
        }
        for column in &self.columns {
            match column.column {
                Column::Field(field) => {
                    let Some(value) = event.get(field) else { continue };
                    if self.anywhere.is_none() || !is_searched(field) {
                        look(field, value, [Some(column), None], scratch);
                    }
                }
                other => {
                    if let View::Text(text) = other.view(event) {
                        let start = scratch.folded.len();
                        fold_into(text, &mut scratch.folded);
                        scratch.pass(start, [Some(column), None]);
                    }
                }
            }
        }
    }
}

fn look(field: Field, value: &Value, plans: [Option<&ColumnPlan>; 2], scratch: &mut Scratch) {
    match value {
        Value::Text(text) => {
            let start = scratch.folded.len();
            scratch.text(field, text);
            scratch.pass(start, plans);
        }
        Value::List(items) => {
            for item in items {
                let start = scratch.folded.len();
                fold_into(item, &mut scratch.folded);
                scratch.pass(start, plans);
            }
        }
        Value::Integer(number) => {
            for plan in plans.iter().flatten() {
                if let Some(rules) = plan.integers.get(number) {
                    scratch.add(rules);
                }
            }
        }
        Value::Bool(truth) => {
            for plan in plans.iter().flatten() {
                let [no, yes] = &plan.truths;
                scratch.add(if *truth { yes } else { no });
            }
        }
    }
}

impl Scratch {
    /// Looks through the folded text that begins at `start`.
    fn pass(&mut self, start: usize, plans: [Option<&ColumnPlan>; 2]) {
        let folded = std::mem::take(&mut self.folded);
        let text = folded.get(start..).unwrap_or_default();
        for plan in plans.iter().flatten() {
            plan.scan(text, self);
        }
        self.folded = folded;
    }
}

impl ColumnPlan {
    fn scan(&self, folded: &[u8], scratch: &mut Scratch) {
        if let Some(rules) = self.whole.get(folded) {
            scratch.add(rules);
        }
        let Some(automaton) = &self.automaton else { return };
        for found in automaton.find_overlapping_iter(folded) {
            for hit in self.hits.get(found.pattern().as_usize()).map_or(&[][..], Vec::as_slice) {
                let meets = match hit.spot {
                    Spot::Begin => found.start() == 0,
                    Spot::End => found.end() == folded.len(),
                    Spot::Within => true,
                };
                if meets {
                    scratch.add(&hit.rules);
                    for id in &hit.answered {
                        scratch.note(*id, true);
                    }
                }
            }
        }
    }
}

/// A plan while it is made.
#[derive(Default)]
struct Draft {
    always: Vec<RuleId>,
    /// Rules by the tests of their clauses.
    watched: BTreeMap<TestId, BTreeSet<RuleId>>,
    keywords: BTreeSet<TestId>,
}

impl Draft {
    fn new(category: Category, rules: &[Loaded], tests: &Tests) -> Self {
        let mut draft = Self::default();
        let empty = Event::new(category, model::time::Timestamp::from_secs(0));
        for (place, rule) in (0..).zip(rules) {
            let asked = |it: &&super::Query| it.categories.contains(&category);
            let Some(query) = rule.query.as_ref().filter(asked) else { continue };
            let known = |id: TestId| {
                let test = tests.get(id)?;
                is_settled(test.column, category).then(|| test.holds(&empty))
            };
            if query.expr.settled(&known) == Some(false) {
                continue;
            }
            // Keywords are dear to ask one by one: the pass answers all of them.
            let mut all = Vec::new();
            query.expr.tests(&mut all);
            let keyword = |id: &TestId| tests.get(*id).is_some_and(is_plain_keyword);
            draft.keywords.extend(all.into_iter().filter(keyword));
            match clause(&query.expr, tests) {
                None => draft.always.push(place),
                Some(clause) => {
                    for test in clause.tests {
                        draft.watched.entry(test).or_default().insert(place);
                    }
                }
            }
        }
        draft
    }

    fn plan(mut self, tests: &Tests, automata: &mut Automata) -> Plan {
        let mut columns: BTreeMap<Column, ColumnDraft> = BTreeMap::new();
        for id in &self.keywords {
            self.watched.entry(*id).or_default();
        }
        for (id, rules) in self.watched {
            let Some(test) = tests.get(id) else { continue };
            let answered = self.keywords.contains(&id).then_some(id);
            columns.entry(test.column).or_default().add(test, &rules, answered);
        }
        let mut plan = Plan { always: self.always, ..Plan::default() };
        for (column, draft) in columns {
            let (made, without) = draft.plan(column, automata);
            plan.always.extend(without);
            match column {
                Column::Anywhere => {
                    if made.automaton.is_some() {
                        plan.answered = vec![false; tests.len()];
                        for id in &self.keywords {
                            if let Some(it) = plan.answered.get_mut(*id) {
                                *it = true;
                            }
                        }
                    }
                    plan.anywhere = Some(made);
                }
                _ => plan.columns.push(made),
            }
        }
        plan.always.sort_unstable();
        plan.always.dedup();
        let place =
            |field: &Field| plan.columns.iter().position(|it| it.column == Column::Field(*field));
        plan.by_field = Field::ALL.iter().map(place).collect();
        plan
    }
}

/// Whether the keyword stands in a text exactly when the pass meets it.
fn is_plain_keyword(test: &Test) -> bool {
    let Judge::Text(pattern) = &test.judge else { return false };
    let plain = matches!(&pattern.shape, Shape::Contains(it) if !it.is_empty());
    test.column == Column::Anywhere && plain && !pattern.cased
}

/// Whether what stands in the column follows from the category alone.
fn is_settled(column: Column, category: Category) -> bool {
    match column {
        Column::AuditType => true,
        Column::AuditCall => matches!(
            category,
            Category::ProcessCreation
                | Category::Redirection
                | Category::ProcessRename
                | Category::DnsQuery
                | Category::State
        ),
        Column::Field(_)
        | Column::Argument(_)
        | Column::AuditNameType
        | Column::Time
        | Column::Anywhere => false,
    }
}

/// Automata by their texts: categories that ask the same share one.
type Automata = BTreeMap<Vec<Vec<u8>>, Arc<AhoCorasick>>;

/// What a text is looked for, by where it must stand.
type Wanted = BTreeMap<Spot, (BTreeSet<RuleId>, Vec<TestId>)>;

#[derive(Default)]
struct ColumnDraft {
    texts: BTreeMap<Vec<u8>, Wanted>,
    whole: BTreeMap<Vec<u8>, BTreeSet<RuleId>>,
    integers: BTreeMap<i64, BTreeSet<RuleId>>,
    truths: [BTreeSet<RuleId>; 2],
}

impl ColumnDraft {
    fn add(&mut self, test: &Test, rules: &BTreeSet<RuleId>, answered: Option<TestId>) {
        match &test.judge {
            Judge::Integer(number) => self.integers.entry(*number).or_default().extend(rules),
            Judge::Bool(truth) => {
                let [no, yes] = &mut self.truths;
                if *truth { yes } else { no }.extend(rules);
            }
            Judge::Text(pattern) => {
                let literal = pattern.literal().unwrap_or_default();
                let spot = match &pattern.shape {
                    Shape::Exact(_) => {
                        self.whole.entry(literal).or_default().extend(rules);
                        return;
                    }
                    Shape::Prefix(_) => Spot::Begin,
                    Shape::Suffix(_) => Spot::End,
                    Shape::Contains(_) | Shape::Everything | Shape::Segments(_) => Spot::Within,
                };
                let wanted = self.texts.entry(literal).or_default().entry(spot).or_default();
                wanted.0.extend(rules);
                wanted.1.extend(answered);
            }
            _ => {}
        }
    }

    /// The plan, and the rules that cannot be found by it.
    fn plan(self, column: Column, automata: &mut Automata) -> (ColumnPlan, BTreeSet<RuleId>) {
        let list = |it: BTreeSet<RuleId>| it.into_iter().collect::<Vec<_>>();
        let texts: Vec<_> = self.texts.keys().cloned().collect();
        let automaton = automaton(texts, automata);
        let mut without = BTreeSet::new();
        if automaton.is_none() {
            without.extend(self.texts.values().flat_map(BTreeMap::values).flat_map(|it| &it.0));
        }
        let hits = self.texts.into_values().map(|spots| {
            let hit = |(spot, (rules, answered))| Hit { spot, rules: list(rules), answered };
            spots.into_iter().map(hit).collect()
        });
        let [no, yes] = self.truths;
        let plan = ColumnPlan {
            column,
            automaton,
            hits: hits.collect(),
            whole: self.whole.into_iter().map(|(text, it)| (text, list(it))).collect(),
            integers: self.integers.into_iter().map(|(number, it)| (number, list(it))).collect(),
            truths: [list(no), list(yes)],
        };
        (plan, without)
    }
}

/// `None`: there is nothing to look for, or it is too much for one automaton.
fn automaton(texts: Vec<Vec<u8>>, automata: &mut Automata) -> Option<Arc<AhoCorasick>> {
    if texts.is_empty() {
        return None;
    }
    if let Some(it) = automata.get(&texts) {
        return Some(Arc::clone(it));
    }
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let dense = bytes <= DENSE_BYTES_MAX;
    let kind = if dense { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    let mut builder = AhoCorasick::builder();
    let made = builder.match_kind(MatchKind::Standard).kind(Some(kind)).build(&texts).ok()?;
    let made = Arc::new(made);
    automata.insert(texts, Arc::clone(&made));
    Some(made)
}

/// Tests of which one says yes whenever the rule holds.
struct Clause {
    tests: Vec<TestId>,
    /// About how often one of them says yes; only compared.
    cost: f64,
}

/// The best clause of an expression.
fn clause(expr: &Expr, tests: &Tests) -> Option<Clause> {
    match expr {
        Expr::Test(id) => {
            let cost = cost(tests.get(*id)?)?;
            Some(Clause { tests: vec![*id], cost })
        }
        Expr::All(parts) => parts
            .iter()
            .filter_map(|it| clause(it, tests))
            .min_by(|one, other| one.cost.total_cmp(&other.cost)),
        Expr::Any(parts) => {
            let mut joined = Clause { tests: Vec::new(), cost: 0.0 };
            for part in parts {
                let one = clause(part, tests)?;
                joined.tests.extend(one.tests);
                joined.cost += one.cost;
            }
            Some(joined)
        }
        Expr::Not(_) => None,
    }
}

/// About how often a test says yes; `None`: the index cannot find it.
fn cost(test: &Test) -> Option<f64> {
    let findable = match test.column {
        Column::Field(_) | Column::Argument(_) | Column::Anywhere => true,
        Column::AuditType | Column::AuditCall | Column::AuditNameType | Column::Time => false,
    };
    match &test.judge {
        _ if !findable => None,
        Judge::Integer(_) => Some(0.05),
        Judge::Bool(true) => Some(0.2),
        Judge::Bool(false) => Some(0.6),
        Judge::Text(_) if matches!(test.column.form(), Form::Integer | Form::Bool) => None,
        Judge::Text(pattern) => {
            let whole = matches!(pattern.shape, Shape::Exact(_));
            let length = match pattern.literal() {
                Some(it) => it.len(),
                None if whole => 0,
                None => return None,
            };
            // A word of a closed list is commoner than a path; a long text is rare anywhere.
            let rarity = match (whole, length) {
                (true, 0..=3) => 0.1,
                (true, _) => 0.03,
                (false, 0..=1) => 1.0,
                (false, 2) => 0.6,
                (false, 3) => 0.3,
                (false, 4..=5) => 0.1,
                (false, 6..=8) => 0.03,
                (false, _) => 0.01,
            };
            Some(if test.column == Column::Anywhere { rarity * 4.0 } else { rarity })
        }
        _ => None,
    }
}

/// FNV-1a, for tables that no event adds to.
#[derive(Default)]
struct Fnv(Option<u64>);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0.unwrap_or_default()
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut hash = self.0.unwrap_or(0xcbf2_9ce4_8422_2325);
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.0 = Some(hash);
    }
}
