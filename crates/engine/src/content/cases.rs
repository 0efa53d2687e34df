//! Cases of rules about events: `given: {events: [{category, at_s, fields: {Image: ...}}]}`.

use model::time::Timestamp;
use serde::Deserialize;

use super::{Catalogue, Item};
use crate::detect::{BuildError, Engine};
use crate::event::{Category, Event, Field, Form, Value};
use crate::sigma::carried;

/// Most events of one case.
const EVENTS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    events: Vec<GivenEvent>,
    /// Of a quiet case: other rules that rightly fire on it.
    #[serde(default)]
    others: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenEvent {
    category: Category,
    /// Seconds after the beginning of the case.
    #[serde(default)]
    at_s: i64,
    /// How often it happens, one second apart.
    #[serde(default = "once")]
    times: usize,
    fields: serde_json::Map<String, serde_json::Value>,
}

fn once() -> usize {
    1
}

/// When cases begin: 2026-01-01, a Thursday, at midnight.
const BEGIN: Timestamp = Timestamp::from_secs(1_767_225_600);

/// The events of a case, in order.
pub fn events(given: &serde_json::Value) -> Result<Vec<Event>, String> {
    Ok(read_given(given)?.0)
}

/// The events of a case and the other rules that may fire on it.
fn read_given(given: &serde_json::Value) -> Result<(Vec<Event>, Vec<String>), String> {
    let given: Given = serde_json::from_value(given.clone()).map_err(|it| it.to_string())?;
    let mut events = Vec::new();
    for entry in given.events {
        let mut event = Event::new(entry.category, BEGIN);
        for (name, value) in &entry.fields {
            let field: Field = name.parse().map_err(|it| format!("{it}"))?;
            if !carried::is_carried(field, &[entry.category]) {
                return Err(carried::not_carried(field, &[entry.category]));
            }
            event.set(field, read(field, value)?);
        }
        if events.len() + entry.times > EVENTS_MAX {
            return Err(format!("a case has at most {EVENTS_MAX} events"));
        }
        for number in 0..entry.times {
            let mut event = event.clone();
            let seconds = entry.at_s.saturating_add(i64::try_from(number).unwrap_or_default());
            event.at = Timestamp(BEGIN.0.saturating_add(seconds.saturating_mul(1_000_000)));
            events.push(event);
        }
    }
    Ok((events, given.others))
}

/// A value in the form of its field.
pub fn read(field: Field, value: &serde_json::Value) -> Result<Option<Value>, String> {
    let wrong = || format!("{}: {value} is not of the form {:?}", field.name(), field.form());
    Ok(match (field.form(), value) {
        (_, serde_json::Value::Null) => None,
        (Form::Text, serde_json::Value::String(it)) => Some(it.clone().into()),
        (Form::Integer, serde_json::Value::Number(it)) => {
            Some(it.as_i64().ok_or_else(wrong)?.into())
        }
        (Form::Bool, serde_json::Value::Bool(it)) => Some((*it).into()),
        (Form::List, serde_json::Value::Array(items)) => {
            let text = |it: &serde_json::Value| it.as_str().map(str::to_owned).ok_or_else(wrong);
            Some(items.iter().map(text).collect::<Result<Vec<_>, _>>()?.into())
        }
        _ => return Err(wrong()),
    })
}

/// A case that did not do what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{rule}: {case}: does not fire")]
    Silent { rule: String, case: String },
    #[error("{rule}: {case}: fires {by}")]
    Loud { rule: String, case: String, by: String },
    #[error("{rule}: {case}: {reason}")]
    Unreadable { rule: String, case: String, reason: String },
}

/// What a run of all cases came to.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    pub rules: usize,
    pub firing: usize,
    pub quiet: usize,
    pub failures: Vec<Failure>,
}

/// Runs every case of every rule about events: a firing one must fire its rule, a quiet one
/// none but those it names as others.
pub fn prove(catalogue: &Catalogue) -> Result<Proof, BuildError> {
    let mut engine = Engine::new(catalogue, &[])?;
    let mut proof = Proof::default();
    for item in catalogue.items().filter(|it| it.rule.is_about_events()) {
        proof.rules += 1;
        prove_item(item, &mut engine, &mut proof);
    }
    Ok(proof)
}

fn prove_item(item: &Item, engine: &mut Engine, proof: &mut Proof) {
    let rule = || item.rule.id.clone();
    for case in &item.cases {
        let name = || case.name.clone();
        let (events, others) = match read_given(&case.given) {
            Ok(it) => it,
            Err(reason) => {
                proof.failures.push(Failure::Unreadable { rule: rule(), case: name(), reason });
                continue;
            }
        };
        engine.forget();
        let mut fired: Vec<String> = Vec::new();
        for event in &events {
            fired.extend(engine.evaluate(event).iter().map(|it| it.rule.id.clone()));
        }
        if case.fires {
            proof.firing += 1;
            if !fired.contains(&item.rule.id) {
                proof.failures.push(Failure::Silent { rule: rule(), case: name() });
            }
        } else {
            proof.quiet += 1;
            fired.sort_unstable();
            fired.dedup();
            fired.retain(|it| *it == item.rule.id || !others.contains(it));
            let loud = |by| Failure::Loud { rule: rule(), case: name(), by };
            proof.failures.extend(fired.into_iter().map(loud));
        }
    }
}
