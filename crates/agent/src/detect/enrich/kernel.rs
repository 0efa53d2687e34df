//! Modules, programs in the kernel, mounts, namespaces, raw sockets.

use engine::event::{Category, Event, Field};
use model::event::{Task, What};
use model::time::Timestamp;

use super::{Enriched, Enricher, text};

const PACKET_FAMILY: u16 = 17;
/// `IPPROTO_ICMP`, `IPPROTO_ICMPV6`.
const ICMP: [u32; 2] = [1, 58];
/// `EEXIST`: the module is loaded already.
const ALREADY_THERE: i32 = -17;
/// linux/sched.h.
const NAMESPACE_FLAGS: [(u64, &str); 8] = [
    (0x0000_0080, "CLONE_NEWTIME"),
    (0x0002_0000, "CLONE_NEWNS"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
];

impl Enricher {
    pub(super) fn kernel(
        &mut self,
        at: Timestamp,
        task: &Task,
        what: &What,
        out: &mut Vec<Enriched>,
    ) {
        let result = result_of(what).unwrap_or(0);
        let is_module = matches!(what, What::ModuleLoad { .. });
        if result < 0 && (!is_module || result == ALREADY_THERE) {
            return;
        }
        let id = self.actor(task, at);
        let mut event = self.begin(Category::Kernel, at, id, Some(task));
        set_kernel(&mut event, what);
        // Code for the kernel tells as much of whoever brings it when it does not fit.
        if result < 0 {
            event.set(Field::KernelAction, text("module_refused"));
        }
        out.push(Enriched { event, process: Some(id) });
    }
}

/// The kernel's answer, where it tells one.
fn result_of(what: &What) -> Option<i32> {
    match what {
        What::ModuleLoad { result, .. }
        | What::BpfLoad { result, .. }
        | What::Mount { result, .. }
        | What::Unshare { result, .. }
        | What::Setns { result, .. } => *result,
        _ => None,
    }
}

fn set_kernel(event: &mut Event, what: &What) {
    let action = |event: &mut Event, it: &str| event.set(Field::KernelAction, text(it));
    match what {
        What::MemfdCreate { name } => {
            action(event, "memfd");
            event.set(Field::ObjectName, text(name));
        }
        What::ModuleLoad { name, path, .. } => {
            action(event, "module_load");
            event.set(Field::ObjectName, text(name));
            event.set(Field::TargetFilename, path.as_deref().and_then(text));
        }
        What::ModuleUnload { name } => {
            action(event, "module_unload");
            event.set(Field::ObjectName, text(name));
        }
        What::BpfLoad { name, .. } => {
            action(event, "bpf_load");
            event.set(Field::ObjectName, text(name));
        }
        What::Mount { source, target, kind, .. } => {
            action(event, "mount");
            event.set(Field::ObjectName, text(kind));
            event.set(Field::MountSource, text(source));
            event.set(Field::MountTarget, text(target));
        }
        What::Unmount { target } => {
            action(event, "unmount");
            event.set(Field::MountTarget, text(target));
        }
        What::Unshare { flags, .. } => {
            action(event, "unshare");
            event.set(Field::NamespaceFlags, Some(flag_names(*flags).into()));
        }
        What::Setns { flags, .. } => {
            action(event, "setns");
            event.set(Field::NamespaceFlags, Some(flag_names(*flags).into()));
        }
        What::PivotRoot { new_root, put_old } => {
            action(event, "pivot_root");
            event.set(Field::MountTarget, text(new_root));
            event.set(Field::MountSource, text(put_old));
        }
        What::IoUring { .. } => action(event, "io_uring"),
        What::OpenByHandle { path } => {
            action(event, if path.is_some() { "open_outside_mount" } else { "open_by_handle" });
            event.set(Field::TargetFilename, path.as_deref().and_then(text));
        }
        What::RawSocket { family, protocol, .. } => {
            let is_packet = *family == PACKET_FAMILY;
            action(event, if is_packet { "packet_socket" } else { "raw_socket" });
            let carries = match protocol {
                _ if is_packet => "packet",
                it if ICMP.contains(it) => "icmp",
                _ => "raw",
            };
            event.set(Field::Protocol, text(carries));
        }
        _ => {}
    }
}

fn flag_names(flags: u64) -> Vec<String> {
    let named = NAMESPACE_FLAGS.iter().filter(|(bit, _)| flags & bit != 0);
    named.map(|(_, name)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_by_name() {
        assert_eq!(flag_names(0x1002_0000), ["CLONE_NEWNS", "CLONE_NEWUSER"]);
        assert!(flag_names(0).is_empty());
    }
}
