//! A server and its agents in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::link::{Channels, Config, Inbound, LinkState};
use agent::spool::{Lane, Limits, Spool, SpoolError};
use engine::content::Catalogue;
use model::enrol::EnrolToken;
use model::id::HostId;
use model::time::Timestamp;
use model::wire;
use server::agents::Agents;
use server::ca::Authority;
use server::enrol::mint;
use server::ingest::{LinkServer, LinkSettings, listen};
use server::store::sqlite::SqliteStore;
use server::store::{
    Actor, AuditEntry, Connection, FindingFilter, FindingItem, LogEvent, PageAsk, Store,
};
use server::{clock, live};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn audit(at: Timestamp) -> AuditEntry {
    AuditEntry {
        at,
        actor: Actor::system(),
        address: String::new(),
        action: "test".to_owned(),
        target: String::new(),
        detail: serde_json::Value::Null,
    }
}

pub(crate) struct Server {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) link: Arc<LinkServer>,
    pub(crate) store: Arc<dyn Store>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(settings: LinkSettings) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), "127.0.0.1:0", settings).await
    }

    async fn start_in(dir: tempfile::TempDir, address: &str, settings: LinkSettings) -> Self {
        let now = clock::now();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&dir.path().join("garrison.db"), now).unwrap());
        let authority = Authority::open(&dir.path().join("ca"), &[], now).unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let endpoints = vec![listener.local_addr().unwrap().to_string()];
        let (agents, live) = (Arc::new(Agents::default()), live::channel());
        let catalogue = Catalogue::embedded().unwrap();
        let mut link =
            LinkServer::new(authority, Arc::clone(&store), agents, live, endpoints, &catalogue)
                .unwrap();
        link.settings = settings;
        let link = Arc::new(link);
        let (stop, stopped) = watch::channel(false);
        let serving = listen(listener, Arc::clone(&link), stopped);
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { dir, link, store, stop, task }
    }

    pub(crate) async fn token(&self, ttl: Duration, uses: u32) -> EnrolToken {
        let now = clock::now();
        let group = self.store.groups().await.unwrap().into_iter().find(|it| it.is_default);
        mint(&self.link, group.unwrap().id, ttl, uses, audit(now)).await.unwrap().token
    }

    pub(crate) fn endpoint(&self) -> String {
        self.link.endpoints[0].clone()
    }

    /// Stops, and starts again on the same port with the same data.
    pub(crate) async fn restart(self) -> Self {
        let (endpoint, settings) = (self.endpoint(), self.link.settings);
        let dir = self.stop().await;
        Self::start_in(dir, &endpoint, settings).await
    }

    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.store.close().await.unwrap();
        self.dir
    }

    pub(crate) async fn connection(&self, host: HostId) -> Connection {
        self.store.host(host, clock::now()).await.unwrap().host.connection
    }

    pub(crate) async fn findings(&self, rule: &str) -> Vec<FindingItem> {
        let page = PageAsk { after: None, limit: 200 };
        let all = self.store.findings(FindingFilter::default(), page).await.unwrap();
        all.items.into_iter().filter(|it| it.rule == rule).collect()
    }

    pub(crate) async fn log_events(&self, host: HostId) -> Vec<LogEvent> {
        let mut page = PageAsk { after: None, limit: 200 };
        let mut all = Vec::new();
        loop {
            let got = self.store.log_events(host, page.clone()).await.unwrap();
            all.extend(got.items);
            match got.next {
                Some(next) => page.after = Some(next),
                None => return all,
            }
        }
    }
}

pub(crate) struct Agent {
    pub(crate) host: HostId,
    pub(crate) spool: Spool,
    pub(crate) inbox: mpsc::Receiver<Inbound>,
    pub(crate) state: watch::Receiver<LinkState>,
    pub(crate) outbox: mpsc::Sender<wire::TaskUpdate>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _hello: watch::Sender<wire::Hello>,
}

pub(crate) fn facts(machine: &str) -> wire::HostFacts {
    let digest = (!machine.is_empty()).then(|| blake(machine));
    wire::HostFacts {
        name: format!("machine-{machine}"),
        machine_digest: digest.unwrap_or_default(),
        ..wire::HostFacts::default()
    }
}

/// Any 32 bytes that differ with the name.
fn blake(machine: &str) -> Vec<u8> {
    machine.bytes().cycle().take(32).collect()
}

impl Agent {
    /// Enrols a new machine and starts its link.
    pub(crate) async fn enrolled(server: &Server, dir: &Path, machine: &str) -> Self {
        let token = server.token(Duration::from_mins(10), 1).await;
        agent::enrol::enrol(&token, dir, facts(machine), clock::now()).await.unwrap();
        Self::start(dir, machine, "spool")
    }

    pub(crate) fn start(dir: &Path, machine: &str, spool: &str) -> Self {
        let identity = agent::identity::load(dir).unwrap();
        let spool = opened(&dir.join(spool));
        let hello = watch::Sender::new(wire::Hello {
            facts: Some(facts(machine)),
            ..wire::Hello::default()
        });
        let (outbox_sender, outbox) = mpsc::channel(16);
        let (inbox_sender, inbox) = mpsc::channel(64);
        let state = watch::Sender::new(LinkState::Offline(String::new()));
        let (stop, stopped) = watch::channel(false);
        let seen = state.subscribe();
        let channels = Channels { hello: hello.subscribe(), outbox, inbox: inbox_sender, state };
        let config =
            Config { heartbeat: Duration::from_millis(200), ..Config::new(dir.to_owned()) };
        let running = agent::link::run(config, spool.clone(), channels, stopped);
        let task = tokio::spawn(async move { running.await.unwrap() });
        Self {
            host: identity.host.parse().unwrap(),
            spool,
            inbox,
            state: seen,
            outbox: outbox_sender,
            stop,
            task,
            _hello: hello,
        }
    }

    pub(crate) async fn online(&mut self) {
        let online = self.state.wait_for(|it| matches!(it, LinkState::Online { .. }));
        tokio::time::timeout(DEADLINE, online).await.expect("online").unwrap();
    }

    /// Waits until the link says why it is offline, with `part` in it.
    pub(crate) async fn offline(&mut self, part: &str) {
        let offline = self
            .state
            .wait_for(|it| matches!(it, LinkState::Offline(reason) if reason.contains(part)));
        let in_time = tokio::time::timeout(DEADLINE, offline).await.is_ok();
        assert!(in_time, "not offline with `{part}`: {:?}", *self.state.borrow());
    }

    /// Log events `from..to`, on `lane`.
    pub(crate) async fn log(&self, lane: Lane, from: u64, to: u64) {
        let records: Vec<_> = (from..to).map(event).collect();
        let spool = self.spool.clone();
        tokio::task::spawn_blocking(move || {
            for chunk in records.chunks(100) {
                spool.append(lane, chunk).unwrap();
            }
            spool.flush(lane).unwrap();
        })
        .await
        .unwrap();
    }

    /// Waits until everything is acknowledged.
    pub(crate) async fn drained(&self) {
        until("everything acknowledged", || async {
            let stats = self.spool.stats();
            [stats.alarm, stats.telemetry].iter().all(|it| it.acked_seq == it.durable_seq)
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }

    /// As `kill -9` would: no goodbye.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// An agent that was killed within this process may hold its spool a moment longer.
fn opened(dir: &Path) -> Spool {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match Spool::open(dir, Limits::default()) {
            Ok(it) => return it,
            Err(SpoolError::InUse { .. }) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn event(number: u64) -> wire::Record {
    let log = wire::LogEvent {
        at_us: clock::now().0,
        source: "test".to_owned(),
        text: format!("event {number}"),
    };
    wire::Record { record: Some(wire::record::Record::LogEvent(log)) }
}

/// Polls until `done`.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, done: impl Fn() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !done().await {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
