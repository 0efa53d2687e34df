//! Holds a JSON value against a schema of the OpenAPI document.
//!
//! Requests are checked by the very schemas that the document shows, so a documented bound
//! cannot be forgotten in code. Only the keywords that our schemas use are understood;
//! a test refuses a document with any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::because;
use model::because::Because;
use regex::Regex;
use serde_json::{Map, Value};

use super::problem::FieldError;

/// Most errors reported for one request.
const ERRORS_MAX: usize = 20;

/// Keywords that [`Checker`] enforces.
#[cfg(test)]
pub(crate) const ENFORCED: &[&str] = &[
    "$ref",
    "type",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "uniqueItems",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "oneOf",
    "allOf",
];
/// Keywords that only describe.
#[cfg(test)]
pub(crate) const DESCRIBING: &[&str] =
    &["description", "title", "example", "examples", "default", "propertyNames"];

/// All named schemas of the document, with their patterns compiled.
#[derive(Debug)]
pub struct Checker {
    schemas: Map<String, Value>,
    patterns: BTreeMap<String, Regex>,
}

/// A pattern in the document that is no regular expression.
#[derive(Debug, thiserror::Error)]
#[error("pattern `{pattern}` of the document")]
pub struct PatternError {
    pattern: String,
    #[source]
    source: regex::Error,
}

impl Checker {
    /// `schemas` is `components.schemas`; `also` are schemas that stand elsewhere in the document.
    pub fn new(schemas: Map<String, Value>, also: &[Value]) -> Result<Arc<Self>, PatternError> {
        let mut patterns = BTreeMap::new();
        for schema in schemas.values().chain(also) {
            compile_patterns(schema, &mut patterns)?;
        }
        Ok(Arc::new(Self { schemas, patterns }))
    }

    /// Everything that is wrong with `value`, at most 20 errors; paths start with `at`.
    pub fn check(&self, schema: &Value, value: &Value, at: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.walk(schema, value, at, &mut errors);
        errors.truncate(ERRORS_MAX);
        errors
    }

    /// `schema` itself, or what its `$ref` points to.
    pub fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|it| it.strip_prefix("#/components/schemas/"))
            .and_then(|name| self.schemas.get(name))
            .unwrap_or(schema)
    }

    fn walk(&self, schema: &Value, value: &Value, at: &str, errors: &mut Vec<FieldError>) {
        if errors.len() >= ERRORS_MAX {
            return;
        }
        let schema = self.resolve(schema);
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.walk(part, value, at, errors);
        }
        if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            self.walk_choices(choices, value, at, errors);
        }
        let mut wrong = |why: Because| errors.push(FieldError::new(at, why));
        if let Some(types) = schema.get("type")
            && !has_type(types, value)
        {
            wrong(because!("input.type", "must be of type {types}", types = type_names(types)));
            return;
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array)
            && !words.contains(value)
        {
            wrong(because!("input.words", "must be one of {words}", words = list(words)));
            return;
        }
        match value {
            Value::String(text) => self.text(schema, text, &mut wrong),
            Value::Number(number) => bounds(schema, number, &mut wrong),
            Value::Array(items) => self.items(schema, items, at, errors),
            Value::Object(fields) => self.fields(schema, fields, at, errors),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn walk_choices(
        &self,
        choices: &[Value],
        value: &Value,
        at: &str,
        errors: &mut Vec<FieldError>,
    ) {
        let tried: Vec<_> = choices.iter().map(|it| self.check(it, value, at)).collect();
        if tried.iter().any(Vec::is_empty) {
            return;
        }
        // The choice that got furthest explains best: null is the other one nearly always.
        let best = tried
            .into_iter()
            .zip(choices)
            .rev()
            .find(|(_, it)| it.get("type").and_then(Value::as_str) != Some("null"));
        errors.extend(best.map(|(it, _)| it).unwrap_or_default());
    }

    fn text(&self, schema: &Value, text: &str, wrong: &mut impl FnMut(Because)) {
        let letters = text.chars().count() as u64;
        if let Some(min) = number(schema, "minLength").filter(|it| letters < *it) {
            wrong(match min {
                1 => because!("input.empty", "must not be empty"),
                min => because!("input.short", "must have at least {min} characters", min = min),
            });
        }
        if let Some(max) = number(schema, "maxLength").filter(|it| letters > *it) {
            wrong(because!("input.long", "must have at most {max} characters", max = max));
        }
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && !self.patterns.get(pattern).is_some_and(|it| it.is_match(text))
        {
            wrong(unlike(schema, pattern));
        }
        if schema.get("format").and_then(Value::as_str) == Some("date-time")
            && text.parse::<model::time::Timestamp>().is_err()
        {
            wrong(because!("input.time", "must be a time as in RFC 3339"));
        }
    }

    fn items(&self, schema: &Value, items: &[Value], at: &str, errors: &mut Vec<FieldError>) {
        let mut wrong = |why: Because| errors.push(FieldError::new(at, why));
        let count = items.len() as u64;
        if let Some(min) = number(schema, "minItems").filter(|it| count < *it) {
            wrong(match min {
                1 => because!("input.no_entry", "must have an entry"),
                min => because!("input.few", "must have at least {min} entries", min = min),
            });
        }
        if let Some(max) = number(schema, "maxItems").filter(|it| count > *it) {
            wrong(because!("input.many", "must have at most {max} entries", max = max));
            return;
        }
        let twice =
            |(index, it): (usize, &Value)| items.iter().take(index).any(|other| other == it);
        if schema.get("uniqueItems") == Some(&Value::Bool(true))
            && items.iter().enumerate().any(twice)
        {
            wrong(because!("input.double", "must not name an entry twice"));
        }
        if let Some(inner) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.walk(inner, item, &join(at, &index.to_string()), errors);
            }
        }
    }

    fn fields(
        &self,
        schema: &Value,
        given: &Map<String, Value>,
        at: &str,
        errors: &mut Vec<FieldError>,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !given.contains_key(name) {
                let missing = because!("input.missing", "is missing");
                errors.push(FieldError::new(join(at, name), missing));
            }
        }
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        for (name, value) in given {
            match known.and_then(|it| it.get(name)) {
                Some(inner) => self.walk(inner, value, &join(at, name), errors),
                None if closed => errors.push(FieldError::new(join(at, name), unknown())),
                None => {
                    if let Some(inner @ Value::Object(_)) = schema.get("additionalProperties") {
                        self.walk(inner, value, &join(at, name), errors);
                    }
                }
            }
        }
    }
}

fn compile_patterns(schema: &Value, out: &mut BTreeMap<String, Regex>) -> Result<(), PatternError> {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(pattern)) = fields.get("pattern")
                && !out.contains_key(pattern)
            {
                let regex = Regex::new(pattern)
                    .map_err(|source| PatternError { pattern: pattern.clone(), source })?;
                out.insert(pattern.clone(), regex);
            }
            fields.values().try_for_each(|it| compile_patterns(it, out))
        }
        Value::Array(items) => items.iter().try_for_each(|it| compile_patterns(it, out)),
        _ => Ok(()),
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn number(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

fn list(values: &[Value]) -> String {
    let words: Vec<_> =
        values.iter().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned)).collect();
    words.join(", ")
}

/// Why a text is refused: an example says it to people, the pattern to programs.
fn unlike(schema: &Value, pattern: &str) -> Because {
    if let Some(like) = schema.get("example").and_then(Value::as_str) {
        return because!(
            "input.like",
            "must be like {like}, and match {pattern}",
            like = like,
            pattern = pattern
        );
    }
    because!("input.pattern", "must match {pattern}", pattern = pattern)
}

/// Why a name is refused.
pub(super) fn unknown() -> Because {
    because!("input.unknown", "is not known")
}

fn bounds(schema: &Value, given: &serde_json::Number, wrong: &mut impl FnMut(Because)) {
    let value = given.as_f64().unwrap_or(f64::NAN);
    let bound = |name| schema.get(name).and_then(Value::as_f64);
    if let Some(min) = bound("minimum").filter(|it| value < *it) {
        wrong(because!("input.least", "must be at least {min}", min = min));
    }
    if let Some(max) = bound("maximum").filter(|it| value > *it) {
        wrong(because!("input.most", "must be at most {max}", max = max));
    }
}

fn has_type(types: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        // 1.0 is an integer to JSON schema; our types read only 1.
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    match types {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(one),
        _ => true,
    }
}

fn type_names(types: &Value) -> String {
    match types {
        Value::Array(names) => {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            names.join(", ")
        }
        other => other.as_str().unwrap_or("any").to_owned(),
    }
}

#[cfg(test)]
mod tests;
