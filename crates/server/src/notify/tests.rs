//! Notifications against real receivers on loopback.

mod http;
mod mail;
mod outbox;
mod syslog;

use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicI64, Ordering};

use model::finding::{FindingKind, Severity, Text};
use model::id::{FindingId, GroupId, HostId, RouteId};
use tempfile::TempDir;

use super::*;
use crate::store::conformance::{START, audit};
use crate::store::sqlite::SqliteStore;
use crate::store::{Cause, ChannelSet, DeliveryFilter, DeliveryState, PageAsk, Reach, RouteSet};
use route::RouteRule;

/// A store, a clock and a notifier that may reach loopback.
struct Rig {
    dir: TempDir,
    time: Arc<AtomicI64>,
    store: Arc<dyn Store>,
    notifier: Arc<Notifier>,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(START.0));
        let (store, notifier) = open(dir.path(), &time);
        let settings = NotifySettings {
            reach: Reach::Any,
            console_url: "https://garrison.example.org".to_owned(),
        };
        store.put_notify_settings(settings, audit(START, "settings")).await.unwrap();
        Self { dir, time, store, notifier }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.time.load(Ordering::Relaxed))
    }

    fn pass(&self, span: Duration) {
        self.time.fetch_add(i64::try_from(span.as_micros()).unwrap(), Ordering::Relaxed);
    }

    /// As after the death of the process.
    async fn restart(&mut self) {
        self.store.close().await.unwrap();
        (self.store, self.notifier) = open(self.dir.path(), &self.time);
    }

    async fn channel(&self, config: &ChannelConfig, secrets: &Secrets) -> ChannelId {
        let set = ChannelSet {
            name: format!("{} {}", config.kind(), self.store.channels().await.unwrap().len()),
            enabled: true,
            config: serde_json::to_value(config).unwrap(),
            sealed: self.notifier.seal(config, secrets).unwrap(),
        };
        self.store.create_channel(set, audit(self.now(), "channel")).await.unwrap().id
    }

    async fn route(&self, rule: RouteRule) -> RouteId {
        let name = format!("route {}", self.store.routes().await.unwrap().len());
        let set = RouteSet { name, enabled: true, rule };
        self.store.create_route(set, audit(self.now(), "route")).await.unwrap().id
    }

    /// Puts one alert into the outbox of `channel` for each number.
    async fn post(&self, channel: ChannelId, numbers: std::ops::Range<i64>) {
        let deliveries =
            numbers.map(|it| NewDelivery { channel, route: RouteId(1), message: alert(it) });
        let planned =
            Planned { at: self.now(), deliveries: deliveries.collect(), ..Planned::default() };
        self.store.planned(planned).await.unwrap();
    }

    /// Turns until the channels have no more to do for now.
    async fn turn(&self) {
        let mut sending = Sending::default();
        self.notifier.turn(&mut sending).await.unwrap();
        sending.all_ended().await;
    }

    async fn deliveries(&self, state: DeliveryState) -> Vec<Delivery> {
        let filter = DeliveryFilter { channel: None, state: Some(state) };
        let page = PageAsk { after: None, limit: 200 };
        self.store.deliveries(filter, page).await.unwrap().items
    }

    async fn try_channel(&self, config: &ChannelConfig, secrets: &Secrets) -> Result<(), String> {
        let id = self.channel(config, secrets).await;
        let sent = self.notifier.test(id, Language::En).await.unwrap();
        let health = self.store.channel(id).await.unwrap().health;
        assert_eq!(health.last_success_at.is_some(), sent.is_ok());
        assert_eq!(health.last_error, sent.as_ref().err().map_or("", |it| it.why.text.as_str()));
        sent.map_err(|it| it.why.text)
    }
}

fn open(dir: &Path, time: &Arc<AtomicI64>) -> (Arc<dyn Store>, Arc<Notifier>) {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&dir.join("g.db"), START).unwrap());
    let clock = Clock::Set(Arc::clone(time));
    let notifier = Notifier::new(Arc::clone(&store), dir, clock).unwrap();
    (store, notifier)
}

fn alert(number: i64) -> Message {
    let notice = Notice {
        finding: FindingId(number),
        cause: Cause::New,
        host: HostId(1),
        host_name: "web-1".to_owned(),
        group: GroupId(1),
        kind: FindingKind::Alarm,
        category: "brute_force".to_owned(),
        severity: Severity::High,
        rule: "GAR-LOG-001".to_owned(),
        subject: format!("subject {number}"),
        sentence: Text { en: format!("seen {number}"), zh: format!("发现 {number}") },
        at: START,
    };
    Message {
        language: Language::Zh,
        zone: "UTC".to_owned(),
        route: "r".to_owned(),
        at: START,
        console: String::new(),
        recipients: Vec::new(),
        body: Body::Alert { notice },
    }
}

fn key(key: &str) -> Secrets {
    Secrets { key: Some(key.to_owned()), ..Secrets::default() }
}

fn url(url: String) -> Secrets {
    Secrets { url: Some(url), ..Secrets::default() }
}

/// A program that ends with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate for loopback and its key, in files, and its text.
fn certificate(dir: &Path) -> String {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let pair = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&pair).unwrap();
    std::fs::write(dir.join("cert.pem"), made.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), pair.serialize_pem()).unwrap();
    made.pem()
}

/// Polls until `ready` gives something.
async fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(it) = ready() {
                return it;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), polling)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

#[test]
fn pauses_grow_and_end() {
    let delivery = |attempts| Delivery {
        id: DeliveryId(1),
        channel: ChannelId(1),
        route: None,
        created_at: START,
        next_at: START,
        attempts,
        state: DeliveryState::Waiting,
        message: alert(1),
        error: Because::default(),
        settled_at: None,
    };
    let pause = |attempts, retry_after: Option<u64>| {
        let why = SendError {
            why: "x".into(),
            is_permanent: false,
            retry_after: retry_after.map(Duration::from_secs),
        };
        match judged(&delivery(attempts), Err(why), START) {
            Attempt::Failed { next_at, .. } => Some(next_at.since(START).as_secs()),
            _ => None,
        }
    };
    let pauses: Vec<_> = (0..ATTEMPTS_MAX).map(|it| pause(it, None)).collect();
    assert_eq!(pauses[..6], [Some(10), Some(20), Some(40), Some(80), Some(160), Some(320)]);
    assert_eq!(pauses[14..], [Some(3600), None]);
    let all: u64 = pauses.iter().flatten().sum();
    assert!((7 * 3600..8 * 3600).contains(&all), "about seven hours: {all} s");
    assert_eq!(pause(0, Some(120)), Some(120), "what the service asks for");
    assert_eq!(pause(0, Some(1_000_000)), Some(3600), "within reason");
    let dead = judged(&delivery(0), Err(SendError::permanent("gone".into())), START);
    assert_eq!(dead, Attempt::Dead { error: "gone".into() });
}
