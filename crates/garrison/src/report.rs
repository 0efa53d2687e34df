//! What `garrison scan` found on one host, and the forms it is written in.
//!
//! The JSON form is the contract (`docs/report-format.md`); [`VERSION`] rises when a field
//! changes its meaning or goes away, never when one is added.

use std::collections::BTreeMap;

use model::asset::Row;
use model::finding::{Evidence, Finding, FindingKind, Severity, Text};
use model::time::Timestamp;
use serde::Serialize;

pub(crate) mod html;
pub(crate) mod sarif;
pub(crate) mod terminal;

pub(crate) const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub format: &'static str,
    pub version: u32,
    pub garrison_version: &'static str,
    pub generated_at: Timestamp,
    pub took_ms: u64,
    pub host: HostSummary,
    /// `/` for the running host, else the directory that was examined.
    pub root: String,
    pub items: Vec<Item>,
    pub findings: Vec<ReportFinding>,
    pub assets: BTreeMap<String, Vec<Row>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct HostSummary {
    pub name: String,
    pub os: String,
    pub kernel: Option<String>,
    pub arch: String,
}

/// One thing that was examined, and how far that went.
#[derive(Debug, Serialize)]
pub(crate) struct Item {
    /// `asset.port`, ...
    #[serde(rename = "item")]
    pub id: String,
    pub title: Text,
    pub state: ItemState,
    pub rows: usize,
    /// What could not be read, one sentence each.
    pub skipped: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ItemState {
    Done,
    Partial,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReportFinding {
    /// Same rule and subject, same id: in every scan, on every host.
    pub id: String,
    pub kind: FindingKind,
    pub rule: String,
    pub category: String,
    pub severity: Severity,
    pub subject: String,
    pub title: Text,
    pub sentence: Text,
    pub why: Text,
    pub advice: Text,
    pub evidence: Vec<Evidence>,
}

/// The language of a form made for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    #[default]
    En,
    Zh,
}

impl Language {
    pub(crate) fn pick(self, text: &Text) -> &str {
        match self {
            Self::En => &text.en,
            Self::Zh => &text.zh,
        }
    }

    pub(crate) fn word<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }
}

impl Report {
    /// Worst first, then by rule and subject, so that two scans read alike.
    pub(crate) fn sort(&mut self) {
        self.findings.sort_by(|a, b| {
            b.severity
                .cmp(&a.severity)
                .then_with(|| a.rule.cmp(&b.rule))
                .then_with(|| a.subject.cmp(&b.subject))
        });
    }

    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|it| it.severity == severity).count()
    }

    pub(crate) fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|it| it.severity).max()
    }

    pub(crate) fn skipped(&self) -> usize {
        self.items.iter().map(|it| it.skipped.len()).sum()
    }

    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// `finding` with the words of its rule.
pub(crate) fn finding(finding: Finding, title: Text, why: Text, advice: Text) -> ReportFinding {
    ReportFinding {
        id: finding.fingerprint(),
        kind: finding.kind,
        rule: finding.rule,
        category: finding.category,
        severity: finding.severity,
        subject: finding.subject,
        title,
        sentence: finding.sentence,
        why,
        advice,
        evidence: finding.evidence,
    }
}

pub(crate) fn severity_word(severity: Severity, language: Language) -> &'static str {
    match (severity, language) {
        (Severity::Low, Language::En) => "low",
        (Severity::Medium, Language::En) => "medium",
        (Severity::High, Language::En) => "high",
        (Severity::Critical, Language::En) => "critical",
        (Severity::Low, Language::Zh) => "低危",
        (Severity::Medium, Language::Zh) => "中危",
        (Severity::High, Language::Zh) => "高危",
        (Severity::Critical, Language::Zh) => "致命",
    }
}

/// One line that says what a piece of evidence is, for forms made of text.
pub(crate) fn evidence_lines(evidence: &Evidence) -> Vec<String> {
    match evidence {
        Evidence::LogLines { source, lines, omitted } => {
            let mut out: Vec<String> =
                lines.iter().map(|it| format!("{source}: {}", it.text)).collect();
            if *omitted > 0 {
                out.push(format!("{source}: … +{omitted}"));
            }
            out
        }
        Evidence::File { path, line, text, .. } => {
            let place = line.map_or_else(|| path.clone(), |it| format!("{path}:{it}"));
            vec![text.as_ref().map_or_else(|| place.clone(), |it| format!("{place}  {it}"))]
        }
        Evidence::Asset { kind, key, row } => {
            let fields: Vec<String> = row
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| match value {
                    serde_json::Value::String(it) => format!("{name}={it}"),
                    other => format!("{name}={other}"),
                })
                .collect();
            vec![format!("{kind} {key}: {}", fields.join(" "))]
        }
        Evidence::Processes { chain } => {
            chain.iter().map(|it| format!("{} {} {}", it.pid, it.user, it.command)).collect()
        }
        Evidence::Login { service, user, address, country, .. } => {
            let from =
                country.as_ref().map_or_else(|| address.clone(), |it| format!("{address} ({it})"));
            vec![format!("{service}: {user} from {from}")]
        }
        Evidence::Connection { protocol, local, remote, initiated } => {
            let arrow = if *initiated { "->" } else { "<-" };
            vec![format!("{protocol} {local} {arrow} {remote}")]
        }
        Evidence::Change { path, removed, added, omitted } => {
            let mut out = vec![path.clone()];
            out.extend(removed.iter().map(|it| format!("- {it}")));
            out.extend(added.iter().map(|it| format!("+ {it}")));
            if *omitted > 0 {
                out.push(format!("… +{omitted}"));
            }
            out
        }
        Evidence::Match { field, value, pattern } => {
            let pattern = pattern.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            vec![format!("{field} = {value}{pattern}")]
        }
        Evidence::Fact { name, value } => vec![format!("{name} = {value}")],
    }
}

#[cfg(test)]
mod tests;
