//! Kernel observations, the same whatever tier of the sensor made them.
//!
//! A tier that cannot know a value leaves it `None`; it never invents one.

use crate::time::Timestamp;

/// One thing the kernel saw one process do.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub at: Timestamp,
    /// Who did it, as it was at that moment; for `Exec` after the new program took over.
    pub task: Task,
    pub what: What,
}

/// Identity and rights of the acting process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Process id (`tgid`) in the first pid namespace.
    pub pid: u32,
    pub tid: u32,
    /// Nanoseconds after boot at which the process started; with `pid` its identity for ever.
    pub started_ns: u64,
    pub parent_pid: u32,
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    pub egid: u32,
    /// The audit log-in uid; `None` where nobody logged in.
    pub login_uid: Option<u32>,
    /// The audit session id; `None` where there is none.
    pub session: Option<u32>,
    /// Effective capabilities, one bit each.
    pub capabilities: Option<u64>,
    /// `comm`, at most 15 bytes.
    pub name: String,
    pub namespaces: Option<Namespaces>,
}

/// Inode numbers of the namespaces of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    pub pid: u64,
    pub mount: u64,
    pub net: u64,
    pub user: u64,
}

/// What happened. Where success is not certain, `result` is the kernel's answer: 0 or more
/// for success, a negative errno, `None` where the tier cannot know.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Exec(Box<Exec>),
    Fork {
        child_pid: u32,
        child_started_ns: u64,
    },
    /// As `wait` tells it: code in bits 8 to 15, signal in bits 0 to 6.
    Exit {
        status: i32,
    },
    Connect {
        socket: Socket,
        result: Option<i32>,
    },
    Accept {
        socket: Socket,
    },
    Bind {
        socket: Socket,
        result: Option<i32>,
    },
    Listen {
        socket: Socket,
    },
    /// A descriptor was put in the place of 0, 1 or 2.
    Dup {
        onto: u8,
        fd: Descriptor,
    },
    /// Rights changed without an exec: by a call, or by nothing that was seen (`call` None).
    Credentials {
        before: Rights,
        after: Rights,
        call: Option<&'static str>,
    },
    Ptrace {
        request: u32,
        target_pid: u32,
        result: Option<i32>,
    },
    /// Another process' memory was written.
    MemoryWrite {
        target_pid: u32,
        by: MemoryPath,
    },
    MemfdCreate {
        name: String,
    },
    ModuleLoad {
        name: String,
        path: Option<String>,
        result: Option<i32>,
    },
    ModuleUnload {
        name: String,
    },
    BpfLoad {
        program_type: u32,
        name: String,
        result: Option<i32>,
    },
    Mount {
        source: String,
        target: String,
        kind: String,
        flags: u64,
        result: Option<i32>,
    },
    Unmount {
        target: String,
    },
    /// Flags of `unshare(2)` or `clone(2)`.
    Unshare {
        flags: u64,
        result: Option<i32>,
    },
    Setns {
        flags: u64,
        result: Option<i32>,
    },
    PivotRoot {
        new_root: String,
        put_old: String,
    },
    /// `prctl(PR_SET_NAME)`.
    Rename {
        before: String,
        after: String,
    },
    /// A file changed; paths are absolute where the tier can resolve them.
    File {
        change: FileChange,
        result: Option<i32>,
    },
    /// A signal to another process.
    Signal {
        target_pid: u32,
        signal: u32,
        result: Option<i32>,
    },
    Dns {
        query: String,
        record_type: u16,
        server: Option<Address>,
        over_tcp: bool,
    },
    /// A raw or packet socket was made.
    RawSocket {
        family: u16,
        kind: u32,
        protocol: u32,
    },
    /// A ring of io_uring was made: what a program asks for by it comes by no call that is seen.
    IoUring {
        /// Room for requests.
        entries: u32,
    },
    /// A file was opened by its handle, without a path, of which none is known that leads to it
    /// within what is mounted there.
    OpenByHandle {
        /// From the root of its file system, where it lies outside of the mount; `None`: the kernel
        /// does not know yet where it lies.
        path: Option<String>,
    },
    /// Something the sensor says of itself: events dropped since the last time.
    Lost {
        count: u64,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// As given; cut at the sensor's limit, then `arguments_cut`.
    pub arguments: Vec<String>,
    pub arguments_cut: bool,
    pub cwd: Option<String>,
    /// The executable by its dentry, not by what was typed; `memfd:name` for a memory file.
    pub executable: String,
    pub file: Option<ExecutableFile>,
    /// The script, where an interpreter was started through `#!`.
    pub script: Option<String>,
    /// 0, 1 and 2.
    pub stdio: [Descriptor; 3],
    /// `pts/3`; `None` without a terminal.
    pub terminal: Option<String>,
    /// Parent first. Empty where the fork of the process was told: they are known from there.
    pub ancestors: Vec<Ancestor>,
    /// Rights before the exec, where the tier sees both sides.
    pub before: Option<Rights>,
    /// `LD_PRELOAD`, `LD_AUDIT` and `LD_LIBRARY_PATH` only; nothing else of the environment is read.
    pub loader: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecutableFile {
    /// `st_dev` as user space sees it.
    pub device: u64,
    pub inode: u64,
    /// `st_mode`, type and permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// 0: deleted, or never had a name.
    pub links: u32,
    pub size: u64,
    pub changed_at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestor {
    pub pid: u32,
    pub started_ns: u64,
    pub name: String,
}

/// What stands behind a file descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Descriptor {
    #[default]
    Closed,
    /// Null device, or another character device that is no terminal.
    Device,
    Terminal,
    File,
    /// The inode number names the pipe: both ends have the same one.
    Pipe {
        inode: u64,
        is_named: bool,
    },
    Socket(Socket),
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// `AF_*`.
    pub family: u16,
    /// `SOCK_STREAM` 1, `SOCK_DGRAM` 2, `SOCK_RAW` 3; 0 not known.
    pub kind: u16,
    pub inode: u64,
    pub local: Option<Address>,
    pub peer: Option<Address>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub ip: std::net::IpAddr,
    pub port: u16,
}

/// What a process may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    pub egid: u32,
    pub capabilities: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryPath {
    ProcessVmWritev,
    ProcMem,
    PtracePoke,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// Opened for writing; `created` where it was made by this.
    OpenWrite {
        path: String,
        created: bool,
        truncated: bool,
    },
    /// A file that holds secrets (password hashes, private keys, shell histories, credential files
    /// of programs) was opened for reading; other reads are not observed.
    OpenRead {
        path: String,
    },
    /// Closed after writing, with the content in place.
    Written {
        path: String,
    },
    Mode {
        path: String,
        mode: u32,
    },
    Owner {
        path: String,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    /// Only attributes that carry rights: `security.capability`, `system.posix_acl_*`.
    Attribute {
        path: String,
        name: String,
    },
    /// `FS_IOC_SETFLAGS` and the like: immutable or append-only changed.
    Flags {
        path: String,
        flags: u32,
    },
    Renamed {
        from: String,
        to: String,
    },
    Linked {
        from: String,
        to: String,
        is_symbolic: bool,
    },
    Removed {
        path: String,
    },
    /// Times were set by hand.
    Times {
        path: String,
        /// `None` where that time was left as it was.
        modified: Option<Timestamp>,
        accessed: Option<Timestamp>,
    },
}
