//! `garrison agent status`: what the agent on this machine sees, what it cannot see, and what it
//! costs.

use std::path::Path;
use std::time::Duration;

use agent::status::Status;
use anyhow::Context as _;

use crate::process;
use crate::terminal::{self, fold};

/// The agent writes every five seconds; older than this it does not run.
const STALE: Duration = Duration::from_secs(30);
const MIB: f64 = 1024.0 * 1024.0;

/// Prints the status; false where the agent does not run or sees less than it could.
pub(crate) fn run(state: &Path, json: bool) -> anyhow::Result<bool> {
    let status = Status::read(state).with_context(|| {
        format!(
            "no status in {}: the agent has not run there, or you are not root",
            state.display()
        )
    })?;
    if json {
        process::say(&serde_json::to_string_pretty(&status)?);
    } else {
        let width = terminal::columns().unwrap_or(usize::MAX);
        for line in lines(&status, age(&status), width) {
            process::say(&line);
        }
    }
    // What the policy does not want is not missed.
    let whole = status.capabilities.iter().all(|it| matches!(it.state.as_str(), "active" | "off"));
    Ok(whole && age(&status) < STALE)
}

/// Of one that is yet to come nothing is known: the clock was set back since.
fn age(status: &Status) -> Duration {
    let now = process::now();
    if now.is_due(status.at, STALE) {
        now.since(status.at).max(STALE)
    } else {
        now.since(status.at)
    }
}

const LABEL_WIDTH: usize = 16;
/// Columns of the id of a capability and its state.
const CAPABILITY_WIDTH: usize = 32;

fn lines(status: &Status, age: Duration, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut row = |name: &str, text: String| {
        out.push(format!("{name:<LABEL_WIDTH$}{}", fold(&text, width, LABEL_WIDTH)));
    };
    let running = if age < STALE {
        format!("running, process {}, version {}", status.pid, status.version)
    } else {
        format!("not running: its last word is {} s old", age.as_secs())
    };
    row("agent", running);
    row("memory", format!("{:.1} MiB resident", status.resident_bytes as f64 / MIB));
    let sensor = &status.sensor;
    let tier = if sensor.tier.is_empty() { "none" } else { &sensor.tier };
    row("sensor", format!("{tier}, {} parts attached, {} events", sensor.attached, sensor.events));
    for (name, reason) in &sensor.missing {
        row("  missing", format!("{name}: {reason}"));
    }
    let lost: u64 = sensor.lost.iter().map(|it| it.2).sum();
    row("  lost", format!("{lost} events"));
    for (place, cause, count) in &sensor.lost {
        row("", format!("{count} at {place}, {cause}"));
    }
    let detection = &status.detection;
    row("rules", format!("{} asked", detection.rules));
    for refused in &detection.refused {
        row("  refused", refused.clone());
    }
    row(
        "tables",
        format!(
            "{} processes ({} forgotten), {} files without a digest, {} restarts",
            detection.processes, detection.forgotten, detection.undigested, detection.restarts
        ),
    );
    out.push(String::new());
    out.push(format!(
        "{:<20}{:>12}{:>14}{:>14}{:>10}",
        "cost of", "CPU ms", "events", "µs/event", "lost"
    ));
    for it in &status.features {
        // What runs by the clock has no events to share its cost among.
        let each = match it.events {
            0 => "-".to_owned(),
            events => format!("{:.2}", it.cpu_us as f64 / events as f64),
        };
        let ms = it.cpu_us as f64 / 1000.0;
        out.push(format!("{:<20}{ms:>12.1}{:>14}{each:>14}{:>10}", it.id, it.events, it.lost));
    }
    out.push(String::new());
    // What does not work is looked for first.
    let mut capabilities: Vec<_> = status.capabilities.iter().collect();
    capabilities.sort_by_key(|it| match it.state.as_str() {
        "missing" => 0,
        "degraded" => 1,
        "off" => 3,
        _ => 2,
    });
    for it in capabilities {
        let reason = fold(&it.reason, width, CAPABILITY_WIDTH);
        out.push(format!("{:<20}{:<12}{reason}", it.id, it.state).trim_end().to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use agent::status::{CapabilityStatus, Feature};

    use super::*;

    #[test]
    fn what_it_prints() {
        let mut status = Status { version: "0.1.0".to_owned(), pid: 7, ..Status::default() };
        status.resident_bytes = 30 << 20;
        status.sensor.tier = "eBPF".to_owned();
        status.sensor.events = 1000;
        status.sensor.lost = vec![("0/exec".to_owned(), "full".to_owned(), 3)];
        status.sensor.missing = vec![("module_load".to_owned(), "no such tracepoint".to_owned())];
        status.features =
            vec![Feature { id: "runtime_sensor".to_owned(), cpu_us: 4000, events: 1000, lost: 3 }];
        let reason = "one is missing".to_owned();
        let state = "degraded".to_owned();
        status.capabilities =
            vec![CapabilityStatus { id: "runtime_sensor".to_owned(), state, reason }];
        expect_test::expect![[r#"
            agent           running, process 7, version 0.1.0
            memory          30.0 MiB resident
            sensor          eBPF, 0 parts attached, 1000 events
              missing       module_load: no such tracepoint
              lost          3 events
                            3 at 0/exec, full
            rules           0 asked
            tables          0 processes (0 forgotten), 0 files without a digest, 0 restarts

            cost of                   CPU ms        events      µs/event      lost
            runtime_sensor               4.0          1000          4.00         3

            runtime_sensor      degraded    one is missing"#]]
        .assert_eq(&lines(&status, Duration::from_secs(1), 80).join("\n"));
        let stale = lines(&status, Duration::from_mins(1), 80);
        assert_eq!(stale[0], "agent           not running: its last word is 60 s old");
    }
}
