//! The whole of it on the running kernel, acted out harmlessly.

use std::time::Duration;

use engine::content::Catalogue;
use engine::event::{Category, Event, Field, Value};
use model::finding::Evidence;
use model::time::Timestamp;

use super::core::USER_RULES;
use super::*;

/// How long an alarm may take; the machine is shared.
const WAIT: Duration = Duration::from_secs(20);

fn start() -> Option<Pipeline> {
    let mut options = Options::new(Catalogue::embedded().unwrap());
    options.learn = Duration::from_hours(1);
    let pipeline = Pipeline::start(options).unwrap();
    if pipeline.health().tier != sensor::Tier::Ebpf {
        eprintln!(
            "skipped: this kernel or user has no eBPF sensor: {:?}",
            pipeline.health().missing
        );
        return None;
    }
    Some(pipeline)
}

#[test]
fn a_shell_on_a_socket_is_an_alarm_with_its_evidence() {
    let Some(pipeline) = start() else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; exec bash -i <&3 >&3 2>&3");
    let mut child = std::process::Command::new("bash").args(["-c", &script]).spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut stream, b"true\nexit\n").unwrap();
    let (found, met) = pipeline.until(WAIT, |it| it.rule == "GAR-RSH-001");
    drop(stream);
    child.wait().unwrap();
    assert!(met, "{:?}", found.iter().map(|it| &it.rule).collect::<Vec<_>>());
    let alarm = found.iter().find(|it| it.rule == "GAR-RSH-001").unwrap();
    let chain = alarm.evidence.iter().find_map(|it| match it {
        Evidence::Processes { chain } => Some(chain),
        _ => None,
    });
    let chain = chain.unwrap();
    assert!(chain[0].is_subject && chain[0].executable.ends_with("/bash"), "{chain:?}");
    assert!(chain.iter().any(|it| it.pid == std::process::id()), "{chain:?}");
    let remote = format!("127.0.0.1:{port}");
    assert!(
        alarm
            .evidence
            .iter()
            .any(|it| matches!(it, Evidence::Connection { remote: it, .. } if *it == remote)),
        "{:?}",
        alarm.evidence
    );
    assert!(!alarm.incident.is_empty());
    pipeline.stop().unwrap();
}

/// A user's rule that two events of three have counted before the agent is started again.
const COUNTED: &str = "\
title: found
id: found
name: found
logsource: {product: linux, category: state}
detection:
  selection: {StateCheck: test_of_counting}
  condition: selection
---
title: found thrice
id: thrice
correlation: {type: event_count, rules: [found], group-by: [StateSubject], timespan: 1h, condition: {gte: 3}}
";

fn found(at: Timestamp) -> Event {
    let mut event = Event::new(Category::State, at);
    event.set(Field::StateCheck, Value::from("test_of_counting"));
    event.set(Field::StateSubject, Value::from("one"));
    event
}

#[test]
fn what_rules_counted_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(USER_RULES)).unwrap();
    std::fs::write(dir.path().join(USER_RULES).join("mine.yml"), COUNTED).unwrap();
    std::fs::write(dir.path().join(USER_RULES).join("bad.yml"), "title: bad\n").unwrap();
    let clock = || Timestamp::from_secs(1_770_000_000);
    let open = || {
        let mut options = Options::new(Catalogue::default());
        options.state_dir = Some(dir.path().to_owned());
        Core::open(options, clock).unwrap()
    };
    let mut core = open();
    assert_eq!(core.refusals().len(), 1, "{:?}", core.refusals());
    let mut alarms = Vec::new();
    for _ in 0..2 {
        core.state_event(found(clock()), None, &mut alarms);
    }
    assert!(alarms.is_empty(), "{alarms:?}");
    core.keep().unwrap();
    drop(core);
    let mut core = open();
    core.state_event(found(clock()), None, &mut alarms);
    let rules: Vec<_> = alarms.iter().map(|it| it.finding.rule.as_str()).collect();
    assert_eq!(rules, ["thrice"]);
    drop(core);
    // A damaged file costs what was counted, not detection.
    std::fs::write(dir.path().join("rules_state.json"), "{").unwrap();
    open().state_event(found(clock()), None, &mut alarms);
    assert_eq!(alarms.len(), 1);
}
