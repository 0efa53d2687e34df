//! Embeds `content/detections/<family>/<id>/{rule.yml,cases.yml}` so that the binary needs
//! no files at run time. Whether they make sense is checked by `content.rs`, with tests.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let content = manifest.join("../../content/detections").canonicalize()?;
    println!("cargo::rerun-if-changed={}", content.display());
    let mut table = String::from("&[\n");
    for family in folders(&content)? {
        println!("cargo::rerun-if-changed={}", family.display());
        for item in folders(&family)? {
            println!("cargo::rerun-if-changed={}", item.display());
            let place = item.strip_prefix(&content).unwrap_or(&item).to_string_lossy();
            let _ = writeln!(
                table,
                "Source {{ place: {place:?}, rule: {}, cases: {} }},",
                text(&item.join("rule.yml")),
                text(&item.join("cases.yml")),
            );
        }
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("detections.rs"), table)
}

/// Folders in `parent`, in name order, so that the table is the same on every machine.
fn folders(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The expression for one file; a file that is not there is left to the loader to report.
fn text(path: &Path) -> String {
    println!("cargo::rerun-if-changed={}", path.display());
    let name = path.to_string_lossy();
    if path.is_file() { format!("Some(include_str!({name:?}))") } else { "None".to_owned() }
}
