use std::net::{TcpListener, UdpSocket};

use engine::ports::Protocol;
use serde_json::Value;

use super::socket::*;
use super::*;
use crate::host_root::HostRoot;
use crate::packages::PackageIndex;

const TABLE: &[u8] = include_bytes!("fixtures/tcp");
const TABLE_V6: &[u8] = include_bytes!("fixtures/tcp6");

#[test]
#[cfg(target_endian = "little")]
fn text_tables() {
    let mut found = Vec::new();
    assert_eq!(parse_table(Protocol::Tcp, TABLE, &mut found), 1);
    assert_eq!(parse_table(Protocol::Tcp, TABLE_V6, &mut found), 1);
    assert_eq!(parse_table(Protocol::Udp, TABLE, &mut found), 1);
    let found: Vec<String> = found
        .iter()
        .map(|it| format!("{} {} {} {} {}", it.protocol, it.address, it.port, it.uid, it.inode))
        .collect();
    assert_eq!(found, ["tcp 127.0.0.1 631 0 1001", "tcp 0.0.0.0 22 105 1002", "tcp ::1 80 0 7"]);
}

#[test]
fn broken_answers_are_no_listeners() {
    let mut found = Vec::new();
    let asked = request(Protocol::Tcp, Family::V4);
    assert_eq!(asked.len(), 72);
    for (bytes, answer) in [
        (&b""[..], Answer::More),
        (&[0; 16][..], Answer::Broken),
        (&[255; 100][..], Answer::Broken),
        // A message of the right type that is too short.
        (&asked[..], Answer::Broken),
    ] {
        assert_eq!(parse_answer(Protocol::Tcp, bytes, &mut found), answer, "{bytes:?}");
    }
    assert_eq!(found, []);
}

#[test]
fn scopes() {
    for (address, expected) in [
        ("127.0.0.53", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("10.1.2.3", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("100.127.255.255", "private"),
        ("100.128.0.1", "exposed"),
        ("169.254.1.1", "private"),
        ("fe80::1", "private"),
        ("fd00::1", "private"),
        ("0.0.0.0", "exposed"),
        ("::", "exposed"),
        ("2001:db8::1", "exposed"),
    ] {
        assert_eq!(scope(address.parse().unwrap()).as_str(), expected, "{address}");
    }
}

fn collected() -> Collected {
    let root = HostRoot::live().unwrap();
    let mut packages = PackageIndex::default();
    packages.refresh(&root);
    let hashes = std::sync::Mutex::default();
    let context = Context::new(&root, &packages, &hashes, model::time::Timestamp(0));
    super::super::run(&COLLECTOR, &context)
}

#[test]
fn real_listeners_and_their_holder() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp6 = TcpListener::bind("[::1]:0").unwrap();
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect("127.0.0.1:9").unwrap();
    let collected = collected();
    assert!(collected.complete);
    let row = |protocol: &str, address: std::net::SocketAddr| {
        collected.rows.iter().find(|it| {
            it.get("protocol").unwrap() == protocol
                && it.get("port") == Some(&address.port().into())
                && it.get("address").unwrap() == address.ip().to_string().as_str()
        })
    };
    let own = std::env::current_exe().unwrap();
    for (protocol, address, scope) in [
        ("tcp", tcp.local_addr().unwrap(), "loopback"),
        ("tcp", tcp6.local_addr().unwrap(), "loopback"),
        ("udp", udp.local_addr().unwrap(), "exposed"),
    ] {
        let row = row(protocol, address).unwrap();
        assert_eq!(row.get("scope").unwrap(), scope);
        assert_eq!(row.get("pid"), Some(&Value::from(std::process::id())));
        assert_eq!(row.get("executable").unwrap(), own.to_str().unwrap());
        assert_eq!(row.get("unpackaged"), Some(&Value::Bool(true)));
        assert_eq!(row.get("deleted_executable"), Some(&Value::Bool(false)));
        assert!(row.get("level").is_some());
    }
    assert_eq!(row("udp", connected.local_addr().unwrap()), None);
}

/// The two ways the kernel tells its sockets agree.
#[test]
fn netlink_and_text_tables_agree() {
    let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let root = HostRoot::live().unwrap();
    let (packages, hashes) = (PackageIndex::default(), std::sync::Mutex::default());
    let context = Context::new(&root, &packages, &hashes, model::time::Timestamp(0));
    let mut diag = SockDiag::open().unwrap();
    let mut same = |_| {
        let mut by_netlink = diag.listeners().unwrap();
        let mut by_text = from_tables(&context, "/proc/net", &mut Collected::default()).unwrap();
        for it in &mut by_netlink {
            it.interface = 0;
        }
        by_netlink.sort();
        by_text.sort();
        !by_text.is_empty() && by_netlink == by_text
    };
    // Other tests open and close ports between the two looks.
    assert!((0..200).any(&mut same));
}

#[test]
fn an_offline_root_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let root = HostRoot::new(folder.path()).unwrap();
    let (packages, hashes) = (PackageIndex::default(), std::sync::Mutex::default());
    let context = Context::new(&root, &packages, &hashes, model::time::Timestamp(0));
    let collected = super::super::run(&COLLECTOR, &context);
    assert_eq!((collected.rows.len(), collected.complete), (0, false));
    assert_eq!(collected.skipped, ["this needs the running host, not just its files"]);
}
