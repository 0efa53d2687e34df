//! Log-in attacks: from log lines to attempts, and from attempts to findings.
//!
//! [`lines`] understands what services write, one line at a time. [`correlate`] keeps what
//! it has seen of sources, accounts and past log-ins within named limits and decides.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use model::asset::Row;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod alarms;
mod bounded;
pub mod correlate;
mod database;
mod ftp;
pub mod header;
mod history;
pub mod lines;
mod merge;
mod pam;
mod sshd;

#[cfg(test)]
mod tests;

/// Longest user name kept; longer ones are cut, as nothing real has them.
pub const USER_BYTES_MAX: usize = 128;
/// Longest part of a log line kept as evidence.
pub const TEXT_BYTES_MAX: usize = 400;

/// Uids from 1 up to here are those of services, by `SYS_UID_MAX` of login.defs.
const SERVICE_UID_MAX: i64 = 999;

/// The accounts that should let nobody in, from rows of the `account` table: expired ones, and
/// those without a shell that belong to a service or have neither password nor key. Accounts
/// without a shell but with a password or a key are left: they are made for file transfer.
pub fn disabled_accounts(rows: &[Row], now: Timestamp) -> BTreeSet<String> {
    let disabled = |row: &&Row| {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let expired = text("expires_at")
            .and_then(|it| it.parse::<Timestamp>().ok())
            .is_some_and(|it| it <= now);
        let no_shell = row.get("shell_login").and_then(Value::as_bool) == Some(false);
        let uid = row.get("uid").and_then(Value::as_i64);
        let is_service = uid.is_some_and(|it| (1..=SERVICE_UID_MAX).contains(&it));
        let password = matches!(text("password"), Some("set" | "empty") | None);
        let keys = row.get("ssh_keys").and_then(Value::as_array).is_some_and(|it| !it.is_empty());
        expired || (no_shell && (is_service || !(password || keys)))
    };
    let name = |row: &Row| row.get("name").and_then(Value::as_str).map(str::to_owned);
    rows.iter().filter(disabled).filter_map(name).collect()
}

model::words! {
    /// What somebody tried to sign in to.
    Service {
        Sshd = "sshd",
        Dropbear = "dropbear",
        Vsftpd = "vsftpd",
        Mysql = "mysql",
        Postgresql = "postgresql",
        Su = "su",
        Sudo = "sudo",
        /// A console or a terminal.
        Login = "login",
        /// Any other program that asks PAM.
        Pam = "pam",
    }
}

model::words! {
    Outcome {
        Success = "success",
        Failure = "failure",
        /// The account does not exist, or may not use the service.
        InvalidUser = "invalid_user",
        /// The secret was right, but the account is locked or expired.
        Disabled = "disabled",
    }
}

model::words! {
    Method {
        Password = "password",
        PublicKey = "publickey",
        KeyboardInteractive = "keyboard-interactive",
        HostBased = "hostbased",
        Gssapi = "gssapi",
        Other = "other",
    }
}

/// Where an attempt came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Address(IpAddr),
    /// The service logged a name instead of an address.
    Name(String),
    /// Somebody who is signed in on the host already.
    LocalUser(String),
    /// The host itself, nobody known.
    Local,
    /// The line does not say, or says it in a way an attacker could have written.
    Unknown,
}

impl Origin {
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            _ => None,
        }
    }

    /// What is counted as one source: an IPv6 address stands for its /64, because whoever
    /// has one address of a /64 has all of them.
    pub fn source(&self) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::LocalUser(user) => write!(f, "local:{user}"),
            Self::Local => f.write_str("local"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// What kind of account of an attempt a line gives. One wrong password makes up to four
/// lines; the highest count of any one kind is the number of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// The service's own line, one for each secret tried.
    Tried(u32),
    /// PAM's line about the same secrets.
    Pam(u32),
    /// At least one failure in this connection, however often it is said.
    Connection,
}

/// One log line about signing in, understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub at: Timestamp,
    pub service: Service,
    /// As the client sent it; empty where the line does not say.
    pub user: String,
    pub origin: Origin,
    pub outcome: Outcome,
    pub method: Option<Method>,
    /// `SHA256:…` of the key that was used.
    pub key_fingerprint: Option<String>,
    pub port: Option<u16>,
    /// Process that wrote the line: ties the lines of one connection together.
    pub pid: Option<u32>,
    pub sign: Sign,
    /// The line itself, for evidence.
    pub text: String,
}

/// What a parser of one service found in a message; the caller adds time, process and text.
#[derive(Debug)]
pub(crate) struct Found<'t> {
    pub(crate) service: Service,
    pub(crate) user: &'t str,
    pub(crate) origin: Origin,
    pub(crate) outcome: Outcome,
    pub(crate) method: Option<Method>,
    pub(crate) key: Option<&'t str>,
    pub(crate) port: Option<u16>,
    pub(crate) sign: Sign,
}

impl<'t> Found<'t> {
    pub(crate) fn new(service: Service, outcome: Outcome, user: &'t str, origin: Origin) -> Self {
        let sign = Sign::Tried(1);
        Self { service, user, origin, outcome, method: None, key: None, port: None, sign }
    }
}

/// An address as services write it: IPv4-mapped IPv6 as IPv4, without scope or brackets.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    let bare = bare.split_once('%').map_or(bare, |(before, _)| before);
    bare.parse::<IpAddr>().ok().map(|it| it.to_canonical())
}

/// [`address`], or the name of a host, or unknown.
pub(crate) fn origin(text: &str) -> Origin {
    let named = |it: &str| {
        it.len() <= 253
            && it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'_'))
    };
    match address(text) {
        Some(it) => Origin::Address(it),
        None if text.is_empty() || text == "localhost" => Origin::Local,
        None if text == "UNKNOWN" || text == "?" || !named(text) => Origin::Unknown,
        None => Origin::Name(text.to_ascii_lowercase()),
    }
}

/// At most `max` bytes of `text`, cut between letters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at(end).0
}
