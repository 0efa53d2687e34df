//! How many events a second all rules are asked about, beside another engine for Sigma.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use engine::content::Catalogue;
use engine::detect::{Engine, UserRule};
use engine::event::Event;

use super::{Bar, say};

mod generate;
mod peer;

const EVENTS: usize = 100_000;
/// The share of the peer's speed that is promised.
const RATIO_MIN: f64 = 5.0;
const EVENTS_PER_S_MIN: f64 = 300_000.0;
/// What all rules may take of the 60 MiB of an agent.
const RESIDENT_MIB_MAX: f64 = 16.0;
/// Rounds over all events; the best one counts, as others use the machine too.
const ROUNDS: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder of Sigma rules to load beside the built-in ones; rules for other systems are left out.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// The program of crates/garrison/peers/rsigma, to be measured on the same events.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Watch this machine for so many seconds first and measure on what happened, too.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    record: u64,
    /// Where the random events begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Vec<Bar>> {
    let files = match &args.rules {
        Some(dir) => linux_rules(dir)?,
        None => Vec::new(),
    };
    let before = resident_bytes()?;
    let began = Instant::now();
    // As an agent loads them.
    let mut engine = Engine::new(&Catalogue::embedded_lean()?, &files)?;
    let load = began.elapsed();
    let grown = resident_bytes()?.saturating_sub(before);
    let catalogue = Catalogue::embedded()?;
    let mut events = generate::events(EVENTS, args.seed, &catalogue, &files);
    if args.record > 0 {
        let span = Duration::from_secs(args.record);
        let real = agent::detect::record::events(span, EVENTS, crate::process::now)?;
        say(&format!("{} events of this machine beside {} made up", real.len(), events.len()));
        let (rate, _) = measure(&mut engine, &real);
        say(&format!("of this machine alone: {rate:.0} events/s"));
        events.extend(real);
    }
    let brought = engine.rules().filter(|it| it.attribution.is_some()).count();
    say(&format!(
        "{} rules ({brought} brought, {} of them cannot work here), loaded in {:.0} ms",
        engine.rules().count(),
        engine.refusals().len(),
        load.as_secs_f64() * 1e3,
    ));
    let facts = engine.index();
    say(&format!("index of {} KiB, tests of {} KiB", facts.bytes >> 10, facts.tests_bytes >> 10));
    let asked: usize = facts.always.iter().map(|(_, rules)| rules.len()).sum();
    say(&format!("{asked} rules are asked about every event of some category"));
    let (rate, detections) = measure(&mut engine, &events);
    say(&format!("{} events, {detections} detections", events.len()));
    let memory = grown as f64 / f64::from(1 << 20);
    let mut bars = vec![
        Bar::at_least("rules: events on one core", rate, EVENTS_PER_S_MIN, "/s"),
        Bar::at_most("rules: memory that loading them takes", memory, RESIDENT_MIB_MAX, "MiB"),
    ];
    let unequal = compare_plainly(&mut engine, &events);
    bars.push(Bar::at_most("rules: verdicts that differ without the index", unequal, 0.0, ""));
    if let Some(program) = &args.peer {
        let outcome = peer::run(program, &engine, &catalogue, &files, &events)?;
        say(&format!("peer: {:.0} events/s, loaded in {:.0} ms", outcome.rate, outcome.load_ms));
        outcome.lines.iter().for_each(|it| say(it));
        say(&format!("{} verdicts differ for a known cause", outcome.explained));
        bars.push(Bar::at_least("rules: times the peer", rate / outcome.rate, RATIO_MIN, "x"));
        let unexplained = outcome.unexplained as f64;
        bars.push(Bar::at_most(
            "rules: verdicts unlike the peer's, no cause",
            unexplained,
            0.0,
            "",
        ));
    }
    Ok(bars)
}

/// Events a second of the best round, and the detections of one.
fn measure(engine: &mut Engine, events: &[Event]) -> (f64, usize) {
    let mut best = 0.0_f64;
    let mut detections = 0;
    for _ in 0..ROUNDS {
        engine.forget();
        detections = 0;
        let began = cpu_s();
        for event in events {
            detections += engine.evaluate(event).len();
        }
        best = best.max(events.len() as f64 / (cpu_s() - began));
    }
    (best, detections)
}

/// CPU time of this thread, so that others on the machine do not count.
fn cpu_s() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// What of this process is in memory and backed by no file.
fn resident_bytes() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|it| it.strip_prefix("Anonymous:"));
    let kib = line.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("no figure for Anonymous in /proc/self/smaps_rollup")? << 10)
}

/// Events for which the index leaves out a rule that holds.
fn compare_plainly(engine: &mut Engine, events: &[Event]) -> f64 {
    // Without the index it is slow; every tenth event is a sample of all kinds.
    let differs = |event: &&Event| ids(engine.holding(event)) != ids(engine.holding_plainly(event));
    events.iter().step_by(10).filter(differs).count() as f64
}

fn ids(rules: Vec<std::sync::Arc<engine::content::Rule>>) -> Vec<String> {
    rules.into_iter().map(|it| it.id.clone()).collect()
}

/// The files below `dir` that hold rules for Linux.
fn linux_rules(dir: &Path) -> anyhow::Result<Vec<UserRule>> {
    let mut files = crate::content::rule_files(dir)?;
    files.retain(|it| it.text.contains("product: linux"));
    anyhow::ensure!(!files.is_empty(), "no rules for Linux in {}", dir.display());
    Ok(files)
}
