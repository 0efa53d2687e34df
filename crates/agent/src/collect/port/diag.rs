//! Listening sockets by `NETLINK_SOCK_DIAG`: the kernel filters by state, nothing is parsed
//! from text.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

use super::socket::{Answer, DUMPS, Listener, parse_answer, request};

/// The kernel sends dumps in datagrams of at most 32 KiB.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Most listeners taken in one look.
pub const LISTENERS_MAX: usize = 100_000;

/// Why the kernel does not tell its sockets this way.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    #[error("sock_diag: the netlink socket failed: {0}")]
    Socket(#[from] std::io::Error),
    #[error("sock_diag: the kernel refused {protocol}: {error}")]
    Refused { protocol: &'static str, error: std::io::Error },
    #[error("sock_diag: the kernel's answer is not understood")]
    Broken,
}

/// An open question line to the kernel.
pub struct SockDiag {
    socket: Socket,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for SockDiag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SockDiag").finish_non_exhaustive()
    }
}

impl SockDiag {
    /// Any user may ask.
    pub fn open() -> Result<Self, DiagError> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM_BYTES_MAX] })
    }

    /// Every listener of this network namespace.
    pub fn listeners(&mut self) -> Result<Vec<Listener>, DiagError> {
        let mut found = Vec::new();
        for (protocol, family, name) in DUMPS {
            self.socket.send(&request(protocol, family), 0)?;
            loop {
                let length = self.socket.recv(&mut self.buffer.as_mut_slice(), 0)?;
                let datagram = self.buffer.get(..length).ok_or(DiagError::Broken)?;
                match parse_answer(protocol, datagram, &mut found) {
                    Answer::More if found.len() < LISTENERS_MAX => {}
                    Answer::Done => break,
                    // A kernel without IPv6.
                    Answer::Refused(code) if code == NOT_SUPPORTED => break,
                    Answer::Refused(code) => {
                        let error = std::io::Error::from_raw_os_error(code);
                        return Err(DiagError::Refused { protocol: name, error });
                    }
                    Answer::More | Answer::Broken => return Err(DiagError::Broken),
                }
            }
        }
        Ok(found)
    }

    /// A number that changes when a listener comes or goes, whatever their order. Inodes are in
    /// it, so a port that another program took over counts as a change.
    pub fn fingerprint(&mut self) -> Result<u64, DiagError> {
        let listeners = self.listeners()?;
        Ok(listeners.iter().fold(listeners.len() as u64, |sum, listener| {
            let mut hasher = DefaultHasher::new();
            listener.hash(&mut hasher);
            sum.wrapping_add(hasher.finish())
        }))
    }
}

/// `EAFNOSUPPORT` of this architecture.
const NOT_SUPPORTED: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
