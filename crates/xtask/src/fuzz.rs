//! Builds and runs the fuzz targets of `crates/fuzz` with the toolchain that builds everything else.
//!
//! The parsers have no unsafe code, so libFuzzer needs coverage counters but no address sanitizer, and those are
//! stable code generation options: neither a nightly toolchain nor cargo-fuzz has to be installed.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, bail};

use crate::shell::{self, Shell};

/// Coverage counters on every edge, a table of their places, comparisons traced; arithmetic and assertions checked.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks";
/// Whole-program optimisation would take longer than most fuzzing.
const PROFILE: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];
/// Longer inputs find nothing that shorter ones do not, only later, in bytes.
const INPUT_LEN_MAX: u32 = 65_536;
/// The most memory one input may cost, in MiB, and the longest it may take, in seconds.
const MEMORY_MIB_MAX: u32 = 1024;
const INPUT_SECONDS_MAX: u32 = 10;

/// Fuzzes `targets` (all, when empty) for `seconds` each; with `check` only compiles what runs them.
pub(crate) fn run(
    shell: &Shell,
    seconds: u32,
    check: bool,
    targets: &[String],
) -> Result<ExitCode> {
    let triple = host_triple(shell)?;
    let build = shell.target.join("fuzz");
    let mut command = shell.command("cargo");
    command.arg(if check { "check" } else { "build" });
    // Naming the target keeps the counters out of build scripts and macros.
    command.args([
        "--quiet",
        "--release",
        "--locked",
        "--target",
        &triple,
        "--package",
        "fuzz",
        "--features",
        "libfuzzer",
    ]);
    shell::step(
        "build the fuzz targets",
        command.env("CARGO_TARGET_DIR", &build).env("RUSTFLAGS", INSTRUMENTED).envs(PROFILE),
    )?;
    if check {
        return Ok(ExitCode::SUCCESS);
    }

    let binary = build.join(&triple).join("release/fuzz-one");
    let known = names(shell)?;
    if let Some(unknown) = targets.iter().find(|target| !known.contains(target)) {
        bail!("no such fuzz target: {unknown}; there are {}", known.join(", "));
    }
    let chosen = if targets.is_empty() { &known } else { targets };
    let mut failed = Vec::new();
    for name in chosen {
        if !fuzz_one(shell, &binary, name, seconds)? {
            failed.push(name.as_str());
        }
    }
    println!(
        "\n{} targets held, {} broke {}",
        chosen.len() - failed.len(),
        failed.len(),
        failed.join(" ")
    );
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fuzz_one(shell: &Shell, binary: &Path, name: &str, seconds: u32) -> Result<bool> {
    let found = shell.cache.join("fuzz").join(name);
    let breaks = shell.root.join("fuzz-breaks").join(name);
    for folder in [&found, &breaks] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = shell.command(binary);
    command.env("FUZZ_TARGET", name).args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={INPUT_LEN_MAX}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-artifact_prefix={}/", breaks.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    Ok(shell::show(&format!("fuzz {name}"), command.arg(found))?.success)
}

/// The names of the targets; the fixtures they start from are laid out on the way.
fn names(shell: &Shell) -> Result<Vec<String>> {
    let mut command = shell.command("cargo");
    command.args([
        "run",
        "--quiet",
        "--locked",
        "--package",
        "fuzz",
        "--bin",
        "fuzz-targets",
        "--",
    ]);
    let output = command.arg(shell.cache.join("fuzz")).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("cannot list the fuzz targets: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn host_triple(shell: &Shell) -> Result<String> {
    let output = shell.command("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc names no host")
}
