//! The thread that detects: events of the kernel in, alarms for the alarm lane out. A failure
//! costs this thread's work until it has started again, and is an alarm itself.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::content::Catalogue;
use model::because;
use model::because::{Because, whole};
use model::convert::finding_to_wire;
use model::policy::DetectPolicy;
use model::time::Timestamp;
use model::wire::record::Record as Body;
use model::wire::{CapabilityState, Record, WhitelistHits};
use sensor::Tier;

use super::assets::Input;
use super::reporter::Reporter;
use crate::clock::{ClockWatch, running};
use crate::collect::process::table::Changes;
use crate::costs::Costs;
use crate::detect::core::{RULES, SENSOR};
use crate::detect::{Alarm, Core, DetectError, Opening, Options};
use crate::respond::answers::Answers;
use crate::spool::{Lane, Spool};
use crate::status::{CapabilityStatus, DetectionStatus, Feature, SensorStatus, Status};
use crate::verdict::Verdicts;

/// Orders that wait for the thread.
const ORDERS_MAX: usize = 64;
/// How long one step waits for events: the longest an order waits.
const STEP: Duration = Duration::from_millis(100);
const STATUS_EVERY: Duration = Duration::from_secs(5);
const KEEP_EVERY: Duration = Duration::from_mins(1);
/// Beginnings and ends of processes within this long are one change of their table.
const PROCESSES_EVERY: Duration = Duration::from_millis(250);
/// Before the next start after a failure; doubled each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// What is known of processes beside their table's cadence.
const PROCESSES: &str = "process_events";
/// Records that wait for the alarm lane to take them again.
const PENDING_MAX: usize = 10_000;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Policy(Box<DetectPolicy>),
    Stop,
}

/// What the thread works with.
pub(super) struct Worker {
    pub(super) catalogue: Catalogue,
    pub(super) policy: DetectPolicy,
    pub(super) state_dir: PathBuf,
    pub(super) spool: Spool,
    pub(super) reporter: Reporter,
    pub(super) costs: Costs,
    pub(super) verdicts: Verdicts,
    pub(super) answers: Answers,
    /// Reads the table of processes again when some have changed.
    pub(super) assets: SyncSender<Input>,
    /// Sensor and host, which were begun before the rest of the agent.
    pub(super) opening: Option<Opening>,
    pub(super) clock: fn() -> Timestamp,
}

/// A running thread.
pub(super) struct Running {
    pub(super) orders: SyncSender<Order>,
    pub(super) thread: JoinHandle<()>,
}

pub(super) fn start(worker: Worker) -> std::io::Result<Running> {
    let (orders, ordered) = sync_channel(ORDERS_MAX);
    let thread = std::thread::Builder::new().name("detection".to_owned());
    let thread = thread.spawn(move || State::new(worker).run(&ordered))?;
    Ok(Running { orders, thread })
}

/// As much as sensor and host need to be opened.
fn begun(state_dir: &Path, policy: &DetectPolicy, verdicts: &Verdicts) -> Options {
    Options {
        state_dir: Some(state_dir.to_owned()),
        policy: policy.clone(),
        verdicts: verdicts.clone(),
        ..Options::new(Catalogue::default())
    }
}

/// Has sensor and host opened. What fails here is tried, and told, by the thread.
pub(super) fn begin(
    state_dir: &Path,
    policy: &DetectPolicy,
    verdicts: &Verdicts,
    now: Timestamp,
) -> Option<Opening> {
    Opening::begin(&begun(state_dir, policy, verdicts), now).ok()
}

/// Why one life of the pipeline ended.
enum End {
    Stopped,
    Failed(String),
}

struct State {
    worker: Worker,
    pending: Vec<Record>,
    overflowed: u64,
    restarts: u64,
    status_at: Timestamp,
    kept_at: Timestamp,
    processes_at: Timestamp,
    watch: ClockWatch,
    changed_processes: Changes,
}

impl State {
    fn new(worker: Worker) -> Self {
        let now = (worker.clock)();
        Self {
            worker,
            pending: Vec::new(),
            overflowed: 0,
            restarts: 0,
            status_at: now,
            kept_at: now,
            processes_at: now,
            watch: ClockWatch::default(),
            changed_processes: Changes::default(),
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        let mut pause = PAUSE_MIN;
        let mut failure = None;
        loop {
            let began = Instant::now();
            let life = catch_unwind(AssertUnwindSafe(|| self.live(orders, failure.take())));
            let reason = match life {
                Ok(End::Stopped) => return,
                Ok(End::Failed(reason)) => reason,
                Err(panic) => format!("it panicked: {}", panic_text(&*panic)),
            };
            tracing::error!(reason, "detection failed and is started again");
            let told = because!("detection.failed", "detection failed: {cause}", cause = reason);
            self.worker.reporter.one(SENSOR, CapabilityState::Missing, told.clone());
            self.worker.reporter.one(RULES, CapabilityState::Missing, told);
            let why = because!(
                "process_events.failed",
                "{cause}, so processes are read once a minute only",
                cause = reason
            );
            self.worker.reporter.one(PROCESSES, CapabilityState::Degraded, why);
            if began.elapsed() > PAUSE_MAX {
                pause = PAUSE_MIN;
            }
            if self.waits(orders, pause) {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
            failure = Some(reason);
            self.restarts += 1;
        }
    }

    /// True: told to stop meanwhile.
    fn waits(&mut self, orders: &Receiver<Order>, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match orders.recv_timeout(left) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(Order::Policy(policy)) => self.worker.policy = *policy,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    fn live(&mut self, orders: &Receiver<Order>, failure: Option<String>) -> End {
        let mut core = match self.open() {
            Ok(core) => core,
            Err(error) => return End::Failed(whole(&error)),
        };
        self.report(&core);
        let mut was_whole = core.is_whole();
        let mut alarms = Vec::new();
        if let Some(reason) = failure {
            core.failed(&reason, (self.worker.clock)(), &mut alarms);
        }
        loop {
            match orders.try_recv() {
                Ok(Order::Policy(policy)) => {
                    // Watched paths are the sensor's, which is opened with them.
                    let reopen = policy.watched_paths != self.worker.policy.watched_paths;
                    core.set_policy(&policy);
                    self.worker.policy = *policy;
                    if reopen {
                        keep(&mut core);
                        drop(core);
                        match self.open() {
                            Ok(it) => core = it,
                            Err(error) => return End::Failed(whole(&error)),
                        }
                    }
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => {
                    core.drain(&mut alarms);
                    self.take(&mut alarms);
                    self.send();
                    keep(&mut core);
                    return End::Stopped;
                }
                Err(TryRecvError::Empty) => {}
            }
            if let Err(error) = core.step(STEP, self.worker.clock, &mut alarms) {
                return End::Failed(whole(&error));
            }
            if !was_whole && core.is_whole() {
                was_whole = true;
                self.report(&core);
            }
            self.take(&mut alarms);
            self.send();
            self.housekeeping(&mut core);
        }
    }

    fn open(&mut self) -> Result<Core, DetectError> {
        let worker = &mut self.worker;
        let options = Options {
            costs: worker.costs.clone(),
            catalogue: worker.catalogue.clone(),
            sweeps: true,
            ..begun(&worker.state_dir, &worker.policy, &worker.verdicts)
        };
        match worker.opening.take() {
            Some(opening) => Core::finish(opening, options, worker.clock),
            None => Core::open(options, worker.clock),
        }
    }

    fn take(&mut self, alarms: &mut Vec<Alarm>) {
        let now = (self.worker.clock)();
        for alarm in alarms.iter().filter(|it| !it.is_repeat) {
            // Before the write to disk that queues it for the server.
            self.worker.answers.consider(&alarm.finding, now);
        }
        let finding = |it: Alarm| Body::Finding(finding_to_wire(it.finding, String::new()));
        let records = alarms.drain(..).map(finding);
        self.pending.extend(records.map(|it| Record { record: Some(it) }));
    }

    /// Hands everything pending to the alarm lane, or keeps it for the next try.
    fn send(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match self.worker.spool.append(Lane::Alarm, &self.pending) {
            Ok(()) => self.pending.clear(),
            Err(error) => {
                let over = self.pending.len().saturating_sub(PENDING_MAX);
                self.pending.truncate(PENDING_MAX);
                self.overflowed += over as u64;
                self.worker.costs.set_lost(RULES, self.overflowed);
                tracing::error!(%error, lost = self.overflowed, "alarms could not be queued, trying again");
            }
        }
    }

    fn housekeeping(&mut self, core: &mut Core) {
        let now = (self.worker.clock)();
        if let Some(by_us) = self.watch.set_by(now, running()) {
            tracing::warn!(
                by_s = by_us / 1_000_000,
                "the clock was set, what is counted moves along"
            );
            core.move_clock(by_us);
        }
        self.changed_processes.extend(&core.take_changed_processes());
        if !self.changed_processes.is_empty() && now.is_due(self.processes_at, PROCESSES_EVERY) {
            self.processes_at = now;
            let changes = std::mem::take(&mut self.changed_processes);
            // A full channel means a busy asset thread: it is told the next time.
            if let Err(TrySendError::Full(Input::Processes(changes))) =
                self.worker.assets.try_send(Input::Processes(changes))
            {
                self.changed_processes = changes;
            }
        }
        if now.is_due(self.status_at, STATUS_EVERY) {
            self.status_at = now;
            self.report(core);
            for it in core.take_hits() {
                let hits = WhitelistHits { entry: it.entry, hits: it.hits, at_us: it.at.0 };
                self.pending.push(Record { record: Some(Body::WhitelistHits(hits)) });
            }
            if let Err(error) = self.status(core, now).write(&self.worker.state_dir) {
                tracing::warn!(%error, "the status file could not be written");
            }
        }
        if now.is_due(self.kept_at, KEEP_EVERY) {
            self.kept_at = now;
            keep(core);
        }
    }

    /// The tier, what of it is missing and what was lost, for the server.
    fn report(&self, core: &Core) {
        let health = core.health();
        let missing = health.missing.iter().filter(|it| it.is_loss());
        let missing: Vec<String> =
            missing.map(|it| format!("{} ({})", it.name, it.reason)).collect();
        let state = if health.tier == Tier::Ebpf && missing.is_empty() {
            CapabilityState::Active
        } else {
            CapabilityState::Degraded
        };
        let why = if missing.is_empty() {
            Because::default()
        } else {
            because!(
                "sensor.missing",
                "events come by {tier}; missing: {parts}",
                tier = health.tier,
                parts = missing.join(", ")
            )
        };
        self.worker.reporter.one(SENSOR, state, why);
        self.worker.reporter.one(PROCESSES, CapabilityState::Active, "");
        let refused: Vec<String> = core.refusals().iter().map(ToString::to_string).collect();
        match refused.first() {
            None => self.worker.reporter.one(RULES, CapabilityState::Active, ""),
            Some(first) => {
                let why = because!(
                    "rules.refused",
                    "{count} of your rules do not work, first {first}",
                    count = refused.len(),
                    first = first
                );
                self.worker.reporter.one(RULES, CapabilityState::Degraded, why);
            }
        }
    }

    fn status(&self, core: &Core, now: Timestamp) -> Status {
        let health = core.health();
        let lost = health.lost.iter().map(|it| {
            let place = it.cpu.map_or_else(|| "any".to_owned(), |it| it.to_string());
            (format!("{place}/{}", it.kind), format!("{:?}", it.cause).to_lowercase(), it.count)
        });
        let enricher = core.enricher();
        let feature = |it: model::wire::FeatureCost| Feature {
            id: it.id,
            cpu_us: it.cpu_us,
            events: it.events,
            lost: it.lost,
        };
        let capability = |it: model::wire::Capability| CapabilityStatus {
            state: match it.state() {
                CapabilityState::Active => "active",
                CapabilityState::Degraded => "degraded",
                CapabilityState::Off => "off",
                CapabilityState::Missing | CapabilityState::Unspecified => "missing",
            }
            .to_owned(),
            id: it.id,
            reason: it.reason,
        };
        Status {
            at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            resident_bytes: crate::link::usage().0,
            sensor: SensorStatus {
                tier: health.tier.to_string(),
                attached: health.attached.len(),
                missing: health
                    .missing
                    .iter()
                    .map(|it| (it.name.clone(), it.reason.clone()))
                    .collect(),
                events: health.events,
                lost: lost.collect(),
            },
            detection: DetectionStatus {
                rules: core.rules(),
                refused: core.refusals().iter().map(ToString::to_string).collect(),
                processes: enricher.processes.len(),
                forgotten: enricher.processes.stats.forgotten,
                undigested: enricher.images.undigested,
                restarts: self.restarts,
            },
            features: self.worker.costs.to_wire().into_iter().map(feature).collect(),
            capabilities: self.worker.reporter.all().into_iter().map(capability).collect(),
        }
    }
}

fn keep(core: &mut Core) {
    if let Err(error) = core.keep() {
        tracing::warn!(%error, "what detection learned could not be kept");
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let fixed = panic.downcast_ref::<&str>().map(ToString::to_string);
    fixed.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
