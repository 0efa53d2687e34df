//! Alarms that somebody decided not to hear of, by the policy's alarm whitelist.
//!
//! Agent and server ask the same question of a finished finding, so that an agent with an older
//! policy raises nothing that the server's forbids.

use std::net::IpAddr;

use model::finding::{Evidence, Finding};
use model::policy::{AlarmWhitelistEntry, WhitelistJudge};
use model::time::Timestamp;
use serde_json::Value;

use crate::place::Cidr;

/// The field that names the subject of a finding.
pub const SUBJECT: &str = "subject";

/// Entries, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Whitelist {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    id: String,
    /// Empty: every rule.
    rule: String,
    field: String,
    judge: Judge,
    expires_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum Judge {
    Equals(String),
    Contains(String),
    Within(Cidr),
}

impl Whitelist {
    /// An entry whose block is none silences nothing; the server refuses it before.
    pub fn new(entries: &[AlarmWhitelistEntry]) -> Self {
        let entry = |it: &AlarmWhitelistEntry| {
            let judge = match it.judge {
                WhitelistJudge::Equals => Judge::Equals(it.value.clone()),
                WhitelistJudge::Contains => Judge::Contains(it.value.clone()),
                WhitelistJudge::Cidr => Judge::Within(Cidr::parse(&it.value)?),
            };
            Some(Entry {
                id: it.id.clone(),
                rule: it.rule.clone(),
                field: it.field.clone(),
                judge,
                expires_at: it.expires_at,
            })
        };
        Self { entries: entries.iter().filter_map(entry).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The id of the first entry that silences `finding`.
    pub fn silences(&self, finding: &Finding, now: Timestamp) -> Option<&str> {
        self.entries.iter().find(|it| it.fits(finding, now)).map(|it| it.id.as_str())
    }
}

impl Entry {
    fn fits(&self, finding: &Finding, now: Timestamp) -> bool {
        if !self.rule.is_empty() && self.rule != finding.rule {
            return false;
        }
        if self.expires_at.is_some_and(|it| it <= now) || self.empty_value() {
            return false;
        }
        if self.field == SUBJECT {
            return self.judge.fits(&finding.subject);
        }
        let matched = finding.evidence.iter().filter_map(|it| match it {
            Evidence::Match { field, value, .. } if *field == self.field => Some(value),
            _ => None,
        });
        finding.params.get(&self.field).into_iter().chain(matched).any(|it| self.judge.any(it))
    }

    /// What every text contains would silence everything.
    fn empty_value(&self) -> bool {
        matches!(&self.judge, Judge::Equals(it) | Judge::Contains(it) if it.is_empty())
    }
}

impl Judge {
    fn any(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.fits(text),
            Value::Number(number) => self.fits(&number.to_string()),
            Value::Bool(yes) => self.fits(if *yes { "true" } else { "false" }),
            Value::Array(items) => items.iter().any(|it| self.any(it)),
            Value::Null | Value::Object(_) => false,
        }
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Equals(it) => it == text,
            Self::Contains(it) => text.contains(it.as_str()),
            Self::Within(block) => {
                text.parse::<IpAddr>().is_ok_and(|address| block.contains(address))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::finding::{FindingKind, Severity, Text};
    use serde_json::json;

    use super::*;

    fn finding() -> Finding {
        let Value::Object(params) = json!({
            "source": "203.0.113.7", "users": ["root", "deploy"], "port": 22, "Image": "/bin/sh",
        }) else {
            unreachable!()
        };
        Finding {
            kind: FindingKind::Alarm,
            rule: "GAR-LOG-001".to_owned(),
            category: "brute_force".to_owned(),
            severity: Severity::High,
            subject: "sshd|203.0.113.7".to_owned(),
            sentence: Text::default(),
            params,
            evidence: vec![Evidence::Match {
                field: "CommandLine".to_owned(),
                value: json!("sh -i"),
                pattern: None,
            }],
            first_at: Timestamp(0),
            last_at: Timestamp(0),
            occurrences: 1,
            resolved: false,
            incident: String::new(),
            confidence: 0,
        }
    }

    #[test]
    fn entries_silence_what_they_name() {
        use WhitelistJudge::{Cidr, Contains, Equals};
        for (rule, field, judge, value, silenced) in [
            ("GAR-LOG-001", "source", Equals, "203.0.113.7", true),
            ("", "source", Equals, "203.0.113.7", true),
            ("GAR-LOG-002", "source", Equals, "203.0.113.7", false),
            ("GAR-LOG-001", "source", Equals, "203.0.113", false),
            ("GAR-LOG-001", "source", Contains, "203.0.113", true),
            ("GAR-LOG-001", "source", Cidr, "203.0.113.0/24", true),
            ("GAR-LOG-001", "source", Cidr, "203.0.114.0/24", false),
            ("GAR-LOG-001", "source", Cidr, "no block", false),
            ("GAR-LOG-001", "users", Equals, "deploy", true),
            ("GAR-LOG-001", "users", Equals, "nobody", false),
            ("GAR-LOG-001", "port", Equals, "22", true),
            ("GAR-LOG-001", "subject", Contains, "sshd|", true),
            ("GAR-LOG-001", "CommandLine", Contains, "-i", true),
            ("GAR-LOG-001", "Image", Contains, "", false),
            ("GAR-LOG-001", "nothing", Equals, "", false),
        ] {
            let entry = AlarmWhitelistEntry {
                id: "one".to_owned(),
                rule: rule.to_owned(),
                field: field.to_owned(),
                judge,
                value: value.to_owned(),
                expires_at: Some(Timestamp(100)),
            };
            let whitelist = Whitelist::new(&[entry]);
            let got = whitelist.silences(&finding(), Timestamp(99));
            assert_eq!(got, silenced.then_some("one"), "{rule} {field} {judge} {value}");
            assert_eq!(whitelist.silences(&finding(), Timestamp(100)), None, "expired");
        }
    }
}
