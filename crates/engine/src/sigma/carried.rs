//! Whether events carry what a rule asks for. A field that the events of a rule never have is
//! absent each time: the rule is silent for ever, or a filter of it filters nothing.

use model::time::Timestamp;

use super::column::Column;
use super::correlation::Correlation;
use super::expression::{Judge, Test, Tests};
use super::rule::Query;
use crate::event::{Category, Event, Field};

/// What no event that the query is asked about carries; the first of it.
pub(crate) fn missing(query: &Query, tests: &Tests) -> Option<String> {
    let mut ids = Vec::new();
    query.expr.tests(&mut ids);
    let asked = || ids.iter().filter_map(|it| tests.get(*it));
    let categories = &query.categories;
    let absent = asked().flat_map(fields).find(|it| !is_carried(*it, categories));
    if let Some(field) = absent {
        return Some(not_carried(field, categories));
    }
    // Each field is carried by some event; what is joined by `and` must be by one and the same.
    let can_hold = categories.iter().any(|category| {
        let empty = Event::new(*category, Timestamp(0));
        let known = |id| {
            let test = tests.get(id)?;
            let is_there = fields(test).all(|it| it.carried_by().contains(category));
            (!is_there).then(|| test.holds(&empty))
        };
        query.expr.simplified(&known) != Err(false)
    });
    (!can_hold).then(|| "no event carries all that is asked for together".to_owned())
}

/// A field of the group of a correlation that events of one of its parts do not carry. Only where
/// `parts` are all that it joins is there something to say.
pub(crate) fn missing_in_group(
    correlation: &Correlation,
    parts: &[(&str, Query)],
) -> Option<String> {
    let columns: Vec<Column> = correlation.group_columns().collect();
    for (name, query) in
        parts.iter().filter(|(name, _)| correlation.rules.iter().any(|it| it == name))
    {
        let fields = columns.iter().filter_map(|it| field(*it));
        let absent = fields.into_iter().find(|it| !is_carried(*it, &query.categories));
        if let Some(field) = absent {
            return Some(format!("group-by, {name}: {}", not_carried(field, &query.categories)));
        }
    }
    None
}

/// Whether an event of one of the categories carries the field. A correlation may quote its count
/// on any event.
pub(crate) fn is_carried(field: Field, categories: &[Category]) -> bool {
    categories.iter().any(|it| field.carried_by().contains(it))
}

pub(crate) fn not_carried(field: Field, categories: &[Category]) -> String {
    let names: Vec<&str> = categories.iter().map(|it| it.as_str()).collect();
    format!("no event of {} carries {}", names.join(", "), field.name())
}

fn fields(test: &Test) -> impl Iterator<Item = Field> {
    let other = match &test.judge {
        Judge::Reference(column, ..) => field(*column),
        _ => None,
    };
    field(test.column).into_iter().chain(other)
}

fn field(column: Column) -> Option<Field> {
    match column {
        Column::Field(it) => Some(it),
        // One argument of many.
        Column::Argument(_) => Some(Field::Arguments),
        Column::AuditType
        | Column::AuditCall
        | Column::AuditNameType
        | Column::Time
        | Column::Anywhere => None,
    }
}
