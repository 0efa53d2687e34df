//! The sensor's kernel programs: built here, committed as objects, proved to be what their sources give.
//!
//! Whoever builds Garrison needs no compiler for them; who changes them needs exactly the one named here,
//! because another one gives other bytes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};

use crate::{
    setup::{self, Need},
    shell::{self, Shell},
    stamp,
};

/// The compiler of Debian 12.
const CLANG: &str = "clang-14";
const STRIP: &str = "llvm-strip-14";
/// Where sources and objects lie.
const FOLDER: &str = "crates/sensor/bpf";

/// Builds every program; with `check` the committed objects stay as they are and are compared.
pub(crate) fn run(shell: &Shell, check: bool) -> Result<ExitCode> {
    setup::ensure(shell, &[Need::Lint])?;
    let folder = shell.root.join(FOLDER);
    let built = shell.target.join("bpf");
    fs::create_dir_all(&built).with_context(|| format!("cannot make {}", built.display()))?;
    let mut failed = 0;
    for source in sources(&folder)? {
        let name = source.with_extension("o");
        let name = name.file_name().context("a source has a name")?.to_string_lossy().into_owned();
        let object = built.join(&name);
        build(shell, &folder, &source, &object)?;
        let committed = folder.join(&name);
        let sum = format!("{}  {name}\n", stamp::sha256(&object)?);
        let sum_file = folder.join(format!("{name}.sha256"));
        if check {
            let is_same = fs::read(&committed).ok() == fs::read(&object).ok()
                && fs::read_to_string(&sum_file).ok().as_deref() == Some(&sum);
            println!(
                "  {name}: {}",
                if is_same { "as committed" } else { "differs, run cargo xtask bpf" }
            );
            failed += usize::from(!is_same);
        } else {
            fs::copy(&object, &committed)
                .with_context(|| format!("cannot write {}", committed.display()))?;
            fs::write(&sum_file, sum)
                .with_context(|| format!("cannot write {}", sum_file.display()))?;
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut sources: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".bpf.c"))
        .collect();
    sources.sort();
    Ok(sources)
}

/// The types (BTF) stay in the object, what a debugger would want goes; no folder of this machine gets in.
fn build(shell: &Shell, folder: &Path, source: &Path, object: &Path) -> Result<()> {
    let name = source.file_name().context("a source has a name")?;
    let mut compiler = shell.command(CLANG);
    compiler
        .current_dir(folder)
        .args(["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86"])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-sign-compare"])
        .arg(format!("-ffile-prefix-map={}=.", folder.display()))
        .args(["-fdebug-compilation-dir=.", "-c"])
        .arg(name)
        .arg("-o")
        .arg(object);
    shell::step(&format!("{CLANG} {}", name.to_string_lossy()), &mut compiler)?;
    shell::step(
        &format!("{STRIP} {}", name.to_string_lossy()),
        shell.command(STRIP).arg("-g").arg(object),
    )
}
