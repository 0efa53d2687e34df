//! Which rules hold for an event.
//!
//! Every rule is given a *clause*: a few tests of which at least one says yes whenever the rule
//! holds, chosen so that this is rare. The texts of the clauses of all rules are one automaton:
//! one pass over the event's texts marks the tests whose texts it meets, and only rules with a
//! marked test are asked. A test of a clause that was not marked says no without being asked. A
//! rule without a clause is always asked. [`draft`] makes all this.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use aho_corasick::automaton::Automaton;
use aho_corasick::{Anchored, PatternID, dfa, nfa::contiguous};

use super::Loaded;
use crate::event::{Category, Event, Field, Value};
use crate::sigma::column::Column;
use crate::sigma::expression::{Judge, TestId, Tests, is_searched};
use crate::sigma::pattern::fold_into;

mod draft;

/// Place of a rule among the engine's.
type RuleId = u32;

#[derive(Debug)]
pub(super) struct Index {
    texts: Texts,
    /// By category.
    plans: Vec<Plan>,
    scratch: Scratch,
}

/// What the texts of all clauses are looked for by.
#[derive(Debug)]
enum Texts {
    None,
    /// Made for speed.
    Dense(dfa::DFA),
    /// Made for size.
    Small(contiguous::NFA),
}

/// A column as one byte: a field, an argument by its place, or anywhere.
type Code = u8;

const ARGUMENT_CODES: usize = Field::ALL.len();
const CODES: usize = ARGUMENT_CODES + crate::sigma::column::ARGUMENT_PLACES_MAX;
const ANYWHERE: Code = Code::MAX;
/// What no clause looks at.
const NOWHERE: Code = Code::MAX - 1;

const _: () = assert!(CODES < NOWHERE as usize);

fn code(column: Column) -> Option<Code> {
    match column {
        Column::Field(field) => Some(field as Code),
        Column::Argument(place) => argument_code(place),
        Column::Anywhere => Some(ANYWHERE),
        Column::AuditType | Column::AuditCall | Column::AuditNameType | Column::Time => None,
    }
}

fn argument_code(place: usize) -> Option<Code> {
    let code = ARGUMENT_CODES.checked_add(place).filter(|it| *it < CODES)?;
    Code::try_from(code).ok()
}

/// How the events of one category are looked at.
#[derive(Debug, Default)]
struct Plan {
    /// Rules without a clause.
    always: Vec<RuleId>,
    /// By column.
    columns: Vec<Option<Box<ColumnPlan>>>,
    /// Whether keywords, which may stand in any field, are looked for.
    anywhere: bool,
    /// By the number of a text in the automaton: where in `marks` its own begin.
    starts: Vec<u32>,
    marks: Vec<Mark>,
    /// The rules that marks name.
    named: Vec<RuleId>,
    /// Tests that the pass over the event answers: those it does not mark say no.
    watched: Bits,
    /// By rule: its first step.
    entries: Vec<u32>,
    steps: Vec<Step>,
}

/// What a clause looks for in one column beside texts in the automaton.
#[derive(Debug, Default)]
struct ColumnPlan {
    /// Whether the automaton has texts for it.
    has_texts: bool,
    /// Lengths of the texts in `whole`: bit n for all lengths that end in n, in base 64.
    lengths: u64,
    /// Where in the plan's marks those of a text begin and end.
    whole: HashMap<Box<[u8]>, (u32, u32), BuildHasherDefault<Chunks>>,
    integers: Vec<(i64, u32, u32)>,
    truths: [(u32, u32); 2],
}

/// A test whose text was met.
#[derive(Clone, Copy, Debug)]
struct Mark {
    test: u32,
    /// Where in the plan's `named` the rules begin that are to be asked, and how many they are.
    rules: u32,
    count: u16,
    column: Code,
    spot: Spot,
    /// Whether the test says yes then; otherwise it is to be asked.
    certain: bool,
}

/// Where the text must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spot {
    Begin,
    End,
    Within,
}

/// Of a rule: the test to ask, and where to go on by its answer.
#[derive(Clone, Copy, Debug)]
struct Step {
    test: u32,
    yes: u32,
    no: u32,
}

/// In place of a next step: the rule holds.
const HOLDS: u32 = u32::MAX;
/// In place of a next step: it does not.
const FAILS: u32 = u32::MAX - 1;

/// A set of tests.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn with_room(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn add(&mut self, it: usize) {
        if let Some(word) = self.0.get_mut(it / 64) {
            *word |= 1 << (it % 64);
        }
    }

    fn has(&self, it: usize) -> bool {
        self.0.get(it / 64).is_some_and(|word| word >> (it % 64) & 1 == 1)
    }
}

/// Memory that is used again for every event.
#[derive(Debug, Default)]
struct Scratch {
    /// Number of the event; what carries another number is of an earlier one.
    generation: u32,
    seen: Vec<u32>,
    candidates: Vec<RuleId>,
    answers: Vec<Answer>,
    /// Texts of the event that had to be folded, one behind the other.
    folded: Vec<u8>,
    /// By field.
    views: Vec<Folded>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    generation: u32,
    says: Says,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Says {
    #[default]
    No,
    Yes,
    /// Marked: it has to be asked.
    Perhaps,
}

/// A field's text, folded.
#[derive(Clone, Copy, Debug, Default)]
struct Folded {
    generation: u32,
    /// Where in `folded` it stands; `None`: it is folded as it is.
    range: Option<(u32, u32)>,
}

impl Index {
    pub(super) fn new(rules: &[Loaded], tests: &Tests) -> Self {
        let (texts, plans) = draft::plans(rules, tests);
        let scratch = Scratch {
            seen: vec![0; rules.len()],
            answers: vec![Answer::default(); tests.len()],
            views: vec![Folded::default(); Field::ALL.len()],
            ..Scratch::default()
        };
        Self { texts, plans, scratch }
    }

    /// Bytes of the automaton and of all plans.
    pub(super) fn bytes(&self) -> usize {
        let automaton = match &self.texts {
            Texts::None => 0,
            Texts::Dense(it) => it.memory_usage(),
            Texts::Small(it) => it.memory_usage(),
        };
        let scratch = self.scratch.answers.len() * size_of::<Answer>();
        automaton + scratch + self.plans.iter().map(Plan::bytes).sum::<usize>()
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
        match &self.texts {
            Texts::None => plan.look(&Nothing, event, scratch),
            Texts::Dense(it) => plan.look(&Walk(it), event, scratch),
            Texts::Small(it) => plan.look(&Walk(it), event, scratch),
        }
        let candidates = std::mem::take(&mut scratch.candidates);
        for place in plan.always.iter().chain(&candidates) {
            let place = *place as usize;
            if plan.holds(place, scratch, tests, event)
                && rules.get(place).is_some_and(|it| !it.disabled)
            {
                held.push(place);
            }
        }
        held.sort_unstable();
        held.dedup();
        scratch.candidates = candidates;
    }
}

impl Plan {
    fn bytes(&self) -> usize {
        let columns = self.columns.iter().flatten();
        let whole: usize = columns
            .map(|it| {
                let texts: usize = it.whole.keys().map(|it| it.len() + 32).sum();
                size_of::<ColumnPlan>() + texts + it.integers.len() * 16
            })
            .sum();
        whole
            + self.columns.len() * size_of::<usize>()
            + (self.starts.len() + self.named.len() + self.entries.len()) * size_of::<u32>()
            + self.marks.len() * size_of::<Mark>()
            + self.steps.len() * size_of::<Step>()
            + self.watched.0.len() * size_of::<u64>()
    }

    fn column(&self, code: Code) -> Option<&ColumnPlan> {
        self.columns.get(usize::from(code)).and_then(Option::as_deref)
    }

    /// Marks the tests whose texts, numbers or truths the event has.
    fn look(&self, finder: &impl Finder, event: &Event, scratch: &mut Scratch) {
        for (field, value) in event.values() {
            let own = self.column(*field as Code);
            let anywhere = self.anywhere && is_searched(*field);
            match value {
                Value::Text(text) => {
                    if own.is_some() || anywhere {
                        let own = own.map(|it| (*field as Code, it));
                        self.look_at(finder, text, [own, None], anywhere, scratch);
                    }
                }
                Value::List(items) => {
                    let by_place = *field == Field::Arguments;
                    for (place, item) in items.iter().enumerate() {
                        let argument = argument_code(place).filter(|_| by_place);
                        let argument = argument.and_then(|it| Some((it, self.column(it)?)));
                        if own.is_some() || anywhere || argument.is_some() {
                            let own = own.map(|it| (*field as Code, it));
                            self.look_at(finder, item, [own, argument], anywhere, scratch);
                        }
                    }
                }
                Value::Integer(number) => {
                    let integers = own.map_or(&[][..], |it| &it.integers);
                    for (_, begin, end) in integers.iter().filter(|it| it.0 == *number) {
                        self.mark(*begin, *end, scratch);
                    }
                }
                Value::Bool(truth) => {
                    let Some(own) = own else { continue };
                    let [no, yes] = own.truths;
                    let (begin, end) = if *truth { yes } else { no };
                    self.mark(begin, end, scratch);
                }
            }
        }
    }

    /// Looks at one text, which stands in one or two columns.
    fn look_at(
        &self,
        finder: &impl Finder,
        text: &str,
        columns: [Option<(Code, &ColumnPlan)>; 2],
        anywhere: bool,
        scratch: &mut Scratch,
    ) {
        let mut scanned = anywhere;
        let mut asked = [NOWHERE; 2];
        for (slot, (code, column)) in asked.iter_mut().zip(columns.into_iter().flatten()) {
            if column.lengths >> (text.len() % 64) & 1 == 1 || !text.is_ascii() {
                let range = column.find(text, scratch);
                if let Some((begin, end)) = range {
                    self.mark(begin, end, scratch);
                }
            }
            if column.has_texts {
                *slot = code;
                scanned = true;
            }
        }
        if !scanned {
            return;
        }
        let kept;
        let bytes = if text.is_ascii() {
            text.as_bytes()
        } else {
            let mut folded = Vec::with_capacity(text.len());
            fold_into(text, &mut folded);
            kept = folded;
            &kept
        };
        finder.find(bytes, |pattern, length, end| {
            let pattern = pattern.as_usize();
            let begin = self.starts.get(pattern).copied().unwrap_or_default() as usize;
            let stop = self.starts.get(pattern + 1).copied().unwrap_or_default() as usize;
            for mark in self.marks.get(begin..stop).unwrap_or_default() {
                let here = mark.column == asked[0]
                    || mark.column == asked[1]
                    || (anywhere && mark.column == ANYWHERE);
                let stands = match mark.spot {
                    Spot::Within => true,
                    Spot::Begin => end == length,
                    Spot::End => end == bytes.len(),
                };
                if here && stands {
                    self.note(*mark, scratch);
                }
            }
        });
    }

    fn mark(&self, begin: u32, end: u32, scratch: &mut Scratch) {
        for mark in self.marks.get(begin as usize..end as usize).unwrap_or_default() {
            self.note(*mark, scratch);
        }
    }

    fn note(&self, mark: Mark, scratch: &mut Scratch) {
        let generation = scratch.generation;
        let Some(answer) = scratch.answers.get_mut(mark.test as usize) else { return };
        let is_new = answer.generation != generation;
        if is_new || mark.certain {
            let says = if mark.certain { Says::Yes } else { Says::Perhaps };
            *answer = Answer { generation, says };
        }
        if is_new {
            let begin = mark.rules as usize;
            let rules = self.named.get(begin..begin + usize::from(mark.count));
            for rule in rules.unwrap_or_default() {
                let Some(seen) = scratch.seen.get_mut(*rule as usize) else { continue };
                if *seen != generation {
                    *seen = generation;
                    scratch.candidates.push(*rule);
                }
            }
        }
    }

    fn holds(&self, rule: usize, scratch: &mut Scratch, tests: &Tests, event: &Event) -> bool {
        let mut at = self.entries.get(rule).copied().unwrap_or(FAILS);
        while let Some(step) = self.steps.get(at as usize) {
            at = if self.says(step.test, scratch, tests, event) { step.yes } else { step.no };
        }
        at == HOLDS
    }

    /// What the test says, asked at most once an event.
    fn says(&self, test: u32, scratch: &mut Scratch, tests: &Tests, event: &Event) -> bool {
        let id = test as usize;
        let Some(answer) = scratch.answers.get(id) else { return false };
        if answer.generation == scratch.generation {
            match answer.says {
                Says::Yes => return true,
                Says::No => return false,
                Says::Perhaps => {}
            }
        } else if self.watched.has(id) {
            return false;
        }
        let says = scratch.ask(id, tests, event);
        let generation = scratch.generation;
        if let Some(it) = scratch.answers.get_mut(id) {
            *it = Answer { generation, says: if says { Says::Yes } else { Says::No } };
        }
        says
    }
}

impl ColumnPlan {
    /// The marks of a text that stands here whole.
    fn find(&self, text: &str, scratch: &mut Scratch) -> Option<(u32, u32)> {
        if is_folded(text) {
            return self.whole.get(text.as_bytes()).copied();
        }
        let start = scratch.folded.len();
        fold_into(text, &mut scratch.folded);
        let found = self.whole.get(scratch.folded.get(start..)?).copied();
        scratch.folded.truncate(start);
        found
    }
}

fn is_folded(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii() && !it.is_ascii_uppercase())
}

impl Scratch {
    fn begin(&mut self) {
        self.candidates.clear();
        self.folded.clear();
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.seen.fill(0);
            self.answers.fill(Answer::default());
            self.views.fill(Folded::default());
            self.generation = 1;
        }
    }

    fn ask(&mut self, id: TestId, tests: &Tests, event: &Event) -> bool {
        let Some(test) = tests.get(id) else { return false };
        match (&test.judge, test.column) {
            (Judge::Text(pattern), Column::Field(field)) if !pattern.cased => {
                match event.get(field) {
                    Some(Value::Text(text)) => pattern.shape.matches(self.text(field, text)),
                    None => false,
                    Some(_) => test.holds(event),
                }
            }
            _ => test.holds(event),
        }
    }

    /// The text of a field, folded at most once an event.
    fn text<'t>(&'t mut self, field: Field, text: &'t str) -> &'t [u8] {
        let Some(view) = self.views.get_mut(field as usize) else { return &[] };
        if view.generation != self.generation {
            let range = (!is_folded(text)).then(|| {
                let start = self.folded.len() as u32;
                fold_into(text, &mut self.folded);
                (start, self.folded.len() as u32)
            });
            *view = Folded { generation: self.generation, range };
        }
        match view.range {
            None => text.as_bytes(),
            Some((begin, end)) => self.folded.get(begin as usize..end as usize).unwrap_or_default(),
        }
    }
}

/// Finds the texts of an automaton.
trait Finder {
    /// Calls `met` with each text that ends somewhere in `bytes`, its length and that end.
    fn find(&self, bytes: &[u8], met: impl FnMut(PatternID, usize, usize));
}

struct Nothing;

impl Finder for Nothing {
    fn find(&self, _: &[u8], _: impl FnMut(PatternID, usize, usize)) {}
}

struct Walk<'a, A>(&'a A);

impl<A: Automaton> Finder for Walk<'_, A> {
    fn find(&self, bytes: &[u8], mut met: impl FnMut(PatternID, usize, usize)) {
        let Ok(mut state) = self.0.start_state(Anchored::No) else { return };
        for (at, byte) in bytes.iter().enumerate() {
            state = self.0.next_state(Anchored::No, state, *byte);
            if self.0.is_special(state) && self.0.is_match(state) {
                for place in 0..self.0.match_len(state) {
                    let pattern = self.0.match_pattern(state, place);
                    met(pattern, self.0.pattern_len(pattern), at + 1);
                }
            }
        }
    }
}

/// A quick hash for tables that no event adds to: eight bytes at a time.
#[derive(Default)]
struct Chunks(u64);

impl Hasher for Chunks {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let words = chunks.iter().chain(std::iter::once(&last));
        for word in words.map(|it| u64::from_le_bytes(*it)) {
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        self.0 ^= self.0 >> 29;
    }

    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }
}
