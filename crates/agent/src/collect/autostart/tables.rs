//! The small files that say what runs when: crontabs, anacron, at, udev rules, desktop entries.

use model::because;
use model::because::Because;

/// Longest file of this kind.
pub(super) const TABLE_BYTES_MAX: usize = 4 << 20;
/// Most lines taken from one file.
const LINES_MAX: usize = 10_000;

/// One job of a crontab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) schedule: String,
    /// Named in system crontabs only.
    pub(super) user: Option<String>,
    pub(super) command: String,
}

/// A crontab (crontab(5)); `system`: the field after the schedule is a user. `place` is used in
/// messages.
pub(super) fn crontab(place: &str, bytes: &[u8], system: bool) -> (Vec<Job>, Vec<Because>) {
    table(place, bytes, |line| {
        let (schedule, rest) = if line.starts_with('@') { cut(line, 1)? } else { cut(line, 5)? };
        let (user, command) = if system {
            let (user, command) = cut(rest, 1)?;
            (Some(user.to_owned()), command)
        } else {
            (None, rest)
        };
        // Text after a bare % is the command's input.
        let command = command.split('%').next().unwrap_or(command).trim();
        let command = command.to_owned();
        (!command.is_empty()).then(|| Job { schedule: words(schedule), user, command })
    })
}

/// `/etc/anacrontab`: days, delay in minutes, name, command.
pub(super) fn anacrontab(place: &str, bytes: &[u8]) -> (Vec<Job>, Vec<Because>) {
    table(place, bytes, |line| {
        let (schedule, rest) = cut(line, 2)?;
        let (_, command) = cut(rest, 1)?;
        Some(Job { schedule: words(schedule), user: None, command: command.to_owned() })
    })
}

fn table(
    place: &str,
    bytes: &[u8],
    read: impl Fn(&str) -> Option<Job>,
) -> (Vec<Job>, Vec<Because>) {
    let (mut jobs, mut skipped) = (Vec::new(), Vec::new());
    let text = String::from_utf8_lossy(bytes);
    for (index, line) in text.lines().enumerate() {
        if index >= LINES_MAX {
            let why = because!("skip.many_lines", "more than {max} lines", max = LINES_MAX);
            skipped.push(why.at(place));
            break;
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || is_variable(line) {
            continue;
        }
        let Some(job) = read(line) else {
            let why = because!("config.no_job", "no job and no variable");
            skipped.push(why.at(&format!("{place}:{}", index + 1)));
            continue;
        };
        jobs.push(job);
    }
    (jobs, skipped)
}

/// `NAME = value`.
fn is_variable(line: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| {
        let name = name.trim().trim_matches(['"', '\'']);
        !name.is_empty()
            && !name.starts_with(|it: char| it.is_ascii_digit())
            && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
    })
}

/// Splits after `count` fields; both parts have something in them.
fn cut(line: &str, count: usize) -> Option<(&str, &str)> {
    let mut rest = line;
    for _ in 0..count {
        let end = rest.find([' ', '\t'])?;
        rest = rest.get(end..)?.trim_start();
    }
    let head = line.get(..line.len() - rest.len())?.trim();
    (!rest.is_empty() && !head.is_empty()).then_some((head, rest))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One job of at(1): the spool holds a shell script that first restores the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AtJob {
    pub(super) uid: Option<u32>,
    pub(super) command: String,
}

/// Reads a job; the environment in it is not kept.
pub(super) fn at_job(bytes: &[u8]) -> Option<AtJob> {
    let text = String::from_utf8_lossy(bytes);
    let header = text.lines().find_map(|it| it.strip_prefix("# atrun uid="))?;
    let uid = header.split(' ').next()?.parse().ok();
    // The environment ends with a change of folder: `cd DIR || { … }`.
    let (_, script) = text.split_once("\n}\n")?;
    let mut lines: Vec<_> = script.lines().collect();
    if let Some((_, mark)) = lines.first().and_then(|it| it.split_once("<< '")) {
        let mark = mark.trim_end_matches('\'');
        lines.remove(0);
        lines.retain(|it| *it != mark);
    }
    let command = lines.join("; ").trim().to_owned();
    Some(AtJob { uid, command })
}

/// When a job of at(1) runs: seconds since 1970, from its file name (queue letter, five digits of
/// number, eight digits of minutes, all hexadecimal).
pub(super) fn at_time(name: &str) -> Option<i64> {
    let minutes = name.get(6..14).filter(|_| name.len() == 14)?;
    i64::from_str_radix(minutes, 16).ok()?.checked_mul(60)
}

/// The programs a udev rules file starts (udev(7)): `RUN`, `PROGRAM`, `IMPORT{program}`.
pub(super) fn udev_programs(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).replace("\\\n", " ");
    let mut programs = Vec::new();
    for line in text.lines().take(LINES_MAX) {
        let line = line.trim_start();
        if line.starts_with('#') {
            continue;
        }
        for (at, _) in line.match_indices('"').step_by(2) {
            let key = line.get(..at).unwrap_or_default();
            let key = key.rsplit(',').next().unwrap_or(key).trim();
            let name = key.trim_end_matches(['=', '+', ':', '!', ' ']);
            if matches!(name, "RUN" | "RUN{program}" | "PROGRAM" | "IMPORT{program}") {
                let value = line.get(at + 1..).unwrap_or_default();
                let value = value.split('"').next().unwrap_or_default().trim();
                if !value.is_empty() {
                    programs.push(value.to_owned());
                }
            }
        }
    }
    programs.sort();
    programs.dedup();
    programs
}

/// A desktop entry in an autostart folder (XDG autostart specification).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Desktop {
    pub(super) name: Option<String>,
    pub(super) command: Option<String>,
    pub(super) hidden: bool,
}

pub(super) fn desktop(bytes: &[u8]) -> Desktop {
    let text = String::from_utf8_lossy(bytes);
    let mut entry = Desktop::default();
    let mut inside = false;
    for line in text.lines().take(LINES_MAX) {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == "[Desktop Entry]";
        } else if let (true, Some((key, value))) = (inside, line.split_once('=')) {
            match key.trim() {
                "Name" => entry.name = Some(value.trim().to_owned()),
                "Exec" => entry.command = Some(value.trim().to_owned()),
                "Hidden" => entry.hidden = value.trim() == "true",
                _ => {}
            }
        }
    }
    entry
}

/// Names in a list with comments: kernel modules, preloaded libraries.
pub(super) fn list(bytes: &[u8], separators: &[char]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .take(LINES_MAX)
        .map(|it| it.split(['#', ';']).next().unwrap_or_default())
        .flat_map(|it| it.split(|it: char| it.is_whitespace() || separators.contains(&it)))
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}
