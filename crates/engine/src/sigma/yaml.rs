//! YAML whose every value knows its line, for the parts of a rule that have no fixed form.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::Fault;

/// Longest text of one rule file.
pub const RULE_BYTES_MAX: usize = 256 * 1024;
/// Most documents in one file.
pub const DOCUMENTS_MAX: usize = 1_000;

/// A value and the line where it begins, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub line: u64,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text.
    Map(Vec<(String, Node)>),
}

/// One document of a file.
#[derive(Clone, Copy, Debug)]
pub struct Document<'t> {
    /// Lines of the file before the first one of `text`.
    pub lines_before: u64,
    pub text: &'t str,
}

/// Splits a file at its `---` lines. Documents without content are left out.
pub fn documents(text: &str) -> Vec<Document<'_>> {
    let mut found = Vec::new();
    let (mut start, mut at, mut lines, mut lines_before) = (0, 0, 0, 0);
    for line in text.split_inclusive('\n') {
        let marks = line.strip_prefix("---").is_some_and(|it| {
            it.trim().is_empty() || it.starts_with([' ', '\t']) && it.trim().starts_with('#')
        });
        if marks {
            found.push(Document { lines_before, text: text.get(start..at).unwrap_or_default() });
            start = at + line.len();
            lines_before = lines + 1;
        }
        at += line.len();
        lines += 1;
    }
    found.push(Document { lines_before, text: text.get(start..).unwrap_or_default() });
    let says = |it: &str| !it.trim().is_empty() && !it.trim_start().starts_with('#');
    found.retain(|it| it.text.lines().any(says));
    found.truncate(DOCUMENTS_MAX + 1);
    found
}

impl Document<'_> {
    /// The document as a tree with the lines of its file.
    pub fn read(&self) -> Result<Node, Fault> {
        let mut node = Node::parse(self.text)
            .map_err(|it| Fault { line: it.line + self.lines_before, ..it })?;
        node.shift(self.lines_before);
        Ok(node)
    }
}

impl Node {
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > RULE_BYTES_MAX {
            return Err(Fault::new(1, format!("a rule has at most {RULE_BYTES_MAX} bytes")));
        }
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| fault(&error))
    }

    fn shift(&mut self, lines: u64) {
        self.line += lines;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|it| it.shift(lines)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, it)| it.shift(lines)),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            }
        }
    }

    pub(crate) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::new(self.line, reason)
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(it, _)| it == key).map(|(_, it)| it),
            _ => None,
        }
    }

    pub(crate) fn map(&self, what: &str) -> Result<&[(String, Self)], Fault> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.fault(format!("{what} is not a map"))),
        }
    }

    pub(crate) fn text(&self, what: &str) -> Result<&str, Fault> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.fault(format!("{what} is not a text"))),
        }
    }

    /// A list, or one value in place of a list of one.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// Texts, or one text.
    pub(crate) fn texts(&self, what: &str) -> Result<Vec<&str>, Fault> {
        self.items().iter().map(|it| it.text(what)).collect()
    }
}

/// The reason of the parser, without the picture of the text that it draws.
pub(crate) fn fault(error: &serde_saphyr::Error) -> Fault {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let reason = first.split_once(": ").map_or(first, |(_, rest)| rest);
    let reason = match reason.strip_prefix("line ").and_then(|it| it.split_once(": ")) {
        Some((_, rest)) => rest,
        None => reason,
    };
    Fault::new(error.location().map_or(0, |it| it.line()), reason)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        Value::deserialize(inner)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Integer(it))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        // Beyond the range of any field it can only be compared as a text.
        Ok(i64::try_from(it).map_or_else(|_| Value::Text(it.to_string()), Value::Integer))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(Value::Float(it))
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(Value::Text(it.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry::<String, Node>()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
