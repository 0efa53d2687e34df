//! The shape of the repository, kept by tests: what may depend on what, what a file may hold, what must lie beside
//! what. Each rule's failure lists every place that breaks it, so that one run shows all there is to mend.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "all of this crate is a test"
)]

mod content;
mod documents;
mod edges;
mod packages;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A committed text file.
struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask lies in crates/xtask")
}

/// Every file of the repository that git knows or would take, binary files left out.
fn sources() -> Vec<Source> {
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(args).current_dir(root()).output().expect("git starts");
    assert!(output.status.success(), "git ls-files failed");
    String::from_utf8(output.stdout)
        .expect("file names are UTF-8")
        .split_terminator('\0')
        .filter_map(|path| {
            let text = fs::read_to_string(root().join(path)).ok()?;
            Some(Source { path: path.to_owned(), text })
        })
        .collect()
}

/// The folders directly in `path`, by name; none when there is no such folder.
fn folders(path: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join(path))
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("readable folder").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

/// Fails with every broken place, one a line.
#[track_caller]
fn check_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

impl Source {
    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }

    fn is_rust_test(&self) -> bool {
        self.is("rs") && (self.path.ends_with("/tests.rs") || self.path.contains("/tests/"))
    }

    /// Written by a person as TypeScript, not generated from the API's description.
    fn is_console_code(&self) -> bool {
        self.path.starts_with("console/")
            && (self.is("ts") || self.is("tsx"))
            && !self.path.contains(".gen.")
    }

    fn is_console_test(&self) -> bool {
        self.path.contains("/e2e/")
            || self.path.contains("/src/test/")
            || self.path.contains(".test.")
    }

    /// Data that stands for somebody else's files.
    fn is_fixture(&self) -> bool {
        self.path.contains("fixtures/")
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}
