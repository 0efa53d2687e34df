//! Findings about the link itself: what was lost on the way, and who else speaks for a host.

use model::asset::Row;
use model::finding::{Evidence, Finding};
use model::time::Timestamp;
use serde_json::Value;

use crate::content::{Catalogue, ContentError, Rule};

#[cfg(test)]
mod tests;

/// Reasons quoted in a finding about refused records.
const REASONS_MAX: usize = 5;

model::words! {
    /// How it was noticed that two places use one identity.
    Copied {
        /// Both were connected, and both answered.
        SameTime = "same_time",
        /// One process came back after another had been connected.
        Turns = "turns",
        /// A certificate was shown that its owner has already replaced.
        OldKey = "old_key",
    }
}

impl Copied {
    fn observation(self) -> (&'static str, &'static str) {
        match self {
            Self::SameTime => (
                "a second agent connected while the first was alive, and was refused",
                "第一个代理在线期间有第二个代理连接，已被拒绝",
            ),
            Self::Turns => ("two agents take turns in connecting", "两个代理轮流连接"),
            Self::OldKey => (
                "somebody showed a key that has been replaced, and was refused",
                "有人出示已更换的旧密钥，已被拒绝",
            ),
        }
    }
}

/// The rules about the link.
#[derive(Clone, Debug)]
pub struct LinkHealth {
    lost: Rule,
    refused: Rule,
    copied: Rule,
}

impl LinkHealth {
    /// Takes its rules out of `catalogue`.
    pub fn new(catalogue: &Catalogue) -> Result<Self, ContentError> {
        Ok(Self {
            lost: catalogue.require("GAR-SNS-001")?.clone(),
            refused: catalogue.require("GAR-SNS-002")?.clone(),
            copied: catalogue.require("GAR-LNK-001")?.clone(),
        })
    }

    /// Telemetry dropped between two looks at the counter of the spool, which only grows unless
    /// the queue was made anew.
    pub fn telemetry_lost(&self, before: u64, now: u64, at: Timestamp) -> Option<Finding> {
        let records = now.checked_sub(before).filter(|it| *it > 0)?;
        let params = Row::from_iter([
            ("records".to_owned(), Value::from(records)),
            ("total".to_owned(), Value::from(now)),
        ]);
        let fact = Evidence::Fact { name: "records dropped in all".to_owned(), value: now.into() };
        Some(finding(&self.lost, "telemetry", params, vec![fact], records, at))
    }

    /// Records the server could not read: for each, which one and why.
    pub fn records_refused(&self, reasons: &[String], at: Timestamp) -> Option<Finding> {
        let records = Some(reasons.len() as u64).filter(|it| *it > 0)?;
        let fact = |it: &String| Evidence::Fact {
            name: "reason".to_owned(),
            value: Value::String(it.clone()),
        };
        let evidence = reasons.iter().take(REASONS_MAX).map(fact).collect();
        let params = Row::from_iter([("records".to_owned(), Value::from(records))]);
        Some(finding(&self.refused, "records", params, evidence, records, at))
    }

    /// One identity in two places.
    pub fn copied_identity(&self, how: Copied, at: Timestamp) -> Finding {
        let (en, zh) = how.observation();
        let mut params = Row::from_iter([
            ("how".to_owned(), Value::from(how.as_str())),
            ("observation".to_owned(), Value::from(zh)),
        ]);
        let zh = self.copied.sentence(&params).zh;
        params.insert("observation".to_owned(), Value::from(en));
        let subject = format!("identity/{how}");
        let fact = Evidence::Fact { name: "how".to_owned(), value: Value::from(how.as_str()) };
        let mut finding = finding(&self.copied, &subject, params, vec![fact], 1, at);
        finding.sentence.zh = zh;
        finding
    }
}

fn finding(
    rule: &Rule,
    subject: &str,
    params: Row,
    evidence: Vec<Evidence>,
    occurrences: u64,
    at: Timestamp,
) -> Finding {
    Finding {
        kind: rule.kind,
        rule: rule.id.clone(),
        category: rule.category.clone(),
        severity: rule.severity,
        subject: subject.to_owned(),
        sentence: rule.sentence(&params),
        params,
        evidence,
        first_at: at,
        last_at: at,
        occurrences,
        resolved: false,
        incident: String::new(),
        confidence: 0,
    }
}
