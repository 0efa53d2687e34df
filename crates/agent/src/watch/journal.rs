//! Follows the systemd journal of a host without asking systemd.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::login::{Attempt, lines};
use model::because;
use model::because::Because;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host_root::{FileKind, HostRoot};
use crate::watch::journal::file::{Bytes, JournalError, Reader};

pub mod file;
#[cfg(test)]
mod tests;

/// Where journald keeps its files: one folder below these for each machine id.
const ROOTS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// The file journald writes system messages to; archived ones are `system@….journal`.
const ACTIVE: &str = "system.journal";
/// Folders followed, and archived files looked at in one.
const FOLDERS_MAX: usize = 8;
const ARCHIVES_MAX: usize = 256;
/// Entries looked back at in a journal that is seen for the first time.
const LOOK_BACK_ENTRIES: u64 = 5_000;
/// Entries read in one poll; the rest follows in the next.
const POLL_ENTRIES_MAX: u64 = 50_000;
/// Polls between two looks at whether the file was rotated without a word.
const NAME_CHECK_POLLS: u32 = 10;

/// How far the journal of one folder was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    sequence_id: [u8; 16],
    number: u64,
}

/// Positions by folder.
pub type Positions = BTreeMap<PathBuf, Position>;

/// All journals of a host.
#[derive(Debug, Default)]
pub struct Journals {
    folders: BTreeMap<PathBuf, Folder>,
    resume: Positions,
    polls: u32,
}

#[derive(Debug, Default)]
struct Folder {
    current: Option<Reader>,
    identity: (u64, u64),
    position: Option<Position>,
    /// Files to read to their end first, oldest first.
    backlog: Vec<Reader>,
    fault: Option<Because>,
}

/// What one poll brought besides attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    pub entries: u64,
    pub skipped: u64,
    pub more: bool,
    /// A journal is there and can be read.
    pub live: bool,
    /// Why one cannot, or not wholly.
    pub fault: Option<Because>,
}

impl Journals {
    pub fn new(resume: Positions) -> Self {
        Self { resume, ..Self::default() }
    }

    pub fn positions(&self) -> Positions {
        let known = self.folders.iter();
        let mut all: Positions =
            known.filter_map(|(path, it)| Some((path.clone(), it.position?))).collect();
        for (path, position) in &self.resume {
            all.entry(path.clone()).or_insert(*position);
        }
        all
    }

    /// Reads what is new in all journals of the host.
    pub fn poll(&mut self, root: &HostRoot, take: &mut dyn FnMut(Attempt)) -> Polled {
        let look = self.polls.is_multiple_of(NAME_CHECK_POLLS);
        self.polls = self.polls.wrapping_add(1);
        let mut polled = Polled::default();
        if look {
            self.find(root, &mut polled);
        }
        for (path, folder) in &mut self.folders {
            folder.poll(root, path, look, take, &mut polled);
            polled.live |= folder.current.is_some();
            if let Some(fault) = &folder.fault {
                polled.fault.get_or_insert_with(|| fault.clone());
            }
        }
        polled
    }

    fn find(&mut self, root: &HostRoot, polled: &mut Polled) {
        for parent in ROOTS {
            let entries = match root.read_dir(parent) {
                Ok(it) => it,
                Err(error) if error.is_absent() => continue,
                Err(error) => {
                    polled.fault = Some(super::unreadable(&error));
                    continue;
                }
            };
            for entry in entries {
                let name = entry.name.to_string_lossy();
                let machine = name.len() == 32 && name.bytes().all(|it| it.is_ascii_hexdigit());
                let path = PathBuf::from(parent).join(&entry.name);
                if matches!(entry.kind, FileKind::Directory | FileKind::Unknown)
                    && machine
                    && self.folders.len() < FOLDERS_MAX
                {
                    let position = self.resume.remove(&path);
                    self.folders
                        .entry(path)
                        .or_insert_with(|| Folder { position, ..Folder::default() });
                }
            }
        }
    }
}

impl Folder {
    fn poll(
        &mut self,
        root: &HostRoot,
        path: &std::path::Path,
        look: bool,
        take: &mut dyn FnMut(Attempt),
        polled: &mut Polled,
    ) {
        let name = path.join(ACTIVE);
        if self.current.is_none() && look {
            self.open(root, path);
        }
        for mut reader in std::mem::take(&mut self.backlog) {
            if let Err(error) = self.drain(&mut reader, take, polled) {
                self.fault = Some(because!(
                    "journal.archived",
                    "an archived journal: {cause}",
                    cause = with_cause(&error)
                ));
            }
        }
        let Some(mut reader) = self.current.take() else { return };
        let fresh = reader.refresh();
        let done = match fresh {
            Ok(true) => self.drain(&mut reader, take, polled),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => {
                let renamed = look
                    && root.metadata(&name).is_ok_and(|it| (it.device, it.inode) != self.identity);
                // Archived files get no more entries; the name belongs to another file now.
                if (reader.header().archived || renamed) && !polled.more {
                    self.open(root, path);
                } else {
                    self.current = Some(reader);
                }
            }
            Err(error) => {
                // Kept until journald puts the file aside and begins a new one.
                self.fault = Some(broken(&error));
                if root.metadata(&name).is_ok_and(|it| (it.device, it.inode) != self.identity) {
                    self.open(root, path);
                } else {
                    self.current = Some(reader);
                }
            }
        }
    }

    /// Opens the active file at the kept position; what came before it in archived files is
    /// put in the backlog.
    fn open(&mut self, root: &HostRoot, path: &std::path::Path) {
        let (file, metadata) = match root.open_with_metadata(path.join(ACTIVE)) {
            Ok(it) => it,
            Err(error) if error.is_absent() => return,
            Err(error) => {
                self.fault = Some(super::unreadable(&error));
                return;
            }
        };
        let opened = Reader::new(Bytes::File(file)).and_then(|mut reader| {
            let header = reader.header();
            match self.position {
                Some(position) if position.sequence_id == header.sequence_id => {
                    reader.seek_after(position.number)?;
                }
                // Another sequence began while we followed: all of it is new.
                Some(_) => (),
                None => reader.seek_last(LOOK_BACK_ENTRIES)?,
            }
            Ok(reader)
        });
        match opened {
            Ok(reader) => {
                let first = reader.header().first_number;
                if let Some(position) = self.position
                    && first > position.number + 1
                {
                    self.backlog = backlog(root, path, position);
                }
                self.identity = (metadata.device, metadata.inode);
                self.current = Some(reader);
                self.fault = None;
            }
            Err(error) => self.fault = Some(broken(&error)),
        }
    }

    fn drain(
        &mut self,
        reader: &mut Reader,
        take: &mut dyn FnMut(Attempt),
        polled: &mut Polled,
    ) -> Result<(), JournalError> {
        let sequence_id = reader.header().sequence_id;
        let skipped = reader.skipped;
        let mut result = Ok(());
        for count in 0.. {
            if count >= POLL_ENTRIES_MAX {
                polled.more = true;
                break;
            }
            match reader.next_entry(&lines::is_of_interest) {
                Ok(Some(entry)) => {
                    polled.entries += 1;
                    self.position = Some(Position { sequence_id, number: entry.number });
                    if is_believed(&entry.identifier, entry.uid) {
                        let at = Timestamp(entry.at_us);
                        let attempt =
                            lines::message(at, &entry.identifier, entry.pid, &entry.message);
                        attempt.into_iter().for_each(&mut *take);
                    }
                }
                Ok(None) => {
                    let number = reader.header().last_number;
                    self.position = Some(Position { sequence_id, number });
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        polled.skipped += reader.skipped - skipped;
        result
    }
}

/// Archived files of the same sequence with entries after `position`, oldest first.
fn backlog(root: &HostRoot, path: &std::path::Path, position: Position) -> Vec<Reader> {
    let Ok(entries) = root.read_dir(path) else { return Vec::new() };
    let archived = entries.into_iter().filter(|it| {
        let name = it.name.to_string_lossy();
        name.starts_with("system@") && name.ends_with(".journal")
    });
    let mut found: Vec<Reader> = archived
        .take(ARCHIVES_MAX)
        .filter_map(|it| {
            let mut reader = Reader::new(Bytes::File(root.open(path.join(it.name)).ok()?)).ok()?;
            let header = reader.header();
            let new =
                header.sequence_id == position.sequence_id && header.last_number > position.number;
            (new && reader.seek_after(position.number).is_ok()).then_some(reader)
        })
        .collect();
    found.sort_by_key(|it| it.header().first_number);
    found
}

/// Anybody may write `sshd` into the journal, but only root is sshd; data bases run as
/// accounts of their own.
fn is_believed(identifier: &str, uid: Option<u32>) -> bool {
    const SYSTEM_UID_MAX: u32 = 999;
    let database = matches!(identifier, "mysqld" | "mariadbd" | "postgres");
    uid.is_none_or(|it| it == 0 || (database && it <= SYSTEM_UID_MAX))
}

fn broken(error: &JournalError) -> Because {
    because!("journal.broken", "{cause}", cause = with_cause(error))
}

fn with_cause(error: &JournalError) -> String {
    match error {
        JournalError::Io(source) => format!("{error}: {source}"),
        _ => error.to_string(),
    }
}
