//! The processes and listeners that were there before the sensor was.

use std::collections::HashMap;

use model::time::Timestamp;

use super::enrich::Enricher;
use crate::collect::port::diag::SockDiag;
use crate::collect::process::parse::number;

/// Most processes that are read at the start.
const PROCESSES_MAX: usize = 32_768;
/// Descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 4096;

/// Reads what runs now, parents before children.
pub fn processes(enricher: &mut Enricher, now: Timestamp) {
    let mut running: Vec<_> = sensor::procfs::pids()
        .unwrap_or_default()
        .into_iter()
        .take(PROCESSES_MAX)
        .filter_map(|pid| Some((sensor::procfs::task(pid)?, sensor::procfs::exec(pid)?)))
        .collect();
    running.sort_by_key(|(task, _)| (task.started_ns, task.pid));
    for (task, exec) in &running {
        enricher.seed(task, exec, now);
    }
    let listeners = SockDiag::open().and_then(|mut it| it.listeners()).unwrap_or_default();
    let ports: HashMap<u64, u16> = listeners.iter().map(|it| (it.inode, it.port)).collect();
    if ports.is_empty() {
        return;
    }
    for (task, _) in &running {
        let mut found = Vec::new();
        let folder = format!("/proc/{}/fd", task.pid);
        let Ok(folder) = enricher.images.root().open_dir(folder) else { continue };
        // A process that ends meanwhile listens no more.
        let _ = folder.each_link(DESCRIPTORS_MAX, |target| {
            let text = target.as_os_str().as_encoded_bytes();
            let inode = text.strip_prefix(b"socket:[").and_then(|it| it.strip_suffix(b"]"));
            found.extend(inode.and_then(number).and_then(|it| ports.get(&it)).copied());
        });
        for port in found {
            enricher.seed_listener(task.pid, port);
        }
    }
}
