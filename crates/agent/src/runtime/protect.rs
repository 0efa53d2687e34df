//! Threads that look after the agent itself: its files are watched, and the guards over programs are
//! kept running where the policy wants them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::self_protection::{CHANGED, Change, Guarded, SelfProtection, Tampering};
use model::because;
use model::because::{Because, whole};
use model::convert::finding_to_wire;
use model::event::{Event, FileChange, What};
use model::finding::Finding;
use model::policy::ResponsePolicy;
use model::time::Timestamp;
use model::wire::record::Record as Body;
use model::wire::{CapabilityState, Record};
use sensor::fanotify::exec_guard::Told;
use sensor::fanotify::file_watch::FileWatch;

use super::reporter::Reporter;
use crate::collect::users::Users;
use crate::detect::merge::Merger;
use crate::host_root::HostRoot;
use crate::immutable::{self, Locks};
use crate::install::Places;
use crate::respond::guard::{News, supervise};
use crate::spool::{Lane, Spool};
use crate::verdict::Verdicts;

const WATCH_CAPABILITY: &str = "self_protection";
const LOCK_CAPABILITY: &str = "agent_lock";
const GUARD_CAPABILITY: &str = "exec_guard";
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// Refused programs that wait to be entered in the kernel; more are refused by the guard alone.
const JUDGED_MAX: usize = 1024;

/// What these threads share.
#[derive(Clone)]
pub(super) struct Protector {
    rules: SelfProtection,
    spool: Spool,
    reporter: Reporter,
    told: Arc<Mutex<Merger>>,
    /// What the guard over programs refused, for the kernel to refuse next time.
    judged: Arc<Mutex<Vec<PathBuf>>>,
    /// The process of the guard over programs; 0: there is none.
    guard: Arc<AtomicU32>,
    clock: fn() -> Timestamp,
}

/// What the policy wants of these threads.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Programs are asked about.
    refuse: AtomicBool,
    /// The agent's files are immutable.
    lock: AtomicBool,
    /// Nobody else changes the agent's files or ends its process.
    protect: AtomicBool,
}

impl Wanted {
    pub(super) fn set(&self, policy: &ResponsePolicy) {
        self.refuse.store(policy.refuse_programs, Ordering::Relaxed);
        self.lock.store(policy.lock_agent, Ordering::Relaxed);
        self.protect.store(policy.protect_agent, Ordering::Relaxed);
    }

    pub(super) fn programs(&self) -> bool {
        self.refuse.load(Ordering::Relaxed)
    }

    pub(super) fn agent(&self) -> bool {
        self.protect.load(Ordering::Relaxed)
    }

    /// Whether the kernel has to refuse anything.
    pub(super) fn any(&self) -> bool {
        self.programs() || self.agent()
    }
}

/// The running threads.
pub(super) struct Protection {
    protector: Protector,
    stop: Arc<AtomicBool>,
    wanted: Arc<Wanted>,
    threads: Vec<JoinHandle<()>>,
}

impl Protection {
    pub(super) fn wanted(&self) -> Arc<Wanted> {
        Arc::clone(&self.wanted)
    }

    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            super::join(thread, "protection");
        }
        self.protector.tell_rest();
    }
}

impl Protector {
    pub(super) fn new(
        rules: SelfProtection,
        (spool, reporter): (Spool, Reporter),
        clock: fn() -> Timestamp,
    ) -> Self {
        let (told, judged, guard) = (Arc::default(), Arc::default(), Arc::default());
        Self { rules, spool, reporter, told, judged, guard, clock }
    }

    pub(super) fn start(
        self,
        state_dir: &Path,
        verdicts: Verdicts,
        policy: &ResponsePolicy,
    ) -> std::io::Result<Protection> {
        let stop = Arc::new(AtomicBool::new(false));
        let wanted = Arc::new(Wanted::default());
        wanted.set(policy);
        let targets = own_files(state_dir);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run)
        };
        let (it, stopped) = (self.clone(), Arc::clone(&stop));
        let watch = spawn("own files", Box::new(move || it.watch(&targets, &stopped)))?;
        let (it, stopped, asked) = (self.clone(), Arc::clone(&stop), Arc::clone(&wanted));
        let lock = spawn("own flags", Box::new(move || it.keep_locked(&asked.lock, &stopped)))?;
        let (it, stopped, asked) = (self.clone(), Arc::clone(&stop), Arc::clone(&wanted));
        let (dir, known) = (state_dir.to_owned(), verdicts.clone());
        let run = move || it.decide(&dir, &known, &asked, &stopped);
        let kernel = spawn("kernel guard", Box::new(run))?;
        let (it, stopped, asked) = (self.clone(), Arc::clone(&stop), Arc::clone(&wanted));
        let run = move || it.keep_guard(&verdicts, &asked.refuse, &stopped);
        let guard = spawn("guard", Box::new(run))?;
        let threads = vec![watch, lock, kernel, guard];
        Ok(Protection { protector: self, stop, wanted, threads })
    }

    fn watch(&self, targets: &[PathBuf], stop: &AtomicBool) {
        let mut watch = match FileWatch::open(targets) {
            Ok(watch) => watch,
            Err(error) => {
                return self.unwatched(&error);
            }
        };
        self.reporter.one(WATCH_CAPABILITY, CapabilityState::Active, "");
        while !stop.load(Ordering::Relaxed) {
            let batch = watch.wait(LOOK).and_then(|_| watch.take((self.clock)()));
            match batch {
                Ok(batch) => {
                    for it in &batch.events {
                        self.judge(it);
                    }
                }
                Err(error) => {
                    return self.unwatched(&error);
                }
            }
        }
    }

    /// Keeps the flag on the installed agent's files while the policy wants it. It stays when the
    /// agent ends: whoever installs or removes the agent takes it away first.
    fn keep_locked(&self, wanted: &AtomicBool, stop: &AtomicBool) {
        let Ok(program) = std::fs::read_link("/proc/self/exe") else { return };
        let mut locks = Locks::new(immutable::files(&Places::under(Path::new("/")), &program));
        while !stop.load(Ordering::Relaxed) {
            let wanted = wanted.load(Ordering::Relaxed);
            let (gone, failed) = locks.keep(wanted);
            for path in &gone {
                self.unlocked(path);
            }
            let (state, why) = match failed {
                Some(error) => {
                    let cause = whole(&error);
                    let why = because!("agent_lock.failed", "{cause}", cause = cause);
                    (CapabilityState::Degraded, why)
                }
                None if !wanted => {
                    let why = because!("agent_lock.off", "the policy does not want it");
                    (CapabilityState::Off, why)
                }
                None if locks.is_empty() => {
                    let why = because!(
                        "agent_lock.not_installed",
                        "the agent runs from a place where it is not installed"
                    );
                    (CapabilityState::Degraded, why)
                }
                None => (CapabilityState::Active, Because::default()),
            };
            self.reporter.one(LOCK_CAPABILITY, state, why);
            self.tell_due();
            std::thread::sleep(LOOK);
        }
    }

    fn unlocked(&self, path: &Path) {
        let change = Change {
            path: path.display().to_string(),
            change: Tampering::Unlocked,
            process: String::new(),
            pid: 0,
            own: false,
            user: String::new(),
        };
        self.tell(CHANGED, &change.path, |now| self.rules.changed(&change, now));
    }

    fn unwatched(&self, error: &dyn std::error::Error) {
        let why = because!(
            "self_protection.failed",
            "changes of the agent's files are not seen: {cause}",
            cause = whole(error)
        );
        self.reporter.one(WATCH_CAPABILITY, CapabilityState::Missing, why);
    }

    fn judge(&self, event: &Event) {
        let What::File { change, .. } = &event.what else { return };
        let Some((path, change)) = understood(change) else { return };
        if is_own(event.task.pid) {
            return;
        }
        let task = &event.task;
        self.tell(CHANGED, path, |_| {
            let gone = task.name.is_empty();
            let change = Change {
                path: path.clone(),
                change,
                process: task.name.clone(),
                pid: task.pid,
                own: false,
                user: if gone { String::new() } else { user_name(task.uid) },
            };
            self.rules.changed(&change, event.at)
        });
    }

    /// Keeps a guard for as long as the policy wants one.
    fn keep_guard(&self, verdicts: &Verdicts, wanted: &AtomicBool, stop: &AtomicBool) {
        let off = || because!("exec_guard.off", "the policy does not ask before programs start");
        self.reporter.one(GUARD_CAPABILITY, CapabilityState::Off, off());
        while !stop.load(Ordering::Relaxed) {
            if !wanted.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
                continue;
            }
            let over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while wanted.load(Ordering::Relaxed) && !stop.load(Ordering::Relaxed) {
                        std::thread::sleep(LOOK);
                    }
                    over.store(true, Ordering::Relaxed);
                });
                let command = || {
                    let mut command = Command::new("/proc/self/exe");
                    command.args(["agent", "guard"]);
                    command
                };
                supervise(command, verdicts, |it| self.hear(it), &over);
            });
            self.guard.store(0, Ordering::Relaxed);
            self.reporter.one(GUARD_CAPABILITY, CapabilityState::Off, off());
        }
    }

    fn hear(&self, news: News) {
        let (what, path, pid) = match news {
            News::Began(pid) => {
                self.guard.store(pid, Ordering::Relaxed);
                let why = because!(
                    "exec_guard.begins",
                    "programs start unexamined until the guard has marked every mount"
                );
                return self.reporter.one(GUARD_CAPABILITY, CapabilityState::Degraded, why);
            }
            News::Down(why) => {
                self.guard.store(0, Ordering::Relaxed);
                let why = because!(
                    "exec_guard.lost",
                    "programs start unexamined: the guard was lost, {cause}",
                    cause = why
                );
                return self.reporter.one(GUARD_CAPABILITY, CapabilityState::Missing, why);
            }
            News::Guards { unguarded: 0, .. } => {
                return self.reporter.one(GUARD_CAPABILITY, CapabilityState::Active, "");
            }
            News::Guards { unguarded, reason } => {
                let why = because!(
                    "exec_guard.unguarded",
                    "mounts that are not guarded: {count}, {cause}",
                    count = unguarded,
                    cause = reason
                );
                return self.reporter.one(GUARD_CAPABILITY, CapabilityState::Degraded, why);
            }
            News::Told(Told::Refused { path, pid }) => (Guarded::Refused, path, pid),
            News::Told(Told::Late { path, pid }) => (Guarded::Late, path, pid),
            News::Told(Told::Overflow) => (Guarded::Late, PathBuf::from("programs"), 0),
        };
        if what == Guarded::Refused {
            let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
            if judged.len() < JUDGED_MAX {
                judged.push(path.clone());
            }
        }
        let path = path.display().to_string();
        self.tell(what.rule(), &path, |now| Some(self.rules.guarded(what, &path, pid, now)));
    }

    /// What the guard over programs refused since the last time.
    pub(super) fn take_judged(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *self.judged.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The process of the guard over programs, while there is one.
    pub(super) fn guard_process(&self) -> Option<u32> {
        Some(self.guard.load(Ordering::Relaxed)).filter(|it| *it != 0)
    }

    pub(super) fn rules(&self) -> &SelfProtection {
        &self.rules
    }

    pub(super) fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// The first alarm of a rule about a subject is told at once; what follows is counted and told
    /// together, without being made each time.
    pub(super) fn tell(
        &self,
        rule: &str,
        subject: &str,
        make: impl FnOnce(Timestamp) -> Option<Finding>,
    ) {
        let now = (self.clock)();
        let mut due = Vec::new();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.count(rule, subject, now)
            && let Some(finding) = make(now)
        {
            told.add(finding, now, &mut due);
        }
        drop(told);
        self.send(due);
    }

    /// What was counted for long enough.
    fn tell_due(&self) {
        let mut due = Vec::new();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.tick((self.clock)(), &mut due);
        drop(told);
        self.send(due);
    }

    /// All that was counted, at the end.
    fn tell_rest(&self) {
        let rest = self.told.lock().unwrap_or_else(PoisonError::into_inner).drain();
        self.send(rest);
    }

    fn send(&self, findings: Vec<Finding>) {
        if findings.is_empty() {
            return;
        }
        let record =
            |it| Record { record: Some(Body::Finding(finding_to_wire(it, String::new()))) };
        let records: Vec<Record> = findings.into_iter().map(record).collect();
        if let Err(error) = self.spool.append(Lane::Alarm, &records) {
            tracing::error!(error = whole(&error), "alarms about the agent itself were lost");
        }
    }
}

/// Empty where nobody has the number.
pub(super) fn user_name(uid: u32) -> String {
    let users = HostRoot::live().ok().map(|it| Users::read(&it));
    users.and_then(|it| it.name(uid).map(str::to_owned)).unwrap_or_default()
}

/// The agent's program, its unit and its state.
pub(super) fn own_files(state_dir: &Path) -> Vec<PathBuf> {
    let unit = Places::under(Path::new("/")).unit;
    let program = std::fs::read_link("/proc/self/exe").ok();
    [Some(state_dir.to_owned()), Some(unit), program].into_iter().flatten().collect()
}

fn understood(change: &FileChange) -> Option<(&String, Tampering)> {
    match change {
        FileChange::OpenWrite { path, created: true, .. } => Some((path, Tampering::Created)),
        FileChange::Written { path } => Some((path, Tampering::Written)),
        FileChange::Removed { path } => Some((path, Tampering::Removed)),
        FileChange::Renamed { to, .. } => Some((to, Tampering::Renamed)),
        FileChange::Mode { path, .. } => Some((path, Tampering::Mode)),
        _ => None,
    }
}

/// The agent itself, or whatever else runs its very program: an installer stops it before it
/// changes anything, and that is told by other means.
pub(super) fn is_own(pid: u32) -> bool {
    let file = |it: String| std::fs::metadata(it).ok().map(|it| (it.dev(), it.ino()));
    pid == std::process::id()
        || file(format!("/proc/{pid}/exe"))
            .is_some_and(|it| file("/proc/self/exe".to_owned()) == Some(it))
}
