//! Messages of PAM modules, whichever program asked them.

use crate::login::{Found, Origin, Outcome, Service, Sign, origin};

/// `pam_unix(sshd:auth): authentication failure; …`, `(account): account U has expired`,
/// `(session): session opened for user U …`.
pub(crate) fn parse(body: &str) -> Option<Found<'_>> {
    if let Some(rest) = body.strip_prefix("PAM ") {
        return more(rest);
    }
    let rest = body.strip_prefix("pam_")?;
    let (_module, rest) = rest.split_once('(')?;
    let (program, rest) = rest.split_once(':')?;
    let (stage, message) = rest.split_once("): ")?;
    let service = service(program);
    match stage {
        "auth" => failure(service, message.strip_prefix("authentication failure; ")?, Sign::Pam(1)),
        "account" => expired(service, message),
        "session" => opened(service, message),
        _ => None,
    }
}

/// The service a PAM service file stands for.
fn service(program: &str) -> Service {
    match program {
        "sshd" => Service::Sshd,
        "vsftpd" | "ftp" => Service::Vsftpd,
        "su" | "su-l" => Service::Su,
        "sudo" | "sudo-i" => Service::Sudo,
        "login" | "gdm-password" | "lightdm" | "sddm" => Service::Login,
        "postgresql" => Service::Postgresql,
        "mysql" | "mariadb" => Service::Mysql,
        "dropbear" => Service::Dropbear,
        _ => Service::Pam,
    }
}

/// sshd sums up: `PAM 2 more authentication failures; logname= … rhost=A  user=U`
fn more(rest: &str) -> Option<Found<'_>> {
    let (count, rest) = rest.split_once(" more authentication failure")?;
    let count: u32 = count.parse().ok()?;
    let (_, fields) = rest.split_once("; ")?;
    failure(Service::Sshd, fields, Sign::Pam(count.min(100)))
}

/// `logname= uid=0 euid=0 tty=ssh ruser=R rhost=A  user=U`, the user left out where it is
/// not known. `ruser` and `user` may come from the client: a line in which `rhost=` stands
/// more than once is not believed.
fn failure(service: Service, fields: &str, sign: Sign) -> Option<Found<'_>> {
    let (before, rest) = fields.split_once(" rhost=")?;
    let (_, ruser) = before.split_once(" ruser=")?;
    let (host, user) = match rest.split_once(' ') {
        Some((host, rest)) => (host, rest.trim_start().strip_prefix("user=").unwrap_or_default()),
        None => (rest, ""),
    };
    let origin = if rest.contains("rhost=") {
        Origin::Unknown
    } else if !host.is_empty() {
        origin(host)
    } else if ruser.is_empty() {
        Origin::Local
    } else {
        Origin::LocalUser(ruser.to_owned())
    };
    let outcome = if user.is_empty() { Outcome::InvalidUser } else { Outcome::Failure };
    // A program without a remote side asks for the account it runs as.
    let user = if user.is_empty() && !host.is_empty() { ruser } else { user };
    let mut found = Found::new(service, outcome, user, origin);
    found.sign = sign;
    Some(found)
}

/// `account U has expired (account expired)`: PAM asks this after the secret was right.
fn expired(service: Service, message: &str) -> Option<Found<'_>> {
    let rest = message.strip_prefix("account ")?;
    let (user, _) = rest.split_once(" has expired ")?;
    let mut found = Found::new(service, Outcome::Disabled, user, Origin::Unknown);
    found.sign = Sign::Connection;
    Some(found)
}

/// `session opened for user root(uid=0) by bob(uid=1000)`. Only for programs that say
/// nothing of a success themselves, and not where root changes to a lesser account.
fn opened(service: Service, message: &str) -> Option<Found<'_>> {
    let rest = message.strip_prefix("session opened for user ")?;
    let (user, by) = rest.split_once(" by ")?;
    let name = |it: &'_ str| it.find('(').unwrap_or(it.len());
    let (user, _) = user.split_at_checked(name(user))?;
    let (by, by_uid) = by.split_at_checked(name(by))?;
    let origin = match service {
        Service::Login => Origin::Local,
        Service::Su if by.is_empty() || by == "root" || by_uid == "(uid=0)" => return None,
        Service::Su => Origin::LocalUser(by.to_owned()),
        _ => return None,
    };
    Some(Found::new(service, Outcome::Success, user, origin))
}
