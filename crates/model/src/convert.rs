//! Between the types of this crate and the messages of the wire.

use crate::finding::{Evidence, Finding, FindingKind, Severity, Text};
use crate::time::Timestamp;
use crate::wire;

/// Why a message from the other side cannot be used. The peer is told; nothing is stored.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("finding: number {0} is no kind")]
    Kind(u32),
    #[error("finding: number {0} is no severity")]
    Severity(u32),
    #[error("finding: `{field}` is empty or longer than {max} bytes")]
    Length { field: &'static str, max: usize },
    #[error("finding: `{field}` is not the JSON it should be")]
    Json {
        field: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

const NAME_BYTES_MAX: usize = 128;
const EVIDENCE_BYTES_MAX: usize = 512 * 1024;

impl From<Text> for wire::Text {
    fn from(text: Text) -> Self {
        Self { en: text.en, zh: text.zh }
    }
}

impl From<wire::Text> for Text {
    fn from(text: wire::Text) -> Self {
        Self { en: text.en, zh: text.zh }
    }
}

/// The message for `finding`, made during `scan` if that is not empty.
pub fn finding_to_wire(finding: Finding, scan: String) -> wire::Finding {
    // Writing maps with text keys and plain values as JSON cannot fail.
    let params_json = serde_json::to_vec(&finding.params).unwrap_or_default();
    let evidence_json = serde_json::to_vec(&finding.evidence).unwrap_or_default();
    wire::Finding {
        kind: finding.kind.number(),
        rule: finding.rule,
        category: finding.category,
        severity: finding.severity.number(),
        subject: finding.subject,
        sentence: Some(finding.sentence.into()),
        params_json,
        evidence_json,
        first_at_us: finding.first_at.0,
        last_at_us: finding.last_at.0,
        occurrences: finding.occurrences,
        resolved: finding.resolved,
        scan,
        incident: finding.incident,
        confidence: finding.confidence,
    }
}

/// Checks everything an agent could have got wrong.
pub fn finding_from_wire(message: wire::Finding) -> Result<Finding, WireError> {
    let name = |field, text: &str, max| match text.len() {
        1.. if text.len() <= max => Ok(()),
        _ => Err(WireError::Length { field, max }),
    };
    name("rule", &message.rule, NAME_BYTES_MAX)?;
    name("category", &message.category, NAME_BYTES_MAX)?;
    name("subject", &message.subject, crate::finding::SUBJECT_BYTES_MAX)?;
    if message.incident.len() > NAME_BYTES_MAX {
        return Err(WireError::Length { field: "incident", max: NAME_BYTES_MAX });
    }
    if message.evidence_json.len() > EVIDENCE_BYTES_MAX {
        return Err(WireError::Length { field: "evidence", max: EVIDENCE_BYTES_MAX });
    }
    let evidence: Vec<Evidence> = serde_json::from_slice(&message.evidence_json)
        .map_err(|source| WireError::Json { field: "evidence", source })?;
    Ok(Finding {
        kind: FindingKind::from_number(message.kind).ok_or(WireError::Kind(message.kind))?,
        rule: message.rule,
        category: message.category,
        severity: Severity::from_number(message.severity)
            .ok_or(WireError::Severity(message.severity))?,
        subject: message.subject,
        sentence: message.sentence.unwrap_or_default().into(),
        params: serde_json::from_slice(&message.params_json)
            .map_err(|source| WireError::Json { field: "params", source })?,
        evidence,
        first_at: Timestamp(message.first_at_us),
        last_at: Timestamp(message.last_at_us),
        occurrences: message.occurrences.max(1),
        resolved: message.resolved,
        incident: message.incident,
        confidence: message.confidence.min(100),
    })
}
