//! Which files network tools wrote lately, so that what is fetched and then run can be told.
//!
//! Writes are told of watched places only; elsewhere the tool's own arguments, or where its output
//! goes, say what it writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::event::{Descriptor, Exec, FileChange};
use model::time::Timestamp;

use super::Enricher;
use crate::detect::names::ImageKind;
use crate::detect::process::{Id, Process};

/// How long a file is said to have been fetched.
const KEPT: Duration = Duration::from_hours(1);
/// Most files remembered; the oldest is forgotten first.
const FILES_MAX: usize = 1024;
/// Most files of one start of a tool.
const OUTPUTS_MAX: usize = 32;
/// Bring files and are of no kind of their own.
const BRINGERS: [&str; 5] = ["scp", "sftp", "sftp-server", "rsync", "lwp-request"];
/// Options of curl, by one letter, that take a value.
const CURL_VALUES: &str = "AbcCdDeEFhHKmPQrtTuUwxXyYz";
/// Options of wget, by one letter, that take a value.
const WGET_VALUES: &str = "aABDeGIlotTUwQXR";

/// Files by path, when they were fetched and by what.
#[derive(Debug, Default)]
pub(super) struct Fetched(HashMap<String, (Timestamp, Arc<str>)>);

impl Fetched {
    fn note(&mut self, path: String, name: &Arc<str>, at: Timestamp) {
        if self.0.len() >= FILES_MAX && !self.0.contains_key(&path) {
            self.0.retain(|_, (then, _)| at.since(*then) < KEPT);
            let oldest = self.0.iter().min_by_key(|(_, (then, _))| *then);
            let oldest = oldest.map(|(path, _)| path.clone());
            if let Some(oldest) = oldest.filter(|_| self.0.len() >= FILES_MAX) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(path, (at, Arc::clone(name)));
    }

    pub(super) fn move_clock(&mut self, by_us: i64) {
        self.0.values_mut().for_each(|(at, _)| *at = at.moved(by_us));
    }

    fn moved(&mut self, from: &str, to: &str) {
        if let Some(it) = self.0.remove(from) {
            self.0.insert(to.to_owned(), it);
        }
    }

    fn by(&self, path: &str, at: Timestamp) -> Option<&Arc<str>> {
        let (then, name) = self.0.get(path)?;
        (at.since(*then) < KEPT).then_some(name)
    }
}

impl Enricher {
    /// Takes what a tool says when it starts of what it will write.
    pub(super) fn note_outputs(&mut self, id: Id, at: Timestamp, exec: &Exec) {
        let Some(process) = self.processes.get(id).filter(|it| fetches(it)) else { return };
        let name: Arc<str> = process.image.real_name().into();
        let mut paths = outputs(&name, &exec.arguments);
        let cwd = exec.cwd.as_deref().unwrap_or("/");
        for path in &mut paths {
            if !path.starts_with('/') {
                *path = format!("{}/{}", cwd.trim_end_matches('/'), path.trim_start_matches("./"));
            }
        }
        if matches!(exec.stdio, [_, Descriptor::File, _]) {
            let link = format!("/proc/{}/fd/1", process.pid);
            let file = self.images.root().read_link(link).ok();
            paths.extend(file.map(|it| it.to_string_lossy().into_owned()));
        }
        for path in paths {
            self.fetched.note(path, &name, at);
        }
    }

    pub(super) fn note_fetched(&mut self, id: Id, at: Timestamp, change: &FileChange) {
        match change {
            FileChange::OpenWrite { path, .. } => {
                let process = self.processes.get(id).filter(|it| fetches(it));
                if let Some(name) = process.map(|it| Arc::from(it.image.real_name())) {
                    self.fetched.note(path.clone(), &name, at);
                }
            }
            FileChange::Renamed { from, to } => self.fetched.moved(from, to),
            _ => {}
        }
    }

    /// What brought the program, or the script, of a process.
    pub(super) fn fetched_by(&self, process: &Process, at: Timestamp) -> Option<&Arc<str>> {
        let script = process.script.as_deref().and_then(|it| self.fetched.by(it, at));
        script.or_else(|| self.fetched.by(&process.image.path, at))
    }
}

fn fetches(process: &Process) -> bool {
    process.kind == ImageKind::NetworkTool || BRINGERS.contains(&process.image.real_name())
}

/// The files that the arguments of `name` say it writes, as they are written there.
fn outputs(name: &str, arguments: &[String]) -> Vec<String> {
    let words = arguments.iter().skip(1).map(String::as_str);
    let mut found = match name {
        "curl" => curl(words),
        "wget" => wget(words),
        _ => Vec::new(),
    };
    found.retain(|it| !it.is_empty() && it != "-" && !it.starts_with("/dev/"));
    found.truncate(OUTPUTS_MAX);
    found
}

fn curl<'a>(mut words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut files, mut addresses, mut by_name) = (Vec::new(), Vec::new(), false);
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--") {
            match option {
                "output" => files.extend(words.next()),
                "remote-name" | "remote-name-all" => by_name = true,
                _ => {}
            }
            continue;
        }
        let Some(letters) = word.strip_prefix('-') else {
            addresses.push(word);
            continue;
        };
        by_name |= has_flag(letters, 'O', CURL_VALUES, "o");
        if let Some(file) = value_of(letters, 'o', CURL_VALUES, &mut words) {
            files.push(file);
        }
    }
    let mut all: Vec<String> = files.into_iter().map(ToOwned::to_owned).collect();
    if by_name {
        all.extend(addresses.into_iter().map(last_part));
    }
    all
}

fn wget<'a>(mut words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut file, mut folder, mut addresses) = (None, None, Vec::new());
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--") {
            match option.split_once('=').unwrap_or((option, "")) {
                ("output-document", "") => file = words.next(),
                ("output-document", given) => file = Some(given),
                ("directory-prefix", "") => folder = words.next(),
                ("directory-prefix", given) => folder = Some(given),
                _ => {}
            }
            continue;
        }
        let Some(letters) = word.strip_prefix('-') else {
            addresses.push(word);
            continue;
        };
        let values = WGET_VALUES;
        if letters.contains('P') && !letters.contains('O') {
            folder = value_of(letters, 'P', values, &mut words).or(folder);
        } else {
            file = value_of(letters, 'O', values, &mut words).or(file);
        }
    }
    if let Some(file) = file {
        return vec![file.to_owned()];
    }
    let folder = folder.map(|it| format!("{}/", it.trim_end_matches('/'))).unwrap_or_default();
    addresses.into_iter().map(|it| format!("{folder}{}", last_part(it))).collect()
}

/// Whether `flag` is among letters that belong to one word of options.
fn has_flag(letters: &str, flag: char, values: &str, ends: &str) -> bool {
    letters
        .chars()
        .take_while(|it| !values.contains(*it) && !ends.contains(*it))
        .any(|it| it == flag)
}

/// The value of `option` in one word of options, or in the next word.
fn value_of<'a>(
    letters: &'a str,
    option: char,
    values: &str,
    words: &mut impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let takes = |it: char| it == option || values.contains(it);
    let (place, letter) = letters.char_indices().find(|(_, it)| takes(*it))?;
    let rest = letters.get(place + letter.len_utf8()..).unwrap_or_default();
    let value = if rest.is_empty() { words.next() } else { Some(rest) };
    value.filter(|_| letter == option)
}

/// The name that a file of this address gets.
fn last_part(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, it)| it);
    path.split_once('/').and_then(|(_, it)| it.rsplit('/').next()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_say_they_write() {
        for (line, files) in [
            ("curl -sO https://a.example/b/c.sh?x=1", vec!["c.sh"]),
            ("curl -so /tmp/t http://a.example/", vec!["/tmp/t"]),
            ("curl -o/tmp/t a.example/x", vec!["/tmp/t"]),
            ("curl --output t -H a:b a.example/x", vec!["t"]),
            ("curl -H Origin:O -X POST a.example/x", vec![]),
            ("curl -fsSL a.example/x -o -", vec![]),
            ("curl -o a a.example/1 -o b a.example/2", vec!["a", "b"]),
            ("wget https://a.example/x/y", vec!["y"]),
            ("wget -qO- a.example/x", vec![]),
            ("wget -q -O /opt/k a.example/x", vec!["/opt/k"]),
            ("wget --output-document=k a.example/x", vec!["k"]),
            ("wget -P /tmp/ a.example/x/k", vec!["/tmp/k"]),
            ("wget a.example", vec![]),
            ("nc -l 80", vec![]),
        ] {
            let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
            assert_eq!(outputs(&words[0], &words), files, "{line}");
        }
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut fetched = Fetched::default();
        let name: Arc<str> = "curl".into();
        let at = Timestamp::from_secs(1000);
        for number in 0..=FILES_MAX {
            fetched.note(number.to_string(), &name, at + Duration::from_millis(number as u64));
        }
        assert_eq!(fetched.0.len(), FILES_MAX);
        fetched.moved("7", "/x");
        let known = |path, after| fetched.by(path, at + Duration::from_secs(after)).is_some();
        assert!(known("/x", 60) && !known("7", 60) && !known("0", 60));
        assert!(!known("/x", 3700));
    }
}
