use expect_test::expect;

use super::super::record::parse;
use super::*;

fn what(bytes: &[u8]) -> String {
    let record = parse(bytes).expect("a whole record");
    format!("{:?}", translate(record).expect("something to tell").1)
}

#[test]
fn records_become_events() {
    let all = [
        include_bytes!("../record/fixtures/connect.bin").as_slice(),
        include_bytes!("../record/fixtures/dns.bin"),
        include_bytes!("../record/fixtures/rights.bin"),
        include_bytes!("../record/fixtures/exit.bin"),
    ];
    let told = all.map(what).join("\n");
    expect![[r#"
        Connect { socket: Socket { family: 2, kind: 2, inode: 237492, local: Some(Address { ip: 127.0.0.1, port: 57807 }), peer: Some(Address { ip: 127.0.0.1, port: 53 }) }, result: Some(0) }
        Dns { query: "example.org", record_type: 16, server: Some(Address { ip: 127.0.0.1, port: 53 }), over_tcp: false }
        Credentials { before: Rights { uid: 65534, euid: 65534, gid: 0, egid: 0, capabilities: 0 }, after: Rights { uid: 65534, euid: 0, gid: 0, egid: 0, capabilities: 2199006478335 }, call: Some("setresuid") }
        Exit { status: 1792 }"#]].assert_eq(&told);
}

#[test]
fn a_call_that_changed_nothing_is_not_told() {
    let call = |result, arguments| Call { result, arguments, ..Call::default() };
    let task = Task::default();
    let poke = call(0, [4, 7, 0, 0]);
    let attach = call(-1, [16, 7, 0, 0]);
    let cases = [
        (
            Kind::Trace,
            101,
            poke,
            Some(What::MemoryWrite { target_pid: 7, by: MemoryPath::PtracePoke }),
        ),
        (
            Kind::Trace,
            101,
            attach,
            Some(What::Ptrace { request: 16, target_pid: 7, result: Some(-1) }),
        ),
        (Kind::Trace, 311, call(-1, [7, 0, 0, 0]), None),
        (Kind::Module, 176, call(-2, [0; 4]), None),
        (Kind::Mount, 166, call(-22, [0; 4]), None),
        (Kind::Mount, 155, call(-22, [0; 4]), None),
        (Kind::Connect, 42, call(0, [0; 4]), None),
    ];
    for (kind, number, call, expected) in cases {
        assert_eq!(translate_call(kind, number, &task, call), expected, "{kind:?} {number}");
    }
}

#[test]
fn modules_are_named_by_the_kernel_or_by_their_file() {
    let cases = [
        ("nf_tables", Some("/x.ko"), "nf_tables"),
        ("", Some("/lib/modules/6.1/kernel/net/ip-vs.ko.xz"), "ip_vs"),
        ("", None, ""),
    ];
    for (name, path, expected) in cases {
        assert_eq!(module_name(name.to_owned(), path), expected);
    }
}
