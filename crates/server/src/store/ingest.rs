//! What agents send, and what comes of it.

use async_trait::async_trait;
use model::asset::{Row, SetDigest};
use model::because::Reason;
use model::finding::Finding;
use model::id::{HostId, ScanId};
use model::time::Timestamp;

use super::{
    BlockedRow, Capability, FindingItem, IsolatedRow, LogEvent, Login, Response, ResponseRow,
    Result, ScanItemState,
};

model::words! {
    /// The two queues of an agent.
    Lane {
        Alarm = "alarm",
        Telemetry = "telemetry",
    }
}

/// One thing an agent says, already checked for form.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    Finding { finding: Finding, scan: Option<String> },
    AssetDelta(AssetDelta),
    LogEvent(LogEvent),
    Login(Login),
    ScanProgress(ScanProgress),
    Capabilities(Vec<Capability>),
    Response(ResponseRow),
    Isolated(IsolatedRow),
    Blocked(BlockedRow),
    WhitelistHits(WhitelistHits),
}

/// Alarms an agent did not raise because of an entry of the policy's whitelist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhitelistHits {
    pub entry: String,
    pub hits: u64,
    pub at: Timestamp,
}

/// A change of one asset table of one host.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetDelta {
    pub kind: String,
    /// `None`: the agent cannot say, so there is nothing to compare.
    pub digest_before: Option<SetDigest>,
    pub digest_after: Option<SetDigest>,
    pub upserts: Vec<(String, Row)>,
    pub removes: Vec<String>,
    pub observed_at: Timestamp,
    /// The upserts are all rows whose key is in `range_from..range_to`, byte order; rows of the
    /// store in that range that are not named are gone. A large table comes as adjoining ranges
    /// of which only the last has digests.
    pub full: bool,
    /// Empty: from the first key.
    pub range_from: String,
    /// Empty: to the last key.
    pub range_to: String,
    pub skipped: Vec<String>,
    pub scan: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanProgress {
    /// The id of the task, or a name the agent made up for a scan of its own.
    pub scan: String,
    pub items: Vec<ScanItemProgress>,
    pub finished: bool,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ScanItemProgress {
    pub item: String,
    pub state: ScanItemState,
    pub rows: u64,
    pub findings: u64,
    pub reason: String,
    pub why: Option<Reason>,
}

/// Records of one lane of one host. Numbers ascend; a number may be missing when its record
/// was refused before it came here or lost by the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct IngestBatch {
    pub host: HostId,
    pub lane: Lane,
    pub epoch: u64,
    pub records: Vec<(u64, Record)>,
    /// The last number of the batch, acknowledged when all of it is committed.
    pub last_seq: u64,
    pub received_at: Timestamp,
}

/// Everything up to and including `seq` of this lane and epoch is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LanePosition {
    pub lane: Lane,
    pub epoch: u64,
    pub seq: u64,
}

/// What a batch did, once it is durable.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    pub position: LanePosition,
    /// Records that were new; replayed ones are not.
    pub records: u64,
    /// Findings that began, changed or ended, as they now stand; one entry each.
    pub findings: Vec<FindingItem>,
    /// Tables that differ from the agent's and must be sent whole.
    pub resync: Vec<String>,
    /// Asset kinds whose rows changed.
    pub assets: Vec<String>,
    pub scans: Vec<ScanChange>,
    /// The protection or the capabilities of the host changed.
    pub host_changed: bool,
    /// Responses, isolated files or blocked addresses changed.
    pub responses_changed: bool,
    /// What the server asks of the agent because of what it said.
    pub orders: Vec<Response>,
    /// Addresses the agent has begun to refuse by itself.
    pub blocked: Vec<BlockedRow>,
    /// Records that could not be stored, one sentence each.
    pub refused: Vec<String>,
}

/// Progress of a scan as it now stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanChange {
    pub id: ScanId,
    pub items: Vec<ScanItemProgress>,
    pub finished: bool,
}

/// Most categories the store tells apart; findings of further ones are refused.
pub const CATEGORIES_MAX: usize = 512;
/// Times an agent gives are brought within this many days before the server's clock, and
/// never after it.
pub const CLOCK_PAST_DAYS_MAX: i64 = 366;

#[async_trait]
pub trait IngestStore {
    /// Stores what is new in `batch` and returns when it is durable. Batches of many callers
    /// share one transaction. A replayed batch changes nothing and is acknowledged again.
    ///
    /// Fails with [`super::StoreError::NotFound`] for a host that is not enrolled.
    async fn commit(&self, batch: IngestBatch) -> Result<Committed>;
    /// Where each lane of `host` stands, newest epoch of each lane first.
    async fn lane_positions(&self, host: HostId) -> Result<Vec<LanePosition>>;
}
