//! A custom bot of Feishu (Lark), as an interactive card, signed where the bot has a secret.

use data_encoding::BASE64;
use model::finding::Severity;
use ring::hmac;
use serde_json::{Value, json};

use super::super::message::Message;
use super::super::net::{self, SendError};
use super::super::render::Rendered;
use super::{Outgoing, Secrets, World, judge_code, needed, post_json};

/// Numbers that mean: too many messages for now.
const BUSY: [i64; 2] = [9499, 11232];

/// `key`: the bot's secret; `timestamp`: seconds, at most an hour old for the bot.
pub fn payload(message: &Message, key: Option<&str>, timestamp: i64) -> Value {
    let it = Rendered::of(message);
    let template = match message.severity() {
        Some(Severity::Critical) => "red",
        Some(Severity::High) => "orange",
        Some(Severity::Medium) => "yellow",
        Some(Severity::Low) => "blue",
        None => "grey",
    };
    // Plain text everywhere: what a host says is never read as markup.
    let plain = |text: &str| json!({ "tag": "plain_text", "content": text });
    let mut elements = vec![json!({ "tag": "div", "text": plain(&it.lead) })];
    if !it.facts.is_empty() {
        let fields: Vec<_> = it
            .facts
            .iter()
            .map(|(name, value)| {
                json!({ "is_short": false, "text": plain(&format!("{name}: {value}")) })
            })
            .collect();
        elements.push(json!({ "tag": "div", "fields": fields }));
    }
    if !it.items.is_empty() {
        elements.push(json!({ "tag": "hr" }));
        let lines = format!("{}\n{}", it.items_title, it.items.join("\n"));
        elements.push(json!({ "tag": "div", "text": plain(&lines) }));
    }
    if let Some((address, words)) = &it.link {
        let button =
            json!({ "tag": "button", "text": plain(words), "url": address, "type": "default" });
        elements.push(json!({ "tag": "action", "actions": [button] }));
    }
    elements.push(json!({ "tag": "note", "elements": [plain(&it.footer)] }));
    let mut out = json!({
        "msg_type": "interactive",
        "card": {
            "config": { "wide_screen_mode": true },
            "header": { "template": template, "title": plain(&it.title) },
            "elements": elements,
        },
    });
    if let (Some(key), Some(out)) = (key, out.as_object_mut()) {
        out.insert("timestamp".to_owned(), timestamp.to_string().into());
        out.insert("sign".to_owned(), sign(key, timestamp).into());
    }
    out
}

/// The time and the secret are the key; what is signed is empty.
pub fn sign(key: &str, timestamp: i64) -> String {
    let key = format!("{timestamp}\n{key}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    BASE64.encode(hmac::sign(&key, b"").as_ref())
}

pub(super) async fn send(
    secrets: &Secrets,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    let url = needed(secrets.url.as_ref(), "url")?;
    let payload = payload(out.message, secrets.key.as_deref(), out.now.as_secs());
    let answer = post_json(url, world, &payload).await?;
    judge_code(&net::shown_host(url), &answer, "code", &BUSY)
}
