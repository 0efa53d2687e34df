//! Changes of files and folders, with their names and with who made them.
//!
//! Folders are watched one by one, and those made later join by themselves. A change is told after
//! it happened; several writes of one program are one change, told when it closes the file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::event::{Event, FileChange, Task, What};
use model::time::Timestamp;

use super::FanotifyError;
use super::group::{Group, Message, folder_key, parse};
use crate::procfs;

/// Most folders watched.
pub const FOLDERS_MAX: usize = 50_000;
/// Changes handed over at once.
const BATCH_MAX: usize = 4096;
const BUFFER_BYTES: usize = 64 << 10;
/// `FAN_RENAME` came with Linux 5.17.
const CHANGES: u64 = libc::FAN_CREATE
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_DELETE
    | libc::FAN_ATTRIB
    | libc::FAN_EVENT_ON_CHILD
    | libc::FAN_ONDIR;

/// What came since the last look.
#[derive(Debug, Default)]
pub struct Batch {
    pub events: Vec<Event>,
    /// Times the kernel dropped changes because nobody took them.
    pub lost: u64,
}

/// Folders and files under watch.
#[derive(Debug)]
pub struct FileWatch {
    group: Group,
    /// By what events call the folder.
    folders: HashMap<Vec<u8>, Folder>,
    /// Whether the kernel tells both names of a rename at once.
    whole_renames: bool,
    /// Folders that could not be watched: the limit is reached, or the kernel refused.
    unwatched: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    /// Only these names; `None`: everything, and folders below.
    only: Option<BTreeSet<OsString>>,
}

impl FileWatch {
    /// Watches `targets`: a folder with everything below it, a file, or a name where nothing is
    /// yet. Needs CAP_SYS_ADMIN and Linux 5.9.
    pub fn open(targets: &[PathBuf]) -> Result<Self, FanotifyError> {
        let flags = libc::FAN_CLASS_NOTIF
            | libc::FAN_REPORT_DFID_NAME
            | libc::FAN_NONBLOCK
            | libc::FAN_UNLIMITED_MARKS;
        let group = Group::open(flags, libc::O_RDONLY | libc::O_CLOEXEC)?;
        let mut it = Self { group, folders: HashMap::new(), whole_renames: true, unwatched: 0 };
        let mut names: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
        for target in targets {
            if std::fs::symlink_metadata(target).is_ok_and(|it| it.is_dir()) {
                it.add_tree(target);
            } else if let (Some(folder), Some(name)) = (target.parent(), target.file_name()) {
                names.entry(folder.to_owned()).or_default().insert(name.to_owned());
            }
        }
        for (folder, only) in names {
            it.add(&folder, Some(only));
        }
        Ok(it)
    }

    /// Folders under watch.
    pub fn folders(&self) -> usize {
        self.folders.len()
    }

    /// Folders that should be watched and are not.
    pub fn unwatched(&self) -> u64 {
        self.unwatched
    }

    /// Waits up to `timeout` for a change.
    pub fn wait(&self, timeout: Duration) -> Result<bool, FanotifyError> {
        self.group.wait(timeout)
    }

    pub fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.group.as_fd()
    }

    /// Everything that waits, some thousand changes at most; never blocks.
    pub fn take(&mut self, now: Timestamp) -> Result<Batch, FanotifyError> {
        let mut batch = Batch::default();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut tasks: HashMap<i32, Task> = HashMap::new();
        while batch.events.len() < BATCH_MAX {
            let length = self.group.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            for message in parse(buffer.get(..length).unwrap_or_default()) {
                if message.mask & libc::FAN_Q_OVERFLOW != 0 {
                    batch.lost += 1;
                    continue;
                }
                let task = tasks.entry(message.pid).or_insert_with(|| who(message.pid)).clone();
                for change in self.changes(&message) {
                    let what = What::File { change, result: Some(0) };
                    batch.events.push(Event { at: now, task: task.clone(), what });
                }
            }
        }
        Ok(batch)
    }

    fn changes(&mut self, message: &Message<'_>) -> Vec<FileChange> {
        let is_folder = message.mask & libc::FAN_ONDIR != 0;
        let mut places = Vec::new();
        for named in message.names() {
            let name = OsStr::from_bytes(named.name);
            let Some(folder) = self.folders.get(named.folder) else { continue };
            if folder.only.as_ref().is_none_or(|it| it.contains(name)) && name != "." {
                places.push((named.kind, folder.path.join(name), folder.only.is_none()));
            }
        }
        let of = |kind| places.iter().find(|it| it.0 == kind);
        if message.mask & libc::FAN_RENAME != 0 {
            let old = of(libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME).cloned();
            let new = of(libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME).cloned();
            return self.renamed(old.map(|it| it.1), new.map(|it| (it.1, it.2)), is_folder);
        }
        let Some((_, path, whole)) = of(libc::FAN_EVENT_INFO_TYPE_DFID_NAME).cloned() else {
            return Vec::new();
        };
        self.simple(message.mask, &path, whole, is_folder)
    }

    /// One message may carry several changes of one name.
    fn simple(&mut self, mask: u64, path: &Path, whole: bool, is_folder: bool) -> Vec<FileChange> {
        let text = || path.display().to_string();
        let mut changes = Vec::new();
        if mask & (libc::FAN_CREATE | libc::FAN_MOVED_TO) != 0 {
            changes.push(FileChange::OpenWrite { path: text(), created: true, truncated: false });
            if is_folder && whole {
                // What was made in it before the watch began is told with it.
                changes.extend(self.add_tree(path).into_iter().map(|it| FileChange::OpenWrite {
                    path: it.display().to_string(),
                    created: true,
                    truncated: false,
                }));
            }
        }
        if mask & (libc::FAN_CLOSE_WRITE | libc::FAN_MOVED_TO) != 0 && !is_folder {
            changes.push(FileChange::Written { path: text() });
        }
        if mask & libc::FAN_ATTRIB != 0
            && let Ok(facts) = std::fs::symlink_metadata(path)
        {
            let mode = facts.permissions().mode();
            changes.push(FileChange::Mode { path: text(), mode });
        }
        if mask & (libc::FAN_DELETE | libc::FAN_MOVED_FROM) != 0 {
            self.folders.retain(|_, it| !is_folder || !it.path.starts_with(path));
            changes.push(FileChange::Removed { path: text() });
        }
        changes
    }

    /// Into, out of, or within what is watched.
    fn renamed(
        &mut self,
        old: Option<PathBuf>,
        new: Option<(PathBuf, bool)>,
        is_folder: bool,
    ) -> Vec<FileChange> {
        match (old, new) {
            (Some(old), Some((new, _))) => {
                for folder in self.folders.values_mut().filter(|_| is_folder) {
                    if let Ok(rest) = folder.path.strip_prefix(&old) {
                        folder.path = new.join(rest);
                    }
                }
                let text = |it: PathBuf| it.display().to_string();
                vec![FileChange::Renamed { from: text(old), to: text(new) }]
            }
            (Some(old), None) => self.simple(libc::FAN_DELETE, &old, false, is_folder),
            (None, Some((new, whole))) => self.simple(libc::FAN_MOVED_TO, &new, whole, is_folder),
            (None, None) => Vec::new(),
        }
    }

    /// Watches `root` and every folder below. Returns the files and folders found in it.
    fn add_tree(&mut self, root: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = vec![root.to_owned()];
        while let Some(folder) = todo.pop() {
            if !self.add(&folder, None) {
                continue;
            }
            // After the mark, so that nothing falls between.
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|it| it.is_dir()) {
                    todo.push(entry.path());
                }
                if found.len() < BATCH_MAX {
                    found.push(entry.path());
                }
            }
        }
        found
    }

    fn add(&mut self, path: &Path, only: Option<BTreeSet<OsString>>) -> bool {
        if self.folders.len() >= FOLDERS_MAX {
            self.unwatched += 1;
            return false;
        }
        let Ok(key) = folder_key(path) else {
            self.unwatched += 1;
            return false;
        };
        // A folder that is watched as a whole stays so.
        if let Some(known) = self.folders.get_mut(&key) {
            known.only = match (known.only.take(), only) {
                (Some(mut had), Some(more)) => {
                    had.extend(more);
                    Some(had)
                }
                _ => None,
            };
            return true;
        }
        if self.mark(path).is_err() {
            self.unwatched += 1;
            return false;
        }
        self.folders.insert(key, Folder { path: path.to_owned(), only });
        true
    }

    fn mark(&mut self, path: &Path) -> Result<(), FanotifyError> {
        let flags = libc::FAN_MARK_ONLYDIR | libc::FAN_MARK_DONT_FOLLOW;
        if self.whole_renames {
            let done = self.group.mark(flags, CHANGES | libc::FAN_RENAME, path);
            let refused = |it: &FanotifyError| match it {
                FanotifyError::Mark { source, .. } => source.raw_os_error() == Some(libc::EINVAL),
                FanotifyError::Kernel { .. } => false,
            };
            match done {
                Err(error) if refused(&error) => self.whole_renames = false,
                done => return done,
            }
        }
        self.group.mark(flags, CHANGES | libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO, path)
    }
}

/// The process that made a change, as far as it is still there.
fn who(pid: i32) -> Task {
    let pid = u32::try_from(pid).unwrap_or(0);
    procfs::task(pid).unwrap_or(Task { pid, ..Task::default() })
}
