//! Reads asset tables of one host, live or offline, with what the collectors share.

use std::sync::Mutex;
use std::time::Duration;

use model::time::Timestamp;

use crate::collect::hash_cache::HashCache;
use crate::collect::memo::Memo;
use crate::collect::{self, Collected, Collector, Context};
use crate::host_root::HostRoot;
use crate::packages::PackageIndex;

/// The host, the index of its packages, the digests of its executables and what was understood
/// of its files.
#[derive(Debug)]
pub struct Inspector {
    root: HostRoot,
    packages: PackageIndex,
    hashes: Mutex<HashCache>,
    memo: Mutex<Memo>,
}

impl Inspector {
    pub fn new(root: HostRoot) -> Self {
        Self {
            root,
            packages: PackageIndex::default(),
            hashes: Mutex::default(),
            memo: Mutex::default(),
        }
    }

    pub fn root(&self) -> &HostRoot {
        &self.root
    }

    /// Runs one collector. What the package databases would not tell is said with its rows.
    pub fn collect(&mut self, collector: &Collector, now: Timestamp) -> Collected {
        self.packages.refresh(&self.root);
        let context =
            Context::new(&self.root, &self.packages, &self.hashes, now).with_memo(&self.memo);
        let mut collected = collect::run(collector, &context);
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
