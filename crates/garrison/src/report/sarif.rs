//! The report as SARIF 2.1.0, for tools that gather findings of many scanners.

use std::fmt::Write as _;

use model::finding::{Evidence, Severity};
use serde_json::{Value, json};

use super::{Report, ReportFinding};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

pub(crate) fn render(report: &Report) -> Value {
    let mut rules: Vec<&ReportFinding> = Vec::new();
    for finding in &report.findings {
        if !rules.iter().any(|it| it.rule == finding.rule) {
            rules.push(finding);
        }
    }
    let notes: Vec<Value> = report
        .items
        .iter()
        .flat_map(|item| item.skipped.iter().map(move |it| (item.id.as_str(), it)))
        .map(|(item, text)| {
            json!({ "level": "note", "message": { "text": text }, "descriptor": { "id": item } })
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "Garrison",
                "version": report.garrison_version,
                "rules": rules.iter().map(|it| rule(it)).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": true,
                "endTimeUtc": report.generated_at,
                "toolExecutionNotifications": notes,
            }],
            "results": report.findings.iter().map(|it| result(it, &report.host.name)).collect::<Vec<_>>(),
        }],
    })
}

fn rule(finding: &ReportFinding) -> Value {
    json!({
        "id": finding.rule,
        "name": finding.category,
        "shortDescription": { "text": finding.title.en },
        "fullDescription": { "text": finding.why.en },
        "help": { "text": finding.advice.en },
        "properties": { "security-severity": score(finding.severity) },
    })
}

fn result(finding: &ReportFinding, host: &str) -> Value {
    let mut location = json!({
        "logicalLocations": [{ "name": finding.subject, "fullyQualifiedName": format!("{host}/{}", finding.subject) }],
    });
    let file = finding.evidence.iter().find_map(|it| match it {
        Evidence::File { path, line, .. } => Some((path, line)),
        _ => None,
    });
    if let (Some((path, line)), Some(fields)) = (file, location.as_object_mut()) {
        let mut physical = json!({ "artifactLocation": { "uri": uri(path) } });
        if let (Some(line), Some(fields)) = (line, physical.as_object_mut()) {
            fields.insert("region".to_owned(), json!({ "startLine": line }));
        }
        fields.insert("physicalLocation".to_owned(), physical);
    }
    json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "message": { "text": finding.sentence.en },
        "locations": [location],
        "partialFingerprints": { "garrison/v1": finding.id },
        "properties": { "kind": finding.kind, "severity": finding.severity, "evidence": finding.evidence },
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// The middle of each CVSS band, as tools that read `security-severity` expect a number.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}

/// RFC 3986 `file` URI with everything but unreserved characters and `/` escaped.
fn uri(path: &str) -> String {
    let mut out = String::from("file://");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
