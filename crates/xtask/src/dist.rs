//! Packs the release binary: the same sources give the same archive.

use std::{env::consts::ARCH, fs};

use anyhow::{Context, Result};

use crate::{
    console, release_binary,
    setup::{self, Need},
    shell::{self, Shell},
    stamp,
};

/// What goes into the archive beside the binary.
const DOCUMENTS: [&str; 4] = ["LICENSE", "README.md", "SECURITY.md", "CHANGELOG.md"];

/// Writes `dist/garrison-VERSION-ARCH-linux.tar.gz` and its SHA-256.
pub(crate) fn run(shell: &Shell) -> Result<()> {
    setup::ensure(shell, &[Need::Build])?;
    console::build(shell)?;
    let binary = release_binary(shell)?;

    let name = format!("garrison-{}-{ARCH}-linux", env!("CARGO_PKG_VERSION"));
    let folder = shell.root.join("dist").join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(&binary, folder.join("garrison")).context("cannot copy the binary")?;
    for document in DOCUMENTS {
        fs::copy(shell.root.join(document), folder.join(document))
            .with_context(|| format!("cannot copy {document}"))?;
    }

    // Owner, order and times are fixed, so that two builds of one commit can be compared byte for byte.
    let archive = format!("{name}.tar.gz");
    let mut tar = shell.command("tar");
    tar.current_dir(shell.root.join("dist")).env("GZIP", "-n");
    tar.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "-czf",
        &archive,
        &name,
    ]);
    shell::step(&format!("pack dist/{archive}"), &mut tar)?;

    let digest = stamp::sha256(&shell.root.join("dist").join(&archive))?;
    let line = format!("{digest}  {archive}\n");
    fs::write(shell.root.join("dist").join(format!("{archive}.sha256")), &line)
        .context("cannot write the digest")?;
    print!("{line}");
    Ok(())
}
