//! The same rules and events given to another program, and what it says beside what we say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use engine::content::Catalogue;
use engine::detect::{Engine, UserRule};
use engine::event::{Event, Field};
use engine::sigma::yaml;
use serde_json::{Value, json};

use crate::content::plain;

/// Differences that are printed one by one.
const SHOWN_MAX: usize = 40;

pub(super) struct Outcome {
    pub rate: f64,
    pub load_ms: f64,
    /// Events with another verdict.
    pub differing: usize,
    /// Verdicts that differ because the peer looks for keywords elsewhere: in ancestors and in
    /// every field, but all of them in one; we look in the process that acts and its object,
    /// and take them together as one message, as the specification does.
    pub explained: usize,
    pub differences: Vec<String>,
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
    let dir = tempfile::tempdir()?;
    let rules = dir.path().join("rules.jsonl");
    let mut out = std::fs::File::create(&rules)?;
    let known: BTreeSet<_> = engine.rules().map(|it| it.id.clone()).collect();
    for rule in documents(catalogue, files).filter(|it| known.contains(id(it))) {
        writeln!(out, "{rule}")?;
    }
    let file = dir.path().join("events.jsonl");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file)?);
    for event in events {
        writeln!(out, "{}", json!({"category": event.category, "fields": fields(event)}))?;
    }
    out.flush()?;
    let done = Command::new(program).arg(&rules).arg(&file).output();
    let done = done.with_context(|| format!("cannot start {}", program.display()))?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Report = serde_json::from_slice(&done.stdout).context("what the peer printed")?;
    anyhow::ensure!(report.verdicts.len() == events.len(), "the peer left out events");
    let keywords = documents(catalogue, files).filter(has_keywords).map(|it| id(&it).to_owned());
    let mut outcome = Outcome {
        rate: events.len() as f64 / report.seconds,
        load_ms: report.load_ms,
        differing: 0,
        explained: 0,
        differences: Vec::new(),
    };
    compare(engine, events, &report, &keywords.collect(), &mut outcome);
    Ok(outcome)
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

fn compare(
    engine: &Engine,
    events: &[Event],
    report: &Report,
    keywords: &BTreeSet<String>,
    outcome: &mut Outcome,
) {
    let refused: BTreeSet<_> = report.refused.iter().map(String::as_str).collect();
    outcome.differences.extend(refused.iter().map(|it| format!("the peer cannot load {it}")));
    let mut by_rule: BTreeMap<(String, &str), (usize, usize)> = BTreeMap::new();
    for (number, (event, theirs)) in events.iter().zip(&report.verdicts).enumerate() {
        let ours: BTreeSet<_> =
            engine.holding_plainly(event).iter().map(|it| it.id.clone()).collect();
        let theirs: BTreeSet<_> = theirs.iter().cloned().collect();
        let mut differs = false;
        let only = [("we", ours.difference(&theirs)), ("the peer", theirs.difference(&ours))];
        for (side, rules) in only {
            for rule in rules.filter(|it| !refused.contains(it.as_str())) {
                if keywords.contains(rule) {
                    outcome.explained += 1;
                    continue;
                }
                differs = true;
                by_rule.entry((rule.clone(), side)).or_insert((number, 0)).1 += 1;
            }
        }
        outcome.differing += usize::from(differs);
    }
    outcome.differences.extend(by_rule.iter().take(SHOWN_MAX).map(
        |((rule, side), (number, count))| {
            let command = events.get(*number).and_then(|it| it.text(Field::CommandLine));
            let command = command.unwrap_or("-");
            format!("only {side}: {rule}, {count} events, first {number}: {command}")
        },
    ));
}
