use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

fn root() -> HostRoot {
    HostRoot::live().unwrap()
}

/// A shell with children and grandchildren, which says when they are there.
fn tree() -> Child {
    let script = "(sleep 60 & sleep 60 & wait) & sleep 60 & \
                  while [ $(pgrep -c -P $$ -f sleep) -lt 1 ]; do :; done; echo up; wait";
    let mut child = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    child
}

fn target(killer: &Killer<'_>, pid: u32, tree: bool) -> ProcessTarget {
    let stat = killer.stat(pid).unwrap();
    ProcessTarget { pid, started_ns: killer.nanoseconds(stat.start_ticks), tree }
}

#[test]
fn a_tree_is_ended_whole() {
    let root = root();
    let killer = Killer::new(&root);
    let mut child = tree();
    let target = target(&killer, child.id(), true);
    let members = killer.descendants(&[child.id()]);
    assert!(members.len() >= 2, "{members:?}");
    let plan = killer.plan(&target).unwrap();
    assert_eq!(plan.len(), 2);
    assert!(killer.stat(child.id()).is_some_and(|it| it.state != 'Z'), "a plan does nothing");
    let ended = killer.end(&target).unwrap();
    assert!(ended > members.len(), "{ended} of {}", members.len() + 1);
    assert!(!child.wait().unwrap().success());
    for it in members {
        let same = killer.stat(it.pid).is_some_and(|now| now.start_ticks == it.start_ticks);
        let zombie = killer.stat(it.pid).is_some_and(|now| now.state == 'Z');
        assert!(!same || zombie, "{} lives", it.pid);
    }
    assert_eq!(killer.end(&target), Err(KillError::Gone));
}

#[test]
fn one_that_forks_all_the_time_cannot_get_away() {
    let root = root();
    let killer = Killer::new(&root);
    let mut child = Command::new("sh")
        .args(["-c", "while :; do (sleep 0.01; exec sleep 30) & sleep 0.005; done"])
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while killer.descendants(&[child.id()]).len() < 10 {
        assert!(Instant::now() < deadline);
    }
    killer.end(&target(&killer, child.id(), true)).unwrap();
    child.wait().unwrap();
    let left: Vec<Seen> = killer.descendants(&[child.id()]);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn only_the_process_that_was_meant() {
    let root = root();
    let killer = Killer::new(&root);
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let right = target(&killer, child.id(), true);
    let older = ProcessTarget { started_ns: right.started_ns - 1_000_000_000, ..right };
    assert_eq!(killer.end(&older), Err(KillError::Replaced));
    assert!(child.try_wait().unwrap().is_none(), "left alone");
    assert_eq!(killer.end(&right), Ok(1));
    child.wait().unwrap();
    let absent = ProcessTarget { pid: u32::MAX >> 1, started_ns: 0, tree: false };
    assert_eq!(killer.end(&absent), Err(KillError::Gone));
}

#[test]
fn some_are_never_ended() {
    let root = root();
    let killer = Killer::new(&root);
    let own = std::process::id();
    let parent = killer.stat(own).unwrap().parent;
    for pid in [1, 2, own, parent] {
        let Some(stat) = killer.stat(pid).filter(|it| it.state != 'Z') else { continue };
        let target =
            ProcessTarget { pid, started_ns: killer.nanoseconds(stat.start_ticks), tree: true };
        assert!(matches!(killer.end(&target), Err(KillError::Protected(..))), "{pid}");
    }
}
