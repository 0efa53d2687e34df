//! An incoming webhook of Slack, in Block Kit.

use serde_json::{Value, json};

use super::super::message::Message;
use super::super::net::SendError;
use super::super::render::Rendered;
use super::{Outgoing, Secrets, World, cut, needed, post_json};

/// Limits of Block Kit, in letters.
const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3000;
const FIELD_MAX: usize = 2000;
const FIELDS_MAX: usize = 10;

pub fn payload(message: &Message) -> Value {
    let it = Rendered::of(message);
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": cut(&it.title, HEADER_MAX) } }),
        text_block(&escape(&it.lead)),
    ];
    let fields: Vec<_> = it
        .facts
        .iter()
        .take(FIELDS_MAX)
        .map(|(name, value)| {
            let text = format!("*{}*\n{}", escape(name), escape(value));
            json!({ "type": "mrkdwn", "text": cut(&text, FIELD_MAX) })
        })
        .collect();
    if !fields.is_empty() {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    if !it.items.is_empty() {
        let lines: Vec<_> = it.items.iter().map(|it| format!("• {}", escape(it))).collect();
        blocks.push(text_block(&format!("*{}*\n{}", escape(&it.items_title), lines.join("\n"))));
    }
    if let Some((address, words)) = &it.link {
        let text = json!({ "type": "plain_text", "text": words });
        blocks.push(json!({
            "type": "actions",
            "elements": [{ "type": "button", "text": text, "url": address }],
        }));
    }
    let footer = json!({ "type": "plain_text", "text": cut(&it.footer, HEADER_MAX) });
    blocks.push(json!({ "type": "context", "elements": [footer] }));
    json!({ "text": escape(&it.title), "blocks": blocks })
}

fn text_block(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": cut(text, SECTION_MAX) } })
}

/// The three letters that mean something to Slack: with them a text could call everybody or
/// dress an address up.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) async fn send(
    secrets: &Secrets,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    let url = needed(secrets.url.as_ref(), "url")?;
    post_json(url, world, &payload(out.message)).await.map(|_| ())
}
