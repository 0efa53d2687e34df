//! Builds the release binary and lets it measure itself.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};

use crate::{
    console, release_binary,
    setup::{self, Need},
    shell::{self, Shell},
};

/// Runs the named benches, or all of them, even when one misses its bar.
pub(crate) fn run(shell: &Shell, names: &[String]) -> Result<ExitCode> {
    setup::ensure(shell, &[Need::Build, Need::Bench])?;
    console::build(shell)?;
    let binary = release_binary(shell)?;
    let all = all(shell, &binary)?;
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

/// What `garrison bench` offers, as its help lists it: the binary is the only list.
fn all(shell: &Shell, binary: &Path) -> Result<Vec<String>> {
    let output = shell
        .command(binary)
        .args(["bench", "--help"])
        .output()
        .context("cannot start the binary")?;
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let first = names.filter_map(|line| line.split_whitespace().next());
    let names: Vec<String> = first.filter(|name| *name != "help").map(str::to_owned).collect();
    if names.is_empty() {
        bail!("`garrison bench --help` lists no bench");
    }
    Ok(names)
}
