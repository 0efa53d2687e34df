//! Processes that start, end or change their user, told by the kernel's process connector.
//!
//! Needs `CONFIG_PROC_EVENTS` and CAP_NET_ADMIN in the first user namespace. The messages are
//! those of `linux/cn_proc.h`: a netlink header, a connector header, an event.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const NETLINK_CONNECTOR: isize = 11;
/// `CN_IDX_PROC` and `CN_VAL_PROC`.
const CONNECTOR_ID: [u32; 2] = [1, 1];
const LISTEN: u32 = 1;
const NLMSG_DONE: u16 = 3;
const NETLINK_HEADER_BYTES: usize = 16;
const CONNECTOR_HEADER_BYTES: usize = 20;
/// Number, processor and time of an event; the processes it is about follow.
const EVENT_HEADER_BYTES: usize = 16;
/// Room for the events of a burst; what does not fit is counted as lost.
const RECEIVE_BUFFER_BYTES: i32 = 1024 * 1024;
const MESSAGE_BYTES_MAX: usize = 4096;
/// Events handed over at once.
const BATCH_MAX: usize = 1024;

const FORK: u32 = 0x0000_0001;
const EXEC: u32 = 0x0000_0002;
const UID: u32 = 0x0000_0004;
const EXIT: u32 = 0x8000_0000;

/// Why the kernel does not tell of processes.
#[derive(Debug, thiserror::Error)]
pub enum ProcessEventsError {
    #[error("the kernel's process connector cannot be opened")]
    Open(#[source] std::io::Error),
    #[error("the kernel's process connector may not be used by this user")]
    Denied(#[source] std::io::Error),
    #[error("the kernel's process connector does not answer: it was built without process events")]
    Silent,
    #[error("the kernel's process connector failed")]
    Receive(#[source] std::io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Started,
    /// `status` as `wait` tells it.
    Ended {
        status: i32,
    },
    ChangedUser,
    /// The process made another one.
    Forked {
        child: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    pub change: Change,
    pub pid: u32,
}

/// What came since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of the kernel; threads are left out.
    pub events: Vec<ProcessEvent>,
    /// Times the kernel dropped events because nobody took them.
    pub lost: u64,
}

#[derive(Debug)]
pub struct ProcessEvents {
    socket: Socket,
}

impl ProcessEvents {
    /// Subscribes, and makes sure that the kernel really tells.
    pub fn open() -> Result<Self, ProcessEventsError> {
        let mut socket = Socket::new(NETLINK_CONNECTOR).map_err(ProcessEventsError::Open)?;
        socket.bind(&SocketAddr::new(0, CONNECTOR_ID[0])).map_err(ProcessEventsError::Denied)?;
        // The default buffer is only smaller.
        let _ = socket.set_rx_buf_sz(RECEIVE_BUFFER_BYTES);
        socket.set_non_blocking(true).map_err(ProcessEventsError::Open)?;
        let kernel = SocketAddr::new(0, 0);
        let send = |body: &[u32]| socket.send_to(&request(body), &kernel, 0);
        send(&[LISTEN]).map_err(ProcessEventsError::Denied)?;
        // Kernels from 6.6 on can leave out what is not wanted; older ones ignore this length.
        send(&[LISTEN, FORK | EXEC | UID | EXIT]).map_err(ProcessEventsError::Denied)?;
        let events = Self { socket };
        events.is_answered()?;
        Ok(events)
    }

    /// The subscription itself is acknowledged by an event of number 0.
    fn is_answered(&self) -> Result<(), ProcessEventsError> {
        let answered = self.wait(Duration::from_secs(1))?;
        if answered { Ok(()) } else { Err(ProcessEventsError::Silent) }
    }

    /// Waits up to `timeout` for something to happen.
    pub fn wait(&self, timeout: Duration) -> Result<bool, ProcessEventsError> {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(ProcessEventsError::Receive(error.into())),
        }
    }

    /// Everything that waits, at most 1,024 events; never blocks.
    pub fn take(&self) -> Result<Batch, ProcessEventsError> {
        let mut batch = Batch::default();
        let mut buffer = Vec::with_capacity(MESSAGE_BYTES_MAX);
        while batch.events.len() < BATCH_MAX {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => batch.events.extend(parse(&buffer)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) if is_overrun(&error) => batch.lost += 1,
                Err(error) => return Err(ProcessEventsError::Receive(error)),
            }
        }
        Ok(batch)
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_overrun(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

/// A connector message from us to the kernel.
fn request(body: &[u32]) -> Vec<u8> {
    let body_bytes = body.len() * 4;
    let total = NETLINK_HEADER_BYTES + CONNECTOR_HEADER_BYTES + body_bytes;
    let mut out = Vec::with_capacity(total);
    out.extend((total as u32).to_ne_bytes());
    out.extend(NLMSG_DONE.to_ne_bytes());
    out.extend([0; 2 + 4 + 4]);
    for id in CONNECTOR_ID {
        out.extend(id.to_ne_bytes());
    }
    out.extend([0; 4 + 4]);
    out.extend((body_bytes as u16).to_ne_bytes());
    out.extend([0; 2]);
    for word in body {
        out.extend(word.to_ne_bytes());
    }
    out
}

/// The events of one datagram. Anything of another form is left out.
pub fn parse(datagram: &[u8]) -> Vec<ProcessEvent> {
    let mut events = Vec::new();
    let mut rest = datagram;
    while let Some(length) = word(rest, 0) {
        let length = length as usize;
        let Some(message) = rest.get(..length).filter(|it| it.len() >= NETLINK_HEADER_BYTES) else {
            break;
        };
        events.extend(event(message));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    events
}

fn event(message: &[u8]) -> Option<ProcessEvent> {
    let connector = message.get(NETLINK_HEADER_BYTES..)?;
    if [word(connector, 0)?, word(connector, 4)?] != CONNECTOR_ID {
        return None;
    }
    let event = connector.get(CONNECTOR_HEADER_BYTES..)?;
    let field = |number: usize| word(event, EVENT_HEADER_BYTES + number * 4);
    let (thread, process) = (field(0)?, field(1)?);
    let change = match word(event, 0)? {
        EXEC => Change::Started,
        EXIT => Change::Ended { status: field(2)? as i32 },
        UID => Change::ChangedUser,
        // Any thread may make a process; the child is a process if its two numbers agree.
        FORK if field(2)? == field(3)? => {
            return Some(ProcessEvent {
                change: Change::Forked { child: field(2)? },
                pid: process,
            });
        }
        _ => return None,
    };
    (thread == process).then_some(ProcessEvent { change, pid: process })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
