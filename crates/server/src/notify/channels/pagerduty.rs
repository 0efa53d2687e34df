//! The Events API v2 of PagerDuty. A finding is one incident there, however often it is told.

use model::finding::Severity;
use serde_json::{Value, json};

use super::super::message::{Body, Message};
use super::super::net::SendError;
use super::super::render::Rendered;
use super::webhook::document;
use super::{Outgoing, Secrets, World, cut, needed, post_json};

/// Limit of the API, in letters.
const SUMMARY_MAX: usize = 1024;

pub fn payload(id: &str, message: &Message, routing_key: &str) -> Value {
    let it = Rendered::of(message);
    let severity = match message.severity() {
        Some(Severity::Critical) => "critical",
        Some(Severity::High) => "error",
        Some(Severity::Medium) => "warning",
        Some(Severity::Low) | None => "info",
    };
    let (dedup_key, source, component, class) = match &message.body {
        Body::Alert { notice } => (
            notice.finding.to_string(),
            notice.host_name.as_str(),
            notice.rule.as_str(),
            notice.category.as_str(),
        ),
        Body::Summary { .. } | Body::Digest { .. } | Body::Test => {
            (id.to_owned(), "garrison", "garrison", message.kind())
        }
    };
    let mut out = json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": "Garrison",
        "payload": {
            "summary": cut(&it.title, SUMMARY_MAX),
            "source": source,
            "severity": severity,
            "timestamp": message.at,
            "component": component,
            "group": message.route,
            "class": class,
            "custom_details": document(id, message),
        },
    });
    if let (Some((address, words)), Some(out)) = (&it.link, out.as_object_mut()) {
        out.insert("links".to_owned(), json!([{ "href": address, "text": words }]));
        out.insert("client_url".to_owned(), message.console.as_str().into());
    }
    out
}

pub(super) async fn send(
    url: &str,
    secrets: &Secrets,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    let key = needed(secrets.key.as_ref(), "key")?;
    post_json(url, world, &payload(out.id, out.message, key)).await.map(|_| ())
}
