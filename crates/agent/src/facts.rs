//! What a host says of itself: name, system, kernel, size, addresses.

use model::time::Timestamp;
use model::wire::HostFacts;
use sha2::{Digest, Sha256};

use crate::host_root::HostRoot;

/// Largest of the small files read here.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// Addresses of one host that are reported.
const ADDRESSES_MAX: usize = 64;
/// Keeps the machine id itself on the host: only a digest made for Garrison leaves it.
const MACHINE_DIGEST_PREFIX: &[u8] = b"garrison machine id v1\0";

/// Reads the facts; what cannot be read is left empty.
pub fn read(root: &HostRoot) -> HostFacts {
    let text = |path: &str| {
        root.read(path, FILE_BYTES_MAX)
            .map(|it| String::from_utf8_lossy(&it).into_owned())
            .unwrap_or_default()
    };
    let release = os_release(&first_of([text("/etc/os-release"), text("/usr/lib/os-release")]));
    let live = |path| if root.is_live() { text(path) } else { String::new() };
    HostFacts {
        name: first_of([live("/proc/sys/kernel/hostname"), text("/etc/hostname")])
            .trim()
            .to_owned(),
        machine_digest: machine_digest(&text("/etc/machine-id")),
        os_id: release.id,
        os_name: release.name,
        os_version: release.version,
        kernel: live("/proc/sys/kernel/osrelease").trim().to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        addresses: addresses(&live("/proc/net/fib_trie"), &live("/proc/net/if_inet6")),
        cpus: live("/proc/cpuinfo").lines().filter(|it| it.starts_with("processor")).count() as u32,
        memory_bytes: memory_bytes(&live("/proc/meminfo")),
        booted_at_us: booted_at(&live("/proc/stat")).0,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn first_of<const N: usize>(texts: [String; N]) -> String {
    texts.into_iter().find(|it| !it.trim().is_empty()).unwrap_or_default()
}

/// SHA-256 of the prefix and the id; empty for a host without one.
fn machine_digest(machine_id: &str) -> Vec<u8> {
    match machine_id.trim() {
        "" | "uninitialized" => Vec::new(),
        id => Sha256::new_with_prefix(MACHINE_DIGEST_PREFIX).chain_update(id).finalize().to_vec(),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct OsRelease {
    id: String,
    name: String,
    version: String,
}

/// Parses os-release(5): `KEY=value` with shell quoting.
fn os_release(text: &str) -> OsRelease {
    let field = |name: &str| {
        text.lines()
            .filter_map(|it| it.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| unquote(value))
            .unwrap_or_default()
    };
    let pretty = field("PRETTY_NAME");
    OsRelease {
        id: field("ID"),
        name: if pretty.is_empty() { field("NAME") } else { pretty },
        version: field("VERSION_ID"),
    }
}

fn unquote(value: &str) -> String {
    let inner = ['"', '\'']
        .iter()
        .find_map(|it| value.strip_prefix(*it)?.strip_suffix(*it))
        .unwrap_or(value);
    let mut out = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        out.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    out
}

/// `MemTotal` in bytes, 0 if it is not told.
fn memory_bytes(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|it| {
            it.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        })
        .map_or(0, |kib| kib * 1024)
}

fn booted_at(stat: &str) -> Timestamp {
    let secs = stat.lines().find_map(|it| it.strip_prefix("btime ")?.trim().parse().ok());
    secs.map_or(Timestamp(0), Timestamp::from_secs)
}

/// The host's own addresses without loopback and link-local ones, IPv4 first.
fn addresses(fib_trie: &str, if_inet6: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut last = "";
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line == "/32 host LOCAL"
            && !last.starts_with("127.")
            && !last.starts_with("169.254.")
        {
            out.push(last.to_owned());
        }
    }
    for line in if_inet6.lines() {
        let mut fields = line.split_whitespace();
        let (Some(hex), Some(scope)) = (fields.next(), fields.nth(2)) else { continue };
        if let (Ok(bits), "00") = (u128::from_str_radix(hex, 16), scope) {
            out.push(std::net::Ipv6Addr::from_bits(bits).to_string());
        }
    }
    let mut seen = std::collections::HashSet::new();
    out.retain(|it| seen.insert(it.clone()));
    out.truncate(ADDRESSES_MAX);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_quoting() {
        let text = "# comment\nID=debian\nNAME='Debian \"x\"'\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian \\\"12\\\"\"\n";
        let expected = OsRelease {
            id: "debian".to_owned(),
            name: "Debian \"12\"".to_owned(),
            version: "12".to_owned(),
        };
        assert_eq!(os_release(text), expected);
        assert_eq!(os_release("not a file of this kind"), OsRelease::default());
    }

    #[test]
    fn own_addresses_once_each() {
        let trie = "Main:\n |-- 127.0.0.1\n /32 host LOCAL\n |-- 192.0.2.2\n /32 host LOCAL\nLocal:\n |-- 192.0.2.2\n /32 host LOCAL\n |-- 192.0.2.255\n /32 link BROADCAST\n";
        let inet6 = "20010db8000000000000000000000002 04 40 00 82 eth0\nfe8000000000000000fc00fffe000001 04 40 20 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\nbroken\n";
        assert_eq!(addresses(trie, inet6), ["192.0.2.2", "2001:db8::2"]);
    }

    #[test]
    fn the_machine_id_does_not_leave_the_host() {
        let digest = machine_digest("0123456789abcdef0123456789abcdef\n");
        assert_eq!(digest.len(), 32);
        assert_ne!(digest, Sha256::digest("0123456789abcdef0123456789abcdef").to_vec());
        assert_eq!(machine_digest("uninitialized\n"), Vec::<u8>::new());
    }

    #[test]
    fn this_host() {
        let facts = read(&HostRoot::live().unwrap());
        assert!(!facts.name.is_empty() && !facts.kernel.is_empty());
        assert!(facts.cpus > 0 && facts.memory_bytes > 1 << 20 && facts.booted_at_us > 0);
    }
}
