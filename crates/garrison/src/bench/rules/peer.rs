//! The same rules and events given to another program, and what it says beside what we say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use engine::content::Catalogue;
use engine::detect::{Engine, UserRule};
use engine::event::{Category, Event, Field};
use engine::sigma::yaml;
use serde_json::{Value, json};

use crate::content::plain;

/// Pairs of rule and cause that are printed.
const SHOWN_MAX: usize = 60;

pub(super) struct Outcome {
    pub rate: f64,
    pub load_ms: f64,
    /// Verdicts that differ and whose cause is known, and those whose cause is not.
    pub explained: usize,
    pub unexplained: usize,
    pub lines: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Report {
    load_ms: f64,
    seconds: f64,
    /// Rules that it could not load.
    refused: Vec<String>,
    /// By event: ids of the rules that hold.
    verdicts: Vec<Vec<String>>,
}

pub(super) fn run(
    program: &Path,
    engine: &Engine,
    catalogue: &Catalogue,
    files: &[UserRule],
    events: &[Event],
) -> anyhow::Result<Outcome> {
    let known: BTreeSet<_> = engine.rules().map(|it| it.id.clone()).collect();
    let rules: BTreeMap<String, Value> = documents(catalogue, files)
        .map(|it| (id(&it).to_owned(), it))
        .filter(|(id, _)| known.contains(id))
        .collect();
    let asked = events.iter().map(|it| json!({"category": it.category, "fields": fields(it)}));
    let report = ask(program, rules.values(), asked)?;
    let refused: BTreeSet<_> = report.refused.iter().map(String::as_str).collect();
    let mut outcome = Outcome {
        rate: events.len() as f64 / report.seconds,
        load_ms: report.load_ms,
        explained: 0,
        unexplained: 0,
        lines: refused.iter().map(|it| format!("the peer cannot load {it}")).collect(),
    };
    let mut found = differences(engine, events, &report.verdicts);
    found.retain(|it| !refused.contains(it.rule.as_str()));
    explain(program, &rules, events, &found, &mut outcome)?;
    Ok(outcome)
}

/// Gives the program rules and events, and reads what it says.
fn ask<'r>(
    program: &Path,
    rules: impl Iterator<Item = &'r Value>,
    events: impl Iterator<Item = Value>,
) -> anyhow::Result<Report> {
    let dir = tempfile::tempdir()?;
    let write = |name: &str, lines: &mut dyn Iterator<Item = String>| {
        let path = dir.path().join(name);
        let mut out = std::io::BufWriter::new(std::fs::File::create(&path)?);
        let mut count = 0;
        for line in lines {
            writeln!(out, "{line}")?;
            count += 1;
        }
        out.flush()?;
        anyhow::Ok((path, count))
    };
    let (rules, _) = write("rules.jsonl", &mut rules.map(ToString::to_string))?;
    let (events, count) = write("events.jsonl", &mut events.map(|it| it.to_string()))?;
    let done = Command::new(program).arg(&rules).arg(&events).output();
    let done = done.with_context(|| format!("cannot start {}", program.display()))?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Report = serde_json::from_slice(&done.stdout).context("what the peer printed")?;
    anyhow::ensure!(report.verdicts.len() == count, "the peer left out events");
    Ok(report)
}

/// One verdict on which the two differ.
struct Difference {
    event: usize,
    rule: String,
    /// We say that the rule holds, and the peer that it does not.
    ours: bool,
}

fn differences(engine: &Engine, events: &[Event], verdicts: &[Vec<String>]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (number, (event, theirs)) in events.iter().zip(verdicts).enumerate() {
        let ours: BTreeSet<_> =
            engine.holding_plainly(event).iter().map(|it| it.id.clone()).collect();
        let theirs: BTreeSet<_> = theirs.iter().cloned().collect();
        let only = [(true, ours.difference(&theirs)), (false, theirs.difference(&ours))];
        for (ours, rules) in only {
            let one = |rule: &String| Difference { event: number, rule: rule.clone(), ours };
            found.extend(rules.map(one));
        }
    }
    found
}

/// Asks the peer again, in other words of the specification: keywords stand anywhere in *one*
/// message, and a value with `startswith` is one with `*` behind it. Where it then agrees, what
/// was changed is the cause.
fn explain(
    program: &Path,
    rules: &BTreeMap<String, Value>,
    events: &[Event],
    found: &[Difference],
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let concerned: BTreeSet<_> = found.iter().map(|it| it.rule.as_str()).collect();
    let written: BTreeMap<_, _> = rules
        .iter()
        .filter(|(id, _)| concerned.contains(id.as_str()))
        .map(|(id, rule)| (id.as_str(), starred(rule)))
        .collect();
    let pair = |it: &Difference| (events.get(it.event), rules.get(&it.rule));
    let asked = found.iter().map(|it| match pair(it) {
        (Some(event), Some(rule)) => {
            let fields = if has_keywords(rule) { message(rule, event) } else { fields(event) };
            json!({"category": event.category, "fields": fields})
        }
        _ => Value::Null,
    });
    let again = ask(program, written.values(), asked)?;
    let mut causes: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for (it, verdict) in found.iter().zip(&again.verdicts) {
        let agrees = verdict.contains(&it.rule) == it.ours;
        let rule = rules.get(&it.rule);
        let event = events.get(it.event);
        let keywords = rule.is_some_and(has_keywords);
        let swept = event.is_some_and(|it| it.category == Category::State)
            && rule.is_some_and(|it| it.pointer("/logsource/category").is_none());
        let explained = agrees || (swept && !it.ours);
        let cause = if swept && !it.ours {
            "a rule without a category is about logs, and what a sweep found is none".to_owned()
        } else if !agrees {
            let command = event.and_then(|it| it.text(Field::CommandLine)).unwrap_or("-");
            let side = if it.ours { "only we" } else { "only the peer" };
            format!("NOT EXPLAINED, {side}, event {}: {command}", it.event)
        } else if !keywords {
            "the peer loses a `*` that stands inside a value with a modifier".to_owned()
        } else if it.ours {
            "the peer wants keywords of `all` to be whole values, all in one field".to_owned()
        } else {
            "the peer finds the keyword in what neither acts nor is acted on, as in ancestors"
                .to_owned()
        };
        outcome.unexplained += usize::from(!explained);
        outcome.explained += usize::from(explained);
        *causes.entry((it.rule.as_str(), cause)).or_default() += 1;
    }
    let line = |((rule, cause), count): (&(&str, String), &usize)| {
        format!("{count:>6} verdicts of {rule}: {cause}")
    };
    outcome.lines.extend(causes.iter().take(SHOWN_MAX).map(line));
    Ok(())
}

/// The event as one message beside the fields that the rule names.
fn message(rule: &Value, event: &Event) -> Value {
    let names = named(rule);
    let mut all = match fields(event) {
        Value::Object(all) => all,
        _ => serde_json::Map::new(),
    };
    all.retain(|name, _| names.contains(name));
    all.insert("message".to_owned(), engine::detect::message(event).into());
    all.into()
}

/// The fields that the rule's selections name.
fn named(rule: &Value) -> BTreeSet<String> {
    fn collect(node: &Value, found: &mut BTreeSet<String>) {
        match node {
            Value::Object(map) => {
                for name in map.keys().filter_map(|it| it.split('|').next()) {
                    found.insert(name.to_owned());
                }
            }
            Value::Array(items) => items.iter().for_each(|it| collect(it, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    let selections = rule.get("detection").and_then(Value::as_object);
    selections.into_iter().flatten().for_each(|(_, it)| collect(it, &mut found));
    found
}

/// The rule with `*` written out instead of `startswith`, `endswith` and `contains` where a
/// value has a `*` of its own, and with keywords of `all` that may stand anywhere.
fn starred(rule: &Value) -> Value {
    fn inner(node: &Value) -> Value {
        match node {
            Value::Object(map) => map.iter().map(|(key, it)| entry(key, it)).collect(),
            Value::Array(items) => items.iter().map(inner).collect(),
            other => other.clone(),
        }
    }
    fn entry(key: &str, value: &Value) -> (String, Value) {
        let as_is = || (key.to_owned(), value.clone());
        if key == "|all" {
            return ("|all|contains".to_owned(), value.clone());
        }
        let Some((name, modifier)) = key.split_once('|').filter(|it| !it.0.is_empty()) else {
            return as_is();
        };
        let (before, after) = match modifier {
            "startswith" => ("", "*"),
            "endswith" => ("*", ""),
            "contains" => ("*", "*"),
            _ => return as_is(),
        };
        let items = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        if !items.iter().any(|it| it.as_str().is_some_and(|it| it.contains('*'))) {
            return as_is();
        }
        let star = |it: &Value| {
            it.as_str().map_or_else(|| it.clone(), |it| format!("{before}{it}{after}").into())
        };
        (name.to_owned(), items.iter().map(star).collect())
    }
    let mut rule = rule.clone();
    if let Some(it) = rule.get_mut("detection") {
        let written = match &*it {
            Value::Object(map) => map.iter().map(|(name, it)| (name.clone(), inner(it))).collect(),
            other => other.clone(),
        };
        *it = written;
    }
    rule
}

fn id(rule: &Value) -> &str {
    rule.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// Every detection as a document of its own, in JSON.
fn documents(catalogue: &Catalogue, files: &[UserRule]) -> impl Iterator<Item = Value> {
    let own = catalogue.iter().filter_map(|it| {
        let (logsource, detection) = (it.logsource.as_ref()?, it.detection.as_ref()?);
        Some(json!({
            "title": it.id, "id": it.id,
            "logsource": plain(logsource), "detection": plain(detection),
        }))
    });
    let read = |it: &UserRule| {
        yaml::documents(&it.text).iter().filter_map(|it| it.read().ok()).collect::<Vec<_>>()
    };
    let brought = files.iter().flat_map(read).filter_map(|it| {
        it.get("detection")?;
        Some(plain(&it))
    });
    let brought: Vec<_> = brought.collect();
    own.collect::<Vec<_>>().into_iter().chain(brought)
}

/// The event's fields, and the names that auditd rules have for them.
fn fields(event: &Event) -> Value {
    let mut all = serde_json::Map::new();
    for (field, value) in event.fields() {
        all.insert(field.name().to_owned(), engine::detect::json(value));
    }
    for (name, value) in engine::detect::audit_names(event) {
        all.insert(name, value);
    }
    if let Some(Value::Array(arguments)) = all.get("Arguments").cloned() {
        all.extend(arguments.into_iter().enumerate().map(|(place, it)| (format!("a{place}"), it)));
    }
    all.into()
}

/// Whether a selection of the rule has no field.
fn has_keywords(rule: &Value) -> bool {
    let bare = |it: &Value| match it {
        Value::Object(map) => map.keys().any(|it| it.is_empty() || it.starts_with('|')),
        Value::Array(items) => items.iter().any(|it| !it.is_object()),
        _ => true,
    };
    let selections = rule.get("detection").and_then(Value::as_object);
    selections.is_some_and(|it| it.iter().any(|(name, it)| name != "condition" && bare(it)))
}
