//! Garrison's own table in the kernel's packet filter, over netlink: no program is run, and the
//! rules of the host's owner stay as they are.

use netlink_sys::{Socket, SocketAddr};

use engine::place::Cidr;

use super::message::{Answer, Counted, Element, SetName, Transaction, ask, parse};

const NETLINK_NETFILTER: isize = 12;
/// A dump comes in datagrams of at most 32 KiB.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Elements of one transaction, so that it fits the socket's buffer.
const CHANGE_MAX: usize = 2000;
const SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// Why the packet filter does not obey.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("nf_tables: the netlink socket failed")]
    Socket(#[from] std::io::Error),
    #[error("nf_tables: the kernel refused to {what}: {error}")]
    Refused { what: &'static str, error: std::io::Error },
    #[error("nf_tables: the kernel's answer is not understood")]
    Broken,
}

/// A line to the kernel's packet filter of this network namespace. Needs CAP_NET_ADMIN.
pub struct Filter {
    socket: Socket,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

impl Filter {
    pub fn open() -> Result<Self, FilterError> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        // The default holds a transaction of fewer elements; it is only refused then, and said.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&socket, SEND_BUFFER_BYTES);
        Ok(Self { socket, buffer: vec![0; DATAGRAM_BYTES_MAX] })
    }

    /// Puts the table in place with exactly these elements, whatever was there before.
    pub fn rebuild(&mut self, elements: &[Element]) -> Result<(), FilterError> {
        self.send("make its table", Transaction::begin().table())?;
        self.change(&[], elements)?;
        self.blocks(elements)
    }

    /// Takes out and puts in single addresses; blocks are left out. One that is in already gets
    /// the new time.
    pub fn change(&mut self, remove: &[Cidr], add: &[Element]) -> Result<(), FilterError> {
        for set in [SetName::Addresses4, SetName::Addresses6] {
            let gone: Vec<Cidr> =
                remove.iter().filter(|it| SetName::of(it) == set).copied().collect();
            for part in gone.chunks(CHANGE_MAX) {
                self.send("unblock", Transaction::begin().remove(set, part))?;
            }
            let new: Vec<Element> =
                add.iter().filter(|it| SetName::of(&it.block) == set).copied().collect();
            for part in new.chunks(CHANGE_MAX / 2) {
                let again: Vec<Cidr> = part.iter().map(|it| it.block).collect();
                self.send("block", Transaction::begin().remove(set, &again).add(set, part))?;
            }
        }
        Ok(())
    }

    /// Replaces the blocks of both versions by those among `elements`, which must not overlap.
    pub fn blocks(&mut self, elements: &[Element]) -> Result<(), FilterError> {
        for set in [SetName::Blocks4, SetName::Blocks6] {
            let mut blocks: Vec<Element> =
                elements.iter().filter(|it| SetName::of(&it.block) == set).copied().collect();
            blocks.sort_by_key(|it| it.block);
            self.send("block", Transaction::begin().empty(set).add(set, &blocks))?;
        }
        Ok(())
    }

    /// What is in the sets, with what it dropped.
    pub fn counters(&mut self) -> Result<Vec<Counted>, FilterError> {
        let mut all = Vec::new();
        for set in SetName::ALL {
            self.socket.send(&ask(*set), 0)?;
            loop {
                match self.answer(&mut all)? {
                    Some(Answer::More) => {}
                    Some(Answer::Done) => break,
                    Some(Answer::Refused(code)) => return Err(refused("list its sets", code)),
                    Some(Answer::Broken) | None => return Err(FilterError::Broken),
                }
            }
        }
        Ok(all)
    }

    /// Takes the whole table away; nothing is blocked any more.
    pub fn clear(&mut self) -> Result<(), FilterError> {
        self.send("remove its table", Transaction::begin().no_table())
    }

    /// The kernel works while it takes the message: whatever it has to say waits when this call
    /// returns.
    fn send(&mut self, what: &'static str, transaction: Transaction) -> Result<(), FilterError> {
        self.socket.send(&transaction.finish(), 0)?;
        let mut first = None;
        while let Some(answer) = self.answer(&mut Vec::new())? {
            match answer {
                Answer::Refused(code) => {
                    first.get_or_insert(code);
                }
                Answer::Broken => return Err(FilterError::Broken),
                Answer::More | Answer::Done => {}
            }
        }
        first.map_or(Ok(()), |code| Err(refused(what, code)))
    }

    fn answer(&mut self, into: &mut Vec<Counted>) -> Result<Option<Answer>, FilterError> {
        match self.socket.recv(&mut self.buffer.as_mut_slice(), 0) {
            Ok(length) => {
                let datagram = self.buffer.get(..length).ok_or(FilterError::Broken)?;
                Ok(Some(parse(datagram, into)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn refused(what: &'static str, code: i32) -> FilterError {
    FilterError::Refused { what, error: std::io::Error::from_raw_os_error(code) }
}
