//! The console's npm packages, exactly as its lock file names them.

use anyhow::{Context, Result, bail};

use crate::{
    shell::{self, Shell, find_program},
    stamp::Stamp,
};

/// The oldest Node.js that the console's build tool runs on.
const NODE_MAJOR_MIN: u32 = 20;

pub(super) fn ensure(shell: &Shell) -> Result<()> {
    let console = shell.console();
    let stamp = Stamp::new(
        console.join("node_modules/.garrison-packages"),
        &[console.join("package.json"), console.join("package-lock.json")],
    )?;
    if stamp.is_current() {
        return Ok(());
    }
    if find_program("npm").is_none() {
        bail!("missing here: Node.js {NODE_MAJOR_MIN} or newer with npm");
    }
    let major = node_major(shell)?;
    if major < NODE_MAJOR_MIN {
        bail!("Node.js {major} is too old: {NODE_MAJOR_MIN} or newer is needed");
    }
    let mut command = shell.command("npm");
    command.args(["ci", "--no-audit", "--no-fund", "--prefer-offline"]).current_dir(&console);
    // The browser is Debian's; a test runner must not fetch another one.
    command.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    shell::step("npm ci in console/", &mut command)?;
    stamp.write()
}

fn node_major(shell: &Shell) -> Result<u32> {
    let output = shell.command("node").arg("--version").output().context("cannot start node")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok())
        .with_context(|| format!("node printed no version but {version:?}"))
}
