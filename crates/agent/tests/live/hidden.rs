//! A /proc that lists other processes than run, as a rootkit shows it: the view of another
//! process namespace, mounted where only this thread sees it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use agent::detect::sweep::Sweeper;
use agent::host_root::HostRoot;
use agent::inspect::Inspector;
use engine::content::Catalogue;
use engine::detect::Engine;
use model::time::Timestamp;

const RULE: &str = "GAR-RTK-001";
/// Looks that must agree before something counts as hidden.
const LOOKS: usize = 3;

/// Ends what it holds, however the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_that_are_not_listed_are_told() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: namespaces need root");
        return;
    }
    let (running, told) = std::thread::spawn(in_another_view).join().unwrap();
    println!("{} of {} processes told as hidden", told.len(), running.len());
    assert!(told.iter().any(|it| running.contains(it)), "{told:?}");
}

/// The processes that run, and those that were told as hidden.
fn in_another_view() -> (Vec<String>, Vec<String>) {
    sensor::namespace::private_mounts().unwrap();
    let running: Vec<String> =
        sensor::procfs::pids().unwrap().iter().map(ToString::to_string).collect();
    let mut child = Command::new("timeout")
        .args(["-s", "KILL", "60", "unshare", "--pid", "--fork", "--kill-child", "bash", "-c"])
        .arg("mount -t proc proc /proc && echo mounted && exec sleep 60")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let _child = Ended(child);
    assert_eq!(said.trim(), "mounted");
    let folder = tempfile::tempdir().unwrap();
    let root = || HostRoot::live().unwrap();
    let mut sweeper = Sweeper::new(root(), Inspector::new(root()), folder.path(), None);
    let mut engine = Engine::new(&Catalogue::embedded().unwrap(), &[]).unwrap();
    let mut told = Vec::new();
    for _ in 0..LOOKS {
        for it in sweeper.whole(now()) {
            let found = engine.evaluate(&it.event).into_iter();
            told.extend(found.filter(|it| it.rule.id == RULE).map(|it| it.subject));
        }
    }
    (running, told)
}

#[expect(clippy::disallowed_methods, reason = "tests live in the present")]
fn now() -> Timestamp {
    Timestamp(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
