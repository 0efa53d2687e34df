//! From a record to an event of the model, files aside.

use model::event::{Descriptor, MemoryPath, Rights, Socket, Task, What};

use super::dns;
use super::record::{Body, Call, Kind, Part, Record};

/// Numbers of system calls on x86-64, as `bpf/numbers.h` has them.
pub(super) mod number {
    pub(crate) const OPEN: u16 = 2;
    pub(crate) const IOCTL: u16 = 16;
    pub(crate) const LISTEN: u16 = 50;
    pub(crate) const TRUNCATE: u16 = 76;
    pub(crate) const RENAME: u16 = 82;
    pub(crate) const RMDIR: u16 = 84;
    pub(crate) const CREAT: u16 = 85;
    pub(crate) const LINK: u16 = 86;
    pub(crate) const UNLINK: u16 = 87;
    pub(crate) const SYMLINK: u16 = 88;
    pub(crate) const CHMOD: u16 = 90;
    pub(crate) const FCHMOD: u16 = 91;
    pub(crate) const CHOWN: u16 = 92;
    pub(crate) const FCHOWN: u16 = 93;
    pub(crate) const LCHOWN: u16 = 94;
    pub(crate) const UTIME: u16 = 132;
    pub(crate) const PTRACE: u16 = 101;
    pub(crate) const PIVOT_ROOT: u16 = 155;
    pub(crate) const UMOUNT: u16 = 166;
    pub(crate) const DELETE_MODULE: u16 = 176;
    pub(crate) const SETXATTR: u16 = 188;
    pub(crate) const LSETXATTR: u16 = 189;
    pub(crate) const FSETXATTR: u16 = 190;
    pub(crate) const UTIMES: u16 = 235;
    pub(crate) const OPENAT: u16 = 257;
    pub(crate) const FCHOWNAT: u16 = 260;
    pub(crate) const FUTIMESAT: u16 = 261;
    pub(crate) const UNLINKAT: u16 = 263;
    pub(crate) const RENAMEAT: u16 = 264;
    pub(crate) const LINKAT: u16 = 265;
    pub(crate) const SYMLINKAT: u16 = 266;
    pub(crate) const FCHMODAT: u16 = 268;
    pub(crate) const UTIMENSAT: u16 = 280;
    pub(crate) const OPEN_BY_HANDLE_AT: u16 = 304;
    pub(crate) const SETNS: u16 = 308;
    pub(crate) const RENAMEAT2: u16 = 316;
    pub(crate) const OPENAT2: u16 = 437;
    pub(crate) const FCHMODAT2: u16 = 452;
}

const PTRACE_POKETEXT: u32 = 4;
const PTRACE_POKEDATA: u32 = 5;
const SOCK_STREAM: u16 = 1;

/// What happened; `None` where the record holds nothing to tell.
pub(super) fn translate(record: Record) -> Option<(Task, What)> {
    let Record { kind, task, call: number, body, .. } = record;
    let what = match body {
        Body::Exec(exec) => What::Exec(exec),
        Body::Life { child, child_started_ns, .. } if kind == Kind::Fork => {
            What::Fork { child_pid: child, child_started_ns }
        }
        Body::Life { status, .. } => What::Exit { status },
        Body::Call(call) => translate_call(kind, number, &task, *call)?,
    };
    Some((task, what))
}

fn translate_call(kind: Kind, number: u16, task: &Task, call: Call) -> Option<What> {
    let result = Some(call.result as i32);
    let [first, second, third, _] = call.parts;
    let [argument, other, protocol, _] = call.arguments.map(|it| it as u32);
    Some(match kind {
        Kind::Credentials => What::Credentials {
            before: call.before,
            after: rights(task),
            call: (number != 0).then(|| name_of(number)),
        },
        Kind::Connect => What::Connect { socket: socket(call.descriptor)?, result },
        Kind::Accept => What::Accept { socket: socket(call.descriptor)? },
        Kind::Bind if number == number::LISTEN => What::Listen { socket: socket(call.descriptor)? },
        Kind::Bind => What::Bind { socket: socket(call.descriptor)?, result },
        Kind::Dup => What::Dup { onto: call.result as u8, fd: call.descriptor },
        Kind::Trace => trace(number, argument, other, result)?,
        Kind::Memfd => What::MemfdCreate { name: first.into_text() },
        Kind::Module if number == number::DELETE_MODULE => {
            (call.result >= 0).then(|| What::ModuleUnload { name: first.into_text() })?
        }
        Kind::Module => {
            let path = Some(second.into_text()).filter(|it| !it.is_empty());
            let name = module_name(first.into_text(), path.as_deref());
            What::ModuleLoad { name, path, result }
        }
        Kind::Bpf => What::BpfLoad { program_type: argument, name: first.into_text(), result },
        Kind::Mount if number == number::UMOUNT => {
            (call.result >= 0).then(|| What::Unmount { target: first.into_text() })?
        }
        Kind::Mount if number == number::PIVOT_ROOT => (call.result >= 0).then(|| {
            What::PivotRoot { new_root: first.into_text(), put_old: second.into_text() }
        })?,
        Kind::Mount => What::Mount {
            source: first.into_text(),
            target: second.into_text(),
            kind: third.into_text(),
            flags: call.arguments[0],
            result,
        },
        Kind::Namespace if number == number::SETNS => {
            What::Setns { flags: call.arguments[0], result }
        }
        Kind::Namespace => What::Unshare { flags: call.arguments[0], result },
        Kind::Name => What::Rename { before: first.into_text(), after: second.into_text() },
        Kind::Signal => What::Signal { target_pid: argument, signal: other, result },
        Kind::Dns => name_asked(&first, call.descriptor)?,
        Kind::Socket => What::RawSocket { family: argument as u16, kind: other, protocol },
        Kind::IoUring => What::IoUring { entries: argument },
        Kind::Handle => What::OpenByHandle { path: outside(first) },
        Kind::Exec | Kind::Fork | Kind::Exit | Kind::File | Kind::FileUnsure | Kind::FileBusy => {
            return None;
        }
    })
}

/// Of a file whose place the kernel does not know yet the name is that of a root.
fn outside(path: Part) -> Option<String> {
    Some(path.into_text()).filter(|it| it != "/")
}

/// `ptrace(request, pid)` and `process_vm_writev(pid)`.
fn trace(number: u16, argument: u32, other: u32, result: Option<i32>) -> Option<What> {
    let has_worked = result.is_some_and(|it| it >= 0);
    if number != number::PTRACE {
        let by = MemoryPath::ProcessVmWritev;
        return has_worked.then_some(What::MemoryWrite { target_pid: argument, by });
    }
    if matches!(argument, PTRACE_POKETEXT | PTRACE_POKEDATA) && has_worked {
        return Some(What::MemoryWrite { target_pid: other, by: MemoryPath::PtracePoke });
    }
    Some(What::Ptrace { request: argument, target_pid: other, result })
}

fn name_asked(payload: &Part, descriptor: Descriptor) -> Option<What> {
    let Part::Text(payload) = payload else { return None };
    let socket = socket(descriptor)?;
    let over_tcp = socket.kind == SOCK_STREAM;
    let question = if over_tcp { dns::parse_tcp(payload) } else { dns::parse_question(payload) };
    let (query, record_type) = question?;
    Some(What::Dns { query, record_type, server: socket.peer, over_tcp })
}

fn socket(descriptor: Descriptor) -> Option<Socket> {
    match descriptor {
        Descriptor::Socket(socket) => Some(socket),
        _ => None,
    }
}

fn rights(task: &Task) -> Rights {
    Rights {
        uid: task.uid,
        euid: task.euid,
        gid: task.gid,
        egid: task.egid,
        capabilities: task.capabilities.unwrap_or_default(),
    }
}

/// The kernel's own name for it, else that of the file without what follows the first dot.
fn module_name(name: String, path: Option<&str>) -> String {
    if !name.is_empty() {
        return name;
    }
    let file = path.and_then(|it| it.rsplit('/').next()).unwrap_or_default();
    file.split('.').next().unwrap_or_default().replace('-', "_")
}

/// A call that may change rights.
fn name_of(number: u16) -> &'static str {
    match number {
        56 => "clone",
        105 => "setuid",
        106 => "setgid",
        113 => "setreuid",
        114 => "setregid",
        117 => "setresuid",
        119 => "setresgid",
        122 => "setfsuid",
        123 => "setfsgid",
        126 => "capset",
        272 => "unshare",
        308 => "setns",
        435 => "clone3",
        _ => "another call",
    }
}

#[cfg(test)]
mod tests;
