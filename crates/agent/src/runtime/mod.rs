//! Puts the agent together: followers and collectors in threads of their own, the link on the
//! async runtime, bounded channels between them. A part that fails costs itself only.

mod alive;
mod assets;
mod detection;
mod kernel_guard;
mod logins;
mod protect;
mod reporter;
pub mod responder;
mod response;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::asset_risk::AssetRisks;
use engine::content::{Catalogue, ContentError};
use engine::login::lines::Format;
use engine::place::Places;
use model::asset::TableSpec;
use model::because;
use model::because::Because;
use model::policy::{CollectPolicy, Policy};
use model::time::Timestamp;
use model::wire::{self, CapabilityState, Hello, Task, TaskUpdate, task};
use tokio::sync::{mpsc, watch};

use crate::collect;
use crate::costs::Costs;
use crate::detect::Opening;
use crate::facts;
use crate::host_root::{HostRoot, ReadError};
use crate::inspect::Inspector;
use crate::install;
use crate::link::{self, Channels, Inbound, LinkError, LinkState};
use crate::respond::answers::Answers;
use crate::spool::{self, Spool, SpoolError};
use crate::state;
use crate::verdict::Verdicts;
use crate::watch::{self as logs, AskedLogs};
use assets::{AssetWorker, Input};
use logins::{LoginWorker, Order};
use reporter::Reporter;
use response::{Response, Told};

/// Orders that wait for a thread that is busy; more than an operator can give by hand.
const ORDERS_WAITING_MAX: usize = 256;
/// How long the agent before this one may take to end, and how often that is looked at.
const PREDECESSOR_ENDS: Duration = Duration::from_secs(10);
const PREDECESSOR_LOOK: Duration = Duration::from_millis(100);
/// Each time costs about a millisecond.
const GIVE_MEMORY_BACK: Duration = Duration::from_secs(30);
const POLICY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the agent needs to know before it starts.
#[derive(Debug)]
pub struct Config {
    /// Identity, queues and what was learned. Nobody else may read it.
    pub state_dir: PathBuf,
    /// Text logs beyond the well-known ones.
    pub logs: Vec<(Format, PathBuf)>,
    /// Country database, MMDB.
    pub countries: Option<&'static [u8]>,
}

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("cannot use {}", path.display())]
    StateDir {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read this host")]
    Root(#[source] ReadError),
    #[error("the queue for the server")]
    Spool(#[source] SpoolError),
    #[error("the built-in rules")]
    Content(#[source] ContentError),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    #[error("the link to the server")]
    Link(#[source] LinkError),
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct KeptPolicy {
    version: u64,
    policy: Policy,
}

/// Runs until `stop` turns true.
pub async fn run(config: Config, stop: watch::Receiver<bool>) -> Result<(), RuntimeError> {
    sensor::memory::share_heaps();
    let dir = &config.state_dir;
    std::fs::create_dir_all(dir)
        .map_err(|source| RuntimeError::StateDir { path: dir.clone(), source })?;
    install::permit::clear(dir);
    let root = HostRoot::live().map_err(RuntimeError::Root)?;
    let kept: KeptPolicy = state::read(&dir.join("policy.json"), POLICY_BYTES_MAX)
        .and_then(|it| serde_json::from_slice(&it).ok())
        .unwrap_or_default();
    let spool = open_spool(&dir.join("spool")).await?;
    let verdicts = Verdicts::load(dir);
    // Before all that takes long, so that least is missed of what happens at the start.
    let opening = detection::begin(dir, &kept.policy.detect, &verdicts, now());
    let catalogue = Catalogue::embedded_lean().map_err(RuntimeError::Content)?;
    let reporter = Reporter::new(hello(&root, kept.version), spool.clone());
    let both = (spool.clone(), reporter.clone());
    let response = Response::start(&config, &catalogue, &kept.policy, both, verdicts.clone())?;
    let told = response.told();
    let parts = (spool.clone(), reporter.clone(), told.answers.clone());
    let logins = start_logins(&catalogue, &kept.policy, &config, parts)?;
    let (assets, assets_thread) = start_assets(
        Inspected { root, accounts: logins.orders.clone() },
        &catalogue,
        &kept.policy,
        &config,
        (spool.clone(), reporter.clone()),
    )?;
    let linked = link::Config::new(dir.clone());
    let shared = (linked.costs.clone(), verdicts, told.answers.clone());
    let both = (spool.clone(), reporter.clone());
    let fed = (assets.clone(), opening);
    let detection = start_detection(catalogue, &kept.policy, dir, both, shared, fed)?;
    let (inbox, inbound) = mpsc::channel(ORDERS_WAITING_MAX);
    let (outbox, answers) = mpsc::channel(ORDERS_WAITING_MAX);
    let dispatcher = Dispatcher {
        assets,
        logins: logins.orders.clone(),
        response: told,
        logs: Arc::clone(&logins.followers.asked),
        detection: detection.orders.clone(),
        outbox,
        reporter: reporter.clone(),
        spool: spool.clone(),
        policy_file: dir.join("policy.json"),
    };
    let channels = Channels {
        hello: reporter.hello(),
        outbox: answers,
        inbox,
        state: watch::Sender::new(LinkState::Offline(String::new())),
    };
    let link = link::run(linked, spool, channels, stop);
    let working = async { tokio::join!(link, dispatcher.run(inbound)) };
    let (ended, ()) = tokio::select! {
        ended = working => ended,
        never = alive::signs(dir) => match never {},
        never = give_memory_back() => match never {},
    };
    // Full only of policies, which it takes before it looks again.
    let _ = detection.orders.send(detection::Order::Stop);
    join(detection.thread, "detection");
    logins.stop();
    response.stop();
    join(assets_thread, "assets");
    ended.map_err(RuntimeError::Link)
}

/// What a scan or loading needed for a moment does not stay.
async fn give_memory_back() -> Infallible {
    let mut every = tokio::time::interval(GIVE_MEMORY_BACK);
    loop {
        every.tick().await;
        sensor::memory::give_back();
    }
}

/// An agent whose supervisor died is still ending when the next one starts: its threads finish
/// what they are at. It is waited for rather than counted as a failure.
async fn open_spool(dir: &Path) -> Result<Spool, RuntimeError> {
    let mut waited = Duration::ZERO;
    loop {
        match Spool::open(dir, spool::Limits::default()) {
            Err(SpoolError::InUse { .. }) if waited < PREDECESSOR_ENDS => {
                tokio::time::sleep(PREDECESSOR_LOOK).await;
                waited += PREDECESSOR_LOOK;
            }
            other => return other.map_err(RuntimeError::Spool),
        }
    }
}

fn hello(root: &HostRoot, policy_version: u64) -> Hello {
    let specs = collect::ALL
        .iter()
        .filter_map(|it| serde_json::to_vec(&TableSpec::from(it.spec)).ok())
        .collect();
    Hello {
        facts: Some(facts::read(root)),
        asset_specs_json: specs,
        policy_version,
        ..Hello::default()
    }
}

/// What is read, and who is told of its accounts.
struct Inspected {
    root: HostRoot,
    accounts: mpsc::Sender<Order>,
}

fn start_assets(
    host: Inspected,
    catalogue: &Catalogue,
    policy: &Policy,
    config: &Config,
    (spool, reporter): (Spool, Reporter),
) -> Result<(SyncSender<Input>, JoinHandle<()>), RuntimeError> {
    let (sender, inputs) = sync_channel(ORDERS_WAITING_MAX);
    let risks = AssetRisks::new(catalogue).map_err(RuntimeError::Content)?;
    let open = config.state_dir.join("open_risks.json");
    let worker = AssetWorker::new(
        (Inspector::new(host.root), spool, reporter),
        risks,
        policy.clone(),
        open,
        now,
    )
    .telling_accounts(host.accounts);
    let thread = std::thread::Builder::new()
        .name("assets".to_owned())
        .spawn(move || worker.run(&inputs))
        .map_err(RuntimeError::Thread)?;
    Ok((sender, thread))
}

fn start_detection(
    catalogue: Catalogue,
    policy: &Policy,
    state_dir: &Path,
    (spool, reporter): (Spool, Reporter),
    (costs, verdicts, answers): (Costs, Verdicts, Answers),
    (assets, opening): (SyncSender<Input>, Option<Opening>),
) -> Result<detection::Running, RuntimeError> {
    let worker = detection::Worker {
        catalogue,
        policy: policy.detect.clone(),
        state_dir: state_dir.to_owned(),
        spool,
        reporter,
        costs,
        verdicts,
        answers,
        assets,
        opening,
        clock: now,
    };
    detection::start(worker).map_err(RuntimeError::Thread)
}

/// The two threads that follow logs and decide about what they say.
struct Logins {
    orders: mpsc::Sender<Order>,
    followers: logs::WatchHandle,
    thread: JoinHandle<()>,
}

impl Logins {
    fn stop(self) {
        drop(self.orders);
        self.followers.stop();
        join(self.thread, "logins");
    }
}

fn start_logins(
    catalogue: &Catalogue,
    policy: &Policy,
    config: &Config,
    (spool, reporter, answers): (Spool, Reporter, Answers),
) -> Result<Logins, RuntimeError> {
    let places = match config.countries.map(Places::from_bytes) {
        Some(Ok(places)) => places,
        Some(Err(error)) => {
            tracing::warn!(%error, "countries are not known");
            Places::without_database()
        }
        None => Places::without_database(),
    };
    match places.shortcoming() {
        Some(text) => {
            let none: [(&'static str, &str); 0] = [];
            let why = Because::new("places.networks_only", text.en, none);
            reporter.one("places", CapabilityState::Degraded, why);
        }
        None => reporter.one("places", CapabilityState::Active, ""),
    }
    let watched = logs::WatchConfig {
        root: HostRoot::live().map_err(RuntimeError::Root)?,
        state_file: Some(config.state_dir.join("logs.json")),
        logs: config.logs.clone(),
    };
    let (sender, events) = mpsc::channel(logins::EVENTS_WAITING_MAX);
    let (orders, ordered) = mpsc::channel(ORDERS_WAITING_MAX);
    let learned = config.state_dir.join("logins.json");
    let worker = LoginWorker::new(
        catalogue,
        policy.login.clone(),
        places,
        (spool, reporter, answers),
        learned,
        now,
    )
    .map_err(RuntimeError::Content)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(RuntimeError::Thread)?;
    let thread = std::thread::Builder::new()
        .name("logins".to_owned())
        .spawn(move || runtime.block_on(worker.run(events, ordered)))
        .map_err(RuntimeError::Thread)?;
    let followers = logs::start(watched, sender).map_err(RuntimeError::Thread)?;
    follow(&followers.asked, &policy.collect);
    Ok(Logins { orders, followers, thread })
}

/// Has the logs of a policy followed; the server lets no other format through.
fn follow(asked: &AskedLogs, policy: &CollectPolicy) {
    let logs = policy
        .logs
        .iter()
        .filter_map(|it| Some((it.format.parse().ok()?, PathBuf::from(&it.path))))
        .collect();
    *asked.lock().unwrap_or_else(PoisonError::into_inner) = logs;
}

fn join(thread: JoinHandle<()>, name: &str) {
    if thread.join().is_err() {
        tracing::error!(name, "a thread of the agent ended by a panic");
    }
}

fn too_many_orders() -> Because {
    because!("task.busy", "the agent has too many orders waiting")
}

/// Hands what the server says to the thread it is for.
struct Dispatcher {
    assets: SyncSender<Input>,
    logins: mpsc::Sender<Order>,
    response: Told,
    logs: AskedLogs,
    detection: SyncSender<detection::Order>,
    outbox: mpsc::Sender<TaskUpdate>,
    reporter: Reporter,
    spool: Spool,
    policy_file: PathBuf,
}

impl Dispatcher {
    /// Ends with the link; the threads end with the channels dropped here.
    async fn run(self, mut inbound: mpsc::Receiver<Inbound>) {
        while let Some(message) = inbound.recv().await {
            match message {
                Inbound::Welcome(welcome) => self.welcome(welcome),
                Inbound::Task(task) => self.task(task).await,
                Inbound::Policy(policy) => self.policy(&policy).await,
                Inbound::Resync(kind) => self.assets(Input::Resync(kind)),
            }
        }
        self.assets(Input::Stop);
    }

    /// What still waits in the spool would make the server's digests look wrong; then its own
    /// comparison of the next delta finds what differs.
    fn welcome(&self, welcome: wire::Welcome) {
        let lane = self.spool.stats().telemetry;
        if lane.acked_seq >= lane.durable_seq {
            self.assets(Input::Reconcile(welcome.digests));
        }
    }

    async fn task(&self, task: Task) {
        let refusal = match task.task.clone() {
            Some(task::Task::Scan(scan)) => match assets::check_items(&scan.items) {
                Ok(()) => {
                    let input = Input::Scan { id: task.id.clone(), items: scan.items };
                    self.try_assets(input).err()
                }
                Err(refusal) => Some(refusal),
            },
            Some(
                task::Task::Isolate(_)
                | task::Task::Restore(_)
                | task::Task::Discard(_)
                | task::Task::Block(_)
                | task::Task::Unblock(_),
            ) => self.response.carry_out(task.clone()).err(),
            None => Some(because!("task.unknown", "this agent does not know this kind of task")),
        };
        let accepted = refusal.is_none();
        let Because { text, reason } = refusal.unwrap_or_default();
        let update =
            TaskUpdate { id: task.id, accepted, reason: text, why: reason.map(Into::into) };
        // The link holds the other end for as long as this runs.
        let _ = self.outbox.send(update).await;
    }

    async fn policy(&self, message: &wire::Policy) {
        let policy: Policy = match serde_json::from_slice(&message.policy_json) {
            Ok(policy) => policy,
            Err(error) => {
                tracing::error!(%error, version = message.version, "a policy that cannot be read was left aside");
                return;
            }
        };
        let kept = KeptPolicy { version: message.version, policy };
        if let Err(error) = state::write_json(&self.policy_file, &kept) {
            tracing::error!(%error, "the policy could not be kept");
        }
        self.reporter.set_policy_version(kept.version);
        self.response.set_policy(&kept.policy);
        follow(&self.logs, &kept.policy.collect);
        let detect = detection::Order::Policy(Box::new(kept.policy.detect.clone()));
        if self.detection.try_send(detect).is_err() {
            tracing::error!("detection did not get the policy");
        }
        let _ = self.logins.send(Order::Policy(kept.policy.login.clone())).await;
        self.assets(Input::Policy(Box::new(kept.policy)));
    }

    fn assets(&self, input: Input) {
        if let Err(why) = self.try_assets(input) {
            tracing::error!(%why, "an order to the asset thread was lost");
        }
    }

    fn try_assets(&self, input: Input) -> Result<(), Because> {
        self.assets.try_send(input).map_err(|error| match error {
            TrySendError::Full(_) => too_many_orders(),
            TrySendError::Disconnected(_) => {
                because!("task.assets_ended", "the asset collection of this agent has ended")
            }
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of the agent's outermost loops")]
fn now() -> Timestamp {
    Timestamp(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
