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
        let own = batch.events.into_iter().filter(|it| it.pid == pid);
        // The child's own life; its threads and children are none of ours.
        seen.extend(own.map(|it| it.change).filter(|it| !matches!(it, Change::Forked { .. })));
    }
    assert_eq!(seen, [Change::Started, Change::Ended { status: 0 }]);
}

#[test]
fn what_is_no_event_is_left_out() {
    let mut exec = request(&[EXEC, 0, 0, 0, 41, 41]);
    let thread = request(&[EXEC, 0, 0, 0, 42, 41]);
    let thread_made = request(&[FORK, 0, 0, 0, 43, 43, 45, 43]);
    let fork = request(&[FORK, 0, 0, 0, 43, 43, 44, 44]);
    let started = ProcessEvent { change: Change::Started, pid: 41 };
    assert_eq!(parse(&exec), [started]);
    assert_eq!(parse(&[thread, thread_made, exec.clone()].concat()), [started]);
    let forked = ProcessEvent { change: Change::Forked { child: 44 }, pid: 43 };
    assert_eq!(parse(&fork), [forked]);
    for cut in 0..exec.len() {
        assert_eq!(parse(&exec[..cut]), []);
    }
    exec[0] = 255;
    assert_eq!(parse(&exec), []);
    assert_eq!(parse(&[0; 64]), []);
}
