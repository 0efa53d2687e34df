//! Hosts, their groups, what they can see and how they are doing.

use async_trait::async_trait;
use model::because::Reason;
use model::finding::{FindingKind, Severity, Text};
use model::id::{GroupId, HostId};
use model::time::Timestamp;

use super::{AuditEntry, Page, PageAsk, Result};

model::words! {
    /// How much a host matters; weighs in the score.
    Importance {
        Important = "important",
        General = "general",
        Test = "test",
    }
}

model::words! {
    /// Whether the agent of a host holds a stream to this server.
    Connection {
        Online = "online",
        Offline = "offline",
        /// Enrolled, but its agent has not been heard yet.
        Never = "never",
    }
}

model::words! {
    /// What the agent of a host is able to see, as it last said.
    Protection {
        Protected = "protected",
        /// Some sensor is degraded or missing.
        Degraded = "degraded",
        /// Never connected, revoked, or no sensor is active.
        Unprotected = "unprotected",
    }
}

model::words! {
    /// State of one row of the sensor capability matrix.
    CapabilityState {
        Active = "active",
        Degraded = "degraded",
        Missing = "missing",
        /// It could run, and the policy does not want it: no blind spot.
        Off = "off",
    }
}

impl CapabilityState {
    /// Something that was wanted is not seen, or not whole.
    pub fn is_blind(self) -> bool {
        matches!(self, Self::Degraded | Self::Missing)
    }
}

/// One row of the sensor capability matrix.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capability {
    /// Stable id: `process_events`, `journal`, ...
    pub id: String,
    pub state: CapabilityState,
    /// Why it is not active, one sentence of the agent.
    pub reason: String,
    /// The same for readers of other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Reason>,
}

/// What a host says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostFacts {
    pub name: String,
    pub addresses: Vec<String>,
    pub os_id: String,
    pub os_name: String,
    pub os_version: String,
    pub kernel: String,
    pub arch: String,
    pub cpus: u32,
    pub memory_bytes: u64,
    pub booted_at: Option<Timestamp>,
    pub agent_version: String,
}

/// Findings that await a decision, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct KindCounts {
    pub asset_risk: u64,
    pub vulnerability: u64,
    pub unsafe_setting: u64,
    pub alarm: u64,
}

impl KindCounts {
    pub const fn get(&self, kind: FindingKind) -> u64 {
        match kind {
            FindingKind::AssetRisk => self.asset_risk,
            FindingKind::Vulnerability => self.vulnerability,
            FindingKind::UnsafeSetting => self.unsafe_setting,
            FindingKind::Alarm => self.alarm,
        }
    }

    pub const fn of(&mut self, kind: FindingKind) -> &mut u64 {
        match kind {
            FindingKind::AssetRisk => &mut self.asset_risk,
            FindingKind::Vulnerability => &mut self.vulnerability,
            FindingKind::UnsafeSetting => &mut self.unsafe_setting,
            FindingKind::Alarm => &mut self.alarm,
        }
    }
}

/// What one open finding adds to the risk of its host and to the deductions of the score,
/// in tenths of a point: critical 10, high 3, medium 1, low 0.1.
pub const fn risk_tenths(severity: Severity) -> u64 {
    match severity {
        Severity::Critical => 100,
        Severity::High => 30,
        Severity::Medium => 10,
        Severity::Low => 1,
    }
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Group {
    pub id: GroupId,
    pub name: String,
    pub hosts: u64,
    /// The group that takes what has no other; cannot be deleted.
    pub is_default: bool,
}

/// Id and name, as other lists show a host.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HostRef {
    pub id: HostId,
    pub name: String,
}

/// A row of the server list.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub id: HostId,
    pub facts: HostFacts,
    pub group: (GroupId, String),
    pub importance: Importance,
    pub remark: String,
    pub connection: Connection,
    pub protection: Protection,
    pub capabilities: Vec<Capability>,
    pub counts: KindCounts,
    pub risk_tenths: u64,
    pub enrolled_at: Timestamp,
    pub last_seen_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub usage: Usage,
}

impl Host {
    /// Why the protection is what it is, for people.
    pub fn protection_reasons(&self) -> Vec<Text> {
        let mut reasons = Vec::new();
        if self.revoked_at.is_some() {
            reasons.push(text("the host was revoked", "服务器已被吊销"));
        }
        match self.connection {
            Connection::Online => {}
            Connection::Offline => reasons.push(text(
                "the agent is offline; what it saw last is shown",
                "代理离线，显示的是最后一次上报的状态",
            )),
            Connection::Never => {
                reasons.push(text("the agent has not connected yet", "代理尚未连接"));
            }
        }
        for it in &self.capabilities {
            let (en, zh) = match it.state {
                CapabilityState::Active | CapabilityState::Off => continue,
                CapabilityState::Degraded => ("degraded", "能力受限"),
                CapabilityState::Missing => ("missing", "缺失"),
            };
            reasons.push(Text {
                en: format!("{}: {en}, {}", it.id, it.reason),
                zh: format!("{}：{zh}，{}", it.id, it.reason),
            });
        }
        reasons
    }
}

fn text(en: &str, zh: &str) -> Text {
    Text { en: en.to_owned(), zh: zh.to_owned() }
}

/// The protection that follows from what a host last said.
pub fn protection_of(
    connection: Connection,
    revoked: bool,
    capabilities: &[Capability],
) -> Protection {
    let active = capabilities.iter().any(|it| it.state == CapabilityState::Active);
    let lacking = capabilities.iter().any(|it| it.state.is_blind());
    match connection {
        _ if revoked || !active => Protection::Unprotected,
        Connection::Never => Protection::Unprotected,
        Connection::Online | Connection::Offline if lacking => Protection::Degraded,
        Connection::Online | Connection::Offline => Protection::Protected,
    }
}

/// What the agent costs and loses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub resident_bytes: u64,
    /// Share of one core between the last two heartbeats.
    pub cpu_ratio: f64,
    pub telemetry_dropped: u64,
    pub spool_bytes: u64,
}

/// One host with what only its own page shows.
#[derive(Clone, Debug, PartialEq)]
pub struct HostDetail {
    pub host: Host,
    /// Unhandled findings by kind, category and severity; only what is not zero.
    pub open: Vec<OpenCount>,
    /// Rows per asset kind.
    pub asset_counts: Vec<(String, u64)>,
    /// Findings per day and kind, the last 30 days, oldest first; days without any are absent.
    pub days: Vec<HostDay>,
    pub certificate_expires_at: Option<Timestamp>,
    /// What each function of the agent has used since the agent started.
    pub costs: Vec<FeatureCost>,
}

/// What one function of an agent has used since the agent started.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FeatureCost {
    /// As the id of a capability.
    pub id: String,
    pub cpu_us: u64,
    pub events: u64,
    pub lost: u64,
}

/// Most functions one heartbeat tells of.
pub const COSTS_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDay {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    pub kind: FindingKind,
    pub total: u64,
    pub handled: u64,
}

/// How many findings of one category and severity await a decision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct OpenCount {
    pub kind: FindingKind,
    pub category: String,
    pub severity: Severity,
    pub count: u64,
}

model::words! {
    HostSort {
        Name = "name",
        Risk = "risk",
        LastSeen = "last_seen",
    }
}

model::words! {
    Order {
        Ascending = "asc",
        Descending = "desc",
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Part of a name, an address or the operating system; case does not matter.
    pub text: Option<String>,
    pub group: Option<GroupId>,
    pub connection: Option<Connection>,
    pub protection: Option<Protection>,
    /// Only hosts with an unhandled finding of at least this severity.
    pub risk: Option<Severity>,
}

/// Absent parts stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPatch {
    pub group: Option<GroupId>,
    pub importance: Option<Importance>,
    pub remark: Option<String>,
}

/// What the server must know of a host before it speaks to its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostIdentity {
    pub id: HostId,
    pub name: String,
    pub revoked_at: Option<Timestamp>,
    pub installation_id: Vec<u8>,
    pub machine_digest: Vec<u8>,
    pub certificate_serial: Vec<u8>,
    pub certificate_expires_at: Option<Timestamp>,
}

/// One heartbeat, kept by the link and flushed with many others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRow {
    pub host: HostId,
    /// When the server received it.
    pub at: Timestamp,
    pub resident_bytes: u64,
    /// CPU time the agent has used since it started.
    pub cpu_us: u64,
    pub telemetry_dropped: u64,
    pub spool_bytes: u64,
    pub costs: Vec<FeatureCost>,
}

/// First frame of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct HelloRow {
    pub host: HostId,
    pub at: Timestamp,
    pub facts: HostFacts,
    pub specs: Vec<model::asset::TableSpec>,
    pub capabilities: Vec<Capability>,
}

/// How a log-in looked to the agent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Login {
    pub at: Timestamp,
    pub service: String,
    pub user: String,
    pub address: String,
    pub country: String,
    pub method: String,
    pub key_fingerprint: String,
}

/// A log line an agent sent because it took part in a decision.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogEvent {
    pub at: Timestamp,
    pub source: String,
    pub text: String,
}

/// The group that always exists: hosts are in it unless somebody says otherwise.
pub const DEFAULT_GROUP: &str = "default";

#[async_trait]
pub trait HostStore {
    async fn hosts(
        &self,
        filter: HostFilter,
        sort: HostSort,
        order: Order,
        page: PageAsk,
    ) -> Result<Page<Host>>;
    async fn host(&self, id: HostId, now: Timestamp) -> Result<HostDetail>;
    async fn patch_host(&self, id: HostId, patch: HostPatch, audit: AuditEntry) -> Result<Host>;
    /// Refuses the host from now on; its history stays.
    async fn revoke_host(&self, id: HostId, audit: AuditEntry) -> Result<()>;
    /// Revokes and forgets: findings, assets and counters go with it.
    async fn delete_host(&self, id: HostId, audit: AuditEntry) -> Result<()>;

    async fn groups(&self) -> Result<Vec<Group>>;
    /// Names are unique; a taken one is a [`super::StoreError::Conflict`].
    async fn create_group(&self, name: String, audit: AuditEntry) -> Result<Group>;
    /// Its hosts move to the default group.
    async fn delete_group(&self, id: GroupId, audit: AuditEntry) -> Result<()>;

    /// `None` for a host that was never enrolled or has been deleted.
    async fn host_identity(&self, id: HostId) -> Result<Option<HostIdentity>>;
    /// The certificate the host holds from now on.
    async fn record_certificate(
        &self,
        id: HostId,
        serial: Vec<u8>,
        expires_at: Timestamp,
    ) -> Result<()>;
    /// Facts, table specifications and capabilities; marks the host online. Returns the host
    /// as lists show it, for the live feed.
    async fn hello(&self, hello: HelloRow) -> Result<Host>;
    /// The stream of a host ended.
    async fn set_offline(&self, id: HostId, at: Timestamp) -> Result<Host>;
    /// No stream outlives the server: called once when it starts.
    async fn set_all_offline(&self) -> Result<()>;
    /// Unknown hosts are skipped.
    async fn heartbeats(&self, rows: Vec<HeartbeatRow>) -> Result<()>;

    /// Newest first.
    async fn logins(&self, host: HostId, page: PageAsk) -> Result<Page<Login>>;
    /// Newest first.
    async fn log_events(&self, host: HostId, page: PageAsk) -> Result<Page<LogEvent>>;
}
