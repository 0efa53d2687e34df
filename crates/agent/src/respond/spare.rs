//! Which files of a task are left where they are, because the host needs them or they are not what
//! did the harm: what a package brought, and what only carried out a script. And where a file
//! really lies that a process in a container was seen with.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use model::because::Because;
use model::wire::{FileTarget, ProcessTarget};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use sensor::fanotify::mounts::{Mount, Mounts};

use super::step::Explain;
use crate::detect::image;
use crate::detect::names::{ImageKind, kind_of_name};
use crate::host_root::HostRoot;
use crate::packages::PackageIndex;
use crate::packages::digests::Digests;

/// Where the programs of packages lie, and what starts them.
const PROGRAM_FOLDERS: [&str; 6] =
    ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/lib64", "/usr/lib/systemd"];
/// Words of a command line among which the script is looked for.
const WORDS_MAX: usize = 16;
const COMMAND_BYTES_MAX: usize = 64 << 10;
/// The first line of a script.
const LINE_BYTES_MAX: u64 = 256;
const SMALL_BYTES_MAX: usize = 4096;

/// Why a file is left where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spared {
    #[error("it belongs to the package {0} and is as that brought it")]
    Packaged(String),
    #[error("it is another name of {}, which belongs to the package {package}", path.display())]
    Linked { path: PathBuf, package: String },
    #[error("it only carries out {}", .0.display())]
    Interpreter(PathBuf),
    #[error("only its container sees where it lies, so that it could not be put back")]
    Unreachable,
}

impl Explain for Spared {
    fn because(&self) -> Because {
        let shown = |it: &Path| it.display().to_string();
        match self {
            Self::Packaged(package) => Because::of(self, "spared.packaged", [("package", package)]),
            Self::Linked { path, package } => Because::of(
                self,
                "spared.linked",
                [("path", shown(path)), ("package", package.clone())],
            ),
            Self::Interpreter(script) => {
                Because::of(self, "spared.interpreter", [("path", shown(script))])
            }
            Self::Unreachable => {
                let none: [(&'static str, &str); 0] = [];
                Because::of(self, "spared.unreachable", none)
            }
        }
    }
}

/// What packages brought to this host; read when it is first asked for.
#[derive(Debug, Default)]
pub struct Packages {
    index: PackageIndex,
    digests: Digests,
}

impl Packages {
    /// Reads again what has changed since.
    pub fn refresh(&mut self, root: &HostRoot) {
        if self.index.refresh(root) {
            self.digests = Digests::read(root);
        }
    }

    /// Why the file at `path` stays.
    pub fn spare(&self, root: &HostRoot, path: &Path) -> Option<Spared> {
        let path = fs::canonicalize(path).ok()?;
        if let Some(package) = self.brought(root, &path) {
            return Some(Spared::Packaged(package));
        }
        let own = fs::metadata(&path).ok().filter(|it| it.nlink() > 1)?;
        let same = |it: &fs::Metadata| (it.dev(), it.ino()) == (own.dev(), own.ino());
        let (path, package) = self.find_program(root, |_, it| same(it))?;
        Some(Spared::Linked { path, package })
    }

    /// A packaged program that has this content too: refusing it would stop the system. The size
    /// spares reading all of them.
    pub fn program_of(
        &self,
        root: &HostRoot,
        sha256: &str,
        size: Option<u64>,
    ) -> Option<(PathBuf, String)> {
        self.find_program(root, |path, it| {
            size.is_none_or(|size| size == it.len())
                && File::open(path)
                    .and_then(|file| image::digest_file(file, it.len()))
                    .is_ok_and(|it| HEXLOWER.encode(&it.sha256) == sha256)
        })
    }

    /// The package of the file, unless its content is another than the package says.
    fn brought(&self, root: &HostRoot, path: &Path) -> Option<String> {
        let package = self.index.owner(path)?;
        let wanted = self.digests.of(root, package, path.to_str()?);
        let changed = wanted.is_some_and(|wanted| {
            let size = fs::metadata(path).map_or(0, |it| it.len());
            File::open(path)
                .and_then(|file| image::digest_and_compare(file, size, Some(wanted)))
                .is_ok_and(|it| it.verified == Some(false))
        });
        (!changed).then(|| package.to_owned())
    }

    fn find_program(
        &self,
        root: &HostRoot,
        is: impl Fn(&Path, &fs::Metadata) -> bool,
    ) -> Option<(PathBuf, String)> {
        let folders: BTreeSet<PathBuf> =
            PROGRAM_FOLDERS.iter().filter_map(|it| fs::canonicalize(it).ok()).collect();
        let entries = folders.iter().filter_map(|it| fs::read_dir(it).ok()).flatten().flatten();
        entries.map(|it| it.path()).find_map(|path| {
            let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
            let path = fs::canonicalize(&path).ok().filter(|it| is(it, &found))?;
            let package = self.brought(root, &path)?;
            Some((path, package))
        })
    }
}

/// The script that the file at `path` only carries out for one of `processes`: what the kernel
/// started it for, what the task takes away too, or what an interpreter by name was given.
pub fn script_of(
    path: &Path,
    processes: &[ProcessTarget],
    others: &[FileTarget],
) -> Option<PathBuf> {
    let own = fs::metadata(path).ok()?;
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    let runs_it = |it: &&ProcessTarget| {
        fs::metadata(format!("/proc/{}/exe", it.pid)).is_ok_and(|it| same(&it, &own))
    };
    let taken: Vec<fs::Metadata> =
        others.iter().filter_map(|it| fs::metadata(&it.path).ok()).collect();
    processes.iter().filter(runs_it).find_map(|process| {
        let place = PathBuf::from(format!("/proc/{}", process.pid));
        let command = crate::state::read(&place.join("cmdline"), COMMAND_BYTES_MAX)?;
        let words = command.split(|it| *it == 0).skip(1).take(WORDS_MAX);
        let words = words.filter_map(|it| std::str::from_utf8(it).ok());
        words.filter(|it| !it.is_empty() && !it.starts_with('-')).find_map(|word| {
            let seen = match word.strip_prefix('/') {
                Some(rest) => place.join("root").join(rest),
                None => place.join("cwd").join(word),
            };
            let script = fs::metadata(&seen).ok().filter(fs::Metadata::is_file)?;
            let is_it = taken.iter().any(|it| same(it, &script))
                || starts(&seen, path, &own)
                || is_interpreter(path) && !is_program(&seen);
            (is_it && !same(&script, &own)).then(|| PathBuf::from(word))
        })
    })
}

fn is_interpreter(path: &Path) -> bool {
    let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
    matches!(kind_of_name(name), ImageKind::Shell | ImageKind::Interpreter)
}

fn is_program(path: &Path) -> bool {
    let mut head = [0; 4];
    File::open(path).and_then(|mut it| it.read_exact(&mut head)).is_ok() && head == *b"\x7fELF"
}

/// The first line of the script names the interpreter, or has `env` look for its name.
fn starts(script: &Path, interpreter: &Path, own: &fs::Metadata) -> bool {
    let mut line = Vec::new();
    let read = File::open(script).and_then(|it| it.take(LINE_BYTES_MAX).read_to_end(&mut line));
    let line = line.split(|it| *it == b'\n').next().unwrap_or_default();
    let Some(line) = line.strip_prefix(b"#!").filter(|_| read.is_ok()) else { return false };
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    let Some(named) = words.next() else { return false };
    let is_named =
        fs::metadata(named).is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino()));
    let looked_for = words.find(|it| !it.starts_with('-') && !it.contains('='));
    is_named
        || named.ends_with("/env")
            && looked_for.is_some_and(|it| interpreter.file_name() == Some(it.as_ref()))
}

/// Where the file of a task lies on this host. A path that was seen in a container is one of its
/// own mounts; what this process does not see of them cannot be put back.
pub fn on_host(path: &Path, processes: &[ProcessTarget]) -> Result<PathBuf, Spared> {
    let number = |process: &str| fs::metadata(format!("/proc/{process}/ns/mnt")).map(|it| it.ino());
    let Ok(own) = number("self") else { return Ok(path.to_owned()) };
    let elsewhere =
        processes.iter().filter(|it| number(&it.pid.to_string()).is_ok_and(|it| it != own));
    for process in elsewhere {
        if let Some(folder) = folder_in(process.pid, path) {
            return here(&folder, process.pid, path).ok_or(Spared::Unreachable);
        }
    }
    Ok(path.to_owned())
}

/// The folder of `path` as `pid` sees it, if the file is there; no link leads out of its root.
fn folder_in(pid: u32, path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).ok()?;
    let inside = |path: &Path, more: OFlags| {
        rustix::fs::openat2(&root, path, flags | more, Mode::empty(), ResolveFlags::IN_ROOT).ok()
    };
    inside(path, OFlags::NOFOLLOW)?;
    inside(path.parent()?, OFlags::DIRECTORY)
}

/// The same folder by a path of this process' mounts.
fn here(folder: &OwnedFd, pid: u32, path: &Path) -> Option<PathBuf> {
    let number = folder.as_raw_fd();
    let info = PathBuf::from(format!("/proc/self/fdinfo/{number}"));
    let info = crate::state::read(&info, SMALL_BYTES_MAX)?;
    let info = String::from_utf8_lossy(&info);
    let id = info.lines().find_map(|it| it.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
    let theirs = Mounts::of(pid).and_then(|mut it| it.list()).ok()?;
    let ours = Mounts::open().and_then(|mut it| it.list()).ok()?;
    let seen = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    let stat = rustix::fs::fstat(folder).ok()?;
    let is_it = |it: &PathBuf| {
        fs::metadata(it).is_ok_and(|it| (it.dev(), it.ino()) == (stat.st_dev, stat.st_ino))
    };
    let found = translated(&seen, id, &theirs, &ours).into_iter().find(is_it)?;
    Some(found.join(path.file_name()?))
}

/// Paths by which `ours` may show what `theirs` shows at `seen` by the mount `id`.
fn translated(seen: &Path, id: u32, theirs: &[Mount], ours: &[Mount]) -> Vec<PathBuf> {
    let Some(mount) = theirs.iter().find(|it| it.id == id) else { return Vec::new() };
    let Ok(below) = seen.strip_prefix(&mount.point) else { return Vec::new() };
    let within = mount.root.join(below);
    let same = ours.iter().filter(|it| it.device == mount.device);
    same.filter_map(|it| Some(it.point.join(within.strip_prefix(&it.root).ok()?))).collect()
}

#[cfg(test)]
mod tests;
