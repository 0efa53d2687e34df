//! Error logs of MySQL, MariaDB and PostgreSQL.

use std::collections::VecDeque;

use model::time::Timestamp;

use crate::login::header::{Clock, iso_time};
use crate::login::{Found, Method, Origin, Outcome, Service, address, origin};

/// Connections of PostgreSQL whose address is remembered until they fail or succeed.
const CONNECTIONS_MAX: usize = 256;

/// `Access denied for user 'U'@'H' (using password: YES)`, wherever it stands in the line.
/// The host is counted from the end, where the client cannot write; the message about a
/// database that may not be used ends differently and is no failed log-in.
pub(crate) fn mysql(message: &str) -> Option<Found<'_>> {
    let head = message
        .strip_suffix(" (using password: YES)")
        .or_else(|| message.strip_suffix(" (using password: NO)"))?;
    let (head, host) = head.strip_suffix('\'')?.rsplit_once("'@'")?;
    let (_, user) = head.split_once("Access denied for user '")?;
    let mut found = Found::new(Service::Mysql, Outcome::Failure, user, origin(host));
    found.method = Some(Method::Password);
    Some(found)
}

/// Time of a MySQL (`2026-03-10T12:00:00.1Z 42 [Note]`) or MariaDB
/// (`2026-03-10 12:00:00 42 [Warning]`) line.
pub(crate) fn mysql_time(line: &str, clock: Clock) -> Option<Timestamp> {
    let end = match line.as_bytes().get(10)? {
        b'T' => line.find(' ')?,
        _ => 19,
    };
    let (stamp, _) = line.split_at_checked(end)?;
    // MariaDB does not pad the hour.
    if stamp.as_bytes().get(11) == Some(&b' ') {
        let padded = format!("{}0{}", stamp.get(..11)?, stamp.get(12..)?);
        return iso_time(&padded, clock);
    }
    iso_time(stamp, clock)
}

/// PostgreSQL says who failed, but not from where unless `log_line_prefix` has it; with
/// `log_connections` the address comes in an earlier line of the same process.
#[derive(Debug, Default)]
pub(crate) struct Postgres {
    connections: VecDeque<(u32, Origin)>,
}

impl Postgres {
    /// Understands one line; gives its time, process and what it says.
    pub(crate) fn line<'t>(
        &mut self,
        line: &'t str,
        clock: Clock,
    ) -> Option<(Timestamp, Option<u32>, Found<'t>)> {
        // Continuation lines start with a tab and are the client's words.
        if !line.as_bytes().first()?.is_ascii_digit() {
            return None;
        }
        let (prefix, level, message) = split_level(line)?;
        let pid = process(prefix);
        if level == "LOG" {
            return self.log(prefix, pid, message, clock);
        }
        let user = failed_user(message)?;
        let mut origin = pid.and_then(|pid| self.take(pid)).unwrap_or(Origin::Unknown);
        if origin == Origin::Unknown {
            origin = prefix_origin(prefix, user);
        }
        let mut found = Found::new(Service::Postgresql, Outcome::Failure, user, origin);
        found.method = Some(Method::Password);
        Some((time(prefix, clock)?, pid, found))
    }

    fn log<'t>(
        &mut self,
        prefix: &str,
        pid: Option<u32>,
        message: &'t str,
        clock: Clock,
    ) -> Option<(Timestamp, Option<u32>, Found<'t>)> {
        if let Some(rest) = message.strip_prefix("connection received: host=") {
            let host = rest.split_once(' ').map_or(rest, |(host, _)| host);
            let origin = if host == "[local]" { Origin::Local } else { origin(host) };
            if self.connections.len() >= CONNECTIONS_MAX {
                self.connections.pop_front();
            }
            self.connections.push_back((pid?, origin));
            return None;
        }
        let rest = message.strip_prefix("connection authorized: user=")?;
        let user = rest.split_once(" database=").map_or(rest, |(user, _)| user);
        let origin = pid.and_then(|pid| self.take(pid)).unwrap_or(Origin::Unknown);
        let mut found = Found::new(Service::Postgresql, Outcome::Success, user, origin);
        found.method = Some(Method::Password);
        Some((time(prefix, clock)?, pid, found))
    }

    fn take(&mut self, pid: u32) -> Option<Origin> {
        let index = self.connections.iter().rposition(|(it, _)| *it == pid)?;
        self.connections.remove(index).map(|(_, origin)| origin)
    }
}

/// The first level word ends the prefix; names in the prefix that hold one make the rest of
/// the line no known message.
fn split_level(line: &str) -> Option<(&str, &'static str, &str)> {
    [("FATAL", "FATAL:  "), ("LOG", "LOG:  ")].into_iter().find_map(|(level, mark)| {
        let (prefix, message) = line.split_once(mark)?;
        Some((prefix, level, message))
    })
}

/// The number in the first brackets, as `%p` is written in every common prefix.
fn process(prefix: &str) -> Option<u32> {
    let (_, rest) = prefix.split_once('[')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.split_at_checked(digits)?.0.parse().ok()
}

fn failed_user(message: &str) -> Option<&str> {
    const STARTS: [&str; 5] = [
        "password authentication failed for user \"",
        "PAM authentication failed for user \"",
        "LDAP authentication failed for user \"",
        "Peer authentication failed for user \"",
        "Ident authentication failed for user \"",
    ];
    if let Some(rest) = message.strip_prefix("no pg_hba.conf entry for host ") {
        let (_, rest) = rest.split_once("user \"")?;
        return rest.split_once("\", database \"").map(|(user, _)| user);
    }
    let rest = STARTS.iter().find_map(|it| message.strip_prefix(it))?;
    rest.strip_suffix('"')
}

/// The one address among the words of the prefix (`203.0.113.9(5432)`, `client=203.0.113.9`).
/// User and database stand in many prefixes too: a name with an address in it, or two
/// addresses, and the line is not believed.
fn prefix_origin(prefix: &str, user: &str) -> Origin {
    let find = |text: &str| -> Vec<std::net::IpAddr> {
        let words = text.split([' ', ',', '=', '(', ')', '@', '|', ';']);
        words.filter_map(address).collect()
    };
    // `user@database` puts the client's words beside an `@`, never the address.
    if !find(user).is_empty() || prefix.contains('@') {
        return Origin::Unknown;
    }
    match find(prefix).as_slice() {
        [one] => Origin::Address(*one),
        _ => Origin::Unknown,
    }
}

/// `2026-03-10 12:00:00.123 UTC`: a zone other than UTC is the host's.
fn time(prefix: &str, clock: Clock) -> Option<Timestamp> {
    let end = prefix.get(19..)?.find([' ', '[']).map_or(prefix.len(), |it| it + 19);
    let (stamp, rest) = prefix.split_at_checked(end)?;
    let zone = rest.trim_start();
    let utc = zone.starts_with("UTC") || zone.starts_with("GMT") || zone.starts_with("Etc/UTC");
    iso_time(stamp, if utc { Clock { utc_offset_s: 0, ..clock } } else { clock })
}
