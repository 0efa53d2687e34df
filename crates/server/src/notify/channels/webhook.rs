//! A signed JSON document by HTTP, for programs.
//!
//! `Garrison-Signature: v1=HEX` is HMAC-SHA256 over `v1.TIMESTAMP.BODY` with the channel's key;
//! `Garrison-Timestamp` is the time of the attempt in seconds, so that a receiver can refuse old
//! copies. `Garrison-Delivery` is the same in every attempt.

use data_encoding::HEXLOWER;
use ring::hmac;
use serde_json::{Value, json};

use super::super::message::{Body, Bundle, Message};
use super::super::net::{self, Post, SendError};
use super::super::render::Rendered;
use super::{ChannelConfig, Outgoing, Secrets, World, needed};

/// Version of the document and of the signature.
pub const VERSION: &str = "v1";

/// Message as a program reads it: here, in log lines and in files.
pub fn document(id: &str, message: &Message) -> Value {
    let rendered = Rendered::of(message);
    let body = match &message.body {
        Body::Alert { notice } => json!({
            "finding": notice.finding, "cause": notice.cause, "kind": notice.kind,
            "category": notice.category, "severity": notice.severity, "rule": notice.rule,
            "host": { "id": notice.host, "name": notice.host_name, "group": notice.group },
            "subject": notice.subject, "sentence": notice.sentence, "at": notice.at,
        }),
        Body::Summary { reason, bundle } => bundled(bundle, json!({ "reason": reason })),
        Body::Digest { bundle } => bundled(bundle, json!({})),
        Body::Test => json!({}),
    };
    json!({
        "version": VERSION,
        "id": id,
        "type": message.kind(),
        "at": message.at,
        "route": message.route,
        "count": message.count(),
        "severity": message.severity(),
        "title": rendered.title,
        "link": message.link(),
        message.kind(): body,
    })
}

fn bundled(bundle: &Bundle, mut more: Value) -> Value {
    let quoted: Vec<_> = bundle
        .quoted
        .iter()
        .map(|it| {
            json!({
                "finding": it.finding, "severity": it.severity, "rule": it.rule,
                "host": it.host_name, "sentence": it.sentence, "at": it.at,
            })
        })
        .collect();
    let hosts: Vec<_> = bundle
        .worst_hosts(20)
        .into_iter()
        .map(|(name, it)| json!({ "name": name, "count": it.total(), "by_severity": it }))
        .collect();
    let named: u64 = hosts.iter().filter_map(|it| it.get("count").and_then(Value::as_u64)).sum();
    let rest = json!({
        "since": bundle.since, "until": bundle.until,
        "by_severity": bundle.severities(), "by_kind": bundle.kinds,
        "by_category": bundle.categories, "worst_hosts": hosts,
        "on_other_hosts": bundle.total() - named, "worst": quoted,
    });
    if let (Value::Object(more), Value::Object(rest)) = (&mut more, rest) {
        more.extend(rest);
    }
    more
}

/// The value of `Garrison-Signature`.
pub fn signature(key: &str, timestamp: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{VERSION}.{timestamp}.").as_bytes());
    context.update(body);
    format!("{VERSION}={}", HEXLOWER.encode(context.sign().as_ref()))
}

pub(super) async fn send(
    config: &ChannelConfig,
    secrets: &Secrets,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    let ChannelConfig::Webhook { url, ca_pem } = config else { return Ok(()) };
    let key = needed(secrets.key.as_ref(), "key")?;
    let body = document(out.id, out.message).to_string();
    let timestamp = out.now.as_secs();
    let headers = [
        ("garrison-delivery", out.id.to_owned()),
        ("garrison-timestamp", timestamp.to_string()),
        ("garrison-signature", signature(key, timestamp, body.as_bytes())),
    ];
    let ask = Post { url, headers: &headers, body: body.as_bytes(), ca_pem, reach: world.reach };
    net::post(ask).await.map(|_| ())
}
