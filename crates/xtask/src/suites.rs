//! The test suites: every one is run, its own summary is repeated at the end, and the last line adds them up.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    api_fuzz, console, kernel,
    setup::{self, Need},
    shell::{self, Output, Shell},
};

/// A runner of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Every Rust test, the end-to-end scenarios among them (cargo-nextest)
    Rust,
    /// The sensor on the distribution's stock kernel, in a virtual machine
    Kernel,
    /// The console's unit tests (Vitest)
    Console,
    /// The console in a real browser (Playwright): every page over a made-up fleet, and the real
    /// binary end to end
    Browser,
    /// The REST API of a live server against its own description (schemathesis)
    Api,
}

/// How a suite ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// The runner's own words.
    summary: Vec<String>,
    passed: u32,
    failed: u32,
}

/// Runs the suites of `only`, or all of them.
pub(crate) fn run(shell: &Shell, only: &[Suite]) -> Result<ExitCode> {
    setup::ensure(shell, &[Need::Build, Need::Lint, Need::Test])?;
    console::build(shell)?;
    let suites =
        Suite::value_variants().iter().filter(|suite| only.is_empty() || only.contains(suite));

    let mut outcomes = Vec::new();
    for suite in suites {
        let outcome = match suite.start(shell) {
            Ok(output) => suite.outcome(&output),
            Err(error) => Outcome { summary: vec![format!("{error:#}")], passed: 0, failed: 1 },
        };
        outcomes.push((suite.title(), outcome));
    }

    println!("\n── summary");
    for (title, outcome) in &outcomes {
        for line in &outcome.summary {
            println!("{title:<13} {line}");
        }
    }
    let passed: u32 = outcomes.iter().map(|(_, outcome)| outcome.passed).sum();
    let failed: u32 = outcomes.iter().map(|(_, outcome)| outcome.failed).sum();
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Suite {
    fn title(self) -> &'static str {
        match self {
            Self::Rust => "cargo-nextest",
            Self::Kernel => "kernel",
            Self::Console => "vitest",
            Self::Browser => "playwright",
            Self::Api => "schemathesis",
        }
    }

    fn start(self, shell: &Shell) -> Result<Output> {
        let tool = |name: &str| shell.console().join("node_modules/.bin").join(name);
        let in_console =
            |command: &mut Command| shell::show(self.title(), command.current_dir(shell.console()));
        match self {
            Self::Rust => {
                let mut command = shell.command("cargo");
                command.args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"]);
                shell::show(self.title(), &mut command)
            }
            Self::Console => in_console(shell.command(tool("vitest")).arg("run")),
            Self::Browser => {
                let binary = test_binary(shell)?;
                let mut command = shell.command(tool("playwright"));
                in_console(command.args(["test", "--reporter=list"]).env("GARRISON_BIN", binary))
            }
            Self::Kernel => kernel::run(shell),
            Self::Api => api_fuzz::run(shell, &test_binary(shell)?),
        }
    }

    fn outcome(self, output: &Output) -> Outcome {
        let summary: Vec<&str> = match self {
            Self::Rust => output
                .text
                .lines()
                .filter(|line| line.trim_start().starts_with("Summary ["))
                .collect(),
            Self::Console => {
                output.text.lines().filter(|line| line.trim_start().starts_with("Tests ")).collect()
            }
            Self::Kernel => {
                output.text.lines().filter(|line| line.starts_with("kernel ")).collect()
            }
            Self::Browser => output.text.lines().filter(|line| is_browser_total(line)).collect(),
            Self::Api => output.text.lines().filter(|line| line.contains(" generated, ")).collect(),
        };
        let (passed, failed) = summary
            .iter()
            .map(|line| count(line))
            .fold((0, 0), |(p, f), (pp, ff)| (p + pp, f + ff));
        // A runner that ends badly without counting a failure (it did not compile, it found no tests) has failed once.
        let failed = if failed == 0 && (!output.success || passed == 0) { 1 } else { failed };
        let mut summary: Vec<String> = summary.iter().map(|line| line.trim().to_owned()).collect();
        if summary.is_empty() {
            summary.push("ended without a summary".to_owned());
        }
        Outcome { summary, passed, failed }
    }
}

/// The binary that the suites outside cargo drive: the one cargo-nextest has built for its own scenarios.
fn test_binary(shell: &Shell) -> Result<std::path::PathBuf> {
    shell::step(
        "cargo build",
        shell.command("cargo").args(["build", "--quiet", "--locked", "--package", "garrison"]),
    )?;
    Ok(shell.target.join("debug/garrison"))
}

/// Playwright ends with one line a state: `  5 passed (12.3s)`.
fn is_browser_total(line: &str) -> bool {
    let mut words = line.split_whitespace();
    line.starts_with("  ")
        && words.next().is_some_and(|word| word.parse::<u32>().is_ok())
        && words.next().is_some_and(|word| {
            ["passed", "failed", "flaky", "skipped", "interrupted"].contains(&word)
                || line.contains("did not run")
        })
}

/// What a summary line counts, whichever runner wrote it: passed, and everything that is neither that nor skipped.
fn count(line: &str) -> (u32, u32) {
    let words: Vec<&str> =
        line.split(|char: char| !char.is_ascii_alphanumeric() && char != '.').collect();
    let mut totals = (0, 0);
    for pair in words.windows(2) {
        if let [number, word] = *pair
            && let Ok(number) = number.parse::<u32>()
        {
            match word {
                "passed" => totals.0 += number,
                "failed" | "timed" | "exec" | "flaky" | "interrupted" | "did" => totals.1 += number,
                _ => {}
            }
        }
    }
    totals
}

#[cfg(test)]
mod tests;
