//! Puts on the machine what is missing, and only that: Debian packages, npm packages, Python tools.
//!
//! Everything is looked for before it is installed, so a second run does nothing, and a run without root or
//! without a network works when nothing is missing.

mod apt;
pub(crate) mod kernel;
mod node;
mod python;

use anyhow::Result;

use crate::shell::{self, Shell, find_program};

/// What something is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Build,
    Lint,
    Test,
    Bench,
}

/// Installs what is missing for `needs`.
pub(crate) fn ensure(shell: &Shell, needs: &[Need]) -> Result<()> {
    apt::ensure(shell, needs)?;
    node::ensure(shell)?;
    if needs.iter().any(|need| matches!(need, Need::Lint | Need::Test)) {
        python::ensure(shell)?;
    }
    if needs.contains(&Need::Test) {
        kernel::ensure(shell)?;
    }
    if needs.contains(&Need::Test) && find_program("cargo-nextest").is_none() {
        shell::step(
            "install cargo-nextest (some minutes)",
            shell.command("cargo").args(["install", "--locked", "cargo-nextest"]),
        )?;
    }
    Ok(())
}
