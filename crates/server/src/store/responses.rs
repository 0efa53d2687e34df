//! What agents do about attacks: what they were asked, what came of it, the files they took
//! away and the addresses they refuse.

use async_trait::async_trait;
use model::because::{Because, Reason};
use model::finding::Text;
use model::id::{BlockedId, FindingId, GroupId, HostId, IsolatedId, ResponseId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AuditEntry, FindingItem, HostRef, Page, PageAsk, Result};

/// Most steps a report may have.
pub const STEPS_MAX: usize = 256;
/// Most responses one request begins.
pub const ORDERS_MAX: usize = 10_000;
/// Most open responses an agent is told of when it connects; the rest waits for the next time.
pub const PENDING_MAX: usize = 1000;

model::words! {
    ResponseAction {
        Isolate = "isolate",
        Restore = "restore",
        Discard = "discard",
        Block = "block",
        Unblock = "unblock",
    }
}

model::words! {
    ResponseState {
        /// The agent has not been told yet: it is away.
        Waiting = "waiting",
        /// The agent was told and has not said what came of it.
        Sent = "sent",
        Done = "done",
        /// Some steps were not possible.
        Partial = "partial",
        Failed = "failed",
        /// The agent would not, or could not understand.
        Refused = "refused",
        /// The agent did not come back in time.
        Expired = "expired",
        /// A person took it back before the agent answered.
        Cancelled = "cancelled",
        /// The agent took back by itself what it had done by itself.
        Undone = "undone",
    }
}

impl ResponseState {
    /// Whether an answer is still to come.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Waiting | Self::Sent => true,
            Self::Done
            | Self::Partial
            | Self::Failed
            | Self::Refused
            | Self::Expired
            | Self::Cancelled
            | Self::Undone => false,
        }
    }

    /// Whether it ended without anything having been done.
    pub const fn came_to_nothing(self) -> bool {
        matches!(self, Self::Failed | Self::Refused | Self::Expired)
    }
}

/// A process by what names it for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedProcess {
    pub pid: u32,
    pub started_ns: u64,
    pub tree: bool,
}

/// A file and the content it must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedFile {
    pub path: String,
    pub sha256: String,
}

/// What an agent is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ResponseOrder {
    Isolate {
        processes: Vec<OrderedProcess>,
        files: Vec<OrderedFile>,
        refuse_content: bool,
    },
    /// `name` is what the agent calls the file.
    Restore {
        isolated: IsolatedId,
        name: String,
        path: String,
    },
    Discard {
        isolated: IsolatedId,
        name: String,
        path: String,
    },
    Block {
        addresses: Vec<String>,
        until: Timestamp,
        reason: String,
    },
    Unblock {
        addresses: Vec<String>,
    },
}

impl ResponseOrder {
    pub const fn action(&self) -> ResponseAction {
        match self {
            Self::Isolate { .. } => ResponseAction::Isolate,
            Self::Restore { .. } => ResponseAction::Restore,
            Self::Discard { .. } => ResponseAction::Discard,
            Self::Block { .. } => ResponseAction::Block,
            Self::Unblock { .. } => ResponseAction::Unblock,
        }
    }

    /// What it is about, for people.
    pub fn subject(&self) -> String {
        match self {
            Self::Isolate { processes, files, .. } if files.is_empty() => {
                let named: Vec<_> = processes.iter().map(|it| it.pid.to_string()).collect();
                format!("pid {}", named.join(", "))
            }
            Self::Isolate { files, .. } => {
                let named: Vec<_> = files.iter().map(|it| it.path.as_str()).collect();
                named.join(", ")
            }
            Self::Restore { path, .. } | Self::Discard { path, .. } => path.clone(),
            Self::Block { addresses, .. } | Self::Unblock { addresses } => addresses.join(", "),
        }
    }
}

/// Something to ask of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewResponse {
    pub host: HostId,
    /// The alarm it answers.
    pub finding: Option<FindingId>,
    pub order: ResponseOrder,
    /// An agent that comes back later is not asked any more.
    pub expires_at: Timestamp,
}

/// One step of what an agent did or could not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseStep {
    pub sentence: Text,
    pub done: bool,
    /// Why not.
    pub reason: String,
    /// The same for readers of other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Reason>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub id: ResponseId,
    pub host: HostRef,
    pub action: ResponseAction,
    pub state: ResponseState,
    pub finding: Option<FindingId>,
    pub subject: String,
    /// `None`: the agent acted by itself.
    pub order: Option<ResponseOrder>,
    /// Name of the person; empty when the agent acted by itself.
    pub by: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// Why it was refused or failed.
    pub reason: String,
    /// The same for readers of other languages.
    pub why: Option<Reason>,
    pub steps: Vec<ResponseStep>,
}

/// Absent parts match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseFilter {
    pub host: Option<HostId>,
    pub finding: Option<FindingId>,
    pub action: Option<ResponseAction>,
    pub state: Option<ResponseState>,
}

model::words! {
    IsolatedState {
        Isolated = "isolated",
        Restored = "restored",
        Discarded = "discarded",
    }
}

/// What an agent says of a file in its vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolatedRow {
    pub name: String,
    pub state: IsolatedState,
    pub path: String,
    pub sha256: String,
    pub size_bytes: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub user: String,
    /// Id or fingerprint of the finding, as the agent gives it.
    pub finding: String,
    pub reason: String,
    pub automatic: bool,
    pub refused: bool,
    pub isolated_at: Timestamp,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IsolatedFile {
    pub id: IsolatedId,
    pub host: HostRef,
    pub name: String,
    pub state: IsolatedState,
    pub path: String,
    pub sha256: String,
    pub size_bytes: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub user: String,
    pub finding: Option<FindingId>,
    pub reason: String,
    pub automatic: bool,
    /// Its content may not run on the host.
    pub refused: bool,
    pub isolated_at: Timestamp,
    pub changed_at: Timestamp,
    pub by: String,
    /// What is under way with it.
    pub pending: Option<Pending>,
}

/// A response that has been asked for and not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub response: ResponseId,
    pub action: ResponseAction,
    pub state: ResponseState,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IsolatedDetail {
    pub file: IsolatedFile,
    /// Oldest first.
    pub history: Vec<IsolatedChange>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolatedChange {
    pub at: Timestamp,
    /// Empty when the agent acted by itself.
    pub by: String,
    pub state: IsolatedState,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IsolatedFilter {
    pub host: Option<HostId>,
    pub state: Option<IsolatedState>,
    /// The whole digest, lower case hexadecimal.
    pub sha256: Option<String>,
    /// Part of the path.
    pub text: Option<String>,
}

model::words! {
    BlockedState {
        Active = "active",
        Expired = "expired",
        Removed = "removed",
    }
}

/// What an agent says of an address it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedRow {
    pub address: String,
    pub state: BlockedState,
    pub since: Timestamp,
    pub until: Timestamp,
    /// Id or fingerprint of the finding, as the agent gives it.
    pub finding: String,
    pub reason: String,
    pub automatic: bool,
    pub packets: u64,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BlockedAddress {
    pub id: BlockedId,
    pub host: HostRef,
    pub address: String,
    pub state: BlockedState,
    pub since_at: Timestamp,
    pub until_at: Timestamp,
    pub finding: Option<FindingId>,
    pub reason: String,
    pub automatic: bool,
    /// Packets refused so far.
    pub packets: u64,
    pub changed_at: Timestamp,
    pub by: String,
    pub pending: Option<Pending>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockedFilter {
    pub host: Option<HostId>,
    pub group: Option<GroupId>,
    pub state: Option<BlockedState>,
    /// The whole address or block.
    pub address: Option<String>,
}

/// What an agent reports of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseRow {
    /// `None`: it acted by itself.
    pub response: Option<ResponseId>,
    /// Id or fingerprint of the finding, as the agent gives it.
    pub finding: String,
    pub action: ResponseAction,
    /// `None`: nothing was done, the steps are a plan.
    pub state: Option<ResponseState>,
    pub steps: Vec<ResponseStep>,
    pub at: Timestamp,
}

/// What takes back what was done about a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reversal {
    /// Responses nobody has answered yet.
    pub cancel: Vec<ResponseId>,
    pub orders: Vec<ResponseOrder>,
}

/// What a person takes back who takes back a decision: open responses are cancelled, files go
/// back, addresses are let in again. A block that was sent and not answered is both cancelled
/// and lifted, because the agent carries out what it is told in order.
pub fn reversal(responses: &[Response], files: &[IsolatedFile]) -> Reversal {
    let mut out = Reversal::default();
    let mut addresses: Vec<String> = Vec::new();
    for it in responses {
        if it.state.is_open() {
            out.cancel.push(it.id);
        }
        let may_have_acted =
            !matches!(it.state, ResponseState::Waiting) && !it.state.came_to_nothing();
        if let Some(ResponseOrder::Block { addresses: blocked, .. }) = &it.order
            && may_have_acted
        {
            let new = blocked.iter().filter(|it| !addresses.contains(it));
            let new: Vec<_> = new.cloned().collect();
            addresses.extend(new);
        }
    }
    let held =
        files.iter().filter(|it| it.state == IsolatedState::Isolated && it.pending.is_none());
    out.orders.extend(held.map(|it| ResponseOrder::Restore {
        isolated: it.id,
        name: it.name.clone(),
        path: it.path.clone(),
    }));
    if !addresses.is_empty() {
        out.orders.push(ResponseOrder::Unblock { addresses });
    }
    out
}

#[async_trait]
pub trait ResponseStore {
    /// Newest first.
    async fn responses(&self, filter: ResponseFilter, page: PageAsk) -> Result<Page<Response>>;
    async fn response(&self, id: ResponseId) -> Result<Response>;
    /// What `host` has not answered yet, oldest first, at most [`PENDING_MAX`].
    async fn pending_responses(&self, host: HostId) -> Result<Vec<Response>>;
    /// Asks for at most [`ORDERS_MAX`] things at once. A file or address with a response under
    /// way is a [`super::StoreError::Conflict`].
    async fn ask_responses(
        &self,
        new: Vec<NewResponse>,
        by: String,
        audit: AuditEntry,
    ) -> Result<Vec<Response>>;
    /// They were handed to their agents.
    async fn responses_sent(&self, ids: Vec<ResponseId>) -> Result<()>;
    /// The agent of `host` will not. Returns the finding that waits for a decision again.
    async fn refuse_response(
        &self,
        host: HostId,
        id: ResponseId,
        why: Because,
        at: Timestamp,
    ) -> Result<Option<FindingItem>>;
    /// Takes back what nobody has answered yet; the finding waits for a decision again.
    async fn cancel_response(&self, id: ResponseId, audit: AuditEntry) -> Result<Response>;
    /// Ends blocks and responses whose time is over, a bounded number at once. Returns the
    /// findings that wait for a decision again.
    async fn expire_responses(&self, now: Timestamp) -> Result<Vec<FindingItem>>;

    /// Newest first.
    async fn isolated_files(
        &self,
        filter: IsolatedFilter,
        page: PageAsk,
    ) -> Result<Page<IsolatedFile>>;
    async fn isolated_file(&self, id: IsolatedId) -> Result<IsolatedDetail>;
    /// Newest first.
    async fn blocked_addresses(
        &self,
        filter: BlockedFilter,
        page: PageAsk,
    ) -> Result<Page<BlockedAddress>>;
    async fn blocked_address(&self, id: BlockedId) -> Result<BlockedAddress>;
    /// Addresses of everybody who is signed in.
    async fn signed_in_addresses(&self, now: Timestamp) -> Result<Vec<String>>;
    /// Hosts of a group, at most `most`.
    async fn members(&self, group: GroupId, most: usize) -> Result<Vec<HostId>>;
    /// The groups of hosts; unknown hosts are left out.
    async fn groups_of(&self, hosts: Vec<HostId>) -> Result<Vec<(HostId, GroupId)>>;
}
