//! Puts the records of one audit event together and says what it was.
//!
//! Of the system calls that rules ask about, those are understood that other tiers tell too; the
//! numbers are those of x86-64. Their paths are what was typed, put behind the working directory.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use model::event::{Address, Exec, ExecutableFile, FileChange, MemoryPath, Socket, Task, What};
use model::time::Timestamp;

use super::record::{self, Record};
use crate::procfs::ARGUMENTS_BYTES_MAX;

/// Events of which not every record has come; the oldest is taken as whole beyond.
const OPEN_MAX: usize = 256;
/// Paths of one event.
const PATHS_MAX: usize = 8;
/// `arch` of what runs on x86-64 as such.
const ARCHITECTURE: &str = "c000003e";
const UNSET: u32 = u32::MAX;
const O_WRITING: u64 = 0o3;
const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;

/// An event of the audit system in the words of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub at: Timestamp,
    pub task: Task,
    pub what: What,
}

/// Collects records until their event is whole.
#[derive(Debug, Default)]
pub struct Assembler {
    open: BTreeMap<u64, Open>,
}

#[derive(Debug, Default)]
struct Open {
    call: Option<Record>,
    paths: Vec<Record>,
    cwd: Option<String>,
    address: Option<Vec<u8>>,
    module: Option<String>,
    arguments: BTreeMap<usize, Vec<u8>>,
    bytes: usize,
    arguments_cut: bool,
}

impl Assembler {
    /// Takes one record of this kind, and says what an event was when this was the last of it.
    pub fn take(&mut self, kind: u16, payload: &[u8]) -> Option<Told> {
        let record = record::parse(payload)?;
        let serial = record.serial;
        if kind == record::END {
            return self.open.remove(&serial)?.tell();
        }
        let is_known = matches!(
            kind,
            record::SYSCALL
                | record::PATH
                | record::SOCKADDR
                | record::CWD
                | record::EXECVE
                | record::MODULE
        );
        if !is_known {
            return None;
        }
        let oldest = (self.open.len() >= OPEN_MAX && !self.open.contains_key(&serial))
            .then(|| self.open.pop_first())
            .flatten();
        self.open.entry(serial).or_default().add(kind, record);
        oldest.and_then(|(_, it)| it.tell())
    }
}

impl Open {
    fn add(&mut self, kind: u16, record: Record) {
        match kind {
            record::SYSCALL => self.call = Some(record),
            record::PATH if self.paths.len() < PATHS_MAX => self.paths.push(record),
            record::CWD => self.cwd = record.text("cwd"),
            record::SOCKADDR => self.address = record.text_bytes("saddr"),
            record::MODULE => self.module = record.text("name"),
            record::EXECVE => self.add_arguments(&record),
            _ => {}
        }
    }

    /// `a0="ls" a1[0]=… a1[1]=…`, over as many records as it takes.
    fn add_arguments(&mut self, record: &Record) {
        for (key, bytes) in record.texts() {
            let Some(number) = key.strip_prefix('a') else { continue };
            let number = number.split('[').next().unwrap_or_default();
            let Ok(number) = number.parse::<usize>() else { continue };
            self.bytes += bytes.len() + 1;
            if self.bytes > ARGUMENTS_BYTES_MAX {
                self.arguments_cut = true;
                return;
            }
            self.arguments.entry(number).or_default().extend(bytes);
        }
    }

    fn tell(self) -> Option<Told> {
        let call = self.call.as_ref()?;
        if call.word("arch") != Some(ARCHITECTURE) {
            return None;
        }
        let result = call.number("exit");
        let what = self.what(call, call.number("syscall")?, result)?;
        Some(Told { at: call.at, task: task(call)?, what })
    }

    fn what(&self, call: &Record, number: u32, result: Option<i32>) -> Option<What> {
        let argument = |key: &str| call.hexadecimal(key);
        let file = |change| Some(What::File { change, result });
        match number {
            // execve, execveat: what failed changed nothing.
            59 | 322 if result == Some(0) => Some(What::Exec(Box::new(self.exec(call)))),
            // open, openat, creat
            2 => self.opened(argument("a1")?, result),
            257 => self.opened(argument("a2")?, result),
            85 => self.opened(O_WRITING | O_CREAT | O_TRUNC, result),
            // chmod, fchmod, fchmodat
            90 | 91 | 268 => {
                let mode = argument(if number == 268 { "a2" } else { "a1" })? as u32;
                file(FileChange::Mode { path: self.path("NORMAL")?, mode })
            }
            // chown, fchown, lchown, fchownat
            92 | 93 | 94 | 260 => {
                let (uid, gid) = if number == 260 { ("a2", "a3") } else { ("a1", "a2") };
                let given = |key| argument(key).map(|it| it as u32).filter(|it| *it != UNSET);
                let path = self.path("NORMAL")?;
                file(FileChange::Owner { path, uid: given(uid), gid: given(gid) })
            }
            // rename, renameat, renameat2
            82 | 264 | 316 => {
                file(FileChange::Renamed { from: self.path("DELETE")?, to: self.path("CREATE")? })
            }
            // unlink, unlinkat, rmdir
            84 | 87 | 263 => file(FileChange::Removed { path: self.path("DELETE")? }),
            42 => Some(What::Connect { socket: self.peer()?, result }),
            49 => Some(What::Bind { socket: self.local()?, result }),
            62 => Some(What::Signal {
                target_pid: argument("a0")? as u32,
                signal: argument("a1")? as u32,
                result,
            }),
            101 => Some(What::Ptrace {
                request: argument("a0")? as u32,
                target_pid: argument("a1")? as u32,
                result,
            }),
            311 => Some(What::MemoryWrite {
                target_pid: argument("a0")? as u32,
                by: MemoryPath::ProcessVmWritev,
            }),
            // init_module, finit_module
            175 | 313 => Some(What::ModuleLoad { name: self.module.clone()?, path: None, result }),
            _ => None,
        }
    }

    fn exec(&self, call: &Record) -> Exec {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Exec {
            arguments: self.arguments.values().map(text).collect(),
            arguments_cut: self.arguments_cut,
            cwd: self.cwd.clone(),
            executable: call.text("exe").unwrap_or_default(),
            file: self.paths.first().and_then(executable_file),
            terminal: call.word("tty").filter(|it| *it != "(none)").map(terminal),
            ..Exec::default()
        }
    }

    fn opened(&self, flags: u64, result: Option<i32>) -> Option<What> {
        let created = self.path("CREATE");
        let truncated = flags & O_TRUNC != 0;
        if flags & O_WRITING == 0 && created.is_none() && !truncated {
            return None;
        }
        let is_created = created.is_some();
        let path = created.or_else(|| self.path("NORMAL"))?;
        let change = FileChange::OpenWrite { path, created: is_created, truncated };
        Some(What::File { change, result })
    }

    /// The first path of this type, behind the working directory.
    fn path(&self, kind: &str) -> Option<String> {
        let record = self.paths.iter().find(|it| it.word("nametype") == Some(kind))?;
        let name = record.text("name")?;
        if name.starts_with('/') {
            return Some(name);
        }
        let cwd = self.cwd.as_deref()?.trim_end_matches('/');
        Some(format!("{cwd}/{}", name.trim_start_matches("./")))
    }

    fn peer(&self) -> Option<Socket> {
        let (family, address) = socket_address(self.address.as_deref()?)?;
        Some(Socket { family, kind: 0, inode: 0, local: None, peer: address })
    }

    fn local(&self) -> Option<Socket> {
        let (family, address) = socket_address(self.address.as_deref()?)?;
        Some(Socket { family, kind: 0, inode: 0, local: address, peer: None })
    }
}

fn terminal(name: &str) -> String {
    match name.strip_prefix("pts") {
        Some(number) if !number.starts_with('/') => format!("pts/{number}"),
        _ => name.to_owned(),
    }
}

/// What `SYSCALL` says of who called. The start of the process is in no record.
fn task(call: &Record) -> Option<Task> {
    let pid = call.number("pid")?;
    let set = |key: &str| call.number(key).filter(|it| *it != UNSET);
    Some(Task {
        pid,
        tid: pid,
        started_ns: 0,
        parent_pid: call.number("ppid")?,
        uid: call.number("uid")?,
        euid: call.number("euid")?,
        gid: call.number("gid")?,
        egid: call.number("egid")?,
        login_uid: set("auid"),
        session: set("ses"),
        capabilities: None,
        name: call.text("comm").unwrap_or_default(),
        namespaces: None,
    })
}

/// Of a `PATH`; links, size and times are in no record.
fn executable_file(path: &Record) -> Option<ExecutableFile> {
    let (major, minor) = path.word("dev")?.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some(ExecutableFile {
        device: rustix::fs::makedev(number(major)?, number(minor)?),
        inode: path.number("inode")?,
        mode: path.octal("mode")?,
        uid: path.number("ouid")?,
        gid: path.number("ogid")?,
        ..ExecutableFile::default()
    })
}

/// `struct sockaddr`: the family in the order of this machine, the rest in that of the network.
fn socket_address(bytes: &[u8]) -> Option<(u16, Option<Address>)> {
    let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    let address = match family {
        2 => {
            let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(Address { ip: Ipv4Addr::from(ip).into(), port: port(bytes)? })
        }
        10 => {
            let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let ip = std::net::IpAddr::from(Ipv6Addr::from(ip)).to_canonical();
            Some(Address { ip, port: port(bytes)? })
        }
        _ => None,
    };
    Some((family, address))
}

#[cfg(test)]
mod tests;
