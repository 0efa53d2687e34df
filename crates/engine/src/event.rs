//! What rules are asked about: one event with named fields.
//!
//! The names are those of Sigma's Linux rules where Sigma has one, so that any Sigma rule can be
//! brought; the rest are Garrison's own facts. The table below is the whole taxonomy: rules that
//! name another field do not load.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use model::time::Timestamp;

/// Version of the taxonomy: the first part changes when a field changes its meaning or goes.
pub const TAXONOMY: &str = "1.0";

model::words! {
    /// Sigma's `logsource.category`, and Garrison's own.
    Category {
        ProcessCreation = "process_creation",
        NetworkConnection = "network_connection",
        DnsQuery = "dns_query",
        FileEvent = "file_event",
        /// `dup` of a socket or pipe onto 0, 1 or 2 of a running process.
        Redirection = "redirection",
        /// Rights of a process changed.
        Privilege = "privilege",
        /// One process reached into another: ptrace, memory, signals.
        ProcessAccess = "process_access",
        /// Modules, BPF programs, mounts, namespaces, raw sockets.
        Kernel = "kernel",
        /// A process was renamed.
        ProcessRename = "process_rename",
        /// What a sweep over the host's state found: cross-views, accounts, auto-start, load.
        State = "state",
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(Text),
    Integer(i64),
    Bool(bool),
    /// Matches where any of them matches. Shared, because many events have the same.
    List(Arc<[String]>),
}

/// Text that many events have is not copied for each.
#[derive(Clone)]
pub enum Text {
    Fixed(&'static str),
    Shared(Arc<str>),
    Own(String),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Fixed(it) => it,
            Self::Shared(it) => it,
            Self::Own(it) => it,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

macro_rules! fields {
    ($($on:ident { $($name:ident: $form:ident, $about:literal;)* })*) => {
        /// A name of the taxonomy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $($(#[doc = $about] $name,)*)* }

        impl Field {
            pub const ALL: &'static [Self] = &[$($(Self::$name,)*)*];

            pub const fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name),)*)* }
            }

            pub const fn form(self) -> Form {
                match self { $($(Self::$name => Form::$form,)*)* }
            }

            pub const fn about(self) -> &'static str {
                match self { $($(Self::$name => $about,)*)* }
            }

            /// The events that carry it, where there is something to say. On any other it is
            /// absent, and what a rule asks of it there never holds.
            pub const fn carried_by(self) -> &'static [Category] {
                match self { $($(Self::$name => on::$on,)*)* }
            }
        }
    };
}

/// Which events carry the fields of a group.
mod on {
    use super::Category;
    use super::Category::{
        DnsQuery, FileEvent, Kernel, NetworkConnection, Privilege, ProcessAccess, ProcessCreation,
        ProcessRename, Redirection, State,
    };

    pub(super) const EVERY: &[Category] = Category::ALL;
    /// Whatever a process does.
    pub(super) const ACTS: &[Category] = &[
        ProcessCreation,
        NetworkConnection,
        DnsQuery,
        FileEvent,
        Redirection,
        Privilege,
        ProcessAccess,
        Kernel,
        ProcessRename,
    ];
    pub(super) const STARTS: &[Category] = &[ProcessCreation];
    pub(super) const STARTS_AND_FILES: &[Category] = &[ProcessCreation, FileEvent];
    pub(super) const STARTS_AND_REDIRECTIONS: &[Category] = &[ProcessCreation, Redirection];
    pub(super) const STDIO: &[Category] = &[ProcessCreation, Redirection, State];
    pub(super) const REDIRECTIONS: &[Category] = &[Redirection];
    pub(super) const RIGHTS: &[Category] = &[ProcessCreation, Privilege];
    pub(super) const CALLED_RIGHTS: &[Category] = &[Privilege];
    pub(super) const ADDRESSES: &[Category] = &[NetworkConnection, DnsQuery];
    pub(super) const CONNECTIONS: &[Category] = &[NetworkConnection];
    pub(super) const PROTOCOLS: &[Category] = &[NetworkConnection, DnsQuery, Kernel];
    pub(super) const QUERIES: &[Category] = &[DnsQuery];
    pub(super) const FILES: &[Category] = &[FileEvent];
    pub(super) const FILES_AND_STATE: &[Category] = &[FileEvent, State];
    /// A module has a file too.
    pub(super) const FILES_OF_ALL: &[Category] = &[FileEvent, Kernel, State];
    pub(super) const ACCESSES: &[Category] = &[ProcessAccess];
    pub(super) const KERNEL: &[Category] = &[Kernel];
    pub(super) const RENAMES: &[Category] = &[ProcessRename];
    pub(super) const STATE: &[Category] = &[State];
    /// Of a correlation, which ends with any event; of its own accord on what a sweep counted.
    pub(super) const COUNTS: &[Category] = &[State];
}

/// What kind of value a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    Integer,
    Bool,
    List,
}

fields! {
    // The process; on events other than process_creation the one that acted. A state event has them
    // where it is about a process.
    EVERY {
        Image: Text, "Path of the executable, resolved by the kernel.";
        CommandLine: Text, "The arguments joined by spaces, secrets masked.";
        ProcessName: Text, "comm: the name the process calls itself, at most 15 bytes.";
        ProcessId: Integer, "Process id in the first pid namespace.";
        User: Text, "Name of the real user.";
        UserId: Integer, "Real uid.";
        EffectiveUserId: Integer, "Effective uid.";
        LoginUser: Text, "Who signed in at the start of the session (audit log-in uid).";
        LogonId: Integer, "Audit session id.";
        Terminal: Text, "Terminal, pts/3; absent without one.";
        IsInteractive: Bool, "Has a terminal and a log-in user.";
        ScriptPath: Text, "The script an interpreter was started with.";
        ScriptPackage: Text, "Package that owns the script.";
        InPackageTransaction: Bool, "A descendant of a running package manager.";
        PackageTransaction: Text, "The package manager above it: apt, dpkg, rpm, dnf, apk, pip, npm.";
    }
    STARTS {
        Arguments: List, "The arguments one by one, secrets masked.";
        CurrentDirectory: Text, "Working directory.";
        InlineCode: Text, "Code given to a shell or interpreter as an argument: sh -c, python -c, perl -e.";
        FirstSeen: Bool, "This parent never started this executable on this host before; absent while the host is being learned.";
        ScriptOwnerId: Integer, "Owner of the script; told only of what cron starts.";
        ScriptIsWorldWritable: Bool, "Every user may write the script; likewise.";
        ContainerHostPaths: List, "Of the first program in a container: files and folders that it was given, by their path on the host.";
        LoaderVariables: List, "LD_PRELOAD=..., LD_AUDIT=..., as given.";
        PreviousImagePackage: Text, "Package of the program that this very process was before it started this one.";
    }
    // Who made it.
    STARTS_AND_FILES {
        ProgramWriter: Text, "True name of the program that within the last hour wrote the script that was started, or the executable; of a file event, the file that may be run now; absent: nobody was seen to.";
        ProgramWriterKind: Text, "As ImageKind, of that program.";
        ProgramWriterInTemporary: Bool, "That program lies in a temporary directory or in memory; absent: it does not.";
        ProgramWasFetched: Bool, "That program took it from the network: it is there for that (curl, nc, scp and others like them), had called another process by TCP, or read from one that had; absent: no sign of it.";
    }
    // The executable.
    EVERY {
        ImagePackage: Text, "Package that owns the executable; absent: none does.";
        ImagePackageVerified: Bool, "Its content is what the package's digest says; absent: the package has no digest.";
        ImageHash: Text, "SHA-256, lower case hexadecimal.";
        ImageLinkCount: Integer, "Hard links; 0: deleted, or never had a name.";
        ImageMode: Integer, "Permission bits, decimal.";
        ImageOwnerId: Integer, "Uid of the owner.";
        ImageSize: Integer, "Bytes.";
        ImageAgeSeconds: Integer, "Since the last change of the inode.";
        ImageIsSetuid: Bool, "SUID or SGID bit on.";
        ImageIsMemfd: Bool, "Runs from an anonymous memory file.";
        ImageIsDeleted: Bool, "The executable has no name any more.";
        ImageInTemporary: Bool, "Lies in a world-writable place: /tmp, /var/tmp, /dev/shm, /run/user and the like.";
        ImageKind: Text, "What the content is, whatever its name: shell, interpreter, network_tool, recon_tool, package_manager, other.";
        ImageTrueName: Text, "Name of the packaged program with the same content; differs from the file name where a copy was renamed.";
        ImageIsAgent: Bool, "It is this agent, by the number of the process or the very file; no name decides.";
        ImageIsPacked: Bool, "Nobody's package brought it, it has no sections, and its content is noise: compressed or encrypted; absent: no sign of it.";
        ImageVerdict: Text, "Verdict of hash lists and scanners: malicious, suspicious, clean; absent: not judged.";
        ImageVerdictName: Text, "What the list that judged it calls the threat.";
    }
    // Ancestors.
    EVERY {
        ParentImage: Text, "Path of the parent's executable.";
        ParentCommandLine: Text, "The parent's arguments joined by spaces.";
        ParentProcessId: Integer, "Process id of the parent.";
        ParentName: Text, "comm of the parent.";
        ParentUser: Text, "Real user of the parent.";
        ParentPackage: Text, "Package of the parent's executable.";
        ParentScriptPackage: Text, "Package that owns the script the parent was started with.";
        ParentKind: Text, "As ImageKind, of the parent.";
        CallerProcessId: Integer, "Process id of the nearest ancestor that was started as a program itself: copies a shell makes of itself are passed over.";
        AncestorImages: List, "Executables from the parent to the root.";
        AncestorNames: List, "comm of the same.";
        StarterImage: Text, "Executable of the nearest ancestor that is no shell, or of the interpreter in whose place a shell came.";
        StarterKind: Text, "As ImageKind, of that ancestor.";
        StarterIsInline: Bool, "That ancestor carries out code it was given as an argument or on 0, no script and no program of its own.";
        StarterTrueName: Text, "As ImageTrueName, of that ancestor.";
        ServiceRole: Text, "What the nearest listening ancestor serves: web, database, ssh, mail, cron, container, other; absent: none listens.";
        ServiceImage: Text, "Executable of that ancestor.";
        ServicePort: Integer, "A port that it listens on.";
        SessionRole: Text, "Where the process comes from: ssh, console, cron, systemd, container, none.";
        ContainerId: Text, "Container, by cgroup.";
        IsInUserNamespace: Bool, "Its user namespace is not the host's: rights that it has count only within.";
        IsInContainer: Bool, "Runs in a container or in other mount and pid namespaces than the host.";
    }
    // Standard input, output and error.
    STDIO {
        StdinKind: Text, "closed, device, terminal, file, pipe, fifo, socket, other.";
        StdoutKind: Text, "As StdinKind.";
        StderrKind: Text, "As StdinKind.";
        StdinIsSocket: Bool, "Descriptor 0 is an internet socket.";
        StdoutIsSocket: Bool, "Descriptor 1 is an internet socket.";
        StdioSameSocket: Bool, "0 and 1 are one and the same internet socket.";
        StdinPeerAddress: Text, "Other end of the socket on 0.";
        StdinPeerPort: Integer, "Its port.";
        StdinPeerIsLoopback: Bool, "It is on this host.";
        StdinRelaySocket: Bool, "0 is a pipe or terminal whose other end is held by a process that holds an internet socket and is no service.";
        StdoutRelaySocket: Bool, "1 likewise.";
        RelayImage: Text, "Executable of the process in between.";
        RelayPeerAddress: Text, "Other end of its socket.";
        SocketWasAccepted: Bool, "The socket on 0 came from a listening one.";
        StdinWriters: List, "True names of the programs that write into the pipe on 0; known to whichever end starts last.";
        StdoutReaders: List, "True names of the programs that read from the pipe on 1, without shells and interpreters that were given their code otherwise; known to whichever end starts last.";
    }
    STARTS_AND_REDIRECTIONS {
        ReadsCommands: Bool, "A shell or interpreter that was given neither code nor a script: it does what arrives on 0.";
    }
    REDIRECTIONS {
        RedirectedDescriptor: Integer, "Of a redirection: 0, 1 or 2.";
    }
    // Rights.
    RIGHTS {
        PreviousUserId: Integer, "Effective uid before.";
        PreviousUser: Text, "Its name.";
        PrivilegeGained: Bool, "Effective uid became 0, or capabilities that allow becoming root were added.";
        PrivilegeReason: Text, "setuid_file, file_capability, root_parent, user_namespace, none.";
        CapabilitiesGained: List, "CAP_SYS_ADMIN, ...";
    }
    CALLED_RIGHTS {
        PrivilegeCall: Text, "The call that changed them; absent: no call was seen.";
    }
    ACTS {
        CapabilitiesEffective: List, "Those it has now.";
    }
    // Network.
    ADDRESSES {
        DestinationIp: Text, "Address of the other end.";
        DestinationPort: Integer, "Its port.";
        DestinationIsPrivate: Bool, "Loopback, link-local or private range.";
    }
    CONNECTIONS {
        DestinationIsLoopback: Bool, "On this host.";
        SourceIp: Text, "Own address.";
        SourcePort: Integer, "Own port.";
        Initiated: Bool, "This host called; false: it was called.";
        IsListener: Bool, "Began to listen on SourcePort.";
        DestinationFirstSeen: Bool, "This executable never called this address before (a listener: never listened on this port); absent while the host is being learned.";
    }
    PROTOCOLS {
        Protocol: Text, "tcp, udp, icmp (of a raw socket too), raw, packet.";
    }
    QUERIES {
        QueryName: Text, "Name asked for.";
        QueryType: Integer, "Type of the record asked for.";
        QueryEntropy: Integer, "Shannon entropy of the name's longest label, hundredths of a bit.";
        QueryLength: Integer, "Bytes of the name.";
    }
    // Files.
    FILES_OF_ALL {
        TargetFilename: Text, "The file.";
    }
    FILES_AND_STATE {
        TargetPackage: Text, "Package that owns the file.";
        TargetKind: Text, "What the file is for: account (passwd, group), secret (shadow, credential files of programs), private_key, login_key, sudo, pam, cron, systemd, init, installer (what runs beside a package manager), profile, loader (ld.so.preload, ld.so.conf), ssh_config, trust (certificate authorities), resolver (hosts, resolv.conf, nsswitch), audit (configuration of logging and auditing), firewall, log, history, mail, binary, shell_binary, web, kernel (sysctl, modules, core_pattern, release_agent), agent, other.";
        TargetMode: Integer, "Permission bits after.";
        TargetOwnerId: Integer, "Uid of the owner after.";
        ContentDiff: Text, "Lines removed and added, text files only.";
    }
    FILES {
        SourceFilename: Text, "Of a rename or link: where it was.";
        SourcePackage: Text, "Of a rename: package that owns the file by its old name.";
        FileOperation: Text, "create, write, truncate, read (only of what TargetKind calls secret, private_key, history, mail), delete, rename, link, symlink, mode, owner, attribute, flags, times.";
        TargetSize: Integer, "Bytes after.";
        TargetValue: Text, "Of a setting of the kernel below /proc/sys that was written: its value afterwards.";
        TargetIsWorldWritable: Bool, "Every user may write it after.";
        TargetCapabilities: List, "Capabilities that security.capability gives it after: CAP_SETUID, ...";
        TargetIsRunning: Bool, "What was deleted is the executable of the process that did it, or of one of the three above it; absent: it is not.";
        TargetIsProgram: Bool, "A compiled program that was there before, opened for writing without emptying it; absent: no sign of it.";
        AddsSetuid: Bool, "Set the SUID or SGID bit on an executable.";
        AddsCapability: Bool, "Wrote security.capability.";
        TargetIsWatched: Bool, "It lies below a path that the policy watches.";
        TargetInTemporary: Bool, "As ImageInTemporary.";
        TimesMovedBack: Bool, "The modification or access time was set into the past by hand.";
    }
    // Other processes and the kernel.
    ACCESSES {
        TargetProcessId: Integer, "The process reached into.";
        TargetImage: Text, "Its executable.";
        TargetUser: Text, "Its user.";
        TargetIsChild: Bool, "It is a descendant of the one that acts.";
        TargetIsAgent: Bool, "As ImageIsAgent, of that process.";
        AccessKind: Text, "ptrace_attach, ptrace_poke, process_vm_writev, proc_mem (opened for writing), proc_mem_read, signal.";
        Signal: Integer, "Number of the signal.";
    }
    KERNEL {
        KernelAction: Text, "module_load, module_refused (the kernel did not take it), module_unload, bpf_load, mount, unmount, unshare, setns, pivot_root, raw_socket, packet_socket, memfd, io_uring, open_outside_mount (a file opened by its handle that lies outside of the part of its file system that is mounted there), open_by_handle (one of which that is not known).";
        ObjectName: Text, "Name of the module, program, file system or memory file.";
        MountSource: Text, "What is mounted.";
        MountTarget: Text, "Where.";
        NamespaceFlags: List, "CLONE_NEWUSER, ...";
    }
    RENAMES {
        NewName: Text, "Of a rename of a process.";
    }
    // What a sweep found.
    STATE {
        StateCheck: Text, "Of a state event: hidden_process, hidden_port, hidden_module, hidden_file, preload, foreign_bpf, proc_mount, deleted_executable, setuid_added, account_added, account_changed, account_reactivated, account_password_set, group_changed, key_added, autostart_added, autostart_changed, file_changed, file_overwritten, cpu_load, refused_packets, agent_stopped, sensor_lost.";
        StateSubject: Text, "What the sweep found.";
        StateDetail: Text, "In one sentence, English.";
        AccountUserId: Integer, "Of an account: its uid.";
        AccountGroups: List, "Names of its groups, the primary one first.";
        AccountHome: Text, "Its home directory.";
        AccountShell: Text, "Its log-in shell.";
        AccountCanLogin: Bool, "It has a shell that lets in, and a password or a key.";
        AccountIsSystem: Bool, "Its uid lies in the range of system accounts.";
        AccountSharesId: Bool, "Another account has the same uid.";
        StartsCommand: Text, "Of an auto-start entry: the command line.";
        StartsImage: Text, "The program that it starts.";
        StartsPackage: Text, "Package that owns the program.";
        StartsInTemporary: Bool, "The program lies where everybody may write.";
        CpuPercent: Integer, "Share of one core over StateSeconds.";
        StateSeconds: Integer, "How long it lasted.";
    }
    COUNTS {
        EventCount: Integer, "Of a correlation: how many events met.";
    }
}

/// Room for the fields of the fullest of frequent events: the start of a program has some 60.
const FIELDS_USUAL: usize = 64;
/// Of [`Event::places`]: the event has no such field.
const NO_PLACE: u8 = u8::MAX;

// A place is one byte, and `NO_PLACE` is none.
const _: () = assert!(Field::ALL.len() < NO_PLACE as usize);

/// One event with its fields.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: Timestamp,
    pub category: Category,
    /// Where in `values` the value of each field stands.
    places: [u8; Field::ALL.len()],
    /// Only what is there, so that looking at an event touches little memory.
    values: Vec<(Field, Value)>,
}

impl Event {
    pub fn new(category: Category, at: Timestamp) -> Self {
        let places = [NO_PLACE; Field::ALL.len()];
        Self { at, category, places, values: Vec::with_capacity(FIELDS_USUAL) }
    }

    /// Sets a field; an absent value leaves it absent.
    pub fn set(&mut self, field: Field, value: impl Into<Option<Value>>) {
        let Some(place) = self.places.get_mut(field as usize) else { return };
        match (value.into(), self.values.get_mut(usize::from(*place))) {
            (Some(value), Some(known)) => known.1 = value,
            (Some(value), None) => {
                *place = self.values.len() as u8;
                self.values.push((field, value));
            }
            (None, Some(_)) => {
                let free = std::mem::replace(place, NO_PLACE);
                self.values.swap_remove(usize::from(free));
                if let Some((moved, _)) = self.values.get(usize::from(free))
                    && let Some(it) = self.places.get_mut(*moved as usize)
                {
                    *it = free;
                }
            }
            (None, None) => {}
        }
    }

    pub fn get(&self, field: Field) -> Option<&Value> {
        let place = self.places.get(field as usize)?;
        self.values.get(usize::from(*place)).map(|(_, value)| value)
    }

    pub fn text(&self, field: Field) -> Option<&str> {
        match self.get(field)? {
            Value::Text(it) => Some(it),
            Value::Integer(_) | Value::Bool(_) | Value::List(_) => None,
        }
    }

    /// The fields that are there, in the order of the taxonomy.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &Value)> {
        Field::ALL.iter().filter_map(|field| Some((*field, self.get(*field)?)))
    }

    /// As [`Self::fields`], in the order in which they were set.
    pub(crate) fn values(&self) -> &[(Field, Value)] {
        &self.values
    }
}

impl From<Text> for Value {
    fn from(it: Text) -> Self {
        Self::Text(it)
    }
}

impl From<&str> for Value {
    fn from(it: &str) -> Self {
        Self::Text(Text::Own(it.to_owned()))
    }
}

impl From<String> for Value {
    fn from(it: String) -> Self {
        Self::Text(Text::Own(it))
    }
}

impl From<bool> for Value {
    fn from(it: bool) -> Self {
        Self::Bool(it)
    }
}

impl From<i64> for Value {
    fn from(it: i64) -> Self {
        Self::Integer(it)
    }
}

impl From<u32> for Value {
    fn from(it: u32) -> Self {
        Self::Integer(i64::from(it))
    }
}

impl From<Vec<String>> for Value {
    fn from(it: Vec<String>) -> Self {
        Self::List(it.into())
    }
}

impl From<Arc<[String]>> for Value {
    fn from(it: Arc<[String]>) -> Self {
        Self::List(it)
    }
}

impl std::str::FromStr for Field {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Self, UnknownField> {
        let same = |it: &Self| it.name().eq_ignore_ascii_case(name);
        Self::ALL
            .iter()
            .copied()
            .find(same)
            .ok_or_else(|| UnknownField(name.chars().take(64).collect()))
    }
}

/// A rule names a field that the taxonomy does not have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no field of the taxonomy")]
pub struct UnknownField(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_and_go() {
        let mut event = Event::new(Category::State, Timestamp::from_secs(0));
        for (number, field) in Field::ALL.iter().enumerate() {
            event.set(*field, Value::Integer(number as i64));
        }
        for field in Field::ALL.iter().step_by(2) {
            event.set(*field, None);
            event.set(*field, None);
        }
        event.set(Field::Image, Value::from("a"));
        event.set(Field::Image, Value::from("b"));
        for (number, field) in Field::ALL.iter().enumerate() {
            let want = (number % 2 == 1).then_some(Value::Integer(number as i64));
            let want = if *field == Field::Image { Some(Value::from("b")) } else { want };
            assert_eq!(event.get(*field), want.as_ref(), "{}", field.name());
        }
        assert_eq!(event.fields().count(), event.values().len());
        assert!(event.fields().map(|it| it.0).is_sorted());
    }
}
