//! Findings: conclusions with their evidence, and what people do with them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::asset::Row;
use crate::time::Timestamp;

/// Defines an enum whose variants have one fixed word each, used on the wire, in JSON and in URLs.
#[macro_export]
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::finding::UnknownWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|it| it.as_str() == text)
                    .ok_or_else(|| $crate::finding::UnknownWord(text.chars().take(64).collect()))
            }
        }
    };
}

/// A word that names no variant of the enum it was parsed as.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a known word here")]
pub struct UnknownWord(pub String);

words! {
    /// The four lines of the dashboard. The number on the wire is the position here, from 1.
    FindingKind {
        AssetRisk = "asset_risk",
        Vulnerability = "vulnerability",
        UnsafeSetting = "unsafe_setting",
        Alarm = "alarm",
    }
}

words! {
    /// Ordered: `Low < Critical`. The number on the wire is the position here, from 1.
    Severity {
        Low = "low",
        Medium = "medium",
        High = "high",
        Critical = "critical",
    }
}

words! {
    /// What became of a finding.
    Status {
        /// Nobody has decided yet.
        Unhandled = "unhandled",
        /// A person decided: see the handling.
        Handled = "handled",
        /// The condition went away by itself (the port closed).
        Resolved = "resolved",
    }
}

words! {
    /// The ways to handle a finding.
    HandleAction {
        /// This one only; the next of its kind is shown again.
        Ignore = "ignore",
        /// Dealt with by hand; asks for a remark.
        MarkHandled = "mark_handled",
        /// Adds address, account and server to the log-in whitelist and closes the alarm.
        LoginWhitelist = "login_whitelist",
        /// Ends the process tree and moves its file where it cannot run.
        IsolateAndKill = "isolate_and_kill",
        /// No alarm of this rule any more where a value is the same.
        AlarmWhitelist = "alarm_whitelist",
        /// Refuses packets of the address the attack came from.
        BlockIp = "block_ip",
    }
}

macro_rules! numbered {
    ($($name:ident)*) => {$(
        impl $name {
            /// Number on the wire and in the store, from 1.
            pub fn number(self) -> u32 {
                Self::ALL.iter().position(|it| *it == self).map_or(0, |it| it as u32 + 1)
            }

            pub fn from_number(number: u32) -> Option<Self> {
                Self::ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
            }
        }
    )*};
}
numbered! { FindingKind Severity Status HandleAction }

/// One sentence in the languages of the product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Text {
    pub en: String,
    pub zh: String,
}

/// A conclusion of the engine about one subject of one host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// Stable id of the content item that decided, `GAR-LOG-001`.
    pub rule: String,
    /// `brute_force`, `dangerous_port`, ...: the unit of counters and filters.
    pub category: String,
    pub severity: Severity,
    /// What it is about, unique per host and rule: the same subject is the same finding.
    pub subject: String,
    /// What happened, in one plain sentence.
    pub sentence: Text,
    /// The facts the sentence was made from, for filters and whitelists.
    pub params: Map<String, Value>,
    pub evidence: Vec<Evidence>,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// Occurrences since the last message about this subject, at least 1.
    pub occurrences: u64,
    /// The condition is gone.
    pub resolved: bool,
    /// Groups alarms of one process tree or session; empty: stands alone.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub incident: String,
    /// How sure the rule is, 1 to 100; 0: it does not say.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub confidence: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A frozen fact that a finding quotes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Evidence {
    /// Lines as they stood in the log, oldest first, with the number left out.
    LogLines { source: String, lines: Vec<LogLine>, omitted: u64 },
    /// A file, and the line that decided where there is one.
    File {
        path: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        line: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        sha256: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        package: Option<String>,
    },
    /// An asset row as it was when the finding was made.
    Asset {
        kind: String,
        key: String,
        #[cfg_attr(feature = "schema", schema(value_type = Object))]
        row: Row,
    },
    /// A process and its ancestors, the process itself first.
    Processes { chain: Vec<ProcessFact> },
    /// Who tried to sign in, from where.
    Login {
        service: String,
        user: String,
        address: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        country: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        method: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        key_fingerprint: Option<String>,
    },
    /// A connection of the process: `remote` and `local` as `address:port`.
    Connection {
        protocol: String,
        local: String,
        remote: String,
        /// Whether this host called.
        initiated: bool,
    },
    /// What changed in a text file, lines without their ends.
    Change {
        path: String,
        removed: Vec<String>,
        added: Vec<String>,
        /// Lines left out.
        omitted: u64,
    },
    /// A field of the event, its value, and what of the rule it met.
    Match {
        field: String,
        value: Value,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        pattern: Option<String>,
    },
    /// Any other named value that decided: a threshold, a count, a window.
    Fact { name: String, value: Value },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LogLine {
    pub at: Timestamp,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ProcessFact {
    pub pid: u32,
    pub started_at: Timestamp,
    pub user: String,
    pub executable: String,
    pub command: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
    /// Nanoseconds after boot at which it started: with the id its identity for ever.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_ns: Option<u64>,
    /// Its content is what the package says; absent: no package, or no digest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verified: Option<bool>,
    /// The process the finding is about.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub is_subject: bool,
}

/// Most evidence lines a finding carries; the rest is counted in `omitted`.
pub const EVIDENCE_LINES_MAX: usize = 20;
/// Longest subject; longer ones are cut and closed with a digest.
pub const SUBJECT_BYTES_MAX: usize = 512;

impl Finding {
    /// `f-` and 16 hexadecimal digits: the same rule and subject give the same fingerprint
    /// in every scan and on every host.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.rule.len() as u64).to_le_bytes());
        hasher.update(self.rule.as_bytes());
        hasher.update(self.subject.as_bytes());
        let hex = hasher.finalize().to_hex();
        format!("f-{}", hex.as_str().chars().take(16).collect::<String>())
    }
}
