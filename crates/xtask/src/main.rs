//! The project's automation: sets up a machine, builds, runs every check and test, measures, packs.
//!
//! `make run`, `make test`, `make lint`, `make bench` and `make dist` are each one line into this program, so
//! that a person, CI and another tool all do exactly the same thing.
#![expect(clippy::print_stdout, reason = "a command that talks to a person on a terminal")]

mod api_fuzz;
mod bench;
mod bpf;
mod console;
mod dist;
mod fuzz;
mod kernel;
mod lint;
mod setup;
mod shell;
mod stamp;
mod suites;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use setup::Need;
use shell::Shell;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set up, build, check, test, measure and pack Garrison")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing for building (and with --for, for checking, testing or measuring)
    Setup {
        #[arg(long = "for", value_enum, default_value_t = Purpose::Test)]
        purpose: Purpose,
    },
    /// Build the release binary and start server, console and this host's agent
    Run {
        /// Passed on to `garrison up`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        up_args: Vec<String>,
    },
    /// Run every test suite, all of them even when one fails
    Test {
        /// Only these suites
        #[arg(long, value_delimiter = ',', value_enum)]
        only: Vec<suites::Suite>,
    },
    /// Run every static check, all of them even when one fails
    Lint,
    /// Build the release binary and print the project's figures
    Bench {
        /// Only these benches; without a name, all of them
        names: Vec<String>,
    },
    /// Rebuild the kernel programs of the sensor, which are committed as objects
    Bpf {
        /// Only prove that the committed objects are what the sources give
        #[arg(long)]
        check: bool,
    },
    /// Build the release binary and pack it with its digest into dist/
    Dist,
    /// Fuzz the parsers, each for some seconds
    Fuzz {
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Only compile the targets
        #[arg(long)]
        check: bool,
        /// Only these targets; without a name, all of them
        targets: Vec<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Purpose {
    Build,
    Lint,
    Test,
    Bench,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    let shell = Shell::new()?;
    match args.command {
        Command::Setup { purpose } => {
            setup::ensure(&shell, purpose.needs()).map(|()| ExitCode::SUCCESS)
        }
        Command::Run { up_args } => up(&shell, &up_args),
        Command::Test { only } => suites::run(&shell, &only),
        Command::Lint => lint::run(&shell),
        Command::Bench { names } => bench::run(&shell, &names),
        Command::Bpf { check } => bpf::run(&shell, check),
        Command::Dist => dist::run(&shell).map(|()| ExitCode::SUCCESS),
        Command::Fuzz { seconds, check, targets } => fuzz::run(&shell, seconds, check, &targets),
    }
}

impl Purpose {
    fn needs(self) -> &'static [Need] {
        match self {
            Self::Build => &[Need::Build],
            Self::Lint => &[Need::Build, Need::Lint],
            Self::Test => &[Need::Build, Need::Lint, Need::Test],
            Self::Bench => &[Need::Build, Need::Bench],
        }
    }
}

/// Builds the release binary and becomes it, so that Ctrl-C and the exit code are its own.
fn up(shell: &Shell, up_args: &[String]) -> Result<ExitCode> {
    setup::ensure(shell, Purpose::Build.needs())?;
    console::build(shell)?;
    let binary = release_binary(shell)?;
    let error = shell::replace_with(shell.command(&binary).arg("up").args(up_args));
    Err(error)
}

/// Builds `garrison` optimised and returns where it lies.
fn release_binary(shell: &Shell) -> Result<std::path::PathBuf> {
    shell::step(
        "cargo build --release",
        shell.command("cargo").args(["build", "--release", "--package", "garrison"]),
    )?;
    Ok(shell.target.join("release/garrison"))
}
