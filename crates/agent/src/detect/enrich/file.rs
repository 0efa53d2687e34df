//! Files that change: what they are for, and what changed in those that are small texts.

use std::collections::HashSet;
use std::time::Duration;

use engine::event::{Category, Event, Field};
use model::event::{FileChange, Task};
use model::time::Timestamp;

use super::rights::{CAPABILITY_ATTRIBUTE, capability_names, file_capabilities};
use super::written::is_passing;
use super::{Enriched, Enricher, text};
use crate::detect::names::{
    PROGRAM_DIRECTORIES, TargetKind, is_temporary, system_transaction, target_kind,
};
use crate::detect::process::Id;
use crate::detect::texts::{Compared, Unseen};
use crate::host_root::{FileKind, Metadata};

/// How long a text that is being written is left alone.
const SETTLE: Duration = Duration::from_millis(300);
/// Texts that wait; more are told without what changed.
const PENDING_MAX: usize = 512;
/// What the table of accounts is made of.
const ACCOUNT_LISTS: [&str; 4] = ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"];
/// Where settings of the kernel are files.
const SETTINGS: &str = "/proc/sys/";
/// Longest value of a setting that is told.
const VALUE_BYTES_MAX: usize = 4096;
pub(super) const SETUID_BITS: u32 = 0o6000;
pub(super) const EXECUTABLE_BITS: u32 = 0o111;
/// How a compiled program begins.
const ELF: &[u8] = b"\x7fELF";
const OTHERS_WRITE: u32 = 0o002;
/// In such a directory everybody may make files, but not touch those of others.
const STICKY: u32 = 0o1000;
/// How far above whoever deletes a file the program of that file may be.
const ABOVE_MAX: usize = 3;
/// A time this far back was set by hand.
const BACK: Duration = Duration::from_secs(1);

/// A text that may still be being written.
#[derive(Debug)]
pub(super) struct Pending {
    path: String,
    due: Timestamp,
    created: bool,
    /// What changed in it is told.
    is_text: bool,
    /// Its value is told.
    is_setting: bool,
    event: Event,
    process: Id,
}

impl Pending {
    pub(super) fn times(&mut self) -> [&mut Timestamp; 2] {
        [&mut self.due, &mut self.event.at]
    }
}

impl Enricher {
    pub(super) fn file(
        &mut self,
        at: Timestamp,
        task: &Task,
        change: &FileChange,
        out: &mut Vec<Enriched>,
    ) {
        if self.is_no_change(at, task, change, out) {
            return;
        }
        let Some(told) = Told::of(change) else { return };
        let kind = target_kind(told.path);
        let settled = matches!(change, FileChange::Written { .. });
        if settled && let Some(it) = self.pending.iter_mut().find(|it| it.path == told.path) {
            it.due = at;
            return;
        }
        self.note_written(change, task, at);
        let is_program = self.is_program_changed(change);
        let is_running = self.is_running(change, task);
        let is_watched = self.watched.iter().any(|it| is_below(told.path, it));
        let matters = kind == TargetKind::Kernel || is_program || is_running || is_watched;
        if !matters && is_passing(change) {
            return;
        }
        let id = self.actor(task, at);
        let mut event = self.begin(Category::FileEvent, at, id, Some(task));
        event.set(Field::TargetIsProgram, is_program.then(|| true.into()));
        event.set(Field::TargetIsRunning, is_running.then(|| true.into()));
        event.set(Field::TargetIsWatched, Some(is_watched.into()));
        self.set_file(&mut event, id, change, &told, at);
        let in_host = self.is_in_host(id);
        // Whether a history was emptied is known once whoever writes it has done.
        let is_history = kind == TargetKind::History
            && matches!(change, FileChange::OpenWrite { created: false, .. });
        let changes_text = matches!(
            told.operation,
            "create" | "write" | "truncate" | "rename" | "delete" | "link" | "symlink"
        );
        if changes_text && in_host {
            self.note_change(id, at, &told);
        }
        let is_text = changes_text && in_host && self.texts.is_watched(told.path, kind);
        let is_setting = in_host
            && matches!(change, FileChange::OpenWrite { .. })
            && told.path.starts_with(SETTINGS);
        if !is_text && !is_history && !is_setting {
            out.push(Enriched { event, process: Some(id) });
            return;
        }
        let pending = Pending {
            path: told.path.to_owned(),
            due: at,
            created: told.operation == "create",
            is_text,
            is_setting,
            event,
            process: id,
        };
        self.wait_or_compare(pending, matches!(change, FileChange::OpenWrite { .. }), out);
    }

    /// A text is compared once nobody writes it any more.
    fn wait_or_compare(&mut self, mut pending: Pending, waits: bool, out: &mut Vec<Enriched>) {
        if !waits {
            self.compare(std::slice::from_ref(&pending), out);
            return;
        }
        pending.due = pending.due + SETTLE;
        let is_same = |it: &&mut Pending| it.path == pending.path && it.process == pending.process;
        if let Some(it) = self.pending.iter_mut().find(is_same) {
            it.due = it.due.max(pending.due);
            it.created |= pending.created;
        } else if self.pending.len() < PENDING_MAX {
            self.pending.push(pending);
        } else {
            self.uncompared += 1;
            let process = Some(pending.process);
            out.push(Enriched { event: pending.event, process });
        }
    }

    /// What the agent reads is its work; memory that is read is told as a process reached into.
    fn is_no_change(
        &mut self,
        at: Timestamp,
        task: &Task,
        change: &FileChange,
        out: &mut Vec<Enriched>,
    ) -> bool {
        let FileChange::OpenRead { path } = change else { return false };
        if self.acts_for_agent(task) {
            return true;
        }
        let Some(folder) = path.strip_suffix("/mem") else { return false };
        // The name is watched for the sake of /proc alone.
        if let Some(target) = folder.strip_prefix("/proc/") {
            self.memory_read(at, task, target, out);
        }
        true
    }

    /// An agent reads accounts and their state all day long; that is its work, and that of another
    /// one on this host.
    fn acts_for_agent(&self, task: &Task) -> bool {
        let process = self.processes.of_pid(task.pid);
        task.pid == self.own_pid || process.is_some_and(|it| self.is_agent(it))
    }

    /// The process sees files where this host has them.
    fn is_in_host(&self, id: Id) -> bool {
        self.processes.get(id).is_none_or(|it| {
            it.namespaces.is_none_or(|it| it.mount == 0 || it.mount == self.host.mount)
        })
    }

    fn note_change(&mut self, id: Id, at: Timestamp, told: &Told<'_>) {
        if ACCOUNT_LISTS.contains(&told.path) {
            self.note_account_writer(id, at);
        }
        if let Some(from) = told.source.filter(|_| told.operation == "rename") {
            self.texts.moved(from, told.path);
        }
    }

    /// The package manager of a system that is being made in a folder: it lies there itself, below
    /// the same root as whoever changes the file, and it speaks for files of this root only.
    fn transaction_elsewhere(&self, id: Id, path: &str) -> Option<&'static str> {
        let process = self.processes.get(id).filter(|it| it.image.package.is_none())?;
        let root = other_root(&process.image.path)?;
        let is_below = |it: &str| it.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
        if !is_below(path) {
            return None;
        }
        let above = self.processes.ancestors(id).map(|(_, it)| it);
        std::iter::once(process)
            .chain(above)
            .filter(|it| is_below(&it.image.path))
            .find_map(|it| system_transaction(it.image.name()))
    }

    fn set_file(
        &self,
        event: &mut Event,
        id: Id,
        change: &FileChange,
        told: &Told<'_>,
        at: Timestamp,
    ) {
        let kind = self.kind_of(target_kind(told.path), told.path);
        event.set(Field::FileOperation, text(told.operation));
        event.set(Field::TargetFilename, text(told.path));
        event.set(Field::SourceFilename, told.source.and_then(text));
        if let FileChange::Renamed { from, .. } = change {
            event.set(Field::SourcePackage, self.images.owner(from).and_then(text));
        }
        event.set(Field::TargetKind, text(kind.as_str()));
        event.set(Field::TargetInTemporary, Some(is_temporary(told.path).into()));
        event.set(Field::TargetPackage, self.images.owner(told.path).and_then(text));
        if let Some(manager) = self.transaction_elsewhere(id, told.path) {
            event.set(Field::InPackageTransaction, Some(true.into()));
            event.set(Field::PackageTransaction, text(manager));
        }
        self.set_target(event, change, told.path, at);
    }

    /// Tells of texts that are no longer being written, and of changes nobody told of.
    pub(super) fn settle_files(&mut self, now: Timestamp, out: &mut Vec<Enriched>) {
        // Of a file that several write, the change is told of all of them once the last has done.
        let open: HashSet<String> =
            self.pending.iter().filter(|it| it.due > now).map(|it| it.path.clone()).collect();
        let (mut due, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|it| !open.contains(&it.path));
        self.pending = left;
        due.sort_by(|a: &Pending, b| a.path.cmp(&b.path));
        for writers in due.chunk_by(|a, b| a.path == b.path) {
            self.compare(writers, out);
        }
        for Unseen { path, change, is_stamped } in self.texts.look(self.images.root(), now) {
            let mut event = Event::new(Category::State, now);
            let (check, what) = if is_stamped {
                ("file_changed", "changed and no event told of it")
            } else {
                ("file_overwritten", "has another content, and its times do not say so")
            };
            event.set(Field::StateCheck, text(check));
            event.set(Field::StateSubject, text(&path));
            event.set(Field::StateDetail, text(&format!("{path} {what}")));
            event.set(Field::TargetFilename, text(&path));
            event.set(Field::TargetKind, text(self.kind_of(target_kind(&path), &path).as_str()));
            event.set(Field::TargetPackage, self.images.owner(&path).and_then(text));
            event.set(Field::ContentDiff, text(&change.text()));
            out.push(Enriched { event, process: None });
        }
    }

    /// Compares the text that `writers` had open, who are of one path.
    fn compare(&mut self, writers: &[Pending], out: &mut Vec<Enriched>) {
        let Some(path) = writers.first().map(|it| it.path.as_str()) else { return };
        let created = writers.iter().any(|it| it.created);
        let mut diff = None;
        if writers.iter().any(|it| it.is_text) {
            match self.texts.compare(self.images.root(), path, created) {
                Compared::Changed(change) => diff = Some(change.text()),
                // Opened for writing, and nothing came of it; keys that are written anew were
                // in the hand of whoever did it.
                Compared::Same if !writers.iter().any(rewrites_keys) => return,
                Compared::Same => {}
                Compared::Unknown => {}
            }
        }
        let is_setting = writers.iter().any(|it| it.is_setting);
        let value = is_setting.then(|| self.images.root().read(path, VALUE_BYTES_MAX).ok());
        let value = value.flatten().map(|it| String::from_utf8_lossy(&it).trim().to_owned());
        let found = self.images.root().metadata(path).ok();
        for writer in writers {
            let mut event = writer.event.clone();
            event.set(Field::TargetValue, value.as_deref().and_then(text));
            if let Some(diff) = &diff {
                event.set(Field::ContentDiff, text(diff));
            }
            if let Some(found) = &found {
                event.set(Field::TargetMode, Some(found.mode.into()));
                event.set(Field::TargetIsWorldWritable, Some(is_open_to_all(found.mode).into()));
                event.set(Field::TargetOwnerId, Some(found.uid.into()));
                event.set(Field::TargetSize, Some((found.size as i64).into()));
            }
            out.push(Enriched { event, process: Some(writer.process) });
        }
    }

    /// A shell is one by its content, wherever it lies.
    fn kind_of(&self, kind: TargetKind, path: &str) -> TargetKind {
        if kind == TargetKind::Binary && self.images.is_shell_at(path) {
            return TargetKind::ShellBinary;
        }
        kind
    }

    /// A compiled program that was there is opened for writing and not emptied.
    fn is_program_changed(&self, change: &FileChange) -> bool {
        let FileChange::OpenWrite { path, created: false, truncated: false } = change else {
            return false;
        };
        let root = self.images.root();
        let is_executable = |it: &Metadata| {
            it.kind == FileKind::File
                && it.mode & EXECUTABLE_BITS != 0
                && it.size > ELF.len() as u64
        };
        root.metadata(path).is_ok_and(|it| is_executable(&it))
            && root.read_prefix(path, ELF.len()).is_ok_and(|it| it.bytes == ELF)
    }

    /// A program deletes its own file, or has it deleted by what it started.
    fn is_running(&self, change: &FileChange, task: &Task) -> bool {
        let FileChange::Removed { path } = change else { return false };
        let Some(id) = self.processes.id_of(task.pid) else { return false };
        let own = self.processes.get(id).into_iter();
        let above = self.processes.ancestors(id).map(|(_, it)| it).take(ABOVE_MAX);
        own.chain(above).any(|it| *it.image.path == **path)
    }

    fn set_target(&self, event: &mut Event, change: &FileChange, path: &str, at: Timestamp) {
        let found = self.images.root().metadata(path).ok();
        match change {
            FileChange::Mode { mode, .. } => {
                let is_file = found.is_none_or(|it| it.kind == FileKind::File);
                let adds = is_file && mode & SETUID_BITS != 0 && mode & EXECUTABLE_BITS != 0;
                event.set(Field::TargetMode, Some((mode & 0o7777).into()));
                event.set(Field::TargetIsWorldWritable, Some(is_open_to_all(*mode).into()));
                event.set(Field::AddsSetuid, Some(adds.into()));
                // A script without a first line of its own is carried out by the shell that tries
                // to start it: this is the last that is seen of it.
                if is_file && mode & EXECUTABLE_BITS != 0 {
                    self.set_writer_of(event, path, at);
                }
            }
            FileChange::Owner { uid, .. } => {
                event.set(Field::TargetOwnerId, uid.map(Into::into));
            }
            FileChange::Attribute { name, .. } => {
                let adds = name == CAPABILITY_ATTRIBUTE;
                event.set(Field::AddsCapability, Some(adds.into()));
                // The file may have gone or changed again by now; then nothing is said of it.
                let given = file_capabilities(path).filter(|_| adds);
                event.set(Field::TargetCapabilities, given.map(|it| capability_names(it).into()));
            }
            FileChange::Times { modified, accessed, .. } => {
                let back = |it: &Timestamp| at.since(*it) > BACK;
                let moved = modified.iter().chain(accessed).any(back);
                event.set(Field::TimesMovedBack, Some(moved.into()));
            }
            _ => {}
        }
        if let Some(found) = found {
            if event.get(Field::TargetMode).is_none() {
                event.set(Field::TargetMode, Some(found.mode.into()));
                event.set(Field::TargetIsWorldWritable, Some(is_open_to_all(found.mode).into()));
            }
            if event.get(Field::TargetOwnerId).is_none() {
                event.set(Field::TargetOwnerId, Some(found.uid.into()));
            }
            event.set(Field::TargetSize, Some((found.size as i64).into()));
        }
    }
}

fn is_below(path: &str, place: &str) -> bool {
    let rest = path.strip_prefix(place.trim_end_matches('/'));
    rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

/// The root of the system that has a program at this path in one of its usual folders, if it is
/// not this one.
fn other_root(program: &str) -> Option<&str> {
    let at = PROGRAM_DIRECTORIES.iter().filter_map(|it| {
        let at = program.find(it)?;
        program.get(at + it.len()..)?.starts_with('/').then_some(at)
    });
    program.get(..at.min()?).filter(|it| !it.is_empty())
}

/// Emptied and written again, whatever is in it then.
fn rewrites_keys(it: &Pending) -> bool {
    it.event.text(Field::TargetKind) == Some(TargetKind::LoginKey.as_str())
        && it.event.text(Field::FileOperation) == Some("truncate")
}

fn is_open_to_all(mode: u32) -> bool {
    mode & OTHERS_WRITE != 0 && mode & STICKY == 0
}

/// The parts of a change that all have.
struct Told<'a> {
    path: &'a str,
    source: Option<&'a str>,
    operation: &'static str,
}

impl<'a> Told<'a> {
    fn of(change: &'a FileChange) -> Option<Self> {
        let (path, source, operation) = match change {
            FileChange::OpenWrite { path, created, truncated } => {
                let word = match (created, truncated) {
                    (true, _) => "create",
                    (false, true) => "truncate",
                    (false, false) => "write",
                };
                (path, None, word)
            }
            FileChange::OpenRead { path } => (path, None, "read"),
            FileChange::Written { path } => (path, None, "write"),
            FileChange::Mode { path, .. } => (path, None, "mode"),
            FileChange::Owner { path, .. } => (path, None, "owner"),
            FileChange::Attribute { path, .. } => (path, None, "attribute"),
            FileChange::Flags { path, .. } => (path, None, "flags"),
            FileChange::Renamed { from, to } => (to, Some(from.as_str()), "rename"),
            FileChange::Linked { from, to, is_symbolic } => {
                (to, Some(from.as_str()), if *is_symbolic { "symlink" } else { "link" })
            }
            FileChange::Removed { path } => (path, None, "delete"),
            FileChange::Times { path, .. } => (path, None, "times"),
        };
        (!path.is_empty()).then_some(Self { path, source, operation })
    }
}
