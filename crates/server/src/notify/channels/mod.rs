//! The ways a message leaves. Each channel is one file: a pure function from a message to bytes,
//! held against the files in `golden/`, and the sending.

pub mod dingtalk;
pub mod email;
pub mod feishu;
pub mod file;
pub mod pagerduty;
pub mod slack;
pub mod syslog;
pub mod teams;
pub mod webhook;
pub mod wecom;

use std::fmt;
use std::path::PathBuf;

use model::because;
use model::because::Because;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::message::Message;
use super::net::{self, Post, SendError};
use super::route::Address;
use crate::store::Reach;

model::words! {
    /// How an e-mail server is spoken to.
    MailTls {
        /// Begins in the clear and must turn to TLS before anything is said.
        StartTls = "starttls",
        Tls = "tls",
        /// In the clear; only to this machine.
        Plain = "plain",
    }
}

model::words! {
    /// How log lines travel.
    SyslogTransport {
        Udp = "udp",
        Tcp = "tcp",
        Tls = "tls",
    }
}

model::words! {
    /// What stands in a log line.
    SyslogBody {
        Cef = "cef",
        Json = "json",
    }
}

/// What an operator sets about a channel, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ChannelConfig {
    /// Secret: `password`, where `user` is given.
    Email {
        #[schema(
            pattern = "^[A-Za-z0-9.:\\[\\]-]+$",
            max_length = 253,
            example = "mail.example.org"
        )]
        server: String,
        #[schema(minimum = 1, maximum = 65_535, example = 587)]
        port: u16,
        tls: MailTls,
        /// Empty: without signing in.
        #[schema(pattern = "^[^\\x00-\\x1f\\x7f]*$", max_length = 254)]
        user: String,
        from: Address,
        #[schema(min_items = 1, max_items = 50)]
        to: Vec<Address>,
        /// Certificates to trust beside those of the system, PEM.
        #[schema(max_length = 20_000)]
        ca_pem: String,
    },
    /// Secret: `key`, which signs each request.
    Webhook {
        #[schema(
            min_length = 1,
            max_length = 2048,
            example = "https://tickets.example.org/garrison"
        )]
        url: String,
        #[schema(max_length = 20_000)]
        ca_pem: String,
    },
    /// Secret: `url` of an incoming webhook.
    Slack {},
    /// Secret: `url` of a workflow that posts what it is sent.
    Teams {},
    /// Secrets: `url` of a custom bot and, where it checks signatures, its `key`.
    Feishu {},
    /// Secrets: `url` of a custom robot and, where it checks signatures, its `key`.
    Dingtalk {},
    /// Secret: `url` of a group robot.
    Wecom {},
    /// Secret: `key`, the routing key of an Events API v2 integration.
    Pagerduty {
        #[schema(
            min_length = 1,
            max_length = 2048,
            example = "https://events.pagerduty.com/v2/enqueue"
        )]
        url: String,
    },
    /// No secret.
    Syslog {
        #[schema(
            pattern = "^[A-Za-z0-9.:\\[\\]-]+$",
            max_length = 253,
            example = "logs.example.org"
        )]
        server: String,
        #[schema(minimum = 1, maximum = 65_535, example = 6514)]
        port: u16,
        transport: SyslogTransport,
        body: SyslogBody,
        /// Syslog facility, 0 to 23.
        #[schema(minimum = 0, maximum = 23, example = 16)]
        facility: u8,
        #[schema(max_length = 20_000)]
        ca_pem: String,
    },
    /// No secret. Lines of JSON in `notifications/NAME.jsonl` of the server's data directory.
    File {
        #[schema(pattern = "^[a-z0-9][a-z0-9_-]*$", max_length = 64, example = "siem")]
        name: String,
    },
}

/// What is never shown. Absent parts are not needed by the channel.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Secrets {
    pub url: Option<String>,
    pub password: Option<String>,
    pub key: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// What a channel may use of the world.
#[derive(Clone, Debug)]
pub struct World {
    pub reach: Reach,
    /// Where lines of JSON go.
    pub files: PathBuf,
    /// What log lines call this machine.
    pub hostname: String,
}

/// One message on its way.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The same in every attempt, so that a receiver can tell a second copy.
    pub id: &'a str,
    pub message: &'a Message,
    /// Of this attempt.
    pub now: Timestamp,
}

impl ChannelConfig {
    /// The word for the type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email { .. } => "email",
            Self::Webhook { .. } => "webhook",
            Self::Slack {} => "slack",
            Self::Teams {} => "teams",
            Self::Feishu {} => "feishu",
            Self::Dingtalk {} => "dingtalk",
            Self::Wecom {} => "wecom",
            Self::Pagerduty { .. } => "pagerduty",
            Self::Syslog { .. } => "syslog",
            Self::File { .. } => "file",
        }
    }

    /// Where messages go, for people; never a secret.
    pub fn target(&self, secrets: &Secrets) -> String {
        match self {
            Self::Email { server, port, .. } => format!("{server}:{port}"),
            Self::Syslog { server, port, transport, .. } => format!("{server}:{port}/{transport}"),
            Self::Webhook { url, .. } | Self::Pagerduty { url } => net::shown_host(url),
            Self::File { name } => format!("notifications/{name}.jsonl"),
            Self::Slack {}
            | Self::Teams {}
            | Self::Feishu {}
            | Self::Dingtalk {}
            | Self::Wecom {} => net::shown_host(secrets.url.as_deref().unwrap_or_default()),
        }
    }

    /// Names of the secrets this channel must have and may have.
    pub fn secrets(&self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Email { user, .. } if user.is_empty() => (&[], &[]),
            Self::Email { .. } => (&["password"], &[]),
            Self::Webhook { .. } | Self::Pagerduty { .. } => (&["key"], &[]),
            Self::Slack {} | Self::Teams {} | Self::Wecom {} => (&["url"], &[]),
            Self::Feishu {} | Self::Dingtalk {} => (&["url"], &["key"]),
            Self::Syslog { .. } | Self::File { .. } => (&[], &[]),
        }
    }

    /// What a schema cannot say: the field and what is wrong with it.
    pub fn check(&self, secrets: &Secrets) -> Vec<(&'static str, Because)> {
        let mut wrong = Vec::new();
        let no_url = || because!("input.url", "must be an http or https address without a user");
        match self {
            Self::Webhook { url, .. } | Self::Pagerduty { url } if !net::is_url(url) => {
                wrong.push(("config.url", no_url()));
            }
            _ => {}
        }
        let ca = match self {
            Self::Email { ca_pem, .. }
            | Self::Webhook { ca_pem, .. }
            | Self::Syslog { ca_pem, .. } => ca_pem.as_str(),
            _ => "",
        };
        if let Err(why) = net::roots(ca) {
            let why = because!("input.certificates", "cannot be used: {cause}", cause = why);
            wrong.push(("config.ca_pem", why));
        }
        let given = |name: &str| match name {
            "url" => secrets.url.as_deref(),
            "password" => secrets.password.as_deref(),
            _ => secrets.key.as_deref(),
        };
        let (must, may) = self.secrets();
        for name in ["url", "password", "key"] {
            let field = match name {
                "url" => "secrets.url",
                "password" => "secrets.password",
                _ => "secrets.key",
            };
            match given(name) {
                None if must.contains(&name) => {
                    wrong.push((field, because!("input.needed", "is needed")));
                }
                Some(_) if !must.contains(&name) && !may.contains(&name) => {
                    let unused = because!("input.unused", "is not used by this type of channel");
                    wrong.push((field, unused));
                }
                Some(url) if name == "url" && !net::is_url(url) => {
                    wrong.push((field, no_url()));
                }
                _ => {}
            }
        }
        wrong
    }
}

/// Sends once.
pub async fn send(
    config: &ChannelConfig,
    secrets: &Secrets,
    world: &World,
    out: Outgoing<'_>,
) -> Result<(), SendError> {
    match config {
        ChannelConfig::Email { .. } => email::send(config, secrets, world, out).await,
        ChannelConfig::Webhook { .. } => webhook::send(config, secrets, world, out).await,
        ChannelConfig::Slack {} => slack::send(secrets, world, out).await,
        ChannelConfig::Teams {} => teams::send(secrets, world, out).await,
        ChannelConfig::Feishu {} => feishu::send(secrets, world, out).await,
        ChannelConfig::Dingtalk {} => dingtalk::send(secrets, world, out).await,
        ChannelConfig::Wecom {} => wecom::send(secrets, world, out).await,
        ChannelConfig::Pagerduty { url } => pagerduty::send(url, secrets, world, out).await,
        ChannelConfig::Syslog { .. } => syslog::send(config, world, out).await,
        ChannelConfig::File { name } => file::send(name, world, out).await,
    }
}

/// The secret a channel cannot do without. It was there when the channel was stored.
fn needed<'a>(secret: Option<&'a String>, name: &str) -> Result<&'a str, SendError> {
    secret.map(String::as_str).ok_or_else(|| {
        SendError::permanent(because!(
            "send.no_secret",
            "the channel has no {secret}: enter it anew",
            secret = name
        ))
    })
}

/// Posts JSON and returns the answer.
async fn post_json(url: &str, world: &World, body: &Value) -> Result<Vec<u8>, SendError> {
    let body = body.to_string();
    let ask = Post { url, headers: &[], body: body.as_bytes(), ca_pem: "", reach: world.reach };
    net::post(ask).await
}

/// Chat services that answer 200 whatever happened, with a number that is zero when all is well.
/// `busy` are the numbers that mean: later.
fn judge_code(host: &str, answer: &[u8], name: &str, busy: &[i64]) -> Result<(), SendError> {
    let told: Value = serde_json::from_slice(answer).unwrap_or_default();
    match told.get(name).and_then(Value::as_i64) {
        Some(0) => Ok(()),
        Some(code) => {
            let mut error = SendError::permanent(because!(
                "send.code",
                "{host} answered {name} {code}: {answer}",
                host = host,
                name = name,
                code = code,
                answer = net::quote(answer)
            ));
            if busy.contains(&code) {
                error.is_permanent = false;
                error.retry_after = Some(std::time::Duration::from_mins(1));
            }
            Err(error)
        }
        None => Err(SendError::passing(because!(
            "send.no_code",
            "{host} gave an answer without {name}: {answer}",
            host = host,
            name = name,
            answer = net::quote(answer)
        ))),
    }
}

/// Cuts to at most `most` letters and says so.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

#[cfg(test)]
pub(crate) mod tests;
