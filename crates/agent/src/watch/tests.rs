use std::fs;
use std::time::Instant;

use super::*;
use engine::content::Catalogue;
use engine::login::correlate::{Correlator, State};
use engine::login::lines::message;
use engine::place::Places;
use model::policy::LoginPolicy;
use tempfile::TempDir;

const NOW: Clock = Clock { now: Timestamp(1_773_144_000_000_000), utc_offset_s: 0 };

struct Host {
    folder: TempDir,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/log")).unwrap();
        Self { folder }
    }

    fn config(&self) -> WatchConfig {
        WatchConfig {
            root: HostRoot::new(self.folder.path()).unwrap(),
            state_file: Some(self.folder.path().join("watch.json")),
            logs: Vec::new(),
        }
    }

    fn append(&self, path: &str, text: &str) {
        use std::io::Write;
        let path = self.folder.path().join(path);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}

fn failure(n: u32) -> String {
    format!(
        "Mar 10 11:59:{n:02} web1 sshd[{n}]: Failed password for root from 203.0.113.9 port {n} ssh2\n"
    )
}

fn attempts(events: &[WatchEvent]) -> Vec<(&Attempt, bool)> {
    let found = events.iter().filter_map(|it| match it {
        WatchEvent::Attempt { attempt, live } => Some((attempt, *live)),
        _ => None,
    });
    found.collect()
}

fn states(events: &[WatchEvent]) -> Vec<(String, i32)> {
    let found = events.iter().rev().find_map(|it| match it {
        WatchEvent::Capabilities(all) => Some(all),
        _ => None,
    });
    found.into_iter().flatten().map(|it| (it.id.clone(), it.state)).collect()
}

#[test]
fn says_what_it_cannot_see() {
    let host = Host::new();
    let mut watcher = Watcher::new(host.config());
    let (events, _) = watcher.poll(NOW);
    assert_eq!(states(&events), [("auth_log".to_owned(), CapabilityState::Missing.into())]);
    assert_eq!(watcher.poll(NOW).0, [], "told once");
    host.append("var/log/auth.log", "");
    let later = Clock { now: NOW.now + LOOK_EVERY, ..NOW };
    let (events, _) = watcher.poll(later);
    assert_eq!(states(&events), [("auth_log".to_owned(), CapabilityState::Active.into())]);
}

#[test]
fn goes_on_where_it_stopped_and_tells_past_from_present() {
    let host = Host::new();
    host.append("var/log/auth.log", &failure(1).replace("11:59", "09:59"));
    host.append("var/log/auth.log", &failure(2));
    let mut watcher = Watcher::new(host.config());
    let (events, _) = watcher.poll(NOW);
    let lives: Vec<_> = attempts(&events).iter().map(|it| it.1).collect();
    assert_eq!(lives, [false, true]);
    watcher.keep();
    host.append("var/log/auth.log", &failure(3));
    let mut watcher = Watcher::new(host.config());
    let (events, _) = watcher.poll(NOW);
    let ports: Vec<_> = attempts(&events).iter().map(|it| it.0.port).collect();
    assert_eq!(ports, [Some(3)]);
}

#[test]
fn follows_what_is_asked_for_while_it_is_asked_for() {
    let host = Host::new();
    fs::create_dir_all(host.folder.path().join("var/log/app")).unwrap();
    host.append("var/log/app/login.log", "");
    let mut watcher = Watcher::new(host.config());
    let path = PathBuf::from("/var/log/app/login.log");
    let ask = |logs| *watcher.asked.lock().unwrap() = logs;
    ask(vec![(Format::Syslog, path)]);
    let asked = Arc::clone(&watcher.asked);
    watcher.poll(NOW);
    host.append("var/log/app/login.log", &failure(1));
    assert_eq!(attempts(&watcher.poll(NOW).0).len(), 1);
    asked.lock().unwrap().clear();
    let later = Clock { now: NOW.now + LOOK_EVERY, ..NOW };
    watcher.poll(later);
    host.append("var/log/app/login.log", &failure(2));
    assert_eq!(attempts(&watcher.poll(later).0), []);
}

#[test]
fn the_past_is_read_once() {
    let host = Host::new();
    host.append("var/log/auth.log", &failure(2));
    host.append("var/log/auth.log", &failure(1));
    let past = past(HostRoot::new(host.folder.path()).unwrap(), NOW);
    let ports: Vec<_> = past.attempts.iter().map(|it| it.port).collect();
    assert_eq!(ports, [Some(1), Some(2)]);
    assert_eq!(past.skipped, Vec::<String>::new());
    let empty = Host::new();
    let past = super::past(HostRoot::new(empty.folder.path()).unwrap(), NOW);
    assert!(past.skipped[0].starts_with("auth_log: "), "{:?}", past.skipped);
}

#[test]
fn a_broken_state_file_is_no_obstacle() {
    let host = Host::new();
    host.append("watch.json", "{not json");
    host.append("var/log/auth.log", &failure(1));
    let mut watcher = Watcher::new(host.config());
    assert_eq!(attempts(&watcher.poll(NOW).0).len(), 1);
    watcher.keep();
    assert!(Kept::load(&host.folder.path().join("watch.json")).is_some());
}

#[test]
fn a_line_the_journal_has_is_not_counted_twice() {
    let say = |n: u16| format!("Failed password for root from 203.0.113.9 port {n} ssh2");
    let journal = |n: u16| message(NOW.now, "sshd", Some(7), say(n).as_bytes()).unwrap();
    let text = |body: &str| {
        let line = format!("Mar 10 11:59:59 web1 sshd[7]: {body}");
        lines::Reader::new(Format::Syslog).line(line.as_bytes(), NOW).unwrap()
    };
    let mut repeats = Repeats::default();
    for _ in 0..3 {
        repeats.said(&journal(1));
    }
    assert_eq!(repeats.unsaid(text(&say(1))), None);
    assert!(repeats.unsaid(text(&say(2))).is_some(), "another connection");
    let repeated = text(&format!("message repeated 3 times: [ {}]", say(1)));
    let rest = repeats.unsaid(repeated).unwrap();
    assert_eq!(rest.sign, engine::login::Sign::Tried(1), "two of three were in the journal");
    repeats.said(&journal(1));
    repeats.forget(NOW.now + Duration::from_hours(1));
    assert!(repeats.unsaid(text(&say(1))).is_some(), "too long ago");
}

#[test]
fn from_the_fifth_line_to_the_alarm_in_well_under_a_second() {
    let host = Host::new();
    host.append("var/log/auth.log", "");
    let (tx, mut rx) = tokio::sync::mpsc::channel(64);
    let handle = start(host.config(), tx).unwrap();
    let catalogue = Catalogue::embedded().unwrap();
    let policy = LoginPolicy::default();
    let mut correlator = Correlator::new(&catalogue, policy, State::default()).unwrap();
    let places = Places::without_database();
    // Wait until the watch has opened the log.
    assert!(matches!(rx.blocking_recv(), Some(WatchEvent::Capabilities(_))));
    let stamp = now();
    for n in 1..=4 {
        host.append(
            "var/log/auth.log",
            &format!(
                "{stamp} web1 sshd[{n}]: Failed password for root from 203.0.113.9 port {n} ssh2\n"
            ),
        );
    }
    let start = Instant::now();
    host.append(
        "var/log/auth.log",
        &format!("{stamp} web1 sshd[5]: Failed password for root from 203.0.113.9 port 5 ssh2\n"),
    );
    let finding = loop {
        let Some(event) = rx.blocking_recv() else { panic!("the watch ended") };
        if let WatchEvent::Attempt { attempt, live: true } = event
            && let Some(finding) = correlator.observe(&attempt, &places, stamp).findings.pop()
        {
            break finding;
        }
    };
    let took = start.elapsed();
    assert_eq!(finding.subject, "sshd|203.0.113.9");
    assert!(took < Duration::from_millis(900), "{took:?}");
    drop(rx);
    handle.stop();
}
