//! Which package a file belongs to.
//!
//! A host has 100,000 packaged files and more; the index keeps eight bytes of each: part of a
//! keyed hash of the path, and the number of the package. A path nobody packaged is taken for
//! a packaged one about once in 10^8 look-ups, and without the key, which is new with each
//! start, nobody can make such a path.

pub mod apk;
pub mod digests;
pub mod dpkg;
pub mod rpm;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use model::because;
use model::because::Because;

use crate::host_root::{FileKind, HostRoot};

/// Most files in the index: 16 MiB.
pub const FILES_MAX: usize = 2_000_000;
const PACKAGE_BITS: u32 = 20;
/// Most packages: what fits beside the hash.
pub const PACKAGES_MAX: usize = 1 << PACKAGE_BITS;
/// Directories that distributions have merged into others.
const ALIASES: [&str; 7] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/sbin"];

/// A package database the index is made of. The readers stand beside this file.
pub(crate) struct Source {
    /// Paths of the files that change whenever the database does.
    pub(crate) stamps: &'static [&'static str],
    /// Tells the builder every package and file. Says what it could not read by
    /// [`Builder::skip`].
    pub(crate) read: fn(&HostRoot, &mut Builder),
}

/// Every database a host may have; one that is not there reads as nothing.
static SOURCES: &[&Source] = &[&dpkg::SOURCE, &rpm::SOURCE, &apk::SOURCE];

/// Identity of a database file: inode, size, mtime in ns.
type Stamp = Option<(u64, u64, i64)>;

/// Owner of every packaged path of one host.
#[derive(Debug, Default)]
pub struct PackageIndex {
    hasher: RandomState,
    aliases: Vec<(Vec<u8>, Vec<u8>)>,
    /// Hash above, package number below, sorted.
    entries: Vec<u64>,
    names: Vec<Box<str>>,
    skipped: Vec<Because>,
    stamps: Vec<Stamp>,
}

impl PackageIndex {
    /// Reads the databases of `root` if they changed since the last time. True: they did.
    pub fn refresh(&mut self, root: &HostRoot) -> bool {
        let stamps = stamps(root);
        if stamps == self.stamps {
            return false;
        }
        let mut builder = Builder {
            hasher: self.hasher.clone(),
            aliases: aliases(root),
            // Nearly as many as last time, so that the vector does not double.
            entries: Vec::with_capacity(self.entries.len() + self.entries.len() / 64),
            names: Vec::new(),
            diversions: HashMap::new(),
            skipped: Vec::new(),
            left_out: 0,
        };
        for source in SOURCES {
            (source.read)(root, &mut builder);
        }
        *self = builder.finish(stamps);
        true
    }

    /// The databases of `root` are as they were when they were read.
    pub fn is_current(&self, root: &HostRoot) -> bool {
        stamps(root) == self.stamps
    }

    /// The package that installed `path`, an absolute path without `.` or `..` in it.
    pub fn owner(&self, path: impl AsRef<Path>) -> Option<&str> {
        let path = path.as_ref().as_os_str().as_bytes();
        let hash = hash_of(&self.hasher, &self.aliases, path);
        let start = self.entries.partition_point(|it| it >> PACKAGE_BITS < hash);
        let entry = *self.entries.get(start)?;
        if entry >> PACKAGE_BITS != hash {
            return None;
        }
        let package = usize::try_from(entry & (PACKAGES_MAX as u64 - 1)).ok()?;
        self.names.get(package).map(AsRef::as_ref)
    }

    /// No database was found: every file is unpackaged here, which says nothing about it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn packages(&self) -> usize {
        self.names.len()
    }

    pub fn files(&self) -> usize {
        self.entries.len()
    }

    /// What could not be read when the index was made.
    pub fn skipped(&self) -> &[Because] {
        &self.skipped
    }
}

fn stamps(root: &HostRoot) -> Vec<Stamp> {
    let stamp =
        |path: &&str| root.metadata(path).ok().map(|it| (it.inode, it.size, it.modified_ns));
    SOURCES.iter().flat_map(|source| source.stamps).map(stamp).collect()
}

/// Takes packages and their files from a [`Source`].
#[derive(Debug)]
pub(crate) struct Builder {
    hasher: RandomState,
    aliases: Vec<(Vec<u8>, Vec<u8>)>,
    entries: Vec<u64>,
    names: Vec<Box<str>>,
    /// Hash of a path to where its file really went, and the one package it did not move for.
    diversions: HashMap<u64, (Vec<u8>, Vec<u8>)>,
    skipped: Vec<Because>,
    left_out: usize,
}

/// A database holds more packages than are kept.
fn too_many() -> Because {
    because!("package.too_many", "too many packages")
}

/// Number of a package in one [`Builder`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackageNumber(u64);

impl Builder {
    /// A package by its name without architecture or version. `None` above [`PACKAGES_MAX`].
    pub(crate) fn package(&mut self, name: &[u8]) -> Option<PackageNumber> {
        if self.names.len() >= PACKAGES_MAX {
            return None;
        }
        self.names.push(String::from_utf8_lossy(name).into());
        Some(PackageNumber(self.names.len() as u64 - 1))
    }

    /// A file of `package` at the absolute `path`.
    pub(crate) fn file(&mut self, package: PackageNumber, path: &[u8]) {
        let mut hash = hash_of(&self.hasher, &self.aliases, path);
        if !self.diversions.is_empty()
            && let Some((to, except)) = self.diversions.get(&hash)
            && usize::try_from(package.0)
                .ok()
                .and_then(|it| self.names.get(it))
                .is_some_and(|name| name.as_bytes() != except)
        {
            hash = hash_of(&self.hasher, &self.aliases, to);
        }
        if self.entries.len() < FILES_MAX {
            self.entries.push((hash << PACKAGE_BITS) | package.0);
        } else {
            self.left_out += 1;
        }
    }

    /// Files of all packages but `except` that say `from` lie at `to`.
    pub(crate) fn divert(&mut self, from: &[u8], to: &[u8], except: &[u8]) {
        let hash = hash_of(&self.hasher, &self.aliases, from);
        self.diversions.insert(hash, (to.to_vec(), except.to_vec()));
    }

    /// One sentence: what could not be read, where and why.
    pub(crate) fn skip(&mut self, why: Because) {
        if self.skipped.len() < crate::collect::SKIPPED_LINES_MAX {
            self.skipped.push(why);
        }
    }

    fn finish(mut self, stamps: Vec<Stamp>) -> PackageIndex {
        if self.left_out > 0 {
            self.skip(because!(
                "package.files",
                "files whose package is not kept: {count}",
                count = self.left_out
            ));
        }
        self.entries.sort_unstable();
        self.entries.dedup();
        self.entries.shrink_to_fit();
        PackageIndex {
            hasher: self.hasher,
            aliases: self.aliases,
            entries: self.entries,
            names: self.names,
            skipped: self.skipped,
            stamps,
        }
    }
}

/// The top bits of the keyed hash of `path` after merged directories.
fn hash_of(hasher: &RandomState, aliases: &[(Vec<u8>, Vec<u8>)], path: &[u8]) -> u64 {
    use std::hash::Hasher as _;
    let mut state = hasher.build_hasher();
    let merged = aliases.iter().find_map(|(from, to)| {
        let rest = path.strip_prefix(from.as_slice())?;
        rest.starts_with(b"/").then_some((to, rest))
    });
    match merged {
        // The two writes hash as their joined bytes do: SipHash takes a stream.
        Some((to, rest)) => {
            state.write(to);
            state.write(rest);
        }
        None => state.write(path),
    }
    state.finish() >> PACKAGE_BITS
}

/// The directories that are links on this host, as `/bin` to `/usr/bin`: packages may name a
/// file by either path.
fn aliases(root: &HostRoot) -> Vec<(Vec<u8>, Vec<u8>)> {
    let link = |path: &str| {
        let is_link = root.symlink_metadata(path).is_ok_and(|it| it.kind == FileKind::Symlink);
        let target = if is_link { root.read_link(path).ok()? } else { return None };
        let parent = Path::new(path).parent()?;
        let target = parent.join(target);
        let plain = !target.iter().any(|it| it == OsStr::new("..") || it == OsStr::new("."));
        plain.then(|| (path.as_bytes().to_vec(), target.as_os_str().as_bytes().to_vec()))
    };
    ALIASES.iter().filter_map(|it| link(it)).collect()
}

#[cfg(test)]
mod tests;
