//! Findings: lists, detail, and the one place that decides what becomes of them.

use async_trait::async_trait;
use model::because;
use model::because::{Because, Reason};
use model::finding::{Evidence, FindingKind, HandleAction, Severity, Status, Text};
use model::id::{DecisionId, FindingId, GroupId, HostId};
use model::policy::Policy;
use model::time::Timestamp;
use serde_json::{Map, Value};

use super::{
    AuditEntry, HostRef, NewResponse, OpenCount, Page, PageAsk, Response, Result, Total,
    WhitelistNote,
};

/// A row of the Events page and of the live feed.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingItem {
    pub id: FindingId,
    pub host: HostRef,
    pub kind: FindingKind,
    pub rule: String,
    pub category: String,
    pub severity: Severity,
    pub subject: String,
    pub sentence: Text,
    pub status: Status,
    /// Occurrences merged into this row.
    pub count: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub handling: Option<Handling>,
    /// Groups alarms of one process tree or session; empty: stands alone.
    pub incident: String,
    /// How sure the rule is, 1 to 100; 0: it does not say.
    pub confidence: u32,
}

/// Who decided what about a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handling {
    pub action: HandleAction,
    pub by: String,
    pub at: Timestamp,
    pub remark: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FindingDetail {
    pub item: FindingItem,
    pub params: Map<String, Value>,
    pub evidence: Vec<Evidence>,
    /// Oldest first.
    pub history: Vec<HistoryEntry>,
    /// Newest others of the same rule, at most [`SIMILAR_MAX`].
    pub similar: Vec<FindingItem>,
    /// Others of the same incident, oldest first, at most [`RELATED_MAX`].
    pub related: Vec<FindingItem>,
}

/// Most similar findings shown beside one.
pub const SIMILAR_MAX: usize = 5;
/// Most findings of an incident shown beside one of them.
pub const RELATED_MAX: usize = 100;
/// Most findings one request handles.
pub const HANDLE_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    pub at: Timestamp,
    /// Name of the person; empty when the host itself changed it.
    pub by: String,
    pub change: StatusChange,
    pub remark: String,
    /// The remark for readers of other languages, where an agent gave it.
    pub why: Option<Reason>,
}

model::words! {
    /// What a line of a finding's history says.
    StatusChange {
        Ignored = "ignore",
        MarkedHandled = "mark_handled",
        LoginWhitelisted = "login_whitelist",
        IsolatedAndKilled = "isolate_and_kill",
        AlarmWhitelisted = "alarm_whitelist",
        AddressBlocked = "block_ip",
        Undone = "undo",
        /// The agent could not do what was decided: it waits for a decision again.
        ResponseFailed = "response_failed",
        Resolved = "resolved",
    }
}

impl From<HandleAction> for StatusChange {
    fn from(action: HandleAction) -> Self {
        match action {
            HandleAction::Ignore => Self::Ignored,
            HandleAction::MarkHandled => Self::MarkedHandled,
            HandleAction::LoginWhitelist => Self::LoginWhitelisted,
            HandleAction::IsolateAndKill => Self::IsolatedAndKilled,
            HandleAction::AlarmWhitelist => Self::AlarmWhitelisted,
            HandleAction::BlockIp => Self::AddressBlocked,
        }
    }
}

/// Absent parts match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingFilter {
    pub kind: Option<FindingKind>,
    pub category: Option<String>,
    pub severity: Option<Severity>,
    pub status: Option<Status>,
    pub host: Option<HostId>,
    pub group: Option<GroupId>,
    /// Words that stand in the subject or the parameters: addresses, users, paths. The last
    /// one may be the beginning of a word where no word is exactly it.
    pub text: Option<String>,
    /// Any of these rules.
    pub rules: Option<Vec<String>>,
    /// The whole subject.
    pub subject: Option<String>,
    /// Findings of this incident.
    pub incident: Option<String>,
    /// Bounds of the last occurrence: `since <= last_at < until`.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// Where one finding stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub status: Status,
    /// New occurrences of the same subject are merged into this row.
    pub absorbs: bool,
}

/// What can happen to a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    /// It occurred again.
    Seen,
    /// The agent says the condition went away.
    Gone,
    /// A person decided.
    Handle,
    /// A person took the decision back.
    Undo,
}

/// Why a life event does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifeError {
    #[error("it is handled already")]
    HandledAlready,
    #[error("the condition went away by itself")]
    Resolved,
    #[error("there is no decision to take back")]
    NotHandled,
    #[error("a newer finding of the same subject is open")]
    Superseded,
}

impl LifeError {
    pub fn because(self) -> Because {
        match self {
            Self::HandledAlready => because!("finding.handled", "it is handled already"),
            Self::Resolved => because!("finding.resolved", "the condition went away by itself"),
            Self::NotHandled => because!("finding.open", "there is no decision to take back"),
            Self::Superseded => {
                because!("finding.superseded", "a newer finding of the same subject is open")
            }
        }
    }
}

impl Life {
    pub const NEW: Self = Self { status: Status::Unhandled, absorbs: true };

    /// Every transition of every finding. `None`: the event begins a new finding instead.
    ///
    /// An alarm is something that happened: once handled, the next occurrence is a new alarm.
    /// The other kinds are conditions: a handled one stays handled while it lasts, and only
    /// when it has gone does its return count as new.
    pub fn after(self, kind: FindingKind, event: LifeEvent) -> Result<Option<Self>, LifeError> {
        let is_condition = match kind {
            FindingKind::AssetRisk | FindingKind::Vulnerability | FindingKind::UnsafeSetting => {
                true
            }
            FindingKind::Alarm => false,
        };
        let life = |status, absorbs| Ok(Some(Self { status, absorbs }));
        match (self.status, event) {
            (Status::Unhandled, LifeEvent::Seen) => Ok(Some(self)),
            (Status::Unhandled, LifeEvent::Gone) => life(Status::Resolved, false),
            (Status::Unhandled, LifeEvent::Handle) => life(Status::Handled, is_condition),
            (Status::Unhandled, LifeEvent::Undo) => Err(LifeError::NotHandled),
            (Status::Handled, LifeEvent::Seen) => Ok(self.absorbs.then_some(self)),
            (Status::Handled, LifeEvent::Gone) => life(Status::Handled, false),
            (Status::Handled, LifeEvent::Handle) => Err(LifeError::HandledAlready),
            (Status::Handled, LifeEvent::Undo) if is_condition && !self.absorbs => {
                life(Status::Resolved, false)
            }
            (Status::Handled, LifeEvent::Undo) => life(Status::Unhandled, true),
            (Status::Resolved, LifeEvent::Seen) => Ok(None),
            (Status::Resolved, LifeEvent::Gone) => Ok(Some(self)),
            (Status::Resolved, LifeEvent::Handle) => Err(LifeError::Resolved),
            (Status::Resolved, LifeEvent::Undo) => Err(LifeError::NotHandled),
        }
    }
}

/// A decision about several findings.
#[derive(Clone, Debug, PartialEq)]
pub struct HandleAsk {
    /// At most [`HANDLE_MAX`]; an unknown one fails the whole request.
    pub ids: Vec<FindingId>,
    pub action: HandleAction,
    /// Name of the person.
    pub by: String,
    pub remark: String,
    /// Replaces the policy in the same transaction, for actions that change it.
    pub policy: Option<Policy>,
    /// About the whitelist entries that `policy` adds.
    pub notes: Vec<WhitelistNote>,
    /// Asked of agents in the same transaction; those about a finding that is left as it was
    /// are not.
    pub orders: Vec<NewResponse>,
}

/// What a request did.
#[derive(Clone, Debug, PartialEq)]
pub struct HandleDone {
    pub items: Vec<Handled>,
    /// What was asked of agents.
    pub responses: Vec<Response>,
}

/// What a person decided about a finding, whenever it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub id: DecisionId,
    pub at: Timestamp,
    pub by: String,
    pub change: StatusChange,
    pub remark: String,
    pub finding: FindingItem,
    /// It is the last word about the finding and can be taken back.
    pub undo: bool,
}

/// Absent parts match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// The whole name.
    pub by: Option<String>,
    pub change: Option<StatusChange>,
    pub host: Option<HostId>,
    pub kind: Option<FindingKind>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// What became of one finding of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    pub id: FindingId,
    pub status: Status,
    /// Whether the decision can be taken back.
    pub undo: bool,
    /// Why this one was left as it was.
    pub refused: Option<LifeError>,
}

/// What the counters above a list can follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountFilter {
    pub kind: Option<FindingKind>,
    pub category: Option<String>,
    pub severity: Option<Severity>,
    pub host: Option<HostId>,
    pub group: Option<GroupId>,
}

#[async_trait]
pub trait FindingStore {
    /// Newest last occurrence first; with `text`, newest first occurrence first.
    async fn findings(&self, filter: FindingFilter, page: PageAsk) -> Result<Page<FindingItem>>;
    /// Unhandled findings by kind, category and severity; what is zero is absent.
    async fn open_counts(&self, filter: CountFilter) -> Result<Vec<OpenCount>>;
    /// How many findings `filter` matches, from counters; `None` when none follows it.
    async fn findings_total(&self, filter: FindingFilter) -> Result<Option<Total>>;
    async fn finding(&self, id: FindingId) -> Result<FindingDetail>;
    /// Unknown ids are left out; for `Last-Event-ID` and for plans.
    async fn findings_by_id(&self, ids: Vec<FindingId>) -> Result<Vec<FindingDetail>>;
    async fn handle(&self, ask: HandleAsk, audit: AuditEntry) -> Result<HandleDone>;
    /// Takes decisions back, and with them what agents did about it, see
    /// [`super::reversal`]; `policy` as in [`HandleAsk`].
    async fn unhandle(
        &self,
        ids: Vec<FindingId>,
        by: String,
        policy: Option<Policy>,
        audit: AuditEntry,
    ) -> Result<HandleDone>;
    /// What people decided, newest first.
    async fn decisions(&self, filter: DecisionFilter, page: PageAsk) -> Result<Page<Decision>>;
}
