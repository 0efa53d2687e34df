//! Builds the console's pages when their sources changed.

use anyhow::Result;

use crate::{
    shell::{self, Shell},
    stamp::Stamp,
};

/// Everything `npm run build` reads.
const SOURCES: [&str; 7] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "tsconfig.json",
];

/// Builds `console/dist`, which the binary carries; does nothing when it is current.
pub(crate) fn build(shell: &Shell) -> Result<()> {
    let console = shell.console();
    let stamp = Stamp::new(
        console.join("node_modules/.garrison-build"),
        &SOURCES.map(|name| console.join(name)),
    )?;
    if stamp.is_current() && console.join("dist/index.html").is_file() {
        return Ok(());
    }
    shell::step(
        "build the console",
        shell.command("npm").args(["run", "--silent", "build"]).current_dir(&console),
    )?;
    stamp.write()
}
