//! What a rule about events must be beyond what its types say.

use crate::event::Field;
use crate::sigma::correlation::Correlation;
use crate::sigma::expression::Tests;
use crate::sigma::{Fault, Placeholders, rule};
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
    match (&rule.logsource, &rule.detection, &rule.correlation) {
        (Some(logsource), Some(detection), None) => {
            rule::query(logsource, detection, &placeholders, &mut tests)?;
        }
        (None, None, Some(correlation)) => {
            Correlation::read(correlation)?;
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
        rule::query(&part.logsource, &part.detection, &placeholders, &mut tests)?;
    }
    for param in &rule.params {
        param.parse::<Field>().map_err(|it| says(format!("params: {it}")))?;
    }
    if rule.subject.is_empty() {
        return Err(says("subject is missing".to_owned()));
    }
    for name in text::names(&rule.subject) {
        name.parse::<Field>().map_err(|it| says(format!("subject: {it}")))?;
    }
    if rule.confidence == 0 {
        return Err(says("confidence is missing".to_owned()));
    }
    Ok(())
}
