//! What a rule asks: tests joined by and, or, not.

use std::collections::HashMap;
use std::net::IpAddr;

use model::time::Timestamp;

use super::column::{Column, View};
use super::pattern::{Pattern, fold};
use super::regular::Expression;
use crate::event::{Event, Field, Value};

/// Place of a test among all tests of an engine.
pub(crate) type TestId = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    Test(TestId),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
}

impl Expr {
    /// Whether it holds, given what each test says.
    pub(crate) fn holds(&self, ask: &mut impl FnMut(TestId) -> bool) -> bool {
        match self {
            Self::Test(id) => ask(*id),
            Self::All(parts) => parts.iter().all(|it| it.holds(ask)),
            Self::Any(parts) => parts.iter().any(|it| it.holds(ask)),
            Self::Not(inner) => !inner.holds(ask),
        }
    }

    /// What is left of it where `known` already says how some tests end; `Err`: how it ends.
    pub(crate) fn simplified(&self, known: &impl Fn(TestId) -> Option<bool>) -> Result<Self, bool> {
        let joined = |parts: &[Self], decides: bool, join: fn(Vec<Self>) -> Self| {
            let mut open = Vec::new();
            for part in parts {
                match part.simplified(known) {
                    Err(it) if it == decides => return Err(decides),
                    Err(_) => {}
                    Ok(it) => open.push(it),
                }
            }
            if open.is_empty() { Err(!decides) } else { Ok(join(open)) }
        };
        match self {
            Self::Test(id) => known(*id).map_or_else(|| Ok(self.clone()), Err),
            Self::All(parts) => joined(parts, false, Self::All),
            Self::Any(parts) => joined(parts, true, Self::Any),
            Self::Not(inner) => match inner.simplified(known) {
                Ok(it) => Ok(Self::Not(Box::new(it))),
                Err(it) => Err(!it),
            },
        }
    }

    /// How many tests it has, counting one each time it stands there.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Test(_) => 1,
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::size).sum(),
            Self::Not(inner) => inner.size(),
        }
    }

    /// Every test in it.
    pub(crate) fn tests(&self, out: &mut Vec<TestId>) {
        match self {
            Self::Test(id) => out.push(*id),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|it| it.tests(out)),
            Self::Not(inner) => inner.tests(out),
        }
    }

    /// The tests that make it hold, for the alarm to quote. What must not be so is not quoted.
    pub(crate) fn proof(&self, ask: &mut impl FnMut(TestId) -> bool, out: &mut Vec<TestId>) {
        match self {
            Self::Test(id) => {
                if ask(*id) && !out.contains(id) {
                    out.push(*id);
                }
            }
            Self::All(parts) => parts.iter().for_each(|it| it.proof(ask, out)),
            Self::Any(parts) => {
                for part in parts {
                    if part.holds(ask) {
                        part.proof(ask, out);
                    }
                }
            }
            Self::Not(_) => {}
        }
    }
}

/// One question about one column.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub column: Column,
    pub judge: Judge,
    /// As the rule writes it: `Image|endswith: /nc`.
    pub written: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Judge {
    Text(Pattern),
    Integer(i64),
    Bool(bool),
    /// `null`: the event does not have it.
    Absent,
    Exists,
    Regex(Expression),
    Network(Network),
    Compare(Order, f64),
    /// Another column of the same event, joined as the shape says.
    Reference(Column, Spot, bool),
    Moment(TimePart, Order, i64),
}

impl Judge {
    /// About how many bytes it takes beside itself.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(it) => it.literal().map_or(0, |it| it.len()),
            Self::Regex(it) => it.bytes(),
            _ => 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        order.is_some_and(|it| match self {
            Self::Equal => it.is_eq(),
            Self::Less => it.is_lt(),
            Self::LessOrEqual => it.is_le(),
            Self::Greater => it.is_gt(),
            Self::GreaterOrEqual => it.is_ge(),
        })
    }
}

/// Where in the field the other field's text must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    Whole,
    Begin,
    End,
    Within,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimePart {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl TimePart {
    /// Of the moment in UTC; weeks are those of ISO 8601.
    pub(crate) fn of(self, at: Timestamp) -> i64 {
        let minutes = at.as_secs().div_euclid(60);
        let days = minutes.div_euclid(24 * 60);
        let (year, month, day) = date(days);
        match self {
            Self::Minute => minutes.rem_euclid(60),
            Self::Hour => minutes.div_euclid(60).rem_euclid(24),
            Self::Day => day,
            Self::Month => month,
            Self::Year => year,
            Self::Week => {
                // The week belongs to the year of its Thursday; 1970-01-01 was one.
                let thursday =
                    days - days.rem_euclid(7) + if days.rem_euclid(7) >= 4 { 7 } else { 0 };
                let (year, ..) = date(thursday);
                (thursday - day_of(year, 1, 1)).div_euclid(7) + 1
            }
        }
    }
}

/// Year, month and day of a day number from 1970-01-01 (Hinnant's days-to-civil).
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// An address block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    bits: u128,
    mask: u128,
    is_v4: bool,
}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or one address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| format!("`{address}` is not an IP address"))?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => width,
            Some(it) => it
                .parse::<u32>()
                .ok()
                .filter(|it| *it <= width)
                .ok_or_else(|| format!("`/{it}` is not a prefix length of 0 to {width}"))?,
        };
        let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
        let mask = if width == 32 { u128::MAX.checked_shl(32 - length).unwrap_or(0) } else { mask };
        let bits = bits(address) & mask;
        Ok(Self { bits, mask, is_v4: address.is_ipv4() })
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else { return false };
        let address = address.to_canonical();
        address.is_ipv4() == self.is_v4 && bits(address) & self.mask == self.bits
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(it) => u128::from(it.to_bits()),
        IpAddr::V6(it) => it.to_bits(),
    }
}

/// Where keywords are looked for: in what the process that acts is, does and does it to. Its
/// ancestors are left out, or a keyword in one command would be found in all that it starts.
const SEARCHED: &[Field] = &[
    Field::Image,
    Field::CommandLine,
    Field::CurrentDirectory,
    Field::ProcessName,
    Field::User,
    Field::ScriptPath,
    Field::LoaderVariables,
    Field::DestinationIp,
    Field::QueryName,
    Field::TargetFilename,
    Field::SourceFilename,
    Field::ContentDiff,
    Field::TargetImage,
    Field::ObjectName,
    Field::MountSource,
    Field::MountTarget,
    Field::NewName,
    Field::StateSubject,
    Field::StateDetail,
];

/// The texts of the event in which keywords are looked for.
pub(crate) fn searched(event: &Event) -> impl Iterator<Item = (Field, &Value)> {
    SEARCHED.iter().filter_map(|field| Some((*field, event.get(*field)?)))
}

/// [`SEARCHED`] as bits, by the numbers of the fields.
const SEARCHED_BITS: (u128, u128) = {
    let (mut low, mut high) = (0_u128, 0_u128);
    let mut rest = SEARCHED;
    while let [field, others @ ..] = rest {
        let number = *field as u32;
        if number < 128 {
            low |= 1 << number;
        } else {
            high |= 1 << (number - 128);
        }
        rest = others;
    }
    (low, high)
};

pub(crate) fn is_searched(field: Field) -> bool {
    let (low, high) = SEARCHED_BITS;
    let number = field as u32;
    let bits = if number < 128 { low >> number } else { high >> (number - 128) };
    bits & 1 == 1
}

impl Test {
    /// Asks the event, without any help of an index.
    pub(crate) fn holds(&self, event: &Event) -> bool {
        if self.column == Column::Anywhere {
            return searched(event).any(|(_, value)| self.judge_view(View::of(value), event));
        }
        self.judge_view(self.column.view(event), event)
    }

    fn judge_view(&self, view: View<'_>, event: &Event) -> bool {
        match &self.judge {
            Judge::Text(pattern) => view.any(|it| pattern.matches(it)),
            Judge::Integer(wanted) => match view {
                View::Integer(it) => it == *wanted,
                _ => view.any(|it| it.parse() == Ok(*wanted)),
            },
            Judge::Bool(wanted) => matches!(view, View::Bool(it) if it == *wanted),
            Judge::Absent => view.is_absent(),
            Judge::Exists => !view.is_absent(),
            Judge::Regex(regex) => view.any(|it| regex.is_match(it)),
            Judge::Network(network) => view.any(|it| network.contains(it)),
            Judge::Compare(order, wanted) => compare(view, *order, *wanted),
            Judge::Reference(other, spot, cased) => {
                let other = other.view(event);
                view.any(|own| other.any(|it| refers(own, it, *spot, *cased)))
            }
            Judge::Moment(part, order, wanted) => match view {
                View::Time(at) => order.holds(Some(part.of(at).cmp(wanted))),
                _ => false,
            },
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the next number compares the same")]
fn compare(view: View<'_>, order: Order, wanted: f64) -> bool {
    match view {
        View::Integer(it) => order.holds((it as f64).partial_cmp(&wanted)),
        _ => view.any(|it| it.parse::<f64>().is_ok_and(|it| order.holds(it.partial_cmp(&wanted)))),
    }
}

fn refers(own: &str, other: &str, spot: Spot, cased: bool) -> bool {
    let judge = |own: &[u8], other: &[u8]| match spot {
        Spot::Whole => own == other,
        Spot::Begin => own.starts_with(other),
        Spot::End => own.ends_with(other),
        Spot::Within => memchr::memmem::find(own, other).is_some(),
    };
    if cased { judge(own.as_bytes(), other.as_bytes()) } else { judge(&fold(own), &fold(other)) }
}

/// All tests of an engine; the same question of two rules is one test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tests {
    all: Vec<Test>,
    by_question: HashMap<String, TestId>,
}

impl Tests {
    pub(crate) fn add(&mut self, test: Test) -> TestId {
        let question = format!("{:?} {:?}", test.column, test.judge);
        if let Some(id) = self.by_question.get(&question) {
            return *id;
        }
        let id = self.all.len();
        self.all.push(test);
        self.by_question.insert(question, id);
        id
    }

    pub(crate) fn get(&self, id: TestId) -> Option<&Test> {
        self.all.get(id)
    }

    /// No more are added: forgets what only adding needs.
    pub(crate) fn close(&mut self) {
        self.by_question = HashMap::new();
        self.all.shrink_to_fit();
    }

    /// About how many bytes the tests take.
    pub(crate) fn bytes(&self) -> usize {
        let own = |it: &Test| it.written.capacity() + it.judge.bytes();
        self.all.capacity() * size_of::<Test>() + self.all.iter().map(own).sum::<usize>()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn holds(&self, id: TestId, event: &Event) -> bool {
        self.get(id).is_some_and(|it| it.holds(event))
    }
}
