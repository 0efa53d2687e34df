//! Cross-views: what one way of asking the kernel shows and another does not. Races are told
//! apart by asking three times over seconds.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use model::time::Timestamp;

use super::ports::Ports;
use super::{Swept, state};
use crate::host_root::HostRoot;

/// Looks in a row that must agree.
const LOOKS: u32 = 3;
/// Process numbers that are probed in one look beyond those that are listed.
const PROBES_MAX: u32 = 8192;
const FILE_BYTES_MAX: usize = 4 << 20;
const PRELOAD: &str = "/etc/ld.so.preload";

/// What is suspected and how often in a row; what was told already.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    suspected: BTreeMap<(&'static str, String), u32>,
    told: BTreeSet<(&'static str, String)>,
    next_pid: u32,
    ports: Ports,
}

impl Hidden {
    /// Something waits to be confirmed.
    pub(super) fn suspects(&self) -> bool {
        !self.suspected.is_empty()
    }

    pub(super) fn look(&mut self, root: &HostRoot, now: Timestamp) -> Vec<Swept> {
        let mut found: Vec<(&'static str, String, String)> = Vec::new();
        found.extend(self.processes());
        found.extend(modules(root));
        let mounts = root.read("/proc/self/mountinfo", FILE_BYTES_MAX).unwrap_or_default();
        found.extend(proc_mounts(&String::from_utf8_lossy(&mounts)));
        let again = self.suspected.keys().filter(|it| it.0 == "hidden_port");
        let again: Vec<u16> =
            again.filter_map(|it| it.1.strip_prefix("tcp/")?.parse().ok()).collect();
        found.extend(self.ports.look(root, &again));
        let preload = root.read(PRELOAD, FILE_BYTES_MAX).unwrap_or_default();
        found.extend(preloads(&String::from_utf8_lossy(&preload)));
        self.confirm(found, now)
    }

    /// Takes what one look found; gives what was found often enough.
    fn confirm(
        &mut self,
        found: Vec<(&'static str, String, String)>,
        now: Timestamp,
    ) -> Vec<Swept> {
        let mut out = Vec::new();
        let mut suspected = BTreeMap::new();
        for (check, subject, detail) in found {
            let key = (check, subject);
            if self.told.contains(&key) {
                continue;
            }
            let looks = self.suspected.get(&key).copied().unwrap_or(0) + 1;
            if looks >= LOOKS {
                out.push(Swept { event: state(check, &key.1, detail, now), pid: None });
                self.told.insert(key);
            } else {
                suspected.insert(key, looks);
            }
        }
        self.suspected = suspected;
        out
    }

    /// Numbers that answer a signal but are not listed in /proc.
    fn processes(&mut self) -> Vec<(&'static str, String, String)> {
        let listed: HashSet<u32> = sensor::procfs::pids().unwrap_or_default().into_iter().collect();
        let highest = listed.iter().max().copied().unwrap_or(0);
        let begin = if self.next_pid > highest { 1 } else { self.next_pid.max(1) };
        let end = begin.saturating_add(PROBES_MAX);
        let again = self.suspected.keys().filter(|it| it.0 == "hidden_process");
        let again: Vec<u32> = again.filter_map(|it| it.1.parse().ok()).collect();
        let unlisted = |pid: &u32| !listed.contains(pid) && is_process(*pid);
        let suspects: Vec<u32> = (begin..end).chain(again).filter(unlisted).collect();
        self.next_pid = end;
        if suspects.is_empty() {
            return Vec::new();
        }
        // One that started while the list was being read is listed now.
        let later: HashSet<u32> = sensor::procfs::pids().unwrap_or_default().into_iter().collect();
        let still = suspects.into_iter().filter(|it| !later.contains(it) && is_process(*it));
        let unique: BTreeSet<u32> = still.collect();
        let tell = |pid: u32| {
            let detail = format!("process {pid} answers but is not listed in /proc, three times");
            ("hidden_process", pid.to_string(), detail)
        };
        unique.into_iter().map(tell).collect()
    }
}

/// Answers a signal, and is no thread of a process.
fn is_process(pid: u32) -> bool {
    let Some(number) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    let answers = match rustix::process::test_kill_process(number) {
        Ok(()) | Err(rustix::io::Errno::PERM) => true,
        Err(_) => false,
    };
    // A process that hides its files altogether has no group to read, and is one.
    answers && thread_group(pid).is_none_or(|it| it == pid)
}

fn thread_group(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|it| it.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// Loaded modules that only one of /proc and /sys shows.
fn modules(root: &HostRoot) -> Vec<(&'static str, String, String)> {
    let Ok(listed) = root.read("/proc/modules", FILE_BYTES_MAX) else { return Vec::new() };
    let listed = String::from_utf8_lossy(&listed);
    let listed: BTreeSet<&str> =
        listed.lines().filter_map(|it| it.split_whitespace().next()).collect();
    let folders = root.read_dir("/sys/module").unwrap_or_default();
    let shown: BTreeSet<String> = folders
        .iter()
        .filter_map(|it| it.name.to_str().map(ToOwned::to_owned))
        // Parts built into the kernel have no state.
        .filter(|it| root.metadata(format!("/sys/module/{it}/initstate")).is_ok())
        .collect();
    let only_shown = shown.iter().filter(|it| !listed.contains(it.as_str())).cloned();
    let only_listed = listed.iter().filter(|it| !shown.contains(**it)).map(ToString::to_string);
    let tell = |name: String, where_to: &str| {
        let detail = format!("module {name} is shown by {where_to} only");
        ("hidden_module", name, detail)
    };
    let mut out: Vec<_> = only_shown.map(|it| tell(it, "/sys/module")).collect();
    if !shown.is_empty() {
        out.extend(only_listed.map(|it| tell(it, "/proc/modules")));
    }
    out
}

/// Mounts over a process in /proc, out of mountinfo of proc(5).
fn proc_mounts(mountinfo: &str) -> Vec<(&'static str, String, String)> {
    let point = |line: &str| {
        let place = line.split(' ').nth(4)?;
        let rest = place.strip_prefix("/proc/")?;
        let pid = rest.split('/').next()?;
        let numbered = !pid.is_empty() && pid.bytes().all(|it| it.is_ascii_digit());
        let kind = line.split(" - ").nth(1)?.split(' ').next()?;
        let detail = format!("a file system of kind {kind} is mounted over {place}");
        numbered.then(|| ("proc_mount", place.to_owned(), detail))
    };
    mountinfo.lines().filter_map(point).collect()
}

/// Libraries that every program loads.
fn preloads(text: &str) -> Vec<(&'static str, String, String)> {
    text.lines()
        .filter(|it| !it.trim_start().starts_with('#'))
        .flat_map(|it| it.split([' ', '\t', ':']))
        .filter(|it| !it.is_empty())
        .map(|it| ("preload", it.to_owned(), format!("every program loads {it}, by {PRELOAD}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_once_after_three_looks() {
        let mut hidden = Hidden::default();
        let found = || preloads("# no\n/tmp/x.so /lib/y.so\n");
        let now = Timestamp(0);
        assert_eq!(found().len(), 2);
        assert!(hidden.confirm(found(), now).is_empty() && hidden.suspects());
        assert!(hidden.confirm(found(), now).is_empty());
        assert_eq!(hidden.confirm(found(), now).len(), 2);
        assert!(hidden.confirm(found(), now).is_empty() && !hidden.suspects());
        // A race is seen once.
        hidden.confirm(vec![("hidden_process", "1".to_owned(), String::new())], now);
        assert!(hidden.confirm(Vec::new(), now).is_empty() && !hidden.suspects());
    }

    #[test]
    fn mounts_over_processes() {
        let text = "22 1 0:5 / /proc rw - proc proc rw\n30 22 0:9 / /proc/4711 rw - tmpfs none rw\n31 22 0:9 / /proc/sys rw - tmpfs none rw\nbroken\n";
        let found = proc_mounts(text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].1.as_str()), ("proc_mount", "/proc/4711"));
    }

    #[test]
    fn this_process_and_its_threads_are_not_hidden() {
        assert!(is_process(std::process::id()));
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            ended.recv().unwrap_err();
        });
        let tid = u32::try_from(told.recv().unwrap()).unwrap();
        assert!(!is_process(tid), "a thread is no process");
        drop(end);
        thread.join().unwrap();
    }
}
