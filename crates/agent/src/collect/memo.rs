//! What was understood of files and folders that have not changed since.
//!
//! A remembered value names the paths it was made from; while the inode, the size and both
//! times of each are what they were, it is used again instead of read again.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::host_root::{FileKind, HostRoot};

/// Most values remembered; when it is full the half not used for longest goes.
pub const VALUES_MAX: usize = 16_384;

/// What must be the same for a path not to have changed; absent where nothing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i64,
    /// Of files only: the change time of a folder moves with its link count alone.
    changed_ns: i64,
}

struct Kept {
    watched: Vec<(PathBuf, Option<Stamp>)>,
    value: Arc<dyn Any + Send + Sync>,
    used: u64,
}

/// Values by what they are and the path they are of.
#[derive(Default)]
pub struct Memo {
    kept: HashMap<(&'static str, PathBuf), Kept>,
    clock: u64,
    made: u64,
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memo({} values, {} made)", self.kept.len(), self.made)
    }
}

impl Memo {
    /// The value of `path`, made anew by `make` if one of the paths it was made from has changed.
    /// `make` adds the paths it used besides `path` itself to its argument.
    pub fn get<T: Send + Sync + 'static>(
        &mut self,
        root: &HostRoot,
        what: &'static str,
        path: PathBuf,
        make: impl FnOnce(&mut Vec<PathBuf>) -> T,
    ) -> Arc<T> {
        self.clock += 1;
        let key = (what, path);
        if let Some(kept) = self.kept.get_mut(&key)
            && kept.watched.iter().all(|(path, stamp)| Self::stamp(root, path) == *stamp)
            && let Ok(value) = Arc::clone(&kept.value).downcast::<T>()
        {
            kept.used = self.clock;
            return value;
        }
        // Stamped before it is read, so that a change meanwhile is seen the next time.
        let first = Self::stamp(root, &key.1);
        let mut used = Vec::new();
        let value = Arc::new(make(&mut used));
        let mut watched: Vec<_> = vec![(key.1.clone(), first)];
        watched.extend(used.into_iter().map(|path| {
            let stamp = Self::stamp(root, &path);
            (path, stamp)
        }));
        self.made += 1;
        if self.kept.len() >= VALUES_MAX {
            self.drop_older_half();
        }
        let kept = Kept { watched, value: Arc::clone(&value) as _, used: self.clock };
        self.kept.insert(key, kept);
        value
    }

    /// Values made since the start: a second run on an unchanged host adds none.
    pub fn made(&self) -> u64 {
        self.made
    }

    fn stamp(root: &HostRoot, path: &PathBuf) -> Option<Stamp> {
        let it = root.metadata(path).ok()?;
        let changed_ns = if it.kind == FileKind::Directory { 0 } else { it.changed_ns };
        let size = if it.kind == FileKind::Directory { 0 } else { it.size };
        let (device, inode, modified_ns) = (it.device, it.inode, it.modified_ns);
        Some(Stamp { device, inode, size, modified_ns, changed_ns })
    }

    fn drop_older_half(&mut self) {
        let mut ages: Vec<u64> = self.kept.values().map(|it| it.used).collect();
        let middle = ages.len() / 2;
        let (_, median, _) = ages.select_nth_unstable(middle);
        let median = *median;
        self.kept.retain(|_, it| it.used > median);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_value_is_made_again_when_its_paths_change() {
        let folder = tempfile::tempdir().unwrap();
        let root = HostRoot::new(folder.path()).unwrap();
        fs::write(folder.path().join("a"), "1").unwrap();
        let mut memo = Memo::default();
        let mut length = || {
            let value = memo.get(&root, "length", "/a".into(), |used| {
                used.push("/b".into());
                root.read("/a", 10).unwrap().len() + root.read("/b", 10).map_or(0, |it| it.len())
            });
            (*value, memo.made())
        };
        assert_eq!((length(), length()), ((1, 1), (1, 1)));
        fs::write(folder.path().join("a"), "22").unwrap();
        assert_eq!((length(), length()), ((2, 2), (2, 2)));
        fs::write(folder.path().join("b"), "333").unwrap();
        assert_eq!((length(), length()), ((5, 3), (5, 3)));
        fs::remove_file(folder.path().join("b")).unwrap();
        assert_eq!(length(), (2, 4));
    }

    #[test]
    fn the_memory_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let root = HostRoot::new(folder.path()).unwrap();
        let mut memo = Memo::default();
        for number in 0..VALUES_MAX + 10 {
            memo.get(&root, "number", format!("/{number}").into(), |_| number);
        }
        assert!(memo.kept.len() <= VALUES_MAX, "{memo:?}");
    }
}
