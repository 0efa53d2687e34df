//! Rights that change, and whether there is a reason for it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use engine::event::{Category, Field};
use model::event::{Rights, Task, What};
use model::time::Timestamp;

use super::{Enriched, Enricher, fixed, shared, text};
use crate::detect::process::Id;

/// Names by number: linux/capability.h.
#[rustfmt::skip]
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
];
pub(super) const CAPABILITY_ATTRIBUTE: &str = "security.capability";
const SETUID: u64 = 1 << 7;
/// Those by which a process can make itself root: override of files, set-id, modules, ptrace, ...
const LEADING: u64 = (1 << 0)
    | (1 << 1)
    | (1 << 2)
    | (1 << 3)
    | (1 << 6)
    | SETUID
    | (1 << 8)
    | (1 << 16)
    | (1 << 17)
    | (1 << 19)
    | (1 << 21)
    | (1 << 27)
    | (1 << 31)
    | (1 << 39);

/// Sets of capabilities remembered by their names.
const SETS_MAX: usize = 256;

/// Names of the capabilities in a set. Nearly all processes have one of a few.
#[derive(Debug, Default)]
pub(super) struct CapabilityNames(RefCell<HashMap<u64, Arc<[String]>>>);

impl CapabilityNames {
    pub(super) fn of(&self, bits: u64) -> Arc<[String]> {
        let mut sets = self.0.borrow_mut();
        if sets.len() >= SETS_MAX {
            sets.clear();
        }
        Arc::clone(sets.entry(bits).or_insert_with(|| capability_names(bits)))
    }
}

pub(super) fn capability_names(bits: u64) -> Arc<[String]> {
    let all = CAPABILITIES.iter().enumerate();
    all.filter(|(number, _)| bits & (1 << number) != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

pub(super) fn leads_to_root(bits: u64) -> bool {
    bits & LEADING != 0
}

impl Enricher {
    /// Why a program started with more rights than its starter had.
    pub(super) fn exec_reason(&self, id: Id, task: &Task, became_root: bool) -> &'static str {
        let Some(process) = self.processes.get(id) else { return "none" };
        if self.is_in_user_namespace(task) {
            return "user_namespace";
        }
        let image = &process.image;
        if became_root && image.mode & 0o4000 != 0 && image.uid == 0 {
            return "setuid_file";
        }
        if !became_root && has_file_capabilities(&image.path) {
            return "file_capability";
        }
        if became_root && image.identity.is_none() {
            // What the file is could not be learned: a tier that tells little.
            return "setuid_file";
        }
        "none"
    }

    /// Rights changed by a call, or by nothing that was seen.
    pub(super) fn credentials(
        &mut self,
        at: Timestamp,
        task: &Task,
        (before, after): (&Rights, &Rights),
        call: Option<&'static str>,
        out: &mut Vec<Enriched>,
    ) {
        let id = self.actor(task, at);
        let gained = after.capabilities & !before.capabilities;
        let became_root = before.euid != 0 && after.euid == 0;
        let is_gain = became_root || (before.euid != 0 && leads_to_root(gained));
        let reason = is_gain.then(|| self.call_reason(id, task, before, call));
        if let Some(process) = self.processes.get_mut(id) {
            (process.uid, process.euid) = (after.uid, after.euid);
            process.had_root |= after.euid == 0 || after.uid == 0;
            // Nothing is left by which it could become root again.
            if after.euid != 0 && after.uid != 0 && call.is_some_and(drops_for_good) {
                process.had_root = false;
            }
        }
        let mut event = self.begin(Category::Privilege, at, id, Some(task));
        event.set(Field::PreviousUserId, Some(before.euid.into()));
        event.set(Field::PreviousUser, Some(self.users.name(before.euid).into()));
        event.set(Field::PrivilegeGained, Some(is_gain.into()));
        event.set(Field::PrivilegeReason, reason.and_then(fixed));
        event.set(Field::PrivilegeCall, call.and_then(fixed));
        if gained != 0 {
            event.set(Field::CapabilitiesGained, Some(self.capabilities.of(gained).into()));
        }
        event.set(
            Field::CapabilitiesEffective,
            Some(self.capabilities.of(after.capabilities).into()),
        );
        out.push(Enriched { event, process: Some(id) });
    }

    fn call_reason(
        &self,
        id: Id,
        task: &Task,
        before: &Rights,
        call: Option<&'static str>,
    ) -> &'static str {
        if self.is_in_user_namespace(task) {
            return "user_namespace";
        }
        let Some(process) = self.processes.get(id) else { return "none" };
        // Without a call nothing gives rights, whatever the process was before.
        if call.is_none() {
            return "none";
        }
        if process.had_root {
            return "root_parent";
        }
        if before.capabilities & SETUID != 0 || process.image.mode & 0o4000 != 0 {
            return if process.image.mode & 0o4000 != 0 {
                "setuid_file"
            } else {
                "file_capability"
            };
        }
        "none"
    }

    fn is_in_user_namespace(&self, task: &Task) -> bool {
        task.namespaces.is_some_and(|it| it.user != 0 && it.user != self.host.user)
    }

    pub(super) fn access(
        &mut self,
        at: Timestamp,
        task: &Task,
        what: &What,
        out: &mut Vec<Enriched>,
    ) {
        use model::event::MemoryPath;
        const PTRACE_ATTACH: u32 = 16;
        const PTRACE_SEIZE: u32 = 0x4206;
        let (target, kind, signal) = match what {
            What::Ptrace { request, target_pid, result } if result.is_none_or(|it| it >= 0) => {
                let attaches = matches!(*request, PTRACE_ATTACH | PTRACE_SEIZE);
                (*target_pid, if attaches { "ptrace_attach" } else { "ptrace_poke" }, None)
            }
            What::MemoryWrite { target_pid, by } => {
                let kind = match by {
                    MemoryPath::ProcessVmWritev => "process_vm_writev",
                    MemoryPath::ProcMem => "proc_mem",
                    MemoryPath::PtracePoke => "ptrace_poke",
                };
                (*target_pid, kind, None)
            }
            What::Signal { target_pid, signal, result } if result.is_none_or(|it| it >= 0) => {
                (*target_pid, "signal", Some(*signal))
            }
            _ => return,
        };
        self.reach(at, task, &Reach { target, kind, signal }, out);
    }

    /// `target` names the folder of a process below `/proc`, or one of its threads there.
    pub(super) fn memory_read(
        &mut self,
        at: Timestamp,
        task: &Task,
        target: &str,
        out: &mut Vec<Enriched>,
    ) {
        let pid = target.split('/').next().and_then(|it| it.parse().ok());
        if let Some(pid) = pid.filter(|it| *it != task.pid) {
            let read = Reach { target: pid, kind: "proc_mem_read", signal: None };
            self.reach(at, task, &read, out);
        }
    }

    fn reach(&mut self, at: Timestamp, task: &Task, it: &Reach, out: &mut Vec<Enriched>) {
        let Reach { target, kind, signal } = *it;
        let id = self.actor(task, at);
        let mut event = self.begin(Category::ProcessAccess, at, id, Some(task));
        event.set(Field::AccessKind, fixed(kind));
        event.set(Field::Signal, signal.map(Into::into));
        event.set(Field::TargetProcessId, Some(target.into()));
        if let Some(other) = self.processes.id_of(target)
            && let Some(it) = self.processes.get(other)
        {
            event.set(Field::TargetImage, shared(&it.image.path));
            event.set(Field::TargetUser, Some(self.users.name(it.uid).into()));
            event.set(Field::TargetIsChild, Some(self.processes.descends(other, id).into()));
            event.set(Field::TargetIsAgent, Some(self.is_agent(it).into()));
        }
        out.push(Enriched { event, process: Some(id) });
    }

    pub(super) fn renamed(
        &mut self,
        at: Timestamp,
        task: &Task,
        after: &str,
        out: &mut Vec<Enriched>,
    ) {
        let id = self.actor(task, at);
        let mut event = self.begin(Category::ProcessRename, at, id, Some(task));
        event.set(Field::NewName, text(after));
        if let Some(process) = self.processes.get_mut(id).filter(|_| task.tid == task.pid) {
            process.name = after.into();
            self.processes.changed(id);
        }
        out.push(Enriched { event, process: Some(id) });
    }
}

/// What one process did to another.
struct Reach {
    target: u32,
    kind: &'static str,
    signal: Option<u32>,
}

fn has_file_capabilities(path: &str) -> bool {
    file_capabilities(path).is_some()
}

/// What `security.capability` lets a program have: `struct vfs_cap_data` of linux/capability.h,
/// all revisions of which begin alike.
pub(super) fn file_capabilities(path: &str) -> Option<u64> {
    let mut bytes = [0_u8; 64];
    let read = rustix::fs::getxattr(path, CAPABILITY_ATTRIBUTE, &mut bytes).ok()?;
    permitted(bytes.get(..read)?)
}

fn permitted(bytes: &[u8]) -> Option<u64> {
    let word = |at: usize| {
        bytes.get(at..at + 4).and_then(|it| Some(u32::from_le_bytes(it.try_into().ok()?)))
    };
    // Version, then permitted and inheritable, low and high; the first revision has the low half.
    let low = word(4)?;
    Some(u64::from(low) | u64::from(word(12).unwrap_or(0)) << 32)
}

/// Calls that set the saved uid too; `seteuid` and `setfsuid` leave a way back.
fn drops_for_good(call: &str) -> bool {
    matches!(call, "setuid" | "setresuid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_files() {
        let setuid = data_encoding::HEXLOWER.decode(b"0100000280000000000000000000000000000000");
        let high = data_encoding::HEXLOWER.decode(b"0100000200000000000000008000000000000000");
        assert_eq!(permitted(&setuid.unwrap()).map(capability_names).unwrap()[..], ["CAP_SETUID"]);
        assert_eq!(permitted(&high.unwrap()).map(capability_names).unwrap()[..], ["CAP_BPF"]);
        assert_eq!((permitted(&[1, 0, 0]), file_capabilities("/nonexistent")), (None, None));
    }

    #[test]
    fn capabilities_by_name() {
        let names = CapabilityNames::default();
        assert_eq!(names.of((1 << 21) | 1)[..], ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
        assert!(leads_to_root(1 << 7) && !leads_to_root(1 << 10));
        assert!(names.of(0).is_empty());
    }
}
