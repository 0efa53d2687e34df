//! Rules that users bring: files of Sigma as they are published, one or more documents each.

use model::finding::{FindingKind, HandleAction, Severity, Text};

use super::Fault;
use super::modifier::Placeholders;
use super::rule::scope;
use super::yaml::{self, Node, Value};
use crate::content::{Attribution, Automatic, EvidenceKind, Maturity, Rule};
use crate::event::Category;

/// One file of rules as it was read.
#[derive(Clone, Debug)]
pub struct UserRule {
    /// Where it lies, below the folder that was given.
    pub file: String,
    pub text: String,
}

/// A rule of a user that does not work, and why. The others do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Refusal {
    pub file: String,
    pub line: u64,
    pub reason: String,
}

/// Name of the file that says what `%names%` stand for: a map of names to lists.
pub const PLACEHOLDERS_FILE: &str = "placeholders.yml";

/// What a document is.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Detection { logsource: Node, detection: Node },
    Correlation(Node),
    Filter { logsource: Node, filter: Node },
}

/// One document, understood as far as it goes without the others.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub file: String,
    pub line: u64,
    pub rule: Rule,
    pub name: Option<String>,
    pub what: What,
    /// Sigma's `informational`: nothing to alarm about, only to be counted.
    pub silent: bool,
}

/// Reads one file.
pub(crate) fn read(file: &UserRule, refusals: &mut Vec<Refusal>) -> Vec<Draft> {
    let refuse =
        |fault: Fault| Refusal { file: file.file.clone(), line: fault.line, reason: fault.reason };
    let documents = yaml::documents(&file.text);
    if documents.is_empty() {
        refusals.push(refuse(Fault::new(1, "the file has no rule")));
    }
    if documents.len() > yaml::DOCUMENTS_MAX {
        let reason = format!("a file has at most {} rules", yaml::DOCUMENTS_MAX);
        refusals.push(refuse(Fault::new(1, reason)));
        return Vec::new();
    }
    let mut drafts = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        match document.read().and_then(|it| draft(file, number, &it)) {
            Ok(it) => drafts.push(it),
            Err(fault) => refusals.push(refuse(fault)),
        }
    }
    drafts
}

/// Reads [`PLACEHOLDERS_FILE`].
pub(crate) fn placeholders(text: &str) -> Result<Placeholders, Fault> {
    let mut found = Placeholders::new();
    for (name, values) in Node::parse(text)?.map("the file")? {
        let values = values.texts("a placeholder's value")?;
        found.insert(name.clone(), values.iter().map(|it| (*it).to_owned()).collect());
    }
    Ok(found)
}

fn draft(file: &UserRule, number: usize, node: &Node) -> Result<Draft, Fault> {
    node.map("a rule")?;
    let parts = (node.get("detection"), node.get("correlation"), node.get("filter"));
    let logsource =
        || node.get("logsource").cloned().ok_or_else(|| node.fault("the logsource is missing"));
    let what = match parts {
        (Some(it), None, None) => {
            What::Detection { logsource: logsource()?, detection: it.clone() }
        }
        (None, Some(it), None) => What::Correlation(it.clone()),
        (None, None, Some(it)) => What::Filter { logsource: logsource()?, filter: it.clone() },
        _ => return Err(node.fault("a rule has one of detection, correlation and filter")),
    };
    let level = match node.get("level") {
        None => "medium",
        Some(it) => it.text("level")?,
    };
    let severity = match level {
        "informational" | "low" => Severity::Low,
        "medium" => Severity::Medium,
        "high" => Severity::High,
        "critical" => Severity::Critical,
        other => {
            let line = node.get("level").map_or(node.line, |it| it.line);
            return Err(Fault::new(line, format!("`{other}` is no level")));
        }
    };
    let name = optional(node, "name")?;
    let mut rule = header(file, number, node, severity)?;
    about(&mut rule, &what);
    let silent = level == "informational";
    Ok(Draft { file: file.file.clone(), line: node.line, rule, name, what, silent })
}

fn optional(node: &Node, key: &str) -> Result<Option<String>, Fault> {
    match node.get(key) {
        None => Ok(None),
        Some(it) => match &it.value {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text.clone())),
            Value::Integer(number) => Ok(Some(number.to_string())),
            _ => Err(it.fault(format!("{key} is not a text"))),
        },
    }
}

fn both(text: &str) -> Text {
    Text { en: text.to_owned(), zh: text.to_owned() }
}

/// What every finding of the rule says, from the header of the document.
fn header(file: &UserRule, number: usize, node: &Node, severity: Severity) -> Result<Rule, Fault> {
    let title = optional(node, "title")?.ok_or_else(|| node.fault("the title is missing"))?;
    let stem = file.file.trim_end_matches(".yml").trim_end_matches(".yaml");
    let id = match optional(node, "id")? {
        Some(id) => id,
        None if number == 0 => stem.to_owned(),
        None => format!("{stem}#{}", number + 1),
    };
    let description = optional(node, "description")?.unwrap_or_else(|| title.clone());
    let false_alarms = match node.get("falsepositives") {
        Some(it) => it.texts("a false positive")?.into_iter().map(both).collect(),
        None => Vec::new(),
    };
    let references = match node.get("references") {
        Some(it) if it.value != Value::Null => {
            it.texts("a reference")?.into_iter().map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let tags = match node.get("tags") {
        Some(it) if it.value != Value::Null => it.texts("a tag")?,
        _ => Vec::new(),
    };
    let technique =
        |it: &str| it.strip_prefix("attack.t").map(|it| format!("T{}", it.to_ascii_uppercase()));
    let attribution = Attribution {
        author: optional(node, "author")?.unwrap_or_default(),
        license: optional(node, "license")?.unwrap_or_default(),
        references,
        file: file.file.clone(),
    };
    Ok(Rule {
        id,
        sentence: both(&title),
        title: both(&title),
        kind: FindingKind::Alarm,
        category: "user_rule".to_owned(),
        severity,
        maturity: match optional(node, "status")?.as_deref() {
            Some("stable") => Maturity::Stable,
            Some("deprecated" | "unsupported") => Maturity::Deprecated,
            _ => Maturity::Incubating,
        },
        attack: tags.into_iter().filter_map(technique).collect(),
        why: both(&description),
        advice: Text {
            en: "Look at the process and its ancestors, and at what the rule's author writes."
                .to_owned(),
            zh: "查看该进程及其祖先进程，并参考规则作者的说明。".to_owned(),
        },
        params: Vec::new(),
        handling: vec![
            HandleAction::MarkHandled,
            HandleAction::Ignore,
            HandleAction::AlarmWhitelist,
        ],
        false_alarms,
        blind_spots: Vec::new(),
        hss: None,
        confidence: 0,
        logsource: None,
        detection: None,
        correlation: None,
        subject: String::new(),
        evidence: Vec::new(),
        automatic: Automatic::None,
        attribution: Some(attribution),
    })
}

/// Subject, parameters and evidence by what the events are about: Sigma does not say.
fn about(rule: &mut Rule, what: &What) {
    let (subject, params, evidence): (_, &[&str], &[_]) = match what {
        What::Detection { logsource, .. } => {
            let categories = scope(logsource).map(|it| it.categories).unwrap_or_default();
            match categories.as_slice() {
                [Category::NetworkConnection] => (
                    "{Image}|{DestinationIp}|{DestinationPort}",
                    &["Image", "User", "DestinationIp", "DestinationPort"],
                    &[EvidenceKind::Processes, EvidenceKind::Connection],
                ),
                [Category::DnsQuery] => (
                    "{Image}|{QueryName}",
                    &["Image", "User", "QueryName"],
                    &[EvidenceKind::Processes],
                ),
                [Category::FileEvent] => (
                    "{Image}|{TargetFilename}",
                    &["Image", "User", "TargetFilename", "FileOperation"],
                    &[EvidenceKind::Processes, EvidenceKind::File, EvidenceKind::Change],
                ),
                [Category::ProcessCreation] => (
                    "{Image}|{ParentImage}|{User}",
                    &["Image", "CommandLine", "User", "ParentImage"],
                    &[EvidenceKind::Processes, EvidenceKind::File],
                ),
                _ => (
                    "{Image}|{TargetFilename}|{DestinationIp}|{User}",
                    &["Image", "CommandLine", "User", "TargetFilename", "DestinationIp"],
                    &[EvidenceKind::Processes],
                ),
            }
        }
        What::Correlation(_) | What::Filter { .. } => {
            ("", &["Image", "User", "EventCount"], &[EvidenceKind::Processes])
        }
    };
    subject.clone_into(&mut rule.subject);
    rule.params = params.iter().map(|it| (*it).to_owned()).collect();
    rule.evidence = evidence.to_vec();
}
