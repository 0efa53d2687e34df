//! Correlation rules: how often, how many, in which order other rules hold.
//!
//! The windows slide with the time of the events. Nothing reads a clock, so a rule that waits
//! for something *not* to happen is only judged when something does.

use std::collections::{BTreeMap, HashMap, VecDeque};

use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::column::Column;
use super::yaml::{Node, Value};
use crate::event::Event;

/// Most groups one correlation keeps; beyond, the one that was touched longest ago goes.
pub const GROUPS_MAX: usize = 4_096;
/// Most moments or values one group keeps; beyond, the oldest go.
pub const WINDOW_ENTRIES_MAX: usize = 1_024;
/// Most bytes all correlations keep together; each has its share.
pub const MEMORY_BYTES_MAX: usize = 8 << 20;
/// Least share of one correlation.
const SHARE_BYTES_MIN: usize = 64 << 10;
/// What a group and a moment take beside their texts.
const ENTRY_BYTES: usize = 48;
/// Most bytes of what names a group.
const GROUP_BYTES_MAX: usize = 1_024;
/// Longest span.
const SPAN_DAYS_MAX: i64 = 30;
/// Most rules one correlation joins.
const RULES_MAX: usize = 64;

model::words! {
    /// What a correlation counts.
    Type {
        EventCount = "event_count",
        ValueCount = "value_count",
        Temporal = "temporal",
        TemporalOrdered = "temporal_ordered",
    }
}

/// A correlation as it is written; rules are named, not yet found.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    pub kind: Type,
    pub rules: Vec<String>,
    pub span_us: i64,
    /// For each part of the group the column in events of each rule, in the order of `rules`.
    group: Vec<Vec<Column>>,
    /// What the parts of the group are called.
    pub group_names: Vec<String>,
    /// The columns whose values are counted.
    counted: Vec<Column>,
    bounds: Vec<(Bound, i64)>,
    /// The rules it joins also alarm by themselves.
    pub generate: bool,
    /// Line of the list of rules.
    pub line: u64,
}

model::words! {
    /// How a count is compared.
    Bound {
        Gt = "gt",
        Gte = "gte",
        Lt = "lt",
        Lte = "lte",
        Eq = "eq",
        Neq = "neq",
    }
}

impl Bound {
    fn holds(self, count: i64, limit: i64) -> bool {
        match self {
            Self::Gt => count > limit,
            Self::Gte => count >= limit,
            Self::Lt => count < limit,
            Self::Lte => count <= limit,
            Self::Eq => count == limit,
            Self::Neq => count != limit,
        }
    }
}

impl Correlation {
    pub(crate) fn read(node: &Node) -> Result<Self, Fault> {
        const KEYS: [&str; 7] =
            ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];
        for (key, value) in node.map("correlation")? {
            if !KEYS.contains(&key.as_str()) {
                return Err(value.fault(format!("`{key}` is no part of a correlation")));
            }
        }
        let need = |key: &str| {
            node.get(key).ok_or_else(|| node.fault(format!("the correlation has no {key}")))
        };
        let word = need("type")?;
        let kind = word.text("type")?;
        let kind: Type = kind.parse().map_err(|_| {
            word.fault(format!("cannot work here: correlations of type {kind} are not supported"))
        })?;
        let listed = need("rules")?;
        let rules: Vec<_> =
            listed.texts("a rule's name")?.iter().map(|it| (*it).to_owned()).collect();
        if rules.len() > RULES_MAX {
            return Err(listed.fault(format!("a correlation joins at most {RULES_MAX} rules")));
        }
        let span = need("timespan")?;
        let span_us = timespan(span.text("timespan")?).map_err(|it| span.fault(it))?;
        let (group_names, group) = group(node, &rules)?;
        let (bounds, counted) = condition(node, kind)?;
        let generate = matches!(node.get("generate").map(|it| &it.value), Some(Value::Bool(true)));
        let line = listed.line;
        Ok(Self { kind, rules, span_us, group, group_names, counted, bounds, generate, line })
    }

    /// The columns whose values part the groups, in events of the first rule.
    pub(crate) fn group_columns(&self) -> impl Iterator<Item = Column> {
        self.group.iter().filter_map(|it| it.first().copied())
    }

    /// What names the group of an event that the rule at `place` held for; `None`: the event
    /// lacks a part of it.
    pub(crate) fn group_of(&self, place: usize, event: &Event) -> Option<String> {
        let mut name = String::new();
        for columns in &self.group {
            push_value(&mut name, *columns.get(place)?, event)?;
        }
        Some(name)
    }

    fn counted_of(&self, event: &Event) -> Option<String> {
        let mut value = String::new();
        for column in &self.counted {
            push_value(&mut value, *column, event)?;
        }
        Some(value)
    }

    fn fires_at(&self, count: usize) -> bool {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.bounds.iter().all(|(bound, limit)| bound.holds(count, *limit))
    }
}

/// Every part with a mark behind it, so that no two groups have one name.
fn push_value(out: &mut String, column: Column, event: &Event) -> Option<()> {
    let view = column.view(event);
    if view.is_absent() {
        return None;
    }
    view.any(|it| {
        out.push_str(it);
        out.push('\u{1f}');
        false
    });
    out.push('\u{1e}');
    if out.len() > GROUP_BYTES_MAX {
        let mut end = GROUP_BYTES_MAX;
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
    }
    Some(())
}

/// `90m` and the like, in microseconds.
fn timespan(text: &str) -> Result<i64, String> {
    let unit = text.chars().next_back().unwrap_or_default();
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(format!("`{text}` is no time span: a number and s, m, h or d")),
    };
    let number: i64 = text
        .trim_end_matches(unit)
        .parse()
        .map_err(|_| format!("`{text}` is no time span: a number and s, m, h or d"))?;
    let seconds = number.saturating_mul(seconds);
    if !(1..=SPAN_DAYS_MAX * 86_400).contains(&seconds) {
        return Err(format!("a time span is 1 s to {SPAN_DAYS_MAX} d"));
    }
    Ok(seconds * 1_000_000)
}

type Group = (Vec<String>, Vec<Vec<Column>>);

fn group(node: &Node, rules: &[String]) -> Result<Group, Fault> {
    let aliases = match node.get("aliases") {
        None => BTreeMap::new(),
        Some(it) => {
            let mut found = BTreeMap::new();
            for (alias, fields) in it.map("aliases")? {
                found.insert(alias.as_str(), (fields, fields.map("an alias")?));
            }
            found
        }
    };
    let column = |name: &str, at: &Node| {
        Column::named(name, false).ok_or_else(|| {
            at.fault(format!("cannot work here: field {name} is not in the taxonomy"))
        })
    };
    let (mut names, mut columns) = (Vec::new(), Vec::new());
    let Some(listed) = node.get("group-by") else { return Ok((names, columns)) };
    for item in listed.items() {
        let name = item.text("a field of group-by")?;
        names.push(name.to_owned());
        let Some((at, fields)) = aliases.get(name) else {
            columns.push(vec![column(name, item)?; rules.len()]);
            continue;
        };
        let mut places = Vec::with_capacity(rules.len());
        for rule in rules {
            let field = fields.iter().find(|(it, _)| it == rule).map(|(_, it)| it);
            let field = field.ok_or_else(|| {
                at.fault(format!("the alias {name} has no field for the rule {rule}"))
            })?;
            places.push(column(field.text("a field")?, field)?);
        }
        columns.push(places);
    }
    Ok((names, columns))
}

type Condition = (Vec<(Bound, i64)>, Vec<Column>);

fn condition(node: &Node, kind: Type) -> Result<Condition, Fault> {
    let (mut bounds, mut counted) = (Vec::new(), Vec::new());
    let asked = node.get("condition");
    match (asked, kind) {
        (None, Type::EventCount | Type::ValueCount) => {
            return Err(node.fault("the correlation has no condition"));
        }
        (None, _) => return Ok((bounds, counted)),
        (Some(it), Type::TemporalOrdered) => {
            return Err(it.fault("temporal_ordered takes no condition: every rule must hold"));
        }
        (Some(_), _) => {}
    }
    let Some(asked) = asked else { return Ok((bounds, counted)) };
    for (key, value) in asked.map("condition")? {
        if key == "field" {
            for name in value.texts("a field")? {
                counted.push(Column::named(name, false).ok_or_else(|| {
                    value.fault(format!("cannot work here: field {name} is not in the taxonomy"))
                })?);
            }
            continue;
        }
        let bound: Bound =
            key.parse().map_err(|_| value.fault(format!("`{key}` is no part of a condition")))?;
        let Value::Integer(limit) = value.value else {
            return Err(value.fault(format!("{key} is not a whole number")));
        };
        if usize::try_from(limit).is_ok_and(|it| it > WINDOW_ENTRIES_MAX) {
            return Err(value.fault(format!("a count beyond {WINDOW_ENTRIES_MAX} is not kept")));
        }
        bounds.push((bound, limit));
    }
    if bounds.is_empty() {
        return Err(asked.fault("the condition compares with nothing"));
    }
    if (kind == Type::ValueCount) == counted.is_empty() {
        return Err(asked.fault("value_count needs the field to count, and no other type takes it"));
    }
    Ok((bounds, counted))
}

/// What one correlation remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    groups: HashMap<String, Window>,
    /// About how many bytes that takes; counted anew when it is restored.
    #[serde(skip)]
    bytes: usize,
}

/// The share of one of so many correlations.
pub(crate) fn share_bytes(correlations: usize) -> usize {
    (MEMORY_BYTES_MAX / correlations.max(1)).max(SHARE_BYTES_MIN)
}

/// What one group remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    /// Moments with what was counted, oldest first; for `temporal` the place of the rule.
    entries: VecDeque<(Timestamp, String)>,
    /// Of `temporal_ordered`: for each rule when the chain that reached it last began.
    chain: Vec<Option<Timestamp>>,
    touched: Timestamp,
    /// The condition held after the last event; when it was last told of.
    told: Option<Timestamp>,
}

/// A correlation that holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Met {
    pub count: usize,
}

impl Memory {
    /// The rule at `place` held for `event`. Keeps within `share` bytes and counts what had to be
    /// forgotten for that in `lost`.
    pub(crate) fn note(
        &mut self,
        correlation: &Correlation,
        place: usize,
        event: &Event,
        share: usize,
        lost: &mut u64,
    ) -> Option<Met> {
        let group = correlation.group_of(place, event)?;
        let is_new = !self.groups.contains_key(&group);
        if (is_new && self.groups.len() >= GROUPS_MAX) || self.bytes >= share {
            self.make_room(event.at, correlation.span_us, share, lost);
        }
        if !self.groups.contains_key(&group) {
            self.bytes += group.len() + ENTRY_BYTES;
        }
        let window = self.groups.entry(group).or_default();
        let before = window.bytes();
        window.touched = window.touched.max(event.at);
        let met = match correlation.kind {
            Type::EventCount => {
                window.add(event.at, String::new(), correlation.span_us, lost);
                window.judge(event.at, window.entries.len(), correlation)
            }
            Type::ValueCount => correlation.counted_of(event).and_then(|value| {
                window.entries.retain(|(_, it)| *it != value);
                window.add(event.at, value, correlation.span_us, lost);
                window.judge(event.at, window.entries.len(), correlation)
            }),
            Type::Temporal => window.meet(event.at, place, correlation, lost),
            Type::TemporalOrdered => window.advance(event.at, place, correlation),
        };
        self.bytes = (self.bytes + window.bytes()).saturating_sub(before);
        met
    }

    /// Forgets what has expired; if that is not enough, the groups that were touched longest ago.
    fn make_room(&mut self, now: Timestamp, span_us: i64, share: usize, lost: &mut u64) {
        self.groups.retain(|_, it| now.0.saturating_sub(it.touched.0) <= span_us);
        self.count();
        // A tenth at once, so that a flood does not search for the oldest each time.
        while self.groups.len() >= GROUPS_MAX || self.bytes >= share {
            let mut moments: Vec<_> = self.groups.values().map(|it| it.touched).collect();
            moments.sort_unstable();
            let limit = moments.get(moments.len() / 10).copied().unwrap_or_default();
            let before = self.groups.len();
            self.groups.retain(|_, it| it.touched > limit);
            *lost += (before - self.groups.len()) as u64;
            self.count();
        }
    }

    fn count(&mut self) {
        let groups = self.groups.iter();
        self.bytes = groups.map(|(name, it)| name.len() + ENTRY_BYTES + it.bytes()).sum();
    }

    /// What was saved, if it is within the limits of this build.
    pub(crate) fn restored(mut self, share: usize) -> Result<Self, usize> {
        self.count();
        if self.is_bounded() && self.bytes <= share { Ok(self) } else { Err(self.groups.len()) }
    }

    /// When something was last noted.
    pub(crate) fn last_at(&self) -> Option<Timestamp> {
        self.groups.values().map(|it| it.touched).max()
    }

    /// The clock was set: every moment is now another one.
    pub(crate) fn move_clock(&mut self, by_us: i64) {
        self.groups.values_mut().for_each(|it| it.move_clock(by_us));
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    fn is_bounded(&self) -> bool {
        self.groups.len() <= GROUPS_MAX
            && self
                .groups
                .values()
                .all(|it| it.entries.len() <= WINDOW_ENTRIES_MAX && it.chain.len() <= RULES_MAX)
    }
}

impl Window {
    /// About how many bytes its moments take.
    fn bytes(&self) -> usize {
        let texts: usize = self.entries.iter().map(|(_, it)| it.len()).sum();
        (self.entries.len() + self.chain.len()) * ENTRY_BYTES + texts
    }

    /// Puts the moment where it belongs, for events that come late, and forgets the expired.
    fn add(&mut self, at: Timestamp, what: String, span_us: i64, lost: &mut u64) {
        let place = self.entries.partition_point(|(it, _)| *it <= at);
        self.entries.insert(place, (at, what));
        let now = self.touched;
        while self.entries.front().is_some_and(|(it, _)| now.0.saturating_sub(it.0) > span_us) {
            self.entries.pop_front();
        }
        if self.entries.len() > WINDOW_ENTRIES_MAX {
            self.entries.pop_front();
            *lost += 1;
        }
    }

    fn move_clock(&mut self, by_us: i64) {
        let entries = self.entries.iter_mut().map(|(at, _)| at);
        let chain = self.chain.iter_mut().flatten();
        let others = self.told.iter_mut().chain([&mut self.touched]);
        entries.chain(chain).chain(others).for_each(|at| *at = at.moved(by_us));
    }

    /// Tells when the condition begins to hold, and again once each span while it goes on.
    fn judge(&mut self, at: Timestamp, count: usize, correlation: &Correlation) -> Option<Met> {
        if !correlation.fires_at(count) {
            self.told = None;
            return None;
        }
        if self.told.is_some_and(|it| at.0.saturating_sub(it.0) < correlation.span_us) {
            return None;
        }
        self.told = Some(at);
        Some(Met { count })
    }

    /// Any order: which of the rules held within the span.
    fn meet(
        &mut self,
        at: Timestamp,
        place: usize,
        correlation: &Correlation,
        lost: &mut u64,
    ) -> Option<Met> {
        let place = place.to_string();
        self.entries.retain(|(_, it)| *it != place);
        self.add(at, place, correlation.span_us, lost);
        let count = self.entries.len();
        if correlation.bounds.is_empty() {
            let all = count == correlation.rules.len();
            if all {
                self.entries.clear();
            }
            return all.then_some(Met { count });
        }
        self.judge(at, count, correlation)
    }

    /// In order: an event carries on the chain that reached the rule before its own. Of two
    /// chains the one that began later is kept, as it can wait longer.
    fn advance(&mut self, at: Timestamp, place: usize, correlation: &Correlation) -> Option<Met> {
        self.chain.resize(correlation.rules.len(), None);
        let began = match place.checked_sub(1) {
            None => Some(at),
            Some(before) => self.chain.get(before).copied().flatten(),
        };
        let began =
            began.filter(|it| *it <= at && at.0.saturating_sub(it.0) <= correlation.span_us)?;
        if place + 1 == correlation.rules.len() {
            self.chain.clear();
            return Some(Met { count: correlation.rules.len() });
        }
        if let Some(slot) = self.chain.get_mut(place) {
            *slot = (*slot).max(Some(began));
        }
        None
    }
}
