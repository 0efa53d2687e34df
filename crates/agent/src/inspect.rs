//! Reads asset tables of one host, live or offline, with what the collectors share.

use std::sync::Mutex;
use std::time::Duration;

use model::time::Timestamp;

use crate::collect::hash_cache::HashCache;
use crate::collect::memo::Memo;
use crate::collect::process::table::{Changes, ProcessTable};
use crate::collect::{self, Cadence, Collected, Collector, Context};
use crate::host_root::HostRoot;
use crate::packages::PackageIndex;

/// Oldest process table that is used for slow tables.
const PROCESSES_AGE_MAX: Duration = Duration::from_secs(5);
/// How long a process is believed to be what it was, where changes are told. Less than a minute,
/// so that what is due each minute is read whole.
const BELIEVED_MAX: Duration = Duration::from_secs(50);

/// The host, the index of its packages, the digests of its executables and what was understood
/// of its files.
#[derive(Debug)]
pub struct Inspector {
    root: HostRoot,
    packages: PackageIndex,
    hashes: Mutex<HashCache>,
    memo: Mutex<Memo>,
    processes: Option<Known>,
    /// Somebody tells which processes change.
    is_told: bool,
}

/// The processes of a while ago.
#[derive(Debug)]
struct Known {
    table: ProcessTable,
    at: Timestamp,
    /// When every one of them was read.
    whole_at: Timestamp,
    /// Those that have changed since.
    changes: Changes,
}

impl Inspector {
    pub fn new(root: HostRoot) -> Self {
        Self {
            root,
            packages: PackageIndex::default(),
            hashes: Mutex::default(),
            memo: Mutex::default(),
            processes: None,
            is_told: false,
        }
    }

    /// Processes changed. Who calls this once tells of every change.
    pub fn processes_changed(&mut self, changes: &Changes) {
        self.is_told = true;
        if let Some(known) = &mut self.processes {
            known.changes.extend(changes);
        }
    }

    /// The next table of processes is read whole.
    pub fn forget_processes(&mut self) {
        self.processes = None;
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
        let known = self.known_processes(collector.cadence, now);
        let [at, whole_at] = known.as_ref().map_or([now; 2], |it| [it.at, it.whole_at]);
        let (table, changes) = known.map(|it| (it.table, it.changes)).unzip();
        let context = Context::new(&self.root, &self.packages, &self.hashes, now)
            .with_memo(&self.memo)
            .with_processes(table);
        let mut collected = collect::run(collector, &context);
        let changes = changes.unwrap_or_default();
        self.processes =
            context.into_processes().map(|table| Known { table, at, whole_at, changes });
        collected.skipped.extend_from_slice(self.packages.skipped());
        collected
    }

    /// Processes that need not be read again.
    fn known_processes(&mut self, cadence: Cadence, now: Timestamp) -> Option<Known> {
        let known = self.processes.take()?;
        let is_within = |at: Timestamp, max| at <= now && now.since(at) <= max;
        // Slow tables only ask which servers run; a scan of all of them reads /proc once.
        if cadence == Cadence::Slow && is_within(known.at, PROCESSES_AGE_MAX) {
            return Some(known);
        }
        let is_believed = self.is_told && is_within(known.whole_at, BELIEVED_MAX);
        is_believed.then(|| Known {
            table: ProcessTable::renew(&self.root, known.table, &known.changes),
            at: now,
            whole_at: known.whole_at,
            changes: Changes::default(),
        })
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
