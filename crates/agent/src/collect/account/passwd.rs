//! passwd(5), shadow(5), group(5) and gshadow(5).

use std::collections::HashMap;

use model::because;
use model::because::Because;

use crate::collect::process::parse::number;

/// Most lines named that could not be understood; the rest is counted.
const BAD_LINES_MAX: usize = 10;

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passwd {
    pub name: Vec<u8>,
    /// The password field: `x` where `/etc/shadow` holds it.
    pub password: Password,
    pub in_shadow: bool,
    pub uid: u32,
    pub gid: u32,
    pub comment: Vec<u8>,
    pub home: Vec<u8>,
    pub shell: Vec<u8>,
}

/// What a password field says, without the hash itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Password {
    pub state: PasswordState,
    /// How the password is hashed, where there is a hash.
    pub algorithm: Option<&'static str>,
}

model::words! {
    PasswordState {
        /// Anyone may log in without one.
        Empty = "empty",
        /// There never was one: keys and sudo still work.
        Disabled = "disabled",
        /// There is a hash behind a `!`.
        Locked = "locked",
        Set = "set",
    }
}

/// A line of `/etc/shadow`. Days count from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    pub password: Password,
    pub changed_day: Option<u64>,
    pub min_days: Option<u64>,
    pub max_days: Option<u64>,
    pub inactive_days: Option<u64>,
    pub expire_day: Option<u64>,
}

/// A line of `/etc/group` or `/etc/gshadow`; the latter has no gid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: Vec<u8>,
    pub gid: Option<u32>,
    pub members: Vec<Vec<u8>>,
}

/// What a file held, and which lines were left out and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    pub rows: Vec<T>,
    /// The line, where it is one, and what is wrong with it.
    pub skipped: Vec<(Option<usize>, Because)>,
}

/// Applies `parse` to each line that is not blank or a comment.
fn lines<T>(bytes: &[u8], parse: impl Fn(&[&[u8]]) -> Result<T, Because>) -> Parsed<T> {
    let mut out = Parsed { rows: Vec::new(), skipped: Vec::new() };
    let mut bad = 0;
    for (index, line) in bytes.split(|it| *it == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let fields: Vec<&[u8]> = line.split(|it| *it == b':').collect();
        match parse(&fields) {
            Ok(row) => out.rows.push(row),
            Err(why) => {
                bad += 1;
                if bad <= BAD_LINES_MAX {
                    out.skipped.push((Some(index + 1), why));
                }
            }
        }
    }
    if bad > BAD_LINES_MAX {
        let more = bad - BAD_LINES_MAX;
        let why = because!("skip.more_lines", "more lines like these: {more}", more = more);
        out.skipped.push((None, why));
    }
    out
}

pub fn passwd(bytes: &[u8]) -> Parsed<Passwd> {
    lines(bytes, |fields| {
        let [name, password, uid, gid, comment, home, shell] = fields else {
            let nis = fields.first().is_some_and(|it| it.starts_with(b"+") || it.starts_with(b"-"));
            return Err(if nis {
                because!("account.nis", "accounts of NIS are not followed")
            } else {
                because!("account.seven", "not seven fields")
            });
        };
        let id = |digits: &[u8]| number(digits).and_then(|it| u32::try_from(it).ok());
        Ok(Passwd {
            name: name.to_vec(),
            password: password_field(password),
            in_shadow: *password == b"x",
            uid: id(uid).ok_or_else(|| because!("account.uid", "the uid is no number"))?,
            gid: id(gid).ok_or_else(no_gid)?,
            comment: comment.to_vec(),
            home: home.to_vec(),
            shell: shell.to_vec(),
        })
    })
}

pub fn shadow(bytes: &[u8]) -> Parsed<(Vec<u8>, Shadow)> {
    lines(bytes, |fields| {
        let (Some(name), Some(password)) = (fields.first(), fields.get(1)) else {
            return Err(because!("account.two", "not two fields"));
        };
        let days = |at: usize| fields.get(at).and_then(|it| number(it));
        let shadow = Shadow {
            password: password_field(password),
            changed_day: days(2),
            min_days: days(3),
            max_days: days(4),
            inactive_days: days(6),
            expire_day: days(7),
        };
        Ok((name.to_vec(), shadow))
    })
}

pub fn group(bytes: &[u8]) -> Parsed<Group> {
    lines(bytes, |fields| {
        let [name, _, gid, members] = fields else { return Err(not_four()) };
        let gid = number(gid).and_then(|it| u32::try_from(it).ok());
        let gid = Some(gid.ok_or_else(no_gid)?);
        Ok(Group { name: name.to_vec(), gid, members: list(members) })
    })
}

pub fn gshadow(bytes: &[u8]) -> Parsed<Group> {
    lines(bytes, |fields| {
        let [name, _, _, members] = fields else { return Err(not_four()) };
        Ok(Group { name: name.to_vec(), gid: None, members: list(members) })
    })
}

fn no_gid() -> Because {
    because!("account.gid", "the gid is no number")
}

fn not_four() -> Because {
    because!("account.four", "not four fields")
}

fn list(members: &[u8]) -> Vec<Vec<u8>> {
    let members = members.split(|it| *it == b',').map(<[u8]>::trim_ascii);
    members.filter(|it| !it.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Names of the groups of each account, its own group apart.
pub fn memberships(groups: &[Group]) -> HashMap<&[u8], Vec<&[u8]>> {
    let mut out: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for group in groups {
        for member in &group.members {
            let names = out.entry(member).or_default();
            if !names.contains(&group.name.as_slice()) {
                names.push(&group.name);
            }
        }
    }
    out
}

/// The second field of passwd and shadow. The algorithms are those of crypt(5).
pub fn password_field(field: &[u8]) -> Password {
    let of = |state, algorithm| Password { state, algorithm };
    if field.is_empty() {
        return of(PasswordState::Empty, None);
    }
    let locked = field.starts_with(b"!");
    let marks = field.iter().take_while(|it| **it == b'!').count();
    let hash = field.get(marks..).unwrap_or_default();
    match (algorithm(hash), locked) {
        (Some(it), true) => of(PasswordState::Locked, Some(it)),
        (Some(it), false) => of(PasswordState::Set, Some(it)),
        (None, _) => of(PasswordState::Disabled, None),
    }
}

fn algorithm(hash: &[u8]) -> Option<&'static str> {
    const PREFIXES: [(&[u8], &str); 13] = [
        (b"$y$", "yescrypt"),
        (b"$gy$", "gost-yescrypt"),
        (b"$7$", "scrypt"),
        (b"$2a$", "bcrypt"),
        (b"$2b$", "bcrypt"),
        (b"$2x$", "bcrypt"),
        (b"$2y$", "bcrypt"),
        (b"$6$", "sha512crypt"),
        (b"$5$", "sha256crypt"),
        (b"$sha1", "sha1crypt"),
        (b"$md5", "sunmd5"),
        (b"$1$", "md5crypt"),
        (b"$3$", "nt"),
    ];
    if let Some((_, name)) = PREFIXES.iter().find(|(prefix, _)| hash.starts_with(prefix)) {
        return Some(name);
    }
    let digits = hash
        .iter()
        .skip_while(|it| **it == b'_')
        .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'/'));
    match (hash.len(), hash.first()) {
        (13, _) if digits && hash.first() != Some(&b'_') => Some("descrypt"),
        (20, Some(b'_')) if digits => Some("bsdicrypt"),
        _ => None,
    }
}
