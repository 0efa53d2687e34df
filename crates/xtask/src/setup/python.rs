//! Python tools in an environment of their own under the user's cache, so that the system's Python stays as it is.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{
    shell::{self, Shell, find_program},
    stamp::Stamp,
};

pub(super) fn ensure(shell: &Shell) -> Result<()> {
    let venv = shell.cache.join("venv");
    let requirements = shell.root.join("crates/xtask/requirements.txt");
    let stamp = Stamp::new(venv.join(".garrison-packages"), std::slice::from_ref(&requirements))?;
    if stamp.is_current() {
        return Ok(());
    }
    if find_program("python3").is_none() {
        bail!("missing here: python3 with venv (Debian: apt-get install python3-venv)");
    }
    fs::create_dir_all(&shell.cache)
        .with_context(|| format!("cannot make {}", shell.cache.display()))?;
    let made = shell::step(
        "make the Python environment",
        shell.command("python3").args(["-m", "venv", "--clear"]).arg(&venv),
    );
    made.context("python3 has no venv (Debian: apt-get install python3-venv)")?;
    // The list is complete, so nothing is resolved: what is installed is what is written there.
    let mut command = shell.command(venv.join("bin/pip"));
    command
        .args(["install", "--quiet", "--no-deps", "--disable-pip-version-check", "--requirement"])
        .arg(&requirements);
    shell::step("install the Python tools", &mut command)?;
    stamp.write()
}
