//! Follows the logs of the host and turns them into log-in attempts.
//!
//! The same event may stand in the journal, in a text log and in btmp. The journal is read
//! first and has it first; a text line that only repeats it is dropped, and the books of the
//! C library are believed only where neither log is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::login::header::Clock;
use engine::login::lines::{self, Format};
use engine::login::{Attempt, Outcome};
use model::because;
use model::because::Because;
use model::time::Timestamp;
use model::wire::{Capability, CapabilityState};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;

use crate::capability::capability;
use crate::host_root::{HostRoot, ReadError};
use crate::watch::journal::Journals;
use crate::watch::repeats::Repeats;
use crate::watch::utmp::Book;

pub mod bench;
pub mod journal;
mod repeats;
pub mod text;
pub mod utmp;

#[cfg(test)]
mod tests;

/// Between two looks at the logs.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// Between two looks for logs that were not there before, and at the time zone.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two writings of how far the logs were read.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// What is older when a log is first seen is history: learned from, no alarm.
const HISTORY_AGE: Duration = Duration::from_hours(1);
/// Text logs followed at the same time.
const LOGS_MAX: usize = 32;
const STATE_BYTES_MAX: u64 = 1024 * 1024;

/// Text logs where distributions put them. One after a `?` only if none of the same format
/// before it is there.
const KNOWN: [(Format, &str); 10] = [
    (Format::Syslog, "/var/log/auth.log"),
    (Format::Syslog, "/var/log/secure"),
    (Format::Syslog, "?/var/log/messages"),
    (Format::Vsftpd, "/var/log/vsftpd.log"),
    (Format::Mysql, "/var/log/mysql/error.log"),
    (Format::Mysql, "/var/log/mysqld.log"),
    (Format::Mysql, "/var/log/mysql/mysqld.log"),
    (Format::Mysql, "/var/log/mariadb/mariadb.log"),
    (Format::Postgresql, "/var/log/postgresql"),
    (Format::Postgresql, "/var/lib/pgsql/data/log"),
];

/// What to follow.
#[derive(Debug)]
pub struct WatchConfig {
    pub root: HostRoot,
    /// Where the positions are kept across restarts, outside of `root`.
    pub state_file: Option<PathBuf>,
    /// Further text logs.
    pub logs: Vec<(Format, PathBuf)>,
}

/// What following the logs brings.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    Attempt {
        attempt: Attempt,
        /// Of now rather than of the past: decide about it, not only learn.
        live: bool,
    },
    /// Lines, entries or records that could not be understood.
    Skipped { source: String, count: u64 },
    /// Sent once at the start and after every change.
    Capabilities(Vec<Capability>),
}

/// Text logs that were asked for while running.
pub type AskedLogs = Arc<Mutex<Vec<(Format, PathBuf)>>>;

/// Ends the following when dropped or stopped.
#[derive(Debug)]
pub struct WatchHandle {
    stop: Arc<AtomicBool>,
    /// Takes effect at the next look for logs.
    pub asked: AskedLogs,
    thread: Option<JoinHandle<()>>,
}

/// All sources of one host. [`start`] runs it; tests step it.
#[derive(Debug)]
pub struct Watcher {
    config: WatchConfig,
    asked: AskedLogs,
    journals: Journals,
    logs: Vec<Log>,
    books: Vec<utmp::Follower>,
    repeats: Repeats,
    kept: Kept,
    /// Whether positions of an earlier run were found.
    resumed: bool,
    looked_at: Option<Timestamp>,
    told: Vec<Capability>,
}

#[derive(Debug)]
struct Log {
    format: Format,
    follower: text::Follower,
    lines: lines::Reader,
    /// Only because it was asked for while running.
    asked: bool,
    fault: Option<Because>,
}

/// How far everything was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    journals: journal::Positions,
    logs: BTreeMap<PathBuf, text::Position>,
    books: BTreeMap<String, utmp::Position>,
}

/// Follows the logs in a thread of its own until the handle is dropped or nobody listens.
pub fn start(config: WatchConfig, tx: Sender<WatchEvent>) -> std::io::Result<WatchHandle> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let asked = AskedLogs::default();
    let wanted = Arc::clone(&asked);
    let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
        let mut watcher = Watcher::new(config);
        watcher.asked = wanted;
        let mut kept_at = now();
        while !stopped.load(Ordering::Relaxed) {
            let clock = Clock { now: now(), utc_offset_s: utc_offset_s() };
            let (events, more) = watcher.poll(clock);
            for event in events {
                if tx.blocking_send(event).is_err() {
                    watcher.keep();
                    return;
                }
            }
            if clock.now.is_due(kept_at, KEEP_EVERY) {
                kept_at = clock.now;
                watcher.keep();
            }
            if !more {
                std::thread::park_timeout(POLL_EVERY);
            }
        }
        watcher.keep();
    })?;
    Ok(WatchHandle { stop, asked, thread: Some(thread) })
}

/// What the logs of a host tell when they are read once.
#[derive(Debug, Default)]
pub struct Past {
    /// Oldest first.
    pub attempts: Vec<Attempt>,
    /// Where they were looked for, and what could not be read.
    pub sources: Vec<Capability>,
    /// One sentence each.
    pub skipped: Vec<String>,
}

/// Looks of [`past`] at most; each takes what a log has grown by as well.
const PAST_POLLS_MAX: usize = 1_000;

/// Reads once what a follower would begin with: the end of each log, the newest entries of the
/// journal, and the books of log-ins.
pub fn past(root: HostRoot, clock: Clock) -> Past {
    let mut watcher = Watcher::new(WatchConfig { root, state_file: None, logs: Vec::new() });
    let mut past = Past::default();
    for _ in 0..PAST_POLLS_MAX {
        let (events, more) = watcher.poll(clock);
        for event in events {
            match event {
                WatchEvent::Attempt { attempt, .. } => past.attempts.push(attempt),
                WatchEvent::Skipped { source, count } => {
                    past.skipped.push(format!("{source}: {count} lines could not be understood"));
                }
                WatchEvent::Capabilities(sources) => past.sources = sources,
            }
        }
        if !more {
            break;
        }
    }
    let unread = past.sources.iter().filter(|it| it.state() != CapabilityState::Active);
    past.skipped.extend(unread.map(|it| format!("{}: {}", it.id, it.reason)));
    past.attempts.sort_by_key(|it| it.at);
    past
}

impl WatchHandle {
    /// Ends the thread and waits until the positions are kept. The receiver must be dropped
    /// or still be read: the thread may be waiting for room.
    pub fn stop(mut self) {
        self.signal();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }

    fn signal(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        self.signal();
    }
}

impl Watcher {
    pub fn new(config: WatchConfig) -> Self {
        let kept = config.state_file.as_deref().and_then(Kept::load);
        let resumed = kept.is_some();
        let kept = kept.unwrap_or_default();
        let book = |book: Book| utmp::Follower::new(book, kept.books.get(book.as_str()).copied());
        Self {
            journals: Journals::new(kept.journals.clone()),
            logs: Vec::new(),
            books: vec![book(Book::Logins), book(Book::Failures)],
            repeats: Repeats::default(),
            kept,
            resumed,
            looked_at: None,
            told: Vec::new(),
            asked: AskedLogs::default(),
            config,
        }
    }

    /// Reads what is new everywhere. The flag says that there is more to read right away.
    pub fn poll(&mut self, clock: Clock) -> (Vec<WatchEvent>, bool) {
        let look = self.looked_at.is_none_or(|it| clock.now.is_due(it, LOOK_EVERY));
        if look {
            self.looked_at = Some(clock.now);
            self.find_logs();
        }
        let mut events = Vec::new();
        // The text first: whatever it says, the journal then has said already.
        let (texts, mut more) = self.poll_logs(clock, &mut events);
        let mut attempts = Vec::new();
        let polled = self.journals.poll(&self.config.root, &mut |it| attempts.push(it));
        more |= polled.more;
        if polled.skipped > 0 {
            events
                .push(WatchEvent::Skipped { source: "journal".to_owned(), count: polled.skipped });
        }
        for attempt in &attempts {
            self.repeats.said(attempt);
        }
        attempts.extend(texts.into_iter().filter_map(|it| self.repeats.unsaid(it)));
        self.repeats.forget(clock.now);
        let logged = polled.live || self.logs.iter().any(|it| it.format == Format::Syslog);
        let mut capabilities = self.capabilities(&polled, logged);
        if look {
            self.poll_books(logged, &mut attempts, &mut events, &mut capabilities);
        } else {
            let books = self.told.iter().filter(|it| matches!(&*it.id, "wtmp" | "btmp"));
            capabilities.extend(books.cloned());
        }
        attempts.sort_by_key(|it| it.at);
        events.extend(attempts.into_iter().map(|attempt| {
            let live = self.resumed || clock.now.since(attempt.at) < HISTORY_AGE;
            WatchEvent::Attempt { attempt, live }
        }));
        capabilities.sort_by(|a, b| a.id.cmp(&b.id));
        if capabilities != self.told {
            self.told.clone_from(&capabilities);
            events.push(WatchEvent::Capabilities(capabilities));
        }
        (events, more)
    }

    /// Writes down how far everything was read, if that changed.
    pub fn keep(&mut self) {
        let mut kept = Kept { journals: self.journals.positions(), ..self.kept.clone() };
        for log in &self.logs {
            if let Some(position) = log.follower.position() {
                kept.logs.insert(log.follower.path().to_owned(), position);
            }
        }
        for book in &self.books {
            if let Some(position) = book.position() {
                kept.books.insert(book.book().to_string(), position);
            }
        }
        // Logs named by the day come and go.
        if kept.logs.len() > 4 * LOGS_MAX {
            kept.logs.retain(|path, _| self.logs.iter().any(|it| it.follower.path() == path));
        }
        if kept == self.kept {
            return;
        }
        self.kept = kept;
        if let Some(path) = &self.config.state_file
            && let Err(error) = self.kept.store(path)
        {
            tracing::warn!(path = %path.display(), %error, "log positions are not kept");
        }
    }

    /// Begins to follow logs that are there now, and leaves those that are not asked for any more.
    fn find_logs(&mut self) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_asked = |path: &Path| asked.iter().any(|(_, it)| it == path);
        for log in self.logs.extract_if(.., |it| it.asked && !is_asked(it.follower.path())) {
            if let Some(position) = log.follower.position() {
                self.kept.logs.insert(log.follower.path().to_owned(), position);
            }
        }
        let root = &self.config.root;
        let mut found: Vec<(Format, PathBuf)> = self.config.logs.clone();
        for (format, place) in KNOWN {
            let (path, only_if_alone) = match place.strip_prefix('?') {
                Some(path) => (path, true),
                None => (place, false),
            };
            if only_if_alone && found.iter().any(|(it, _)| *it == format) {
                continue;
            }
            if format == Format::Postgresql {
                let entries = root.read_dir(path).unwrap_or_default();
                let logs = entries
                    .into_iter()
                    .filter(|it| Path::new(&it.name).extension().is_some_and(|it| it == "log"));
                found.extend(logs.map(|it| (format, Path::new(path).join(it.name))));
            } else if root.metadata(path).is_ok() {
                found.push((format, path.into()));
            }
        }
        let known_by_place = found.len();
        found.extend(asked);
        for (index, (format, path)) in found.into_iter().enumerate() {
            let known = self.logs.iter().any(|it| it.follower.path() == path);
            if !known && self.logs.len() < LOGS_MAX {
                let position = self.kept.logs.get(&path).cloned();
                self.logs.push(Log {
                    format,
                    follower: text::Follower::new(path, position),
                    lines: lines::Reader::new(format),
                    asked: index >= known_by_place,
                    fault: None,
                });
            }
        }
    }

    fn poll_logs(&mut self, clock: Clock, events: &mut Vec<WatchEvent>) -> (Vec<Attempt>, bool) {
        let (mut attempts, mut more) = (Vec::new(), false);
        for log in &mut self.logs {
            let reader = &mut log.lines;
            let mut line = |it: &[u8]| attempts.extend(reader.line(it, clock));
            match log.follower.poll(&self.config.root, &mut line) {
                Ok(polled) => {
                    more |= polled.more;
                    log.fault = None;
                    if polled.skipped > 0 {
                        let source = log.follower.path().display().to_string();
                        events.push(WatchEvent::Skipped { source, count: polled.skipped });
                    }
                }
                Err(error) => log.fault = Some(unreadable(&error)),
            }
        }
        (attempts, more)
    }

    /// wtmp teaches past log-ins; both count as sources only where no log does.
    fn poll_books(
        &mut self,
        logged: bool,
        attempts: &mut Vec<Attempt>,
        events: &mut Vec<WatchEvent>,
        capabilities: &mut Vec<Capability>,
    ) {
        for book in &mut self.books {
            let id = book.book().as_str();
            let first = book.position().is_none();
            match book.poll(&self.config.root) {
                Ok((records, skipped)) => {
                    if skipped > 0 {
                        let source = id.to_owned();
                        events.push(WatchEvent::Skipped { source, count: skipped });
                    }
                    let past = first && book.book() == Book::Logins;
                    if past || !logged {
                        let remote = records.into_iter().filter(|it| it.origin.address().is_some());
                        attempts.extend(remote.filter(|it| it.outcome != Outcome::Disabled));
                    }
                    capabilities.push(capability(id, CapabilityState::Active, Because::default()));
                }
                Err(error) if error.is_absent() => (),
                Err(error) => {
                    capabilities.push(capability(
                        id,
                        CapabilityState::Degraded,
                        unreadable(&error),
                    ));
                }
            }
        }
    }

    /// What can be seen of log-ins. A log of a service that is not there is no blind spot.
    fn capabilities(&self, polled: &journal::Polled, logged: bool) -> Vec<Capability> {
        let mut found: BTreeMap<&str, Capability> = BTreeMap::new();
        if let Some(fault) = &polled.fault {
            found
                .insert("journal", capability("journal", CapabilityState::Degraded, fault.clone()));
        } else if polled.live {
            found.insert(
                "journal",
                capability("journal", CapabilityState::Active, Because::default()),
            );
        }
        for log in &self.logs {
            let id = match log.format {
                Format::Syslog => "auth_log",
                Format::Vsftpd => "vsftpd_log",
                Format::Mysql => "mysql_log",
                Format::Postgresql => "postgresql_log",
            };
            let state = match &log.fault {
                None => capability(id, CapabilityState::Active, Because::default()),
                Some(fault) => capability(id, CapabilityState::Degraded, fault.clone()),
            };
            let better = log.fault.is_none();
            if better || !found.contains_key(id) {
                found.insert(id, state);
            }
        }
        if !logged {
            let why = because!(
                "auth_log.none",
                "there is neither a systemd journal nor auth.log or secure: log-ins and failed log-ins are seen only as far as wtmp and btmp tell of them"
            );
            let missing = capability("auth_log", CapabilityState::Missing, why);
            found.insert("auth_log", missing);
        }
        found.into_values().collect()
    }
}

impl Kept {
    /// `None` if there is none or it makes no sense: then logs are taken as new.
    fn load(path: &Path) -> Option<Self> {
        let size = std::fs::metadata(path).ok()?.len();
        if size > STATE_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Whole or not at all.
    fn store(&self, path: &Path) -> std::io::Result<()> {
        let beside = path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec(self)?)?;
        std::fs::rename(&beside, path)
    }
}

fn unreadable(error: &ReadError) -> Because {
    because!("log.unreadable", "{cause}", cause = error.line())
}

#[expect(clippy::disallowed_methods, reason = "outermost loop of the watch thread")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |it| i64::try_from(it.as_micros()).unwrap_or(i64::MAX)))
}

/// Of the host's time zone now.
pub fn utc_offset_s() -> i32 {
    let zone = jiff::tz::TimeZone::system();
    zone.to_offset(jiff::Timestamp::now()).seconds()
}
