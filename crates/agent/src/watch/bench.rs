//! `garrison bench login`: how well and how fast log-in attacks are found in a log, beside
//! fail2ban-regex on the same file where that is installed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use engine::content::{Catalogue, ContentError};
use engine::login::correlate::{Correlator, State};
use engine::login::header::Clock;
use engine::login::lines::{Format, Reader};
use engine::place::Places;
use model::policy::LoginPolicy;
use model::time::Timestamp;
use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};

/// Addresses that attack: `203.0.113.0` and up.
const ATTACKERS: u32 = 100;
/// The first of them come in bursts, the others slowly.
const BURSTING: u32 = 70;
/// The rules that name an attacker.
const ATTACK_RULES: [&str; 4] = ["GAR-LOG-001", "GAR-LOG-002", "GAR-LOG-004", "GAR-LOG-005"];
/// 2026-03-10T00:00:00Z, so that every run sees the same log.
const START_S: i64 = 1_773_100_800;
const FAIL2BAN: &str = "/usr/bin/fail2ban-regex";
/// Times the log is read: one reading takes too little to be measured well.
const ROUNDS: u32 = 5;

/// Why the bench could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("the rules do not load")]
    Content(#[from] ContentError),
    #[error("the log could not be written to {path}")]
    Write {
        path: String,
        #[source]
        source: io::Error,
    },
}

/// Figures of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub lines: u64,
    pub attackers: u32,
    pub found: u32,
    /// Most alarms about one attacker.
    pub alarms_per_attacker_max: u32,
    /// Sources with an alarm that attack nobody.
    pub false_attackers: u32,
    pub lines_per_cpu_s: f64,
    /// Figures of fail2ban-regex on the same file; `None` where it is not installed.
    pub fail2ban: Option<Peer>,
}

/// What fail2ban-regex made of the same file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peer {
    pub lines_per_cpu_s: f64,
    pub matched: u64,
}

/// Makes a log of `lines` lines from `seed` in `folder`, reads it, and has the peer read it.
pub fn run(folder: &Path, lines: u64, seed: u64) -> Result<Report, BenchError> {
    let text = make(lines, seed);
    let path = folder.join("auth.log");
    std::fs::write(&path, &text)
        .map_err(|source| BenchError::Write { path: path.display().to_string(), source })?;
    let report = measure(&text, lines)?;
    Ok(Report { fail2ban: fail2ban(&path, lines), ..report })
}

/// From the bytes of a log to findings, several times over.
fn measure(text: &str, lines: u64) -> Result<Report, BenchError> {
    let catalogue = Catalogue::embedded()?;
    let places = Places::without_database();
    let now = Timestamp::from_secs(START_S + 86_400);
    let clock = Clock { now, utc_offset_s: 0 };
    let mut alarms = BTreeSet::new();
    let mut spent = 0.0;
    for _ in 0..ROUNDS {
        let mut reader = Reader::new(Format::Syslog);
        let policy = LoginPolicy::default();
        let mut correlator = Correlator::new(&catalogue, policy, State::default())?;
        let before = cpu_s(ClockId::ThreadCPUTime);
        for line in text.as_bytes().split(|it| *it == b'\n') {
            if let Some(attempt) = reader.line(line, clock) {
                let decided = correlator.observe(&attempt, &places, attempt.at);
                alarms.extend(decided.findings.into_iter().map(|it| (it.rule, it.subject)));
            }
        }
        spent += cpu_s(ClockId::ThreadCPUTime) - before;
    }
    let lines_per_cpu_s = lines as f64 * f64::from(ROUNDS) / spent.max(1e-9);
    Ok(Report { lines, lines_per_cpu_s, ..judge(&alarms) })
}

impl Report {
    /// How many times the peer's lines per CPU second.
    pub fn ratio(&self) -> Option<f64> {
        self.fail2ban.map(|it| self.lines_per_cpu_s / it.lines_per_cpu_s.max(1e-9))
    }

    /// One figure a line.
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "lines                      {}", self.lines)?;
        writeln!(out, "attackers found            {}/{}", self.found, self.attackers)?;
        writeln!(out, "alarms per attacker, most  {}", self.alarms_per_attacker_max)?;
        writeln!(out, "false attackers            {}", self.false_attackers)?;
        writeln!(out, "lines per CPU second       {:.0}", self.lines_per_cpu_s)?;
        match (self.fail2ban, self.ratio()) {
            (Some(peer), Some(ratio)) => {
                let (speed, matched) = (peer.lines_per_cpu_s, peer.matched);
                writeln!(out, "fail2ban-regex             {speed:.0} ({matched} lines matched)")?;
                writeln!(out, "times fail2ban-regex       {ratio:.0} (bar: 20)")
            }
            _ => writeln!(out, "fail2ban-regex             not installed (package fail2ban)"),
        }
    }
}

fn judge(alarms: &BTreeSet<(String, String)>) -> Report {
    let mut report = Report {
        lines: 0,
        attackers: ATTACKERS,
        found: 0,
        alarms_per_attacker_max: 0,
        false_attackers: 0,
        lines_per_cpu_s: 0.0,
        fail2ban: None,
    };
    let attacks = alarms.iter().filter(|(rule, _)| ATTACK_RULES.contains(&rule.as_str()));
    let sources: Vec<&str> = attacks
        .filter_map(|(_, subject)| subject.strip_prefix("sshd|")?.split('|').next())
        .collect();
    for attacker in 0..ATTACKERS {
        let address = attacker_address(attacker);
        let count = sources.iter().filter(|it| **it == address).count() as u32;
        report.found += u32::from(count > 0);
        report.alarms_per_attacker_max = report.alarms_per_attacker_max.max(count);
    }
    let others: BTreeSet<_> = sources.iter().filter(|it| !it.starts_with("203.0.113.")).collect();
    report.false_attackers = others.len() as u32;
    report
}

fn attacker_address(number: u32) -> String {
    format!("203.0.113.{number}")
}

/// A small generator that gives the same numbers everywhere (`splitmix64`).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (it ^ (it >> 31)) % below.max(1)
    }
}

/// Some hours of a busy host: attackers in bursts and slow ones, people who mistype and sign
/// in, and what other programs say. Twenty lines a second.
fn make(lines: u64, seed: u64) -> String {
    let mut numbers = Numbers(seed);
    let mut text = String::with_capacity(lines as usize * 110);
    let mut written = 0;
    while written < lines {
        let head = head(START_S + (written / 20) as i64);
        for (tag, body) in happening(&mut numbers) {
            if written < lines {
                written += 1;
                // Writing to a string does not fail.
                let _ = writeln!(text, "{head} web1 {tag}: {body}");
            }
        }
    }
    text
}

/// One thing that happens, as lines of program and message.
fn happening(numbers: &mut Numbers) -> Vec<(String, String)> {
    let (pid, port) = (1000 + numbers.next(60_000), 1024 + numbers.next(60_000));
    let sshd = format!("sshd[{pid}]");
    let other = |tag: &str, body: &str| vec![(tag.to_owned(), body.to_owned())];
    match numbers.next(100) {
        0..15 => {
            let number = numbers.next(u64::from(BURSTING)) as u32;
            (0..6).flat_map(|_| guess(numbers, number)).collect()
        }
        15..60 => {
            let number = BURSTING + numbers.next(u64::from(ATTACKERS - BURSTING)) as u32;
            guess(numbers, number)
        }
        60..75 => {
            // At most three wrong passwords, then the right one.
            let person = numbers.next(200);
            let who = format!("person{person} from 198.51.100.{person} port {port} ssh2");
            let wrong = numbers.next(4);
            let mut lines: Vec<_> =
                (0..wrong).map(|_| (sshd.clone(), format!("Failed password for {who}"))).collect();
            lines.push((sshd, format!("Accepted password for {who}")));
            lines
        }
        75..85 => {
            let body = "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)";
            other(&format!("CRON[{pid}]"), body)
        }
        85..95 => {
            other("sudo", "deploy : TTY=pts/0 ; PWD=/srv ; USER=root ; COMMAND=/usr/bin/make all")
        }
        _ => other(&sshd, &format!("Connection closed by 198.51.100.9 port {port}")),
    }
}

/// One wrong password of an attacker: what PAM and sshd say about it.
fn guess(numbers: &mut Numbers, attacker: u32) -> Vec<(String, String)> {
    const USERS: [&str; 6] = ["root", "postgres", "admin", "oracle", "test", "ubuntu"];
    let from = attacker_address(attacker);
    let sshd = format!("sshd[{}]", 1000 + numbers.next(60_000));
    let port = 1024 + numbers.next(60_000);
    let index = numbers.next(6) as usize;
    let user = USERS.get(index).copied().unwrap_or("root");
    let (invalid, kind, named) = if index < 2 {
        ("", "authenticating user", format!("  user={user}"))
    } else {
        ("invalid user ", "invalid user", String::new())
    };
    let pam = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser=";
    vec![
        (sshd.clone(), format!("{pam} rhost={from}{named}")),
        (sshd.clone(), format!("Failed password for {invalid}{user} from {from} port {port} ssh2")),
        (sshd, format!("Connection closed by {kind} {user} {from} port {port} [preauth]")),
    ]
}

/// `Mar 10 12:00:00`
fn head(at: i64) -> String {
    let (hours, minutes, seconds) = (at / 3600 % 24, at / 60 % 60, at % 60);
    format!("Mar 10 {hours:02}:{minutes:02}:{seconds:02}")
}

fn cpu_s(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU seconds of fail2ban-regex for `path`, from its own accounting in `/proc`.
fn fail2ban(path: &Path, lines: u64) -> Option<Peer> {
    if !Path::new(FAIL2BAN).exists() {
        return None;
    }
    let mut child = Command::new(FAIL2BAN)
        .arg(path)
        .arg("sshd")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // Wait without reaping, so that the time it took can still be read.
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    let mut output = String::new();
    io::Read::read_to_string(child.stdout.as_mut()?, &mut output).ok()?;
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 =
        fields.split(' ').skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    child.wait().ok()?;
    let spent = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    let matched = output
        .lines()
        .rev()
        .find_map(|it| {
            it.strip_prefix("Lines: ")?.split(", ").find_map(|it| it.strip_suffix(" matched"))
        })
        .and_then(|it| it.parse().ok())
        .unwrap_or(0);
    Some(Peer { lines_per_cpu_s: lines as f64 / spent.max(1e-9), matched })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attacker_once_and_nobody_else() {
        let report = measure(&make(20_000, 7), 20_000).unwrap();
        assert_eq!((report.found, report.attackers), (100, 100));
        assert_eq!((report.alarms_per_attacker_max, report.false_attackers), (1, 0));
        let mut out = Vec::new();
        report.print(&mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("100/100"));
    }
}
