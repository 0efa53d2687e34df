//! Messages of OpenSSH and Dropbear.
//!
//! User names are chosen by whoever connects and may hold anything, ` from 1.2.3.4 port 22`
//! too. An address is therefore only taken from a place the client cannot write to: counted
//! from the end of the message, where sshd puts it after the name.

use crate::login::{Found, Method, Origin, Outcome, Service, Sign, address, origin};

/// Understands one message of `sshd`, `sshd-session` or `sshd-auth`.
pub(crate) fn parse(body: &str) -> Option<Found<'_>> {
    match body.as_bytes().first()? {
        b'F' => body.strip_prefix("Failed ").and_then(failed),
        b'A' => body.strip_prefix("Accepted ").and_then(accepted),
        b'I' => body.strip_prefix("Invalid user ").and_then(invalid),
        b'C' | b'D' => closed(body),
        b'U' => body.strip_prefix("User ").and_then(not_allowed),
        b'e' => body.strip_prefix("error: ").and_then(too_many),
        b'm' => too_many(body),
        b'f' => body.strip_prefix("fatal: ").and_then(denied_by_pam),
        _ => None,
    }
}

/// `password for [invalid user ]U from A port P ssh2[: KEY]`
fn failed(rest: &str) -> Option<Found<'_>> {
    let (method, rest) = rest.split_once(" for ")?;
    let method = self::method(method)?;
    let tail = tail(rest, method == Method::PublicKey)?;
    let (outcome, user) = who(tail.user);
    let mut found = Found::new(Service::Sshd, outcome, user, tail.origin);
    // A client offers every key it has, and asks with no secret first: one connection is
    // one failure.
    if matches!(method, Method::PublicKey | Method::Other) {
        found.sign = Sign::Connection;
    }
    (found.method, found.port, found.key) = (Some(method), tail.port, tail.key);
    Some(found)
}

/// `publickey for U from A port P ssh2[: KEY]`
fn accepted(rest: &str) -> Option<Found<'_>> {
    let (method, rest) = rest.split_once(" for ")?;
    let method = self::method(method)?;
    let tail = tail(rest, method == Method::PublicKey)?;
    let mut found = Found::new(Service::Sshd, Outcome::Success, tail.user, tail.origin);
    (found.method, found.port, found.key) = (Some(method), tail.port, tail.key);
    Some(found)
}

/// `U from A[ port P]`
fn invalid(rest: &str) -> Option<Found<'_>> {
    let (user, from) = rest.rsplit_once(" from ")?;
    let (origin, port) = address_and_port(from)?;
    let mut found = Found::new(Service::Sshd, Outcome::InvalidUser, user, origin);
    (found.port, found.sign) = (port, Sign::Connection);
    Some(found)
}

/// `Connection closed by authenticating user U A port P [preauth]` and its kin.
fn closed(body: &str) -> Option<Found<'_>> {
    const STARTS: [&str; 4] =
        ["Connection closed by ", "Connection reset by ", "Disconnected from ", "Disconnecting "];
    let rest = STARTS.iter().find_map(|it| body.strip_prefix(it))?;
    let (outcome, rest) = if let Some(rest) = rest.strip_prefix("authenticating user ") {
        (Outcome::Failure, rest)
    } else {
        (Outcome::InvalidUser, rest.strip_prefix("invalid user ")?)
    };
    let rest = rest.strip_suffix(" [preauth]")?;
    // Other reasons may quote names again, after the address.
    let rest = rest.strip_suffix(": Too many authentication failures").unwrap_or(rest);
    let (before, port) = rest.rsplit_once(" port ")?;
    let port = port.parse().ok()?;
    let (user, from) = before.rsplit_once(' ')?;
    let origin = Origin::Address(address(from)?);
    let mut found = Found::new(Service::Sshd, outcome, user, origin);
    (found.port, found.sign) = (Some(port), Sign::Connection);
    Some(found)
}

/// `U from A not allowed because REASON`: the account exists, so its name is no trick.
fn not_allowed(rest: &str) -> Option<Found<'_>> {
    let (who, _reason) = rest.split_once(" not allowed because ")?;
    let (user, from) = who.rsplit_once(" from ")?;
    let mut found = Found::new(Service::Sshd, Outcome::InvalidUser, user, origin(from));
    found.sign = Sign::Connection;
    Some(found)
}

/// `maximum authentication attempts exceeded for [invalid user ]U from A port P ssh2 [preauth]`
fn too_many(rest: &str) -> Option<Found<'_>> {
    let rest = rest.strip_prefix("maximum authentication attempts exceeded for ")?;
    let tail = tail(rest.strip_suffix(" [preauth]").unwrap_or(rest), false)?;
    let (outcome, user) = who(tail.user);
    let mut found = Found::new(Service::Sshd, outcome, user, tail.origin);
    (found.port, found.sign) = (tail.port, Sign::Connection);
    Some(found)
}

/// `Access denied for user U by PAM account configuration`: the secret was right.
fn denied_by_pam(rest: &str) -> Option<Found<'_>> {
    let rest = rest.strip_prefix("Access denied for user ")?;
    let rest = rest.strip_suffix(" [preauth]").unwrap_or(rest);
    let user = rest.strip_suffix(" by PAM account configuration")?;
    let mut found = Found::new(Service::Sshd, Outcome::Disabled, user, Origin::Unknown);
    found.sign = Sign::Connection;
    Some(found)
}

struct Tail<'t> {
    user: &'t str,
    origin: Origin,
    port: Option<u16>,
    key: Option<&'t str>,
}

/// `U from A port P ssh2`, and after a colon what is known of the key. The name stands
/// before the address and the comment of a certificate after it; a message in which both
/// could have been made up is not used.
fn tail(text: &str, keyed: bool) -> Option<Tail<'_>> {
    let (head, key) = match text.strip_suffix(" ssh2") {
        Some(head) if keyed && head.contains(" ssh2: ") => return None,
        Some(head) => (head, None),
        None => {
            let (head, info) = text.rsplit_once(" ssh2: ")?;
            let plain = plain_key(info);
            if plain.is_none() && head.contains(" ssh2: ") {
                return None;
            }
            (head, plain.or_else(|| certificate_key(info)))
        }
    };
    let (user, from) = head.rsplit_once(" from ")?;
    let (origin, port) = address_and_port(from)?;
    Some(Tail { user, origin, port, key })
}

/// `ED25519 SHA256:…` and nothing else.
fn plain_key(info: &str) -> Option<&str> {
    let (kind, key) = info.split_once(' ')?;
    let letters = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'/' | b'=' | b':');
    let sound = !kind.is_empty()
        && kind.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
        && key.bytes().all(letters);
    (sound && key.len() <= 100).then_some(key)
}

/// `ED25519-CERT SHA256:… ID … (serial 1) CA …`: the key comes first.
fn certificate_key(info: &str) -> Option<&str> {
    let mut words = info.split(' ');
    words.next().filter(|it| it.ends_with("-CERT"))?;
    words.next().filter(|it| it.starts_with("SHA256:") && it.len() <= 100)
}

/// `A port P` or, from old versions, `A` alone.
fn address_and_port(text: &str) -> Option<(Origin, Option<u16>)> {
    match text.split_once(" port ") {
        Some((from, port)) => Some((known(from)?, Some(port.parse().ok()?))),
        None => Some((known(text)?, None)),
    }
}

fn known(text: &str) -> Option<Origin> {
    match origin(text) {
        Origin::Unknown | Origin::Local => None,
        it => Some(it),
    }
}

fn who(text: &str) -> (Outcome, &str) {
    match text.strip_prefix("invalid user ") {
        Some(user) => (Outcome::InvalidUser, user),
        None => (Outcome::Failure, text),
    }
}

fn method(text: &str) -> Option<Method> {
    Some(match text {
        "password" => Method::Password,
        "publickey" => Method::PublicKey,
        "hostbased" => Method::HostBased,
        "gssapi-with-mic" | "gssapi-keyex" => Method::Gssapi,
        _ if text.starts_with("keyboard-interactive") => Method::KeyboardInteractive,
        _ if text.len() <= 32 && !text.contains(' ') => Method::Other,
        _ => return None,
    })
}

/// Understands one message of Dropbear.
pub(crate) fn parse_dropbear(body: &str) -> Option<Found<'_>> {
    let (head, from) = body.rsplit_once(" from ")?;
    let (from, port) = from.rsplit_once(':')?;
    let origin = Origin::Address(address(from)?);
    let name = |start: &str| head.strip_prefix(start);
    let (outcome, method, user) = if let Some(rest) =
        name("Bad password attempt for '").or_else(|| name("Bad PAM password attempt for '"))
    {
        (Outcome::Failure, Method::Password, rest.strip_suffix('\'')?)
    } else if head.starts_with("Login attempt for nonexistent user") {
        (Outcome::InvalidUser, Method::Password, "")
    } else if let Some(rest) = name("Password auth succeeded for '") {
        (Outcome::Success, Method::Password, rest.strip_suffix('\'')?)
    } else {
        let rest = name("Pubkey auth succeeded for '")?;
        (Outcome::Success, Method::PublicKey, rest.split_once("' with ")?.0)
    };
    let mut found = Found::new(Service::Dropbear, outcome, user, origin);
    (found.method, found.port) = (Some(method), port.parse().ok());
    Some(found)
}
