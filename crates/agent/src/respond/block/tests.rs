use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::Instant;

use serde_json::Value;

use super::protected::{Protected, is_session, peers_of};
use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap()
}

fn wanted(address: &str, until: Timestamp, automatic: Option<u64>) -> Wanted {
    Wanted {
        block: cidr(address).normal(),
        until,
        finding: "f-1".to_owned(),
        reason: "a test".to_owned(),
        automatic: automatic.map(Duration::from_secs),
    }
}

fn after(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// Runs `test` in a network of its own; `false`, with a line saying why, where that cannot be.
fn in_network(test: impl FnOnce() + Send + 'static) -> bool {
    let thread = std::thread::spawn(move || {
        if let Err(error) = sensor::namespace::private_network() {
            eprintln!("skipped: no network namespace of its own: {error}");
            return false;
        }
        if let Err(error) = Filter::open().and_then(|mut it| it.rebuild(&[])) {
            eprintln!("skipped: no nf_tables here: {error}");
            return false;
        }
        test();
        true
    });
    thread.join().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// What the nft program sees in the table: set, address, seconds left.
fn seen_by_nft() -> Vec<(String, String, u64)> {
    let output = run("nft", &["-j", "list", "table", "inet", message::TABLE]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = Vec::new();
    for set in json["nftables"].as_array().unwrap().iter().filter_map(|it| it.get("set")) {
        for elem in set.get("elem").and_then(Value::as_array).into_iter().flatten() {
            let elem = &elem["elem"];
            let value = match elem["val"].get("prefix") {
                Some(it) => format!("{}/{}", it["addr"].as_str().unwrap(), it["len"]),
                None => elem["val"].as_str().unwrap_or_default().to_owned(),
            };
            let left = elem["expires"].as_u64().unwrap_or_default();
            found.push((set["name"].as_str().unwrap().to_owned(), value, left));
        }
    }
    found.sort();
    found
}

fn names(found: &[(String, String, u64)]) -> Vec<&str> {
    found.iter().map(|it| it.1.as_str()).collect()
}

#[test]
fn blocks_are_in_the_kernel_until_they_are_over() {
    in_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("blocked.json");
        let (mut blocker, told, failed) = Blocker::open(file.clone(), START);
        assert!(told.is_empty() && failed.is_none());
        let all = [
            wanted("203.0.113.9", after(3600), None),
            wanted("2001:db8::9", after(3600), None),
            wanted("198.51.100.0/24", after(7200), None),
            wanted("198.51.100.128/25", after(3600), None),
            wanted("255.255.255.0/25", after(3600), None),
            wanted("2001:db8:1::/48", after(3600), None),
        ];
        let told = blocker.block(&all, START).unwrap();
        assert_eq!(told.len(), all.len());
        let seen = seen_by_nft();
        assert_eq!(
            names(&seen),
            [
                "203.0.113.9",
                "2001:db8::9",
                "198.51.100.0/24",
                "255.255.255.0/25",
                "2001:db8:1::/48"
            ]
        );
        assert!((3590..=3600).contains(&seen[0].2), "{seen:?}");
        // A new time for what is in already, and something somebody else took away.
        blocker.block(&[wanted("203.0.113.9", after(86_400), None)], START).unwrap();
        assert!((86_390..=86_400).contains(&seen_by_nft()[0].2));
        assert!(run("nft", &["flush", "ruleset"]).status.success());
        blocker.block(&[wanted("203.0.113.10", after(3600), None)], START).unwrap();
        assert_eq!(seen_by_nft().len(), 6, "made anew");
        let told = blocker.unblock(&[cidr("203.0.113.9"), cidr("192.0.2.1")], START).unwrap();
        assert_eq!(told.len(), 1, "what is not blocked is not told");
        assert_eq!(told[0].state(), BlockedState::Removed);
        // The outer block ends first: the inner one is what is left of it.
        blocker.block(&[wanted("198.51.100.0/24", after(60), None)], START).unwrap();
        let told = blocker.tick(after(61), None);
        assert_eq!(
            told.iter().map(|it| (it.address.as_str(), it.state())).collect::<Vec<_>>(),
            [("198.51.100.0/24", BlockedState::Expired)]
        );
        assert!(names(&seen_by_nft()).contains(&"198.51.100.128/25"));
        drop(blocker);
        // A restart, and one ended meanwhile.
        assert!(run("nft", &["flush", "ruleset"]).status.success());
        let (mut blocker, told, _) = Blocker::open(file.clone(), after(70));
        assert_eq!(told.len(), 5);
        assert_eq!(seen_by_nft().len(), 5, "put back");
        assert_eq!(blocker.tick(after(3601), None).len(), 5);
        assert!(seen_by_nft().is_empty() && blocker.is_empty());
        clear().unwrap();
        assert!(!run("nft", &["list", "table", "inet", message::TABLE]).status.success());
        clear().unwrap();
        assert!(file.exists());
    });
    assert_eq!(message::TABLE, "garrison");
}

#[test]
fn an_agent_that_cut_itself_off_takes_it_back() {
    in_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let (mut blocker, ..) = Blocker::open(dir.path().join("blocked.json"), START);
        let hour = after(3600);
        blocker.block(&[wanted("203.0.113.1", hour, Some(60))], START).unwrap();
        let left = seen_by_nft()[0].2;
        assert!(left <= 60, "the kernel ends it by itself, even if the agent dies: {left}");
        blocker.block(&[wanted("203.0.113.2", hour, Some(60))], after(10)).unwrap();
        // The server was heard of between the two.
        assert!(blocker.tick(after(11), Some(after(5))).is_empty());
        let seen = seen_by_nft();
        assert!(seen[0].2 > 3000 && seen[1].2 <= 60, "{seen:?}");
        let told = blocker.tick(after(70), Some(after(5)));
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].address.as_str(), told[0].state()),
            ("203.0.113.2", BlockedState::Removed)
        );
        assert_eq!(names(&seen_by_nft()), ["203.0.113.1"]);
        // What a person blocked is not made uncertain by the agent.
        blocker.block(&[wanted("203.0.113.3", hour, None)], after(70)).unwrap();
        blocker.block(&[wanted("203.0.113.3", hour, Some(60))], after(71)).unwrap();
        assert!(blocker.tick(after(200), None).is_empty());
    });
    assert_eq!(SPAN_MIN, Duration::from_mins(1));
}

#[test]
fn a_block_lasts_as_long_as_the_kernel_keeps_it_whatever_the_clock_does() {
    const HOUR_US: i64 = 3_600_000_000;
    for by_us in [-5 * HOUR_US, 5 * HOUR_US] {
        in_network(move || {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("blocked.json");
            let (mut blocker, ..) = Blocker::open(file.clone(), START);
            let blocks = [
                wanted("203.0.113.1", after(3600), None),
                wanted("203.0.113.2", after(3600), Some(60)),
            ];
            blocker.block(&blocks, START).unwrap();
            blocker.move_clock(by_us);
            let at = |seconds| after(seconds).moved(by_us);
            assert_eq!(blocker.tick(at(59), None), []);
            let told = blocker.tick(at(61), None);
            assert_eq!(told.len(), 1, "the dead man");
            assert_eq!(
                (told[0].address.as_str(), told[0].state()),
                ("203.0.113.2", BlockedState::Removed)
            );
            drop(blocker);
            // The next agent knows too.
            let (mut blocker, told, _) = Blocker::open(file, at(70));
            assert_eq!(told.len(), 1);
            assert!((3500..=3600).contains(&seen_by_nft()[0].2));
            assert_eq!(blocker.tick(at(3601), None)[0].state(), BlockedState::Expired);
        });
    }
    assert!(SPAN_MAX > SPAN_MIN);
}

/// Two networks that reach each other by one cable.
struct Cable {
    names: [String; 2],
}

impl Cable {
    fn lay() -> Option<Self> {
        let id = std::process::id();
        let names = [format!("garrison-{id}-a"), format!("garrison-{id}-b")];
        let ip = |arguments: &[&str]| {
            let output = run("ip", arguments);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            output.status.success().then_some(()).ok_or(said)
        };
        let it = Self { names };
        let [a, b] = &it.names;
        let laid = [
            vec!["netns", "add", a],
            vec!["netns", "add", b],
            vec![
                "-n", a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b,
            ],
            vec!["-n", a, "addr", "add", "198.51.100.1/24", "dev", "eth0"],
            vec!["-n", b, "addr", "add", "198.51.100.2/24", "dev", "eth0"],
            vec!["-n", b, "addr", "add", "198.51.100.3/24", "dev", "eth0"],
            vec!["-n", a, "link", "set", "eth0", "up"],
            vec!["-n", b, "link", "set", "eth0", "up"],
        ];
        for step in laid {
            if let Err(said) = ip(&step) {
                eprintln!("skipped: no network namespaces: ip {}: {said}", step.join(" "));
                return None;
            }
        }
        Some(it)
    }

    fn enter(&self, index: usize) {
        let file = std::fs::File::open(format!("/run/netns/{}", self.names[index])).unwrap();
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), kind).unwrap();
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            run("ip", &["netns", "del", name]);
        }
    }
}

/// Whether a connection from `source` comes through.
fn connects(source: &str) -> bool {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let from: SocketAddr = format!("{source}:0").parse().unwrap();
    let to: SocketAddr = "198.51.100.1:4444".parse().unwrap();
    rustix::net::bind(&socket, &from).unwrap();
    let span = Some(Duration::from_millis(400));
    let stream = TcpStream::from(socket);
    let kind = rustix::net::sockopt::Timeout::Send;
    rustix::net::sockopt::set_socket_timeout(&stream, kind, span).unwrap();
    if rustix::net::connect(&stream, &to).is_err() {
        return false;
    }
    let mut answer = [0; 2];
    let mut stream = stream;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(b"hi").is_ok() && stream.read_exact(&mut answer).is_ok()
}

#[test]
fn a_blocked_source_cannot_connect_and_can_again_afterwards() {
    let Some(cable) = Cable::lay() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (ready, go) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let inner = &cable;
        scope.spawn(move || {
            inner.enter(0);
            let listener = TcpListener::bind("198.51.100.1:4444").unwrap();
            ready.send(()).unwrap();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 2];
                if stream.read_exact(&mut bytes).is_ok() {
                    stream.write_all(&bytes).unwrap();
                }
                if &bytes == b"no" {
                    break;
                }
            }
        });
        go.recv().unwrap();
        let (ask, asked) = std::sync::mpsc::channel::<&str>();
        let (tell, told) = std::sync::mpsc::channel();
        scope.spawn(move || {
            inner.enter(1);
            for source in asked {
                tell.send(connects(source)).unwrap();
            }
            let mut last = TcpStream::connect("198.51.100.1:4444").unwrap();
            last.write_all(b"no").unwrap();
        });
        let try_from = |source: &'static str| {
            ask.send(source).unwrap();
            told.recv().unwrap()
        };
        // This test's own thread is one of the host under attack.
        inner.enter(0);
        let (mut blocker, ..) = Blocker::open(dir.path().join("blocked.json"), START);
        assert!(try_from("198.51.100.2"), "before");
        let began = Instant::now();
        blocker.block(&[wanted("198.51.100.2", after(3600), None)], START).unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!(!try_from("198.51.100.2"), "blocked");
        assert!(try_from("198.51.100.3"), "somebody else");
        let listed = blocker.list(START);
        assert!(listed[0].packets > 0, "dropped packets are counted: {listed:?}");
        let told = blocker.unblock(&[cidr("198.51.100.2")], START).unwrap();
        assert!(told[0].packets > 0);
        assert!(try_from("198.51.100.2"), "again");
        blocker.block(&[wanted("198.51.100.0/31", after(3600), None)], START).unwrap();
        assert!(try_from("198.51.100.2"), "beside a block");
        blocker.block(&[wanted("198.51.100.2/31", after(3600), None)], START).unwrap();
        assert!(!try_from("198.51.100.3"), "in a block");
        assert!(blocker.list(START).iter().any(|it| it.packets > 0 && it.address.contains('/')));
        clear().unwrap();
        drop(ask);
    });
}

#[test]
fn some_are_never_blocked() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let protected = Protected {
        own: [ip("192.0.2.1")].into(),
        server: [ip("192.0.2.2"), ip("2001:db8::2")].into(),
        signed_in: [ip("192.0.2.3")].into(),
        policy: vec![cidr("10.0.0.0/8")],
    };
    for (block, refused) in [
        ("203.0.113.9", None),
        ("203.0.113.0/24", None),
        ("192.0.2.1", Some("this host")),
        ("192.0.2.0/24", Some("this host")),
        ("192.0.2.2/31", Some("server")),
        ("2001:db8::/64", Some("server")),
        ("192.0.2.3", Some("signed in")),
        ("10.1.2.3", Some("policy")),
        ("8.0.0.0/6", Some("policy")),
        ("127.0.0.1", Some("no other host")),
        ("126.0.0.0/7", Some("no other host")),
        ("::1", Some("no other host")),
        ("0.0.0.0/0", Some("no other host")),
        ("::/0", Some("no other host")),
        ("224.0.0.1", Some("no other host")),
        ("255.255.255.255", Some("no other host")),
    ] {
        let said = protected.refusal(&cidr(block)).map(|it| it.text);
        assert_eq!(said.is_some(), refused.is_some(), "{block}: {said:?}");
        assert!(said.unwrap_or_default().contains(refused.unwrap_or_default()), "{block}");
    }
}

#[test]
fn a_connection_alone_is_no_login() {
    for (title, is) in [
        ("sshd: root@pts/0", true),
        ("sshd-session: ann@notty", true),
        ("sshd: ann [priv]", false),
        ("sshd: unknown [net]", false),
        ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", false),
        ("bash", false),
        ("other: ann@pts/0", false),
    ] {
        assert_eq!(is_session(&[title.as_bytes().to_vec()]), is, "{title}");
    }
    let v4 = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:0016 097100CB:D431 01 00000000:00000000 00:00000000 00000000     0        0 41 1\n   \
        1: 0100007F:0016 0A7100CB:D431 01 00000000:00000000 00:00000000 00000000     0        0 42 1\n   \
        2: 0100007F:0016 0B7100CB:D431 08 00000000:00000000 00:00000000 00000000     0        0 41 1\n   \
        3: broken\n";
    let v6 = "head\n   0: 00:0016 0000000000000000FFFF00000971 00CB:1 01 0 0 0 0 0 41 1\n   \
        1: 0:0016 0000000000000000FFFF00000971 00CB:1 01 a:b c:d e 0 0 41\n   \
        2: 0:0016 0000000000000000FFFF00000C7100CB:D431 01 0:0 0:0 0 0 0 41 1\n";
    let sockets = BTreeSet::from([41]);
    if cfg!(target_endian = "little") {
        assert_eq!(peers_of(v4, 4, &sockets), ["203.0.113.9".parse::<IpAddr>().unwrap()]);
        let found = peers_of(v6, 16, &sockets);
        assert_eq!(found, ["203.0.113.12".parse::<IpAddr>().unwrap()], "mapped is plain");
    }
    assert!(peers_of("", 4, &sockets).is_empty());
}

#[test]
fn what_is_no_answer_of_the_kernel_is_said() {
    let mut found = Vec::new();
    for bytes in [&[1][..], &[16, 0, 0, 0], &[0; 16], &[255; 64]] {
        assert_eq!(message::parse(bytes, &mut found), message::Answer::Broken, "{bytes:?}");
    }
    assert_eq!(message::parse(&[], &mut found), message::Answer::More);
    assert!(found.is_empty());
}
