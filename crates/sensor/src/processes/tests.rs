use std::process::Command;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_child_is_seen_from_start_to_end() {
    let events = match ProcessEvents::open() {
        Ok(events) => events,
        Err(error @ (ProcessEventsError::Denied(_) | ProcessEventsError::Silent)) => {
            assert!(!rustix::process::geteuid().is_root(), "root may listen: {error}");
            println!("skipped: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    let mut seen = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while seen.len() < 2 && Instant::now() < end {
        events.wait(Duration::from_millis(100)).unwrap();
        let batch = events.take().unwrap();
        seen.extend(batch.events.into_iter().filter(|it| it.pid == pid).map(|it| it.change));
    }
    assert_eq!(seen, [Change::Started, Change::Ended]);
}

#[test]
fn what_is_no_event_is_left_out() {
    let mut exec = request(&[EXEC, 0, 0, 0, 41, 41]);
    let thread = request(&[EXEC, 0, 0, 0, 42, 41]);
    let fork = request(&[1, 0, 0, 0, 43, 43]);
    let started = ProcessEvent { change: Change::Started, pid: 41 };
    assert_eq!(parse(&exec), [started]);
    assert_eq!(parse(&[thread, fork, exec.clone()].concat()), [started]);
    for cut in 0..exec.len() {
        assert_eq!(parse(&exec[..cut]), []);
    }
    exec[0] = 255;
    assert_eq!(parse(&exec), []);
    assert_eq!(parse(&[0; 64]), []);
}
