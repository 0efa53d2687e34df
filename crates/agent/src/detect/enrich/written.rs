//! Who wrote the programs and scripts that start. What is fetched or decoded, put into a file and
//! carried out is told when it starts: by then it is known who wrote it, and with what.
//!
//! Writes are told of watched places only; elsewhere a tool's own arguments, or where its output
//! goes, say what it writes.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use engine::event::{Event, Field};
use model::event::{Descriptor, Exec, FileChange, Task};
use model::time::Timestamp;

use super::exec::internet;
use super::file::{EXECUTABLE_BITS, SETUID_BITS};
use super::outputs::outputs;
use super::{Enricher, fixed, text};
use crate::detect::image::Image;
use crate::detect::names::{ImageKind, is_temporary, kind_of_name};
use crate::detect::process::{Id, Process};

/// Files whose writer is remembered, the last ones: as many of those that were fetched or written
/// by a program in a temporary place, and as many of all others, which come by the thousand.
const FILES_MAX: usize = 4096;
/// How long it counts.
const AGE_MAX: Duration = Duration::from_hours(1);
/// Bring files and are of no kind of their own.
const BRINGERS: [&str; 5] = ["scp", "sftp", "sftp-server", "rsync", "lwp-request"];
/// Has to do with the network only where it calls somebody.
const OPENSSL: &str = "openssl";

/// Who opened a file for writing, as it was then.
#[derive(Clone, Debug)]
struct Writer {
    process: Id,
    image: Arc<Image>,
    kind: ImageKind,
    fetched: bool,
    at: Timestamp,
}

/// Writers by the digest of the path, whose text nobody asks for.
#[derive(Debug, Default)]
pub(super) struct Written {
    suspect: Table,
    others: Table,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Table {
    by_path: HashMap<u64, Writer>,
    /// As they were noted; what was noted again or is gone stays until there are too many.
    order: VecDeque<(u64, Timestamp)>,
}

impl Writer {
    fn is_suspect(&self) -> bool {
        self.fetched || self.image.is_memory || is_temporary(&self.image.path)
    }
}

impl Written {
    fn note(&mut self, path: &str, writer: Writer) {
        let key = self.hasher.hash_one(path);
        let (table, other) = if writer.is_suspect() {
            (&mut self.suspect, &mut self.others)
        } else {
            (&mut self.others, &mut self.suspect)
        };
        other.by_path.remove(&key);
        table.note(key, writer);
    }

    fn get(&self, path: &str, now: Timestamp) -> Option<&Writer> {
        let key = self.hasher.hash_one(path);
        let found = self.suspect.by_path.get(&key).or_else(|| self.others.by_path.get(&key))?;
        (now.since(found.at) <= AGE_MAX).then_some(found)
    }

    /// The clock was set; what is remembered is as old as before.
    pub(super) fn move_clock(&mut self, by_us: i64) {
        for table in [&mut self.suspect, &mut self.others] {
            table.by_path.values_mut().for_each(|it| it.at = it.at.moved(by_us));
            table.order.iter_mut().for_each(|(_, at)| *at = at.moved(by_us));
        }
    }

    fn moved(&mut self, from: &str, to: &str) {
        if let Some(writer) = self.gone(from) {
            self.note(to, writer);
        }
    }

    fn gone(&mut self, path: &str) -> Option<Writer> {
        let key = self.hasher.hash_one(path);
        self.suspect.by_path.remove(&key).or_else(|| self.others.by_path.remove(&key))
    }
}

impl Table {
    fn note(&mut self, key: u64, writer: Writer) {
        self.order.push_back((key, writer.at));
        self.by_path.insert(key, writer);
        let by_path = &self.by_path;
        let counts = |it: &(u64, Timestamp)| by_path.get(&it.0).is_some_and(|now| now.at == it.1);
        if self.order.len() > 2 * FILES_MAX {
            self.order.retain(counts);
        }
        while self.by_path.len() > FILES_MAX {
            let Some((oldest, at)) = self.order.pop_front() else { break };
            if self.by_path.get(&oldest).is_some_and(|it| it.at == at) {
                self.by_path.remove(&oldest);
            }
        }
    }
}

impl Enricher {
    /// Takes what a tool says when it starts of what it will write.
    pub(super) fn note_outputs(&mut self, id: Id, at: Timestamp, exec: &Exec) {
        let Some(process) = self.processes.get(id).filter(|it| brings(it)) else { return };
        let writer = writer_of(id, process, at);
        let mut paths = outputs(process.image.real_name(), &exec.arguments);
        let cwd = exec.cwd.as_deref().unwrap_or("/");
        for path in &mut paths {
            if !path.starts_with('/') {
                *path = format!("{}/{}", cwd.trim_end_matches('/'), path.trim_start_matches("./"));
            }
        }
        if matches!(exec.stdio, [_, Descriptor::File, _]) {
            let link = format!("/proc/{}/fd/1", process.pid);
            let file = self.images.root().read_link(link).ok();
            paths.extend(file.map(|it| it.to_string_lossy().into_owned()));
        }
        for path in paths {
            self.written.note(&path, writer.clone());
        }
    }

    /// Remembers who writes what, or that it has another name.
    pub(super) fn note_written(&mut self, change: &FileChange, task: &Task, at: Timestamp) {
        match change {
            FileChange::OpenWrite { path, .. } => {
                let id = self.actor(task, at);
                if let Some(process) = self.processes.get(id) {
                    self.written.note(path, writer_of(id, process, at));
                }
            }
            FileChange::Renamed { from, to } => self.written.moved(from, to),
            FileChange::Removed { path } => drop(self.written.gone(path)),
            _ => {}
        }
    }

    /// Says who wrote the program or script that started as `id`.
    pub(super) fn set_writer(&self, event: &mut Event, id: Id, at: Timestamp) {
        let Some(process) = self.processes.get(id) else { return };
        let script = process.script.as_deref().filter(|it| self.written.get(it, at).is_some());
        self.set_writer_of(event, script.unwrap_or(&process.image.path), at);
    }

    pub(super) fn set_writer_of(&self, event: &mut Event, path: &str, at: Timestamp) {
        let Some(writer) = self.written.get(path, at) else { return };
        // A shell opens what its child is going to write: the child is what it became.
        let now = self.processes.get(writer.process);
        let (image, kind) = now.map_or((&writer.image, writer.kind), |it| (&it.image, it.kind));
        event.set(Field::ProgramWriter, text(image.real_name()));
        event.set(Field::ProgramWriterKind, fixed(kind.as_str()));
        let is_loose = image.is_memory || is_temporary(&image.path);
        event.set(Field::ProgramWriterInTemporary, is_loose.then(|| true.into()));
        let fetched = writer.fetched
            || now.is_some_and(|it| brings(it) || self.takes_from_network(writer.process, it));
        event.set(Field::ProgramWasFetched, fetched.then(|| true.into()));
    }

    /// It called somebody, or what it reads comes from one who did.
    fn takes_from_network(&self, id: Id, process: &Process) -> bool {
        if process.has_called || internet(process.descriptor(0)).is_some() {
            return true;
        }
        let writers = self.writers_into(process.descriptor(0), id);
        writers.iter().any(|it| kind_of_name(it) == ImageKind::NetworkTool && it != OPENSSL)
    }
}

fn writer_of(id: Id, process: &Process, at: Timestamp) -> Writer {
    let image = Arc::clone(&process.image);
    let fetched = process.has_called || brings(process);
    Writer { process: id, image, kind: process.kind, fetched, at }
}

/// It is there to bring files from elsewhere.
fn brings(process: &Process) -> bool {
    let name = process.image.real_name();
    let is_tool = process.kind == ImageKind::NetworkTool && name != OPENSSL;
    is_tool || BRINGERS.contains(&name)
}

/// A change in a temporary directory that only says who wrote what: builds make thousands of them,
/// and what lies there under the name of a profile or key is a copy that nobody reads as one.
pub(super) fn is_passing(change: &FileChange) -> bool {
    match change {
        FileChange::OpenWrite { path, .. }
        | FileChange::Written { path }
        | FileChange::Removed { path }
        | FileChange::Owner { path, .. }
        | FileChange::Times { path, .. } => is_temporary(path),
        FileChange::Mode { path, mode } => {
            is_temporary(path) && mode & (SETUID_BITS | EXECUTABLE_BITS) == 0
        }
        FileChange::Renamed { from, to } => is_temporary(from) && is_temporary(to),
        // What it leads to is a text where the link is symbolic.
        FileChange::Linked { from, to, .. } => {
            is_temporary(to) && (is_temporary(from) || !from.starts_with('/'))
        }
        FileChange::OpenRead { .. } | FileChange::Attribute { .. } | FileChange::Flags { .. } => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(at: i64) -> Writer {
        Writer {
            process: 1,
            image: Arc::new(Image::of_path("/usr/bin/curl")),
            kind: ImageKind::NetworkTool,
            fetched: true,
            at: Timestamp(at),
        }
    }

    #[test]
    fn the_oldest_writers_are_forgotten() {
        let mut written = Written::default();
        for number in 0..=FILES_MAX {
            written.note(&format!("/tmp/{number}"), writer(number as i64));
            written.note("/tmp/again", writer(number as i64));
        }
        let now = Timestamp::from_secs(300);
        let last = format!("/tmp/{FILES_MAX}");
        assert!(written.get("/tmp/0", now).is_none());
        assert!(written.get(&last, now).is_some() && written.get("/tmp/again", now).is_some());
        let table = &written.suspect;
        assert!(table.by_path.len() <= FILES_MAX && table.order.len() <= 2 * FILES_MAX);
        written.moved(&last, "/opt/x");
        assert!(written.get("/opt/x", now).is_some() && written.get(&last, now).is_none());
        assert!(written.get("/opt/x", Timestamp::from_secs(4000)).is_none());
    }

    #[test]
    fn what_a_build_writes_takes_no_place_of_what_was_fetched() {
        let mut written = Written::default();
        let compiler = Arc::new(Image::of_path("/usr/bin/cc"));
        let other = |at| Writer { image: Arc::clone(&compiler), fetched: false, ..writer(at) };
        written.note("/tmp/fetched", writer(0));
        written.note("/tmp/replaced", writer(0));
        for number in 0..=FILES_MAX {
            written.note(&format!("/tmp/{number}"), other(number as i64));
        }
        written.note("/tmp/replaced", other(1));
        let now = Timestamp::from_secs(200);
        assert!(written.get("/tmp/0", now).is_none());
        assert!(written.get("/tmp/fetched", now).is_some_and(|it| it.fetched));
        assert!(written.get("/tmp/replaced", now).is_some_and(|it| !it.fetched));
        written.moved("/tmp/fetched", "/opt/x");
        assert!(written.get("/opt/x", now).is_some() && written.get("/tmp/fetched", now).is_none());
    }

    #[test]
    fn files_that_are_gone_take_no_place() {
        let mut written = Written::default();
        written.note("/tmp/kept", writer(0));
        for number in 1..3 * FILES_MAX {
            let path = format!("/tmp/{number}");
            written.note(&path, writer(number as i64));
            written.gone(&path);
        }
        assert!(written.get("/tmp/kept", Timestamp::from_secs(200)).is_some());
        assert!(written.suspect.order.len() <= 2 * FILES_MAX);
    }

    #[test]
    fn what_passes() {
        let path = || "/tmp/a".to_owned();
        let open = |path: &str| FileChange::OpenWrite {
            path: path.to_owned(),
            created: true,
            truncated: false,
        };
        let link = |from: &str, to: &str| FileChange::Linked {
            from: from.to_owned(),
            to: to.to_owned(),
            is_symbolic: true,
        };
        for (change, passes) in [
            (open("/tmp/a"), true),
            (open("/home/a"), false),
            (FileChange::Mode { path: path(), mode: 0o644 }, true),
            (FileChange::Mode { path: path(), mode: 0o755 }, false),
            (FileChange::Mode { path: path(), mode: 0o4755 }, false),
            (FileChange::Renamed { from: path(), to: "/var/tmp/b".to_owned() }, true),
            (FileChange::Renamed { from: path(), to: "/etc/b".to_owned() }, false),
            (link("/bin/sh", "/tmp/a"), false),
            (link("../lib/x", "/tmp/a"), true),
            (link("/tmp/b", "/tmp/a"), true),
            (link("/tmp/b", "/etc/a"), false),
            (FileChange::Attribute { path: path(), name: "security.capability".to_owned() }, false),
        ] {
            assert_eq!(is_passing(&change), passes, "{change:?}");
        }
    }
}
