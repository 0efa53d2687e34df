//! The `garrison` program: command line only.

mod bench;
mod report;
mod scan;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

/// Garrison protects servers before, during and after an attack.
#[derive(Debug, clap::Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
enum Command {
    /// Examine this host, or an offline root file system, without a server.
    Scan(scan::Args),
    /// Measure this build on this machine.
    #[command(subcommand)]
    Bench(bench::Args),
}

/// What `garrison scan --fail-on` found too severe.
const EXIT_FINDINGS: u8 = 1;
/// The command failed; the reason is on standard error.
const EXIT_FAILED: u8 = 2;

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Scan(args) => scan::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(std::io::stderr(), "garrison: {error:#}");
        ExitCode::from(EXIT_FAILED)
    })
}
