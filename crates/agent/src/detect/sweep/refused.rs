//! Packets for ports where nobody listens, which the kernel refused: what a scan cannot help.

use engine::event::Field;
use model::time::Timestamp;

use super::{Swept, state};
use crate::host_root::HostRoot;

const COUNTERS_BYTES_MAX: usize = 64 << 10;
/// Fewer between two looks are not worth an event.
const TELL_MIN: u64 = 20;
/// Answers of TCP that are no refusal of a packet from elsewhere: each tries of our own that
/// failed, and connections that one end gave up.
const TCP_OTHER: [&str; 2] = ["AttemptFails", "EstabResets"];
const TCP_GIVEN_UP: [&str; 6] = [
    "TCPAbortOnData",
    "TCPAbortOnClose",
    "TCPAbortOnMemory",
    "TCPAbortOnTimeout",
    "TCPAbortOnLinger",
    "TCPAbortFailed",
];

/// Counters of the kernel since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    resets: u64,
    tcp_other: u64,
    udp: u64,
}

/// What was counted at the last look.
#[derive(Debug, Default)]
pub(super) struct Refused {
    before: Option<(Counters, Timestamp)>,
}

impl Refused {
    pub(super) fn look(&mut self, root: &HostRoot, now: Timestamp) -> Vec<Swept> {
        let read = |path: &str| root.read(path, COUNTERS_BYTES_MAX).unwrap_or_default();
        let counters =
            parse(&[&read("/proc/net/snmp"), &read("/proc/net/snmp6"), &read("/proc/net/netstat")]);
        let before = self.before.replace((counters, now));
        // A clock that was set back says nothing of the span.
        let Some((before, at)) = before.filter(|it| it.1 <= now) else { return Vec::new() };
        let seconds = now.since(at).as_secs().max(1);
        let told = between(before, counters).into_iter().filter(|(_, count)| *count >= TELL_MIN);
        told.map(|(protocol, count)| {
            let detail = format!("{count} packets to closed ports of {protocol} in {seconds} s");
            let mut event = state("refused_packets", protocol, detail, now);
            event.set(Field::EventCount, Some((count as i64).into()));
            event.set(Field::StateSeconds, Some((seconds as i64).into()));
            Swept { event, pid: None }
        })
        .collect()
    }
}

/// Refused packets of each protocol from one look to the next.
fn between(before: Counters, now: Counters) -> [(&'static str, u64); 2] {
    let resets = now.resets.saturating_sub(before.resets);
    let other = now.tcp_other.saturating_sub(before.tcp_other);
    [("tcp", resets.saturating_sub(other)), ("udp", now.udp.saturating_sub(before.udp))]
}

/// Tables of /proc/net: a line of names and one of values, as `snmp` and `netstat` have them, or a
/// name and its value a line, as `snmp6` does.
pub fn parse(tables: &[&[u8]]) -> Counters {
    let mut it = Counters::default();
    for table in tables {
        let text = String::from_utf8_lossy(table);
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((table, names)) = line.split_once(": ") else {
                let mut words = line.split_ascii_whitespace();
                it.count("", words.next().unwrap_or_default(), words.next().unwrap_or_default());
                continue;
            };
            let Some((_, values)) =
                lines.next_if(|it| it.starts_with(table)).and_then(|it| it.split_once(": "))
            else {
                continue;
            };
            for (name, value) in names.split(' ').zip(values.split(' ')) {
                it.count(table, name, value);
            }
        }
    }
    it
}

impl Counters {
    fn count(&mut self, table: &str, name: &str, value: &str) {
        let to = match (table, name) {
            ("Tcp", "OutRsts") => &mut self.resets,
            ("Tcp", it) if TCP_OTHER.contains(&it) => &mut self.tcp_other,
            ("TcpExt", it) if TCP_GIVEN_UP.contains(&it) => &mut self.tcp_other,
            ("Udp", "NoPorts") | ("", "Udp6NoPorts") => &mut self.udp,
            _ => return,
        };
        // Some counters of the kernel may be negative; those are none of these.
        *to = to.saturating_add(value.parse().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_by_name() {
        let snmp =
            b"Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: MaxConn AttemptFails EstabResets OutRsts\n\
            Tcp: -1 5 7 300\nUdp: InDatagrams NoPorts\nUdp: 9 40\nbroken\nTcp: alone\n";
        let snmp6 = b"Ip6InReceives      4\nUdp6NoPorts      2\n";
        let netstat = b"TcpExt: SyncookiesSent TCPAbortOnData TCPAbortOnClose\nTcpExt: 0 11 1\n";
        let counters = parse(&[snmp, snmp6, netstat]);
        assert_eq!(counters, Counters { resets: 300, tcp_other: 24, udp: 42 });
        assert_eq!(parse(&[b"", b"\xff\xfe", b"Tcp: OutRsts\nTcp: many\n"]), Counters::default());
    }

    #[test]
    fn own_tries_and_ends_are_no_refusals() {
        let before = Counters { resets: 100, tcp_other: 10, udp: 1 };
        let now = Counters { resets: 350, tcp_other: 60, udp: 1 };
        assert_eq!(between(before, now), [("tcp", 200), ("udp", 0)]);
        assert_eq!(between(now, before), [("tcp", 0), ("udp", 0)], "after a start of the host");
    }

    #[test]
    fn this_kernel_counts() {
        let root = HostRoot::live().unwrap();
        let mut refused = Refused::default();
        assert!(refused.look(&root, Timestamp(0)).is_empty(), "the first look learns");
        let (counters, _) = refused.before.unwrap();
        assert_ne!(counters, Counters::default());
    }
}
