//! Ends processes and everything that descends from them.
//!
//! The tree is stopped first, until a look finds nobody new in it: a process that stands still
//! cannot fork away. Only then it is killed, through descriptors that mean these very processes
//! even if their numbers are given to others meanwhile.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use model::because;
use model::because::Because;
use model::wire::ProcessTarget;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::step::{Explain, Step};
use crate::collect::process::parse::{self, Stat};
use crate::host_root::HostRoot;

/// Looks at all processes until nobody new is in the tree; a fork bomb that outruns them is killed
/// as far as it was seen, and said.
const LOOKS_MAX: usize = 100;
/// Most processes ended for one target.
pub const TREE_MAX: usize = 20_000;
/// How long the killed have to be gone: long enough for a large memory to be given back.
const END_WAIT: Duration = Duration::from_secs(5);
const SMALL_BYTES_MAX: usize = 16 << 10;

/// Why a process is not ended.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KillError {
    #[error("the process has ended already")]
    Gone,
    #[error("another process has the number by now")]
    Replaced,
    #[error("process {0} is never ended: {1}")]
    Protected(u32, Spared),
    #[error("the kernel refused: {0}")]
    Refused(std::io::ErrorKind),
    #[error("{0} of the processes did not end in time")]
    Remain(usize),
    #[error("processes are started faster than they can be stopped; {0} were ended")]
    Outrun(usize),
}

impl From<Errno> for KillError {
    fn from(errno: Errno) -> Self {
        if errno == Errno::SRCH {
            Self::Gone
        } else {
            Self::Refused(std::io::Error::from(errno).kind())
        }
    }
}

impl Explain for KillError {
    fn because(&self) -> Because {
        let of = |id: &str, name: &'static str, value: &dyn ToString| {
            Because::of(self, id, [(name, value.to_string())])
        };
        match self {
            Self::Gone => because!("kill.gone", "the process has ended already"),
            Self::Replaced => because!("kill.replaced", "another process has the number by now"),
            Self::Protected(pid, Spared::Needed) => of("kill.needed", "pid", pid),
            Self::Protected(pid, Spared::Ancestor) => of("kill.ancestor", "pid", pid),
            Self::Protected(pid, Spared::Own) => of("kill.own", "pid", pid),
            Self::Refused(kind) => of("kill.refused", "cause", kind),
            Self::Remain(count) => of("kill.remain", "count", count),
            Self::Outrun(count) => of("kill.outrun", "count", count),
        }
    }
}

/// Why a process is never ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spared {
    Needed,
    Ancestor,
    Own,
}

impl std::fmt::Display for Spared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Needed => "the host needs it",
            Self::Ancestor => "this agent runs below it",
            Self::Own => "it is a part of Garrison",
        })
    }
}

/// Ends processes of this host.
#[derive(Debug)]
pub struct Killer<'r> {
    root: &'r HostRoot,
    ticks_per_s: u64,
}

/// A process that was found where it was expected.
#[derive(Clone, Debug)]
struct Seen {
    pid: u32,
    parent: u32,
    start_ticks: u64,
}

impl<'r> Killer<'r> {
    pub fn new(root: &'r HostRoot) -> Self {
        Self { root, ticks_per_s: rustix::param::clock_ticks_per_second().max(1) }
    }

    /// What ending `target` would do, without doing anything.
    pub fn plan(&self, target: &ProcessTarget) -> Result<Vec<Step>, KillError> {
        let stat = self.checked(target)?;
        let mut steps = vec![Self::step(target.pid, &stat.name)];
        if target.tree {
            let members = self.descendants(&[target.pid]);
            let below = members.iter().filter(|it| it.pid != target.pid).count();
            if below > 0 {
                let en = match below {
                    1 => "End the process it started".to_owned(),
                    many => format!("End the {many} processes it started"),
                };
                steps.push(Step::planned(en, format!("结束由其启动的 {below} 个进程")));
            }
        }
        Ok(steps)
    }

    /// Ends `target`; the number of processes that are gone.
    pub fn end(&self, target: &ProcessTarget) -> Result<usize, KillError> {
        let mut stopped: BTreeMap<u32, OwnedFd> = BTreeMap::new();
        let first = self.hold(target)?;
        pidfd_send_signal(&first, Signal::STOP)?;
        stopped.insert(target.pid, first);
        let outrun = target.tree && !self.stop_tree(target.pid, &mut stopped);
        let mut killed = Vec::new();
        let mut refused = None;
        for (_, process) in stopped {
            match pidfd_send_signal(&process, Signal::KILL) {
                Ok(()) => killed.push(process),
                // It ended by itself.
                Err(Errno::SRCH) => {}
                // One that may be stopped but not ended is not left standing still.
                Err(error) => {
                    let _ = pidfd_send_signal(&process, Signal::CONT);
                    refused = Some(error);
                }
            }
        }
        if let Some(error) = refused {
            return Err(error.into());
        }
        let remain = killed.len() - gone_in_time(&killed, Instant::now() + END_WAIT);
        match (remain, outrun) {
            (0, false) => Ok(killed.len()),
            (0, true) => Err(KillError::Outrun(killed.len())),
            (remain, _) => Err(KillError::Remain(remain)),
        }
    }

    /// One step of a plan: `End process 4711 (sh)`.
    pub fn step(pid: u32, name: &str) -> Step {
        Step::planned(format!("End process {pid} ({name})"), format!("结束进程 {pid}（{name}）"))
    }

    /// The kernel's short name; empty if it has ended.
    pub fn name(&self, pid: u32) -> String {
        self.stat(pid).map(|it| it.name).unwrap_or_default()
    }

    /// False: somebody new was found at every look.
    fn stop_tree(&self, root: u32, stopped: &mut BTreeMap<u32, OwnedFd>) -> bool {
        for _ in 0..LOOKS_MAX {
            let known: Vec<u32> = stopped.keys().copied().collect();
            let mut news = false;
            for it in self.descendants(&known) {
                if stopped.contains_key(&it.pid) || stopped.len() >= TREE_MAX {
                    continue;
                }
                // A child that must not be ended is left alone, and so is what is below it.
                let target = ProcessTarget {
                    pid: it.pid,
                    started_ns: self.nanoseconds(it.start_ticks),
                    tree: false,
                };
                let Ok(process) = self.hold(&target) else { continue };
                if pidfd_send_signal(&process, Signal::STOP).is_ok() {
                    stopped.insert(it.pid, process);
                    news = true;
                }
            }
            if !news {
                return true;
            }
        }
        tracing::warn!(root, "a tree of processes grows faster than it can be stopped");
        false
    }

    /// A descriptor of the process that `target` means, and of no other.
    fn hold(&self, target: &ProcessTarget) -> Result<OwnedFd, KillError> {
        let pid = i32::try_from(target.pid).ok().and_then(Pid::from_raw).ok_or(KillError::Gone)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        // The descriptor means whoever had the number just now: that is compared after it.
        self.checked(target)?;
        Ok(process)
    }

    /// The process has the number and the start that the target names, and may be ended.
    fn checked(&self, target: &ProcessTarget) -> Result<Stat, KillError> {
        let stat = self.stat(target.pid).ok_or(KillError::Gone)?;
        if stat.start_ticks != self.ticks(target.started_ns) {
            return Err(KillError::Replaced);
        }
        if stat.state == 'Z' {
            return Err(KillError::Gone);
        }
        match self.protection(target.pid, &stat) {
            Some(why) => Err(KillError::Protected(target.pid, why)),
            None => Ok(stat),
        }
    }

    fn protection(&self, pid: u32, stat: &Stat) -> Option<Spared> {
        if pid <= 2 || stat.kernel_thread {
            return Some(Spared::Needed);
        }
        if self.is_ancestor(pid, std::process::id()) {
            return Some(Spared::Ancestor);
        }
        // The server, a supervisor, a guard: whatever runs the agent's own program.
        let file = |it: String| self.root.metadata(it).ok().map(|it| (it.device, it.inode));
        let own = file("/proc/self/exe".to_owned());
        if own.is_some() && file(format!("/proc/{pid}/exe")) == own {
            return Some(Spared::Own);
        }
        None
    }

    fn is_ancestor(&self, ancestor: u32, of: u32) -> bool {
        let mut at = of;
        for _ in 0..1024 {
            if at == ancestor {
                return true;
            }
            match self.stat(at) {
                Some(stat) if stat.parent != 0 => at = stat.parent,
                _ => return false,
            }
        }
        false
    }

    /// `roots` and everything below them, as far as it may be ended.
    fn descendants(&self, roots: &[u32]) -> Vec<Seen> {
        let mut children: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
        for it in self.all() {
            children.entry(it.parent).or_default().push(it);
        }
        let mut found = Vec::new();
        let mut todo: Vec<u32> = roots.to_vec();
        while let Some(parent) = todo.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                todo.push(child.pid);
                found.push(child);
            }
        }
        found
    }

    fn all(&self) -> Vec<Seen> {
        let entries = self.root.read_dir("/proc").unwrap_or_default();
        let pids = entries.iter().filter_map(|it| it.name.to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| {
            let stat = self.stat(pid)?;
            Some(Seen { pid, parent: stat.parent, start_ticks: stat.start_ticks })
        })
        .collect()
    }

    fn stat(&self, pid: u32) -> Option<Stat> {
        parse::stat(&self.root.read(format!("/proc/{pid}/stat"), SMALL_BYTES_MAX).ok()?)
    }

    fn ticks(&self, started_ns: u64) -> u64 {
        let ticks = u128::from(started_ns) * u128::from(self.ticks_per_s) / 1_000_000_000;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        let ns = (u128::from(ticks) * 1_000_000_000).div_ceil(u128::from(self.ticks_per_s));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// How many of `processes` are gone at `deadline` at the latest: the descriptor of one that ended
/// can be read.
fn gone_in_time(processes: &[OwnedFd], deadline: Instant) -> usize {
    let ended = |process: &&OwnedFd| {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).ok();
        let mut fds = [PollFd::new(*process, PollFlags::IN)];
        poll(&mut fds, left.as_ref()).is_ok_and(|it| it > 0)
    };
    processes.iter().filter(ended).count()
}

#[cfg(test)]
mod tests;
