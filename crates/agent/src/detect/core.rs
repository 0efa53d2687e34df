//! Sensor, enrichment, rules and alarms in one: a step takes what happened and gives what has to
//! be told. Everything here runs on one thread; what takes long is done elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use engine::content::{Automatic, Catalogue};
use engine::detect::{BuildError, Engine, Refusal, State};
use engine::event::{Category, Event, Field};
use engine::whitelist::Whitelist;
use model::event::What;
use model::finding::Finding;
use model::policy::DetectPolicy;
use model::time::Timestamp;
use sensor::{Sensor, SensorError};

use super::alarm;
use super::enrich::{Enriched, Enricher};
use super::merge::Merger;
use super::opening::{Later, Opened, Opening, Part, Times};
use super::sweep::Sweeps;
use super::user_rules;
use crate::collect::process::table::Changes;
use crate::costs::Costs;
use crate::host_root::ReadError;
use crate::inspect::thread_cpu;
use crate::state::{self, StateError};
use crate::verdict::Verdicts;

/// Capabilities this costs for.
pub const SENSOR: &str = "runtime_sensor";
pub const ENRICHMENT: &str = "event_context";
pub const RULES: &str = "detection_rules";

/// Events of the kernel that are taken together.
const CHUNK_MAX: usize = 64;
/// Between two looks at what the sensor says of itself.
const HEALTH_EVERY: Duration = Duration::from_secs(1);
const ENGINE_STATE_BYTES_MAX: usize = 16 << 20;
/// Where users put rules of their own, in the state folder.
pub const USER_RULES: &str = "rules";

/// What detection is told before it starts.
#[derive(Debug)]
pub struct Options {
    /// What was learned and rules of the user; nothing is kept without it.
    pub state_dir: Option<PathBuf>,
    pub policy: DetectPolicy,
    /// How long a host is learned before something is called new.
    pub learn: Duration,
    /// What the sensor watches; what is worth it on this host where nothing is given.
    pub sensor: Option<sensor::Config>,
    pub catalogue: Catalogue,
    pub costs: Costs,
    pub verdicts: Verdicts,
    /// Look at the host's state now and then.
    pub sweeps: bool,
}

impl Options {
    pub fn new(catalogue: Catalogue) -> Self {
        Self {
            state_dir: None,
            policy: DetectPolicy::default(),
            learn: super::first_seen::LEARN,
            sensor: None,
            catalogue,
            costs: Costs::default(),
            verdicts: Verdicts::default(),
            sweeps: false,
        }
    }
}

/// Why detection does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    #[error("the sensor")]
    Sensor(#[from] SensorError),
    #[error("this host")]
    Host(#[from] ReadError),
    #[error("the rules about events")]
    Rules(#[from] BuildError),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// An alarm, and what its rule lets the agent do by itself.
#[derive(Clone, Debug)]
pub struct Alarm {
    pub finding: Finding,
    pub automatic: Automatic,
    /// A repeat of one that was told.
    pub is_repeat: bool,
}

/// Alarms of the whitelist that were not raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits {
    pub entry: String,
    pub hits: u64,
    pub at: Timestamp,
}

/// All of it.
#[derive(Debug)]
pub struct Core {
    sensor: Sensor,
    judge: Judge,
    enricher: Enricher,
    chunk: Vec<model::event::Event>,
    enriched: Vec<Enriched>,
    looked_at: Timestamp,
    lost: u64,
    costs: Costs,
    sweeps: Option<Sweeps>,
    /// Rules of the user that do not work.
    refusals: Vec<Refusal>,
    /// Processes that began, ended or became another since this was asked.
    changed_processes: Changes,
    /// What comes once the sensor is whole.
    later: Option<Receiver<Later>>,
    times: Times,
}

/// Asks the rules and makes alarms.
#[derive(Debug)]
struct Judge {
    engine: Engine,
    merger: Merger,
    whitelist: Whitelist,
    hits: BTreeMap<String, (u64, Timestamp)>,
    automatic: BTreeMap<String, Automatic>,
    engine_file: Option<PathBuf>,
}

impl Core {
    /// All of it, one part after the other where none was begun.
    pub fn open(options: Options, clock: fn() -> Timestamp) -> Result<Self, DetectError> {
        let mut core = Self::finish(Opening::begin(&options, clock())?, options, clock)?;
        if let Some(later) = core.later.take().and_then(|it| it.recv().ok()) {
            core.catch_up(&later);
        }
        Ok(core)
    }

    /// Reads the rules while sensor and host are opened. Of system calls it is told by and by:
    /// see [`Self::is_whole`].
    pub fn finish(
        opening: Opening,
        options: Options,
        clock: fn() -> Timestamp,
    ) -> Result<Self, DetectError> {
        let before = thread_cpu();
        let dir = options.state_dir.as_deref();
        let user = dir.map(|it| user_rules::read(&it.join(USER_RULES))).unwrap_or_default();
        let mut engine = Engine::new(&options.catalogue, &user.rules)?;
        let mut refusals = user.refused;
        refusals.extend_from_slice(engine.refusals());
        let engine_file = dir.map(|it| it.join("rules_state.json"));
        if let Some(kept) = engine_file.as_deref().and_then(kept) {
            engine.restore(kept, clock());
        }
        let automatic = engine.rules().map(|it| (it.id.clone(), it.automatic)).collect();
        let mut judge = Judge {
            engine,
            merger: Merger::default(),
            whitelist: Whitelist::default(),
            hits: BTreeMap::new(),
            automatic,
            engine_file,
        };
        judge.set_policy(&options.policy);
        let rules = Part::done(opening.began, before);
        let now = clock();
        let Opened { sensor, enricher, later, times } = opening.join(now)?;
        let sweeps = options.sweeps.then(|| Sweeps::start(options.costs.clone(), dir, clock));
        let mut core = Self {
            sweeps: sweeps.transpose()?,
            sensor,
            judge,
            enricher,
            chunk: Vec::with_capacity(CHUNK_MAX),
            enriched: Vec::new(),
            looked_at: now,
            lost: 0,
            costs: options.costs,
            refusals,
            changed_processes: Changes::any(),
            later: Some(later),
            times: Times { rules, ..times },
        };
        core.guard()?;
        Ok(core)
    }

    /// Waits up to `timeout` for events and adds the alarms they lead to.
    pub fn step(
        &mut self,
        timeout: Duration,
        clock: fn() -> Timestamp,
        out: &mut Vec<Alarm>,
    ) -> Result<(), DetectError> {
        self.step_seeing(timeout, clock, out, &mut |_| ())
    }

    /// As [`step`](Self::step); shows every event of the sensor as the rules are asked about it.
    pub fn step_seeing(
        &mut self,
        timeout: Duration,
        clock: fn() -> Timestamp,
        out: &mut Vec<Alarm>,
        seen: &mut dyn FnMut(&Event),
    ) -> Result<(), DetectError> {
        let began = thread_cpu();
        let mut inside = Duration::ZERO;
        let Self { sensor, judge, enricher, chunk, enriched, costs, .. } = self;
        let changed_processes = &mut self.changed_processes;
        let mut take = Take { enriched, enricher, judge, costs, seen, changed_processes };
        let mut count = 0;
        let polled = sensor.poll(timeout, &mut |event| {
            count += 1;
            chunk.push(event);
            if chunk.len() >= CHUNK_MAX {
                inside += take.all(chunk, out);
            }
        });
        let used = thread_cpu().saturating_sub(began).saturating_sub(inside);
        take.costs.add(SENSOR, used, count);
        take.all(chunk, out);
        polled?;
        self.guard()?;
        self.await_later();
        self.tick(clock(), out);
        Ok(())
    }

    fn await_later(&mut self) {
        let Some(later) = &self.later else { return };
        match later.try_recv() {
            Ok(it) => self.catch_up(&it),
            Err(TryRecvError::Empty) => return,
            // The sensor's health tells what is missing.
            Err(TryRecvError::Disconnected) => {}
        }
        self.later = None;
    }

    fn catch_up(&mut self, later: &Later) {
        later.listeners.plant(&mut self.enricher);
        self.sensor.complete();
        self.times.whole = later.whole;
    }

    /// Has the sensor tell of signals to the processes that keep watch.
    fn guard(&mut self) -> Result<(), DetectError> {
        for (pid, is_watched) in self.enricher.take_guarded() {
            self.sensor.watch_signals(pid, is_watched)?;
        }
        Ok(())
    }

    /// What is due without an event, and what the sensor says of itself.
    fn tick(&mut self, now: Timestamp, out: &mut Vec<Alarm>) {
        self.enricher.tick(now, &mut self.enriched);
        if now.is_due(self.looked_at, HEALTH_EVERY) {
            self.looked_at = now;
            let lost = self.sensor.health().lost_total();
            self.costs.set_lost(SENSOR, lost);
            if lost > self.lost {
                let new = lost - self.lost;
                let detail = format!("the sensor lost {new} events, {lost} since it was opened");
                let event = sensor_event("events", detail, new, now);
                self.enriched.push(Enriched { event, process: None });
                self.lost = lost;
                self.changed_processes.add_any();
                if let Ok(pids) = sensor::procfs::pids() {
                    self.enricher.keep_running(&pids.into_iter().collect(), now);
                }
            }
        }
        self.judge.all(&mut self.enriched, &self.enricher, out);
        let swept: Vec<_> = self.sweeps.iter().flat_map(|it| it.found.try_iter()).collect();
        for it in swept {
            self.state_event(it.event, it.pid, out);
        }
        self.judge.tick(now, out);
    }

    /// Asks the rules about an event of a sweep.
    pub fn state_event(&mut self, event: Event, process: Option<u32>, out: &mut Vec<Alarm>) {
        let id = process.and_then(|it| self.enricher.processes.id_of(it));
        let id = id.or_else(|| self.enricher.account_writer(&event));
        let event = match id {
            Some(id) => self.enricher.with_process(event, id),
            None => event,
        };
        self.enriched.push(Enriched { event, process: id });
        self.judge.all(&mut self.enriched, &self.enricher, out);
    }

    /// Tells rules that detection had stopped for a while.
    pub fn failed(&mut self, reason: &str, now: Timestamp, out: &mut Vec<Alarm>) {
        let detail = format!("detection failed and was started again: {reason}");
        self.state_event(sensor_event("detection", detail, 1, now), None, out);
    }

    pub fn set_policy(&mut self, policy: &DetectPolicy) {
        self.judge.set_policy(policy);
    }

    /// The clock was set by so many microseconds: what is counted and what waits moves along.
    pub fn move_clock(&mut self, by_us: i64) {
        self.enricher.move_clock(by_us);
        self.judge.engine.move_clock(by_us);
        self.judge.merger.move_clock(by_us);
    }

    /// Whitelist hits since the last time.
    pub fn take_hits(&mut self) -> Vec<Hits> {
        let hits = std::mem::take(&mut self.judge.hits);
        hits.into_iter().map(|(entry, (hits, at))| Hits { entry, hits, at }).collect()
    }

    pub fn health(&self) -> sensor::Health {
        self.sensor.health()
    }

    /// Everything that can be told here is told.
    pub fn is_whole(&self) -> bool {
        self.later.is_none() && self.sensor.is_whole()
    }

    /// How long the start took.
    pub fn times(&self) -> Times {
        self.times
    }

    /// Processes that began, ended or became another since the last time.
    pub fn take_changed_processes(&mut self) -> Changes {
        std::mem::take(&mut self.changed_processes)
    }

    pub fn enricher(&self) -> &Enricher {
        &self.enricher
    }

    /// Rules of the user that do not work.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Rules that are asked.
    pub fn rules(&self) -> usize {
        self.judge.engine.rules().count()
    }

    /// Writes down what was learned and counted.
    pub fn keep(&mut self) -> Result<(), StateError> {
        self.enricher.keep()?;
        if let Some(file) = &self.judge.engine_file {
            state::write_json(file, &self.judge.engine.state())?;
        }
        Ok(())
    }

    /// Repeats that were gathered and not told yet.
    pub fn drain(&mut self, out: &mut Vec<Alarm>) {
        let rest = self.judge.merger.drain();
        out.extend(rest.into_iter().map(|it| self.judge.alarm(it, true)));
    }
}

/// What a chunk of events goes through.
struct Take<'a> {
    enriched: &'a mut Vec<Enriched>,
    enricher: &'a mut Enricher,
    judge: &'a mut Judge,
    costs: &'a Costs,
    seen: &'a mut dyn FnMut(&Event),
    changed_processes: &'a mut Changes,
}

impl Take<'_> {
    /// Enriches a chunk and asks the rules about it. Returns the CPU time that took.
    fn all(&mut self, chunk: &mut Vec<model::event::Event>, out: &mut Vec<Alarm>) -> Duration {
        if chunk.is_empty() {
            return Duration::ZERO;
        }
        let began = thread_cpu();
        let count = chunk.len() as u64;
        for event in chunk.drain(..) {
            match event.what {
                What::Fork { child_pid, .. } => self.changed_processes.add(child_pid),
                What::Exec(_)
                | What::Exit { .. }
                | What::Credentials { .. }
                | What::Rename { .. } => {
                    self.changed_processes.add(event.task.pid);
                }
                _ => {}
            }
            self.enricher.event(&event, self.enriched);
        }
        let middle = thread_cpu();
        self.costs.add(ENRICHMENT, middle.saturating_sub(began), count);
        self.enriched.iter().for_each(|it| (self.seen)(&it.event));
        let asked = self.enriched.len() as u64;
        self.judge.all(self.enriched, self.enricher, out);
        let end = thread_cpu();
        self.costs.add(RULES, end.saturating_sub(middle), asked);
        end.saturating_sub(began)
    }
}

impl Judge {
    fn set_policy(&mut self, policy: &DetectPolicy) {
        self.engine.set_disabled(&policy.disabled_rules);
        self.whitelist = Whitelist::new(&policy.whitelist);
    }

    fn all(&mut self, enriched: &mut Vec<Enriched>, enricher: &Enricher, out: &mut Vec<Alarm>) {
        for it in enriched.drain(..) {
            self.one(&it, enricher, out);
        }
    }

    fn one(&mut self, enriched: &Enriched, enricher: &Enricher, out: &mut Vec<Alarm>) {
        let at = enriched.event.at;
        for detection in self.engine.evaluate(&enriched.event) {
            // A flood of one alarm is counted; its evidence is that of the last one built.
            if self.whitelist.is_empty()
                && self.merger.count(&detection.rule.id, &detection.subject, at)
            {
                continue;
            }
            let finding = alarm::build(&detection, enriched, enricher);
            if let Some(entry) = self.whitelist.silences(&finding, at) {
                let hits = self.hits.entry(entry.to_owned()).or_insert((0, at));
                *hits = (hits.0 + 1, at);
                continue;
            }
            let mut told = Vec::new();
            self.merger.add(finding, at, &mut told);
            out.extend(told.into_iter().map(|it| self.alarm(it, false)));
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Alarm>) {
        let mut told = Vec::new();
        self.merger.tick(now, &mut told);
        out.extend(told.into_iter().map(|it| self.alarm(it, true)));
    }

    fn alarm(&self, finding: Finding, is_repeat: bool) -> Alarm {
        let automatic = self.automatic.get(&finding.rule).copied().unwrap_or(Automatic::None);
        Alarm { finding, automatic, is_repeat }
    }
}

/// Tells rules that something was not seen.
fn sensor_event(subject: &str, detail: String, count: u64, now: Timestamp) -> Event {
    let mut event = Event::new(Category::State, now);
    event.set(Field::StateCheck, Some("sensor_lost".into()));
    event.set(Field::StateSubject, Some(subject.into()));
    event.set(Field::StateDetail, Some(detail.into()));
    event.set(Field::EventCount, Some((count as i64).into()));
    event
}

/// What correlations counted before the agent was started again.
fn kept(file: &Path) -> Option<State> {
    let bytes = state::read(file, ENGINE_STATE_BYTES_MAX)?;
    let read = serde_json::from_slice(&bytes);
    read.inspect_err(|error| {
        let file = file.display();
        tracing::warn!(%file, %error, "what rules counted is unreadable: they count anew");
    })
    .ok()
}
