//! `Field|modifier|modifier: value`: one line of a selection.

use std::collections::BTreeMap;

use super::Fault;
use super::column::Column;
use super::encode::{self, Wide};
use super::expression::{Expr, Judge, Network, Order, Spot, Test, Tests, TimePart};
use super::pattern::{self, Part, Pattern};
use super::regular::{Expression, Flags};
use super::yaml::{Node, Value};
use crate::event::Form;

/// Most ways to write one value, by `expand`, `windash` and `base64offset` together.
const WAYS_MAX: usize = 4_096;

/// What `%name%` stands for in values with `expand`.
pub type Placeholders = BTreeMap<String, Vec<String>>;

/// What the reading of every item needs.
pub(crate) struct Context<'c> {
    /// The rule is written for auditd.
    pub audit: bool,
    pub placeholders: &'c Placeholders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Windash,
    Wide(Wide),
    Base64,
    Base64Offset,
    /// `contains`, `startswith`, `endswith`.
    Open(Spot),
}

/// What the value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Plain,
    Regex,
    Cidr,
    Exists,
    Reference,
    Compare(Order),
}

#[derive(Debug, Default)]
struct Modifiers {
    encodings: Vec<Encoding>,
    kind: Kind,
    moment: Option<TimePart>,
    regex_flags: [bool; 3],
    all: bool,
    negated: bool,
    cased: bool,
    expand: bool,
}

impl Modifiers {
    fn parse<'t>(words: impl Iterator<Item = &'t str>) -> Result<Self, String> {
        let mut it = Self::default();
        for word in words {
            it.add(word)?;
        }
        it.check()?;
        Ok(it)
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        let encoding = match word {
            "contains" => Encoding::Open(Spot::Within),
            "startswith" => Encoding::Open(Spot::Begin),
            "endswith" => Encoding::Open(Spot::End),
            "windash" => Encoding::Windash,
            "base64" => Encoding::Base64,
            "base64offset" => Encoding::Base64Offset,
            "utf16le" | "wide" => Encoding::Wide(Wide::Little),
            "utf16be" => Encoding::Wide(Wide::Big),
            "utf16" => Encoding::Wide(Wide::Marked),
            _ => return self.add_other(word),
        };
        self.encodings.push(encoding);
        Ok(())
    }

    fn add_other(&mut self, word: &str) -> Result<(), String> {
        let moment = |it| Some(it);
        match word {
            "all" => self.all = true,
            "neq" => self.negated = true,
            "cased" => self.cased = true,
            "expand" => self.expand = true,
            "i" => self.regex_flags[0] = true,
            "m" => self.regex_flags[1] = true,
            "s" => self.regex_flags[2] = true,
            "minute" => self.moment = moment(TimePart::Minute),
            "hour" => self.moment = moment(TimePart::Hour),
            "day" => self.moment = moment(TimePart::Day),
            "week" => self.moment = moment(TimePart::Week),
            "month" => self.moment = moment(TimePart::Month),
            "year" => self.moment = moment(TimePart::Year),
            _ => {
                let kind = match word {
                    "re" => Kind::Regex,
                    "cidr" => Kind::Cidr,
                    "exists" => Kind::Exists,
                    "fieldref" => Kind::Reference,
                    "gt" => Kind::Compare(Order::Greater),
                    "gte" => Kind::Compare(Order::GreaterOrEqual),
                    "lt" => Kind::Compare(Order::Less),
                    "lte" => Kind::Compare(Order::LessOrEqual),
                    _ => return Err(format!("`{word}` is no modifier")),
                };
                if self.kind != Kind::Plain {
                    return Err(format!("`{word}` cannot be joined with the modifier before it"));
                }
                self.kind = kind;
            }
        }
        Ok(())
    }

    /// What cannot be joined.
    fn check(&self) -> Result<(), String> {
        let opens = self.encodings.iter().filter(|it| matches!(it, Encoding::Open(_))).count();
        let encodes = opens < self.encodings.len();
        if opens > 1 {
            return Err("contains, startswith and endswith exclude one another".to_owned());
        }
        let bad = match self.kind {
            Kind::Plain => self.moment.is_some() && !self.encodings.is_empty(),
            Kind::Reference => encodes || self.expand || self.moment.is_some(),
            Kind::Regex => encodes || opens > 0 || self.moment.is_some() || self.cased,
            Kind::Cidr | Kind::Exists => {
                encodes || opens > 0 || self.moment.is_some() || self.cased
            }
            Kind::Compare(_) => encodes || opens > 0 || self.cased || self.expand,
        };
        if bad {
            return Err("these modifiers cannot be joined".to_owned());
        }
        if self.kind != Kind::Regex && self.regex_flags.contains(&true) {
            return Err("i, m and s belong to `re`".to_owned());
        }
        if self.kind == Kind::Exists && (self.all || self.negated || self.expand) {
            return Err("exists takes no other modifier".to_owned());
        }
        Ok(())
    }
}

/// The expression of one entry of a map.
pub(crate) fn item(
    key: &str,
    node: &Node,
    context: &Context<'_>,
    tests: &mut Tests,
) -> Result<Expr, Fault> {
    let mut words = key.split('|');
    let name = words.next().unwrap_or_default().trim();
    let modifiers = Modifiers::parse(words).map_err(|it| node.fault(format!("{key}: {it}")))?;
    let column = if name.is_empty() {
        Column::Anywhere
    } else {
        Column::named(name, context.audit).ok_or_else(|| {
            node.fault(format!("cannot work here: field {name} is not in the taxonomy"))
        })?
    };
    let item = Item { key, column, modifiers, context };
    item.read(node, tests)
        .map_err(|fault| Fault { reason: format!("{key}: {}", fault.reason), ..fault })
}

/// A keyword: it may stand anywhere in the event.
pub(crate) fn keyword(
    node: &Node,
    context: &Context<'_>,
    tests: &mut Tests,
) -> Result<Expr, Fault> {
    item("", node, context, tests)
}

struct Item<'c> {
    key: &'c str,
    column: Column,
    modifiers: Modifiers,
    context: &'c Context<'c>,
}

impl Item<'_> {
    fn read(&self, node: &Node, tests: &mut Tests) -> Result<Expr, Fault> {
        let values = node.items();
        if values.is_empty() {
            return Err(node.fault("the list is empty"));
        }
        if self.modifiers.all && values.len() < 2 {
            return Err(node.fault("`all` needs a list of two or more values"));
        }
        let mut parts = Vec::with_capacity(values.len());
        for value in values {
            if values.len() > 1 && value.value == Value::Null {
                return Err(value.fault("null cannot stand in a list: give it its own selection"));
            }
            let ways = self.judges(value)?;
            let mut ways: Vec<_> = ways.into_iter().map(|it| self.add(it, value, tests)).collect();
            parts.push(if ways.len() == 1 { ways.remove(0) } else { Expr::Any(ways) });
        }
        let joined = match parts.len() {
            1 => parts.remove(0),
            _ if self.modifiers.all => Expr::All(parts),
            _ => Expr::Any(parts),
        };
        let negated = self.modifiers.negated || self.is_absence(node);
        Ok(if negated { Expr::Not(Box::new(joined)) } else { joined })
    }

    /// `exists: false`.
    fn is_absence(&self, node: &Node) -> bool {
        self.modifiers.kind == Kind::Exists && node.value == Value::Bool(false)
    }

    fn add(&self, judge: Judge, value: &Node, tests: &mut Tests) -> Expr {
        let key = if self.key.is_empty() { "keyword" } else { self.key };
        let written = format!("{key}: {}", shown(&value.value));
        Expr::Test(tests.add(Test { column: self.column, judge, written }))
    }

    /// The ways in which a field may meet one value.
    fn judges(&self, node: &Node) -> Result<Vec<Judge>, Fault> {
        if matches!(node.value, Value::List(_) | Value::Map(_)) {
            return Err(node.fault("a value is a text, a number, true, false or null"));
        }
        if (self.column == Column::Time) != self.modifiers.moment.is_some() {
            return Err(node.fault(
                "parts of time (minute, hour, ...) go with EventTime, and nothing else goes with it",
            ));
        }
        if let Some(part) = self.modifiers.moment {
            return self.moment(part, node);
        }
        match self.modifiers.kind {
            Kind::Plain => self.plain(node),
            Kind::Regex => self.regexes(node),
            Kind::Cidr => {
                let text = node.text("an address block")?;
                let texts = self.expanded(text, node)?;
                let network = |it: &String| Network::parse(it).map_err(|it| node.fault(it));
                texts.iter().map(|it| network(it).map(Judge::Network)).collect()
            }
            Kind::Exists => match node.value {
                Value::Bool(_) => Ok(vec![Judge::Exists]),
                _ => Err(node.fault("exists is true or false")),
            },
            Kind::Reference => {
                let name = node.text("a field's name")?;
                let other = Column::named(name, self.context.audit).ok_or_else(|| {
                    node.fault(format!("cannot work here: field {name} is not in the taxonomy"))
                })?;
                let spot = self.modifiers.encodings.iter().find_map(|it| match it {
                    Encoding::Open(spot) => Some(*spot),
                    _ => None,
                });
                let spot = spot.unwrap_or(Spot::Whole);
                Ok(vec![Judge::Reference(other, spot, self.modifiers.cased)])
            }
            Kind::Compare(order) => Ok(vec![Judge::Compare(order, number(node)?)]),
        }
    }

    fn moment(&self, part: TimePart, node: &Node) -> Result<Vec<Judge>, Fault> {
        let order = match self.modifiers.kind {
            Kind::Plain => Order::Equal,
            Kind::Compare(order) => order,
            _ => return Err(node.fault("these modifiers cannot be joined")),
        };
        match node.value {
            Value::Integer(it) => Ok(vec![Judge::Moment(part, order, it)]),
            _ => Err(node.fault("a part of time is a whole number")),
        }
    }

    fn plain(&self, node: &Node) -> Result<Vec<Judge>, Fault> {
        let bare = self.modifiers.encodings.is_empty() && !self.modifiers.expand;
        match (self.column.form(), &node.value) {
            (_, Value::Null) if bare => Ok(vec![Judge::Absent]),
            (_, Value::Null) => Err(node.fault("null takes no modifier")),
            (Form::Bool, Value::Bool(it)) if bare => Ok(vec![Judge::Bool(*it)]),
            (Form::Bool, Value::Text(it)) if bare && it.eq_ignore_ascii_case("true") => {
                Ok(vec![Judge::Bool(true)])
            }
            (Form::Bool, Value::Text(it)) if bare && it.eq_ignore_ascii_case("false") => {
                Ok(vec![Judge::Bool(false)])
            }
            (Form::Bool, _) => Err(node.fault("the field is true or false")),
            (Form::Integer, Value::Integer(it)) if bare => Ok(vec![Judge::Integer(*it)]),
            (Form::Integer, Value::Text(it)) if bare && it.parse::<i64>().is_ok() => {
                Ok(vec![Judge::Integer(it.parse().unwrap_or_default())])
            }
            (Form::Integer, Value::Text(it)) if bare && !it.contains(['*', '?']) => {
                Err(node.fault(format!("the field is a number, which `{it}` is not")))
            }
            (_, value) => self.patterns(&shown(value), node),
        }
    }

    fn patterns(&self, text: &str, node: &Node) -> Result<Vec<Judge>, Fault> {
        let mut ways: Vec<_> =
            self.expanded(text, node)?.iter().map(|it| pattern::parse(it)).collect();
        for encoding in &self.modifiers.encodings {
            let mut encoded = Vec::with_capacity(ways.len());
            for way in ways {
                encoded.extend(encode(way, *encoding).map_err(|it| node.fault(it))?);
            }
            ways = encoded;
            if ways.len() > WAYS_MAX {
                return Err(node.fault(format!("more than {WAYS_MAX} ways to write the value")));
            }
        }
        if self.column == Column::Anywhere {
            for way in &mut ways {
                open(way, Spot::Within);
            }
        }
        let cased = self.modifiers.cased;
        Ok(ways.iter().map(|it| Judge::Text(Pattern::new(it, cased))).collect())
    }

    fn regexes(&self, node: &Node) -> Result<Vec<Judge>, Fault> {
        let text = shown(&node.value);
        let [insensitive, lines, dot_all] = self.modifiers.regex_flags;
        let flags = Flags { insensitive, lines, dot_all };
        let texts = self.expanded(&text, node)?;
        let read = |it: &String| {
            let made = Expression::new(it, flags);
            made.map_err(|it| node.fault(format!("regular expression: {it}"))).map(Judge::Regex)
        };
        texts.iter().map(read).collect()
    }

    /// The value with its `%placeholders%` filled in, in every way.
    fn expanded(&self, text: &str, node: &Node) -> Result<Vec<String>, Fault> {
        if !self.modifiers.expand {
            return Ok(vec![text.to_owned()]);
        }
        let ways = expand(text, self.context.placeholders).map_err(|it| node.fault(it))?;
        if ways.len() > WAYS_MAX {
            return Err(node.fault(format!("more than {WAYS_MAX} ways to write the value")));
        }
        Ok(ways)
    }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 the next number compares the same")]
fn number(node: &Node) -> Result<f64, Fault> {
    match &node.value {
        Value::Integer(it) => Ok(*it as f64),
        Value::Float(it) => Ok(*it),
        Value::Text(it) => it.parse().map_err(|_| node.fault(format!("`{it}` is no number"))),
        _ => Err(node.fault("the value is no number")),
    }
}

/// The value as it is written.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(it) => it.to_string(),
        Value::Integer(it) => it.to_string(),
        Value::Float(it) => it.to_string(),
        Value::Text(it) => it.clone(),
        Value::List(_) | Value::Map(_) => String::new(),
    }
}

fn expand(text: &str, placeholders: &Placeholders) -> Result<Vec<String>, String> {
    let mut ways = vec![String::new()];
    let mut rest = text;
    while let Some(at) = rest.find(['%', '\\']) {
        let (before, from) = rest.split_at(at);
        add_to_all(&mut ways, before);
        if let Some(after) = from.strip_prefix("\\%") {
            add_to_all(&mut ways, "%");
            rest = after;
        } else if let Some(after) = from.strip_prefix('\\') {
            // An escape that belongs to the wildcards: kept, with what it escapes.
            let kept = after.chars().next().filter(|it| *it != '%').map_or(0, char::len_utf8);
            let (escaped, after) = after.split_at(kept);
            add_to_all(&mut ways, "\\");
            add_to_all(&mut ways, escaped);
            rest = after;
        } else {
            let (name, after) = from
                .strip_prefix('%')
                .and_then(|it| it.split_once('%'))
                .ok_or_else(|| "a placeholder is not closed by %".to_owned())?;
            let values = placeholders
                .get(name)
                .ok_or_else(|| format!("cannot work here: placeholder %{name}% is not defined"))?;
            if ways.len() * values.len() > WAYS_MAX {
                return Err(format!("more than {WAYS_MAX} ways to write the value"));
            }
            let more =
                |way: &String| values.iter().map(|it| format!("{way}{it}")).collect::<Vec<_>>();
            ways = ways.iter().flat_map(more).collect();
            rest = after;
        }
    }
    add_to_all(&mut ways, rest);
    Ok(ways)
}

fn add_to_all(ways: &mut [String], text: &str) {
    for way in ways {
        way.push_str(text);
    }
}

fn encode(parts: Vec<Part>, encoding: Encoding) -> Result<Vec<Vec<Part>>, String> {
    match encoding {
        Encoding::Open(spot) => {
            let mut parts = parts;
            open(&mut parts, spot);
            Ok(vec![parts])
        }
        Encoding::Wide(wide) => Ok(vec![
            parts
                .into_iter()
                .map(|it| match it {
                    Part::Literal(text) => Part::Literal(encode::utf16(&text, wide)),
                    other => other,
                })
                .collect(),
        ]),
        Encoding::Base64 => Ok(vec![vec![Part::Literal(encode::base64(&literal(&parts)?))]]),
        Encoding::Base64Offset => {
            let offsets = encode::base64_offsets(&literal(&parts)?);
            Ok(offsets.into_iter().map(|it| vec![Part::Literal(it)]).collect())
        }
        Encoding::Windash => windash(parts),
    }
}

/// The bytes of a value without wildcards.
fn literal(parts: &[Part]) -> Result<Vec<u8>, String> {
    match parts {
        [] => Err("an empty value cannot be encoded".to_owned()),
        [Part::Literal(text)] => Ok(text.clone()),
        _ => Err("a value with wildcards cannot be encoded in Base64".to_owned()),
    }
}

fn windash(parts: Vec<Part>) -> Result<Vec<Vec<Part>>, String> {
    let mut ways = vec![Vec::new()];
    for part in parts {
        let forms = match part {
            Part::Literal(text) => {
                let text = String::from_utf8(text).map_err(|_| "windash goes before encodings")?;
                let forms = encode::dashes(&text).ok_or("windash with more than 4 switches")?;
                forms.into_iter().map(|it| Part::Literal(it.into_bytes())).collect()
            }
            wild => vec![wild],
        };
        if ways.len() * forms.len() > WAYS_MAX {
            return Err(format!("more than {WAYS_MAX} ways to write the value"));
        }
        let with = |way: &Vec<Part>| {
            forms
                .iter()
                .map(|it| [way.as_slice(), std::slice::from_ref(it)].concat())
                .collect::<Vec<_>>()
        };
        ways = ways.iter().flat_map(with).collect();
    }
    Ok(ways)
}

/// Lets anything stand before or after.
fn open(parts: &mut Vec<Part>, spot: Spot) {
    if matches!(spot, Spot::End | Spot::Within) && parts.first() != Some(&Part::Any) {
        parts.insert(0, Part::Any);
    }
    if matches!(spot, Spot::Begin | Spot::Within) && parts.last() != Some(&Part::Any) {
        parts.push(Part::Any);
    }
}
