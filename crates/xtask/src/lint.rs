//! The static checks: every one is run, so that one look shows everything there is to mend.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    console,
    setup::{self, Need},
    shell::{self, Shell, find_program},
};

/// Runs every check and says how many failed.
pub(crate) fn run(shell: &Shell) -> Result<ExitCode> {
    setup::ensure(shell, &[Need::Build, Need::Lint])?;
    // The binary carries the pages, so its code can only be checked once they are built.
    console::build(shell)?;
    println!("Checking");

    let scripts = shell_scripts(shell)?;
    let node_tool = |name: &str| shell.console().join("node_modules/.bin").join(name);
    let mut checks = vec![
        ("cargo fmt", shell.command("cargo"), vec!["fmt", "--all", "--check"], &shell.root),
        (
            "cargo clippy",
            shell.command("cargo"),
            vec![
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
            &shell.root,
        ),
        (
            "typos",
            shell.command(shell.python_tool("typos")),
            vec!["--format", "brief"],
            &shell.root,
        ),
        (
            "shellcheck",
            shell.command("shellcheck"),
            // With what they include.
            ["-x"].into_iter().chain(scripts.iter().map(String::as_str)).collect(),
            &shell.root,
        ),
    ];
    if find_program("cargo-deny").is_some() {
        checks.push((
            "cargo deny",
            shell.command("cargo"),
            vec!["deny", "--offline", "check", "bans", "licenses", "sources"],
            &shell.root,
        ));
    }
    checks.push((
        "kernel programs",
        shell.command(std::env::current_exe().context("cannot find the running program")?),
        vec!["bpf", "--check"],
        &shell.root,
    ));
    let console = shell.console();
    for (name, args) in [("biome", vec!["ci", "."]), ("tsc", vec!["--noEmit"]), ("knip", vec![])] {
        checks.push((name, shell.command(node_tool(name)), args, &console));
    }

    // The types of the API in the console, against its description.
    checks.push((
        "api types",
        shell.command("npm"),
        vec!["run", "--silent", "api:check"],
        &console,
    ));

    let total = checks.len();
    let mut failed = 0;
    for (title, mut command, args, folder) in checks {
        if shell::step(title, command.args(args).current_dir(folder)).is_err() {
            failed += 1;
        }
    }
    println!("{} checks passed, {failed} failed", total - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every committed file that starts with a shell's `#!` line.
fn shell_scripts(shell: &Shell) -> Result<Vec<String>> {
    let output =
        shell.command("git").args(["ls-files", "-z"]).output().context("cannot start git")?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names
        .split('\0')
        .filter(|name| {
            fs::read(shell.root.join(name)).is_ok_and(|bytes| {
                let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
                first.starts_with(b"#!") && (first.ends_with(b"sh") || first.ends_with(b"sh -eu"))
            })
        })
        .map(str::to_owned)
        .collect())
}
