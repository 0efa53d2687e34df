//! The files of a process, as proc(5) describes them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::table::ExecutableState;
use crate::collect::fields::text;

/// Flag of a thread that the kernel started for itself: `PF_KTHREAD` of linux/sched.h.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What is wanted of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub name: String,
    pub state: char,
    pub parent: u32,
    pub kernel_thread: bool,
    pub start_ticks: u64,
}

/// `/proc/PID/stat`: `PID (NAME) STATE PPID ...`. The name may hold brackets and spaces, so it
/// ends at the last `)`.
pub fn stat(bytes: &[u8]) -> Option<Stat> {
    let open = memchr::memchr(b'(', bytes)?;
    let close = memchr::memrchr(b')', bytes)?;
    let name = text(bytes.get(open + 1..close)?);
    let rest = bytes.get(close + 1..)?;
    let mut fields = rest.split(u8::is_ascii_whitespace).filter(|it| !it.is_empty());
    let state = char::from(*fields.next()?.first()?);
    let parent = u32::try_from(number(fields.next()?)?).ok()?;
    // Fields are numbered from 1 in the manual: flags are 9, starttime is 22.
    let flags = number(fields.nth(9 - 5)?)?;
    let start_ticks = number(fields.nth(22 - 10)?)?;
    Some(Stat { name, state, parent, kernel_thread: flags & KERNEL_THREAD != 0, start_ticks })
}

/// The second number of the `Uid:` line of `/proc/PID/status`.
pub fn effective_uid(bytes: &[u8]) -> Option<u32> {
    let line = bytes.split(|it| *it == b'\n').find_map(|it| it.strip_prefix(b"Uid:"))?;
    let mut numbers = line.split(u8::is_ascii_whitespace).filter(|it| !it.is_empty());
    u32::try_from(number(numbers.nth(1)?)?).ok()
}

/// `/proc/PID/cmdline`: arguments ended by NUL; a process that rewrites it may leave more of
/// them at the end.
pub fn arguments(bytes: &[u8]) -> Vec<Vec<u8>> {
    let end = bytes.iter().rposition(|it| *it != 0).map_or(0, |it| it + 1);
    let bytes = bytes.get(..end).unwrap_or_default();
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|it| *it == 0).map(<[u8]>::to_vec).collect()
}

/// The text of `/proc/PID/exe`. The kernel appends ` (deleted)` to a path that is gone.
pub fn executable(link: &[u8]) -> (PathBuf, ExecutableState) {
    let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
    match link.strip_suffix(b" (deleted)") {
        Some(name) if link.starts_with(b"/memfd:") => (path(name), ExecutableState::Memory),
        Some(name) => (path(name), ExecutableState::Deleted),
        None => (path(link), ExecutableState::Present),
    }
}

/// The `btime` line of `/proc/stat`: seconds since 1970.
pub fn boot_time(bytes: &[u8]) -> Option<i64> {
    let line = bytes.split(|it| *it == b'\n').find_map(|it| it.strip_prefix(b"btime "))?;
    i64::try_from(number(line.trim_ascii())?).ok()
}

/// A plain decimal number.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|it| *it < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
