//! Makes the index: chooses clauses, gathers their texts, and lays out what rules ask.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{MatchKind, dfa, nfa::contiguous};

use super::{
    ANYWHERE, Bits, CODES, Code, ColumnPlan, FAILS, HOLDS, Mark, Plan, RuleId, Spot, Step, Texts,
    code,
};
use crate::detect::{Loaded, Query};
use crate::event::{Category, Event, Field, Form};
use crate::sigma::column::{self, Column};
use crate::sigma::expression::{Expr, Judge, Test, TestId, Tests};
use crate::sigma::pattern::{Shape, commonness};

/// Texts of the automaton in bytes up to which it is made for speed; beyond, for size.
const DENSE_BYTES_MAX: usize = 24 * 1024;
/// Most rules of one test.
const NAMED_MAX: usize = u16::MAX as usize;

/// Fields with a short closed list of words, each of which is common.
const WORDS: &[Field] = &[
    Field::ImageKind,
    Field::ParentKind,
    Field::StarterKind,
    Field::ServiceRole,
    Field::SessionRole,
    Field::StdinKind,
    Field::StdoutKind,
    Field::StderrKind,
    Field::PrivilegeReason,
    Field::Protocol,
    Field::FileOperation,
    Field::TargetKind,
    Field::AccessKind,
    Field::KernelAction,
];

/// The automaton over the texts of all clauses, and for each category its plan.
pub(super) fn plans(rules: &[Loaded], tests: &Tests) -> (Texts, Vec<Plan>) {
    let drafts: Vec<_> = Category::ALL.iter().map(|it| Draft::new(*it, rules, tests)).collect();
    let mut numbers: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for id in drafts.iter().flat_map(|it| it.watched.keys()) {
        for text in tests.get(*id).map(signs).unwrap_or_default() {
            if let Sign::Text(text, _) = text {
                numbers.insert(text, 0);
            }
        }
    }
    for (number, it) in (0..).zip(numbers.values_mut()) {
        *it = number;
    }
    let texts = automaton(numbers.keys());
    let numbers = if matches!(texts, Texts::None) { BTreeMap::new() } else { numbers };
    let plans = drafts.into_iter().map(|it| it.plan(rules.len(), tests, &numbers)).collect();
    (texts, plans)
}

/// `None`: there is nothing to look for, or it is too much for one automaton.
fn automaton<'t>(texts: impl Iterator<Item = &'t Vec<u8>> + Clone) -> Texts {
    let bytes: usize = texts.clone().map(Vec::len).sum();
    if bytes == 0 {
        return Texts::None;
    }
    if bytes <= DENSE_BYTES_MAX {
        let mut builder = dfa::Builder::new();
        builder.match_kind(MatchKind::Standard).ascii_case_insensitive(true).prefilter(false);
        if let Ok(it) = builder.build(texts.clone()) {
            return Texts::Dense(it);
        }
    }
    let mut builder = contiguous::Builder::new();
    builder.match_kind(MatchKind::Standard).ascii_case_insensitive(true).prefilter(false);
    builder.build(texts).map_or(Texts::None, Texts::Small)
}

/// What the pass over an event can see of a test.
enum Sign {
    /// In the automaton.
    Text(Vec<u8>, Spot),
    Whole(Vec<u8>),
    Integer(i64),
    Bool(bool),
}

/// The signs of which at least one is there whenever the test says yes; none: it has none.
fn signs(test: &Test) -> Vec<Sign> {
    let numeric = matches!(test.column.form(), Form::Integer | Form::Bool);
    if code(test.column).is_none() {
        return Vec::new();
    }
    match &test.judge {
        Judge::Integer(it) => vec![Sign::Integer(*it)],
        Judge::Bool(it) => vec![Sign::Bool(*it)],
        Judge::Text(pattern) if !numeric => {
            let text = pattern.literal();
            let sign = match &pattern.shape {
                Shape::Exact(_) => Some(Sign::Whole(text.unwrap_or_default())),
                Shape::Prefix(_) => text.map(|it| Sign::Text(it, Spot::Begin)),
                Shape::Suffix(_) => text.map(|it| Sign::Text(it, Spot::End)),
                Shape::Contains(_) | Shape::Everything | Shape::Segments(_) => {
                    text.map(|it| Sign::Text(it, Spot::Within))
                }
            };
            sign.into_iter().collect()
        }
        Judge::Regex(it) if !numeric => {
            it.needs().iter().map(|it| Sign::Text(it.clone(), Spot::Within)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the test says yes whenever its sign is there.
fn is_certain(test: &Test) -> bool {
    match &test.judge {
        Judge::Integer(_) | Judge::Bool(_) => true,
        Judge::Text(pattern) => !pattern.cased && !matches!(pattern.shape, Shape::Segments(_)),
        _ => false,
    }
}

/// About how often the test says yes; `None`: it has no sign.
fn cost(test: &Test) -> Option<f64> {
    let signs = signs(test);
    let closed = matches!(test.column, Column::Field(it) if WORDS.contains(&it));
    let one = |sign: &Sign| match sign {
        Sign::Integer(_) => 0.05,
        Sign::Bool(true) => 0.2,
        Sign::Bool(false) => 0.6,
        Sign::Whole(_) if closed => 0.15,
        Sign::Whole(text) => commonness(text).min(0.03),
        Sign::Text(text, Spot::Within) => commonness(text),
        Sign::Text(text, Spot::Begin | Spot::End) => commonness(text) * 0.7,
    };
    let sum: f64 = signs.iter().map(one).sum();
    let factor = if test.column == Column::Anywhere { 4.0 } else { 1.0 };
    (!signs.is_empty()).then_some(sum * factor)
}

/// A plan while it is made.
struct Draft {
    category: Category,
    always: Vec<RuleId>,
    /// Rules by the tests of their clauses; keywords are watched for no rule, too.
    watched: BTreeMap<TestId, BTreeSet<RuleId>>,
    /// What of the rules is left to ask in this category.
    asked: Vec<(RuleId, Expr)>,
}

impl Draft {
    fn new(category: Category, rules: &[Loaded], tests: &Tests) -> Self {
        let (always, asked) = (Vec::new(), Vec::new());
        let mut draft = Self { category, always, watched: BTreeMap::new(), asked };
        for (place, rule) in (0..).zip(rules) {
            let asked = |it: &&Query| it.categories.contains(&category);
            if let Some(query) = rule.query.as_ref().filter(asked) {
                draft.add(place, query, tests);
            }
        }
        draft
    }

    fn add(&mut self, place: RuleId, query: &Query, tests: &Tests) {
        let empty = Event::new(self.category, model::time::Timestamp::from_secs(0));
        let known = |id: TestId| settled(tests.get(id)?, &empty);
        let expr = match query.expr.simplified(&known) {
            Ok(it) => it,
            Err(false) => return,
            // It holds for all events of the category: asking it whole says so.
            Err(true) => query.expr.clone(),
        };
        // Keywords are dear to ask one by one: the pass answers all of them.
        let mut all = Vec::new();
        expr.tests(&mut all);
        let keyword = |id: &TestId| tests.get(*id).is_some_and(is_plain_keyword);
        for id in all.into_iter().filter(keyword) {
            self.watched.entry(id).or_default();
        }
        match clause(&expr, tests) {
            None => self.always.push(place),
            Some(clause) => {
                for test in clause.tests {
                    self.watched.entry(test).or_default().insert(place);
                }
            }
        }
        self.asked.push((place, expr));
    }

    fn plan(mut self, rules: usize, tests: &Tests, numbers: &BTreeMap<Vec<u8>, u32>) -> Plan {
        self.unseen(tests, numbers);
        let mut plan = Plan { watched: Bits::with_room(tests.len()), ..Plan::default() };
        let mut marks = Marks::default();
        for (id, rules) in &self.watched {
            let Some(test) = tests.get(*id) else { continue };
            let Some(column) = code(test.column) else { continue };
            plan.watched.add(*id);
            plan.anywhere |= column == ANYWHERE;
            let mark = Mark {
                test: *id as u32,
                rules: plan.named.len() as u32,
                count: rules.len() as u16,
                column,
                spot: Spot::Within,
                certain: is_certain(test),
            };
            plan.named.extend(rules);
            for sign in signs(test) {
                marks.add(sign, mark, numbers);
            }
        }
        marks.lay(numbers.len(), &mut plan);
        plan.entries = vec![FAILS; rules];
        let mut steps = Steps { all: Vec::new(), watched: &plan.watched, tests };
        for (place, expr) in &self.asked {
            let first = steps.lay(expr, HOLDS, FAILS);
            if let Some(it) = plan.entries.get_mut(*place as usize) {
                *it = first;
            }
        }
        plan.steps = steps.all;
        self.always.sort_unstable();
        self.always.dedup();
        plan.always = self.always;
        plan
    }

    /// Takes out the tests that cannot be seen: their texts are not in the automaton, or they
    /// stand for more rules than can be named.
    fn unseen(&mut self, tests: &Tests, numbers: &BTreeMap<Vec<u8>, u32>) {
        let always = &mut self.always;
        self.watched.retain(|id, rules| {
            let signs = tests.get(*id).map(signs).unwrap_or_default();
            let seen = |it: &Sign| match it {
                Sign::Text(text, _) => numbers.contains_key(text),
                _ => true,
            };
            let all = !signs.is_empty() && signs.iter().all(seen) && rules.len() <= NAMED_MAX;
            if !all {
                always.extend(rules.iter());
            }
            all
        });
    }
}

/// Whether the keyword stands in a text exactly when the pass meets it.
fn is_plain_keyword(test: &Test) -> bool {
    let Judge::Text(pattern) = &test.judge else { return false };
    let plain = matches!(&pattern.shape, Shape::Contains(it) if !it.is_empty());
    test.column == Column::Anywhere && plain && !pattern.cased
}

/// What the test says of every event of a category, if that follows from the category alone.
fn settled(test: &Test, empty: &Event) -> Option<bool> {
    match test.column {
        Column::AuditType => Some(test.holds(empty)),
        Column::AuditCall => {
            let Judge::Text(pattern) = &test.judge else { return None };
            let calls = column::calls(empty.category)?;
            let meant = calls.iter().filter(|it| pattern.matches(it)).count();
            match empty.category {
                // One event stands for all of them at once.
                Category::ProcessCreation
                | Category::Redirection
                | Category::ProcessRename
                | Category::DnsQuery
                | Category::State => Some(meant > 0),
                _ => (meant == 0).then_some(false),
            }
        }
        Column::Field(_)
        | Column::Argument(_)
        | Column::AuditNameType
        | Column::Time
        | Column::Anywhere => None,
    }
}

/// Marks while they are gathered.
#[derive(Default)]
struct Marks {
    /// By the number of the text.
    texts: BTreeMap<u32, Vec<Mark>>,
    whole: BTreeMap<(Code, Vec<u8>), Vec<Mark>>,
    integers: BTreeMap<(Code, i64), Vec<Mark>>,
    truths: BTreeMap<(Code, bool), Vec<Mark>>,
}

impl Marks {
    fn add(&mut self, sign: Sign, mark: Mark, numbers: &BTreeMap<Vec<u8>, u32>) {
        let column = mark.column;
        match sign {
            Sign::Text(text, spot) => {
                let Some(number) = numbers.get(&text) else { return };
                self.texts.entry(*number).or_default().push(Mark { spot, ..mark });
            }
            Sign::Whole(text) => self.whole.entry((column, text)).or_default().push(mark),
            Sign::Integer(it) => self.integers.entry((column, it)).or_default().push(mark),
            Sign::Bool(it) => self.truths.entry((column, it)).or_default().push(mark),
        }
    }

    /// Puts all marks into the plan, those of one sign beside one another.
    fn lay(mut self, texts: usize, plan: &mut Plan) {
        plan.columns.resize_with(CODES, || None);
        for number in 0..texts as u32 {
            plan.starts.push(plan.marks.len() as u32);
            for mark in self.texts.remove(&number).unwrap_or_default() {
                if let Some(it) = column_of(plan, mark.column) {
                    it.has_texts = true;
                }
                plan.marks.push(mark);
            }
        }
        plan.starts.push(plan.marks.len() as u32);
        let laid = |plan: &mut Plan, marks: Vec<Mark>| {
            let begin = plan.marks.len() as u32;
            plan.marks.extend(marks);
            (begin, plan.marks.len() as u32)
        };
        for ((column, text), marks) in self.whole {
            let range = laid(plan, marks);
            if let Some(it) = column_of(plan, column) {
                it.lengths |= 1 << (text.len() % 64);
                it.whole.insert(text.into(), range);
            }
        }
        for ((column, number), marks) in self.integers {
            let (begin, end) = laid(plan, marks);
            if let Some(it) = column_of(plan, column) {
                it.integers.push((number, begin, end));
            }
        }
        for ((column, truth), marks) in self.truths {
            let range = laid(plan, marks);
            if let Some(it) = column_of(plan, column) {
                let [no, yes] = &mut it.truths;
                *(if truth { yes } else { no }) = range;
            }
        }
    }
}

fn column_of(plan: &mut Plan, column: Code) -> Option<&mut ColumnPlan> {
    let place = plan.columns.get_mut(usize::from(column))?;
    Some(place.get_or_insert_default())
}

/// Expressions as steps. Those of one expression are laid from its end to its beginning, so
/// that every step knows where to go on.
struct Steps<'a> {
    all: Vec<Step>,
    watched: &'a Bits,
    tests: &'a Tests,
}

impl Steps<'_> {
    /// The first step of the expression; what is cheap to ask comes first.
    fn lay(&mut self, expr: &Expr, yes: u32, no: u32) -> u32 {
        match expr {
            Expr::Test(id) => {
                self.all.push(Step { test: *id as u32, yes, no });
                self.all.len() as u32 - 1
            }
            Expr::Not(inner) => self.lay(inner, no, yes),
            Expr::All(parts) => {
                self.dearest_first(parts).into_iter().fold(yes, |next, it| self.lay(it, next, no))
            }
            Expr::Any(parts) => {
                self.dearest_first(parts).into_iter().fold(no, |next, it| self.lay(it, yes, next))
            }
        }
    }

    fn dearest_first<'e>(&self, parts: &'e [Expr]) -> Vec<&'e Expr> {
        let mut priced: Vec<_> = parts.iter().map(|it| (self.price(it), it)).collect();
        priced.sort_by_key(|(price, _)| std::cmp::Reverse(*price));
        priced.into_iter().map(|(_, it)| it).collect()
    }

    /// About how long it takes to ask; only compared.
    fn price(&self, expr: &Expr) -> u32 {
        match expr {
            Expr::Test(id) if self.watched.has(*id) => 0,
            Expr::Test(id) => self.tests.get(*id).map_or(0, price),
            Expr::Not(inner) => self.price(inner),
            Expr::All(parts) | Expr::Any(parts) => parts.iter().map(|it| self.price(it)).sum(),
        }
    }
}

fn price(test: &Test) -> u32 {
    let one = match &test.judge {
        Judge::Integer(_) | Judge::Bool(_) | Judge::Absent | Judge::Exists => 1,
        Judge::Compare(..) | Judge::Moment(..) => 2,
        Judge::Text(pattern) => match pattern.shape {
            Shape::Exact(_) | Shape::Prefix(_) | Shape::Suffix(_) | Shape::Everything => 2,
            Shape::Contains(_) => 6,
            Shape::Segments(_) => 8,
        },
        Judge::Network(_) | Judge::Reference(..) => 8,
        Judge::Regex(_) => 40,
    };
    let columns = match test.column {
        Column::Anywhere => 16,
        _ if test.column.form() == Form::List => 4,
        _ => 1,
    };
    one * columns
}

/// Tests of which one says yes whenever the rule holds.
struct Clause {
    tests: Vec<TestId>,
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
