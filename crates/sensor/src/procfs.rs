//! What /proc tells of a process: the facts of the tiers below eBPF.
//!
//! Reading is apart from understanding: `parse_*` take bytes. Everything is read as it is now,
//! which may be later than the event it is read for.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use model::event::{
    Address, Ancestor, Descriptor, Exec, ExecutableFile, Namespaces, Rights, Socket, Task,
};
use model::time::Timestamp;

/// Of a file in /proc; more than any command line that is looked at.
const READ_BYTES_MAX: u64 = 64 * 1024;
/// Of the command line.
pub const ARGUMENTS_BYTES_MAX: usize = 16 * 1024;
/// How far the chain of parents is followed.
const ANCESTORS_MAX: usize = 10;
/// `USER_HZ`, the unit of times in /proc: fixed on every architecture we build for.
const TICK_NS: u64 = 10_000_000;
const NOBODY: u32 = u32::MAX;

/// The processes a lower tier has seen, so that it knows what was before a change.
#[derive(Debug, Default)]
pub(crate) struct Known {
    tasks: HashMap<u32, Task>,
}

/// Tasks kept; a host with more processes compares fewer.
const KNOWN_MAX: usize = 65_536;

impl Known {
    /// All processes there are now.
    pub(crate) fn now() -> std::io::Result<Self> {
        let mut known = Self::default();
        for pid in pids()? {
            if let Some(task) = task(pid) {
                known.insert(&task);
            }
        }
        Ok(known)
    }

    pub(crate) fn insert(&mut self, task: &Task) {
        if self.tasks.len() < KNOWN_MAX || self.tasks.contains_key(&task.pid) {
            self.tasks.insert(task.pid, task.clone());
        }
    }

    pub(crate) fn get(&self, pid: u32) -> Option<Task> {
        self.tasks.get(&pid).cloned()
    }

    pub(crate) fn remove(&mut self, pid: u32) -> Option<Task> {
        self.tasks.remove(&pid)
    }

    pub(crate) fn rights(&self, pid: u32) -> Option<Rights> {
        self.tasks.get(&pid).map(crate::connector::rights)
    }

    /// Those that are not in `alive` any more, taken out.
    pub(crate) fn take_gone(&mut self, alive: &HashSet<u32>) -> Vec<Task> {
        self.tasks.extract_if(|pid, _| !alive.contains(pid)).map(|(_, task)| task).collect()
    }
}

pub fn pids() -> std::io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Who this process is; `None` once it is gone.
pub fn task(pid: u32) -> Option<Task> {
    let stat = parse_stat(&read(pid, "stat")?)?;
    let status = parse_status(&read(pid, "status")?)?;
    Some(Task {
        pid,
        tid: pid,
        started_ns: stat.started_ns,
        parent_pid: stat.parent_pid,
        uid: status.uids[0],
        euid: status.uids[1],
        gid: status.gids[0],
        egid: status.gids[1],
        login_uid: number(pid, "loginuid").filter(|it| *it != NOBODY),
        session: number(pid, "sessionid").filter(|it| *it != NOBODY),
        capabilities: Some(status.capabilities),
        name: stat.name,
        namespaces: namespaces(pid),
    })
}

/// What this process runs; `None` once it is gone, or for a thread of the kernel.
pub fn exec(pid: u32) -> Option<Exec> {
    Some(Exec { ancestors: ancestors(pid), ..exec_alone(pid)? })
}

/// The same without its ancestors, for whoever reads all processes.
pub fn exec_alone(pid: u32) -> Option<Exec> {
    let executable = link(pid, "exe")?;
    let (arguments, arguments_cut) = parse_arguments(&read(pid, "cmdline")?);
    let environment = read(pid, "environ").unwrap_or_default();
    Some(Exec {
        arguments,
        arguments_cut,
        cwd: link(pid, "cwd"),
        executable: program_name(&executable),
        file: file(pid),
        script: None,
        stdio: stdio(pid),
        terminal: terminal(pid),
        ancestors: Vec::new(),
        before: None,
        loader: parse_loader(&environment),
    })
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stat {
    pub name: String,
    pub parent_pid: u32,
    pub started_ns: u64,
}

/// `/proc/PID/stat`: the name may hold anything, so the last `)` ends it.
pub fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(bytes);
    let (head, rest) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first field here is the third of the file.
    let parent_pid = fields.get(1)?.parse().ok()?;
    let ticks: u64 = fields.get(19)?.parse().ok()?;
    Some(Stat { name, parent_pid, started_ns: ticks.saturating_mul(TICK_NS) })
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Real and effective.
    pub uids: [u32; 2],
    pub gids: [u32; 2],
    pub capabilities: u64,
}

/// `/proc/PID/status`.
pub fn parse_status(bytes: &[u8]) -> Option<Status> {
    let text = String::from_utf8_lossy(bytes);
    let line = |name: &str| text.lines().find_map(|it| it.strip_prefix(name));
    let pair = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(|it| it.parse::<u32>().ok());
        Some([numbers.next()??, numbers.next()??])
    };
    Some(Status {
        uids: pair(line("Uid:")?)?,
        gids: pair(line("Gid:")?)?,
        capabilities: u64::from_str_radix(line("CapEff:")?.trim(), 16).ok()?,
    })
}

/// `/proc/PID/cmdline`, and whether it was cut.
pub fn parse_arguments(bytes: &[u8]) -> (Vec<String>, bool) {
    let cut = bytes.len() > ARGUMENTS_BYTES_MAX;
    let bytes = bytes.get(..ARGUMENTS_BYTES_MAX).unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return (Vec::new(), cut);
    }
    let parts = bytes.split(|byte| *byte == 0);
    (parts.map(|it| String::from_utf8_lossy(it).into_owned()).collect(), cut)
}

/// The variables by which the dynamic loader is told to load something, out of an environment.
pub fn parse_loader(environment: &[u8]) -> Vec<(String, String)> {
    const NAMES: [&[u8]; 3] = [b"LD_PRELOAD", b"LD_AUDIT", b"LD_LIBRARY_PATH"];
    let variables = environment.split(|byte| *byte == 0).filter_map(|variable| {
        let at = variable.iter().position(|byte| *byte == b'=')?;
        let (name, value) = variable.split_at_checked(at)?;
        let value = value.get(1..)?;
        NAMES.contains(&name).then(|| {
            (
                String::from_utf8_lossy(name).into_owned(),
                String::from_utf8_lossy(value).into_owned(),
            )
        })
    });
    variables.collect()
}

/// `/proc/net/{tcp,udp,tcp6,udp6}`: local and peer address of the socket with this inode.
pub fn parse_net(bytes: &[u8], inode: u64) -> Option<(Address, Address)> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let own: u64 = fields.get(9)?.parse().ok()?;
        (own == inode).then_some(())?;
        Some((address(fields.get(1)?)?, address(fields.get(2)?)?))
    })
}

/// `0100007F:0016`: words of the address in the order of this machine, the port as a number.
fn address(text: &str) -> Option<Address> {
    let (ip, port) = text.split_once(':')?;
    let words: Option<Vec<[u8; 4]>> = ip
        .as_bytes()
        .chunks(8)
        .map(|word| {
            let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
            Some(word.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    let ip = match bytes.len() {
        4 => std::net::IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => std::net::IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(Address { ip, port: u16::from_str_radix(port, 16).ok()? })
}

/// The name of an executable as the model has it, from the target of `/proc/PID/exe`.
pub fn program_name(link: &str) -> String {
    let name = link.strip_suffix(" (deleted)").unwrap_or(link);
    match name.strip_prefix("/memfd:") {
        Some(name) => format!("memfd:{name}"),
        None => name.to_owned(),
    }
}

fn read(pid: u32, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{pid}/{name}"))
        .ok()?
        .take(READ_BYTES_MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

fn number(pid: u32, name: &str) -> Option<u32> {
    String::from_utf8(read(pid, name)?).ok()?.trim().parse().ok()
}

fn link(pid: u32, name: &str) -> Option<String> {
    let target = fs::read_link(format!("/proc/{pid}/{name}")).ok()?;
    Some(target.to_string_lossy().into_owned())
}

fn namespaces(pid: u32) -> Option<Namespaces> {
    let inode = |name: &str| {
        let target = link(pid, &format!("ns/{name}"))?;
        target.split_once('[')?.1.strip_suffix(']')?.parse().ok()
    };
    Some(Namespaces {
        pid: inode("pid")?,
        mount: inode("mnt")?,
        net: inode("net")?,
        user: inode("user")?,
    })
}

fn file(pid: u32) -> Option<ExecutableFile> {
    let meta = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some(ExecutableFile {
        device: meta.dev(),
        inode: meta.ino(),
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        links: meta.nlink() as u32,
        size: meta.size(),
        changed_at: Timestamp(meta.ctime() * 1_000_000 + meta.ctime_nsec() / 1000),
    })
}

fn stdio(pid: u32) -> [Descriptor; 3] {
    [0, 1, 2].map(|fd| descriptor(pid, fd).unwrap_or_default())
}

fn descriptor(pid: u32, fd: u8) -> Option<Descriptor> {
    let target = link(pid, &format!("fd/{fd}"))?;
    let inode =
        |kind: &str| -> Option<u64> { target.strip_prefix(kind)?.strip_suffix(']')?.parse().ok() };
    if let Some(inode) = inode("socket:[") {
        return Some(Descriptor::Socket(socket(pid, inode)));
    }
    if let Some(inode) = inode("pipe:[") {
        return Some(Descriptor::Pipe { inode, is_named: false });
    }
    let meta = fs::metadata(format!("/proc/{pid}/fd/{fd}")).ok()?;
    Some(match meta.mode() & 0o170_000 {
        0o010_000 => Descriptor::Pipe { inode: meta.ino(), is_named: true },
        0o020_000 if target.starts_with("/dev/pts/") || target.starts_with("/dev/tty") => {
            Descriptor::Terminal
        }
        0o020_000 => Descriptor::Device,
        0o100_000 => Descriptor::File,
        _ => Descriptor::Other,
    })
}

fn socket(pid: u32, inode: u64) -> Socket {
    const TABLES: [(&str, u16, u16); 4] =
        [("net/tcp", 2, 1), ("net/tcp6", 10, 1), ("net/udp", 2, 2), ("net/udp6", 10, 2)];
    for (table, family, kind) in TABLES {
        let found = read(pid, table).and_then(|bytes| parse_net(&bytes, inode));
        if let Some((local, peer)) = found {
            let peer = Some(peer).filter(|it| it.port != 0);
            return Socket { family, kind, inode, local: Some(local), peer };
        }
    }
    // Neither TCP nor UDP: nearly always a socket of the file system.
    Socket { family: 1, kind: 0, inode, local: None, peer: None }
}

fn terminal(pid: u32) -> Option<String> {
    (0..3).find_map(|fd| {
        let target = link(pid, &format!("fd/{fd}"))?;
        let name = target.strip_prefix("/dev/")?;
        let is_terminal = name.starts_with("pts/") || name.starts_with("tty");
        is_terminal.then(|| name.to_owned())
    })
}

/// Who started this process, parent first.
pub fn ancestors(pid: u32) -> Vec<Ancestor> {
    let mut chain = Vec::new();
    let mut next = read(pid, "stat").and_then(|it| parse_stat(&it)).map(|it| it.parent_pid);
    while let Some(pid) = next.filter(|it| *it != 0 && chain.len() < ANCESTORS_MAX) {
        let Some(stat) = read(pid, "stat").and_then(|it| parse_stat(&it)) else { break };
        chain.push(Ancestor { pid, started_ns: stat.started_ns, name: stat.name });
        next = Some(stat.parent_pid);
    }
    chain
}

pub(crate) fn own_mount_namespace() -> Option<u64> {
    namespaces(std::process::id()).map(|it| it.mount)
}

/// Whether /proc is there at all.
pub(crate) fn is_mounted() -> std::io::Result<()> {
    fs::metadata(Path::new("/proc/self/stat")).map(|_| ())
}

#[cfg(test)]
mod tests;
