//! Ordinary work, played for real in front of everything that detects: how many alarms it causes.
//! None of them may be of medium severity or more, and every low one has its reason on a list.
//!
//! The work happens in a copy-on-write image of this machine with a network of its own (see
//! [`room`]), so that installing, adding accounts and editing /etc are what they are elsewhere and
//! leave nothing behind.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use agent::detect::{Options, Pipeline};
use anyhow::{Context as _, bail};
use engine::content::Catalogue;
use model::finding::{Evidence, Finding, Severity};

use super::say;
use piece::{Outcome, PIECES, Piece};
use reasons::Reasons;

mod piece;
mod reasons;
mod room;

/// From the end of a piece until what it did has been told: batches of events, texts that settle.
const SETTLE: Duration = Duration::from_secs(1);
/// The last piece waits for a whole round of the sweeps.
const SWEEPS_ROUND: Duration = Duration::from_secs(17);
/// What sweeps find in the room's own files, without a process: the pieces are all who change them.
const OF_THE_ROOM: [&str; 2] = ["account", "autostart"];
/// Longest subject that is printed.
const SHOWN_CHARS: usize = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Play these pieces only.
    pieces: Vec<String>,
    /// List the pieces and end.
    #[arg(long)]
    list: bool,
    /// Leave out what needs the internet or takes long.
    #[arg(long)]
    short: bool,
    /// Play everything twice, the second time before an agent that has learned the host.
    #[arg(long)]
    learned: bool,
    /// Others work on this machine meanwhile: alarms about what no piece did are listed, not judged.
    #[arg(long)]
    shared: bool,
    /// Print the processes behind each alarm.
    #[arg(long)]
    verbose: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let chosen = choose(args)?;
    if args.list {
        for it in chosen {
            say(&format!("{:<12} {}", it.name, it.about));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let reasons = Reasons::parse(reasons::COMMITTED)?;
    let room = room::enter().context("this bench needs root and overlay mounts")?;
    let mut tally = Tally::default();
    let mut rounds = vec![agent::detect::first_seen::LEARN];
    if args.learned {
        rounds.push(Duration::ZERO);
    }
    for learn in rounds {
        let learned = if learn.is_zero() { ", after learning" } else { "" };
        say(&format!("{} pieces{learned}", chosen.len()));
        play_all(&chosen, &room, learn, args, &reasons, &mut tally)?;
    }
    Ok(tally.conclude(args.shared))
}

fn choose(args: &Args) -> anyhow::Result<Vec<&'static Piece>> {
    for name in &args.pieces {
        if !PIECES.iter().any(|it| it.name == name) {
            bail!("no piece is called `{name}`; see `garrison bench quiet --list`");
        }
    }
    let wanted = |it: &&Piece| {
        (args.pieces.is_empty() || args.pieces.iter().any(|name| name == it.name))
            && (!args.short || it.short)
    };
    Ok(PIECES.iter().filter(wanted).collect())
}

fn play_all(
    pieces: &[&'static Piece],
    room: &room::Room,
    learn: Duration,
    args: &Args,
    reasons: &Reasons,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut options = Options::new(Catalogue::embedded()?);
    options.state_dir = Some(room.state_dir().to_owned());
    options.learn = learn;
    options.sweeps = true;
    let pipeline = Pipeline::start(options)?;
    let health = pipeline.health();
    say(&format!("sensor: {}, {} programs missing", health.tier, health.missing.len()));
    let mut roots = Roots::new();
    for (at, piece) in pieces.iter().enumerate() {
        let outcome = room.play(piece)?;
        let settle = if at + 1 == pieces.len() { SWEEPS_ROUND } else { SETTLE };
        let findings = gather(&pipeline, settle);
        if let Some(pid) = outcome.pid() {
            roots.insert(pid, piece.name);
        }
        tally.outcome(piece, &outcome);
        for finding in findings {
            tally.finding(&finding, &roots, reasons, args.verbose);
        }
    }
    pipeline.stop()?;
    Ok(())
}

/// What is told until `settle` has passed.
fn gather(pipeline: &Pipeline, settle: Duration) -> Vec<Finding> {
    pipeline.until(settle, |_| false).0
}

/// The first process of each piece.
type Roots = BTreeMap<u32, &'static str>;

/// The piece a finding's processes descend from.
fn piece_of(finding: &Finding, roots: &Roots) -> Option<&'static str> {
    let chain = finding.evidence.iter().find_map(|it| match it {
        Evidence::Processes { chain } => Some(chain),
        _ => None,
    });
    let Some(chain) = chain else {
        return OF_THE_ROOM.contains(&&*finding.category).then_some("(state)");
    };
    chain.iter().find_map(|it| roots.get(&it.pid).copied())
}

/// What came of it all.
#[derive(Debug, Default)]
struct Tally {
    played: usize,
    skipped: Vec<&'static str>,
    broken: Vec<&'static str>,
    too_severe: usize,
    unexplained: usize,
    explained: usize,
    elsewhere: BTreeMap<(Severity, String), usize>,
}

impl Tally {
    fn outcome(&mut self, piece: &Piece, outcome: &Outcome) {
        match outcome {
            Outcome::Done { took, .. } => {
                self.played += 1;
                say(&format!("{:<12} {:>6.1} s", piece.name, took.as_secs_f64()));
            }
            Outcome::Skipped { lacks } => {
                self.skipped.push(piece.name);
                say(&format!("{:<12} skipped: {lacks} is not installed", piece.name));
            }
            Outcome::Failed { reason, tail, .. } => {
                self.broken.push(piece.name);
                say(&format!("{:<12} FAILED: {reason}\n{tail}", piece.name));
            }
        }
    }

    fn finding(&mut self, finding: &Finding, roots: &Roots, reasons: &Reasons, verbose: bool) {
        let Some(piece) = piece_of(finding, roots) else {
            let count = self.elsewhere.entry((finding.severity, finding.rule.clone()));
            *count.or_default() += 1;
            if verbose {
                say(&format!("  elsewhere: {}", line(finding)));
            }
            return;
        };
        let reason = reasons.of(&finding.rule, piece, &finding.subject);
        let verdict = match reason {
            _ if finding.severity >= Severity::Medium => {
                self.too_severe += 1;
                "TOO SEVERE"
            }
            Some(reason) => {
                self.explained += 1;
                reason
            }
            None => {
                self.unexplained += 1;
                "UNEXPLAINED"
            }
        };
        say(&format!("  {piece}: {}\n    {verdict}", line(finding)));
        if verbose || reason.is_none() || finding.severity >= Severity::Medium {
            processes(finding, roots);
        }
    }

    fn conclude(&self, shared: bool) -> ExitCode {
        if !self.elsewhere.is_empty() {
            say("alarms about what no piece did:");
        }
        for ((severity, rule), count) in &self.elsewhere {
            say(&format!("  {rule} {severity} x{count}"));
        }
        let elsewhere: usize = self.elsewhere.values().sum();
        say(&format!(
            "{} pieces played, {} skipped, {} failed; {} alarms of medium or more, {} low without \
             a reason, {} low with one, {elsewhere} elsewhere",
            self.played,
            self.skipped.len(),
            self.broken.len(),
            self.too_severe,
            self.unexplained,
            self.explained,
        ));
        let is_quiet = self.too_severe + self.unexplained == 0 && (shared || elsewhere == 0);
        if is_quiet && self.broken.is_empty() && self.played > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(crate::EXIT_FINDINGS)
        }
    }
}

fn line(finding: &Finding) -> String {
    let subject: String = finding.subject.chars().take(SHOWN_CHARS).collect();
    format!("{} {} {subject}: {}", finding.rule, finding.severity, finding.sentence.en)
}

/// The processes down to the piece's own.
fn processes(finding: &Finding, roots: &Roots) {
    for evidence in &finding.evidence {
        let Evidence::Processes { chain } = evidence else { continue };
        for it in chain.iter().take_while(|it| !roots.contains_key(&it.pid)) {
            let command: String = it.command.chars().take(SHOWN_CHARS).collect();
            let package = it.package.as_deref().unwrap_or("-");
            say(&format!("      {} {} [{package}] {command}", it.pid, it.executable));
        }
    }
}
