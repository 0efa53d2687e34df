//! A workflow of Microsoft Teams ("when a webhook request is received"), as an Adaptive Card.

use model::finding::Severity;
use serde_json::{Value, json};

use super::super::message::Message;
use super::super::net::SendError;
use super::super::render::Rendered;
use super::{Outgoing, Secrets, World, cut, needed, post_json};

/// A card may have 28 KB in all.
const TEXT_MAX: usize = 1000;

pub fn payload(message: &Message) -> Value {
    let it = Rendered::of(message);
    let colour = match message.severity() {
        Some(Severity::Critical | Severity::High) => "attention",
        Some(Severity::Medium) => "warning",
        Some(Severity::Low) => "accent",
        None => "default",
    };
    let mut body = vec![
        json!({
            "type": "TextBlock", "text": escape(&it.title), "size": "large", "weight": "bolder",
            "color": colour, "wrap": true,
        }),
        json!({ "type": "TextBlock", "text": escape(&it.lead), "wrap": true }),
    ];
    if !it.facts.is_empty() {
        let facts: Vec<_> = it
            .facts
            .iter()
            .map(|(name, value)| json!({ "title": escape(name), "value": escape(value) }))
            .collect();
        body.push(json!({ "type": "FactSet", "facts": facts }));
    }
    if !it.items.is_empty() {
        let title = escape(&it.items_title);
        body.push(json!({ "type": "TextBlock", "text": title, "weight": "bolder", "wrap": true }));
    }
    for item in &it.items {
        let text = escape(item);
        body.push(json!({ "type": "TextBlock", "text": text, "spacing": "small", "wrap": true }));
    }
    body.push(json!({
        "type": "TextBlock", "text": escape(&it.footer), "isSubtle": true, "size": "small",
        "wrap": true,
    }));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "body": body,
    });
    if let (Some((address, words)), Some(card)) = (&it.link, card.as_object_mut()) {
        let action = json!([{ "type": "Action.OpenUrl", "title": words, "url": address }]);
        card.insert("actions".to_owned(), action);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// Cards read a little Markdown: its signs are made harmless.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for letter in cut(text, TEXT_MAX).chars() {
        if matches!(letter, '\\' | '*' | '_' | '[' | ']' | '`' | '~' | '#') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

pub(super) async fn send(
    secrets: &Secrets,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    let url = needed(secrets.url.as_ref(), "url")?;
    post_json(url, world, &payload(out.message)).await.map(|_| ())
}
