//! The thread that keeps the asset tables: reads what is due, tells the server what changed,
//! lets the rules judge, and carries out scans.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use engine::asset_risk::{self, AssetRisks, Look};
use model::because;
use model::because::Because;
use model::convert::finding_to_wire;
use model::finding::Finding;
use model::policy::Policy;
use model::time::Timestamp;
use model::wire::record::Record as Body;
use model::wire::{AssetDigest, CapabilityState, ItemState, Record, ScanItem, ScanProgress};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::clock::{ClockWatch, running};
use crate::collect::changes::ListenerWatch;
use crate::collect::process;
use crate::collect::process::table::Changes;
use crate::collect::{self, Cadence, Collected, Collector};
use crate::history::{Observation, Tables};
use crate::inspect::{self, Inspector, thread_cpu};
use crate::runtime::logins::Order;
use crate::runtime::reporter::Reporter;
use crate::schedule::Schedule;
use crate::spool::{Lane, Spool};

/// How often the listening sockets are compared with the last look.
const LISTENERS_EVERY: Duration = Duration::from_secs(1);
/// An unchanged table is announced this often, so that "last seen" moves on the server.
const ANNOUNCE_EVERY: Duration = Duration::from_hours(1);
/// Scans that wait while one runs; further ones are refused.
const SCANS_WAITING_MAX: usize = 8;
/// Prefix of the items of a scan that are asset tables.
const ITEM_PREFIX: &str = "asset.";

/// What other threads ask of this one.
#[derive(Debug)]
pub(super) enum Input {
    /// A scan task; empty items mean everything.
    Scan {
        id: String,
        items: Vec<String>,
    },
    /// The server found a table different from ours.
    Resync(String),
    /// A new stream: what the server holds.
    Reconcile(Vec<AssetDigest>),
    /// These processes began, ended or became another.
    Processes(Changes),
    Policy(Box<Policy>),
    Stop,
}

/// Why a scan task is not carried out.
pub(super) fn check_items(items: &[String]) -> Result<(), Because> {
    match items.iter().find(|it| collector_of(it).is_none()) {
        Some(unknown) => {
            Err(because!("task.no_item", "this agent has no scan item `{item}`", item = unknown))
        }
        None => Ok(()),
    }
}

fn collector_of(item: &str) -> Option<&'static Collector> {
    inspect::collector(item.strip_prefix(ITEM_PREFIX)?)
}

pub(super) struct AssetWorker {
    inspector: Inspector,
    spool: Spool,
    reporter: Reporter,
    risks: AssetRisks,
    policy: Policy,
    tables: Tables,
    schedule: Schedule,
    announced: BTreeMap<&'static str, Timestamp>,
    open: OpenRisks,
    scans: VecDeque<Scan>,
    listeners: Option<ListenerWatch>,
    listeners_at: Timestamp,
    accounts: Option<mpsc::Sender<Order>>,
    watch: ClockWatch,
    clock: fn() -> Timestamp,
}

/// A scan that runs or waits.
struct Scan {
    id: String,
    items: Vec<ScanItem>,
    left: VecDeque<&'static Collector>,
}

impl AssetWorker {
    /// `state` is the file that remembers which risks are open over a restart.
    pub(super) fn new(
        (inspector, spool, reporter): (Inspector, Spool, Reporter),
        risks: AssetRisks,
        policy: Policy,
        state: PathBuf,
        clock: fn() -> Timestamp,
    ) -> Self {
        let now = clock();
        let mut schedule = Schedule::default();
        for collector in collect::ALL {
            schedule.add(collector.spec.kind, every(collector, &policy), now);
        }
        Self {
            inspector,
            spool,
            reporter,
            risks,
            policy,
            tables: Tables::default(),
            schedule,
            announced: BTreeMap::new(),
            open: OpenRisks::load(state),
            scans: VecDeque::new(),
            listeners: ListenerWatch::open().ok(),
            listeners_at: now,
            accounts: None,
            watch: ClockWatch::default(),
            clock,
        }
    }

    /// Tells the thread that decides about log-ins which accounts should let nobody in.
    pub(super) fn telling_accounts(self, logins: mpsc::Sender<Order>) -> Self {
        Self { accounts: Some(logins), ..self }
    }

    /// Works until told to stop or until nobody can tell it anything any more.
    pub(super) fn run(mut self, inputs: &Receiver<Input>) {
        match self.listeners {
            Some(_) => self.reporter.one("port_changes", CapabilityState::Active, ""),
            None => self.reporter.one(
                "port_changes",
                CapabilityState::Degraded,
                because!(
                    "port_changes.no_list",
                    "the kernel does not list sockets, so new listeners are seen once a minute only"
                ),
            ),
        }
        loop {
            let now = (self.clock)();
            if let Some(by_us) = self.watch.set_by(now, running()) {
                self.schedule.move_clock(by_us);
            }
            let wait = if self.scans.is_empty() {
                self.schedule.sleep(now).unwrap_or(LISTENERS_EVERY).min(LISTENERS_EVERY)
            } else {
                Duration::ZERO
            };
            match inputs.recv_timeout(wait) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(input) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.watch_listeners();
            if self.scans.is_empty() {
                self.read_due();
            } else {
                self.scan_step();
            }
        }
    }

    fn take(&mut self, input: Input) {
        let now = (self.clock)();
        match input {
            Input::Scan { id, items } => self.begin_scan(id, &items),
            Input::Resync(kind) => {
                self.tables.resync(&kind);
                self.schedule.changed(&kind, now);
            }
            Input::Reconcile(digests) => {
                for kind in self.tables.reconcile(&digests) {
                    self.schedule.changed(kind, now);
                }
            }
            Input::Processes(changes) => {
                self.inspector.processes_changed(&changes);
                self.schedule.changed(process::COLLECTOR.spec.kind, now);
            }
            Input::Policy(policy) => {
                for collector in collect::ALL {
                    self.schedule.set_every(collector.spec.kind, every(collector, &policy));
                }
                if policy.ports != self.policy.ports {
                    self.schedule.changed("port", now);
                }
                self.policy = *policy;
            }
            Input::Stop => {}
        }
    }

    /// The kernel does not tell of new listeners, but comparing them costs next to nothing.
    fn watch_listeners(&mut self) {
        let now = (self.clock)();
        if !now.is_due(self.listeners_at, LISTENERS_EVERY) {
            return;
        }
        self.listeners_at = now;
        match self.listeners.as_mut().map(ListenerWatch::changed) {
            Some(Ok(true)) => self.schedule.changed("port", now),
            Some(Ok(false)) => {}
            Some(Err(error)) => {
                let why = because!(
                    "port_changes.failed",
                    "new listeners are seen once a minute only: {cause}",
                    cause = error
                );
                self.reporter.one("port_changes", CapabilityState::Degraded, why);
                self.listeners = None;
            }
            None => {}
        }
    }

    fn read_due(&mut self) {
        if let Some(collector) = self.schedule.due((self.clock)()).and_then(inspect::collector) {
            self.read(collector, String::new());
        }
    }

    /// Reads one table and sends what came of it. Returns what the scan item says.
    fn read(&mut self, collector: &'static Collector, scan: String) -> ScanItem {
        let (began, cpu) = ((self.clock)(), thread_cpu());
        let Collected { rows, skipped, complete } = self.inspector.collect(collector, began);
        let kind = collector.spec.kind;
        let due = self.announced.get(kind).is_none_or(|it| began.is_due(*it, ANNOUNCE_EVERY));
        let announce = due || !scan.is_empty();
        if announce {
            self.announced.insert(kind, began);
        }
        let first = skipped.first().cloned().unwrap_or_default();
        let mut item = ScanItem {
            item: format!("{ITEM_PREFIX}{kind}"),
            state: (if complete { ItemState::Done } else { ItemState::Partial }).into(),
            rows: rows.len() as u64,
            findings: 0,
            reason: first.text,
            why: first.reason.map(Into::into),
        };
        if let Some(logins) = self.accounts.as_ref().filter(|_| kind == "account") {
            let names = engine::login::disabled_accounts(&rows, began);
            // The thread that listens ends after this one.
            let _ = logins.blocking_send(Order::DisabledAccounts(names));
        }
        let look = Look {
            kind,
            key: collector.spec.key,
            rows: &rows,
            ports: &self.policy.ports,
            now: began,
        };
        let found = self.risks.assess(&look);
        item.findings = found.len() as u64;
        self.send_risks(kind, found, complete, &scan, began);
        let look = Observation { rows, skipped, complete, at: began, scan, announce };
        let deltas = self.tables.observe(collector.spec, look);
        let records: Vec<Record> =
            deltas.into_iter().map(|it| record(Body::AssetDelta(it))).collect();
        if let Err(error) = self.spool.append(Lane::Telemetry, &records) {
            tracing::error!(kind, %error, "the asset table could not be queued");
            self.tables.resync(kind);
        }
        self.schedule.read(kind, began, (self.clock)(), thread_cpu().saturating_sub(cpu));
        item
    }

    /// Sends risks that began or ended since the last look. What the alarm lane does not take
    /// is tried again at the next look.
    fn send_risks(
        &mut self,
        kind: &str,
        found: Vec<Finding>,
        complete: bool,
        scan: &str,
        now: Timestamp,
    ) {
        let before = self.open.of(kind);
        let (raised, resolved) = asset_risk::diff(before, &found, now);
        // A row that could not be read proves nothing about its risk.
        let resolved = if complete { resolved } else { Vec::new() };
        if raised.is_empty() && resolved.is_empty() {
            return;
        }
        let records: Vec<Record> = raised
            .iter()
            .chain(&resolved)
            .map(|it| record(Body::Finding(finding_to_wire(it.clone(), scan.to_owned()))))
            .collect();
        match self.spool.append(Lane::Alarm, &records) {
            Ok(()) => self.open.change(kind, raised, &resolved),
            Err(error) => tracing::error!(kind, %error, "asset risks could not be queued"),
        }
    }

    fn begin_scan(&mut self, id: String, items: &[String]) {
        if self.scans.len() >= SCANS_WAITING_MAX || self.scans.iter().any(|it| it.id == id) {
            tracing::warn!(scan = id, "scan not begun: already queued, or too many wait");
            return;
        }
        let wanted = |it: &&&'static Collector| {
            items.is_empty() || items.contains(&format!("{ITEM_PREFIX}{}", it.spec.kind))
        };
        let left: VecDeque<&'static Collector> =
            collect::ALL.iter().filter(wanted).copied().collect();
        let items = left
            .iter()
            .map(|it| ScanItem {
                item: format!("{ITEM_PREFIX}{}", it.spec.kind),
                state: ItemState::Queued.into(),
                ..ScanItem::default()
            })
            .collect();
        let scan = Scan { id, items, left };
        self.send_progress(&scan);
        self.inspector.forget_processes();
        self.scans.push_back(scan);
    }

    /// One table of the running scan.
    fn scan_step(&mut self) {
        let Some(mut scan) = self.scans.pop_front() else { return };
        if let Some(collector) = scan.left.pop_front() {
            scan.set(collector, ItemState::Running);
            self.send_progress(&scan);
            let item = self.read(collector, scan.id.clone());
            if let Some(place) = scan.items.iter_mut().find(|it| it.item == item.item) {
                *place = item;
            }
        }
        self.send_progress(&scan);
        if !scan.left.is_empty() {
            self.scans.push_front(scan);
        }
    }

    fn send_progress(&self, scan: &Scan) {
        let progress = ScanProgress {
            scan: scan.id.clone(),
            items: scan.items.clone(),
            finished: scan.left.is_empty() && scan.items.iter().all(is_over),
            at_us: (self.clock)().0,
        };
        if let Err(error) =
            self.spool.append(Lane::Telemetry, &[record(Body::ScanProgress(progress))])
        {
            tracing::error!(%error, "scan progress could not be queued");
        }
    }
}

impl Scan {
    fn set(&mut self, collector: &Collector, state: ItemState) {
        let name = format!("{ITEM_PREFIX}{}", collector.spec.kind);
        if let Some(item) = self.items.iter_mut().find(|it| it.item == name) {
            item.set_state(state);
        }
    }
}

fn is_over(item: &ScanItem) -> bool {
    matches!(item.state(), ItemState::Done | ItemState::Partial | ItemState::Failed)
}

fn every(collector: &Collector, policy: &Policy) -> Duration {
    Duration::from_secs(u64::from(match collector.cadence {
        Cadence::Fast => policy.collect.fast_s.max(1),
        Cadence::Slow => policy.collect.slow_s.max(1),
    }))
}

fn record(body: Body) -> Record {
    Record { record: Some(body) }
}

/// Which asset risks are open, kept over a restart so that they are neither raised twice nor
/// left open for ever.
#[derive(Debug)]
struct OpenRisks {
    file: PathBuf,
    kinds: Kinds,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kinds(BTreeMap<String, Vec<Finding>>);

const OPEN_BYTES_MAX: usize = 16 * 1024 * 1024;

impl OpenRisks {
    /// A missing or damaged file means nothing is known to be open: risks are then raised
    /// again, which merges with what the server has.
    fn load(file: PathBuf) -> Self {
        let kinds = crate::state::read(&file, OPEN_BYTES_MAX)
            .and_then(|it| serde_json::from_slice(&it).ok())
            .unwrap_or_default();
        Self { file, kinds }
    }

    fn of(&self, kind: &str) -> &[Finding] {
        self.kinds.0.get(kind).map_or(&[], Vec::as_slice)
    }

    fn change(&mut self, kind: &str, raised: Vec<Finding>, resolved: &[Finding]) {
        let open = self.kinds.0.entry(kind.to_owned()).or_default();
        open.retain(|it| {
            !resolved.iter().any(|gone| gone.rule == it.rule && gone.subject == it.subject)
        });
        open.extend(raised);
        if let Err(error) = crate::state::write_json(&self.file, &self.kinds) {
            tracing::warn!(%error, "open risks could not be remembered");
        }
    }
}
