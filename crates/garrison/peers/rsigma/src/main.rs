//! Loads rules and events from two files of JSON lines, asks rsigma-eval, and prints how long
//! it took and which rules hold for which event.

use std::time::Instant;

use rsigma_eval::{Engine, event::JsonEvent};
use rsigma_parser::{LogSource, parse_sigma_yaml};
use serde_json::{Value, json};

/// Rounds over all events; the best one counts, as for Garrison.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(rules), Some(events)) = (args.next(), args.next()) else {
        return Err("two files are needed: rules and events".into());
    };
    let began = Instant::now();
    let mut engine = Engine::new();
    let (mut loaded, mut refused) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(rules)?.lines() {
        match parse_sigma_yaml(line) {
            Ok(it) if it.errors.is_empty() && !it.rules.is_empty() => loaded.extend(it.rules),
            _ => refused.push(line.to_owned()),
        }
    }
    for (place, error) in engine.add_rules(&loaded) {
        eprintln!("{error}");
        refused.extend(loaded.get(place).and_then(|it| it.id.clone()));
    }
    let load_ms = began.elapsed().as_secs_f64() * 1e3;
    let events = std::fs::read_to_string(events)?;
    let events: Vec<(LogSource, Value)> = events.lines().map(event).collect::<Result<_, _>>()?;
    let mut seconds = f64::MAX;
    let mut verdicts = Vec::new();
    for _ in 0..ROUNDS {
        verdicts.clear();
        let began = cpu_s();
        for (source, fields) in &events {
            verdicts.push(engine.evaluate_pruned(&JsonEvent::borrow(fields), source));
        }
        seconds = seconds.min(cpu_s() - began);
    }
    let ids = |it: &Vec<rsigma_eval::EvaluationResult>| {
        it.iter().filter_map(|it| it.header.rule_id.clone()).collect::<Vec<_>>()
    };
    let verdicts: Vec<_> = verdicts.iter().map(ids).collect();
    let report =
        json!({"load_ms": load_ms, "seconds": seconds, "refused": refused, "verdicts": verdicts});
    println!("{report}");
    Ok(())
}

/// CPU time of this thread, measured as Garrison's is.
fn cpu_s() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The kind of the event as the engine prunes by, and its fields.
fn event(line: &str) -> Result<(LogSource, Value), Box<dyn std::error::Error>> {
    let mut event: Value = serde_json::from_str(line)?;
    let category = event.get("category").and_then(Value::as_str).map(str::to_owned);
    let source = LogSource {
        category,
        product: Some("linux".to_owned()),
        service: None,
        definition: None,
        custom: Default::default(),
    };
    Ok((source, event.get_mut("fields").map(Value::take).unwrap_or_default()))
}
