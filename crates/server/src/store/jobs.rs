//! Decisions about all findings of a kind: what was asked, how far it is, what it decided.

use async_trait::async_trait;
use model::finding::HandleAction;
use model::id::{FindingId, JobId};
use model::time::Timestamp;
use serde_json::Value;

use super::{Actor, AuditEntry, Page, PageAsk, Result};

/// Jobs that run at once.
pub const JOBS_RUNNING_MAX: usize = 4;
/// Jobs that are remembered; with one it is forgotten what it decided, so that it cannot be
/// taken back as a whole any more.
pub const JOBS_MAX: usize = 64;

model::words! {
    JobState {
        Running = "running",
        Done = "done",
        /// Somebody stopped it; what was decided stays.
        Stopped = "stopped",
        Failed = "failed",
        /// There were more findings than one job decides about: begin another.
        Limit = "limit",
        /// What it decided is being taken back.
        Undoing = "undoing",
        Undone = "undone",
    }
}

impl JobState {
    /// Somebody works on it: after a start of the server it is taken up again.
    pub const fn is_at_work(self) -> bool {
        match self {
            Self::Running | Self::Undoing => true,
            Self::Done | Self::Stopped | Self::Failed | Self::Limit | Self::Undone => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    pub action: HandleAction,
    pub by: String,
    pub remark: String,
    /// Which findings, in the form of whoever asks.
    pub filter: Value,
    /// Findings that match, as far as they were counted.
    pub total: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub state: JobState,
    pub action: HandleAction,
    pub by: String,
    pub remark: String,
    pub filter: Value,
    /// Who answers for its steps, and from where.
    pub actor: Actor,
    pub address: String,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub total: u64,
    /// Decided so far.
    pub done: u64,
    /// Left as they were because somebody else was quicker.
    pub skipped: u64,
    /// Taken back so far.
    pub undone: u64,
    pub undone_by: String,
    /// Why it failed.
    pub reason: String,
}

#[async_trait]
pub trait JobStore {
    /// Refused while [`JOBS_RUNNING_MAX`] are at work; the oldest beyond [`JOBS_MAX`] is
    /// forgotten.
    async fn create_job(&self, new: NewJob, audit: AuditEntry) -> Result<Job>;
    async fn job(&self, id: JobId) -> Result<Job>;
    /// Newest first.
    async fn jobs(&self) -> Result<Vec<Job>>;
    /// Decides about some findings as the job says, and counts them, in one transaction.
    /// Refused unless the job is running.
    async fn job_step(&self, id: JobId, ids: Vec<FindingId>, audit: AuditEntry) -> Result<Job>;
    /// Ends what is at work; a job that somebody stopped stays stopped.
    async fn end_job(
        &self,
        id: JobId,
        state: JobState,
        reason: String,
        at: Timestamp,
    ) -> Result<Job>;
    /// Stops a running job. Refused when it has ended.
    async fn stop_job(&self, id: JobId, audit: AuditEntry) -> Result<Job>;
    /// Begins to take back what the job decided. Refused while it runs and when that was done.
    async fn undo_job(&self, id: JobId, by: String, audit: AuditEntry) -> Result<Job>;
    /// What the job decided, oldest first.
    async fn job_findings(&self, id: JobId, page: PageAsk) -> Result<Page<FindingId>>;
    /// Takes the job's decisions about these back, unless somebody decided anew since.
    async fn undo_job_step(&self, id: JobId, ids: Vec<FindingId>, audit: AuditEntry)
    -> Result<Job>;
}
