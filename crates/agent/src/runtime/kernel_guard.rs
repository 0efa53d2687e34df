//! The thread that has the kernel itself refuse what the policy wants refused: programs whose
//! content is known to be bad, and whatever would harm the agent.
//!
//! It needs no answer in time, as the guard over programs does, and sees what that one cannot:
//! files in memory, mounts of others. Where the kernel lets no program decide, that is said and
//! the guard over programs stays what there is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use engine::self_protection::{CHANGED, Change, Guarded, Tampering};
use model::wire::CapabilityState;
use sensor::fanotify::mounts::Mounts;
use sensor::lsm::{self, Lsm, LsmError, Protection, Refusal, Refused};

use super::protect::{LOOK, Protector, Wanted, is_own, own_files, user_name};
use crate::install::permit;
use crate::state;
use crate::verdict::Verdicts;
use model::because;
use model::because::{Because, whole};

const CAPABILITY: &str = "kernel_guard";

/// Files of a control group that end, stop or starve who is in it.
const GROUP_FILES: [&str; 7] = [
    "cgroup.kill",
    "cgroup.freeze",
    "cpu.max",
    "memory.high",
    "memory.max",
    "memory.oom.group",
    "pids.max",
];
const SMALL_BYTES_MAX: usize = 64 << 10;

/// What was last entered in the kernel.
#[derive(Debug, Default)]
struct Entered {
    /// Of the verdicts.
    generation: Option<u64>,
    protects: bool,
    /// The protected process of the guard over programs.
    guard: Option<u32>,
    /// Programs that started although the kernel could not sum them, as far as told.
    unjudged: u64,
}

impl Protector {
    /// Keeps the kernel refusing for as long as the policy wants anything refused.
    pub(super) fn decide(
        &self,
        state_dir: &Path,
        verdicts: &Verdicts,
        asked: &Wanted,
        stop: &AtomicBool,
    ) {
        let off = || because!("kernel_guard.off", "the policy has the kernel refuse nothing");
        let wanted = || asked.any() && !stop.load(Ordering::Relaxed);
        self.reporter().one(CAPABILITY, CapabilityState::Off, off());
        while !stop.load(Ordering::Relaxed) {
            if !wanted() {
                std::thread::sleep(LOOK);
                continue;
            }
            let refusing =
                Lsm::open().and_then(|lsm| self.refuse(lsm, state_dir, verdicts, asked, &wanted));
            if let Err(error) = refusing {
                let cause = whole(&error);
                let why = because!("kernel_guard.missing", "{cause}", cause = cause);
                self.reporter().one(CAPABILITY, CapabilityState::Missing, why);
                while wanted() {
                    std::thread::sleep(LOOK);
                }
            }
            self.reporter().one(CAPABILITY, CapabilityState::Off, off());
        }
    }

    /// Until nothing is wanted any more; with the programs goes what they refuse.
    fn refuse(
        &self,
        mut lsm: Lsm,
        state_dir: &Path,
        verdicts: &Verdicts,
        asked: &Wanted,
        wanted: &impl Fn() -> bool,
    ) -> Result<(), LsmError> {
        let (waker, over) = (lsm.waker(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            // Whoever is told that a content may not run relies on it.
            scope.spawn(|| {
                let mut known = verdicts.generation();
                while !over.load(Ordering::Relaxed) {
                    verdicts.wait_past(known, LOOK);
                    let now = verdicts.generation();
                    if std::mem::replace(&mut known, now) != now {
                        waker.wake();
                    }
                }
            });
            let mut entered = Entered::default();
            let mut go_on = || {
                while wanted() {
                    self.enter(&mut lsm, &mut entered, state_dir, verdicts, asked)?;
                    lsm.wait(LOOK)?;
                    lsm.take(|it| self.hear_refusal(&it));
                }
                Ok(())
            };
            let ended = go_on();
            over.store(true, Ordering::Relaxed);
            drop(lsm);
            ended
        })
    }

    /// Brings what the kernel refuses in line with the policy and the verdicts.
    fn enter(
        &self,
        lsm: &mut Lsm,
        entered: &mut Entered,
        state_dir: &Path,
        verdicts: &Verdicts,
        asked: &Wanted,
    ) -> Result<(), LsmError> {
        let generation = asked.programs().then(|| verdicts.generation());
        let is_first = entered.generation.is_none() && !entered.protects;
        if generation != entered.generation {
            let refused = generation.map(|_| verdicts.refused()).unwrap_or_default();
            lsm.refuse_contents(&refused)?;
            lsm.allow_files()?;
            entered.generation = generation;
        }
        // Judged by the guard over programs: next time nobody has to be asked. One that is gone
        // meanwhile needs no refusal.
        for path in self.take_judged() {
            if generation.is_some() && !lsm.decides_by_content() {
                let _ = lsm.refuse_file(&path);
            }
        }
        let changes = asked.agent() != entered.protects;
        let mut unprotected = Vec::new();
        if changes && asked.agent() {
            unprotected = protect(lsm, state_dir);
        } else if changes {
            lsm.release()?;
        }
        entered.protects = asked.agent();
        let guard = self.guard_process().filter(|_| entered.protects);
        if guard != entered.guard {
            // One that has ended meanwhile is followed by another.
            let done = guard.map(|it| lsm.protect_process(it, lsm::Guarded::Whole));
            entered.guard = guard.filter(|_| matches!(done, Some(Ok(()))));
        }
        let unjudged = lsm.counts().unjudged;
        if is_first || changes || unjudged > entered.unjudged {
            entered.unjudged = unjudged;
            let (state, reason) = shortcomings(lsm, asked, &unprotected);
            self.reporter().one(CAPABILITY, state, reason);
        }
        Ok(())
    }

    fn hear_refusal(&self, it: &Refusal) {
        let path = it.path.display().to_string();
        let (path, change) = match (it.what, it.target) {
            (Refused::Exec, _) => {
                let what = Guarded::Refused;
                let make = |_| Some(self.rules().guarded(what, &path, it.pid, it.at));
                return self.tell(what.rule(), &path, make);
            }
            (_, Some(pid)) => (format!("process {pid}"), Tampering::Spared),
            (Refused::Bpf, None) => ("a kernel program".to_owned(), Tampering::Kept),
            (_, None) => (path, Tampering::Kept),
        };
        self.tell(CHANGED, &path, |_| {
            let change = Change {
                path: path.clone(),
                change,
                process: it.name.clone(),
                pid: it.pid,
                own: false,
                user: user_name(it.uid),
            };
            self.rules().changed(&change, it.at)
        });
    }
}

/// Protects the agent's program, unit and state, the way to them, and its processes. What could
/// not be is returned with the reason.
fn protect(lsm: &mut Lsm, state_dir: &Path) -> Vec<String> {
    let mut failed = Vec::new();
    let mut try_to = |done: Result<(), LsmError>| {
        if let Err(error) = done {
            failed.push(whole(&error));
        }
    };
    let files: Vec<PathBuf> = own_files(state_dir).into_iter().filter(|it| it.exists()).collect();
    for file in &files {
        let how = if file == state_dir { Protection::Tree } else { Protection::File };
        try_to(lsm.protect(file, how));
        // Not the root: everything lies below it.
        for above in file.ancestors().skip(1).filter(|it| it.parent().is_some()) {
            try_to(lsm.protect(above, Protection::Name));
        }
    }
    // What is mounted inside of a folder is another tree to the kernel.
    for point in mounted_below(state_dir) {
        try_to(lsm.protect(&point, Protection::Tree));
    }
    for file in group_files() {
        try_to(lsm.protect(&file, Protection::File));
    }
    try_to(lsm.protect_self());
    // Who uninstalls leaves the permission there before the agent is stopped.
    try_to(lsm.protect(&state_dir.join(permit::FOLDER), Protection::Open));
    // A supervisor is asked to end by a signal; systemd, the first process, may do everything.
    let parent = rustix::process::getppid().map(|it| it.as_raw_pid() as u32);
    if let Some(parent) = parent.filter(|it| *it != 1 && is_own(*it)) {
        try_to(lsm.protect_process(parent, lsm::Guarded::Orderly));
    }
    failed
}

fn mounted_below(dir: &Path) -> Vec<PathBuf> {
    let mounts = Mounts::open().and_then(|mut it| it.list()).unwrap_or_default();
    let points = mounts.into_iter().map(|it| it.point);
    points.filter(|it| it.starts_with(dir) && it != dir).collect()
}

/// Of the agent's control group and those above it; the root has none that could harm.
fn group_files() -> Vec<PathBuf> {
    let mounts = Mounts::open().and_then(|mut it| it.list()).unwrap_or_default();
    let own = state::read(Path::new("/proc/self/cgroup"), SMALL_BYTES_MAX).unwrap_or_default();
    let (Some(root), Some(group)) =
        (mounts.iter().find(|it| it.kind == "cgroup2"), own_group(&String::from_utf8_lossy(&own)))
    else {
        return Vec::new();
    };
    let groups = group.ancestors().filter(|it| !it.as_os_str().is_empty());
    let files = groups.flat_map(|group| {
        let folder = root.point.join(group);
        GROUP_FILES.map(|name| folder.join(name))
    });
    files.filter(|it| it.exists()).collect()
}

/// The line of the one tree of groups in cgroups(7), without the slash before it.
fn own_group(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|it| it.strip_prefix("0::/"))?;
    // Outside of what this process may see.
    (!path.starts_with("..")).then(|| path.into())
}

fn shortcomings(lsm: &Lsm, asked: &Wanted, unprotected: &[String]) -> (CapabilityState, Because) {
    let mut reasons = Vec::new();
    if asked.programs() && !lsm.decides_by_content() {
        let missing = lsm.missing().iter().find(|it| it.name == lsm::BY_CONTENT);
        reasons.extend(missing.map(|it| it.reason.clone()));
    }
    let unjudged = lsm.counts().unjudged;
    if unjudged > 0 {
        reasons.push(format!("{unjudged} programs started whose content the kernel could not sum"));
    }
    if let Some(first) = unprotected.first() {
        reasons.push(format!("{} parts are not protected: {first}", unprotected.len()));
    }
    if reasons.is_empty() {
        return (CapabilityState::Active, Because::default());
    }
    let cause = reasons.join("; ");
    (CapabilityState::Degraded, because!("kernel_guard.degraded", "{cause}", cause = cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_the_line_without_a_controller() {
        for (text, want) in [
            (
                "0::/system.slice/garrison-agent.service\n",
                Some("system.slice/garrison-agent.service"),
            ),
            ("12:freezer:/x\n1:name=systemd:/y\n0::/y\n", Some("y")),
            ("0::/\n", Some("")),
            ("0::/../other\n", None),
            ("12:freezer:/x\n", None),
            ("", None),
        ] {
            assert_eq!(own_group(text), want.map(PathBuf::from), "{text:?}");
        }
    }
}
