//! Which processes hold a socket: the links in `/proc/PID/fd` name it by its inode.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt as _;

use crate::collect::process::parse::number;
use crate::collect::process::table::{Process, ProcessTable};
use crate::host_root::HostRoot;

/// Most open files of one process that are looked at.
const FILES_MAX: usize = 65_536;

/// Processes by socket inode.
#[derive(Debug, Default)]
pub(super) struct Owners<'a> {
    pub(super) by_inode: HashMap<u64, Vec<&'a Process>>,
    /// Processes whose open files this user may not see.
    pub(super) unreadable: usize,
}

/// Looks for the sockets that are keys of `wanted`; their lists are filled.
pub(super) fn find<'a>(
    root: &HostRoot,
    table: &'a ProcessTable,
    wanted: impl Iterator<Item = u64>,
) -> Owners<'a> {
    let mut owners = Owners::default();
    owners.by_inode.extend(wanted.filter(|it| *it != 0).map(|it| (it, Vec::new())));
    if owners.by_inode.is_empty() {
        return owners;
    }
    for process in &table.processes {
        let Ok(directory) = root.open_dir(format!("/proc/{}/fd", process.pid)) else {
            owners.unreadable += 1;
            continue;
        };
        let by_inode = &mut owners.by_inode;
        let listed = directory.each_link(FILES_MAX, |target| {
            let Some(holders) = socket_inode(target).and_then(|it| by_inode.get_mut(&it)) else {
                return;
            };
            if holders.last().is_none_or(|it| it.pid != process.pid) {
                holders.push(process);
            }
        });
        owners.unreadable += usize::from(listed.is_err_and(|it| !it.is_absent()));
    }
    owners
}

/// The sockets one process holds.
pub(super) fn sockets_of(root: &HostRoot, process: &Process) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    if let Ok(directory) = root.open_dir(format!("/proc/{}/fd", process.pid)) {
        // A process that ends meanwhile holds nothing any more.
        let _ = directory.each_link(FILES_MAX, |target| found.extend(socket_inode(target)));
    }
    found
}

/// `socket:[INODE]`.
fn socket_inode(target: &std::path::Path) -> Option<u64> {
    let text = target.as_os_str().as_bytes();
    number(text.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}
