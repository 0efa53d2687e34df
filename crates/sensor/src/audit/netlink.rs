//! Speaks with the audit system: joins the group that hears every record, and asks what rules and
//! state there are. It changes none of them.

use std::os::fd::{AsFd as _, BorrowedFd};

use netlink_sys::{Socket, SocketAddr};

use super::AuditError;

const NETLINK_AUDIT: isize = 9;
/// `AUDIT_NLGRP_READLOG`, as a bit.
const READ_LOG: u32 = 1;
const HEADER_BYTES: usize = 16;
const REQUEST: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const GET: u16 = 1000;
const LIST_RULES: u16 = 1013;
/// Room for the records of a burst; what does not fit is counted as lost.
const RECEIVE_BUFFER_BYTES: i32 = 1024 * 1024;
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Rules that are looked at.
const RULES_MAX: usize = 4096;

/// `execve` and `execveat` on x86-64.
const EXECS: [usize; 2] = [59, 322];
/// Of `struct audit_rule_data`: the list of system calls that end, and the action that records.
const FILTER_EXIT: u32 = 4;
const ALWAYS: u32 = 2;
const MASK_WORDS: usize = 64;
/// Fields of a rule that leave nobody out: architecture, key.
const HARMLESS_FIELDS: [u32; 2] = [11, 210];

/// What the audit system is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    pub is_on: bool,
    /// Records that it dropped by itself since the machine started.
    pub lost: u32,
    pub rules: usize,
    pub execs: Execs,
}

/// Which starts of programs rules ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Execs {
    #[default]
    None,
    /// Of some processes, users or files.
    Some,
    All,
}

/// Hears every record. Needs CAP_AUDIT_READ.
#[derive(Debug)]
pub(super) struct Records {
    socket: Socket,
}

impl Records {
    pub(super) fn join() -> Result<Self, AuditError> {
        let mut socket = Socket::new(NETLINK_AUDIT).map_err(AuditError::Open)?;
        socket.bind(&SocketAddr::new(0, READ_LOG)).map_err(AuditError::Denied)?;
        // The default buffer is only smaller.
        let _ = socket.set_rx_buf_sz(RECEIVE_BUFFER_BYTES);
        socket.set_non_blocking(true).map_err(AuditError::Open)?;
        Ok(Self { socket })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Everything that waits, at most `max` records; returns how often the kernel dropped some.
    pub(super) fn take(
        &self,
        max: usize,
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<u64, AuditError> {
        let mut overruns = 0;
        let mut buffer = Vec::with_capacity(MESSAGE_BYTES_MAX);
        for _ in 0..max {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => {
                    if let Some((kind, payload)) = message(&buffer) {
                        each(kind, payload);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if is_overrun(&error) => overruns += 1,
                Err(error) => return Err(AuditError::Receive(error)),
            }
        }
        Ok(overruns)
    }
}

fn is_overrun(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

/// Asks for state and rules. Needs CAP_AUDIT_CONTROL.
pub(super) fn setting() -> Result<Setting, AuditError> {
    let mut setting = Setting::default();
    ask(GET, |kind, payload| {
        if kind == GET {
            setting.is_on = word(payload, 1).is_some_and(|it| it != 0);
            setting.lost = word(payload, 6).unwrap_or_default();
        }
        kind == GET
    })?;
    ask(LIST_RULES, |kind, payload| {
        if kind == LIST_RULES {
            setting.rules += 1;
            setting.execs = setting.execs.max(execs(payload));
        }
        kind == DONE || setting.rules >= RULES_MAX
    })?;
    Ok(setting)
}

/// Sends a request and hands out the answers until `is_last`.
fn ask(kind: u16, mut is_last: impl FnMut(u16, &[u8]) -> bool) -> Result<(), AuditError> {
    let mut socket = Socket::new(NETLINK_AUDIT).map_err(AuditError::Open)?;
    socket.bind(&SocketAddr::new(0, 0)).map_err(AuditError::Open)?;
    let mut request = Vec::with_capacity(HEADER_BYTES);
    request.extend((HEADER_BYTES as u32).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    socket.send_to(&request, &SocketAddr::new(0, 0), 0).map_err(AuditError::Denied)?;
    let mut buffer = Vec::with_capacity(MESSAGE_BYTES_MAX);
    loop {
        buffer.clear();
        wait(&socket)?;
        socket.recv(&mut buffer, 0).map_err(AuditError::Receive)?;
        let (kind, payload) = message(&buffer).ok_or(AuditError::Silent)?;
        if kind == ERROR {
            let number = word(payload, 0).map_or(0, |it| it as i32);
            return Err(AuditError::Denied(std::io::Error::from_raw_os_error(-number)));
        }
        if is_last(kind, payload) {
            return Ok(());
        }
    }
}

fn wait(socket: &Socket) -> Result<(), AuditError> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket, PollFlags::IN)];
    let timeout = Timespec { tv_sec: 2, tv_nsec: 0 };
    match poll(&mut fds, Some(&timeout)) {
        Ok(0) => Err(AuditError::Silent),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(AuditError::Receive(error.into())),
    }
}

/// Kind and content of a datagram: one record each. Its own length is not trusted, the audit
/// system has counted it in two ways.
fn message(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let kind = u16::from_ne_bytes(datagram.get(4..6)?.try_into().ok()?);
    Some((kind, datagram.get(HEADER_BYTES..)?))
}

/// What a `struct audit_rule_data` asks for: flags, action, number of fields, mask of system calls,
/// then the fields.
pub fn execs(rule: &[u8]) -> Execs {
    let at = |number| word(rule, number).unwrap_or_default();
    let mask = |call: usize| at(3 + call / 32) >> (call % 32) & 1 == 1;
    let records = at(0) & 7 == FILTER_EXIT && at(1) == ALWAYS;
    if !records || !EXECS.iter().any(|it| mask(*it)) {
        return Execs::None;
    }
    let fields = (at(2) as usize).min(MASK_WORDS);
    let is_for_all =
        (0..fields).all(|number| HARMLESS_FIELDS.contains(&at(3 + MASK_WORDS + number)));
    if is_for_all && EXECS.iter().all(|it| mask(*it)) { Execs::All } else { Execs::Some }
}

fn word(bytes: &[u8], number: usize) -> Option<u32> {
    let at = number * 4;
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(flags: u32, action: u32, calls: &[usize], fields: &[u32]) -> Vec<u8> {
        let mut words = vec![0; 3 + 4 * MASK_WORDS];
        words[..3].copy_from_slice(&[flags, action, fields.len() as u32]);
        for call in calls {
            words[3 + call / 32] |= 1 << (call % 32);
        }
        words[3 + MASK_WORDS..3 + MASK_WORDS + fields.len()].copy_from_slice(fields);
        words.iter().flat_map(|it: &u32| it.to_ne_bytes()).collect()
    }

    #[test]
    fn rules_are_weighed_by_whom_they_leave_out() {
        const UID: u32 = 1;
        for (rule, wanted) in [
            (rule(4, 2, &[59, 322], &[11, 210]), Execs::All),
            (rule(4, 2, &[59, 322], &[]), Execs::All),
            (rule(4, 2, &[59], &[11]), Execs::Some),
            (rule(4, 2, &[59, 322], &[11, UID]), Execs::Some),
            (rule(4, 0, &[59, 322], &[11]), Execs::None),
            (rule(5, 2, &[59, 322], &[11]), Execs::None),
            (rule(4, 2, &[257], &[11]), Execs::None),
            (vec![4, 0, 0], Execs::None),
        ] {
            assert_eq!(execs(&rule), wanted);
        }
    }
}
