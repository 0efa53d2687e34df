//! What nobody wants to hear of: facts about the entries of the policy's whitelists.

use async_trait::async_trait;
use model::id::FindingId;
use model::policy::{AlarmWhitelistEntry, LoginWhitelistEntry, Policy};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FindingItem, Result};

/// Removed entries that are remembered, so that they can be put back.
pub const REMOVED_MAX: usize = 1000;
/// Findings a dry run looks at.
pub const DRY_RUN_LOOKED_AT_MAX: usize = 20_000;
/// Findings a dry run names.
pub const DRY_RUN_NAMED_MAX: usize = 50;

/// An entry as the policy holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WhitelistEntry {
    Alarm(AlarmWhitelistEntry),
    Login(LoginWhitelistEntry),
}

model::words! {
    WhitelistKind {
        Alarm = "alarm",
        Login = "login",
    }
}

impl WhitelistEntry {
    pub const fn kind(&self) -> WhitelistKind {
        match self {
            Self::Alarm(_) => WhitelistKind::Alarm,
            Self::Login(_) => WhitelistKind::Login,
        }
    }

    /// Names the entry for ever. An entry for log-ins is named by what it says.
    pub fn id(&self) -> String {
        match self {
            Self::Alarm(it) => it.id.clone(),
            Self::Login(it) => it.id(),
        }
    }

    pub const fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Alarm(it) => it.expires_at,
            Self::Login(_) => None,
        }
    }
}

/// Every entry of `policy`.
pub fn whitelist_entries(policy: &Policy) -> impl Iterator<Item = WhitelistEntry> {
    let alarms = policy.detect.whitelist.iter().cloned().map(WhitelistEntry::Alarm);
    alarms.chain(policy.login.whitelist.iter().cloned().map(WhitelistEntry::Login))
}

/// What somebody says about an entry they add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhitelistNote {
    pub id: String,
    pub owner: String,
    pub remark: String,
    /// The alarm that was the reason.
    pub finding: Option<FindingId>,
}

/// An entry and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct WhitelistItem {
    pub id: String,
    pub entry: WhitelistEntry,
    pub owner: String,
    pub remark: String,
    pub created_at: Timestamp,
    pub finding: Option<FindingId>,
    pub removed_at: Option<Timestamp>,
    pub removed_by: String,
    /// Alarms that were not raised, or log-in attempts that were not judged, because of it, as
    /// far as agents and server told.
    pub hits: u64,
    pub last_hit_at: Option<Timestamp>,
}

/// What an entry would have silenced.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRun {
    /// Alarms that were looked at, newest first.
    pub looked_at: u64,
    /// All alarms of the span were looked at.
    pub complete: bool,
    pub silenced: u64,
    pub hosts: u64,
    /// The newest of them, at most [`DRY_RUN_NAMED_MAX`].
    pub findings: Vec<FindingItem>,
}

/// How often a rule found something, by the day of the first occurrence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleStat {
    pub rule: String,
    pub found_7d: u64,
    pub found_30d: u64,
    /// Of those of 30 days, how many a person ignored or whitelisted.
    pub dismissed_30d: u64,
}

/// Roll-ups of rules are kept this long.
pub const RULE_DAYS_MAX: i64 = 400;

#[async_trait]
pub trait WhitelistStore {
    /// Entries in force, newest first, then at most [`REMOVED_MAX`] removed ones.
    async fn whitelist(&self) -> Result<Vec<WhitelistItem>>;
    async fn whitelist_item(&self, id: String) -> Result<WhitelistItem>;
    /// What `entry` would have kept quiet since `since`; its expiry does not count.
    async fn dry_run(&self, entry: AlarmWhitelistEntry, since: Timestamp) -> Result<DryRun>;
    /// Rules with at least one finding in the last 30 days.
    async fn rule_stats(&self, now: Timestamp) -> Result<Vec<RuleStat>>;
}
