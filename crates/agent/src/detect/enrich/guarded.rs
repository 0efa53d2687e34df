//! Processes to which every signal is told: those of this agent, and those that keep watch over
//! the host or that it relies on. Signals to all others would be too many.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;

use super::Enricher;
use crate::detect::image::Image;
use crate::detect::names::{is_relied_on, keeps_watch};
use crate::detect::process::{Id, Process};

/// Processes at the same time. The sensor has room for this agent beside them.
const GUARDED_MAX: usize = 48;

/// Which processes these are, and what the sensor has not been told of yet.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    pids: HashSet<u32>,
    changes: Vec<(u32, bool)>,
}

impl Guarded {
    /// Those that run no more.
    pub(super) fn gone(&self, alive: &HashSet<u32>) -> Vec<u32> {
        self.pids.difference(alive).copied().collect()
    }
}

/// The file this agent runs from: device and inode.
pub(super) fn own_file() -> Option<(u64, u64)> {
    let found = std::fs::metadata("/proc/self/exe").ok()?;
    Some((found.dev(), found.ino()))
}

impl Enricher {
    /// Processes whose signals are to be told from now on, or no more.
    pub fn take_guarded(&mut self) -> Vec<(u32, bool)> {
        std::mem::take(&mut self.guarded.changes)
    }

    /// This agent, by its process or by the file it runs from; no name decides.
    pub(super) fn is_agent(&self, process: &Process) -> bool {
        process.pid == self.own_pid || self.is_own_file(&process.image)
    }

    fn is_own_file(&self, image: &Image) -> bool {
        let file = image.identity.map(|it| (it.device, it.inode));
        file.is_some() && file == self.own_file
    }

    /// To be told after a process became another program.
    pub(super) fn guard(&mut self, id: Id) {
        let Some(process) = self.processes.get(id) else { return };
        let name = process.image.name();
        let is_guarded = process.pid != self.own_pid
            && (keeps_watch(name) || is_relied_on(name) || self.is_own_file(&process.image));
        let pid = process.pid;
        if is_guarded && self.guarded.pids.len() < GUARDED_MAX {
            if self.guarded.pids.insert(pid) {
                self.guarded.changes.push((pid, true));
            }
        } else if !is_guarded {
            self.unguard(pid);
        }
    }

    /// A process has ended, and its number may come back as another's.
    pub(super) fn unguard(&mut self, pid: u32) {
        if self.guarded.pids.remove(&pid) {
            self.guarded.changes.push((pid, false));
        }
    }
}
