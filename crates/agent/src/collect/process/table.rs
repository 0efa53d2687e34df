//! The processes of a moment, shared by every collector that asks about them.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use model::because;
use model::because::Because;
use model::time::Timestamp;

use super::parse::{self, Stat};
use crate::collect::container::{self, ContainerRef};
use crate::collect::mask;
use crate::host_root::{Directory, HostRoot, ReadError};

/// Most processes looked at.
pub const PROCESSES_MAX: usize = 100_000;
/// Most of a command line that is read.
const COMMAND_BYTES_MAX: usize = 32 << 10;
const SMALL_BYTES_MAX: usize = 16 << 10;
/// `/proc/stat` grows with processors and interrupts.
const KERNEL_STAT_BYTES_MAX: usize = 4 << 20;
/// Most changed processes that are told one by one.
const CHANGES_MAX: usize = 4096;

/// One process. What this user may not read is absent.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// Ancestors up to pid 1 or 2, counted.
    pub depth: u32,
    /// The kernel's short name (comm).
    pub name: String,
    /// `R`, `S`, `D`, `Z`, ... of proc_pid_stat(5).
    pub state: char,
    /// Clock ticks since boot: with the pid an identity that no clock change alters.
    pub start_ticks: u64,
    pub started_at: Option<Timestamp>,
    /// Effective user.
    pub uid: Option<u32>,
    /// Path as the process's own mount namespace has it, without a `(deleted)` at its end.
    pub executable: Option<PathBuf>,
    pub executable_state: Option<ExecutableState>,
    /// Raw arguments. They may hold secrets: use [`Process::command`] for anything shown.
    pub arguments: Vec<Vec<u8>>,
    pub container: Option<ContainerRef>,
}

model::words! {
    /// What became of the file a process was started from.
    ExecutableState {
        /// It stands where it stood.
        Present = "present",
        /// Another file stands at its path, as after an update.
        Replaced = "replaced",
        /// Nothing stands at its path any more.
        Deleted = "deleted",
        /// It never was on a disk (memfd).
        Memory = "memory",
    }
}

impl Process {
    /// The command line with secrets masked.
    pub fn command(&self) -> String {
        mask::command(&self.arguments)
    }

    /// Where the kernel shows the executable itself, whatever became of its path.
    pub fn executable_link(&self) -> String {
        format!("/proc/{}/exe", self.pid)
    }

    /// The executable is the file that stands at that path on this host, not in a container.
    pub fn executable_on_host(&self, root: &HostRoot) -> Option<&Path> {
        let path = self.executable.as_deref()?;
        match self.executable_state? {
            ExecutableState::Present => {
                let (here, running) =
                    (root.metadata(path).ok()?, root.metadata(self.executable_link()).ok()?);
                ((here.device, here.inode) == (running.device, running.inode)).then_some(path)
            }
            ExecutableState::Replaced if self.container.is_none() => Some(path),
            _ => None,
        }
    }
}

/// Every process but the kernel's own threads, by pid.
#[derive(Debug, Default)]
pub struct ProcessTable {
    pub processes: Vec<Process>,
    /// One sentence each: what could not be read.
    pub skipped: Vec<Because>,
    /// False: this is no running host, or its `/proc` cannot be listed.
    pub available: bool,
    by_pid: HashMap<u32, usize>,
    kernel_threads: HashSet<u32>,
    /// Those of which something could not be read, and may be another time.
    unread: HashSet<u32>,
    boot: Option<i64>,
}

/// Which processes began, ended or became another since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pids: HashSet<u32>,
    /// More than are told one by one, or it is not known which.
    any: bool,
}

impl Changes {
    /// It is not known which.
    pub fn any() -> Self {
        Self { pids: HashSet::new(), any: true }
    }

    pub fn add(&mut self, pid: u32) {
        if !self.any {
            self.pids.insert(pid);
        }
        if self.pids.len() > CHANGES_MAX {
            self.add_any();
        }
    }

    /// Any process may be another now.
    pub fn add_any(&mut self) {
        *self = Self::any();
    }

    pub fn extend(&mut self, others: &Self) {
        others.pids.iter().for_each(|it| self.add(*it));
        if others.any {
            self.add_any();
        }
    }

    pub fn is_empty(&self) -> bool {
        !self.any && self.pids.is_empty()
    }
}

#[derive(Debug, Default)]
struct Unread {
    executables: usize,
    users: usize,
    commands: usize,
    broken: usize,
}

impl ProcessTable {
    /// Reads `/proc` of a running host. Another root has no processes.
    pub fn read(root: &HostRoot) -> Self {
        Self::renew(root, Self::default(), &Changes::default())
    }

    /// As [`read`](Self::read), but what stands in `before` is believed of a process that is not
    /// among `changed`, runs the same executable and has kept its parent.
    pub fn renew(root: &HostRoot, before: Self, changed: &Changes) -> Self {
        if !root.is_live() {
            return Self { skipped: vec![super::needs_live()], ..Self::default() };
        }
        let entries = match root.read_dir("/proc") {
            Ok(entries) => entries,
            Err(error) => return Self { skipped: vec![error.because()], ..Self::default() },
        };
        let before = if changed.any { Self::default() } else { before };
        let mut table = Self { available: true, ..Self::default() };
        table.boot = before.boot.or_else(|| boot_time(root, &mut table.skipped));
        let mut pids: Vec<u32> = entries
            .iter()
            .filter_map(|it| parse::number(it.name.as_bytes()))
            .filter_map(|it| u32::try_from(it).ok())
            .collect();
        pids.sort_unstable();
        if pids.len() > PROCESSES_MAX {
            let more = pids.len() - PROCESSES_MAX;
            table.skipped.push(because!(
                "skip.processes",
                "processes over the limit of {max}: {more}",
                more = more,
                max = PROCESSES_MAX
            ));
            pids.truncate(PROCESSES_MAX);
        }
        let mut unread = Unread::default();
        let mut buffer = Vec::new();
        for pid in &pids {
            let known = before.believed(root, *pid, &pids).filter(|_| !changed.pids.contains(pid));
            let count = unread.all();
            let found =
                known.unwrap_or_else(|| read_one(root, *pid, table.boot, &mut buffer, &mut unread));
            if unread.all() > count {
                table.unread.insert(*pid);
            }
            table.add(*pid, found);
        }
        table.set_states(root);
        table.set_depths();
        table.skipped.extend(unread.lines());
        table
    }

    fn add(&mut self, pid: u32, found: Found) {
        match found {
            Found::Process(it) => {
                self.by_pid.insert(pid, self.processes.len());
                self.processes.push(*it);
            }
            Found::KernelThread => {
                self.kernel_threads.insert(pid);
            }
            Found::Nothing => {}
        }
    }

    /// What is known of the process, if it still holds.
    fn believed(&self, root: &HostRoot, pid: u32, alive: &[u32]) -> Option<Found> {
        if self.unread.contains(&pid) {
            return None;
        }
        if self.kernel_threads.contains(&pid) {
            return Some(Found::KernelThread);
        }
        let known = self.processes.get(*self.by_pid.get(&pid)?)?;
        let has_parent = known.parent == 0 || alive.binary_search(&known.parent).is_ok();
        let link = root.read_link(known.executable_link()).ok()?;
        let (path, state) = parse::executable(link.as_os_str().as_bytes());
        let was = match known.executable_state? {
            ExecutableState::Replaced => ExecutableState::Deleted,
            it => it,
        };
        let is_same = has_parent && known.executable.as_ref() == Some(&path) && was == state;
        is_same.then(|| {
            Found::Process(Box::new(Process { executable_state: Some(state), ..known.clone() }))
        })
    }

    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.by_pid.get(&pid).and_then(|it| self.processes.get(*it))
    }

    fn set_depths(&mut self) {
        let mut depths = vec![None; self.processes.len()];
        for start in 0..self.processes.len() {
            let mut chain = Vec::new();
            let mut at = Some(start);
            let mut base = 0;
            // A parent read a moment later may form a ring; a chain is never longer than all.
            while let Some(index) = at.filter(|_| chain.len() <= depths.len()) {
                if let Some(Some(known)) = depths.get(index) {
                    base = known + 1;
                    break;
                }
                chain.push(index);
                at = self.processes.get(index).and_then(|it| self.by_pid.get(&it.parent)).copied();
            }
            for (step, index) in chain.iter().rev().enumerate() {
                if let Some(slot) = depths.get_mut(*index) {
                    *slot = Some(base + step as u32);
                }
            }
        }
        for (process, depth) in self.processes.iter_mut().zip(depths) {
            process.depth = depth.unwrap_or(0);
        }
    }

    /// Tells replaced from deleted: what stands at the path now, asked once a path.
    fn set_states(&mut self, root: &HostRoot) {
        let mut stands: HashMap<PathBuf, bool> = HashMap::new();
        for process in &mut self.processes {
            let (Some(path), Some(ExecutableState::Deleted)) =
                (&process.executable, process.executable_state)
            else {
                continue;
            };
            let stands =
                *stands.entry(path.clone()).or_insert_with(|| root.symlink_metadata(path).is_ok());
            if stands && process.container.is_none() {
                process.executable_state = Some(ExecutableState::Replaced);
            }
        }
    }
}

/// What has a pid.
enum Found {
    Process(Box<Process>),
    KernelThread,
    /// It ended meanwhile, which is no loss, or its state makes no sense.
    Nothing,
}

fn read_one(
    root: &HostRoot,
    pid: u32,
    boot: Option<i64>,
    buffer: &mut Vec<u8>,
    unread: &mut Unread,
) -> Found {
    let Ok(directory) = root.open_dir(format!("/proc/{pid}")) else { return Found::Nothing };
    if directory.read("stat", SMALL_BYTES_MAX, buffer).is_err() {
        return Found::Nothing;
    }
    let Some(stat) = parse::stat(buffer) else {
        unread.broken += 1;
        return Found::Nothing;
    };
    if stat.kernel_thread {
        return Found::KernelThread;
    }
    Found::Process(Box::new(read_process(pid, stat, &directory, boot, buffer, unread)))
}

fn read_process(
    pid: u32,
    stat: Stat,
    directory: &Directory,
    boot: Option<i64>,
    buffer: &mut Vec<u8>,
    unread: &mut Unread,
) -> Process {
    let Stat { name, state, parent, start_ticks, .. } = stat;
    let uid = match directory.read("status", SMALL_BYTES_MAX, buffer) {
        Ok(_) => parse::effective_uid(buffer),
        Err(_) => None,
    };
    unread.users += usize::from(uid.is_none());
    let arguments = if directory.read("cmdline", COMMAND_BYTES_MAX, buffer).is_ok() {
        parse::arguments(buffer)
    } else {
        unread.commands += 1;
        Vec::new()
    };
    let container = match directory.read("cgroup", SMALL_BYTES_MAX, buffer) {
        Ok(_) => container::parse(buffer),
        Err(_) => None,
    };
    let link = match directory.read_link("exe") {
        Ok(link) => Some(parse::executable(link.as_os_str().as_bytes())),
        // A zombie has none.
        Err(ReadError::Absent { .. }) => None,
        Err(_) => {
            unread.executables += 1;
            None
        }
    };
    // USER_HZ is 100 on every architecture Linux runs on but alpha and ia64.
    let started_at = boot.map(|it| {
        let micros = i64::try_from(start_ticks.saturating_mul(10_000)).unwrap_or(i64::MAX);
        Timestamp(Timestamp::from_secs(it).0.saturating_add(micros))
    });
    let (executable, executable_state) = link.unzip();
    Process {
        pid,
        parent,
        depth: 0,
        name,
        state,
        start_ticks,
        started_at,
        uid,
        executable,
        executable_state,
        arguments,
        container,
    }
}

/// Seconds since 1970 at which the host started.
fn boot_time(root: &HostRoot, skipped: &mut Vec<Because>) -> Option<i64> {
    let seconds = match root.read_prefix("/proc/stat", KERNEL_STAT_BYTES_MAX) {
        Ok(it) => parse::boot_time(&it.bytes),
        Err(error) => {
            skipped.push(error.because());
            return None;
        }
    };
    if seconds.is_none() {
        skipped.push(because!(
            "skip.no_boot_time",
            "/proc/stat has no btime: start times are not known"
        ));
    }
    seconds
}

impl Unread {
    fn all(&self) -> usize {
        self.executables + self.users + self.commands + self.broken
    }

    fn lines(&self) -> Vec<Because> {
        let Self { executables, users, commands, broken } = *self;
        [
            because!(
                "skip.executables",
                "processes whose executable could not be read: {count}",
                count = executables
            ),
            because!(
                "skip.users",
                "processes whose user could not be read: {count}",
                count = users
            ),
            because!(
                "skip.commands",
                "processes whose command line could not be read: {count}",
                count = commands
            ),
            because!(
                "skip.states",
                "processes whose state could not be read: {count}",
                count = broken
            ),
        ]
        .into_iter()
        .zip([executables, users, commands, broken])
        .filter(|(_, count)| *count > 0)
        .map(|(why, _)| why)
        .collect()
    }
}
