//! `garrison bench`: figures of this build on this machine, each beside its bar.
//!
//! Hardware differs and is shared, so a figure is printed with what it is measured against in
//! the same run: a peer doing the same job, or the limit we promise.

use std::io::Write as _;
use std::process::ExitCode;

mod assets;
mod auditd;
mod block;
mod console;
mod detect;
mod host;
mod idle;
mod login;
mod pipeline;
mod quiet;
mod rules;
mod sensor;
mod spool;
mod store;
mod storm;
mod up;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Start to first answer, memory of both processes, and time to the first full scan's results.
    Up,
    /// CPU time of a full asset collection, beside the same facts gathered by shelling out.
    Assets,
    /// Memory and CPU time of the agent while nothing happens.
    Idle {
        /// How long to watch.
        #[arg(long, default_value_t = 300)]
        seconds: u64,
    },
    /// How well and how fast log-in attacks are found, beside fail2ban-regex on the same lines.
    Login {
        /// Lines of the log that is made.
        #[arg(long, default_value_t = 200_000)]
        lines: u64,
        #[arg(long, default_value_t = 20_260_310)]
        seed: u64,
    },
    /// How fast the server's store takes alarms and answers every page of a full fleet.
    Store {
        #[arg(long, default_value_t = 10_000)]
        hosts: u64,
        #[arg(long, default_value_t = 1_000_000)]
        alarms: u64,
    },
    /// From the deciding log line to the packet filter, and ten thousand addresses at once.
    Block,
    /// Alarms that ordinary work causes, played in front of everything that detects.
    Quiet(quiet::Args),
    /// Events a second that all rules are asked about, beside another engine.
    Rules(rules::Args),
    /// What the agent's spool makes durable, and how soon it is back after a crash.
    Spool,
    /// What seeing every program costs, beside auditd and beside nothing.
    Sensor(sensor::Args),
    /// From an act to its alarm on the console, under a thousand programs a second.
    Detect(detect::Args),
    /// Part of others: starts programs.
    #[command(hide = true)]
    Storm(storm::Args),
    /// Part of others: detection that counts what arrives.
    #[command(hide = true)]
    Pipeline,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let bars = match args {
        Args::Up => up::run()?,
        Args::Assets => assets::run()?,
        Args::Idle { seconds } => idle::run(*seconds)?,
        Args::Login { lines, seed } => login::run(*lines, *seed)?,
        Args::Store { hosts, alarms } => store::run(*hosts, *alarms)?,
        Args::Block => block::run()?,
        Args::Quiet(args) => return quiet::run(args),
        Args::Rules(args) => rules::run(args)?,
        Args::Spool => spool::run()?,
        Args::Sensor(args) => sensor::run(args)?,
        Args::Detect(args) => detect::run(args)?,
        Args::Storm(args) => return storm::run(args).map(|()| ExitCode::SUCCESS),
        Args::Pipeline => return pipeline::run().map(|()| ExitCode::SUCCESS),
    };
    Ok(if print(&bars) { ExitCode::SUCCESS } else { ExitCode::from(crate::EXIT_FINDINGS) })
}

/// One figure and what it must not pass.
#[derive(Debug)]
pub(crate) struct Bar {
    pub name: String,
    pub figure: f64,
    pub limit: f64,
    pub unit: &'static str,
    pub side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    AtMost,
    AtLeast,
}

impl Bar {
    pub(crate) fn at_most(
        name: impl Into<String>,
        figure: f64,
        limit: f64,
        unit: &'static str,
    ) -> Self {
        Self { name: name.into(), figure, limit, unit, side: Side::AtMost }
    }

    pub(crate) fn at_least(
        name: impl Into<String>,
        figure: f64,
        limit: f64,
        unit: &'static str,
    ) -> Self {
        Self { name: name.into(), figure, limit, unit, side: Side::AtLeast }
    }

    fn holds(&self) -> bool {
        match self.side {
            Side::AtMost => self.figure <= self.limit,
            Side::AtLeast => self.figure >= self.limit,
        }
    }
}

/// Prints the table; true if every bar holds.
fn print(bars: &[Bar]) -> bool {
    let width = bars.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
    for bar in bars {
        let sign = if bar.side == Side::AtMost { "<=" } else { ">=" };
        let verdict = if bar.holds() { "ok" } else { "MISSED" };
        let pad = " ".repeat(width - bar.name.chars().count());
        say(&format!(
            "{}{pad}  {:>12.3} {:<8} bar {sign} {} {:<8} {verdict}",
            bar.name, bar.figure, bar.unit, bar.limit, bar.unit
        ));
    }
    bars.iter().all(Bar::holds)
}

pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
