//! A custom robot of DingTalk, in Markdown, signed where the robot has a secret.

// Writing to a `String` cannot fail.
use data_encoding::BASE64;
use model::time::Timestamp;
use ring::hmac;
use serde_json::{Value, json};
use std::fmt::Write as _;

use super::super::message::Message;
use super::super::net::{self, SendError};
use super::super::render::Rendered;
use super::{Outgoing, Secrets, World, cut, judge_code, needed, post_json};

/// A robot takes 20 messages a minute; these numbers say that it had them.
const BUSY: [i64; 2] = [130_101, 90_018];
/// In letters; the limit is 20,000 bytes.
const TEXT_MAX: usize = 5000;

pub fn payload(message: &Message) -> Value {
    let it = Rendered::of(message);
    let mut text = format!("### {}\n\n{}\n", escape(&it.title), escape(&it.lead));
    for (name, value) in &it.facts {
        let _ = write!(text, "\n- **{}**: {}", escape(name), escape(value));
    }
    if !it.items.is_empty() {
        let _ = write!(text, "\n\n**{}**\n", escape(&it.items_title));
    }
    for item in &it.items {
        let _ = write!(text, "\n- {}", escape(item));
    }
    if let Some((address, words)) = &it.link {
        let _ = write!(text, "\n\n[{words}]({address})");
    }
    let _ = write!(text, "\n\n> {}", escape(&it.footer));
    json!({
        "msgtype": "markdown",
        "markdown": { "title": cut(&it.title, 100), "text": cut(&text, TEXT_MAX) },
    })
}

/// Signs of Markdown are made harmless; `@` would call people.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '\\' | '*' | '_' | '`' | '[' | ']' | '#' | '~' | '>' | '|' => {
                out.push('\\');
                out.push(letter);
            }
            '<' => out.push_str("&lt;"),
            '@' => out.push('＠'),
            _ => out.push(letter),
        }
    }
    out
}

/// The robot's address with the signature of `at`, which is good for an hour.
pub fn signed_url(url: &str, key: Option<&str>, at: Timestamp) -> String {
    let Some(secret) = key else { return url.to_owned() };
    let timestamp = at.0.div_euclid(1000);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{timestamp}\n{secret}").as_bytes());
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("timestamp", &timestamp.to_string())
        .append_pair("sign", &BASE64.encode(tag.as_ref()))
        .finish();
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{query}")
}

pub(super) async fn send(
    secrets: &Secrets,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    let url = needed(secrets.url.as_ref(), "url")?;
    let signed = signed_url(url, secrets.key.as_deref(), out.now);
    let answer = post_json(&signed, world, &payload(out.message)).await?;
    judge_code(&net::shown_host(url), &answer, "errcode", &BUSY)
}
