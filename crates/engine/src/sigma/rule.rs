//! `logsource` and `detection` of a rule: which events it is asked about, and what.

use super::Fault;
use super::column::Column;
use super::condition;
use super::expression::{Expr, Judge, Test, Tests};
use super::modifier::{self, Context, Placeholders};
use super::pattern::{Part, Pattern};
use super::yaml::{Node, Value};
use crate::event::{Category, Field};

/// Deepest nesting of lists and maps in a selection.
const SELECTION_NEST_MAX: usize = 8;

/// What of the events a rule is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub categories: Vec<Category>,
    /// Field names are those of audit records.
    pub audit: bool,
    /// Of file events only these operations.
    operations: &'static [&'static str],
}

/// A detection, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub categories: Vec<Category>,
    pub expr: Expr,
}

/// Categories of Sigma that are one operation of a category here.
const OPERATIONS: &[(&str, &[&str])] = &[
    ("file_change", &["write", "truncate"]),
    ("file_delete", &["delete"]),
    ("file_rename", &["rename"]),
];

/// Reads a `logsource`.
pub(crate) fn scope(node: &Node) -> Result<Scope, Fault> {
    let mut scope = Scope {
        categories: Category::ALL.iter().copied().filter(|it| *it != Category::State).collect(),
        audit: false,
        operations: &[],
    };
    for (key, value) in node.map("logsource")? {
        if key == "definition" {
            continue;
        }
        let word = value.text(key)?;
        match key.as_str() {
            "product" if word == "linux" || word == "garrison" => {}
            "service" if word == "auditd" => scope.audit = true,
            "category" => {
                let operations = OPERATIONS.iter().find(|(it, _)| *it == word);
                let category = match operations {
                    Some((_, words)) => {
                        scope.operations = words;
                        Category::FileEvent
                    }
                    None => word.parse().map_err(|_| {
                        value.fault(format!("cannot work here: category {word} has no events"))
                    })?,
                };
                scope.categories = vec![category];
            }
            "product" => {
                return Err(value.fault(format!("cannot work here: product {word} is not linux")));
            }
            "service" => {
                let reason = format!("cannot work here: the log of {word} does not reach rules");
                return Err(value.fault(reason));
            }
            _ => return Err(value.fault(format!("`{key}` is no part of a logsource"))),
        }
    }
    Ok(scope)
}

/// Reads a rule's `logsource` and `detection`.
pub(crate) fn query(
    logsource: &Node,
    detection: &Node,
    placeholders: &Placeholders,
    tests: &mut Tests,
) -> Result<Query, Fault> {
    let scope = scope(logsource)?;
    let context = Context { audit: scope.audit, placeholders };
    let expr = search(detection, &context, tests)?;
    let expr = if scope.operations.is_empty() {
        expr
    } else {
        Expr::All(vec![operation(scope.operations, tests), expr])
    };
    Ok(Query { categories: scope.categories, expr })
}

fn operation(words: &[&str], tests: &mut Tests) -> Expr {
    let column = Column::Field(Field::FileOperation);
    let mut test = |word: &&str| {
        let pattern = Pattern::new(&[Part::Literal(word.as_bytes().to_vec())], false);
        let written = format!("FileOperation: {word}");
        Expr::Test(tests.add(Test { column, judge: Judge::Text(pattern), written }))
    };
    Expr::Any(words.iter().map(&mut test).collect())
}

/// Selections and their condition, as in `detection` and in `filter`.
pub(crate) fn search(node: &Node, context: &Context<'_>, tests: &mut Tests) -> Result<Expr, Fault> {
    let mut selections = Vec::new();
    let mut conditions = None;
    for (name, value) in node.map("detection")? {
        match name.as_str() {
            "condition" => conditions = Some(value),
            "rules" => {}
            "timeframe" => {
                return Err(
                    value.fault("timeframe is the old way to count: use a correlation rule")
                );
            }
            _ => selections.push((name.clone(), selection(value, context, tests, 0)?)),
        }
    }
    let Some(conditions) = conditions else {
        return Err(node.fault("the condition is missing"));
    };
    let mut parts = Vec::new();
    for condition in conditions.items() {
        let text = condition.text("a condition")?;
        parts.push(condition::parse(text, &selections).map_err(|it| condition.fault(it))?);
    }
    match parts.len() {
        0 => Err(conditions.fault("the condition is empty")),
        1 => Ok(parts.remove(0)),
        _ => Ok(Expr::Any(parts)),
    }
}

/// A map is all of its entries, a list any of its items; a bare value is a keyword.
fn selection(
    node: &Node,
    context: &Context<'_>,
    tests: &mut Tests,
    depth: usize,
) -> Result<Expr, Fault> {
    if depth > SELECTION_NEST_MAX {
        return Err(node.fault(format!("selections are nested deeper than {SELECTION_NEST_MAX}")));
    }
    match &node.value {
        Value::Map(entries) if entries.is_empty() => Err(node.fault("the selection is empty")),
        Value::Map(entries) => {
            raw_arguments(entries, context)?;
            let item = |(key, value): &(String, Node)| modifier::item(key, value, context, tests);
            let parts = entries.iter().map(item).collect::<Result<Vec<_>, _>>()?;
            Ok(joined(parts, Expr::All))
        }
        Value::List(items) if items.is_empty() => Err(node.fault("the selection is empty")),
        Value::List(items) => {
            let mut parts = Vec::with_capacity(items.len());
            for item in items {
                parts.push(selection(item, context, tests, depth + 1)?);
            }
            Ok(joined(parts, Expr::Any))
        }
        _ => modifier::keyword(node, context, tests),
    }
}

fn joined(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Expr {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}

/// `a0` of an EXECVE record is an argument of the program; of a SYSCALL record it is a number
/// in a register, which no event has.
fn raw_arguments(entries: &[(String, Node)], context: &Context<'_>) -> Result<(), Fault> {
    let is_call = |(key, value): &(String, Node)| {
        key == "type" && value.value == Value::Text("SYSCALL".to_owned())
    };
    if !context.audit || !entries.iter().any(is_call) {
        return Ok(());
    }
    for (key, value) in entries {
        let name = key.split('|').next().unwrap_or_default();
        if matches!(Column::named(name, true), Some(Column::Argument(_))) {
            let reason = format!("cannot work here: {name} of a SYSCALL record is a raw argument");
            return Err(value.fault(reason));
        }
    }
    Ok(())
}
