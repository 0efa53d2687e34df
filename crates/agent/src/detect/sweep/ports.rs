//! Ports that one way of asking shows and another hides: the kernel's socket dump, the tables of
//! /proc, and trying to take the port.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::ports::Protocol;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

use crate::collect::port::diag::SockDiag;
use crate::collect::port::socket::parse_table;
use crate::host_root::HostRoot;

const TABLE_BYTES_MAX: usize = 32 << 20;
/// Ports that are tried in one look.
const TRIES_MAX: u16 = 256;

/// How long a port on this host may take to answer.
const ANSWER: Duration = Duration::from_millis(200);

/// Where the next tries begin.
#[derive(Debug, Default)]
pub(super) struct Ports {
    next: u16,
}

type Found = (&'static str, String, String);

impl Ports {
    /// `again`: ports that are suspected, tried anew.
    pub(super) fn look(&mut self, root: &HostRoot, again: &[u16]) -> Vec<Found> {
        let Some(tables) = tables(root) else { return Vec::new() };
        let Some(dump) = dump() else { return Vec::new() };
        let mut out = compare(&dump, &tables);
        let begin = self.next.max(1);
        self.next = begin.checked_add(TRIES_MAX).unwrap_or(1);
        let shown: BTreeSet<u16> =
            dump.iter().chain(&tables).filter(|it| it.0 == "tcp").map(|it| it.1).collect();
        let tries = (begin..begin.saturating_add(TRIES_MAX)).chain(again.iter().copied());
        let taken: BTreeSet<u16> =
            tries.filter(|it| !shown.contains(it) && is_taken(*it)).collect();
        if taken.is_empty() {
            return out;
        }
        // A connection that waits for its end takes its port without listening, and a program may
        // have a port and not listen yet.
        let used = used(root);
        let unseen = taken.into_iter().filter(|it| !used.contains(it) && answers(*it));
        out.extend(unseen.map(|port| {
            let detail = format!("port {port} of TCP answers and no list of sockets shows it");
            ("hidden_port", format!("tcp/{port}"), detail)
        }));
        out
    }
}

type Shown = BTreeSet<(&'static str, u16)>;

fn compare(dump: &Shown, tables: &Shown) -> Vec<Found> {
    let tell = |it: &(&'static str, u16), by: &str| {
        let (protocol, port) = it;
        let detail = format!("port {port} of {protocol} is shown by {by} only");
        ("hidden_port", format!("{protocol}/{port}"), detail)
    };
    let mut out: Vec<Found> =
        dump.difference(tables).map(|it| tell(it, "the dump of sockets")).collect();
    out.extend(tables.difference(dump).map(|it| tell(it, "/proc/net")));
    out
}

fn dump() -> Option<Shown> {
    let listeners = SockDiag::open().and_then(|mut it| it.listeners()).ok()?;
    Some(listeners.iter().map(|it| (word(it.protocol), it.port)).collect())
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

const TABLES: [(&str, Protocol); 4] = [
    ("/proc/net/tcp", Protocol::Tcp),
    ("/proc/net/tcp6", Protocol::Tcp),
    ("/proc/net/udp", Protocol::Udp),
    ("/proc/net/udp6", Protocol::Udp),
];

fn tables(root: &HostRoot) -> Option<Shown> {
    let mut listeners = Vec::new();
    for (path, protocol) in TABLES {
        match root.read(path, TABLE_BYTES_MAX) {
            Ok(bytes) => {
                parse_table(protocol, &bytes, &mut listeners);
            }
            // A kernel without IPv6.
            Err(_) if path.ends_with('6') => {}
            Err(_) => return None,
        }
    }
    Some(listeners.iter().map(|it| (word(it.protocol), it.port)).collect())
}

/// Own ports of every socket of TCP, whatever its state.
fn used(root: &HostRoot) -> BTreeSet<u16> {
    let tables = TABLES.iter().filter(|it| matches!(it.1, Protocol::Tcp));
    let texts: Vec<Vec<u8>> =
        tables.filter_map(|it| root.read(it.0, TABLE_BYTES_MAX).ok()).collect();
    let port = |line: &str| {
        let (_, port) = line.split_ascii_whitespace().nth(1)?.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    let lines = texts.iter().map(|it| String::from_utf8_lossy(it));
    lines.flat_map(|it| it.lines().filter_map(port).collect::<Vec<_>>()).collect()
}

/// The port cannot be had. A socket that shares its address as servers do is in nobody's way.
fn is_taken(port: u16) -> bool {
    let Ok(socket) = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None) else {
        return false;
    };
    if rustix::net::sockopt::set_socket_reuseaddr(&socket, true).is_err() {
        return false;
    }
    let address = std::net::SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, port);
    matches!(rustix::net::bind(&socket, &address), Err(Errno::ADDRINUSE))
}

fn answers(port: u16) -> bool {
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
    std::net::TcpStream::connect_timeout(&address, ANSWER).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_only_one_view_shows() {
        let both = Shown::from([("tcp", 22), ("udp", 53)]);
        let one = Shown::from([("tcp", 22), ("tcp", 4444), ("udp", 53)]);
        assert!(compare(&both, &both).is_empty());
        for (dump, tables) in [(&both, &one), (&one, &both)] {
            let found = compare(dump, tables);
            assert_eq!((found.len(), found[0].1.as_str()), (1, "tcp/4444"));
        }
    }

    #[test]
    fn a_listener_is_shown_by_all_and_who_only_has_a_port_is_not_hidden() {
        let root = HostRoot::live().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(dump().unwrap().contains(&("tcp", port)));
        assert!(tables(&root).unwrap().contains(&("tcp", port)));
        assert!(is_taken(port) && answers(port) && used(&root).contains(&port));
        // Bound without listening: the lists do not have it, and nobody answers.
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let any = std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0);
        rustix::net::bind(&socket, &any).unwrap();
        let name = rustix::net::getsockname(&socket).unwrap();
        let taken = std::net::SocketAddrV4::try_from(name).unwrap().port();
        assert!(is_taken(taken) && !used(&root).contains(&taken) && !answers(taken));
        let found = Ports { next: 1 }.look(&root, &[port, taken]);
        let own = |it: &&Found| [port, taken].iter().any(|port| it.1 == format!("tcp/{port}"));
        assert_eq!(found.iter().filter(own).count(), 0, "{found:?}");
    }
}
