//! Every parser of bytes that somebody else may have written, behind one door for fuzzing.
//!
//! A target takes any bytes and must return: no panic, no overflow, no endless loop, no memory without bound.
//! `cargo xtask fuzz` drives the targets by coverage; the tests here run each one over the fixtures of the tree and
//! over damaged copies of them, so that an ordinary test run knows the targets too.

mod host;
pub mod seeds;

use agent::spool::block;

/// Something to feed with bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// `<what>.<input>`; for a collector, `<kind>.<path with dots>`.
    pub name: &'static str,
    pub input: Input,
}

/// Where the bytes go.
#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// They are this file of an otherwise empty host, and this collector reads it.
    HostFile { kind: &'static str, path: &'static str },
    /// They are this file of an otherwise empty host, and the index of packages reads it.
    PackageFile { path: &'static str },
    /// They go to a function.
    Bytes(fn(&[u8])),
}

/// All targets, by name.
pub static TARGETS: &[Target] = &[
    package("package.apk", "lib/apk/db/installed"),
    package("package.dpkg_list", "var/lib/dpkg/info/bash.list"),
    package("package.dpkg_diversions", "var/lib/dpkg/diversions"),
    package("package.rpm_sqlite", "var/lib/rpm/rpmdb.sqlite"),
    package("package.rpm_ndb", "var/lib/rpm/Packages.db"),
    package("package.rpm_bdb", "var/lib/rpm/Packages"),
    bytes("spool.block", |bytes| {
        block::parse(bytes);
    }),
];

const fn package(name: &'static str, path: &'static str) -> Target {
    Target { name, input: Input::PackageFile { path } }
}

const fn bytes(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, input: Input::Bytes(run) }
}

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Feeds the target once.
    ///
    /// # Errors
    /// When the host's folder cannot be written; what the target makes of the bytes is no error.
    pub fn feed(&self, bytes: &[u8]) -> anyhow::Result<()> {
        match self.input {
            Input::HostFile { kind, path } => host::collect(kind, path, bytes),
            Input::PackageFile { path } => host::packages(path, bytes),
            Input::Bytes(run) => {
                run(bytes);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
