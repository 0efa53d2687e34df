//! The dashboard and the search box.

use std::collections::BTreeMap;

use axum::Json;
use engine::content::Catalogue;
use model::finding::FindingKind;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::findings::Finding;
use super::hosts::{HostRef, KindCounts, tenths};
use super::page::Page;
use super::problem::Problem;
use super::routes::Ask;
use crate::auth::permission::Read;
use crate::store::{self, DeductionReason, SearchHit};

const DAYS_DEFAULT: u32 = 7;
const TECHNIQUES_MAX: usize = 10;

/// Everything the first page shows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Dashboard {
    pub as_of: Timestamp,
    /// One entry per kind.
    pub risks: Vec<RiskCount>,
    pub protection: ProtectionCounts,
    /// Findings that began, per day, oldest first, every day of the span.
    pub trend: Vec<DayCounts>,
    /// Findings that were handled or went away, per day.
    pub handled: Vec<DayCounts>,
    /// Alarms that began in the span, by category, most first.
    pub intrusions: Vec<CategoryCount>,
    /// Alarms that began in the span by technique, most first, at most ten.
    pub techniques: Vec<TechniqueCount>,
    /// Files in the vaults of servers now.
    pub isolated: u64,
    /// Addresses that servers refuse now.
    pub blocked: u64,
    /// The five hosts with the highest risk.
    pub top_hosts: Vec<TopHost>,
    pub score: Score,
    /// The five latest unhandled alarms of the last 24 hours.
    pub latest: Vec<Finding>,
}

/// Open findings of one kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RiskCount {
    pub kind: FindingKind,
    pub open: u64,
    /// Hosts with at least one.
    pub hosts: u64,
    pub by_severity: SeverityCounts,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct SeverityCounts {
    pub low: u64,
    pub medium: u64,
    pub high: u64,
    pub critical: u64,
}

/// Hosts by protection.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProtectionCounts {
    pub total: u64,
    pub protected: u64,
    pub degraded: u64,
    pub unprotected: u64,
    /// Of all of these, hosts whose agent is not connected now.
    pub offline: u64,
    /// Capabilities that are degraded or missing on some host, most hosts first.
    pub blind_spots: Vec<BlindSpot>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BlindSpot {
    #[schema(example = "process_events")]
    pub capability: String,
    pub hosts: u64,
}

/// Findings of one day, by kind.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DayCounts {
    /// In UTC.
    #[schema(format = Date, example = "2026-11-23")]
    pub day: String,
    pub asset_risk: u64,
    pub vulnerability: u64,
    pub unsafe_setting: u64,
    pub alarm: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CategoryCount {
    #[schema(example = "brute_force")]
    pub category: String,
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TechniqueCount {
    /// MITRE ATT&CK.
    #[schema(example = "T1110.001")]
    pub technique: String,
    pub count: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TopHost {
    pub host: HostRef,
    pub risk: f64,
    pub counts: KindCounts,
}

/// 0 to 100, and every point that is missing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Score {
    #[schema(minimum = 0, maximum = 100)]
    pub value: u32,
    /// Most points first.
    pub deductions: Vec<Deduction>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Deduction {
    pub reason_code: DeductionReason,
    #[schema(example = 3.0)]
    pub points: f64,
    /// Findings or hosts that cost these points.
    pub count: u64,
    /// Null for what is about hosts, not findings.
    pub kind: Option<FindingKind>,
}

/// Span of the dashboard.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DashboardQuery {
    /// Days, today included; 7 unless given.
    #[schema(minimum = 1, maximum = 90)]
    pub days: Option<u32>,
}

/// The last `span` days up to `now`, those without any count included.
pub(super) fn every_day(
    span: u32,
    now: Timestamp,
    counts: &[(i64, FindingKind, u64)],
) -> Vec<DayCounts> {
    let mut by_day: BTreeMap<i64, store::KindCounts> = BTreeMap::new();
    for (day, kind, count) in counts {
        *by_day.entry(*day).or_default().of(*kind) += count;
    }
    let today = now.day();
    (today + 1 - i64::from(span)..=today)
        .map(|day| {
            let counts = by_day.get(&day).copied().unwrap_or_default();
            let text = Timestamp::from_secs(day * 86_400).to_string();
            DayCounts {
                day: text.split('T').next().unwrap_or_default().to_owned(),
                asset_risk: counts.asset_risk,
                vulnerability: counts.vulnerability,
                unsafe_setting: counts.unsafe_setting,
                alarm: counts.alarm,
            }
        })
        .collect()
}

/// Alarms by the first technique of their rule, most first.
fn techniques(catalogue: &Catalogue, rules: &[(String, u64)]) -> Vec<TechniqueCount> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (rule, count) in rules {
        let rule = catalogue.get(rule).filter(|it| it.kind == FindingKind::Alarm);
        if let Some(technique) = rule.and_then(|it| it.attack.first()) {
            *counts.entry(technique).or_default() += count;
        }
    }
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|(technique, count)| TechniqueCount { technique: technique.to_owned(), count })
        .collect();
    counts.sort_by_key(|it| std::cmp::Reverse(it.count));
    counts.truncate(TECHNIQUES_MAX);
    counts
}

pub async fn get(ask: Ask<Read, (), DashboardQuery>) -> Result<Json<Dashboard>, Problem> {
    let span = ask.query.days.unwrap_or(DAYS_DEFAULT);
    let found = ask.app.store.dashboard(span, ask.now).await?;
    let began: Vec<_> = found.days.iter().map(|it| (it.day, it.kind, it.total)).collect();
    let ended: Vec<_> = found.days.iter().map(|it| (it.day, it.kind, it.handled)).collect();
    Ok(Json(Dashboard {
        as_of: ask.now,
        risks: found.risks.into_iter().map(Into::into).collect(),
        protection: found.protection.into(),
        trend: every_day(span, ask.now, &began),
        handled: every_day(span, ask.now, &ended),
        intrusions: found
            .intrusions
            .into_iter()
            .map(|(category, count)| CategoryCount { category, count })
            .collect(),
        techniques: techniques(&ask.app.catalogue, &found.rules),
        isolated: found.isolated,
        blocked: found.blocked,
        top_hosts: found
            .top_hosts
            .into_iter()
            .map(|it| TopHost {
                host: it.host.into(),
                risk: tenths(it.risk_tenths),
                counts: it.counts.into(),
            })
            .collect(),
        score: found.score.into(),
        latest: found.latest.into_iter().map(|it| Finding::of(it, &ask.app.catalogue)).collect(),
    }))
}

impl From<store::RiskCount> for RiskCount {
    fn from(it: store::RiskCount) -> Self {
        let by = it.by_severity;
        Self {
            kind: it.kind,
            open: it.open,
            hosts: it.hosts,
            by_severity: SeverityCounts {
                low: by.low,
                medium: by.medium,
                high: by.high,
                critical: by.critical,
            },
        }
    }
}

impl From<store::ProtectionCount> for ProtectionCounts {
    fn from(it: store::ProtectionCount) -> Self {
        Self {
            total: it.total,
            protected: it.protected,
            degraded: it.degraded,
            unprotected: it.unprotected,
            offline: it.offline,
            blind_spots: it
                .blind_spots
                .into_iter()
                .map(|(capability, hosts)| BlindSpot { capability, hosts })
                .collect(),
        }
    }
}

impl From<store::Score> for Score {
    fn from(it: store::Score) -> Self {
        let deduction = |it: store::Deduction| Deduction {
            reason_code: it.reason,
            points: tenths(it.tenths),
            count: it.count,
            kind: it.kind,
        };
        Self { value: it.value, deductions: it.deductions.into_iter().map(deduction).collect() }
    }
}

/// What to look for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// Part of a name or address, words of a finding, the beginning of an asset's name.
    #[schema(min_length = 1, max_length = 200)]
    pub q: String,
}

/// One answer of the search box.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Hit {
    Host { host: HostRef, addresses: Vec<String> },
    Finding { finding: Box<Finding> },
    Asset { asset: super::assets::AssetValue },
}

pub async fn search(ask: Ask<Read, (), SearchQuery>) -> Result<Json<Page<Hit>>, Problem> {
    let found = ask.app.store.search(ask.query.q).await?;
    let hit = |it| match it {
        SearchHit::Host { host, addresses } => Hit::Host { host: host.into(), addresses },
        SearchHit::Finding(it) => {
            Hit::Finding { finding: Box::new(Finding::of(it, &ask.app.catalogue)) }
        }
        SearchHit::Asset(it) => Hit::Asset { asset: it.into() },
    };
    let items = found.into_iter().map(hit).collect();
    Ok(Json(Page { items, next: None, total: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_findings_are_zero() {
        let now = Timestamp::from_secs(1_795_000_000);
        let today = now.day();
        let counts = [(today, FindingKind::Alarm, 3), (today - 2, FindingKind::AssetRisk, 1)];
        let days: Vec<_> = every_day(4, now, &counts)
            .into_iter()
            .map(|it| (it.day, it.asset_risk, it.alarm))
            .collect();
        expect_test::expect![[r#"
            [
                (
                    "2026-11-15",
                    0,
                    0,
                ),
                (
                    "2026-11-16",
                    1,
                    0,
                ),
                (
                    "2026-11-17",
                    0,
                    0,
                ),
                (
                    "2026-11-18",
                    0,
                    3,
                ),
            ]
        "#]]
        .assert_debug_eq(&days);
    }
}
