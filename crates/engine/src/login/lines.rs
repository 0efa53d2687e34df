//! From lines and journal messages to attempts.

use std::borrow::Cow;

use model::time::Timestamp;

use crate::login::database::{self, Postgres};
use crate::login::header::{self, Clock};
use crate::login::{
    Attempt, Found, Service, Sign, TEXT_BYTES_MAX, USER_BYTES_MAX, cut, ftp, pam, sshd,
};

#[cfg(test)]
mod tests;

/// Longer lines are no log-in messages of any service known here.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

model::words! {
    /// How the lines of a file are laid out.
    Format {
        /// auth.log, secure: head, program and message.
        Syslog = "syslog",
        Vsftpd = "vsftpd",
        Mysql = "mysql",
        Postgresql = "postgresql",
    }
}

/// Reads the lines of one source in order.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    postgres: Postgres,
}

impl Reader {
    pub fn new(format: Format) -> Self {
        Self { format, postgres: Postgres::default() }
    }

    /// One line without its end. `None` for everything that is not about signing in.
    pub fn line(&mut self, line: &[u8], clock: Clock) -> Option<Attempt> {
        if line.len() > LINE_BYTES_MAX {
            return None;
        }
        let text = text(line);
        let line = text.trim_end_matches(['\n', '\r']);
        match self.format {
            Format::Syslog => syslog(line, clock),
            Format::Vsftpd => {
                let (at, pid, found) = ftp::parse(line, clock)?;
                Some(attempt(at, pid, found, line))
            }
            Format::Mysql => {
                let found = database::mysql(line)?;
                Some(attempt(database::mysql_time(line, clock)?, None, found, line))
            }
            Format::Postgresql => {
                let (at, pid, found) = self.postgres.line(line, clock)?;
                Some(attempt(at, pid, found, line))
            }
        }
    }
}

/// One message of the journal: the fields `SYSLOG_IDENTIFIER`, `_PID` and `MESSAGE`.
pub fn message(
    at: Timestamp,
    identifier: &str,
    pid: Option<u32>,
    message: &[u8],
) -> Option<Attempt> {
    if message.len() > LINE_BYTES_MAX {
        return None;
    }
    let text = text(message);
    let found = program(identifier, &text)?;
    let mut attempt = attempt(at, pid, found, "");
    let head = pid.map_or_else(String::new, |pid| format!("[{pid}]"));
    cut(&format!("{identifier}{head}: {text}"), TEXT_BYTES_MAX).clone_into(&mut attempt.text);
    Some(attempt)
}

/// Whether messages of this program can be about signing in at all: lets a reader of the
/// journal skip the rest without looking at the message.
pub fn is_of_interest(identifier: &str) -> bool {
    matches!(
        identifier,
        "sshd"
            | "sshd-session"
            | "sshd-auth"
            | "dropbear"
            | "vsftpd"
            | "su"
            | "sudo"
            | "login"
            | "mysqld"
            | "mariadbd"
            | "postgres"
            | "gdm-password"
            | "lightdm"
            | "proftpd"
            | "dovecot"
            | "cockpit-session"
            | "xrdp-sesman"
            | "polkit-agent-helper-1"
    )
}

fn syslog(line: &str, clock: Clock) -> Option<Attempt> {
    let head = header::parse(line)?;
    let (body, times) = repeated(head.body);
    let mut found = program(head.tag, body)?;
    found.sign = match found.sign {
        Sign::Tried(count) => Sign::Tried(count.saturating_mul(times)),
        Sign::Pam(count) => Sign::Pam(count.saturating_mul(times)),
        Sign::Connection => Sign::Connection,
    };
    Some(attempt(head.at(clock)?, head.pid, found, line))
}

/// `message repeated 3 times: [ Failed password …]`, as rsyslog shortens floods.
fn repeated(body: &str) -> (&str, u32) {
    const TIMES_MAX: u32 = 10_000;
    let inner = || {
        let (count, rest) = body.strip_prefix("message repeated ")?.split_once(" times: [")?;
        let count: u32 = count.parse().ok()?;
        Some((rest.strip_suffix(']')?.trim_start(), count.clamp(1, TIMES_MAX)))
    };
    inner().unwrap_or((body, 1))
}

/// Hands the message to whoever knows the program that wrote it.
fn program<'t>(tag: &str, body: &'t str) -> Option<Found<'t>> {
    match tag {
        "sshd" | "sshd-session" | "sshd-auth" => match body.as_bytes().first()? {
            b'p' | b'P' => pam::parse(body),
            _ => sshd::parse(body),
        },
        "dropbear" => sshd::parse_dropbear(body).or_else(|| pam::parse(body)),
        "mysqld" | "mariadbd" | "mariadb" => database::mysql(body).or_else(|| pam::parse(body)),
        _ => pam::parse(body),
    }
}

fn attempt(at: Timestamp, pid: Option<u32>, found: Found<'_>, line: &str) -> Attempt {
    Attempt {
        at,
        service: found.service,
        user: cut(found.user, USER_BYTES_MAX).to_owned(),
        origin: found.origin,
        outcome: found.outcome,
        method: found.method,
        key_fingerprint: found.key.map(str::to_owned),
        port: found.port,
        // The process that writes PostgreSQL's or vsftpd's log lives for one connection, but
        // PAM's line about it may come from another.
        pid: if found.service == Service::Vsftpd { None } else { pid },
        sign: found.sign,
        text: cut(line, TEXT_BYTES_MAX).to_owned(),
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
