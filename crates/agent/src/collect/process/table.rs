//! The processes of a moment, shared by every collector that asks about them.

use std::collections::HashMap;
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
        if !root.is_live() {
            return Self { skipped: vec![super::needs_live()], ..Self::default() };
        }
        let entries = match root.read_dir("/proc") {
            Ok(entries) => entries,
            Err(error) => return Self { skipped: vec![error.because()], ..Self::default() },
        };
        let mut table = Self { available: true, ..Self::default() };
        let boot = boot_time(root, &mut table.skipped);
        let mut unread = Unread::default();
        let mut buffer = Vec::new();
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
        for pid in pids {
            // A process that has ended meanwhile is no loss.
            let Ok(directory) = root.open_dir(format!("/proc/{pid}")) else { continue };
            if let Some(it) = read_one(pid, &directory, boot, &mut buffer, &mut unread) {
                table.by_pid.insert(pid, table.processes.len());
                table.processes.push(it);
            }
        }
        table.set_states(root);
        table.set_depths();
        table.skipped.extend(unread.lines());
        table
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

fn read_one(
    pid: u32,
    directory: &Directory,
    boot: Option<i64>,
    buffer: &mut Vec<u8>,
    unread: &mut Unread,
) -> Option<Process> {
    directory.read("stat", SMALL_BYTES_MAX, buffer).ok()?;
    let Some(Stat { name, state, parent, kernel_thread, start_ticks }) = parse::stat(buffer) else {
        unread.broken += 1;
        return None;
    };
    if kernel_thread {
        return None;
    }
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
    Some(Process {
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
    })
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
