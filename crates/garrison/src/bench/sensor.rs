//! What seeing every program costs: the programs themselves, the agent, its memory and its start,
//! beside auditd and beside nothing, in rounds that take turns.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::status::Status;
use anyhow::Context as _;

use super::auditd::Auditd;
use super::host::{Up, cpu, resident_bytes};
use super::pipeline::{Loaded, Part, Pipeline};
use super::storm::{self, Outcome, Starter, Storm};
use super::{Bar, say};

const WORKLOAD_RATIO_MAX: f64 = 1.10;
const AGENT_US_MAX: f64 = 15.0;
const RESIDENT_MIB_MAX: f64 = 60.0;
const FIRST_EVENT_MS_MAX: f64 = 300.0;
const MIB: f64 = 1024.0 * 1024.0;
const WORKERS: u32 = 2;
const WAIT: Duration = Duration::from_mins(3);
/// After detection was loaded, until it has read what it put off.
const SETTLED: Duration = Duration::from_secs(5);
/// After the first scan, until the agent does only what it always does.
const SETTLE: Duration = Duration::from_secs(15);
/// How long it is watched doing that.
const IDLE: Duration = Duration::from_secs(20);
/// Between programs while detection is being loaded, so that there is a first event to see.
const KNOCK: Duration = Duration::from_millis(2);
/// The agent writes its status this often.
const STATUS: Duration = Duration::from_secs(6);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Programs started in each round.
    #[arg(long, default_value_t = 10_000)]
    execs: u32,
    /// Rounds of each: nothing, Garrison, auditd.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Programs of the one long storm of which none may be lost.
    #[arg(long, default_value_t = 80_000)]
    storm: u32,
}

/// Figures of all rounds.
#[derive(Default)]
struct Rounds {
    nothing: Vec<f64>,
    garrison: Vec<f64>,
    auditd: Vec<f64>,
    first_event_ms: Vec<f64>,
    /// The same, where programs are started by `posix_spawn`.
    spawned: Vec<f64>,
    spawned_seen: Vec<f64>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Vec<Bar>> {
    let folder = tempfile::tempdir_in(".").context("cannot make a folder for the bench")?;
    let program = storm::program(folder.path())?;
    let mut auditd = match Auditd::prepare()? {
        Ok(it) => Some(it),
        Err(reason) => {
            say(&format!("auditd cannot be measured here: {reason}"));
            None
        }
    };
    let mut rounds = Rounds::default();
    for number in 0..args.rounds {
        round(args, &program, auditd.as_mut(), number, &mut rounds)?;
    }
    if let Some(it) = &auditd {
        say(&format!("auditd wrote down {} of {}", it.logged()?, args.execs * args.rounds));
    }
    drop(auditd);
    let mut bars = vec![Bar::at_most(
        "workload, CPU per exec, Garrison / nothing",
        ratio(&rounds.garrison, &rounds.nothing),
        WORKLOAD_RATIO_MAX,
        "x",
    )];
    if !rounds.auditd.is_empty() {
        let auditd = ratio(&rounds.auditd, &rounds.nothing);
        say(&format!("workload, CPU per exec, auditd / nothing: {auditd:.2}x"));
    }
    say(&format!(
        "workload started by posix_spawn, which makes 120 more calls a program, Garrison / nothing: \
         {:.2}x",
        ratio(&rounds.spawned_seen, &rounds.spawned)
    ));
    let first_event = median(&mut rounds.first_event_ms);
    bars.extend(long_storm(args, &program)?);
    bars.push(Bar::at_most("load to first event", first_event, FIRST_EVENT_MS_MAX, "ms"));
    bars.extend(whole_agent(args, &program)?);
    Ok(bars)
}

/// One storm beside each, every other time in the other order.
fn round(
    args: &Args,
    program: &Path,
    mut auditd: Option<&mut Auditd>,
    number: u32,
    rounds: &mut Rounds,
) -> anyhow::Result<()> {
    let mut order = ["nothing", "garrison", "auditd"];
    if number % 2 == 1 {
        order.reverse();
    }
    let mut line = format!("round {}", number + 1);
    for beside in order {
        let outcome = match (beside, auditd.as_deref_mut()) {
            ("garrison", _) => {
                let (loaded, outcome, spawned) = beside_pipeline(program, args.execs)?;
                rounds.first_event_ms.push(loaded.first_event_ms);
                rounds.garrison.push(outcome.cpu_us());
                rounds.spawned_seen.push(spawned.cpu_us());
                outcome
            }
            ("auditd", Some(auditd)) => {
                auditd.on()?;
                let outcome = storm(program, args.execs, Starter::Shells);
                auditd.off()?;
                let outcome = outcome?;
                rounds.auditd.push(outcome.cpu_us());
                outcome
            }
            ("auditd", None) => continue,
            _ => {
                let outcome = storm(program, args.execs, Starter::Shells)?;
                rounds.nothing.push(outcome.cpu_us());
                rounds.spawned.push(storm(program, args.execs, SPAWN)?.cpu_us());
                outcome
            }
        };
        let (cpu_us, per_second) = (outcome.cpu_us(), outcome.per_second());
        let _ = write!(line, "   {beside} {cpu_us:.1} us, {per_second:.0}/s");
    }
    say(&line);
    Ok(())
}

const SPAWN: Starter = Starter::Spawn { per_second: 0 };

fn storm(program: &Path, execs: u32, starter: Starter) -> anyhow::Result<Outcome> {
    Storm::start(program, execs, WORKERS, starter)?.done()
}

fn loaded(program: &Path) -> anyhow::Result<(Pipeline, Loaded)> {
    let _knocking = Knocking::start(program);
    Pipeline::start()
}

/// Two storms beside detection that has just been loaded: by shells, and by `posix_spawn`.
fn beside_pipeline(program: &Path, execs: u32) -> anyhow::Result<(Loaded, Outcome, Outcome)> {
    let (pipeline, loaded) = loaded(program)?;
    let outcome = storm(program, execs, Starter::Shells)?;
    let spawned = storm(program, execs, SPAWN)?;
    pipeline.stop()?;
    Ok((loaded, outcome, spawned))
}

fn long_storm(args: &Args, program: &Path) -> anyhow::Result<Vec<Bar>> {
    let (pipeline, loaded) = loaded(program)?;
    std::thread::sleep(SETTLED);
    let outcome = storm(program, args.storm, Starter::Shells)?;
    let counted = pipeline.stop()?;
    let part = |it: &Part| format!("{} {:.0} ({:.0})", it.name, it.after_ms, it.cpu_ms);
    let parts: Vec<String> = counted.parts.iter().map(part).collect();
    say(&format!("start, ms from its beginning (CPU): {}", parts.join(", ")));
    say(&format!(
        "{} programs at {:.0}/s beside {} rules: {} events, {} programs of others, {} alarms; \
         detection was open after {:.0} ms",
        outcome.execs,
        outcome.per_second(),
        loaded.rules,
        counted.events,
        counted.execs.saturating_sub(counted.complete as u64),
        counted.alarms,
        loaded.open_ms
    ));
    let execs = counted.execs.max(1) as f64;
    let share = |(name, cpu_s): &(String, f64)| format!("{name} {:.1}", cpu_s * 1e6 / execs);
    let shares: Vec<String> = counted.shares.iter().map(share).collect();
    say(&format!("us per exec: {}", shares.join(", ")));
    let missing = f64::from(outcome.execs) - counted.complete as f64;
    Ok(vec![
        Bar::at_most(
            format!("execs without whole arguments, of {}", outcome.execs),
            missing,
            0.0,
            "",
        ),
        Bar::at_most("events lost", counted.lost as f64, 0.0, ""),
        Bar::at_most(
            "detection, CPU per exec, all rules",
            counted.cpu_s * 1e6 / execs,
            AGENT_US_MAX,
            "us",
        ),
    ])
}

/// The agent as it is installed, with a server, and everything it does.
fn whole_agent(args: &Args, program: &Path) -> anyhow::Result<Vec<Bar>> {
    let up = Up::start()?;
    let scanned = |it: &str| it.contains("on the console after").then_some(());
    up.wait_line("first scan", WAIT, || (), scanned)?;
    std::thread::sleep(SETTLE);
    let pid = up.parts().into_iter().find(|(name, _)| name == "agent").context("no agent runs")?.1;
    let used = || cpu(pid).context("the agent ended");
    let before = used()?;
    std::thread::sleep(IDLE);
    let idle = used()?.saturating_sub(before).as_secs_f64() / IDLE.as_secs_f64();
    let (before, began) = (used()?, Instant::now());
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let watching = std::thread::spawn(move || {
        let mut peak = 0;
        while !is_done.load(Ordering::Relaxed) {
            peak = peak.max(resident_bytes(pid));
            std::thread::sleep(Duration::from_millis(20));
        }
        peak
    });
    let outcome = storm(program, args.storm, Starter::Shells);
    std::thread::sleep(STATUS);
    done.store(true, Ordering::Relaxed);
    let peak = watching.join().map_err(|_| anyhow::anyhow!("the watch ended by a panic"))?;
    let outcome = outcome?;
    let whole = used()?.saturating_sub(before).as_secs_f64();
    let anyway = idle * began.elapsed().as_secs_f64();
    say(&format!("the whole agent used {whole:.2} s, and {anyway:.2} s of it without the storm"));
    let status = Status::read(&up.agent_state()).context("the agent left no status")?;
    let lost: u64 = status.sensor.lost.iter().map(|(.., count)| count).sum();
    Ok(vec![
        Bar::at_most(
            "whole agent, CPU per exec",
            (whole - anyway).max(0.0) * 1e6 / f64::from(outcome.execs.max(1)),
            AGENT_US_MAX,
            "us",
        ),
        Bar::at_most("whole agent, events lost", lost as f64, 0.0, ""),
        Bar::at_most("whole agent, peak resident", peak as f64 / MIB, RESIDENT_MIB_MAX, "MiB"),
    ])
}

/// Starts a program now and then until dropped.
struct Knocking {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Knocking {
    fn start(program: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (program, stopped) = (program.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let began = Instant::now();
            while !stopped.load(Ordering::Relaxed) && began.elapsed() < WAIT {
                // Without it there is no first event, which is an error there.
                let _ = std::process::Command::new(&program).status();
                std::thread::sleep(KNOCK);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Knocking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The median of the rounds' ratios: what disturbs one round disturbs both of its figures.
fn ratio(one: &[f64], other: &[f64]) -> f64 {
    let mut ratios: Vec<f64> = one.iter().zip(other).map(|(a, b)| a / b).collect();
    median(&mut ratios)
}

pub(super) fn median(all: &mut [f64]) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
