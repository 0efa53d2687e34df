//! Runs over a host and how far they are.

use async_trait::async_trait;
use model::because::{Because, Reason};
use model::id::{HostId, ScanId};
use model::time::Timestamp;

use super::{AuditEntry, HostRef, Page, PageAsk, Result, ScanItemProgress};

model::words! {
    ScanItemState {
        Queued = "queued",
        Running = "running",
        Done = "done",
        /// Some rows could not be read; the reason says which.
        Partial = "partial",
        Failed = "failed",
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    pub id: ScanId,
    pub host: HostRef,
    /// Who asked; empty for a scan the agent began by itself.
    pub requested_by: String,
    /// What was asked for; empty means everything.
    pub wanted: Vec<String>,
    pub created_at: Timestamp,
    /// First progress.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Why the agent refused it.
    pub refused: Option<String>,
    /// The same for readers of other languages.
    pub why: Option<Reason>,
    pub items: Vec<ScanItemProgress>,
}

#[async_trait]
pub trait ScanStore {
    /// A scan for the agent of `host` to carry out; its id is the id of the task.
    async fn create_scan(
        &self,
        host: HostId,
        wanted: Vec<String>,
        by: String,
        audit: AuditEntry,
    ) -> Result<Scan>;
    async fn scan(&self, id: ScanId) -> Result<Scan>;
    /// Newest first.
    async fn scans(&self, host: HostId, page: PageAsk) -> Result<Page<Scan>>;
    /// Scans asked for that the agent has neither begun nor refused: sent again when it
    /// connects. Oldest first, at most 100.
    async fn pending_scans(&self, host: HostId) -> Result<Vec<Scan>>;
    /// The agent will not do it.
    async fn refuse_scan(&self, id: ScanId, why: Because, at: Timestamp) -> Result<()>;
}
