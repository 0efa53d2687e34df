//! What Garrison remembers: the traits every back end implements and the types they speak.
//!
//! Nothing here knows a database. A back end is correct when it passes the conformance suite.
//! Three rules hold for all of them:
//! - Time is an argument. Ids come from the store and, where their type says so, sort by time.
//! - Numbers on a page come from counters and roll-ups kept in the transaction that changes
//!   the rows; no read counts, skips or sorts a growing table.
//! - A change made by a person takes an [`AuditEntry`], written in the same transaction.

use model::because::Because;

mod admin;
mod assets;
mod audit;
pub mod bench;
#[cfg(test)]
#[macro_use]
pub(crate) mod conformance;
mod enrol;
mod findings;
mod hosts;
mod ingest;
mod jobs;
mod notify;
mod overview;
mod people;
mod responses;
mod scans;
pub mod sqlite;
mod whitelist;
pub(crate) mod words;

pub use admin::*;
pub use assets::*;
pub use audit::*;
pub use enrol::*;
pub use findings::*;
pub use hosts::*;
pub use ingest::*;
pub use jobs::*;
pub use notify::*;
pub use overview::*;
pub use people::*;
pub use responses::*;
pub use scans::*;
pub use whitelist::*;

/// Everything a back end offers. Held as `Arc<dyn Store>`.
pub trait Store:
    AdminStore
    + AssetStore
    + AuditStore
    + EnrolStore
    + FindingStore
    + HostStore
    + IngestStore
    + JobStore
    + NotifyStore
    + OverviewStore
    + PeopleStore
    + ResponseStore
    + ScanStore
    + WhitelistStore
    + Send
    + Sync
{
}

/// Why the store did not do what it was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no such {what}")]
    NotFound { what: &'static str },
    /// The request is well formed, but what is stored stands against it.
    #[error("{what}: {detail}")]
    Conflict { what: &'static str, detail: Because },
    /// The caller's value cannot be used.
    #[error("`{field}`: {detail}")]
    Invalid { field: &'static str, detail: Because },
    #[error(
        "the store was written by a newer version (schema {found}, this one knows up to {known})"
    )]
    Newer { found: u32, known: u32 },
    #[error("the store is shutting down")]
    Closed,
    #[error("store: {doing}")]
    Backend {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Most items one page holds.
pub const PAGE_LIMIT_MAX: u32 = 200;
/// Items of a page when the caller does not say.
pub const PAGE_LIMIT: u32 = 50;

/// Where a page ended: opaque, made by the store, valid for the same query only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageAsk {
    pub after: Option<Cursor>,
    /// 1 to [`PAGE_LIMIT_MAX`]; brought into that range by the store.
    pub limit: u32,
}

impl Default for PageAsk {
    fn default() -> Self {
        Self { after: None, limit: PAGE_LIMIT }
    }
}

/// Some items of a list. A page may hold fewer than asked, even none, and still have a
/// `next`: the store looks at a bounded number of rows per page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None` at the end of the list.
    pub next: Option<Cursor>,
}

/// A total that is known without counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    pub value: u64,
    /// False when filters apply that no counter follows: the value is then an upper bound.
    pub exact: bool,
}
