//! The tiers on the kernel this runs on, each acted out by a child of the test.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use model::event::{Event, What};

use super::*;

const WAIT: Duration = Duration::from_secs(10);

/// Events until `done` is content with what came.
fn until(sensor: &mut Sensor, mut done: impl FnMut(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    let mut is_done = false;
    let end = Instant::now() + WAIT;
    while !is_done && Instant::now() < end {
        sensor
            .poll(Duration::from_millis(50), &mut |event| {
                is_done |= done(&event);
                seen.push(event);
            })
            .unwrap();
    }
    assert!(is_done, "not seen among {} events", seen.len());
    seen
}

/// `cat` waiting for the end of its input, which closing the child's input gives it.
fn waiting_child() -> Child {
    let mut command = Command::new("cat");
    command.arg("-").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn the_lower_tiers_tell_of_a_child() {
    let config = Config { sweep: Duration::from_millis(50), ..Config::default() };
    for tier in [Tier::Connector, Tier::Polling] {
        let mut sensor = match Sensor::open_tier(tier, &config) {
            Ok(sensor) => sensor,
            Err(error) => {
                assert!(!rustix::process::geteuid().is_root(), "root may: {error}");
                println!("skipped: {tier}: {error}");
                continue;
            }
        };
        let mut child = waiting_child();
        let pid = child.id();
        let started = until(&mut sensor, |it| {
            it.task.pid == pid
                && matches!(&it.what, What::Exec(exec) if exec.arguments == ["cat", "-"])
        });
        // One look may hold more than this child.
        let event = started.iter().find(|it| it.task.pid == pid).unwrap();
        assert_eq!(event.task.parent_pid, std::process::id(), "{tier}: {event:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
        until(&mut sensor, |it| it.task.pid == pid && it.what == What::Exit { status: 0 });
        let health = sensor.health();
        assert_eq!((health.tier, health.lost_total()), (tier, 0));
        assert!(!health.missing.is_empty() && health.events > 0, "{health:?}");
    }
}
