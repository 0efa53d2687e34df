//! What a field name of a rule means: a field of the taxonomy, or a name that auditd rules use
//! for a fact the taxonomy has under another name.

use std::borrow::Cow;

use model::time::Timestamp;

use crate::event::{Category, Event, Field, Form, Value};

/// Where a rule looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Column {
    Field(Field),
    /// `a0`, `a1`, ... of an audit EXECVE record: one argument by its place.
    Argument(usize),
    /// `type` of the audit records that one event would leave.
    AuditType,
    /// `SYSCALL` or `syscall`: the call that one event stands for.
    AuditCall,
    /// `nametype` of a PATH record: whether the call made or removed the name.
    AuditNameType,
    /// When the event happened; only parts of it can be asked for.
    Time,
    /// Every text of the event: a keyword stands in no field of its own.
    Anywhere,
}

/// Names of audit records' fields, and the field with the same meaning.
const AUDIT: &[(&str, Field)] = &[
    ("exe", Field::Image),
    ("comm", Field::ProcessName),
    ("proctitle", Field::CommandLine),
    ("cwd", Field::CurrentDirectory),
    ("name", Field::TargetFilename),
    ("pid", Field::ProcessId),
    ("ppid", Field::ParentProcessId),
    ("uid", Field::UserId),
    ("euid", Field::EffectiveUserId),
    ("ses", Field::LogonId),
    ("tty", Field::Terminal),
];

/// The names of [`AUDIT`] and those made from the kind of event.
pub(crate) fn audit_names() -> impl Iterator<Item = (&'static str, Column)> {
    let made = [
        ("type", Column::AuditType),
        ("syscall", Column::AuditCall),
        ("SYSCALL", Column::AuditCall),
        ("nametype", Column::AuditNameType),
    ];
    AUDIT.iter().map(|(name, field)| (*name, Column::Field(*field))).chain(made)
}

/// Names of Sigma's Linux rules that the taxonomy spells otherwise.
const OTHER_NAMES: &[(&str, Field)] = &[
    ("sha256", Field::ImageHash),
    ("ParentUserName", Field::ParentUser),
    ("TargetFileName", Field::TargetFilename),
    ("DestinationIpAddress", Field::DestinationIp),
];

/// Most arguments that can be asked for by place.
pub(crate) const ARGUMENT_PLACES_MAX: usize = 64;

impl Column {
    /// What `name` means in a rule; `audit`: the rule is written for auditd.
    pub(crate) fn named(name: &str, audit: bool) -> Option<Self> {
        if audit {
            if let Some((_, column)) = audit_names().find(|(it, _)| *it == name) {
                return Some(column);
            }
            let place = name.strip_prefix('a').and_then(|it| it.parse::<usize>().ok());
            if let Some(place) = place.filter(|it| *it < ARGUMENT_PLACES_MAX) {
                return Some(Self::Argument(place));
            }
        }
        if name == "EventTime" || name == "UtcTime" {
            return Some(Self::Time);
        }
        let other = OTHER_NAMES.iter().find(|(it, _)| *it == name).map(|(_, it)| *it);
        other.or_else(|| name.parse().ok()).map(Self::Field)
    }

    pub(crate) fn name(self) -> Cow<'static, str> {
        match self {
            Self::Field(field) => field.name().into(),
            Self::Argument(place) => format!("a{place}").into(),
            Self::AuditType => "type".into(),
            Self::AuditCall => "syscall".into(),
            Self::AuditNameType => "nametype".into(),
            Self::Time => "EventTime".into(),
            Self::Anywhere => "*".into(),
        }
    }

    pub(crate) fn form(self) -> Form {
        match self {
            Self::Field(field) => field.form(),
            Self::Argument(_) | Self::Time => Form::Text,
            Self::AuditType | Self::AuditCall | Self::AuditNameType | Self::Anywhere => Form::List,
        }
    }

    /// What the event has there.
    pub(crate) fn view(self, event: &Event) -> View<'_> {
        match self {
            Self::Field(field) => event.get(field).map_or(View::Absent, View::of),
            Self::Argument(place) => match event.get(Field::Arguments) {
                Some(Value::List(items)) => {
                    items.get(place).map_or(View::Absent, |it| View::Text(it))
                }
                _ => View::Absent,
            },
            Self::AuditType => View::Words(records(event.category)),
            Self::AuditCall => call(event),
            Self::AuditNameType => name_type(event),
            Self::Time => View::Time(event.at),
            Self::Anywhere => View::Absent,
        }
    }
}

/// A value as the event has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'e> {
    Absent,
    Text(&'e str),
    Integer(i64),
    Bool(bool),
    List(&'e [String]),
    Words(&'static [&'static str]),
    Time(Timestamp),
}

impl<'e> View<'e> {
    pub(crate) fn of(value: &'e Value) -> Self {
        match value {
            Value::Text(it) => Self::Text(it),
            Value::Integer(it) => Self::Integer(*it),
            Value::Bool(it) => Self::Bool(*it),
            Value::List(it) => Self::List(it),
        }
    }

    pub(crate) fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether any text of the value satisfies `judge`; numbers are judged as they are written.
    pub(crate) fn any(self, mut judge: impl FnMut(&str) -> bool) -> bool {
        match self {
            Self::Absent | Self::Time(_) => false,
            Self::Text(it) => judge(it),
            Self::Integer(it) => judge(&it.to_string()),
            Self::Bool(it) => judge(if it { "true" } else { "false" }),
            Self::List(items) => items.iter().any(|it| judge(it)),
            Self::Words(items) => items.iter().any(|it| judge(it)),
        }
    }

    /// The value as alarms quote it.
    pub(crate) fn quoted(self) -> serde_json::Value {
        match self {
            Self::Absent => serde_json::Value::Null,
            Self::Text(it) => it.into(),
            Self::Integer(it) => it.into(),
            Self::Bool(it) => it.into(),
            Self::List(items) => items.into(),
            Self::Words(items) => items.into(),
            Self::Time(it) => it.0.into(),
        }
    }
}

/// The records that auditd writes for an event of this category.
fn records(category: Category) -> &'static [&'static str] {
    match category {
        Category::ProcessCreation => &["SYSCALL", "EXECVE", "CWD", "PROCTITLE"],
        Category::NetworkConnection => &["SYSCALL", "SOCKADDR", "PROCTITLE"],
        Category::FileEvent => &["SYSCALL", "PATH", "CWD", "PROCTITLE"],
        Category::Redirection
        | Category::Privilege
        | Category::ProcessAccess
        | Category::Kernel
        | Category::ProcessRename => &["SYSCALL", "PROCTITLE"],
        Category::DnsQuery | Category::State => &[],
    }
}

/// What auditd says of the names in the PATH records of a file event.
fn name_type(event: &Event) -> View<'_> {
    let words: &'static [&'static str] = match event.text(Field::FileOperation) {
        Some("create" | "link" | "symlink") => &["CREATE"],
        Some("rename") => &["CREATE", "DELETE"],
        Some("delete") => &["DELETE"],
        Some(_) => &["NORMAL"],
        None => return View::Absent,
    };
    View::Words(words)
}

/// What decides which calls an event stands for, where its category does not alone.
type ByWord = (Field, &'static [(&'static str, &'static [&'static str])]);

const ACCESS_CALLS: ByWord = (
    Field::AccessKind,
    &[
        ("ptrace_attach", &["ptrace"]),
        ("ptrace_poke", &["ptrace"]),
        ("process_vm_writev", &["process_vm_writev"]),
        ("signal", &["kill", "tkill", "tgkill"]),
    ],
);

const KERNEL_CALLS: ByWord = (
    Field::KernelAction,
    &[
        ("module_load", &["init_module", "finit_module"]),
        ("module_unload", &["delete_module"]),
        ("bpf_load", &["bpf"]),
        ("mount", &["mount"]),
        ("unmount", &["umount2"]),
        ("unshare", &["unshare"]),
        ("setns", &["setns"]),
        ("pivot_root", &["pivot_root"]),
        ("raw_socket", &["socket"]),
        ("packet_socket", &["socket"]),
        ("memfd", &["memfd_create"]),
        ("io_uring", &["io_uring_setup"]),
        ("open_outside_mount", &["open_by_handle_at"]),
        ("open_by_handle", &["open_by_handle_at"]),
    ],
);

const FILE_CALLS: ByWord = (
    Field::FileOperation,
    &[
        ("create", &["creat", "open", "openat"]),
        ("write", &["open", "openat", "write"]),
        ("truncate", &["truncate", "ftruncate"]),
        ("delete", &["unlink", "unlinkat"]),
        ("rename", &["rename", "renameat", "renameat2"]),
        ("link", &["link", "linkat"]),
        ("symlink", &["symlink", "symlinkat"]),
        ("mode", &["chmod", "fchmod", "fchmodat"]),
        ("owner", &["chown", "fchown", "fchownat", "lchown"]),
        ("attribute", &["setxattr", "fsetxattr", "lsetxattr"]),
        ("flags", &["ioctl"]),
        ("times", &["utime", "utimes", "utimensat", "futimesat"]),
    ],
);

const ACCEPTING: &[&str] = &["accept", "accept4"];
const CONNECTING: &[&str] = &["connect"];

/// The calls that an event of the category can stand for at all; `None`: any.
pub(crate) fn calls(category: Category) -> Option<Vec<&'static str>> {
    let by_word = |(_, words): ByWord| words.iter().flat_map(|(_, it)| *it).copied().collect();
    Some(match category {
        Category::Privilege => return None,
        Category::NetworkConnection => [ACCEPTING, CONNECTING].concat(),
        Category::ProcessAccess => by_word(ACCESS_CALLS),
        Category::Kernel => by_word(KERNEL_CALLS),
        Category::FileEvent => by_word(FILE_CALLS),
        Category::ProcessCreation => vec!["execve", "execveat"],
        Category::Redirection => vec!["dup2", "dup3"],
        Category::ProcessRename => vec!["prctl"],
        Category::DnsQuery | Category::State => Vec::new(),
    })
}

/// The system calls that an event of this kind stands for.
fn call(event: &Event) -> View<'_> {
    let by_word = |(field, words): ByWord| {
        let word = event.text(field).unwrap_or_default();
        words.iter().find(|(it, _)| *it == word).map_or(&[][..], |(_, it)| *it)
    };
    View::Words(match event.category {
        Category::ProcessCreation => &["execve", "execveat"],
        Category::NetworkConnection => match event.get(Field::Initiated) {
            Some(Value::Bool(false)) => ACCEPTING,
            _ => CONNECTING,
        },
        Category::Redirection => &["dup2", "dup3"],
        Category::ProcessRename => &["prctl"],
        Category::Privilege => {
            return event.text(Field::PrivilegeCall).map_or(View::Absent, View::Text);
        }
        Category::ProcessAccess => by_word(ACCESS_CALLS),
        Category::Kernel => by_word(KERNEL_CALLS),
        Category::FileEvent => by_word(FILE_CALLS),
        Category::DnsQuery | Category::State => &[],
    })
}
