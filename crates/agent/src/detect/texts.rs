//! The last content of small text files that matter (accounts, cron, log-in keys, services),
//! so that an alarm can show what changed.
//!
//! Secrets are not kept: of password hashes and keys only names and short digests are, and lines
//! of other files pass through [`crate::collect::mask`] first.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::{BASE64, BASE64_NOPAD};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::names::{TargetKind, is_watched_text, target_kind};
use crate::collect::mask;
use crate::host_root::{FileKind, HostRoot};
use crate::state::{self, StateError};

/// Most files whose text is kept.
pub const FILES_MAX: usize = 1024;
/// Largest file whose text is kept.
pub const FILE_BYTES_MAX: usize = 64 << 10;
/// All kept text together.
pub const ALL_BYTES_MAX: usize = 4 << 20;
/// Most lines of a change that are told, of each side.
const LINES_MAX: usize = 20;
const LINE_CHARS_MAX: usize = 300;
const STATE_BYTES_MAX: usize = 16 << 20;
/// Between two looks for changes no event told of, and the files compared in one.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_FILES_MAX: usize = 16;
/// A change this young may still be told by an event.
const LOOK_AGE_MIN_NS: i64 = 5_000_000_000;

/// Between two files that are read again although nothing says that they changed.
const AGAIN_EVERY: Duration = Duration::from_secs(1);
/// Those that are read again most often: one line in them makes a root.
const AGAIN_FIRST: [&str; 4] = ["/etc/passwd", "/etc/shadow", "/etc/sudoers", "/etc/crontab"];

/// Folders whose files are read at the start, not below.
#[rustfmt::skip]
const FOLDERS: [&str; 24] = [
    "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly",
    "/var/spool/cron", "/var/spool/cron/crontabs", "/etc/pam.d", "/etc/sudoers.d", "/etc/profile.d",
    "/etc/systemd/system", "/etc/systemd/user", "/etc/ssh", "/etc/ssh/sshd_config.d", "/etc/ld.so.conf.d",
    "/etc/init.d", "/etc/udev/rules.d", "/etc/update-motd.d", "/etc/rsyslog.d", "/etc/audit", "/etc/audit/rules.d",
    "/etc/security", "/usr/local/lib/systemd/system", "/etc/xdg/autostart",
];
#[rustfmt::skip]
const FILES: [&str; 24] = [
    "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/sudoers", "/etc/crontab", "/etc/anacrontab",
    "/etc/profile", "/etc/bash.bashrc", "/etc/bashrc", "/etc/environment", "/etc/ld.so.preload", "/etc/ld.so.conf",
    "/etc/rc.local", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/rsyslog.conf", "/etc/login.defs",
    "/etc/subuid", "/etc/subgid", "/etc/doas.conf", "/etc/inittab", "/etc/pam.conf",
];
/// In each home.
const AT_HOME: [&str; 8] = [
    ".ssh/authorized_keys",
    ".ssh/config",
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".config/systemd/user",
];

/// What became of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub removed: Vec<String>,
    pub added: Vec<String>,
    /// Lines left out.
    pub omitted: u64,
}

/// A change of a file that no event told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    pub path: String,
    pub change: Change,
    /// The file says by its times, size or inode that it was written.
    pub is_stamped: bool,
}

/// How a look at one file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    Changed(Change),
    Same,
    /// Nothing was known of it before, or it is no small text.
    Unknown,
}

type Stamp = (u64, u64, i64);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept(BTreeMap<String, String>);

/// Texts by path.
#[derive(Debug, Default)]
pub struct Texts {
    kept: Kept,
    stamps: HashMap<String, Stamp>,
    extra: Vec<String>,
    file: Option<PathBuf>,
    bytes: usize,
    changed: bool,
    /// What was different when the agent started.
    while_away: Vec<(String, Change)>,
    /// Where looking goes on, and when it last did.
    next: usize,
    looked_at: Option<Timestamp>,
    /// Files that are not there any more, and since which look: their end may still be told.
    gone: HashMap<String, Timestamp>,
    /// Files that are read again although nothing says that they changed: where that goes on, and
    /// when it last did.
    again: usize,
    again_at: Option<Timestamp>,
    /// Texts that found no room.
    pub overflowed: u64,
}

impl Texts {
    /// Reads what was kept in `file` and what stands on the host now. `extra` are files and
    /// folders beyond the built-in ones.
    pub fn load(file: Option<&Path>, root: &HostRoot, extra: &[String]) -> Self {
        let kept: Option<Kept> = file
            .and_then(|it| state::read(it, STATE_BYTES_MAX))
            .and_then(|it| serde_json::from_slice(&it).ok());
        let mut it = Self {
            bytes: kept.iter().flat_map(|it| it.0.values()).map(String::len).sum(),
            kept: kept.unwrap_or_default(),
            extra: extra.to_vec(),
            file: file.map(ToOwned::to_owned),
            ..Self::default()
        };
        for path in places(root, extra) {
            if let Compared::Changed(change) = it.compare(root, &path, false) {
                it.while_away.push((path, change));
            }
        }
        it
    }

    /// The text of this file is worth a look.
    pub fn is_watched(&self, path: &str, kind: TargetKind) -> bool {
        let below = |it: &String| {
            path.strip_prefix(it.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let secret_kept = kind != TargetKind::Secret || is_account_secret(path);
        (is_watched_text(kind) && secret_kept) || self.extra.iter().any(below)
    }

    /// Compares the file with what was kept, which it then is. `created`: there was none before.
    pub fn compare(&mut self, root: &HostRoot, path: &str, created: bool) -> Compared {
        let stamp = root.metadata(path).ok().filter(|it| it.kind == FileKind::File);
        let Some(found) = stamp else {
            return match self.forget(path) {
                Some(old) => Compared::Changed(diff(&old, "")),
                None => Compared::Unknown,
            };
        };
        let stamp = (found.inode, found.size, found.changed_ns);
        let Ok(bytes) = root.read(path, FILE_BYTES_MAX) else { return Compared::Unknown };
        let Ok(text) = String::from_utf8(bytes) else { return Compared::Unknown };
        let text = without_secrets(path, &text);
        self.stamps.insert(path.to_owned(), stamp);
        let old = self.forget_text(path);
        let compared = match &old {
            Some(old) if *old == text => Compared::Same,
            Some(old) => Compared::Changed(diff(old, &text)),
            None if created => Compared::Changed(diff("", &text)),
            None => Compared::Unknown,
        };
        self.changed |= compared != Compared::Same;
        if self.kept.0.len() < FILES_MAX && self.bytes + text.len() <= ALL_BYTES_MAX {
            self.bytes += text.len();
            self.kept.0.insert(path.to_owned(), text);
        } else {
            self.overflowed += 1;
        }
        compared
    }

    /// Changes that nobody told of: those from before the start, and those a few files at a time
    /// show now.
    pub fn look(&mut self, root: &HostRoot, now: Timestamp) -> Vec<Unseen> {
        let away = std::mem::take(&mut self.while_away).into_iter();
        let mut found: Vec<Unseen> =
            away.map(|(path, change)| Unseen { path, change, is_stamped: true }).collect();
        if self.looked_at.is_some_and(|at| !now.is_due(at, LOOK_EVERY)) {
            return found;
        }
        self.looked_at = Some(now);
        let paths: Vec<String> =
            self.kept.0.keys().skip(self.next).take(LOOK_FILES_MAX).cloned().collect();
        self.next = if paths.len() < LOOK_FILES_MAX { 0 } else { self.next + LOOK_FILES_MAX };
        for path in paths {
            let there = root.metadata(&path).ok();
            let stamp = there.map(|it| (it.inode, it.size, it.changed_ns));
            // A link that leads nowhere any more did not change; what it led to has its own name.
            if there.is_none() && root.symlink_metadata(&path).is_ok() {
                self.forget(&path);
                continue;
            }
            let since_ns = if let Some(it) = there {
                self.gone.remove(&path);
                it.changed_ns
            } else {
                self.gone.entry(path.clone()).or_insert(now).0.saturating_mul(1000)
            };
            let age_ns = now.0.saturating_mul(1000).saturating_sub(since_ns);
            // One long yet to come was made by a clock that was set back since.
            let settled = age_ns.abs() > LOOK_AGE_MIN_NS;
            if stamp == self.stamps.get(&path).copied() || !settled {
                continue;
            }
            if let Compared::Changed(change) = self.compare(root, &path, false) {
                found.push(Unseen { path, change, is_stamped: true });
            }
        }
        if self.again_at.is_none_or(|at| now.is_due(at, AGAIN_EVERY)) {
            self.again_at = Some(now);
            found.extend(self.look_again(root));
        }
        found
    }

    /// Reads one file although its stamp is the old one: what a hole in the kernel writes into
    /// the cached pages of a file leaves no other trace. In turn one of those that are worth it
    /// most, and one of all.
    fn look_again(&mut self, root: &HostRoot) -> Option<Unseen> {
        let (round, is_one_of_all) = (self.again / 2, self.again % 2 == 1);
        self.again = self.again.wrapping_add(1);
        let path = if is_one_of_all {
            let keys = &self.kept.0;
            keys.keys().nth(round.checked_rem(keys.len())?)?.clone()
        } else {
            (*AGAIN_FIRST.get(round % AGAIN_FIRST.len())?).to_owned()
        };
        let there = root.metadata(&path).ok()?;
        let stamp = (there.inode, there.size, there.changed_ns);
        if self.stamps.get(&path) != Some(&stamp) {
            return None;
        }
        let Compared::Changed(change) = self.compare(root, &path, false) else { return None };
        // An ordinary write while it was read has made the stamp another one.
        let later = root.metadata(&path).ok()?;
        let is_stamped = (later.inode, later.size, later.changed_ns) != stamp;
        Some(Unseen { path, change, is_stamped })
    }

    /// Writes the texts down, readable by nobody else.
    pub fn keep(&mut self) -> Result<(), StateError> {
        if let Some(file) = self.file.as_deref().filter(|_| self.changed) {
            state::write_json(file, &self.kept)?;
            self.changed = false;
        }
        Ok(())
    }

    /// A file got another name in its folder, of which an event told.
    pub fn moved(&mut self, from: &str, to: &str) {
        if Path::new(from).parent() == Path::new(to).parent() {
            self.forget(from);
        }
    }

    fn forget(&mut self, path: &str) -> Option<String> {
        self.stamps.remove(path);
        self.gone.remove(path);
        self.changed = true;
        self.forget_text(path)
    }

    fn forget_text(&mut self, path: &str) -> Option<String> {
        let old = self.kept.0.remove(path)?;
        self.bytes = self.bytes.saturating_sub(old.len());
        Some(old)
    }
}

/// Everything that is read at the start.
fn places(root: &HostRoot, extra: &[String]) -> Vec<String> {
    let mut all: Vec<String> = FILES.iter().map(ToString::to_string).collect();
    let mut folders: Vec<String> = FOLDERS.iter().map(ToString::to_string).collect();
    for home in homes(root) {
        for name in AT_HOME {
            all.push(format!("{home}/{name}"));
        }
        folders.push(format!("{home}/.config/systemd/user"));
    }
    for path in extra {
        all.push(path.clone());
        folders.push(path.clone());
    }
    for folder in folders {
        for entry in root.read_dir(&folder).unwrap_or_default() {
            if entry.kind == FileKind::File
                && let Some(name) = entry.name.to_str()
            {
                all.push(format!("{folder}/{name}"));
            }
        }
    }
    all.retain(|path| {
        let kind = target_kind(path);
        let watched = is_watched_text(kind) || extra.iter().any(|it| path.starts_with(it.as_str()));
        watched && (kind != TargetKind::Secret || is_account_secret(path))
    });
    all.truncate(FILES_MAX);
    all
}

fn homes(root: &HostRoot) -> Vec<String> {
    let passwd = root.read("/etc/passwd", FILE_BYTES_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&passwd);
    let mut homes: Vec<String> = text
        .lines()
        .filter_map(|it| it.split(':').nth(5))
        .filter(|it| it.starts_with("/home/") || *it == "/root" || it.starts_with("/var/lib/"))
        .map(ToOwned::to_owned)
        .collect();
    homes.sort_unstable();
    homes.dedup();
    homes
}

fn is_account_secret(path: &str) -> bool {
    matches!(path, "/etc/shadow" | "/etc/gshadow")
}

/// What may be kept and shown of a text.
fn without_secrets(path: &str, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let is_keys = target_kind(path) == TargetKind::LoginKey;
    for line in text.lines() {
        let line: String = if is_account_secret(path) {
            account_line(line)
        } else if is_keys {
            key_line(line)
        } else if line.contains(['=', ':', '@']) || line.len() > 40 {
            mask::command(&[line.as_bytes().to_vec()])
        } else {
            line.to_owned()
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// `NAME:HASH:...` as the name and whether anybody can sign in; the digest tells a new hash.
fn account_line(line: &str) -> String {
    let (name, rest) = line.split_once(':').unwrap_or((line, ""));
    let hash = rest.split(':').next().unwrap_or_default();
    let what = match hash.chars().next() {
        None => "no password",
        Some('!' | '*') => "locked",
        Some(_) => "password",
    };
    let digest = BASE64_NOPAD.encode(&Sha256::digest(line.as_bytes()));
    format!("{name}: {what} ({})", digest.get(..8).unwrap_or_default())
}

/// `[OPTIONS] TYPE KEY [COMMENT]` as its type, the fingerprint OpenSSH shows, and the comment.
fn key_line(line: &str) -> String {
    let mut words = line.split_whitespace();
    let Some(place) = words
        .clone()
        .position(|it| ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| it.starts_with(kind)))
    else {
        return if line.starts_with('#') { line.to_owned() } else { "(no key)".to_owned() };
    };
    let options = if place > 0 { "with options " } else { "" };
    let kind = words.nth(place).unwrap_or_default();
    let key = BASE64.decode(words.next().unwrap_or_default().as_bytes()).unwrap_or_default();
    let print = BASE64_NOPAD.encode(&Sha256::digest(&key));
    let comment: Vec<&str> = words.collect();
    format!("{options}{kind} SHA256:{print} {}", comment.join(" ")).trim_end().to_owned()
}

/// Lines removed and added. What stands equal at both ends is left out, then equal lines.
pub fn diff(old: &str, new: &str) -> Change {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = |it: &[&str]| it.len().saturating_sub(head);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(rest(&old)).min(rest(&new));
    let middle = |it: &[&str]| {
        let end = it.len() - tail;
        it.get(head..end).unwrap_or_default().iter().map(ToString::to_string).collect()
    };
    let (removed, added): (Vec<String>, Vec<String>) = (middle(&old), middle(&new));
    let mut removed_only = without(&removed, &added);
    let mut added_only = without(&added, &removed);
    let over = |it: &Vec<String>| it.len().saturating_sub(LINES_MAX) as u64;
    let omitted = over(&removed_only) + over(&added_only);
    for lines in [&mut removed_only, &mut added_only] {
        lines.truncate(LINES_MAX);
        for line in lines {
            if line.chars().count() > LINE_CHARS_MAX {
                *line = line.chars().take(LINE_CHARS_MAX).chain(['…']).collect();
            }
        }
    }
    Change { removed: removed_only, added: added_only, omitted }
}

/// The lines that are not among `others`, each of which counts once.
fn without(lines: &[String], others: &[String]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for line in others {
        *counts.entry(line).or_default() += 1;
    }
    let is_new = |line: &&String| match counts.get_mut(line.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    lines.iter().filter(is_new).cloned().collect()
}

impl Change {
    /// As the field of an event: `-` and `+` before each line.
    pub fn text(&self) -> String {
        let minus = self.removed.iter().map(|it| format!("-{it}\n"));
        let plus = self.added.iter().map(|it| format!("+{it}\n"));
        let mut out: String = minus.chain(plus).collect();
        if self.omitted > 0 {
            out.extend(["@", &self.omitted.to_string(), "\n"]);
        }
        out.truncate(out.trim_end_matches('\n').len());
        out
    }

    /// The other way round.
    pub fn parse(text: &str) -> Self {
        let mut it = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix('-') {
                it.removed.push(rest.to_owned());
            } else if let Some(rest) = line.strip_prefix('+') {
                it.added.push(rest.to_owned());
            } else if let Some(rest) = line.strip_prefix('@') {
                it.omitted = rest.parse().unwrap_or(0);
            }
        }
        it
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(it: &[&str]) -> Vec<String> {
        it.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn differences() {
        for (old, new, removed, added) in [
            ("", "a\n", vec![], vec!["a"]),
            ("a\nb\nc\n", "a\nx\nc\n", vec!["b"], vec!["x"]),
            ("a\na\n", "a\n", vec!["a"], vec![]),
            ("a\nb\n", "b\na\n", vec![], vec![]),
            ("a\nb\nc\nd\n", "a\nc\nb\ne\nd\n", vec![], vec!["e"]),
            ("a\n", "a\n", vec![], vec![]),
        ] {
            let change = diff(old, new);
            assert_eq!(
                (change.removed.clone(), change.added.clone()),
                (lines(&removed), lines(&added)),
                "{old:?} {new:?}"
            );
            assert_eq!(Change::parse(&change.text()), change);
        }
        let long = (0..100).map(|it: i32| it.to_string()).collect::<Vec<_>>().join("\n");
        let change = diff("", &long);
        assert_eq!((change.added.len(), change.omitted), (LINES_MAX, 80));
        assert_eq!(Change::parse(&change.text()), change);
    }

    #[test]
    fn secrets_do_not_stay() {
        let shadow = "root:$y$j9T$abcdef:19000:0:99999:7:::\ndaemon:*:1::::::\n";
        let kept = without_secrets("/etc/shadow", shadow);
        assert!(kept.starts_with("root: password (") && !kept.contains("$y$"), "{kept}");
        let change = diff(&kept, &without_secrets("/etc/shadow", &shadow.replace("abc", "abd")));
        assert_eq!((change.removed.len(), change.added.len()), (1, 1));
        let key = "command=\"x\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS me@there\n";
        let kept = without_secrets("/root/.ssh/authorized_keys", key);
        assert!(
            kept.starts_with("with options ssh-ed25519 SHA256:") && kept.ends_with(" me@there\n"),
            "{kept}"
        );
        assert!(!kept.contains("AAAAC3Nz"));
        let cron = "* * * * * root curl --password hunter2 https://u:pw@h/\n";
        let kept = without_secrets("/etc/cron.d/x", cron);
        assert!(!kept.contains("hunter2") && !kept.contains(":pw@"), "{kept}");
    }

    #[test]
    fn texts_are_followed_over_a_restart() {
        let host = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("texts.json");
        let root = HostRoot::new(host.path()).unwrap();
        std::fs::create_dir_all(host.path().join("etc/cron.d")).unwrap();
        let job = host.path().join("etc/cron.d/job");
        std::fs::write(&job, "one\n").unwrap();
        let mut texts = Texts::load(Some(&file), &root, &[]);
        let now = Timestamp::from_secs(4_000_000_000);
        assert_eq!(texts.look(&root, now), []);
        std::fs::write(&job, "one\ntwo\n").unwrap();
        let want = Change { added: lines(&["two"]), ..Change::default() };
        assert_eq!(texts.compare(&root, "/etc/cron.d/job", false), Compared::Changed(want));
        assert_eq!(texts.compare(&root, "/etc/cron.d/job", false), Compared::Same);
        assert_eq!(texts.look(&root, now), []);
        texts.keep().unwrap();
        std::fs::write(&job, "three\n").unwrap();
        let found = Texts::load(Some(&file), &root, &[]).look(&root, now);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].change.removed, lines(&["one", "two"]));
        std::fs::remove_file(&job).unwrap();
        assert!(matches!(texts.compare(&root, "/etc/cron.d/job", false), Compared::Changed(_)));
        std::fs::write(&job, [0xFF, 0xFE]).unwrap();
        assert_eq!(texts.compare(&root, "/etc/cron.d/job", true), Compared::Unknown);
        assert_eq!(texts.compare(&root, "/etc/cron.d/none", true), Compared::Unknown);
    }

    #[test]
    fn what_is_gone_is_told_once_nobody_can_tell_of_it_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("etc/init.d");
        std::fs::create_dir_all(&place).unwrap();
        for name in ["job", "shop", "shop.new"] {
            std::fs::write(place.join(name), "start\n").unwrap();
        }
        std::os::unix::fs::symlink("shop", place.join("link")).unwrap();
        let root = HostRoot::new(dir.path()).unwrap();
        let begin = Timestamp::from_secs(4_000_000_000);
        let mut texts = Texts::load(None, &root, &[]);
        texts.compare(&root, "/etc/init.d/link", false);
        assert_eq!(texts.kept.0.len(), 4);
        std::fs::rename(place.join("shop.new"), place.join("shop")).unwrap();
        texts.moved("/etc/init.d/shop.new", "/etc/init.d/shop");
        texts.compare(&root, "/etc/init.d/shop", false);
        for name in ["job", "shop"] {
            std::fs::remove_file(place.join(name)).unwrap();
        }
        texts.compare(&root, "/etc/init.d/shop", false);
        assert_eq!(texts.look(&root, begin), []);
        assert_eq!(texts.look(&root, begin + Duration::from_secs(3)), []);
        let found = texts.look(&root, begin + Duration::from_secs(6));
        let paths: Vec<&str> = found.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, ["/etc/init.d/job"]);
        assert_eq!(texts.look(&root, begin + Duration::from_mins(1)), []);
    }

    #[test]
    fn a_content_that_changed_beneath_its_stamp_is_found() {
        let host = tempfile::tempdir().unwrap();
        let root = HostRoot::new(host.path()).unwrap();
        std::fs::create_dir_all(host.path().join("etc")).unwrap();
        let passwd = host.path().join("etc/passwd");
        std::fs::write(&passwd, "a:x:1000:\n").unwrap();
        let mut texts = Texts::load(None, &root, &[]);
        let begin = Timestamp::from_secs(1_000);
        assert_eq!(texts.look(&root, begin), []);
        std::fs::write(&passwd, "a:x:0000:\n").unwrap();
        // As if the kernel had not noticed.
        let found = root.metadata("/etc/passwd").unwrap();
        let stamp = (found.inode, found.size, found.changed_ns);
        texts.stamps.insert("/etc/passwd".to_owned(), stamp);
        let looks = (1..10).flat_map(|second| texts.look(&root, begin + AGAIN_EVERY * second));
        let told: Vec<Unseen> = looks.collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].path == "/etc/passwd" && !told[0].is_stamped);
    }
}
