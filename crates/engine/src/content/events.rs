//! What a rule about events must be beyond what its types say.

use crate::event::{Category, Field};
use crate::sigma::correlation::Correlation;
use crate::sigma::expression::Tests;
use crate::sigma::rule::Query;
use crate::sigma::{Fault, Placeholders, carried, rule};
use crate::text;

use super::{Part, Rule};

/// Whether the rule can be asked at all. Which rules its correlation joins is seen only when
/// all are there: see [`crate::detect`].
pub(super) fn check(rule: &Rule, parts: &[Part]) -> Result<(), Fault> {
    let says = |reason: String| Fault::new(0, reason);
    if !rule.is_about_events() {
        let extra = rule.logsource.as_ref().map(|it| it.line);
        let extra = extra.or_else(|| parts.first().map(|it| it.logsource.line));
        return match extra {
            Some(line) => Err(Fault::new(line, "there is neither detection nor correlation")),
            None => Ok(()),
        };
    }
    let placeholders = Placeholders::new();
    let mut tests = Tests::default();
    let mut queries: Vec<(&str, Query)> = Vec::new();
    let mut joined = None;
    match (&rule.logsource, &rule.detection, &rule.correlation) {
        (Some(logsource), Some(detection), None) => {
            let query = rule::query(logsource, detection, &placeholders, &mut tests)?;
            queries.push(("detection", query));
        }
        (None, None, Some(correlation)) => {
            joined = Some(Correlation::read(correlation)?);
        }
        _ => {
            return Err(says(
                "a rule has logsource and detection, or a correlation and neither".to_owned(),
            ));
        }
    }
    for part in parts {
        if rule.correlation.is_none() {
            return Err(part.logsource.fault("only a correlation has further documents"));
        }
        let query = rule::query(&part.logsource, &part.detection, &placeholders, &mut tests)?;
        queries.push((&part.name, query));
    }
    for (name, query) in &queries {
        if let Some(reason) = carried::missing(query, &tests) {
            return Err(says(format!("{name}: {reason}")));
        }
    }
    if let Some(reason) = joined.as_ref().and_then(|it| carried::missing_in_group(it, &queries)) {
        return Err(says(reason));
    }
    // A correlation that joins other rules ends with events of theirs.
    let joins_others = joined.is_some_and(|it| {
        it.rules.iter().any(|name| !queries.iter().any(|(part, _)| part == name))
    });
    let categories: Vec<Category> =
        if joins_others { Category::ALL.to_vec() } else { categories(&queries) };
    let quoted = |name: &str, place: &str| {
        let field = name.parse::<Field>().map_err(|it| says(format!("{place}: {it}")))?;
        let counts = field == Field::EventCount && rule.correlation.is_some();
        if !counts && !carried::is_carried(field, &categories) {
            return Err(says(format!("{place}: {}", carried::not_carried(field, &categories))));
        }
        Ok(())
    };
    for param in &rule.params {
        quoted(param, "params")?;
    }
    if rule.subject.is_empty() {
        return Err(says("subject is missing".to_owned()));
    }
    for name in text::names(&rule.subject) {
        quoted(name, "subject")?;
    }
    if rule.confidence == 0 {
        return Err(says("confidence is missing".to_owned()));
    }
    Ok(())
}

/// All that these are asked about.
fn categories(queries: &[(&str, Query)]) -> Vec<Category> {
    let all = Category::ALL.iter().copied();
    all.filter(|it| queries.iter().any(|(_, query)| query.categories.contains(it))).collect()
}
