//! Asset risks: what the rows of an asset table say is wrong with a host.
//!
//! Each look is over a whole table and gives the findings that are true now; [`diff`] against
//! what was open before tells what is new and what is gone.

use std::collections::BTreeMap;

use model::asset::{Row, row_key};
use model::finding::{Evidence, Finding, SUBJECT_BYTES_MAX};
use model::policy::PortPolicy;
use model::time::Timestamp;
use serde_json::Value;

use crate::content::{Catalogue, ContentError, Rule};
use crate::text::bounded;

#[cfg(test)]
mod tests;

/// The folder of the rules below `content/detections`.
pub const FAMILY: &str = "asset_risk";
/// Most asset rows one finding quotes.
const EVIDENCE_ROWS_MAX: usize = 20;

/// The rules, ready to be applied.
#[derive(Clone, Debug)]
pub struct AssetRisks {
    dangerous_port: Rule,
    extra_root: Rule,
    hidden_account: Rule,
    cloned_account: Rule,
    unpackaged_listener: Rule,
    deleted_executable: Rule,
    unpackaged_autostart: Rule,
}

/// One look at one table.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Kind of the table: `port`.
    pub kind: &'a str,
    /// Its key columns.
    pub key: &'a [&'a str],
    pub rows: &'a [Row],
    pub ports: &'a PortPolicy,
    pub now: Timestamp,
}

impl AssetRisks {
    /// Tables that have rules.
    pub const KINDS: &'static [&'static str] = &["account", "port", "process", "autostart"];

    pub fn new(catalogue: &Catalogue) -> Result<Self, ContentError> {
        let rule = |id| catalogue.require(id).cloned();
        Ok(Self {
            dangerous_port: rule("GAR-AST-001")?,
            extra_root: rule("GAR-AST-002")?,
            hidden_account: rule("GAR-AST-003")?,
            cloned_account: rule("GAR-AST-004")?,
            unpackaged_listener: rule("GAR-AST-005")?,
            deleted_executable: rule("GAR-AST-006")?,
            unpackaged_autostart: rule("GAR-AST-007")?,
        })
    }

    /// Every finding that is true of this table now, by rule and subject. Tables without
    /// rules give none.
    pub fn assess(&self, look: &Look<'_>) -> Vec<Finding> {
        let mut found = Found { look, open: BTreeMap::new() };
        match look.kind {
            "account" => self.accounts(&mut found),
            "port" => self.ports(&mut found),
            "process" => self.processes(&mut found),
            "autostart" => self.autostarts(&mut found),
            _ => {}
        }
        found.open.into_values().collect()
    }

    fn ports<'a>(&'a self, found: &mut Found<'_, 'a>) {
        let look = found.look;
        for row in look.rows {
            let (Some(protocol), Some(port)) = (text(row, "protocol"), number(row, "port")) else {
                continue;
            };
            let protocol = protocol.trim_end_matches('6');
            let ignored = look
                .ports
                .ignored
                .iter()
                .any(|it| it.protocol == protocol && i64::from(it.port) == port);
            if text(row, "level") == Some("dangerous") && !ignored {
                let params = [
                    ("protocol", Value::from(protocol)),
                    ("port", port.into()),
                    ("address", or_unknown(row, "address")),
                    ("process", or_unknown(row, "process")),
                    ("service", or_unknown(row, "service")),
                ];
                found.add(&self.dangerous_port, format!("{protocol}/{port}"), row, params);
            }
            let off_loopback = text(row, "scope").is_some_and(|it| it != "loopback");
            if let Some(executable) = text(row, "executable")
                && flag(row, "unpackaged")
                && off_loopback
                && !ignored
            {
                let params = [
                    ("executable", Value::from(executable)),
                    ("protocol", protocol.into()),
                    ("port", port.into()),
                    ("address", or_unknown(row, "address")),
                    ("user", or_unknown(row, "user")),
                ];
                found.add(&self.unpackaged_listener, executable.to_owned(), row, params);
            }
        }
    }

    fn processes<'a>(&'a self, found: &mut Found<'_, 'a>) {
        for row in found.look.rows {
            let state = text(row, "executable_state");
            let Some(executable) = text(row, "executable") else { continue };
            if matches!(state, Some("deleted" | "memory")) {
                let params = [
                    ("executable", Value::from(executable)),
                    ("state", state.into()),
                    ("pid", number(row, "pid").into()),
                    ("user", or_unknown(row, "user")),
                ];
                found.add(&self.deleted_executable, executable.to_owned(), row, params);
            }
        }
    }

    fn autostarts<'a>(&'a self, found: &mut Found<'_, 'a>) {
        for row in found.look.rows {
            let (Some(kind), Some(name)) = (text(row, "kind"), text(row, "name")) else { continue };
            let path = text(row, "path").unwrap_or(name);
            if flag(row, "unpackaged") && row.get("enabled") != Some(&Value::Bool(false)) {
                let command = text(row, "command").unwrap_or(path);
                let params = [
                    ("kind", Value::from(kind)),
                    ("name", name.into()),
                    ("path", path.into()),
                    ("command", command.into()),
                    ("user", or_unknown(row, "user")),
                ];
                let subject = row_key(found.look.key, row);
                found.add(&self.unpackaged_autostart, subject, row, params);
            }
        }
    }

    fn accounts<'a>(&'a self, found: &mut Found<'_, 'a>) {
        let mut by_uid: BTreeMap<i64, Vec<&'a str>> = BTreeMap::new();
        let rows = found.look.rows;
        for row in rows {
            if let (Some(name), Some(uid)) = (text(row, "name"), number(row, "uid")) {
                by_uid.entry(uid).or_default().push(name);
            }
        }
        for row in rows {
            let Some(name) = text(row, "name") else { continue };
            let params = |extra: (&'static str, Value)| {
                [
                    ("user", Value::from(name)),
                    ("uid", number(row, "uid").into()),
                    ("shell", or_unknown(row, "shell")),
                    extra,
                ]
            };
            if let Some(why) = hiding(name, row) {
                let reason = ("reason", why.into());
                found.add(&self.hidden_account, name.to_owned(), row, params(reason));
            }
            let Some(uid) = number(row, "uid") else { continue };
            let sharing = by_uid.get(&uid).map_or(&[][..], Vec::as_slice);
            let others = ("accounts", Value::from(sharing.join(", ")));
            if uid == 0 && name != "root" {
                found.add(&self.extra_root, name.to_owned(), row, params(others));
            } else if uid != 0 && sharing.len() > 1 {
                found.add(&self.cloned_account, format!("uid {uid}"), row, params(others));
            }
        }
    }
}

/// Why an account escapes the eye of who lists accounts.
fn hiding(name: &str, row: &Row) -> Option<&'static str> {
    // Collectors write control characters and broken UTF-8 as `\xNN`.
    if name.contains("\\x") || name.chars().any(char::is_control) {
        return Some("control characters in the name");
    }
    let invisible = |it: char| {
        it.is_whitespace()
            || matches!(it, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}')
    };
    if name.is_empty() || name.chars().any(invisible) {
        return Some("blank or invisible characters in the name");
    }
    if name.starts_with(['.', '-', '+']) {
        return Some("a name that listings leave out or misread");
    }
    let mixed = name.chars().any(|it| it.is_ascii_alphabetic())
        && name.chars().any(|it| it.is_alphabetic() && matches!(it, '\u{370}'..='\u{52f}'));
    if mixed {
        return Some("letters of two scripts that look alike");
    }
    if row.get("in_passwd") == Some(&Value::Bool(false)) {
        return Some("a password in /etc/shadow without an entry in /etc/passwd");
    }
    None
}

/// Findings of one look, one for each rule and subject.
struct Found<'l, 'a> {
    look: &'l Look<'a>,
    open: BTreeMap<(&'a str, String), Finding>,
}

impl<'a> Found<'_, 'a> {
    /// Another row for a subject adds to the evidence of its finding.
    fn add<const N: usize>(
        &mut self,
        rule: &'a Rule,
        subject: String,
        row: &Row,
        params: [(&'static str, Value); N],
    ) {
        let look = self.look;
        let evidence = Evidence::Asset {
            kind: look.kind.to_owned(),
            key: row_key(look.key, row),
            row: row.clone(),
        };
        let subject = bounded(&subject, SUBJECT_BYTES_MAX);
        let finding = self.open.entry((&rule.id, subject.clone())).or_insert_with(|| {
            let params: Row = params.into_iter().map(|(name, it)| (name.to_owned(), it)).collect();
            Finding {
                kind: rule.kind,
                rule: rule.id.clone(),
                category: rule.category.clone(),
                severity: rule.severity,
                subject,
                sentence: rule.sentence(&params),
                params,
                evidence: Vec::new(),
                first_at: look.now,
                last_at: look.now,
                occurrences: 1,
                resolved: false,
                incident: String::new(),
                confidence: 0,
            }
        });
        if finding.evidence.len() < EVIDENCE_ROWS_MAX {
            finding.evidence.push(evidence);
        }
    }
}

/// What changed between two looks at the same table: `raised` holds findings that were not
/// open, `resolved` those that are true no longer, marked so and dated `now`. A finding that
/// stays is in neither.
pub fn diff(
    previous_open: &[Finding],
    current: &[Finding],
    now: Timestamp,
) -> (Vec<Finding>, Vec<Finding>) {
    let same = |a: &Finding, b: &Finding| a.rule == b.rule && a.subject == b.subject;
    let raised = current
        .iter()
        .filter(|it| !previous_open.iter().any(|old| same(old, it)))
        .cloned()
        .collect();
    let resolved = previous_open
        .iter()
        .filter(|old| !current.iter().any(|it| same(old, it)))
        .map(|old| Finding { resolved: true, last_at: now, ..old.clone() })
        .collect();
    (raised, resolved)
}

fn text<'r>(row: &'r Row, column: &str) -> Option<&'r str> {
    row.get(column).and_then(Value::as_str)
}

fn number(row: &Row, column: &str) -> Option<i64> {
    row.get(column).and_then(Value::as_i64)
}

/// Not known counts as no.
fn flag(row: &Row, column: &str) -> bool {
    row.get(column) == Some(&Value::Bool(true))
}

fn or_unknown(row: &Row, column: &str) -> Value {
    row.get(column).filter(|it| !it.is_null()).cloned().unwrap_or_else(|| "?".into())
}
