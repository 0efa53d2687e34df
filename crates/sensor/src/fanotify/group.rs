//! The calls of fanotify(7), and its messages.

#![expect(unsafe_code, reason = "neither the standard library nor rustix has these calls")]

use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::FanotifyError;

/// `struct fanotify_event_metadata`.
const METADATA_BYTES: usize = 24;
const VERSION: u8 = 3;
/// `struct fanotify_event_info_header` and the file system id after it.
const INFO_BYTES: usize = 4;
const FSID_BYTES: usize = 8;
/// `struct file_handle` without its bytes, and the most of them (`MAX_HANDLE_SZ`).
const HANDLE_HEAD_BYTES: usize = 8;
const HANDLE_BYTES_MAX: usize = 128;

/// One fanotify descriptor. When the last copy is closed the kernel allows whatever waits.
#[derive(Debug)]
pub(super) struct Group {
    fd: OwnedFd,
}

impl Group {
    pub(super) fn open(flags: u32, event_flags: i32) -> Result<Self, FanotifyError> {
        // SAFETY: the call takes two numbers.
        let fd = unsafe { libc::fanotify_init(flags | libc::FAN_CLOEXEC, event_flags as u32) };
        if fd < 0 {
            let source = std::io::Error::last_os_error();
            return Err(FanotifyError::Kernel { what: "begin", source });
        }
        // SAFETY: the kernel just made this descriptor for us alone.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    pub(super) fn mark(&self, flags: u32, mask: u64, path: &Path) -> Result<(), FanotifyError> {
        let fail = |source| FanotifyError::Mark { path: path.display().to_string(), source };
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|it| fail(it.into()))?;
        // SAFETY: the path is a C string that lives until the call returns.
        let done = unsafe {
            libc::fanotify_mark(
                self.fd.as_raw_fd(),
                libc::FAN_MARK_ADD | flags,
                mask,
                libc::AT_FDCWD,
                name.as_ptr(),
            )
        };
        if done == 0 { Ok(()) } else { Err(fail(std::io::Error::last_os_error())) }
    }

    /// Waits up to `timeout` for something to read.
    pub(super) fn wait(&self, timeout: Duration) -> Result<bool, FanotifyError> {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        match poll(&mut fds, Timespec::try_from(timeout).ok().as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(FanotifyError::Kernel { what: "wait", source: error.into() }),
        }
    }

    /// The bytes of what waits; 0 where another thread took it.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize, FanotifyError> {
        match rustix::io::read(&self.fd, buffer) {
            Ok(length) => Ok(length),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(FanotifyError::Kernel { what: "read", source: error.into() }),
        }
    }

    /// Answers the question that came with `event`. One that was answered already, or whose asker
    /// was killed, is no error.
    pub(super) fn answer(&self, event: RawFd, allow: bool) {
        let word = if allow { libc::FAN_ALLOW } else { libc::FAN_DENY };
        let mut bytes = [0; 8];
        let (fd, response) = bytes.split_at_mut(4);
        fd.copy_from_slice(&event.to_ne_bytes());
        response.copy_from_slice(&word.to_ne_bytes());
        let _ = rustix::io::write(&self.fd, &bytes);
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes over the file that an event came with.
pub(super) fn owned(event: RawFd) -> Option<OwnedFd> {
    // SAFETY: the kernel made this descriptor for the reader of the event, who is the only one
    // to call this, once for each event.
    (event >= 0).then(|| unsafe { OwnedFd::from_raw_fd(event) })
}

/// One message of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    pub mask: u64,
    /// -1 where the event comes without a file.
    pub fd: i32,
    pub pid: i32,
    info: &'b [u8],
}

/// A name in a folder, as an event gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'b> {
    /// `FAN_EVENT_INFO_TYPE_*`.
    pub kind: u8,
    /// File system, type of handle and handle of the folder: equal for the same folder.
    pub folder: &'b [u8],
    pub name: &'b [u8],
}

/// The messages in `bytes`; stops at the first that is none.
pub fn parse(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let word = |at: usize| Some(u32::from_ne_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        let length = word(0)? as usize;
        let message = rest.get(..length).filter(|it| it.len() >= METADATA_BYTES)?;
        if message.get(4) != Some(&VERSION) {
            return None;
        }
        let head = u16::from_ne_bytes(message.get(6..8)?.try_into().ok()?) as usize;
        let mask = u64::from_ne_bytes(message.get(8..16)?.try_into().ok()?);
        let (fd, pid) = (word(16)? as i32, word(20)? as i32);
        let info = message.get(head.max(METADATA_BYTES)..).unwrap_or_default();
        rest = rest.get(length..).unwrap_or_default();
        Some(Message { mask, fd, pid, info })
    })
}

impl<'b> Message<'b> {
    /// The folders and names that came with it.
    pub fn names(&self) -> impl Iterator<Item = Named<'b>> + use<'b> {
        let mut rest = self.info;
        std::iter::from_fn(move || {
            let length = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) as usize;
            let kind = *rest.first()?;
            let record = rest.get(INFO_BYTES..length)?;
            rest = rest.get(length..).unwrap_or_default();
            let head = FSID_BYTES + HANDLE_HEAD_BYTES;
            let handle = record.get(FSID_BYTES..FSID_BYTES + 4)?.try_into().ok()?;
            let end = head.checked_add(u32::from_ne_bytes(handle) as usize)?;
            let folder = record.get(..end)?;
            let name = record.get(end..)?.split(|it| *it == 0).next().unwrap_or_default();
            Some(Named { kind, folder, name })
        })
    }
}

/// What events will call the folder at `path`: see [`Named::folder`].
pub(super) fn folder_key(path: &Path) -> std::io::Result<Vec<u8>> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut key = vec![0; FSID_BYTES + HANDLE_HEAD_BYTES + HANDLE_BYTES_MAX];
    // SAFETY: all zeroes is a valid value of this structure of numbers.
    let mut facts: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a C string and `facts` is of the kernel's type; both outlive the call.
    if unsafe { libc::statfs(name.as_ptr(), &raw mut facts) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the id is eight bytes of plain numbers.
    let fsid: [u8; FSID_BYTES] = unsafe { std::mem::transmute(facts.f_fsid) };
    let (system, handle) = key.split_at_mut(FSID_BYTES);
    system.copy_from_slice(&fsid);
    let (room, _) = handle.split_at_mut(4);
    room.copy_from_slice(&(HANDLE_BYTES_MAX as u32).to_ne_bytes());
    let mut mount = 0_i32;
    // SAFETY: `handle` is a `struct file_handle` with room for the bytes its first word promises;
    // the kernel copies it as bytes, so that its alignment does not matter.
    let done = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            name.as_ptr(),
            handle.as_mut_ptr(),
            &raw mut mount,
            0,
        )
    };
    if done != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let used = handle.get(..4).and_then(|it| it.try_into().ok()).map_or(0, u32::from_ne_bytes);
    key.truncate(FSID_BYTES + HANDLE_HEAD_BYTES + used as usize);
    Ok(key)
}
