//! What the agent knows of its host: one folder a table.
//!
//! A collector opens (`collect`), a pure `parse` understands. What could not be read is named
//! in `skipped`, and a collector that panics costs its own table only.

pub mod account;
pub mod autostart;
pub mod changes;
pub mod container;
pub mod fields;
pub mod glob;
pub mod hash_cache;
pub mod kernel_module;
pub mod mask;
pub mod memo;
pub mod port;
pub mod process;
pub mod service;
pub mod software;
pub mod users;
pub mod walk;
pub mod web;
pub mod web_framework;

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::asset::{Row, Spec, TABLE_ROWS_MAX};
use model::because;
use model::because::Because;
use model::time::Timestamp;

use crate::host_root::{HostRoot, ReadError};
use crate::packages::PackageIndex;
use hash_cache::HashCache;
use memo::Memo;
use process::table::{Process, ProcessTable};
use service::KnownAuthentication;
use users::Users;

/// Every collector, in the order of the console's tabs.
pub static ALL: &[&Collector] = &[
    &account::COLLECTOR,
    &port::COLLECTOR,
    &process::COLLECTOR,
    &autostart::COLLECTOR,
    &software::COLLECTOR,
    &web::SITES,
    &web::DIRECTORIES,
    &web_framework::COLLECTOR,
    &service::DATABASES,
    &service::MIDDLEWARE,
    &container::COLLECTOR,
    &kernel_module::COLLECTOR,
];

/// Most `skipped` lines of one run of one collector; the rest is counted.
pub const SKIPPED_LINES_MAX: usize = 100;

/// One table and how it is filled.
#[derive(Debug)]
pub struct Collector {
    pub spec: &'static Spec,
    pub cadence: Cadence,
    pub collect: fn(&Context) -> Collected,
}

/// How soon a table is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// Running things: read again every minute and on news of the kernel.
    Fast,
    /// What lies on disk: read again every hour.
    Slow,
}

/// The outcome of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Collected {
    pub rows: Vec<Row>,
    /// One sentence each: what was left out, where and why.
    pub skipped: Vec<Because>,
    /// The rows are all there is. Otherwise a row that is missing now proves nothing, and the
    /// rows of the last run stay as they were.
    pub complete: bool,
}

impl Default for Collected {
    fn default() -> Self {
        Self { rows: Vec::new(), skipped: Vec::new(), complete: true }
    }
}

impl Collected {
    /// Nothing could be learned; `why` is one sentence.
    pub fn nothing(why: impl Into<Because>) -> Self {
        Self { rows: Vec::new(), skipped: vec![why.into()], complete: false }
    }

    /// Notes that `error` cost something, unless there simply was nothing to read.
    pub fn note(&mut self, error: &ReadError) {
        if !error.is_absent() {
            self.skipped.push(error.because());
        }
    }
}

/// A file is not what it should be; `cause` says where.
pub(crate) fn unreadable(cause: &dyn std::fmt::Display) -> Because {
    because!("skip.unreadable", "{cause}", cause = cause)
}

/// How many lines of a file made no sense.
pub(crate) fn not_understood(count: usize) -> Because {
    because!("skip.lines", "lines that are not understood: {count}", count = count)
}

/// What a collector may use. One context serves all collectors of one moment.
#[derive(Debug)]
pub struct Context<'a> {
    pub root: &'a HostRoot,
    pub packages: &'a PackageIndex,
    pub now: Timestamp,
    hashes: &'a Mutex<HashCache>,
    memo: Option<&'a Mutex<Memo>>,
    processes: OnceCell<ProcessTable>,
    users: OnceCell<Users>,
    authentication: OnceCell<KnownAuthentication>,
}

impl<'a> Context<'a> {
    pub fn new(
        root: &'a HostRoot,
        packages: &'a PackageIndex,
        hashes: &'a Mutex<HashCache>,
        now: Timestamp,
    ) -> Self {
        let (processes, users, authentication) = Default::default();
        Self { root, packages, now, hashes, memo: None, processes, users, authentication }
    }

    /// Lets collectors use again what they understood of unchanged files.
    #[must_use]
    pub fn with_memo(mut self, memo: &'a Mutex<Memo>) -> Self {
        self.memo = Some(memo);
        self
    }

    /// Uses processes read a moment ago instead of reading them again.
    #[must_use]
    pub fn with_processes(mut self, processes: Option<ProcessTable>) -> Self {
        self.processes = processes.map_or_else(OnceCell::new, OnceCell::from);
        self
    }

    /// The processes, if they were asked for, to be used again.
    pub fn into_processes(self) -> Option<ProcessTable> {
        self.processes.into_inner()
    }

    /// See [`Memo::get`]. `make` may not ask for another remembered value.
    pub fn remembered<T: Send + Sync + 'static>(
        &self,
        what: &'static str,
        path: impl AsRef<Path>,
        make: impl FnOnce(&mut Vec<PathBuf>) -> T,
    ) -> Arc<T> {
        match self.memo {
            Some(memo) => {
                let mut memo = memo.lock().unwrap_or_else(PoisonError::into_inner);
                memo.get(self.root, what, path.as_ref().to_owned(), make)
            }
            None => Arc::new(make(&mut Vec::new())),
        }
    }

    /// The running processes, read when first asked for.
    pub fn processes(&self) -> &ProcessTable {
        self.processes.get_or_init(|| ProcessTable::read(self.root))
    }

    /// The accounts of `/etc/passwd`, read when first asked for.
    pub fn users(&self) -> &Users {
        self.users.get_or_init(|| Users::read(self.root))
    }

    /// Which running servers ask who is there, read when first asked for.
    pub fn authentication(&self) -> &KnownAuthentication {
        self.authentication.get_or_init(|| KnownAuthentication::read(self))
    }

    /// Name of a user, or its number in digits.
    pub fn user_name(&self, uid: u32) -> String {
        self.users().name(uid).map_or_else(|| uid.to_string(), ToOwned::to_owned)
    }

    /// The package that installed the executable of `process`, which is none in a container.
    pub fn package_of(&self, process: &Process) -> Option<&str> {
        self.packages.owner(process.executable_on_host(self.root)?)
    }

    /// SHA-256 of a file in hexadecimal digits, read only if the file has changed.
    pub fn sha256(&self, path: impl AsRef<Path>) -> Result<String, ReadError> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner).sha256(self.root, path.as_ref())
    }
}

/// Runs one collector within its limits. A panic becomes a `skipped` line.
pub fn run(collector: &Collector, context: &Context) -> Collected {
    let kind = collector.spec.kind;
    let outcome = catch_unwind(AssertUnwindSafe(|| (collector.collect)(context)));
    let mut collected = outcome.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Collected::nothing(because!(
            "skip.panic",
            "the collector of `{kind}` failed: {cause}",
            kind = kind,
            cause = text
        ))
    });
    if let Some(more) = collected.rows.len().checked_sub(TABLE_ROWS_MAX).filter(|it| *it > 0) {
        collected.rows.truncate(TABLE_ROWS_MAX);
        collected.skipped.insert(
            0,
            because!(
                "skip.rows",
                "rows over the limit of {max}: {more}",
                more = more,
                max = TABLE_ROWS_MAX
            ),
        );
        collected.complete = false;
    }
    if let Some(more) = collected.skipped.len().checked_sub(SKIPPED_LINES_MAX).filter(|it| *it > 0)
    {
        collected.skipped.truncate(SKIPPED_LINES_MAX);
        collected.skipped.push(because!("skip.more", "more of these: {more}", more = more));
    }
    collected
}

#[cfg(test)]
mod tests;
