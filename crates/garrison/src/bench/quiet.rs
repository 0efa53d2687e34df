//! Ordinary work, played for real in front of everything that detects: how many alarms it causes.
//! None of them may be of medium severity or more, and every low one has its reason on a list.
//!
//! The work happens in a copy-on-write image of this machine with a network of its own (see
//! [`room`]), so that installing, adding accounts and editing /etc are what they are elsewhere and
//! leave nothing behind. The whole agent runs there too (see [`watcher`]): rules about events and
//! about log-ins, the sweeps, the guard over programs, its own protection.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::say;
use piece::{PIECES, Piece};
use reasons::Reasons;
use tally::{Tally, Turn};
use watcher::Watcher;

mod piece;
mod reasons;
mod room;
mod tally;
mod watcher;

/// Before the first piece: the first look of each sweep.
const BASELINE: Duration = Duration::from_secs(12);
/// From the end of a piece until what it did has been told: batches of events, texts that settle.
const SETTLE: Duration = Duration::from_secs(1);
/// The last piece waits for the slowest of the sweeps that look at files.
const SWEEPS_ROUND: Duration = Duration::from_secs(32);

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
    /// Print the processes behind each alarm, and alarms that are not judged.
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
    say(&format!("{} pieces", chosen.len()));
    play_all(&chosen, &room, args, &reasons, &mut tally)?;
    if args.learned {
        watcher::end_learning(room.state_dir())?;
        say(&format!("{} pieces, after learning", chosen.len()));
        play_all(&chosen, &room, args, &reasons, &mut tally)?;
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
    args: &Args,
    reasons: &Reasons,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let watcher = Watcher::start(room.state_dir())?;
    std::thread::sleep(BASELINE);
    let (mut turns, mut lost) = (Vec::new(), 0);
    for piece in pieces {
        let from = crate::process::now();
        let outcome = room.play(piece, watcher.pid())?;
        tally.outcome(piece, &outcome);
        if let Some(pid) = outcome.pid() {
            turns.push(Turn { piece: piece.name, pid, from });
        }
        std::thread::sleep(SETTLE);
        let before = std::mem::replace(&mut lost, watcher.lost());
        if lost > before {
            say(&format!("  the sensor lost {} events", lost - before));
        }
    }
    std::thread::sleep(SWEEPS_ROUND);
    tally.judge(&watcher.stop()?, &turns, reasons, args);
    Ok(())
}
