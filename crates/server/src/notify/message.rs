//! What is told: one finding, or what came together in a while.

use std::collections::BTreeMap;

use model::finding::{FindingKind, Severity};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::route::Language;
use crate::store::Notice;

/// Most hosts a bundle counts by name; findings of further ones are counted together.
pub const HOSTS_MAX: usize = 500;
/// Most findings a bundle quotes: the worst.
pub const QUOTED_MAX: usize = 10;

/// One message, before any channel gives it a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    pub language: Language,
    /// IANA name of the zone times are shown in.
    pub zone: String,
    /// Name of the route.
    pub route: String,
    pub at: Timestamp,
    /// Address of the console without a slash at its end; empty for none.
    pub console: String,
    /// Addresses in place of those of an e-mail channel; empty: those of the channel.
    pub recipients: Vec<String>,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// One finding, at once.
    Alert { notice: Notice },
    /// What was held back: by a storm, by quiet hours.
    Summary { reason: Reason, bundle: Bundle },
    /// A day; also when nothing was found, so that silence means something.
    Digest { bundle: Bundle },
    /// The test button.
    Test,
}

model::words! {
    /// Why findings were held back.
    Reason {
        Storm = "storm",
        QuietHours = "quiet_hours",
    }
}

/// How many of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub critical: u64,
    pub high: u64,
    pub medium: u64,
    pub low: u64,
}

impl Counts {
    pub fn total(&self) -> u64 {
        self.critical + self.high + self.medium + self.low
    }

    fn add(&mut self, severity: Severity) {
        match severity {
            Severity::Critical => self.critical += 1,
            Severity::High => self.high += 1,
            Severity::Medium => self.medium += 1,
            Severity::Low => self.low += 1,
        }
    }

    /// The worst there is one of.
    pub fn worst(&self) -> Option<Severity> {
        let worst_first = [
            (Severity::Critical, self.critical),
            (Severity::High, self.high),
            (Severity::Medium, self.medium),
            (Severity::Low, self.low),
        ];
        worst_first.into_iter().find(|(_, count)| *count > 0).map(|(severity, _)| severity)
    }
}

/// Findings told together. Every one is in exactly one count of `kinds` and one of `hosts` or
/// `other_hosts`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bundle {
    pub since: Timestamp,
    pub until: Timestamp,
    pub kinds: BTreeMap<FindingKind, Counts>,
    pub categories: BTreeMap<String, u64>,
    pub hosts: BTreeMap<String, Counts>,
    /// Findings on hosts beyond [`HOSTS_MAX`].
    pub other_hosts: u64,
    /// The worst ones, worst first, then oldest.
    pub quoted: Vec<Notice>,
}

impl Bundle {
    pub fn add(&mut self, notice: &Notice, now: Timestamp) {
        if self.is_empty() {
            self.since = now;
        }
        self.until = now;
        self.kinds.entry(notice.kind).or_default().add(notice.severity);
        *self.categories.entry(notice.category.clone()).or_default() += 1;
        if self.hosts.len() < HOSTS_MAX || self.hosts.contains_key(&notice.host_name) {
            self.hosts.entry(notice.host_name.clone()).or_default().add(notice.severity);
        } else {
            self.other_hosts += 1;
        }
        let place = self.quoted.partition_point(|it| it.severity >= notice.severity);
        if place < QUOTED_MAX {
            self.quoted.insert(place, notice.clone());
            self.quoted.truncate(QUOTED_MAX);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub fn total(&self) -> u64 {
        self.kinds.values().map(Counts::total).sum()
    }

    pub fn severities(&self) -> Counts {
        let mut all = Counts::default();
        for it in self.kinds.values() {
            all.critical += it.critical;
            all.high += it.high;
            all.medium += it.medium;
            all.low += it.low;
        }
        all
    }

    /// Hosts with their counts, worst first.
    pub fn worst_hosts(&self, most: usize) -> Vec<(&str, Counts)> {
        let mut hosts: Vec<_> = self.hosts.iter().map(|(name, it)| (name.as_str(), *it)).collect();
        hosts.sort_by_key(|(_, it)| std::cmp::Reverse((it.critical, it.high, it.medium, it.low)));
        hosts.truncate(most);
        hosts
    }
}

impl Message {
    /// How many findings this tells of.
    pub fn count(&self) -> u64 {
        match &self.body {
            Body::Alert { .. } => 1,
            Body::Summary { bundle, .. } | Body::Digest { bundle } => bundle.total(),
            Body::Test => 0,
        }
    }

    /// The worst severity told of; `None` for a test and an empty digest.
    pub fn severity(&self) -> Option<Severity> {
        match &self.body {
            Body::Alert { notice } => Some(notice.severity),
            Body::Summary { bundle, .. } | Body::Digest { bundle } => bundle.severities().worst(),
            Body::Test => None,
        }
    }

    /// `alert`, `summary`, `digest` or `test`.
    pub fn kind(&self) -> &'static str {
        match &self.body {
            Body::Alert { .. } => "alert",
            Body::Summary { .. } => "summary",
            Body::Digest { .. } => "digest",
            Body::Test => "test",
        }
    }

    /// Where the console shows what this tells of.
    pub fn link(&self) -> Option<String> {
        if self.console.is_empty() {
            return None;
        }
        let place = match &self.body {
            Body::Alert { notice } => format!("/events/{}", notice.finding),
            Body::Summary { .. } | Body::Digest { .. } => "/events?status=unhandled".to_owned(),
            Body::Test => "/settings/notifications".to_owned(),
        };
        Some(format!("{}{place}", self.console))
    }
}
