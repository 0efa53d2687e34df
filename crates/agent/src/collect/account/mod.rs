//! Accounts, from the files that login, sudo and sshd themselves read.

pub mod logins;
pub mod passwd;
mod spec;
pub mod sshd;
pub mod sudoers;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use model::asset::Row;
use model::because;
use model::because::Because;
use model::time::Timestamp;

use super::fields::{Fields, text};
use super::glob;
use super::users::PASSWD_BYTES_MAX;
use super::{Cadence, Collected, Collector, Context};
use crate::host_root::HostRoot;
use logins::LastLogins;
use passwd::{Group, Parsed, Passwd, PasswordState, Shadow};
use sshd::{Condition, Key, KeyFiles};
use sudoers::{Asker, Statement, Sudoers};

pub static COLLECTOR: Collector = Collector { spec: &spec::SPEC, cadence: Cadence::Slow, collect };

/// Largest configuration or key file.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Most files that one configuration is made of, and how deep they nest.
const INCLUDES_MAX: usize = 256;
const INCLUDE_DEPTH_MAX: usize = 16;

fn collect(context: &Context) -> Collected {
    let root = context.root;
    let mut out = Collected::default();
    let bytes = match root.read("/etc/passwd", PASSWD_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return Collected::nothing(error.because()),
    };
    let accounts = told("/etc/passwd", passwd::passwd(&bytes), &mut out);
    let shadow: HashMap<Vec<u8>, Shadow> =
        read(root, "/etc/shadow", passwd::shadow, &mut out).into_iter().collect();
    let mut groups = read(root, "/etc/group", passwd::group, &mut out);
    let own_groups = groups.len();
    groups.extend(read(root, "/etc/gshadow", passwd::gshadow, &mut out));
    let mut files = Files {
        root,
        skipped: Vec::new(),
        host: hostname(root),
        sudoers: sudoers(root, &mut out),
        authorized_keys: key_files(root, &mut out),
        logins: LastLogins::read(root, &mut out),
        keys: HashMap::new(),
        broken_keys: 0,
        group_names: group_names(groups.get(..own_groups).unwrap_or_default()),
    };
    let memberships = passwd::memberships(&groups);
    let uids = accounts.iter().fold(HashMap::<u32, usize>::new(), |mut counts, it| {
        *counts.entry(it.uid).or_default() += 1;
        counts
    });
    let mut seen = HashSet::new();
    for account in &accounts {
        if !seen.insert((account.name.as_slice(), account.uid)) {
            let name = text(&account.name);
            out.skipped.push(
                because!("account.twice", "a second line of `{name}`", name = name)
                    .at("/etc/passwd"),
            );
            continue;
        }
        let member_of = memberships.get(account.name.as_slice()).map_or(&[][..], Vec::as_slice);
        let shares_uid = uids.get(&account.uid).is_some_and(|it| *it > 1);
        let shadow = shadow.get(&account.name);
        out.rows.push(row(&mut files, account, shadow, member_of, shares_uid));
    }
    out.skipped.append(&mut files.skipped);
    let named: HashSet<&[u8]> = accounts.iter().map(|it| it.name.as_slice()).collect();
    let mut hidden: Vec<_> =
        shadow.iter().filter(|(name, _)| !named.contains(name.as_slice())).collect();
    hidden.sort_unstable_by_key(|(name, _)| name.as_slice());
    out.rows.extend(hidden.into_iter().filter_map(|(name, it)| shadow_only(name, it)));
    if files.broken_keys > 0 {
        let lines = files.broken_keys;
        out.skipped.push(because!(
            "account.no_keys",
            "lines of authorized_keys files that are no keys: {count}",
            count = lines
        ));
    }
    out
}

/// What every account is compared with.
struct Files<'a> {
    root: &'a HostRoot,
    host: String,
    sudoers: Sudoers,
    authorized_keys: KeyFiles,
    logins: LastLogins,
    /// Accounts may share a home folder.
    keys: HashMap<PathBuf, Vec<Key>>,
    broken_keys: usize,
    skipped: Vec<Because>,
    group_names: HashMap<u32, Vec<u8>>,
}

fn row(
    files: &mut Files,
    account: &Passwd,
    shadow: Option<&Shadow>,
    member_of: &[&[u8]],
    shares_uid: bool,
) -> Row {
    let name = text(&account.name);
    let own_group = files.group_names.get(&account.gid).map(|it| text(it));
    let member_of: Vec<String> = member_of.iter().map(|it| text(it)).collect();
    let mut all_groups: Vec<&str> = member_of.iter().map(String::as_str).collect();
    all_groups.extend(own_group.as_deref());
    let asker = Asker {
        name: &name,
        uid: account.uid,
        gid: account.gid,
        groups: &all_groups,
        host: &files.host,
    };
    let (sudo, nopasswd) = files.sudoers.extent(&asker);
    let home = text(&account.home);
    let places = files.authorized_keys.of(&name, account.uid, &home, &all_groups);
    let keys: Vec<String> = places.iter().flat_map(|it| keys_in(files, it)).collect();
    let login = files.logins.of(&account.name, account.uid);
    let password = match shadow {
        _ if !account.in_shadow => Some(account.password),
        Some(shadow) => Some(shadow.password),
        // Without the right to read /etc/shadow nothing is known.
        None => None,
    };
    let fields = Fields::default()
        .set("name", name.as_str())
        .set("uid", account.uid)
        .set("group", own_group.clone().unwrap_or_else(|| account.gid.to_string()))
        .list("groups", member_of.iter().cloned())
        .set("home", home)
        .text("shell", &account.shell)
        .set("shell_login", shell_login(files.root, &account.shell))
        .maybe("password", password.map(|it| it.state.as_str()))
        .maybe("password_algorithm", password.and_then(|it| it.algorithm))
        .set("sudo", sudo.as_str())
        .set("sudo_nopasswd", nopasswd)
        .set("superuser", account.uid == 0)
        .set("duplicate_uid", shares_uid)
        .list("ssh_keys", keys)
        .time("last_login_at", login.as_ref().map(|it| it.at))
        .maybe("last_login_from", login.map(|it| it.from).filter(|it| !it.is_empty()))
        .text("comment", &account.comment)
        .set("in_passwd", true);
    aged(fields, shadow).row()
}

fn aged(fields: Fields, shadow: Option<&Shadow>) -> Fields {
    let Some(shadow) = shadow else { return fields };
    let day = |it: Option<u64>| {
        let seconds = i64::try_from(it?.checked_mul(86_400)?).ok()?;
        // Years that RFC 3339 cannot write.
        (seconds < 253_402_300_800).then(|| Timestamp::from_secs(seconds))
    };
    fields
        .time("password_changed_at", day(shadow.changed_day))
        .maybe("password_min_days", shadow.min_days)
        .maybe("password_max_days", shadow.max_days)
        .maybe("password_inactive_days", shadow.inactive_days)
        .time("expires_at", day(shadow.expire_day))
}

/// A password without an account is how one hides: only those that could be used are told.
fn shadow_only(name: &[u8], shadow: &Shadow) -> Option<Row> {
    let usable = matches!(shadow.password.state, PasswordState::Set | PasswordState::Empty);
    usable.then(|| {
        let fields = Fields::default()
            .text("name", name)
            .set("password", shadow.password.state.as_str())
            .maybe("password_algorithm", shadow.password.algorithm)
            .set("in_passwd", false);
        aged(fields, Some(shadow)).row()
    })
}

fn shell_login(root: &HostRoot, shell: &[u8]) -> bool {
    let shell = if shell.is_empty() { "/bin/sh".to_owned() } else { text(shell) };
    let name = shell.rsplit('/').next().unwrap_or_default();
    !matches!(name, "nologin" | "false" | "sync" | "shutdown" | "halt")
        && root.metadata(&shell).is_ok()
}

fn keys_in(files: &mut Files, place: &str) -> Vec<String> {
    let path = Path::new(place);
    let shown = |keys: &[Key]| keys.iter().map(ToString::to_string).collect();
    if let Some(keys) = files.keys.get(path) {
        return shown(keys);
    }
    let keys = match files.root.read(path, FILE_BYTES_MAX) {
        Ok(bytes) => {
            let (keys, broken) = sshd::parse_keys(&bytes);
            files.broken_keys += broken;
            keys
        }
        // Most accounts have none: not worth remembering.
        Err(error) if error.is_absent() => return Vec::new(),
        Err(error) => {
            files.skipped.push(error.because());
            Vec::new()
        }
    };
    let shown = shown(&keys);
    files.keys.insert(path.to_owned(), keys);
    shown
}

fn group_names(groups: &[Group]) -> HashMap<u32, Vec<u8>> {
    let mut names = HashMap::new();
    for group in groups {
        if let Some(gid) = group.gid {
            names.entry(gid).or_insert_with(|| group.name.clone());
        }
    }
    names
}

fn hostname(root: &HostRoot) -> String {
    let live = if root.is_live() { "/proc/sys/kernel/hostname" } else { "/etc/hostname" };
    root.read(live, 4096).map(|it| text(it.trim_ascii())).unwrap_or_default()
}

fn read<T>(
    root: &HostRoot,
    path: &str,
    parse: impl Fn(&[u8]) -> Parsed<T>,
    out: &mut Collected,
) -> Vec<T> {
    match root.read(path, PASSWD_BYTES_MAX) {
        Ok(bytes) => told(path, parse(&bytes), out),
        Err(error) => {
            out.note(&error);
            Vec::new()
        }
    }
}

fn told<T>(path: &str, parsed: Parsed<T>, out: &mut Collected) -> Vec<T> {
    let placed = |(line, why): (Option<usize>, Because)| match line {
        Some(line) => why.at(&format!("{path}:{line}")),
        None => why.at(path),
    };
    out.skipped.extend(parsed.skipped.into_iter().map(placed));
    parsed.rows
}

/// `/etc/sudoers` and all it includes, in the order sudo reads them.
fn sudoers(root: &HostRoot, out: &mut Collected) -> Sudoers {
    let mut reader = SudoersReader { root, seen: HashSet::new(), sudoers: Sudoers::default(), out };
    reader.add(Path::new("/etc/sudoers"));
    reader.sudoers
}

struct SudoersReader<'a> {
    root: &'a HostRoot,
    /// A file that includes itself is read once.
    seen: HashSet<PathBuf>,
    sudoers: Sudoers,
    out: &'a mut Collected,
}

impl SudoersReader<'_> {
    fn add(&mut self, path: &Path) {
        if self.seen.len() >= INCLUDES_MAX {
            self.out.skipped.push(too_many_files(path));
            return;
        }
        if !self.seen.insert(path.to_owned()) {
            return;
        }
        let bytes = match self.root.read(path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) => return self.out.note(&error),
        };
        let (statements, skipped) = sudoers::parse(&bytes);
        let placed = |line: usize| {
            let why = because!("skip.line", "it is not understood");
            why.at(&format!("{}:{line}", path.display()))
        };
        self.out.skipped.extend(skipped.into_iter().map(placed));
        let beside = path.parent().unwrap_or(Path::new("/"));
        for statement in statements {
            match statement {
                Statement::Include(it) => self.add(&beside.join(it)),
                Statement::IncludeDir(it) => self.add_folder(&beside.join(it)),
                other => self.sudoers.add(other),
            }
        }
    }

    fn add_folder(&mut self, folder: &Path) {
        let entries = match self.root.read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.out.note(&error),
        };
        for entry in entries {
            let name = entry.name.to_string_lossy();
            // Editors and package managers leave such files behind.
            if !name.contains('.') && !name.ends_with('~') {
                self.add(&folder.join(&entry.name));
            }
        }
    }
}

fn too_many_files(path: &Path) -> Because {
    because!("skip.many_files", "too many included files").at(&path.display().to_string())
}

/// Every `AuthorizedKeysFile` of sshd's configuration.
fn key_files(root: &HostRoot, out: &mut Collected) -> KeyFiles {
    let mut files = KeyFiles::default();
    let mut left = INCLUDES_MAX;
    let path = Path::new("/etc/ssh/sshd_config");
    add_sshd(root, path, &[], &mut left, &mut files, out);
    files
}

fn add_sshd(
    root: &HostRoot,
    path: &Path,
    around: &[Condition],
    left: &mut usize,
    files: &mut KeyFiles,
    out: &mut Collected,
) {
    if around.len() > INCLUDE_DEPTH_MAX || *left == 0 {
        out.skipped.push(too_many_files(path));
        return;
    }
    *left -= 1;
    let bytes = match root.read(path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return out.note(&error),
    };
    let mut conditions = around.to_vec();
    for directive in sshd::parse_config(&bytes) {
        let sshd::Directive { keyword, arguments, .. } = directive;
        match keyword.as_str() {
            "match" => {
                conditions.truncate(around.len());
                conditions.push(Condition::parse(&arguments));
            }
            "include" => {
                for pattern in arguments {
                    let pattern = Path::new("/etc/ssh").join(pattern);
                    for inner in glob::expand(root, pattern) {
                        add_sshd(root, &inner, &conditions, left, files, out);
                    }
                }
            }
            "authorizedkeysfile" => files.settings.push((conditions.clone(), arguments)),
            "authorizedkeyscommand" if arguments.first().is_some_and(|it| it != "none") => {
                let why = because!("account.keys_command", "keys that AuthorizedKeysCommand gives");
                out.skipped.push(why.at(&path.display().to_string()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
