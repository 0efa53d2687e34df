//! The `garrison` program: command line only.

mod agent;
mod bench;
mod content;
mod control;
mod ctl;
mod notice;
mod process;
mod report;
mod scan;
mod server;
mod status;
mod terminal;
mod token;
mod up;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

/// Garrison protects servers before, during and after an attack.
#[derive(Debug, clap::Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
enum Command {
    /// Run the server and the agent of this host, and open the console.
    Up(up::Args),
    /// Examine this host, or an offline root file system, without a server.
    Scan(scan::Args),
    /// Run or maintain the server.
    #[command(subcommand)]
    Server(server::Args),
    /// Run or maintain the agent of this host.
    #[command(subcommand)]
    Agent(agent::Args),
    /// Make enrolment tokens.
    #[command(subcommand)]
    Token(token::Args),
    /// Look at alarms and answer them, over the server's API.
    Ctl(ctl::Args),
    /// Test, explain, count and bring along rules.
    #[command(subcommand)]
    Content(content::Args),
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
        Command::Up(args) => up::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Scan(args) => scan::run(&args),
        Command::Server(args) => server::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Token(args) => token::run(args),
        Command::Ctl(args) => ctl::run(args),
        Command::Content(args) => content::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(std::io::stderr(), "garrison: {error:#}");
        ExitCode::from(EXIT_FAILED)
    })
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    /// Commands that documents tell people to type are commands: whole lines, and words set as code.
    #[test]
    fn documents_name_real_commands() {
        let mut found = 0;
        for text in [include_str!("../../../docs/handbook.md"), include_str!("../../../README.md")]
        {
            let lines = text.lines().filter(|it| !it.contains('`'));
            let spans = text.lines().flat_map(|it| it.split('`').skip(1).step_by(2));
            let typed = lines.chain(spans).filter(|it| it.starts_with("garrison "));
            for line in typed.filter(|it| !it.contains("COMMAND")) {
                // Quoted words hold no spaces that matter here.
                let words = line.split_whitespace().map(|it| it.trim_matches('"'));
                match Command::try_parse_from(words) {
                    Ok(_) => found += 1,
                    // A family of commands, named without one of them.
                    Err(it) if !it.use_stderr() => {}
                    Err(it) if it.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                    }
                    Err(it) => panic!("{line}: {it}"),
                }
            }
        }
        assert!(found > 15, "{found}");
    }
}
