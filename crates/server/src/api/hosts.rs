//! Servers and what is done with them.

use axum::Json;
use model::because;
use model::because::Reason;
use model::finding::{Severity, Text};
use model::id::{GroupId, HostId, ScanId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::orders;
use super::page::{Page, PlainQuery, list_query};
use super::problem::Problem;
use super::routes::{Accepted, Ask, Done, Nothing};
use crate::auth::permission::{ManageHosts, Read, Scan as MayScan};
use crate::store::{
    self, CapabilityState, Connection, HostFilter, HostPatch, HostSort, Importance, Order,
    Protection,
};

/// A host as other things refer to it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HostRef {
    pub id: HostId,
    #[schema(example = "web-01")]
    pub name: String,
}

impl From<store::HostRef> for HostRef {
    fn from(it: store::HostRef) -> Self {
        Self { id: it.id, name: it.name }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupRef {
    pub id: GroupId,
    #[schema(example = "production")]
    pub name: String,
}

/// Operating system.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Os {
    #[schema(example = "debian")]
    pub id: String,
    #[schema(example = "Debian GNU/Linux 12 (bookworm)")]
    pub name: String,
    #[schema(example = "12")]
    pub version: String,
}

/// One row of the sensor capability matrix.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Capability {
    #[schema(example = "journal")]
    pub id: String,
    pub state: CapabilityState,
    /// Why it is degraded or missing; empty when it is active.
    pub reason: String,
    /// The same by the id of its sentence, for readers of other languages.
    pub why: Option<Reason>,
}

/// Findings that await a decision, by kind.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct KindCounts {
    pub asset_risk: u64,
    pub vulnerability: u64,
    pub unsafe_setting: u64,
    pub alarm: u64,
}

impl From<store::KindCounts> for KindCounts {
    fn from(it: store::KindCounts) -> Self {
        Self {
            asset_risk: it.asset_risk,
            vulnerability: it.vulnerability,
            unsafe_setting: it.unsafe_setting,
            alarm: it.alarm,
        }
    }
}

/// What the agent costs and loses.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Usage {
    pub resident_bytes: u64,
    /// Share of one core between the last two heartbeats.
    #[schema(example = 0.003)]
    pub cpu_ratio: f64,
    pub spool_bytes: u64,
}

/// A row of the server list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Host {
    pub id: HostId,
    #[schema(example = "web-01")]
    pub name: String,
    #[schema(example = json!(["192.0.2.10"]))]
    pub addresses: Vec<String>,
    pub os: Os,
    #[schema(example = "6.1.0-27-amd64")]
    pub kernel: String,
    #[schema(example = "x86_64")]
    pub arch: String,
    pub cpus: u32,
    pub memory_bytes: u64,
    #[schema(example = "0.1.0")]
    pub agent_version: String,
    pub group: GroupRef,
    pub importance: Importance,
    pub remark: String,
    pub connection: Connection,
    pub protection: Protection,
    /// Why the protection is what it is.
    pub protection_reasons: Vec<Text>,
    pub capabilities: Vec<Capability>,
    pub counts: KindCounts,
    /// Sum over open findings: critical 10, high 3, medium 1, low 0.1.
    #[schema(example = 13.1)]
    pub risk: f64,
    pub enrolled_at: Timestamp,
    pub last_seen_at: Option<Timestamp>,
    pub booted_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub usage: Usage,
    /// Telemetry records the agent dropped since its queue was made.
    pub telemetry_dropped: u64,
}

impl From<store::Host> for Host {
    fn from(it: store::Host) -> Self {
        let protection_reasons = it.protection_reasons();
        let capability = |it: store::Capability| Capability {
            id: it.id,
            state: it.state,
            reason: it.reason,
            why: it.why,
        };
        Self {
            id: it.id,
            name: it.facts.name,
            addresses: it.facts.addresses,
            os: Os { id: it.facts.os_id, name: it.facts.os_name, version: it.facts.os_version },
            kernel: it.facts.kernel,
            arch: it.facts.arch,
            cpus: it.facts.cpus,
            memory_bytes: it.facts.memory_bytes,
            agent_version: it.facts.agent_version,
            group: GroupRef { id: it.group.0, name: it.group.1 },
            importance: it.importance,
            remark: it.remark,
            connection: it.connection,
            protection: it.protection,
            protection_reasons,
            capabilities: it.capabilities.into_iter().map(capability).collect(),
            counts: it.counts.into(),
            risk: tenths(it.risk_tenths),
            enrolled_at: it.enrolled_at,
            last_seen_at: it.last_seen_at,
            booted_at: it.facts.booted_at,
            revoked_at: it.revoked_at,
            usage: Usage {
                resident_bytes: it.usage.resident_bytes,
                cpu_ratio: it.usage.cpu_ratio,
                spool_bytes: it.usage.spool_bytes,
            },
            telemetry_dropped: it.usage.telemetry_dropped,
        }
    }
}

/// Tenths of a point as points.
pub(super) fn tenths(value: u64) -> f64 {
    value as f64 / 10.0
}

/// Rows of one asset table of a host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssetCount {
    #[schema(example = "port")]
    pub kind: String,
    pub rows: u64,
}

/// Unhandled findings of one category and severity.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OpenCount {
    pub kind: model::finding::FindingKind,
    #[schema(example = "brute_force")]
    pub category: String,
    pub severity: Severity,
    pub count: u64,
}

impl From<store::OpenCount> for OpenCount {
    fn from(it: store::OpenCount) -> Self {
        Self { kind: it.kind, category: it.category, severity: it.severity, count: it.count }
    }
}

/// One host with what only its own page shows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HostDetail {
    pub host: Host,
    /// Unhandled findings; only what is not zero.
    pub open: Vec<OpenCount>,
    pub asset_counts: Vec<AssetCount>,
    /// The last 30 days, oldest first, every day.
    pub trend: Vec<super::dashboard::DayCounts>,
    pub certificate_expires_at: Option<Timestamp>,
    /// What each function of the agent has used since the agent started; empty for an agent
    /// that does not tell.
    pub costs: Vec<FeatureCost>,
}

/// What one function of an agent has used since the agent started.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeatureCost {
    /// As the id of a capability.
    #[schema(example = "process_events")]
    pub id: String,
    pub cpu_us: u64,
    pub events: u64,
    /// Events it could not take.
    pub lost: u64,
}

list_query! {
    /// Filters and order of the server list.
    HostQuery {
        /// Part of a name, an address or the operating system.
        #[schema(min_length = 1, max_length = 200)]
        q: String,
        group: GroupId,
        connection: Connection,
        protection: Protection,
        /// Only hosts with an unhandled finding of at least this severity.
        risk: Severity,
        sort: HostSort,
        order: Order,
    }
}

/// What an operator may change about a host; absent parts stay as they are.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostChange {
    pub group: Option<GroupId>,
    pub importance: Option<Importance>,
    #[schema(max_length = 1000)]
    pub remark: Option<String>,
}

pub async fn list(ask: Ask<Read, (), HostQuery>) -> Result<Json<Page<Host>>, Problem> {
    let page = ask.query.page();
    let query = ask.query;
    let sort = query.sort.unwrap_or(HostSort::Risk);
    let order = query.order.unwrap_or(match sort {
        HostSort::Name => Order::Ascending,
        HostSort::Risk | HostSort::LastSeen => Order::Descending,
    });
    let filter = HostFilter {
        text: query.q,
        group: query.group,
        connection: query.connection,
        protection: query.protection,
        risk: query.risk,
    };
    Ok(Json(Page::of(ask.app.store.hosts(filter, sort, order, page).await?)))
}

pub async fn get(ask: Ask<Read, HostId>) -> Result<Json<HostDetail>, Problem> {
    let found = ask.app.store.host(ask.path, ask.now).await?;
    let days: Vec<_> = found.days.iter().map(|it| (it.day, it.kind, it.total)).collect();
    Ok(Json(HostDetail {
        host: found.host.into(),
        open: found.open.into_iter().map(Into::into).collect(),
        asset_counts: found
            .asset_counts
            .into_iter()
            .map(|(kind, rows)| AssetCount { kind, rows })
            .collect(),
        trend: super::dashboard::every_day(30, ask.now, &days),
        certificate_expires_at: found.certificate_expires_at,
        costs: found.costs.into_iter().map(cost).collect(),
    }))
}

fn cost(it: store::FeatureCost) -> FeatureCost {
    FeatureCost { id: it.id, cpu_us: it.cpu_us, events: it.events, lost: it.lost }
}

pub async fn patch(
    ask: Ask<ManageHosts, HostId, Nothing, HostChange>,
) -> Result<Json<Host>, Problem> {
    let change = ask.body;
    let detail = json!({
        "group": change.group,
        "importance": change.importance,
        "remark": change.remark,
    });
    let before = ask.app.store.host(ask.path, ask.now).await?.host;
    let detail = json!({
        "before": { "group": before.group.0, "importance": before.importance, "remark": before.remark },
        "after": detail,
    });
    let audit = ask.who.audit(&ask.source, ask.now, "host.patch", ask.path, detail);
    let patch =
        HostPatch { group: change.group, importance: change.importance, remark: change.remark };
    let host = ask.app.store.patch_host(ask.path, patch, audit).await?;
    if host.group.0 != before.group.0 {
        let concerned = [before.group.0, host.group.0];
        super::policy::renew(&ask.app, &ask.who, &ask.source, ask.now, &concerned).await?;
    }
    Ok(Json(host.into()))
}

pub async fn delete(ask: Ask<ManageHosts, HostId>) -> Result<Done, Problem> {
    let name = ask.app.store.host(ask.path, ask.now).await?.host.facts.name;
    let audit =
        ask.who.audit(&ask.source, ask.now, "host.delete", ask.path, json!({ "name": name }));
    ask.app.store.delete_host(ask.path, audit).await?;
    ask.app.link.agents.revoke(ask.path);
    Ok(Done)
}

pub async fn revoke(ask: Ask<ManageHosts, HostId>) -> Result<Done, Problem> {
    let audit = ask.who.audit(&ask.source, ask.now, "host.revoke", ask.path, json!({}));
    ask.app.store.revoke_host(ask.path, audit).await?;
    ask.app.link.agents.revoke(ask.path);
    Ok(Done)
}

/// What a scan is to cover.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScan {
    /// Items to scan, `asset.port`; all when absent or empty.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["asset.port"]))]
    pub items: Vec<ItemName>,
}

/// Name of something a scan can cover.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(pattern = "^[a-z][a-z_]*(\\.[a-z][a-z_]*)*$", max_length = 64, example = "asset.port")]
pub struct ItemName(String);

/// One item of a scan.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScanItem {
    #[schema(example = "asset.port")]
    pub item: String,
    pub state: store::ScanItemState,
    pub rows: u64,
    pub findings: u64,
    /// Why it is partial or failed.
    pub reason: String,
    /// The same by the id of its sentence, for readers of other languages.
    pub why: Option<Reason>,
}

impl From<store::ScanItemProgress> for ScanItem {
    fn from(it: store::ScanItemProgress) -> Self {
        Self {
            item: it.item,
            state: it.state,
            rows: it.rows,
            findings: it.findings,
            reason: it.reason,
            why: it.why,
        }
    }
}

/// One run over a host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Scan {
    pub id: ScanId,
    pub host: HostRef,
    /// Who asked; empty for a scan the agent began by itself.
    pub requested_by: String,
    /// What was asked for; empty means everything.
    pub wanted: Vec<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Why the agent refused it.
    pub refused: Option<String>,
    /// The same by the id of its sentence, for readers of other languages.
    pub why: Option<Reason>,
    pub items: Vec<ScanItem>,
}

impl From<store::Scan> for Scan {
    fn from(it: store::Scan) -> Self {
        Self {
            id: it.id,
            host: it.host.into(),
            requested_by: it.requested_by,
            wanted: it.wanted,
            created_at: it.created_at,
            started_at: it.started_at,
            finished_at: it.finished_at,
            refused: it.refused,
            why: it.why,
            items: it.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// An agent that is not connected gets the scan when it comes back.
pub async fn start_scan(
    ask: Ask<MayScan, HostId, Nothing, NewScan>,
) -> Result<Accepted<Scan>, Problem> {
    let wanted: Vec<String> = ask.body.items.into_iter().map(|it| it.0).collect();
    let host = ask.app.store.host(ask.path, ask.now).await?.host;
    if host.revoked_at.is_some() {
        return Err(Problem::conflict(because!("host.revoked", "the host is revoked")));
    }
    let detail = json!({ "items": wanted });
    let audit = ask.who.audit(&ask.source, ask.now, "host.scan", ask.path, detail);
    let by = ask.who.name.clone();
    let scan = ask.app.store.create_scan(ask.path, wanted, by, audit).await?;
    orders::scan(&ask.app.link.agents, ask.path, scan.id, scan.wanted.clone());
    Ok(Accepted(scan.into()))
}

pub async fn scans(ask: Ask<Read, HostId, PlainQuery>) -> Result<Json<Page<Scan>>, Problem> {
    Ok(Json(Page::of(ask.app.store.scans(ask.path, ask.query.page()).await?)))
}

pub async fn scan(ask: Ask<Read, ScanId>) -> Result<Json<Scan>, Problem> {
    Ok(Json(ask.app.store.scan(ask.path).await?.into()))
}

/// A successful log-in on a host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Login {
    pub at: Timestamp,
    #[schema(example = "sshd")]
    pub service: String,
    #[schema(example = "root")]
    pub user: String,
    #[schema(example = "192.0.2.77")]
    pub address: String,
    /// ISO 3166-1 alpha-2; empty when unknown.
    pub country: String,
    #[schema(example = "publickey")]
    pub method: String,
    pub key_fingerprint: String,
}

pub async fn logins(ask: Ask<Read, HostId, PlainQuery>) -> Result<Json<Page<Login>>, Problem> {
    let page = ask.app.store.logins(ask.path, ask.query.page()).await?;
    Ok(Json(Page::map(page, |it| Login {
        at: it.at,
        service: it.service,
        user: it.user,
        address: it.address,
        country: it.country,
        method: it.method,
        key_fingerprint: it.key_fingerprint,
    })))
}
