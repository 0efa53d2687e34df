use std::time::{SystemTime, UNIX_EPOCH};

use engine::place::Cidr;
use model::wire::record::Record as Body;
use model::wire::{BlockedState, ResponseState};

use super::*;
use crate::host_root::HostRoot;
use crate::respond::namespace::private_network;
use crate::spool::Limits;
use crate::verdict::Verdicts;

#[expect(clippy::disallowed_methods, reason = "the thread under test runs in real time")]
fn now() -> Timestamp {
    Timestamp(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Everything on the alarm lane so far.
fn told(spool: &Spool) -> Vec<Body> {
    let mut bodies = Vec::new();
    let mut after = 0;
    while let Some(batch) = spool.next_batch(Lane::Alarm, after).unwrap() {
        after = batch.last_seq();
        bodies.extend(batch.records().unwrap().into_iter().filter_map(|it| it.record));
    }
    bodies
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a responder in a network of its own and has it block one address by itself.
fn with_a_block(dead_man_s: u32, test: impl FnOnce(&Spool) + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if let Err(error) = private_network() {
            eprintln!("skipped: no network namespace of its own: {error}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("spool"), Limits::default()).unwrap();
        let mut policy = Policy::default();
        policy.response.dead_man_s = dead_man_s;
        let root = HostRoot::live().unwrap();
        let verdicts = Verdicts::load(dir.path());
        let opened = Responder::open(root, dir.path(), policy, Vec::new(), verdicts, now());
        let (responder, records) = opened.unwrap();
        let worker = Worker::new(responder, records, spool.clone(), now);
        let (act, actions) = sync_channel(1);
        let (orders, thread) = start(worker, actions, 8).unwrap();
        act.send(Action::Block {
            block: Cidr::parse("203.0.113.9").unwrap(),
            finding: "f-1".to_owned(),
            reason: "GAR-LOG-001".to_owned(),
        })
        .unwrap();
        let active = |it: &Body| matches!(it, Body::BlockedAddress(it) if it.automatic);
        until("the block is reported", || told(&spool).iter().any(active));
        test(&spool);
        orders.send(Order::Stop).unwrap();
        thread.join().unwrap();
    });
    assert!(thread.join().is_ok());
}

fn undone(spool: &Spool) -> bool {
    let is = |it: &Body| match it {
        Body::BlockedAddress(it) => it.state() == BlockedState::Removed,
        Body::ResponseReport(it) => it.state() == ResponseState::Undone,
        _ => false,
    };
    told(spool).iter().filter(|it| is(it)).count() == 2
}

#[test]
fn a_block_by_itself_is_taken_back_without_the_server() {
    with_a_block(1, |spool| until("it is taken back", || undone(spool)));
}

#[test]
fn a_block_that_the_server_heard_of_stays() {
    with_a_block(4, |spool| {
        // The server acknowledges whatever there is, as long as the block is in doubt.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(6) {
            let lane = spool.stats().alarm;
            spool.ack(Lane::Alarm, lane.epoch, lane.durable_seq).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!undone(spool), "{:?}", told(spool));
    });
}
