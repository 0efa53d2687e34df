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

/// What ran at one moment.
#[derive(Debug, Default)]
pub struct Running {
    /// Parents before children.
    processes: Vec<(Task, Exec)>,
    /// Process and port.
    listeners: Vec<(u32, u16)>,
}

/// Reads what runs now.
pub fn read(root: &HostRoot) -> Running {
    let mut processes: Vec<_> = sensor::procfs::pids()
        .unwrap_or_default()
        .into_iter()
        .take(PROCESSES_MAX)
        .filter_map(|pid| Some((sensor::procfs::task(pid)?, sensor::procfs::exec(pid)?)))
        .collect();
    processes.sort_by_key(|(task, _)| (task.started_ns, task.pid));
    let listeners = listeners(root, &processes);
    Running { processes, listeners }
}

fn listeners(root: &HostRoot, processes: &[(Task, Exec)]) -> Vec<(u32, u16)> {
    let listeners = SockDiag::open().and_then(|mut it| it.listeners()).unwrap_or_default();
    let ports: HashMap<u64, u16> = listeners.iter().map(|it| (it.inode, it.port)).collect();
    let mut found = Vec::new();
    if ports.is_empty() {
        return found;
    }
    for (task, _) in processes {
        let folder = format!("/proc/{}/fd", task.pid);
        let Ok(folder) = root.open_dir(folder) else { continue };
        // A process that ends meanwhile listens no more.
        let _ = folder.each_link(DESCRIPTORS_MAX, |target| {
            let text = target.as_os_str().as_encoded_bytes();
            let inode = text.strip_prefix(b"socket:[").and_then(|it| it.strip_suffix(b"]"));
            let port = inode.and_then(number).and_then(|it| ports.get(&it));
            found.extend(port.map(|it| (task.pid, *it)));
        });
    }
    found
}

impl Running {
    /// Has them known as if their starts had been seen.
    pub fn plant(&self, enricher: &mut Enricher, now: Timestamp) {
        for (task, exec) in &self.processes {
            enricher.seed(task, exec, now);
        }
        for (pid, port) in &self.listeners {
            enricher.seed_listener(*pid, *port);
        }
    }
}
