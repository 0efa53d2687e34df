//! Searches a folder tree within limits, never through a symbolic link.

use std::path::{Path, PathBuf};

use model::because;
use model::because::Because;

use crate::collect::fields::text;
use crate::host_root::{Entry, FileKind, HostRoot};

/// How far one search goes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Folders below the first.
    pub depth: usize,
    /// Files and folders looked at.
    pub entries: usize,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Walk {
    /// In path order.
    pub files: Vec<PathBuf>,
    /// One sentence each: where it did not go, and why.
    pub skipped: Vec<Because>,
    /// It ended before it had seen everything within its depth.
    pub cut: bool,
}

impl Walk {
    /// Looks below `start` for entries that `want` takes; adds each folder seen to `used`.
    pub fn run(
        root: &HostRoot,
        start: &Path,
        limits: Limits,
        used: &mut Vec<PathBuf>,
        want: impl Fn(&Path, &Entry) -> bool,
    ) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        let mut walk = Self::default();
        let mut left = limits.entries;
        let mut folders = vec![(start.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let Ok(entries) = root.read_dir(&folder) else { continue };
            used.push(folder.clone());
            for entry in entries {
                let Some(fewer) = left.checked_sub(1) else {
                    let start = text(start.as_os_str().as_bytes());
                    let why =
                        because!("skip.entries", "more than {max} entries", max = limits.entries);
                    walk.skipped.push(why.at(&start));
                    walk.cut = true;
                    walk.files.sort();
                    return walk;
                };
                left = fewer;
                if want(&folder, &entry) {
                    walk.files.push(folder.join(&entry.name));
                }
                if entry.kind == FileKind::Directory {
                    if depth < limits.depth {
                        folders.push((folder.join(&entry.name), depth + 1));
                    } else if walk.skipped.is_empty() {
                        let deep = text(folder.as_os_str().as_bytes());
                        let why = because!(
                            "skip.deep",
                            "not searched below {depth} folders",
                            depth = limits.depth
                        );
                        walk.skipped.push(why.at(&deep));
                    }
                }
            }
        }
        walk.files.sort();
        walk
    }
}
