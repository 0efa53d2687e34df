//! Builds the release binary and lets it measure itself.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    console, release_binary,
    setup::{self, Need},
    shell::{self, Shell},
};

/// The benches of `garrison bench`, in the order of the README's table.
const NAMES: [&str; 5] = ["up", "assets", "idle", "login", "store"];

/// Runs the named benches, or all of them, even when one misses its bar.
pub(crate) fn run(shell: &Shell, names: &[String]) -> Result<ExitCode> {
    setup::ensure(shell, &[Need::Build, Need::Bench])?;
    console::build(shell)?;
    let binary = release_binary(shell)?;
    let all = NAMES.map(str::to_owned);
    let names = if names.is_empty() { all.as_slice() } else { names };
    let mut missed = 0;
    for name in names {
        let output =
            shell::show(&format!("bench {name}"), shell.command(&binary).arg("bench").arg(name))?;
        missed += usize::from(!output.success);
    }
    println!("\n{} benches within their bars, {missed} not", names.len() - missed);
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
