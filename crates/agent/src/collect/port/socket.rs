//! A socket that waits for peers, as the kernel tells it in two ways.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use engine::ports::{Protocol, Scope};

use crate::collect::process::parse::number;

/// `NETLINK_SOCK_DIAG` message types of linux/netlink.h and linux/sock_diag.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Length of `struct nlmsghdr`, `struct inet_diag_req_v2` and `struct inet_diag_msg`.
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = 56;
const MESSAGE_BYTES: usize = 72;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
/// Socket states of net/tcp_states.h. A bound UDP socket without a peer is `CLOSE`.
const LISTEN: u8 = 10;
const CLOSE: u8 = 7;

/// A listening TCP socket or a bound UDP socket without a peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listener {
    pub protocol: Protocol,
    pub address: IpAddr,
    pub port: u16,
    /// Number of the interface it is bound to, 0 for all.
    pub interface: u32,
    pub uid: u32,
    pub inode: u64,
}

/// IP version of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// Every dump and text file there is.
pub const DUMPS: [(Protocol, Family, &str); 4] = [
    (Protocol::Tcp, Family::V4, "tcp"),
    (Protocol::Tcp, Family::V6, "tcp6"),
    (Protocol::Udp, Family::V4, "udp"),
    (Protocol::Udp, Family::V6, "udp6"),
];

fn waiting_state(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => LISTEN,
        Protocol::Udp => CLOSE,
    }
}

/// What asks the kernel for the listeners of one protocol: `struct inet_diag_req_v2`.
pub fn request(protocol: Protocol, family: Family) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + REQUEST_BYTES);
    out.extend(((HEADER_BYTES + REQUEST_BYTES) as u32).to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    // Sequence and port number: one question at a time, answered to this very socket.
    out.extend([0; 8]);
    out.push(match family {
        Family::V4 => 2,
        Family::V6 => 10,
    });
    out.push(match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    });
    out.extend([0, 0]);
    out.extend((1_u32 << waiting_state(protocol)).to_ne_bytes());
    out.resize(HEADER_BYTES + REQUEST_BYTES, 0);
    out
}

/// What one datagram of the answer says about the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    More,
    Done,
    /// Positive errno: the kernel lacks the protocol or the whole interface.
    Refused(i32),
    /// Not what the kernel sends.
    Broken,
}

/// Takes the listeners out of one datagram: `struct nlmsghdr` and `struct inet_diag_msg` each.
pub fn parse_answer(protocol: Protocol, datagram: &[u8], into: &mut Vec<Listener>) -> Answer {
    let mut rest = datagram;
    while rest.len() >= HEADER_BYTES {
        let length = u32_at(rest, 0).unwrap_or(0) as usize;
        let kind = u16_at(rest, 4).unwrap_or(0);
        let Some(message) = rest.get(..length).filter(|it| it.len() >= HEADER_BYTES) else {
            return Answer::Broken;
        };
        let body = message.get(HEADER_BYTES..).unwrap_or_default();
        match kind {
            NLMSG_DONE => return Answer::Done,
            NLMSG_ERROR => {
                let code = u32_at(body, 0).unwrap_or(0).cast_signed();
                return if code == 0 { Answer::Done } else { Answer::Refused(-code) };
            }
            SOCK_DIAG_BY_FAMILY => match listener(protocol, body) {
                Some((listener, waits)) => into.extend(waits.then_some(listener)),
                None => return Answer::Broken,
            },
            _ => {}
        }
        // Messages are aligned to 4 bytes.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Answer::More
}

/// False: it has a peer.
fn listener(protocol: Protocol, body: &[u8]) -> Option<(Listener, bool)> {
    let body = body.get(..MESSAGE_BYTES)?;
    let (family, state) = (*body.first()?, *body.get(1)?);
    let port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    let bytes: [u8; 16] = body.get(8..24)?.try_into().ok()?;
    let address = match family {
        2 => IpAddr::V4(Ipv4Addr::from_octets(*bytes.first_chunk()?)),
        10 => IpAddr::V6(Ipv6Addr::from_octets(bytes)),
        _ => return None,
    };
    let (interface, uid) = (u32_at(body, 40)?, u32_at(body, 64)?);
    let inode = u64::from(u32_at(body, 68)?);
    let waits = state == waiting_state(protocol) && port != 0;
    Some((Listener { protocol, address, port, interface, uid, inode }, waits))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// `/proc/net/{tcp,tcp6,udp,udp6}` of proc(5). Returns the number of lines that are not of
/// this form.
pub fn parse_table(protocol: Protocol, bytes: &[u8], into: &mut Vec<Listener>) -> usize {
    let mut broken = 0;
    for line in bytes.split(|it| *it == b'\n').skip(1).filter(|it| !it.is_empty()) {
        match table_line(protocol, line) {
            Some((listener, waits)) => into.extend(waits.then_some(listener)),
            None => broken += 1,
        }
    }
    broken
}

/// `SLOT: ADDRESS:PORT PEER:PORT STATE QUEUES TIMER RETRIES UID TIMEOUT INODE ...`, all but
/// uid and inode in hexadecimal digits.
fn table_line(protocol: Protocol, line: &[u8]) -> Option<(Listener, bool)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    let uid = u32::try_from(number(fields.nth(3)?.as_bytes())?).ok()?;
    let inode = number(fields.nth(1)?.as_bytes())?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // The address is written as native 32-bit words.
    let word = |at: usize| {
        u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from_octets(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(words.as_flattened()) {
                *to = *from;
            }
            IpAddr::V6(Ipv6Addr::from_octets(bytes))
        }
        _ => return None,
    };
    let waits = state == waiting_state(protocol) && port != 0;
    Some((Listener { protocol, address, port, interface: 0, uid, inode }, waits))
}

/// From where an address can be reached.
pub fn scope(address: IpAddr) -> Scope {
    match address.to_canonical() {
        IpAddr::V4(it) if it.is_loopback() => Scope::Loopback,
        IpAddr::V6(it) if it.is_loopback() => Scope::Loopback,
        // 100.64.0.0/10 is shared inside a provider's network.
        IpAddr::V4(it) if it.is_private() || it.is_link_local() => Scope::Private,
        IpAddr::V4(it) if u32::from(it) >> 22 == (100 << 2) | 1 => Scope::Private,
        IpAddr::V6(it) if it.is_unique_local() || it.is_unicast_link_local() => Scope::Private,
        _ => Scope::Exposed,
    }
}
