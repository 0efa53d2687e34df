//! Findings about the agent itself: somebody changed it, it went silent, or it was asked and could
//! not say.

use std::time::Duration;

use model::asset::Row;
use model::finding::{Evidence, Finding};
use model::time::Timestamp;
use serde_json::Value;

use crate::content::{Catalogue, ContentError, Rule};

#[cfg(test)]
mod tests;

/// An agent that left without a word has this long to be back: a crash, a broken cable.
pub const VANISHED_MAX: Duration = Duration::from_mins(2);
/// One that was stopped in order: a reboot, an upgrade.
pub const STOPPED_MAX: Duration = Duration::from_mins(10);

/// The rules about the agent itself.
pub const CHANGED: &str = "GAR-SLF-001";
const SILENT: &str = "GAR-SLF-002";
const LATE: &str = "GAR-SLF-003";
const REFUSED: &str = "GAR-SLF-004";

model::words! {
    /// How an agent left.
    Departure {
        /// Its stream ended without a goodbye.
        Vanished = "vanished",
        /// It was stopped, and said so.
        Stopped = "stopped",
        /// It was stopped by somebody who had a token.
        Permitted = "permitted",
    }
}

impl Departure {
    /// How long it may stay away; `None`: for ever.
    pub fn away_max(self) -> Option<Duration> {
        match self {
            Self::Vanished => Some(VANISHED_MAX),
            Self::Stopped => Some(STOPPED_MAX),
            Self::Permitted => None,
        }
    }

    fn observation(self) -> (&'static str, &'static str) {
        match self {
            Self::Vanished => ("left without a word", "未告知即离线"),
            Self::Stopped | Self::Permitted => ("was stopped on the host", "在主机上被停止"),
        }
    }
}

model::words! {
    /// What became of a file of the agent.
    Tampering {
        Written = "written",
        Created = "created",
        Removed = "removed",
        Renamed = "renamed",
        Mode = "mode",
        /// It could not be changed, and now it can.
        Unlocked = "unlocked",
        /// The kernel did not let it be changed.
        Kept = "kept",
        /// The kernel did not let a process of the agent be ended, traced or bounded.
        Spared = "spared",
    }
}

impl Tampering {
    fn observation(self) -> (&'static str, &'static str) {
        match self {
            Self::Written => ("wrote to", "写入了"),
            Self::Created => ("created", "创建了"),
            Self::Removed => ("removed", "删除了"),
            Self::Renamed => ("renamed", "重命名了"),
            Self::Kept => ("was kept from changing", "被阻止修改"),
            Self::Spared => ("was kept from ending or tracing", "被阻止结束或跟踪"),
            Self::Mode => ("changed mode, owner or attributes of", "修改了权限、属主或属性："),
            Self::Unlocked => ("took the immutable flag away from", "去除了不可修改标志："),
        }
    }
}

model::words! {
    /// What the guard over programs has to tell.
    Guarded {
        Refused = "refused",
        Late = "late",
    }
}

impl Guarded {
    /// The rule that tells of it.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Refused => REFUSED,
            Self::Late => LATE,
        }
    }
}

/// A change of a file of the agent and who made it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Change {
    pub path: String,
    pub change: Tampering,
    /// Its short name; empty: it has ended.
    pub process: String,
    pub pid: u32,
    /// The agent's own process, or another one of its program.
    pub own: bool,
    #[serde(default)]
    pub user: String,
}

/// The rules about the agent itself.
#[derive(Clone, Debug)]
pub struct SelfProtection {
    changed: Rule,
    silent: Rule,
    late: Rule,
    refused: Rule,
}

impl SelfProtection {
    /// Takes its rules out of `catalogue`.
    pub fn new(catalogue: &Catalogue) -> Result<Self, ContentError> {
        Ok(Self {
            changed: catalogue.require(CHANGED)?.clone(),
            silent: catalogue.require(SILENT)?.clone(),
            late: catalogue.require(LATE)?.clone(),
            refused: catalogue.require(REFUSED)?.clone(),
        })
    }

    /// A file of the agent changed. `None`: by itself.
    pub fn changed(&self, it: &Change, at: Timestamp) -> Option<Finding> {
        if it.own {
            return None;
        }
        let (did, did_zh) = it.change.observation();
        let known =
            |text: &str, unknown: &str| if text.is_empty() { unknown } else { text }.to_owned();
        let params = row([
            ("path", it.path.as_str().into()),
            ("did", did.into()),
            ("did_zh", did_zh.into()),
            ("process", known(&it.process, "?").into()),
            ("pid", it.pid.into()),
            ("user", known(&it.user, "?").into()),
        ]);
        let file = Evidence::File {
            path: it.path.clone(),
            line: None,
            text: None,
            sha256: None,
            package: None,
        };
        Some(finding(&self.changed, &it.path, params, vec![file], at))
    }

    /// An agent is away since `left`. `None` while that is no alarm.
    pub fn silent(&self, how: Departure, left: Timestamp, now: Timestamp) -> Option<Finding> {
        let span = now.since(left);
        if span < how.away_max()? {
            return None;
        }
        let (said, said_zh) = how.observation();
        let params = row([
            ("how", said.into()),
            ("how_zh", said_zh.into()),
            ("span_s", span.as_secs().into()),
        ]);
        let fact = Evidence::Fact { name: "left".to_owned(), value: left.to_string().into() };
        let mut finding = finding(&self.silent, "agent", params, vec![fact], now);
        finding.first_at = left;
        Some(finding)
    }

    /// A silent agent is back.
    pub fn heard_again(&self, at: Timestamp) -> Finding {
        let params = row([("how", "left".into()), ("how_zh", "离线".into()), ("span_s", 0.into())]);
        let finding = finding(&self.silent, "agent", params, Vec::new(), at);
        Finding { resolved: true, ..finding }
    }

    /// A program that was refused, or let start because there was no time.
    pub fn guarded(&self, what: Guarded, path: &str, pid: u32, at: Timestamp) -> Finding {
        let rule = match what {
            Guarded::Refused => &self.refused,
            Guarded::Late => &self.late,
        };
        let params = row([("path", path.into()), ("pid", pid.into())]);
        let file = Evidence::File {
            path: path.to_owned(),
            line: None,
            text: None,
            sha256: None,
            package: None,
        };
        finding(rule, path, params, vec![file], at)
    }
}

fn row<const N: usize>(fields: [(&str, Value); N]) -> Row {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn finding(
    rule: &Rule,
    subject: &str,
    params: Row,
    evidence: Vec<Evidence>,
    at: Timestamp,
) -> Finding {
    Finding {
        kind: rule.kind,
        rule: rule.id.clone(),
        category: rule.category.clone(),
        severity: rule.severity,
        subject: subject.chars().take(model::finding::SUBJECT_BYTES_MAX / 4).collect(),
        sentence: rule.sentence(&params),
        params,
        evidence,
        first_at: at,
        last_at: at,
        occurrences: 1,
        resolved: false,
        incident: String::new(),
        confidence: rule.confidence,
    }
}
