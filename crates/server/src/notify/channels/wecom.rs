//! A group robot of WeCom, in its Markdown.

use serde_json::{Value, json};

use super::super::message::Message;
use super::super::net::{self, SendError};
use super::super::render::Rendered;
use super::dingtalk::escape;
use super::{Outgoing, Secrets, World, judge_code, needed, post_json};

/// A robot takes 20 messages a minute; this number says that it had them.
const BUSY: [i64; 1] = [45_009];
const CONTENT_BYTES_MAX: usize = 4096;

pub fn payload(message: &Message) -> Value {
    let it = Rendered::of(message);
    let mut parts = vec![format!("**{}**", escape(&it.title)), escape(&it.lead)];
    parts.extend(
        it.facts.iter().map(|(name, value)| format!("> {}: {}", escape(name), escape(value))),
    );
    let mut end = Vec::new();
    if let Some((address, words)) = &it.link {
        end.push(format!("[{words}]({address})"));
    }
    end.push(escape(&it.footer));
    if !it.items.is_empty() {
        parts.push(format!("**{}**", escape(&it.items_title)));
    }
    let mut content = parts.join("\n");
    let end = format!("\n{}", end.join("\n"));
    // Quoted findings are left out from the mildest on where they do not fit.
    for item in &it.items {
        let line = format!("\n{}", escape(item));
        if content.len() + line.len() + end.len() > CONTENT_BYTES_MAX {
            break;
        }
        content.push_str(&line);
    }
    content.push_str(&end);
    json!({ "msgtype": "markdown", "markdown": { "content": short(&content) } })
}

fn short(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if out.len() + letter.len_utf8() > CONTENT_BYTES_MAX {
            break;
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
    let answer = post_json(url, world, &payload(out.message)).await?;
    judge_code(&net::shown_host(url), &answer, "errcode", &BUSY)
}
