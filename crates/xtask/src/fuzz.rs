//! Builds and runs the fuzz targets of `fuzz/` with the toolchain that builds everything else.
//!
//! The parsers have no unsafe code, so libFuzzer needs coverage counters but no address sanitizer, and those are
//! stable code generation options: neither a nightly toolchain nor cargo-fuzz has to be installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

use crate::shell::{self, Shell};

/// Coverage counters on every edge, a table of their places, comparisons traced; arithmetic and assertions checked.
const INSTRUMENTED: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";
/// Longer inputs find nothing that shorter ones do not, only later, in bytes.
const INPUT_LEN_MAX: u32 = 65_536;
/// The most memory one input may cost, in MiB, and the longest it may take, in seconds.
const MEMORY_MIB_MAX: u32 = 1024;
const INPUT_SECONDS_MAX: u32 = 10;

/// Fuzzes `targets` (all, when empty) for `seconds` each; with `check` only compiles them.
pub(crate) fn run(
    shell: &Shell,
    seconds: u32,
    check: bool,
    targets: &[String],
) -> Result<ExitCode> {
    let known = names(&shell.root.join("fuzz/fuzz_targets"))?;
    if let Some(unknown) = targets.iter().find(|target| !known.contains(target)) {
        bail!("no such fuzz target: {unknown}; there are {}", known.join(", "));
    }
    let manifest = shell.root.join("fuzz/Cargo.toml");
    if check {
        let mut command = shell.command("cargo");
        shell::step(
            "compile the fuzz targets",
            command.args(["check", "--quiet", "--locked", "--manifest-path"]).arg(manifest),
        )?;
        return Ok(ExitCode::SUCCESS);
    }

    let triple = host_triple(shell)?;
    let build = shell.target.join("fuzz");
    let mut command = shell.command("cargo");
    // Naming the target keeps the counters out of build scripts and macros.
    command
        .args(["build", "--quiet", "--release", "--locked", "--target", &triple, "--manifest-path"])
        .arg(manifest);
    shell::step(
        "build the fuzz targets",
        command.env("CARGO_TARGET_DIR", &build).env("RUSTFLAGS", INSTRUMENTED),
    )?;

    let folder = build.join(&triple).join("release");
    let chosen = if targets.is_empty() { &known } else { targets };
    let mut failed = Vec::new();
    for name in chosen {
        if !fuzz_one(shell, &folder, name, seconds)? {
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

fn fuzz_one(shell: &Shell, folder: &Path, name: &str, seconds: u32) -> Result<bool> {
    // What is found is kept outside the repository; what is committed as seeds is only read.
    let found = shell.cache.join("fuzz").join(name);
    let breaks = shell.root.join("fuzz/artifacts").join(name);
    for folder in [&found, &breaks] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = shell.command(folder.join(name));
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={INPUT_LEN_MAX}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-artifact_prefix={}/", breaks.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    command.arg(found);
    let seeds: PathBuf = shell.root.join("fuzz/corpus").join(name);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    Ok(shell::show(&format!("fuzz {name}"), &mut command)?.success)
}

/// The targets: one file each.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn host_triple(shell: &Shell) -> Result<String> {
    let output = shell.command("rustc").arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc names no host")
}
