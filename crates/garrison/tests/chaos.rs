//! Streams findings and log events while server and agent are killed with SIGKILL at random
//! points, then compares what is stored with what was made: the same set, each record once.
//!
//! `GARRISON_SEED` repeats a run, `GARRISON_COUNT` changes its size. The server and the agent are
//! processes of their own: this program again, told its part by its arguments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test: whatever is not as it should be ends it, and says so"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::link::{Channels, Config, Inbound, LinkState};
use agent::spool::{Lane, Limits, Spool, SpoolError};
use engine::content::Catalogue;
use model::finding::{Finding, FindingKind, Severity, Text};
use model::time::Timestamp;
use model::wire::{self, record};
use server::agents::Agents;
use server::ca::Authority;
use server::ingest::{LinkServer, listen};
use server::store::sqlite::SqliteStore;
use server::store::{Actor, AuditEntry, FindingFilter, FindingStore as _, PageAsk, Store};
use server::{clock, live};
use tokio::sync::{mpsc, watch};

const NAME: &str = "what_was_made_is_stored_once_whoever_is_killed";
const COUNT: u64 = 100_000;
const KILLS: u32 = 10;
const DEADLINE: Duration = Duration::from_mins(7);
/// Records appended at once; the pause after each keeps the stream going while it is disturbed.
const CHUNK: u64 = 200;
const PAUSE: Duration = Duration::from_millis(12);
const RULE: &str = "GAR-SIM-001";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["server", dir, address] => serve(Path::new(dir), address),
        ["agent", dir, seed, count] => {
            stream(Path::new(dir), seed.parse().unwrap(), count.parse().unwrap());
        }
        words if words.contains(&"--list") => {
            if !words.contains(&"--ignored") {
                println!("{NAME}: test");
            }
        }
        words if words.iter().any(|it| !it.starts_with('-') && !NAME.contains(it)) => {}
        _ => {
            disturb();
            println!("test {NAME} ... ok");
        }
    }
}

/// The test: starts both, kills both, compares.
fn disturb() {
    let from_environment = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let seed = from_environment("GARRISON_SEED").unwrap_or_else(|| clock::now().0.cast_unsigned());
    let count = from_environment("GARRISON_COUNT").unwrap_or(COUNT);
    println!("GARRISON_SEED={seed} GARRISON_COUNT={count}");
    let dir = tempfile::tempdir().unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = address.to_string();
    let part = |words: &[&str]| {
        let log = dir.path().join(format!("{}.log", words[0]));
        let log = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        Part(
            Command::new(std::env::current_exe().unwrap())
                .args(words)
                .stderr(log)
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        )
    };
    let path = dir.path().to_str().unwrap();
    let (seed_text, count_text) = (seed.to_string(), count.to_string());
    let start_server = || part(&["server", path, &address]);
    let start_agent = || part(&["agent", path, &seed_text, &count_text]);
    let began = Instant::now();
    let mut server = start_server();
    let mut agent = start_agent();
    let (mut random, mut server_kills, mut agent_kills) = (Random(seed), 0, 0);
    while server_kills < KILLS || agent_kills < KILLS {
        std::thread::sleep(Duration::from_millis(100 + random.next() % 900));
        if agent_kills == KILLS || (server_kills < KILLS && random.next().is_multiple_of(2)) {
            server.kill();
            server_kills += 1;
            server = start_server();
        } else {
            agent.kill();
            agent_kills += 1;
            agent = start_agent();
        }
    }
    println!(
        "killed the server {server_kills} and the agent {agent_kills} times in {:?}",
        began.elapsed()
    );
    while !agent.is_done() {
        assert!(began.elapsed() < DEADLINE, "not drained: {}", log_of(dir.path(), "agent"));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("everything acknowledged after {:?}", began.elapsed());
    server.kill();
    compare(dir.path(), seed, count);
}

fn log_of(dir: &Path, part: &str) -> String {
    std::fs::read_to_string(dir.join(format!("{part}.log"))).unwrap_or_default()
}

/// A child that does not outlive the test.
struct Part(Child);

impl Part {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Whether it ended; a failure ends the test.
    fn is_done(&mut self) -> bool {
        match self.0.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success(), "{status}");
                true
            }
            None => false,
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Every finding and every log event is there, each with one occurrence, and nothing else is.
fn compare(dir: &Path, seed: u64, count: u64) {
    let (alarms, telemetry): (Vec<u64>, Vec<u64>) = (0..count).partition(|it| is_alarm(seed, *it));
    block_on(async {
        let store = SqliteStore::open(&dir.join("garrison.db"), clock::now()).unwrap();
        let mut found = BTreeSet::new();
        let mut page = PageAsk { after: None, limit: 200 };
        loop {
            let got = store.findings(FindingFilter::default(), page.clone()).await.unwrap();
            for item in got.items.iter().filter(|it| it.rule == RULE) {
                assert_eq!(item.count, 1, "{} was counted twice", item.subject);
                assert!(found.insert(item.subject["item ".len()..].parse::<u64>().unwrap()));
            }
            let others: Vec<_> = got.items.iter().filter(|it| it.rule != RULE).collect();
            assert!(others.is_empty(), "nothing else was found: {others:?}");
            match got.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        let host = agent::identity::load(&dir.join("agent")).unwrap().host.parse().unwrap();
        let store: &dyn Store = &store;
        let mut events = Vec::new();
        let mut page = PageAsk { after: None, limit: 200 };
        loop {
            let got = store.log_events(host, page.clone()).await.unwrap();
            events.extend(
                got.items.iter().map(|it| it.text["item ".len()..].parse::<u64>().unwrap()),
            );
            match got.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        events.sort_unstable();
        println!("stored: {} findings, {} log events", found.len(), events.len());
        assert!(found.into_iter().eq(alarms), "the findings are not those that were made");
        assert_eq!(events, telemetry, "the log events are not those that were made");
    });
}

/// The server's part.
fn serve(dir: &Path, address: &str) {
    block_on(async {
        let now = clock::now();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&dir.join("garrison.db"), now).unwrap());
        let authority = Authority::open(&dir.join("ca"), &[], now).unwrap();
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let (agents, live) = (Arc::new(Agents::default()), live::channel());
        let endpoints = vec![address.to_owned()];
        let catalogue = Catalogue::embedded().unwrap();
        let link = LinkServer::new(authority, store, agents, live, endpoints, &catalogue).unwrap();
        let token = dir.join("token");
        if !token.exists() {
            let group = link.store.groups().await.unwrap().into_iter().find(|it| it.is_default);
            let audit = AuditEntry {
                at: now,
                actor: Actor::system(),
                address: String::new(),
                action: "token.create".to_owned(),
                target: String::new(),
                detail: serde_json::Value::Null,
            };
            let hour = Duration::from_hours(1);
            let minted = server::enrol::mint(&link, group.unwrap().id, hour, 50, audit).await;
            let next = dir.join("token.next");
            std::fs::write(&next, minted.unwrap().token.to_string()).unwrap();
            std::fs::rename(next, token).unwrap();
        }
        let (_stop, stopped) = watch::channel(false);
        listen(listener, Arc::new(link), stopped).await.unwrap();
    });
}

/// The agent's part: makes what is not yet in its spool, and ends when all is acknowledged.
fn stream(dir: &Path, seed: u64, count: u64) {
    let state_dir = dir.join("agent");
    block_on(async {
        while !agent::identity::exists(&state_dir) {
            enrol(dir, &state_dir).await;
        }
        let spool = open(&state_dir.join("spool"));
        let config = Config::new(state_dir);
        let (_hello, hello) = watch::channel(wire::Hello::default());
        let (_outbox, outbox) = mpsc::channel(1);
        let (inbox, mut inbound) = mpsc::channel::<Inbound>(64);
        let state = watch::Sender::new(LinkState::Offline(String::new()));
        let (_stop, stopped) = watch::channel(false);
        let channels = Channels { hello, outbox, inbox, state };
        tokio::spawn(agent::link::run(config, spool.clone(), channels, stopped));
        tokio::spawn(async move { while inbound.recv().await.is_some() {} });
        let making = spool.clone();
        tokio::task::spawn_blocking(move || make(&making, seed, count)).await.unwrap();
        loop {
            let stats = spool.stats();
            assert_eq!(stats.telemetry.dropped + stats.alarm.damaged + stats.telemetry.damaged, 0);
            if [stats.alarm, stats.telemetry].iter().all(|it| it.acked_seq == it.durable_seq) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

async fn enrol(dir: &Path, state_dir: &Path) {
    let token = std::fs::read_to_string(dir.join("token")).ok().and_then(|it| it.parse().ok());
    let facts = wire::HostFacts { machine_digest: vec![7; 32], ..wire::HostFacts::default() };
    let done = match token {
        Some(token) => agent::enrol::enrol(&token, state_dir, facts, clock::now()).await.is_ok(),
        None => false,
    };
    if !done {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The kernel frees the lock of a killed process a moment after it is gone.
fn open(dir: &Path) -> Spool {
    loop {
        match Spool::open(dir, Limits::default()) {
            Ok(it) => return it,
            Err(SpoolError::InUse { .. }) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Goes on behind the newest record of each lane that is safely on disk.
fn make(spool: &Spool, seed: u64, count: u64) {
    let after = |lane| spool.last_record(lane).unwrap().map_or(0, |it| number(&it) + 1);
    let (alarm_from, telemetry_from) = (after(Lane::Alarm), after(Lane::Telemetry));
    let from = alarm_from.min(telemetry_from);
    for start in (from..count).step_by(CHUNK as usize) {
        let (mut alarms, mut telemetry) = (Vec::new(), Vec::new());
        for it in start..(start + CHUNK).min(count) {
            if is_alarm(seed, it) {
                alarms.extend((it >= alarm_from).then(|| finding(it)));
            } else {
                telemetry.extend((it >= telemetry_from).then(|| event(it)));
            }
        }
        spool.append(Lane::Alarm, &alarms).unwrap();
        spool.append(Lane::Telemetry, &telemetry).unwrap();
        std::thread::sleep(PAUSE);
    }
    spool.flush(Lane::Telemetry).unwrap();
}

fn is_alarm(seed: u64, number: u64) -> bool {
    Random(seed ^ number).next().is_multiple_of(2)
}

fn finding(number: u64) -> wire::Record {
    let at = clock::now();
    let finding = Finding {
        kind: FindingKind::Alarm,
        rule: RULE.to_owned(),
        category: "simulated".to_owned(),
        severity: Severity::Low,
        subject: format!("item {number}"),
        sentence: Text { en: format!("simulated {number}"), zh: format!("模拟 {number}") },
        params: serde_json::Map::new(),
        evidence: Vec::new(),
        first_at: at,
        last_at: at,
        occurrences: 1,
        resolved: false,
        incident: String::new(),
        confidence: 0,
    };
    let finding = model::convert::finding_to_wire(finding, String::new());
    wire::Record { record: Some(record::Record::Finding(finding)) }
}

fn event(number: u64) -> wire::Record {
    let Timestamp(at_us) = clock::now();
    let text = format!("item {number}");
    let log = wire::LogEvent { at_us, source: "simulated".to_owned(), text };
    wire::Record { record: Some(record::Record::LogEvent(log)) }
}

fn number(record: &wire::Record) -> u64 {
    let text = match &record.record {
        Some(record::Record::Finding(it)) => &it.subject,
        Some(record::Record::LogEvent(it)) => &it.text,
        other => panic!("not made here: {other:?}"),
    };
    text["item ".len()..].parse().unwrap()
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work);
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
