//! The agent's detection in a process of its own that counts what arrives: sensor, enrichment,
//! every rule, alarms; the same [`Core`] that the agent runs.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::detect::opening::Times;
use agent::detect::{Core, Opening, Options};
use anyhow::Context as _;
use engine::content::Catalogue;
use engine::event::{Category, Event, Field, Value};
use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{say, storm};
use crate::process::now;

const STEP: Duration = Duration::from_millis(50);
/// After the storm, until nothing of it comes any more.
const QUIET: Duration = Duration::from_secs(2);
/// For the first event.
const PATIENCE: Duration = Duration::from_secs(30);

/// From the beginning of loading.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Loaded {
    pub(super) open_ms: f64,
    pub(super) first_event_ms: f64,
    pub(super) rules: usize,
}

/// A part of the start: what was done, when, and the CPU time of its thread.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) after_ms: f64,
    pub(super) cpu_ms: f64,
}

/// What arrived since [`Loaded`], and what it cost since the first program of the storm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Counted {
    /// Programs of the storm whose arguments arrived whole, each once.
    pub(super) complete: usize,
    /// Programs of everybody on this machine.
    pub(super) execs: u64,
    /// Events of any kind.
    pub(super) events: u64,
    pub(super) alarms: u64,
    /// By the sensor's own count.
    pub(super) lost: u64,
    pub(super) cpu_s: f64,
    /// What the start was made of, which goes on at the same time.
    pub(super) parts: [Part; 5],
    /// CPU time by function, seconds.
    pub(super) shares: Vec<(String, f64)>,
}

/// A running one.
pub(super) struct Pipeline {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Pipeline {
    pub(super) fn start() -> anyhow::Result<(Self, Loaded)> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "pipeline"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the detection")?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut it = Self { child, lines };
        let loaded = it.line()?;
        Ok((it, loaded))
    }

    /// To be asked when everything that is to be counted has happened.
    pub(super) fn stop(mut self) -> anyhow::Result<Counted> {
        drop(self.child.stdin.take());
        self.line()
    }

    fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        serde_json::from_str(&line).context("the detection ended early")
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The part that runs in a process of its own.
pub(super) fn run() -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        let mut bytes = [0; 16];
        while std::io::stdin().read(&mut bytes).is_ok_and(|it| it > 0) {}
        stopped.store(true, Ordering::Relaxed);
    });
    let state = tempfile::tempdir_in(".")?;
    let began = Instant::now();
    let mut options = Options::new(Catalogue::default());
    options.state_dir = Some(state.path().to_owned());
    options.sweeps = true;
    let costs = options.costs.clone();
    // As the agent does it.
    let opening = Opening::begin(&options, now())?;
    options.catalogue = Catalogue::embedded_lean()?;
    let mut core = Core::finish(opening, options, now)?;
    let health = core.health();
    anyhow::ensure!(
        health.tier.name() == "eBPF",
        "events come by {} here, so there is nothing to measure: {:?}",
        health.tier,
        health.missing
    );
    let open_ms = began.elapsed().as_secs_f64() * 1e3;
    let mut tally = Tally::default();
    let mut alarms = Vec::new();
    while tally.execs == 0 {
        anyhow::ensure!(began.elapsed() < PATIENCE, "no program was seen to start");
        core.step_seeing(STEP, now, &mut alarms, &mut |it| tally.take(it))?;
    }
    let first_event_ms = began.elapsed().as_secs_f64() * 1e3;
    let loaded = Loaded { open_ms, first_event_ms, rules: core.rules() };
    say(&serde_json::to_string(&loaded)?);
    // What the start leaves to be done is not the storm's.
    let mut before = (process_cpu_s(), costs.all());
    tally = Tally::default();
    let mut told = 0;
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) || last.elapsed() < QUIET {
        let complete = tally.complete;
        core.step_seeing(STEP, now, &mut alarms, &mut |it| tally.take(it))?;
        told += alarms.drain(..).count() as u64;
        if complete == 0 && tally.complete > 0 {
            before = (process_cpu_s(), costs.all());
        }
        if tally.complete > complete || !stop.load(Ordering::Relaxed) {
            last = Instant::now();
        }
    }
    let earlier = |id: &str| before.1.iter().find(|it| it.0 == id).map(|it| it.1.cpu);
    let shares = costs.all().into_iter().map(|(id, it)| {
        let used = it.cpu.saturating_sub(earlier(id).unwrap_or_default());
        (id.to_owned(), used.as_secs_f64())
    });
    let counted = Counted {
        complete: tally.complete,
        execs: tally.execs,
        events: tally.events,
        alarms: told,
        lost: core.health().lost_total(),
        cpu_s: process_cpu_s() - before.0,
        parts: parts(core.times()),
        shares: shares.collect(),
    };
    say(&serde_json::to_string(&counted)?);
    Ok(())
}

fn parts(times: Times) -> [Part; 5] {
    let parts = [
        ("programs that start are told", times.sensor),
        ("what runs is known", times.running),
        ("the host is read", times.host),
        ("rules can be asked", times.rules),
        ("everything is told", times.whole),
    ];
    parts.map(|(name, it)| Part {
        name: name.to_owned(),
        after_ms: it.after.as_secs_f64() * 1e3,
        cpu_ms: it.cpu.as_secs_f64() * 1e3,
    })
}

#[derive(Default)]
struct Tally {
    seen: Vec<bool>,
    complete: usize,
    execs: u64,
    events: u64,
}

impl Tally {
    fn take(&mut self, event: &Event) {
        self.events += 1;
        if event.category != Category::ProcessCreation {
            return;
        }
        self.execs += 1;
        let Some(Value::List(arguments)) = event.get(Field::Arguments) else { return };
        let [_, before @ .., last] = &**arguments else { return };
        let Some(number) = storm::number(last).filter(|_| before == storm::ARGUMENTS) else {
            return;
        };
        if self.seen.len() <= number {
            self.seen.resize(number + 1, false);
        }
        if let Some(seen) = self.seen.get_mut(number).filter(|it| !**it) {
            *seen = true;
            self.complete += 1;
        }
    }
}

/// CPU time of all threads.
fn process_cpu_s() -> f64 {
    let it = clock_gettime(ClockId::ProcessCPUTime);
    it.tv_sec as f64 + it.tv_nsec as f64 / 1e9
}
