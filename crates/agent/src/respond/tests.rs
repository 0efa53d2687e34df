use std::fs;
use std::process::Command;

use model::wire::{DiscardTask, ProcessTarget, RestoreTask, UnblockTask};
use sha2::{Digest as _, Sha256};

use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

struct Host {
    dir: tempfile::TempDir,
    verdicts: Verdicts,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("agent")).unwrap();
        let verdicts = Verdicts::load(&dir.path().join("agent"));
        Self { dir, verdicts }
    }

    fn responder(&self, policy: Policy) -> (Responder, Vec<Record>) {
        let root = HostRoot::live().unwrap();
        let state = self.dir.path().join("agent");
        let servers = vec!["192.0.2.7:443".to_owned()];
        Responder::open(root, &state, policy, servers, self.verdicts.clone(), START).unwrap()
    }

    fn program(&self) -> FileTarget {
        let path = self.dir.path().join("program");
        fs::write(&path, b"#!/bin/sh\nexit 0\n").unwrap();
        let sha256 = HEXLOWER.encode(&Sha256::digest(b"#!/bin/sh\nexit 0\n"));
        FileTarget { path: path.display().to_string(), sha256 }
    }
}

fn task(id: &str, task: task::Task) -> Task {
    Task { id: id.to_owned(), task: Some(task) }
}

/// Reports as lines: action, state, then each step.
fn told(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| match record.record.clone()? {
        Body::ResponseReport(it) => {
            let steps: Vec<String> = it
                .steps
                .iter()
                .map(|it| {
                    let mark = if it.done { "+" } else { "-" };
                    format!("{mark}{}", it.sentence.clone().unwrap_or_default().en)
                })
                .collect();
            Some(format!("{} {:?} {}", it.action, it.state(), steps.join("; ")))
        }
        Body::IsolatedFile(it) => Some(format!("file {:?} refused {}", it.state(), it.refused)),
        Body::BlockedAddress(it) => Some(format!("address {} {:?}", it.address, it.state())),
        _ => None,
    };
    records.iter().filter_map(line).collect()
}

#[test]
fn isolate_and_kill_then_put_back() {
    let host = Host::new();
    let (mut responder, records) = host.responder(Policy::default());
    assert_eq!(told(&records), [""; 0]);
    let file = host.program();
    let path = file.path.clone();
    let digest = digest(&file.sha256).unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let ticks = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let ticks: u64 = ticks.rsplit(')').next().unwrap().split(' ').nth(20).unwrap().parse().unwrap();
    let process = ProcessTarget { pid: child.id(), started_ns: ticks * 10_000_000, tree: true };
    let order = IsolateTask {
        finding: "f-1".to_owned(),
        processes: vec![process],
        files: vec![file],
        refuse_content: true,
        plan_only: true,
    };
    let planned = responder.carry_out(task("t1", task::Task::Isolate(order.clone())), START);
    let pid = child.id();
    assert_eq!(
        told(&planned),
        [format!(
            "isolate Planned -Refuse to start the content of {path} from now on; \
         -End process {pid} (sleep); -Move {path} to the vault"
        )]
    );
    assert!(child.try_wait().unwrap().is_none() && Path::new(&path).exists(), "only planned");
    let order = IsolateTask { plan_only: false, ..order };
    let done = responder.carry_out(task("t2", task::Task::Isolate(order.clone())), START);
    assert_eq!(
        told(&done),
        [
            "file Isolated refused true".to_owned(),
            format!(
                "isolate Done +Refuse to start the content of {path} from now on; \
         +End process {pid} (sleep); +Move {path} to the vault"
            )
        ]
    );
    assert!(!child.wait().unwrap().success() && !Path::new(&path).exists());
    assert_eq!(host.verdicts.of(&digest).unwrap().verdict, Verdict::Malicious);
    let again = responder.carry_out(task("t2", task::Task::Isolate(order)), START);
    assert_eq!(again, done[1..], "a task that comes twice is done once and reported again");
    let id = responder.vault.files().next().unwrap().id.clone();
    drop(responder);
    let (mut responder, _) = host.responder(Policy::default());
    let restore = || task::Task::Restore(RestoreTask { isolated: id.clone() });
    let back = responder.carry_out(task("t3", restore()), START);
    assert_eq!(
        told(&back),
        [
            "file Restored refused false".to_owned(),
            format!("restore Done +Put {path} back as it was; +Let its content run again")
        ]
    );
    assert!(Path::new(&path).exists() && host.verdicts.of(&digest).is_none());
    let failed = responder.carry_out(task("t4", restore()), START);
    assert_eq!(told(&failed), [format!("restore Failed -Put {id} back as it was")]);
    let discard = task::Task::Discard(DiscardTask { isolated: id.clone() });
    let failed = responder.carry_out(task("t5", discard), START);
    assert!(told(&failed)[0].starts_with("discard Failed"));
}

#[test]
fn a_crash_in_the_middle_is_told() {
    let host = Host::new();
    let (mut responder, _) = host.responder(Policy::default());
    let steps = [Step::planned("End process 7 (x)", "结束进程 7（x）")];
    let _ticket = responder.begin("t9", "f-9", "isolate", &steps, START).unwrap();
    drop(responder);
    let (_, records) = host.responder(Policy::default());
    assert_eq!(told(&records), ["isolate Partial -End process 7 (x)"]);
    let (_, records) = host.responder(Policy::default());
    assert!(records.is_empty());
}

#[test]
fn blocks_gather_and_are_reported_by_task() {
    let thread = std::thread::spawn(|| {
        if let Err(error) = sensor::namespace::private_network() {
            eprintln!("skipped: no network namespace of its own: {error}");
            return;
        }
        let host = Host::new();
        let mut policy = Policy::default();
        policy.response.never_block = vec!["10.0.0.0/8".to_owned()];
        let (mut responder, _) = host.responder(policy);
        let block = |id, addresses: &[&str]| {
            task(
                id,
                task::Task::Block(BlockTask {
                    finding: "f-1".to_owned(),
                    addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
                    until_us: (START + Duration::from_hours(1)).0,
                    reason: "a test".to_owned(),
                }),
            )
        };
        let wrong = responder.carry_out(block("b0", &["203.0.113.1", "rubbish"]), START);
        assert_eq!(told(&wrong), ["block Failed -Block rubbish"]);
        responder.carry_out(block("b1", &["203.0.113.1"]), START);
        responder.carry_out(block("b2", &["10.1.1.1", "192.0.2.7", "203.0.113.2"]), START);
        let act = Action::Block {
            block: Cidr::parse("203.0.113.3").unwrap(),
            finding: "f-2".to_owned(),
            reason: "GAR-LOG-001".to_owned(),
        };
        responder.answer(act, START);
        let until = "2023-11-14T23:13:20Z";
        let drop_one = |it: &str, until: &str| format!("Drop every packet from {it} until {until}");
        assert_eq!(
            told(&responder.flush(START)),
            [
                "address 203.0.113.1 Active".to_owned(),
                "address 203.0.113.2 Active".to_owned(),
                "address 203.0.113.3 Active".to_owned(),
                format!("block Done +{}", drop_one("203.0.113.1", until)),
                format!(
                    "block Partial -{}; -{}; +{}",
                    drop_one("10.1.1.1", until),
                    drop_one("192.0.2.7", until),
                    drop_one("203.0.113.2", until)
                ),
                format!("block Done +{}", drop_one("203.0.113.3", "2023-11-15T10:13:20Z")),
            ]
        );
        assert!(responder.flush(START).is_empty());
        let unblock =
            UnblockTask { addresses: vec!["203.0.113.1".to_owned(), "9.9.9.9".to_owned()] };
        let gone = responder.carry_out(task("u1", task::Task::Unblock(unblock)), START);
        assert_eq!(
            told(&gone),
            [
                "address 203.0.113.1 Removed",
                "unblock Partial +Let 203.0.113.1 in again; -Let 9.9.9.9 in again"
            ]
        );
        let later = START + Duration::from_secs(61);
        assert_eq!(
            told(&responder.tick(later, None)),
            [
                "address 203.0.113.3 Removed",
                "block Undone +Let 203.0.113.3 in again: the server was out of reach since it was blocked"
            ]
        );
        assert_eq!(told(&responder.counters(later)), ["address 203.0.113.2 Active"]);
    });
    assert!(thread.join().is_ok());
}
