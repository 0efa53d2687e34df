//! Takes the records of the ring apart. The layout is that of `bpf/record.h`.
//!
//! The bytes come from our own programs in the kernel, yet strings inside are whatever processes
//! wrote, and a reader that trusts a length is one bug away from reading elsewhere. So every
//! length is checked, and a record of another shape is `None`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::event::{
    Address, Ancestor, Descriptor, Exec, ExecutableFile, Namespaces, Rights, Socket, Task,
};
use model::time::Timestamp;

use crate::procfs::{parse_arguments, parse_loader};

const ANCESTORS: usize = 10;
const PARTS: usize = 4;
/// Nobody logged in; no session.
const UNSET: u32 = u32::MAX;
const CUT: u8 = 0x80;

/// One record, understood as far as its layout goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: Kind,
    /// Nanoseconds after boot.
    pub at_ns: u64,
    pub task: Task,
    /// The number of the system call on x86-64.
    pub call: u16,
    /// For a file, why the kernel's side told it: [`why`].
    pub why: u32,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Exec(Box<Exec>),
    Life { child: u32, child_started_ns: u64, status: i32 },
    Call(Box<Call>),
}

/// The facts of a system call that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub result: i64,
    pub arguments: [u64; 4],
    pub before: Rights,
    pub descriptor: Descriptor,
    pub parts: [Part; PARTS],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    Absent,
    Text(Vec<u8>),
    /// Absolute, by its dentries.
    Path(String),
    /// In no tree that is mounted there: a name, or the path from the root of the file system.
    Lone(String),
}

/// Bits of [`Record::why`].
pub mod why {
    /// Below a watched place, by inode.
    pub const PLACE: u32 = 1;
    /// A change that matters wherever it is.
    pub const RIGHTS: u32 = 8;
    /// A secret that was read.
    pub const SECRET: u32 = 16;
}

macro_rules! kinds {
    ($($kind:ident = $name:literal),* $(,)?) => {
        /// What a record is of; the numbers are those of `enum kind`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Kind { $($kind),* }

        impl Kind {
            /// All of them, each at its number less one.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    Exec = "exec",
    Fork = "fork",
    Exit = "exit",
    Credentials = "credentials",
    Connect = "connect",
    Accept = "accept",
    Bind = "bind",
    Dup = "dup",
    Trace = "ptrace",
    Memfd = "memfd",
    Module = "module",
    Bpf = "bpf",
    Mount = "mount",
    Namespace = "namespace",
    Name = "name",
    File = "file",
    FileUnsure = "file elsewhere",
    Signal = "signal",
    Dns = "dns",
    Socket = "raw socket",
    IoUring = "io_uring",
    Handle = "file by handle",
    FileBusy = "file in a busy place",
}

impl Kind {
    pub fn number(self) -> u32 {
        self as u32 + 1
    }

    fn of(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// A whole record, as it lay in the ring.
pub fn parse(bytes: &[u8]) -> Option<Record> {
    let mut reader = Reader { rest: bytes };
    let kind = Kind::of(reader.u16()?)?;
    let call = reader.u16()?;
    let _bytes = reader.u32()?;
    let at_ns = reader.u64()?;
    let (task, why) = task(&mut reader)?;
    let body = match kind {
        Kind::Exec => Body::Exec(Box::new(exec(&mut reader)?)),
        Kind::Fork | Kind::Exit => {
            let child_started_ns = reader.u64()?;
            Body::Life { child_started_ns, child: reader.u32()?, status: reader.u32()? as i32 }
        }
        _ => Body::Call(Box::new(self::call(&mut reader)?)),
    };
    Some(Record { kind, at_ns, task, call, why, body })
}

fn task(reader: &mut Reader<'_>) -> Option<(Task, u32)> {
    let started_ns = reader.u64()?;
    let capabilities = Some(reader.u64()?);
    let [pid, tid, parent_pid] = [reader.u32()?, reader.u32()?, reader.u32()?];
    let [uid, euid, gid, egid] = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
    let [login_uid, session] = [reader.u32()?, reader.u32()?];
    let mut namespace = || reader.u32().map(u64::from);
    let namespaces = Namespaces {
        pid: namespace()?,
        mount: namespace()?,
        net: namespace()?,
        user: namespace()?,
    };
    let why = reader.u32()?;
    let name = reader.name()?;
    let task = Task {
        pid,
        tid,
        started_ns,
        parent_pid,
        uid,
        euid,
        gid,
        egid,
        login_uid: Some(login_uid).filter(|it| *it != UNSET),
        session: Some(session).filter(|it| *it != UNSET),
        capabilities,
        name,
        // A process that is ending has left them already.
        namespaces: Some(namespaces).filter(|it| it.mount != 0),
    };
    Some((task, why))
}

fn call(reader: &mut Reader<'_>) -> Option<Call> {
    let result = reader.u64()? as i64;
    let arguments = [reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?];
    let before = rights(reader)?;
    let descriptor = descriptor(reader)?;
    let headers = [reader.part()?, reader.part()?, reader.part()?, reader.part()?];
    let mut parts: [Part; PARTS] = Default::default();
    for (part, header) in parts.iter_mut().zip(headers) {
        *part = reader.take_part(header)?;
    }
    Some(Call { result, arguments, before, descriptor, parts })
}

fn rights(reader: &mut Reader<'_>) -> Option<Rights> {
    Some(Rights {
        uid: reader.u32()?,
        euid: reader.u32()?,
        gid: reader.u32()?,
        egid: reader.u32()?,
        capabilities: reader.u64()?,
    })
}

fn exec(reader: &mut Reader<'_>) -> Option<Exec> {
    let [inode, size, changed_s] = [reader.u64()?, reader.u64()?, reader.u64()?];
    let [changed_ns, device] = [reader.u32()?, reader.u32()?];
    let [mode, uid, gid, links] = [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?];
    let [has_before, ancestor_count] = [reader.u32()?, reader.u32()?];
    let before = rights(reader)?;
    let terminal = reader.name()?;
    let [arguments, cwd, executable, loader, script] =
        [reader.part()?, reader.part()?, reader.part()?, reader.part()?, reader.part()?];
    let _spare = reader.u32()?;
    let stdio = [descriptor(reader)?, descriptor(reader)?, descriptor(reader)?];
    let ancestors = ancestors(reader, ancestor_count as usize)?;

    let (words, _) = parse_arguments(reader.bytes(arguments.bytes)?);
    let cwd = match reader.take_part(cwd)? {
        Part::Path(path) => Some(path),
        _ => None,
    };
    let executable = reader.take_part(executable)?.into_text();
    let loader = parse_loader(reader.bytes(loader.bytes)?);
    let script = match reader.take_part(script)? {
        Part::Absent => None,
        part => Some(join(cwd.as_deref().unwrap_or_default(), &part.into_text())),
    };
    let changed_us = (changed_s as i64).saturating_mul(1_000_000);
    // Kernels from 6.13 on keep a mark of their own in the highest bit.
    let changed_ns = changed_ns & !(1 << 31);
    let changed_at = Timestamp(changed_us.saturating_add(i64::from(changed_ns / 1000)));
    let device = device_number(device);
    Some(Exec {
        arguments: words,
        arguments_cut: arguments.form & CUT != 0,
        cwd,
        executable,
        file: Some(ExecutableFile { device, inode, mode, uid, gid, links, size, changed_at }),
        script,
        stdio,
        terminal: terminal_name(terminal),
        ancestors,
        before: (has_before != 0).then_some(before),
        loader,
    })
}

fn ancestors(reader: &mut Reader<'_>, count: usize) -> Option<Vec<Ancestor>> {
    let mut all = Vec::with_capacity(count.min(ANCESTORS));
    for number in 0..ANCESTORS {
        let started_ns = reader.u64()?;
        let pid = reader.u32()?;
        let _spare = reader.u32()?;
        if number < count {
            all.push(Ancestor { pid, started_ns, name: reader.name()? });
        } else {
            reader.bytes(16)?;
        }
    }
    Some(all)
}

fn descriptor(reader: &mut Reader<'_>) -> Option<Descriptor> {
    let kind = reader.bytes(2)?.first().copied()?;
    let [family, kind_of_socket, local_port, peer_port] =
        [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let _spare = reader.bytes(6)?;
    let inode = reader.u64()?;
    let local = address(family, reader.bytes(16)?, local_port);
    let peer = address(family, reader.bytes(16)?, peer_port).filter(|it| it.port != 0);
    Some(match kind {
        1 => Descriptor::Socket(Socket { family, kind: kind_of_socket, inode, local, peer }),
        2 => Descriptor::Pipe { inode, is_named: false },
        3 => Descriptor::Pipe { inode, is_named: true },
        4 => Descriptor::Terminal,
        5 => Descriptor::Device,
        6 => Descriptor::File,
        7 => Descriptor::Other,
        _ => Descriptor::Closed,
    })
}

fn address(family: u16, bytes: &[u8], port: u16) -> Option<Address> {
    let ip = match family {
        2 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?)),
        10 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical(),
        _ => return None,
    };
    Some(Address { ip, port })
}

/// `st_dev` as user space gets it: the kernel keeps 12 bits of major and 20 of minor. On file
/// systems with volumes (btrfs) `stat` tells a device of the volume, which an inode has not.
fn device_number(device: u32) -> u64 {
    let (major, minor) = (device >> 20, device & 0xf_ffff);
    rustix::fs::makedev(major, minor)
}

/// The kernel calls `pts3` what /dev calls `pts/3`.
fn terminal_name(name: String) -> Option<String> {
    match name.strip_prefix("pts") {
        Some(number) => Some(format!("pts/{number}")),
        None => Some(name).filter(|it| !it.is_empty()),
    }
}

/// `text`, starting from `base` if it is relative; without `.`, `..` and doubled slashes.
pub fn join(base: &str, text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if text.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(text.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

impl Part {
    /// As it would be shown: text without its end.
    pub fn into_text(self) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Text(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Self::Path(text) | Self::Lone(text) => text,
        }
    }

    pub fn as_text(&self) -> String {
        self.clone().into_text()
    }
}

#[derive(Clone, Copy, Debug)]
struct PartHeader {
    bytes: usize,
    form: u8,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_ne_bytes(self.bytes(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.bytes(8)?.try_into().ok()?))
    }

    /// 16 bytes with a NUL somewhere.
    fn name(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(before_nul(self.bytes(16)?)).into_owned())
    }

    fn part(&mut self) -> Option<PartHeader> {
        let bytes = usize::from(self.u16()?);
        let form = self.bytes(2)?.first().copied()?;
        Some(PartHeader { bytes, form })
    }

    fn take_part(&mut self, header: PartHeader) -> Option<Part> {
        let bytes = self.bytes(header.bytes)?;
        // The root has no components, so a path is there even without bytes.
        let is_path = header.form & !CUT == 1;
        Some(match header.form & !CUT {
            _ if bytes.is_empty() && !is_path => Part::Absent,
            0 => Part::Text(bytes.strip_suffix(b"\0").unwrap_or(bytes).to_vec()),
            1 => Part::Path(path(bytes)),
            _ => Part::Lone(lone(bytes)),
        })
    }
}

fn before_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// One component is a name; more of them end in the root of the file system, which is called `/`.
fn lone(bytes: &[u8]) -> String {
    let name = before_nul(bytes);
    let rest = bytes.get(name.len() + 1..).unwrap_or_default();
    match rest.strip_suffix(b"/\0") {
        Some(_) => path(bytes.strip_suffix(b"/\0").unwrap_or(bytes)),
        None => String::from_utf8_lossy(name).into_owned(),
    }
}

/// Components come the last one first, each with a NUL.
fn path(bytes: &[u8]) -> String {
    let mut path = String::with_capacity(bytes.len() + 1);
    for component in bytes.rsplit(|byte| *byte == 0).filter(|it| !it.is_empty()) {
        path.push('/');
        path.push_str(&String::from_utf8_lossy(component));
    }
    if path.is_empty() {
        path.push('/');
    }
    path
}

#[cfg(test)]
mod tests;
