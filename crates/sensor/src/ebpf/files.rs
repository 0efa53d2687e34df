//! Which changes of files are told, and under which path.
//!
//! The kernel's side knows an open file by its dentry and a watched directory by its inode. A
//! name that was given to `unlink` or `rename` is only text: links in it are followed here, where
//! the directory usually still stands.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use model::event::{FileChange, MemoryPath, Task, What};
use model::time::Timestamp;

use super::record::{Body, Call, Kind, Part, Record, join, why};
use super::translate::number;

/// Directories whose real place is remembered, and for how long.
const RESOLVED_MAX: usize = 4096;
const RESOLVED_FOR: Duration = Duration::from_secs(1);
/// Commands of `ioctl` that set the flags of a file; the third has bits of its own.
const SET_XFLAGS: u64 = 0x401c_5820;
const XFLAG_IMMUTABLE: u64 = 0x8;
const XFLAG_APPEND: u64 = 0x10;
const FLAG_IMMUTABLE: u32 = 0x10;
const FLAG_APPEND: u32 = 0x20;
const UTIME_NOW: u64 = 0x3fff_ffff;
const UTIME_OMIT: u64 = 0x3fff_fffe;

/// Paths that are watched, and where directories really are.
#[derive(Debug)]
pub(super) struct Files {
    prefixes: Vec<String>,
    resolved: HashMap<String, String>,
    resolved_at: Instant,
    /// The mount namespace of this process; names in others cannot be followed from here.
    own_mounts: u64,
}

impl Files {
    pub(super) fn new(prefixes: Vec<String>, own_mounts: u64) -> Self {
        Self { prefixes, resolved: HashMap::new(), resolved_at: Instant::now(), own_mounts }
    }

    /// `None` where the change is of no watched place.
    pub(super) fn translate(&mut self, record: Record) -> Option<(Task, What)> {
        let Record { kind, task, call: number, why: reason, body, .. } = record;
        let Body::Call(mut call) = body else { return None };
        let is_here = task.namespaces.is_some_and(|it| it.mount == self.own_mounts);
        if is_here {
            move_below(&mut call, number);
        }
        let mut change = change(number, &call)?;
        if let Some(target_pid) = memory_of(&change, &task) {
            return Some((task, What::MemoryWrite { target_pid, by: MemoryPath::ProcMem }));
        }
        let is_by_text = !matches!(call.parts[0], Part::Path(_) | Part::Lone(_));
        let follows_last = matches!(
            number,
            number::TRUNCATE
                | number::CHMOD
                | number::FCHMODAT
                | number::FCHMODAT2
                | number::CHOWN
                | number::FCHOWNAT
                | number::SETXATTR
                | number::UTIME
                | number::UTIMES
                | number::FUTIMESAT
                | number::UTIMENSAT
        );
        if is_by_text && is_here && call.result >= 0 {
            self.follow(&mut change, follows_last);
        }
        let is_certain =
            kind == Kind::File && reason & (why::PLACE | why::RIGHTS | why::SECRET) != 0;
        if !is_certain && !self.is_watched(&mut change) && !is_handler(&change) {
            return None;
        }
        Some((task, What::File { change, result: Some(call.result as i32) }))
    }

    fn is_watched(&self, change: &mut FileChange) -> bool {
        paths(change).any(|path| {
            self.prefixes.iter().any(|prefix| {
                path.strip_prefix(prefix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
    }

    /// Puts the paths where they really are.
    fn follow(&mut self, change: &mut FileChange, follows_last: bool) {
        if self.resolved_at.elapsed() > RESOLVED_FOR || self.resolved.len() >= RESOLVED_MAX {
            self.resolved.clear();
            self.resolved_at = Instant::now();
        }
        let resolve = |path: &mut String| {
            if follows_last
                && !is_changed_link(path)
                && let Ok(real) = std::fs::canonicalize(path.as_str())
            {
                *path = real.to_string_lossy().into_owned();
                return;
            }
            let Some((directory, name)) = path.rsplit_once('/') else { return };
            let directory = if directory.is_empty() { "/" } else { directory };
            let real = self.resolved.entry(directory.to_owned()).or_insert_with(|| {
                std::fs::canonicalize(directory)
                    .map_or_else(|_| directory.to_owned(), |it| it.to_string_lossy().into_owned())
            });
            *path = join(real, name);
        };
        // What a symbolic link leads to is only a text.
        let is_text = matches!(change, FileChange::Linked { is_symbolic: true, .. });
        paths(change).skip(usize::from(is_text)).for_each(resolve);
    }
}

/// A link that was changed itself, not what it leads to. Some of these calls can do either; which
/// they did is told by what was changed last.
fn is_changed_link(path: &str) -> bool {
    let changed = |it: std::fs::Metadata| (it.ctime(), it.ctime_nsec());
    let Ok(link) = std::fs::symlink_metadata(path) else { return false };
    if !link.is_symlink() {
        return false;
    }
    let link = changed(link);
    std::fs::metadata(path).is_ok_and(|target| link >= changed(target))
}

/// Names that were given in another root than this one, as they are here: chroot(2).
fn move_below(call: &mut Call, number: u16) {
    // What a symbolic link leads to is only a text.
    let named = usize::from(matches!(number, number::SYMLINK | number::SYMLINKAT));
    let [first, first_base, second, second_base] = &mut call.parts;
    for (text, base) in [(first, first_base), (second, second_base)].into_iter().skip(named) {
        let (Part::Text(bytes), Part::Path(root)) = (&*text, &*base) else { continue };
        if root == "/" || !bytes.starts_with(b"/") {
            continue;
        }
        let given = join("", &text.as_text());
        let moved = format!("{root}{given}");
        if !is_same_folder(&given, &moved) {
            *text = Part::Text(moved.into_bytes());
        }
    }
}

/// Both names lead to it: the root is mounted there once more.
fn is_same_folder(one: &str, other: &str) -> bool {
    let folder = |it: &str| {
        let found = std::fs::metadata(Path::new(it).parent()?).ok()?;
        Some((found.dev(), found.ino()))
    };
    folder(one).is_some_and(|it| folder(other) == Some(it))
}

/// Names a program that the kernel itself starts, wherever its file system is mounted.
fn is_handler(change: &FileChange) -> bool {
    let FileChange::OpenWrite { path, .. } = change else { return false };
    let name = path.rsplit('/').next().unwrap_or_default();
    matches!(name, "release_agent" | "core_pattern" | "uevent_helper" | "usermodehelper")
        || path.ends_with("/kernel/modprobe")
        || path.ends_with("/binfmt_misc/register")
}

/// All that name a file or a place, for who asks and for who puts others there.
fn paths(change: &mut FileChange) -> impl Iterator<Item = &mut String> {
    let both = match change {
        FileChange::Renamed { from, to } | FileChange::Linked { from, to, .. } => {
            [Some(from), Some(to)]
        }
        FileChange::OpenWrite { path, .. }
        | FileChange::OpenRead { path }
        | FileChange::Written { path }
        | FileChange::Mode { path, .. }
        | FileChange::Owner { path, .. }
        | FileChange::Attribute { path, .. }
        | FileChange::Flags { path, .. }
        | FileChange::Removed { path }
        | FileChange::Times { path, .. } => [Some(path), None],
    };
    both.into_iter().flatten()
}

/// What a call did to a file, with the paths as far as the call itself tells them.
fn change(number: u16, call: &Call) -> Option<FileChange> {
    let [first, first_base, second, second_base] = &call.parts;
    let path = name(first, first_base);
    let other = || name(second, second_base);
    let [argument, next, fraction, _] = call.arguments;
    Some(match number {
        number::OPEN
        | number::CREAT
        | number::OPENAT
        | number::OPENAT2
        | number::OPEN_BY_HANDLE_AT => {
            if fraction != 0 {
                return Some(FileChange::OpenRead { path });
            }
            FileChange::OpenWrite { path, created: argument != 0, truncated: next != 0 }
        }
        number::TRUNCATE => FileChange::OpenWrite { path, created: false, truncated: true },
        number::RENAME | number::RENAMEAT | number::RENAMEAT2 => {
            FileChange::Renamed { from: path, to: other() }
        }
        number::UNLINK | number::UNLINKAT | number::RMDIR => FileChange::Removed { path },
        number::LINK | number::LINKAT => {
            FileChange::Linked { from: path, to: other(), is_symbolic: false }
        }
        number::SYMLINK | number::SYMLINKAT => {
            FileChange::Linked { from: first.as_text(), to: other(), is_symbolic: true }
        }
        number::CHMOD | number::FCHMODAT | number::FCHMODAT2 | number::FCHMOD => {
            FileChange::Mode { path, mode: argument as u32 & 0o7777 }
        }
        number::CHOWN | number::LCHOWN | number::FCHOWNAT | number::FCHOWN => {
            let id = |it: u64| Some(it as u32).filter(|it| *it != u32::MAX);
            FileChange::Owner { path, uid: id(argument), gid: id(next) }
        }
        number::SETXATTR | number::LSETXATTR => {
            FileChange::Attribute { path, name: second_base.as_text() }
        }
        number::FSETXATTR => FileChange::Attribute { path, name: second_base.as_text() },
        number::UTIME | number::UTIMES | number::FUTIMESAT | number::UTIMENSAT => {
            times(number, path, call.arguments)?
        }
        number::IOCTL => FileChange::Flags { path, flags: flags(argument, next) },
        _ => return None,
    })
}

/// A text and where it starts; the start alone where an empty text means the descriptor itself.
fn name(text: &Part, base: &Part) -> String {
    match text {
        Part::Path(path) | Part::Lone(path) => path.clone(),
        Part::Absent => base.as_text(),
        Part::Text(_) => join(&base.as_text(), &text.as_text()),
    }
}

/// Times set by hand; setting them to now is what `touch` does and no news.
fn times(number: u16, path: String, arguments: [u64; 4]) -> Option<FileChange> {
    let [given, second, fraction, accessed] = arguments;
    let is_fine = number == number::UTIMENSAT;
    // Only the call with nanoseconds has values that stand for now and for no change.
    let is_set = |fraction: u64| !is_fine || !matches!(fraction, UTIME_NOW | UTIME_OMIT);
    let (accessed_s, accessed_fraction) = (accessed >> 32, accessed & 0xffff_ffff);
    let at = |second: i64, fraction: u64| {
        let micros = if is_fine { fraction as i64 / 1000 } else { fraction as i64 };
        is_set(fraction).then(|| Timestamp(second.saturating_mul(1_000_000).saturating_add(micros)))
    };
    let modified = at(second as i64, fraction);
    let accessed = at(i64::from(accessed_s as u32), accessed_fraction);
    let is_by_hand = given != 0 && (modified.is_some() || accessed.is_some());
    is_by_hand.then_some(FileChange::Times { path, modified, accessed })
}

/// In the bits of `FS_IOC_SETFLAGS`, whichever command set them.
fn flags(command: u64, flags: u64) -> u32 {
    if command != SET_XFLAGS {
        return flags as u32;
    }
    let bit = |from: u64, to: u32| if flags & from == 0 { 0 } else { to };
    bit(XFLAG_IMMUTABLE, FLAG_IMMUTABLE) | bit(XFLAG_APPEND, FLAG_APPEND)
}

/// The process whose memory was opened for writing, if it is another one.
fn memory_of(change: &FileChange, task: &Task) -> Option<u32> {
    let FileChange::OpenWrite { path, .. } = change else { return None };
    let rest = path.strip_prefix("/proc/")?;
    let (pid, rest) = rest.split_once('/')?;
    let is_memory = rest == "mem" || rest.starts_with("task/") && rest.ends_with("/mem");
    let pid = pid.parse().ok()?;
    (is_memory && pid != task.pid).then_some(pid)
}

#[cfg(test)]
mod tests;
