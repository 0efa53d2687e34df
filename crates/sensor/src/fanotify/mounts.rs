//! What is mounted, and when that changes.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

const TABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Kinds whose files come from the kernel and are no programs.
const KERNEL_KINDS: [&str; 20] = [
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "debugfs",
    "tracefs",
    "securityfs",
    "bpf",
    "pstore",
    "mqueue",
    "hugetlbfs",
    "autofs",
    "configfs",
    "fusectl",
    "binfmt_misc",
    "efivarfs",
    "nsfs",
    "rpc_pipefs",
    "selinuxfs",
];
/// Kinds whose files come from another program or host, which may itself wait for an answer: a
/// guard that reads them can hang both.
const FOREIGN_KINDS: [&str; 8] = ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "afs"];

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// The kernel's number of it, as in the `mnt_id` of an open file.
    pub id: u32,
    /// `major:minor`.
    pub device: String,
    /// The folder of the file system that is seen at `point`.
    pub root: PathBuf,
    pub point: PathBuf,
    pub kind: String,
}

impl Mount {
    pub fn is_kernel(&self) -> bool {
        KERNEL_KINDS.contains(&self.kind.as_str())
    }

    /// Programs on it are not judged.
    pub fn is_foreign(&self) -> bool {
        FOREIGN_KINDS.contains(&self.kind.as_str()) || self.kind.starts_with("fuse")
    }
}

/// The table of mounts as a process sees them.
#[derive(Debug)]
pub struct Mounts {
    file: File,
}

impl Mounts {
    /// As this process sees them.
    pub fn open() -> std::io::Result<Self> {
        Ok(Self { file: File::open("/proc/self/mountinfo")? })
    }

    pub fn of(pid: u32) -> std::io::Result<Self> {
        Ok(Self { file: File::open(format!("/proc/{pid}/mountinfo"))? })
    }

    pub fn list(&mut self) -> std::io::Result<Vec<Mount>> {
        use std::io::Seek as _;
        self.file.rewind()?;
        let mut bytes = Vec::new();
        (&self.file).take(TABLE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(parse(&bytes))
    }

    /// Waits up to `timeout` for something to be mounted or unmounted.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::PRI)];
        poll(&mut fds, Timespec::try_from(timeout).ok().as_ref()).is_ok_and(|it| it > 0)
    }
}

/// Lines of proc_pid_mountinfo(5). One that is none is left out.
pub fn parse(bytes: &[u8]) -> Vec<Mount> {
    let line = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        let (head, tail) = text.split_once(" - ")?;
        let mut fields = head.split(' ');
        let id = fields.next()?.parse().ok()?;
        let (device, root, point) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let kind = tail.split(' ').next().filter(|it| !it.is_empty())?;
        Some(Mount {
            id,
            device: device.to_owned(),
            root: unescape(root).into(),
            point: unescape(point).into(),
            kind: kind.to_owned(),
        })
    };
    bytes.split(|it| *it == b'\n').filter_map(line).collect()
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(text.to_owned(), |text, (code, letter)| text.replace(code, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let text = "22 28 0:21 / /proc rw,nosuid - proc proc rw\n\
            28 0 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            40 28 0:44 /sub /mnt/a\\040b rw - fuse.sshfs host:/ rw\n\nbroken line\n1 2 3:4 / \n";
        let found = parse(text.as_bytes());
        let ids: Vec<(u32, &str)> =
            found.iter().map(|it| (it.id, it.root.to_str().unwrap())).collect();
        assert_eq!(ids, [(22, "/"), (28, "/"), (40, "/sub")]);
        let seen: Vec<(&str, &str, bool, bool)> = found
            .iter()
            .map(|it| {
                (it.device.as_str(), it.point.to_str().unwrap(), it.is_kernel(), it.is_foreign())
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("0:21", "/proc", true, false),
                ("254:0", "/", false, false),
                ("0:44", "/mnt/a b", false, true)
            ]
        );
        assert!(!Mounts::open().unwrap().list().unwrap().is_empty());
    }
}
