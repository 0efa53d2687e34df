//! A slow walk over the file systems of this host: files that give rights to whoever starts
//! them and are new since the last walk, and directories that hide what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use engine::event::Field;
use model::time::Timestamp;

use super::{Swept, state};
use crate::host_root::{FileKind, HostRoot};
use crate::inspect::Inspector;
use crate::state as kept;

/// Entries that are looked at in one step.
const ENTRIES_MAX: usize = 1000;
/// Directories that wait; those beyond are not walked and counted.
const WAITING_MAX: usize = 200_000;
const DEPTH_MAX: usize = 32;
const KNOWN_BYTES_MAX: usize = 4 << 20;
const SET_ID_BITS: u32 = 0o6000;
const EXECUTABLE_BITS: u32 = 0o111;
/// How often a directory that seems to hide something is read again at once.
const TRIES: usize = 3;
/// Magic numbers of statfs(2) of file systems that count subdirectories in the links of a directory.
const COUNTING: [i64; 3] = [0xEF53, 0x5846_5342, 0x0102_1994];
/// Beginnings that are no files of this host.
const LEFT_OUT: [&str; 8] = [
    "/proc",
    "/sys",
    "/run/user",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/snap",
    "/mnt",
];

/// Where the walk is, and what the last whole one found.
#[derive(Debug)]
pub(super) struct Files {
    start: PathBuf,
    waiting: Vec<(PathBuf, usize)>,
    /// Files with rights of their own and their mode; none before the first walk has ended.
    known: Option<BTreeMap<String, u32>>,
    met: BTreeMap<String, u32>,
    hiding: BTreeSet<String>,
    file: Option<PathBuf>,
    pub(super) left_out: u64,
}

impl Files {
    pub(super) fn new(start: impl Into<PathBuf>, file: Option<PathBuf>) -> Self {
        let known = file
            .as_deref()
            .and_then(|it| kept::read(it, KNOWN_BYTES_MAX))
            .and_then(|it| serde_json::from_slice(&it).ok());
        Self {
            start: start.into(),
            waiting: Vec::new(),
            known,
            met: BTreeMap::new(),
            hiding: BTreeSet::new(),
            file,
            left_out: 0,
        }
    }

    /// A piece of the walk. True with the last piece of a whole one.
    pub(super) fn step(
        &mut self,
        root: &HostRoot,
        inspector: &Inspector,
        now: Timestamp,
    ) -> (Vec<Swept>, bool) {
        if self.waiting.is_empty() {
            self.waiting.push((self.start.clone(), 0));
        }
        let mut out = Vec::new();
        let mut seen = 0;
        while seen < ENTRIES_MAX {
            let Some((folder, depth)) = self.waiting.pop() else { break };
            seen += 1 + self.folder(root, inspector, (&folder, depth), now, &mut out);
        }
        let is_whole = self.waiting.is_empty();
        if is_whole {
            self.end();
        }
        (out, is_whole)
    }

    /// What was met is what is known from now on.
    fn end(&mut self) {
        let met = std::mem::take(&mut self.met);
        if self.known.as_ref() != Some(&met)
            && let Some(file) = &self.file
            && let Err(error) = kept::write_json(file, &met)
        {
            tracing::warn!(%error, "what was found cannot be kept for the next start");
        }
        self.known = Some(met);
    }

    fn folder(
        &mut self,
        root: &HostRoot,
        inspector: &Inspector,
        (folder, depth): (&Path, usize),
        now: Timestamp,
        out: &mut Vec<Swept>,
    ) -> usize {
        let Ok(entries) = root.read_dir(folder) else { return 0 };
        let mut below = 0;
        for entry in &entries {
            let path = folder.join(&entry.name);
            if entry.kind == FileKind::Directory {
                below += 1;
                let skipped = LEFT_OUT.iter().any(|it| path == Path::new(it));
                if skipped || depth >= DEPTH_MAX {
                    continue;
                }
                if self.waiting.len() < WAITING_MAX {
                    self.waiting.push((path, depth + 1));
                } else {
                    self.left_out += 1;
                }
            } else if entry.kind == FileKind::File
                && let Ok(found) = root.symlink_metadata(&path)
                && found.mode & SET_ID_BITS != 0
                && found.mode & EXECUTABLE_BITS != 0
            {
                out.extend(self.privileged(inspector, &path, (found.mode, found.uid), now));
            }
        }
        let name = folder.to_string_lossy().into_owned();
        if !self.hiding.contains(&name) && hides(root, folder, below) {
            let detail = format!("directory {name} has more subdirectories than it lists");
            out.push(Swept { event: state("hidden_file", &name, detail, now), pid: None });
            self.hiding.insert(name);
        }
        entries.len()
    }

    /// A file with the SUID or SGID bit that was not there at the last walk, or had other bits.
    fn privileged(
        &mut self,
        inspector: &Inspector,
        path: &Path,
        (mode, uid): (u32, u32),
        now: Timestamp,
    ) -> Option<Swept> {
        let path = path.to_string_lossy().into_owned();
        self.met.insert(path.clone(), mode);
        let before = self.known.as_ref()?.get(&path).copied();
        if before == Some(mode) {
            return None;
        }
        let detail = format!("owner {uid}, mode {mode:o}");
        let mut event = state("setuid_added", &path, detail, now);
        event.set(Field::TargetFilename, Some(path.as_str().into()));
        event.set(Field::TargetPackage, inspector.owner(&path).map(Into::into));
        event.set(Field::TargetMode, Some(mode.into()));
        event.set(Field::TargetOwnerId, Some(uid.into()));
        Some(Swept { event, pid: None })
    }
}

/// More subdirectories are counted in the links of a directory than it lists, each time it is asked.
fn hides(root: &HostRoot, folder: &Path, mut listed: u64) -> bool {
    for _ in 0..TRIES {
        let Ok(before) = root.metadata(folder) else { return false };
        // A link for itself, one by its name, and `..` of each directory in it.
        if before.links < 2 || before.links - 2 <= listed || !counts(root, folder) {
            return false;
        }
        let Ok(entries) = root.read_dir(folder) else { return false };
        listed = entries.iter().filter(|it| it.kind == FileKind::Directory).count() as u64;
    }
    true
}

fn counts(root: &HostRoot, folder: &Path) -> bool {
    let Ok(relative) = folder.strip_prefix("/") else { return false };
    let found = rustix::fs::statfs(root.path().join(relative));
    found.is_ok_and(|it| COUNTING.contains(&it.f_type))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn walk(files: &mut Files, root: &HostRoot) -> Vec<String> {
        let inspector = Inspector::new(HostRoot::live().unwrap());
        let mut all = Vec::new();
        loop {
            let (found, is_whole) = files.step(root, &inspector, Timestamp(0));
            all.extend(found.iter().map(|it| {
                let text = |field| it.event.text(field).unwrap_or_default().to_owned();
                format!("{} {}", text(Field::StateCheck), text(Field::StateSubject))
            }));
            if is_whole {
                return all;
            }
        }
    }

    #[test]
    fn a_file_that_gives_rights_is_told_once_even_if_it_came_while_nobody_looked() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("known.json");
        let place = dir.path().join("host");
        std::fs::create_dir_all(place.join("usr/bin")).unwrap();
        let root = HostRoot::new(&place).unwrap();
        let make = |name: &str, mode: u32| {
            std::fs::write(place.join(name), "x").unwrap();
            std::fs::set_permissions(place.join(name), PermissionsExt::from_mode(mode)).unwrap();
        };
        make("usr/bin/su", 0o4755);
        make("usr/bin/true", 0o755);
        let mut files = Files::new("/", Some(state.clone()));
        assert_eq!(walk(&mut files, &root), [""; 0], "the first walk learns");
        make("usr/bin/x", 0o2755);
        make("usr/bin/data", 0o4644);
        assert_eq!(walk(&mut files, &root), ["setuid_added /usr/bin/x"]);
        assert_eq!(walk(&mut files, &root), [""; 0]);
        drop(files);
        make("usr/bin/y", 0o4755);
        make("usr/bin/x", 0o6755);
        let mut again = Files::new("/", Some(state));
        let mut found = walk(&mut again, &root);
        found.sort();
        assert_eq!(found, ["setuid_added /usr/bin/x", "setuid_added /usr/bin/y"]);
    }

    #[test]
    fn more_links_than_names_means_that_something_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let root = HostRoot::new(dir.path()).unwrap();
        if !counts(&root, Path::new("/")) {
            println!("skipped: this file system does not count subdirectories");
            return;
        }
        assert!(!hides(&root, Path::new("/"), 2));
        // A wrong count of the first reading is put right by the next.
        assert!(!hides(&root, Path::new("/"), 1));
        assert_eq!(root.metadata("/").unwrap().links, 4);
    }
}
