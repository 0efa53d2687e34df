//! Who must never be locked out: this host, its server, whoever is signed in, and whom the policy
//! names.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs as _};

use engine::place::Cidr;
use model::because;
use model::because::Because;
use model::policy::Policy;

use crate::collect::process::table::ProcessTable;
use crate::host_root::HostRoot;

/// Text tables of connections are read this far.
const TABLE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 4096;
const ESTABLISHED: &str = "01";

/// Addresses that are never blocked, with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    pub own: BTreeSet<IpAddr>,
    pub server: BTreeSet<IpAddr>,
    /// Peers of log-ins that are open now.
    pub signed_in: BTreeSet<IpAddr>,
    pub policy: Vec<Cidr>,
}

impl Protected {
    /// Why `block` must not be blocked.
    pub fn refusal(&self, block: &Cidr) -> Option<Because> {
        let any = |set: &BTreeSet<IpAddr>| set.iter().any(|it| block.contains(*it));
        let special = [block.first(), block.last()].into_iter().any(is_special)
            || block.bits() == 0
            || ["127.0.0.0/8", "::1/128"]
                .iter()
                .filter_map(|it| Cidr::parse(it))
                .any(|it| it.overlaps(block));
        if special {
            Some(because!("block.special", "it belongs to no other host"))
        } else if any(&self.own) {
            Some(because!("block.own", "it is an address of this host"))
        } else if any(&self.server) {
            Some(because!("block.server", "it is an address of the Garrison server"))
        } else if any(&self.signed_in) {
            Some(because!("block.signed_in", "somebody is signed in from it right now"))
        } else if self.policy.iter().any(|it| it.overlaps(block)) {
            Some(because!("block.never", "the policy says never to block it"))
        } else {
            None
        }
    }
}

fn is_special(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified() || address.is_multicast() || {
        matches!(address, IpAddr::V4(it) if it.is_broadcast())
    }
}

/// Whom the policy protects: what it says never to block, and the sources whose log-ins it trusts
/// whoever signs in.
pub fn of_policy(policy: &Policy) -> Vec<Cidr> {
    let trusted = policy.login.whitelist.iter().filter(|it| it.user.is_none());
    let trusted = trusted.filter_map(|it| it.address.as_deref());
    let never = policy.response.never_block.iter().map(String::as_str);
    never.chain(trusted).filter_map(Cidr::parse).collect()
}

/// The addresses behind `host:port` names. Asks the resolver, so it may take seconds.
pub fn of_servers(servers: &[String]) -> BTreeSet<IpAddr> {
    let found = servers.iter().filter_map(|it| it.to_socket_addrs().ok());
    found.flatten().map(|it| plain(it.ip())).collect()
}

/// From where people are signed in by SSH right now. A connection alone is no log-in: only
/// processes that sshd names after a user once the log-in is complete (`sshd: ann@pts/0`) count.
pub fn signed_in(root: &HostRoot) -> BTreeSet<IpAddr> {
    let mut sockets = BTreeSet::new();
    for process in ProcessTable::read(root).processes {
        if matches!(process.name.as_str(), "sshd" | "sshd-session")
            && is_session(&process.arguments)
        {
            sockets.extend(sockets_of(root, process.pid));
        }
    }
    let mut peers = BTreeSet::new();
    if sockets.is_empty() {
        return peers;
    }
    for (path, bytes) in [("/proc/net/tcp", 4), ("/proc/net/tcp6", 16)] {
        let table = root.read(path, TABLE_BYTES_MAX).unwrap_or_default();
        peers.extend(peers_of(&String::from_utf8_lossy(&table), bytes, &sockets));
    }
    peers
}

/// sshd writes `sshd: USER@TERMINAL` over its arguments when USER is in; before that it writes
/// `sshd: USER [priv]` or `[net]`.
pub fn is_session(arguments: &[Vec<u8>]) -> bool {
    let title = arguments.join(&b' ');
    let title = String::from_utf8_lossy(&title);
    let Some((program, rest)) = title.split_once(": ") else { return false };
    matches!(program, "sshd" | "sshd-session") && rest.contains('@') && !rest.contains('[')
}

fn sockets_of(root: &HostRoot, pid: u32) -> Vec<u64> {
    let mut found = Vec::new();
    if let Ok(directory) = root.open_dir(format!("/proc/{pid}/fd")) {
        let read = directory.each_link(DESCRIPTORS_MAX, |link| {
            let inode = link.to_str().and_then(|it| it.strip_prefix("socket:[")?.strip_suffix(']'));
            found.extend(inode.and_then(|it| it.parse::<u64>().ok()));
        });
        if let Err(error) = read {
            tracing::debug!(%error, "descriptors of a log-in");
        }
    }
    found
}

/// Of `/proc/net/tcp` or `tcp6`: the peers of the established connections among `sockets`.
pub fn peers_of(table: &str, bytes: usize, sockets: &BTreeSet<u64>) -> Vec<IpAddr> {
    let peer = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
        let inode = fields.get(9)?.parse::<u64>().ok()?;
        if fields.get(3) != Some(&ESTABLISHED) || !sockets.contains(&inode) {
            return None;
        }
        let (address, _) = fields.get(2)?.split_once(':')?;
        let words = data_encoding::HEXUPPER.decode(address.as_bytes()).ok()?;
        if words.len() != bytes {
            return None;
        }
        // Words of 32 bits, each in the byte order of the machine.
        let octets: Vec<u8> = words
            .chunks_exact(4)
            .filter_map(|it| <[u8; 4]>::try_from(it).ok())
            .flat_map(|it| u32::from_be_bytes(it).to_ne_bytes())
            .collect();
        Some(match <[u8; 4]>::try_from(octets.as_slice()) {
            Ok(it) => IpAddr::from(it),
            Err(_) => plain(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).into()),
        })
    };
    table.lines().skip(1).filter_map(peer).collect()
}

/// `::ffff:192.0.2.1` is the IPv4 address that packets come from.
pub fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
