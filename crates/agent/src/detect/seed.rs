//! The processes and listeners that were there before the sensor was.

use std::collections::HashMap;

use model::event::{Exec, Task};
use model::time::Timestamp;

use super::enrich::Enricher;
use crate::collect::port::diag::SockDiag;
use crate::collect::process::parse::number;
use crate::host_root::HostRoot;

/// Most processes that are read at the start.
const PROCESSES_MAX: usize = 32_768;
/// Descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 4096;

/// What ran at one moment: parents before children.
#[derive(Debug, Default)]
pub struct Running(Vec<(Task, Exec)>);

/// Who listened at one moment: process and port.
#[derive(Debug, Default)]
pub struct Listeners(Vec<(u32, u16)>);

fn pids() -> impl Iterator<Item = u32> {
    sensor::procfs::pids().unwrap_or_default().into_iter().take(PROCESSES_MAX)
}

/// Reads what runs now.
pub fn running() -> Running {
    let read = |pid| Some((sensor::procfs::task(pid)?, sensor::procfs::exec_alone(pid)?));
    let mut processes: Vec<_> = pids().filter_map(read).collect();
    processes.sort_by_key(|(task, _)| (task.started_ns, task.pid));
    Running(processes)
}

/// Reads who listens now.
pub fn listeners(root: &HostRoot) -> Listeners {
    let listeners = SockDiag::open().and_then(|mut it| it.listeners()).unwrap_or_default();
    let ports: HashMap<u64, u16> = listeners.iter().map(|it| (it.inode, it.port)).collect();
    let mut found = Vec::new();
    if ports.is_empty() {
        return Listeners(found);
    }
    for pid in pids() {
        let Ok(folder) = root.open_dir(format!("/proc/{pid}/fd")) else { continue };
        // A process that ends meanwhile listens no more.
        let _ = folder.each_link(DESCRIPTORS_MAX, |target| {
            let text = target.as_os_str().as_encoded_bytes();
            let inode = text.strip_prefix(b"socket:[").and_then(|it| it.strip_suffix(b"]"));
            let port = inode.and_then(number).and_then(|it| ports.get(&it));
            found.extend(port.map(|it| (pid, *it)));
        });
    }
    Listeners(found)
}

impl Running {
    /// Has them known as if their starts had been seen.
    pub fn plant(&self, enricher: &mut Enricher, now: Timestamp) {
        for (task, exec) in &self.0 {
            enricher.seed(task, exec, now);
        }
    }
}

impl Listeners {
    /// Has their ports known as if it had been seen that they began to listen.
    pub fn plant(&self, enricher: &mut Enricher) {
        for (pid, port) in &self.0 {
            enricher.seed_listener(*pid, *port);
        }
    }
}
