//! The dashboard and the search box.

use async_trait::async_trait;
use model::finding::{FindingKind, Severity};
use model::time::Timestamp;

use super::{AssetValue, FindingItem, HostRef, KindCounts, Result, risk_tenths};

#[derive(Clone, Debug, PartialEq)]
pub struct Dashboard {
    /// One entry per kind, in the order of [`FindingKind::ALL`].
    pub risks: Vec<RiskCount>,
    pub protection: ProtectionCount,
    /// One entry per day and kind that has any, oldest first.
    pub days: Vec<DayCount>,
    /// Alarms that began in the span, by category, most first.
    pub intrusions: Vec<(String, u64)>,
    /// Findings that began in the span, by rule, most first.
    pub rules: Vec<(String, u64)>,
    /// Files in the vaults of hosts now.
    pub isolated: u64,
    /// Addresses that hosts refuse now.
    pub blocked: u64,
    /// The hosts with the highest risk, at most [`TOP_HOSTS_MAX`].
    pub top_hosts: Vec<TopHost>,
    pub score: Score,
    /// Latest unhandled alarms of the last 24 hours, at most [`LATEST_MAX`].
    pub latest: Vec<FindingItem>,
}

pub const TOP_HOSTS_MAX: usize = 5;
pub const LATEST_MAX: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskCount {
    pub kind: FindingKind,
    pub open: u64,
    /// Hosts with at least one.
    pub hosts: u64,
    pub by_severity: SeverityCounts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SeverityCounts {
    pub low: u64,
    pub medium: u64,
    pub high: u64,
    pub critical: u64,
}

impl SeverityCounts {
    pub const fn of(&mut self, severity: Severity) -> &mut u64 {
        match severity {
            Severity::Low => &mut self.low,
            Severity::Medium => &mut self.medium,
            Severity::High => &mut self.high,
            Severity::Critical => &mut self.critical,
        }
    }

    pub const fn get(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Low => self.low,
            Severity::Medium => self.medium,
            Severity::High => self.high,
            Severity::Critical => self.critical,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectionCount {
    pub total: u64,
    pub protected: u64,
    pub degraded: u64,
    pub unprotected: u64,
    /// Of all of these, hosts whose agent is not connected now.
    pub offline: u64,
    /// Capabilities that are degraded or missing on some host, most hosts first.
    pub blind_spots: Vec<(String, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCount {
    /// Days since 1970-01-01, UTC.
    pub day: i64,
    pub kind: FindingKind,
    /// Findings that began that day.
    pub total: u64,
    /// Findings that were handled or went away that day.
    pub handled: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopHost {
    pub host: HostRef,
    pub risk_tenths: u64,
    pub counts: KindCounts,
}

/// 0 to 100, and every point that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    pub value: u32,
    pub deductions: Vec<Deduction>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deduction {
    pub reason: DeductionReason,
    /// Tenths of a point taken off, after the limit of its class.
    pub tenths: u64,
    pub count: u64,
    pub kind: Option<FindingKind>,
}

model::words! {
    DeductionReason {
        Critical = "critical_findings",
        High = "high_findings",
        Medium = "medium_findings",
        Low = "low_findings",
        Unprotected = "unprotected_hosts",
        Degraded = "degraded_hosts",
    }
}

/// Most points one kind of finding, and lacking protection, can take off; together 100.
const fn class_points(kind: Option<FindingKind>) -> u64 {
    match kind {
        Some(FindingKind::Alarm) => 30,
        Some(FindingKind::Vulnerability | FindingKind::UnsafeSetting) => 20,
        Some(FindingKind::AssetRisk) | None => 15,
    }
}

/// Points an unprotected and a degraded host take off, in tenths.
const UNPROTECTED_TENTHS: u64 = 10;
const DEGRADED_TENTHS: u64 = 2;

/// The score that follows from the counters: worst severities first, each kind of finding
/// limited to its share of the hundred points.
pub fn score(risks: &[RiskCount], protection: &ProtectionCount) -> Score {
    let mut deductions = Vec::new();
    for risk in risks {
        let mut left = class_points(Some(risk.kind)) * 10;
        for severity in Severity::ALL.iter().rev().copied() {
            let count = risk.by_severity.get(severity);
            let tenths = left.min(count.saturating_mul(risk_tenths(severity)));
            left -= tenths;
            let reason = match severity {
                Severity::Critical => DeductionReason::Critical,
                Severity::High => DeductionReason::High,
                Severity::Medium => DeductionReason::Medium,
                Severity::Low => DeductionReason::Low,
            };
            if count > 0 {
                deductions.push(Deduction { reason, tenths, count, kind: Some(risk.kind) });
            }
        }
    }
    let mut left = class_points(None) * 10;
    let hosts = [
        (DeductionReason::Unprotected, protection.unprotected, UNPROTECTED_TENTHS),
        (DeductionReason::Degraded, protection.degraded, DEGRADED_TENTHS),
    ];
    for (reason, count, each) in hosts {
        let tenths = left.min(count.saturating_mul(each));
        left -= tenths;
        if count > 0 {
            deductions.push(Deduction { reason, tenths, count, kind: None });
        }
    }
    deductions.sort_by_key(|it| std::cmp::Reverse(it.tenths));
    let lost: u64 = deductions.iter().map(|it| it.tenths).sum();
    // A hundred only when nothing at all is missing.
    Score { value: (1000_u64.saturating_sub(lost) / 10) as u32, deductions }
}

/// One answer of the search box.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchHit {
    Host { host: HostRef, addresses: Vec<String> },
    Finding(FindingItem),
    Asset(AssetValue),
}

/// Most answers of each type.
pub const SEARCH_HITS_MAX: usize = 10;

#[async_trait]
pub trait OverviewStore {
    /// `days` is 1 to 90, today included.
    async fn dashboard(&self, days: u32, now: Timestamp) -> Result<Dashboard>;
    /// Hosts by part of name or address, findings by their words, assets by the beginning of
    /// their summary value.
    async fn search(&self, text: String) -> Result<Vec<SearchHit>>;
}
