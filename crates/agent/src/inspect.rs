//! Reads asset tables of one host, live or offline, with what the collectors share.

use std::sync::Mutex;
use std::time::Duration;

use model::time::Timestamp;

use crate::collect::hash_cache::HashCache;
use crate::collect::memo::Memo;
use crate::collect::process::table::ProcessTable;
use crate::collect::{self, Cadence, Collected, Collector, Context};
use crate::host_root::HostRoot;
use crate::packages::PackageIndex;

/// Oldest process table that is used for slow tables.
const PROCESSES_AGE_MAX: Duration = Duration::from_secs(5);

/// The host, the index of its packages, the digests of its executables and what was understood
/// of its files.
#[derive(Debug)]
pub struct Inspector {
    root: HostRoot,
    packages: PackageIndex,
    hashes: Mutex<HashCache>,
    memo: Mutex<Memo>,
    /// The processes of a moment ago.
    processes: Option<(Timestamp, ProcessTable)>,
}

impl Inspector {
    pub fn new(root: HostRoot) -> Self {
        Self {
            root,
            packages: PackageIndex::default(),
            hashes: Mutex::default(),
            memo: Mutex::default(),
            processes: None,
        }
    }

    pub fn root(&self) -> &HostRoot {
        &self.root
    }

    /// The package that owns a file, as of the last collection.
    pub fn owner(&self, path: &str) -> Option<&str> {
        self.packages.owner(path)
    }

    /// Runs one collector. What the package databases would not tell is said with its rows.
    pub fn collect(&mut self, collector: &Collector, now: Timestamp) -> Collected {
        self.packages.refresh(&self.root);
        // Slow tables only ask which servers run; a scan of all of them reads /proc once.
        let recent = self.processes.take().filter(|(at, _)| {
            collector.cadence == Cadence::Slow && *at <= now && now.since(*at) <= PROCESSES_AGE_MAX
        });
        let read_at = recent.as_ref().map_or(now, |(at, _)| *at);
        let context = Context::new(&self.root, &self.packages, &self.hashes, now)
            .with_memo(&self.memo)
            .with_processes(recent.map(|(_, it)| it));
        let mut collected = collect::run(collector, &context);
        self.processes = context.into_processes().map(|it| (read_at, it));
        collected.skipped.extend_from_slice(self.packages.skipped());
        collected
    }
}

/// The collector of the table `kind`.
pub fn collector(kind: &str) -> Option<&'static Collector> {
    collect::ALL.iter().copied().find(|it| it.spec.kind == kind)
}

/// CPU time this thread has used.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
