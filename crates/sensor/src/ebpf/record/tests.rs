use expect_test::expect;

use super::*;

/// Records as the programs made them; that of the exec was given names and numbers of its own.
const EXEC: &[u8] = include_bytes!("fixtures/exec.bin");
const FIXTURES: [&[u8]; 6] = [
    EXEC,
    include_bytes!("fixtures/rename.bin"),
    include_bytes!("fixtures/connect.bin"),
    include_bytes!("fixtures/dns.bin"),
    include_bytes!("fixtures/rights.bin"),
    include_bytes!("fixtures/exit.bin"),
];

#[test]
#[expect(clippy::too_many_lines, reason = "one record, every field")]
fn an_exec_is_read_whole() {
    let record = parse(EXEC).unwrap();
    assert_eq!((record.task.pid, record.task.parent_pid), (1000, 900));
    assert_eq!(record.task.name, "quiet");
    let told = format!("{:#?}", record.body);
    expect![[r#"
        Exec(
            Exec {
                arguments: [
                    "quiet",
                    "-x",
                    "",
                ],
                arguments_cut: false,
                cwd: Some(
                    "/home/ann/job",
                ),
                executable: "memfd:work",
                file: Some(
                    ExecutableFile {
                        device: 65024,
                        inode: 77,
                        mode: 33261,
                        uid: 0,
                        gid: 0,
                        links: 1,
                        size: 17584,
                        changed_at: Timestamp(
                            1778312132000000,
                        ),
                    },
                ),
                script: Some(
                    "/home/ann/job/run.sh",
                ),
                stdio: [
                    Pipe {
                        inode: 236979,
                        is_named: false,
                    },
                    File,
                    File,
                ],
                terminal: Some(
                    "pts/3",
                ),
                ancestors: [
                    Ancestor {
                        pid: 900,
                        started_ns: 70000000000,
                        name: "bash",
                    },
                    Ancestor {
                        pid: 1,
                        started_ns: 10000000,
                        name: "init",
                    },
                ],
                before: Some(
                    Rights {
                        uid: 0,
                        euid: 0,
                        gid: 0,
                        egid: 0,
                        capabilities: 2199006478335,
                    },
                ),
                loader: [
                    (
                        "LD_PRELOAD",
                        "/tmp/a.so",
                    ),
                ],
            },
        )"#]]
    .assert_eq(&told);
}

#[test]
fn calls_are_read_with_their_parts() {
    let cases = [
        (FIXTURES[1], Kind::FileUnsure, 82, ["plain", "", "moved", ""]),
        (FIXTURES[2], Kind::Connect, 42, ["", "", "", ""]),
    ];
    for (bytes, kind, number, ends) in cases {
        let record = parse(bytes).expect("a whole record");
        let Body::Call(call) = record.body else { panic!("{kind:?} is a call") };
        assert_eq!((record.kind, record.call, call.result), (kind, number, 0));
        for (part, end) in call.parts.into_iter().zip(ends) {
            let text = part.into_text();
            assert!(text.ends_with(end) && text.is_empty() == end.is_empty(), "{text} {end}");
        }
    }
}

#[test]
fn every_cut_record_is_refused() {
    for whole in FIXTURES {
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "cut at {cut}");
        }
        assert!(parse(whole).is_some());
    }
    assert_eq!(parse(&[0; 1024]), None);
    assert_eq!(parse(&[255; 1024]), None);
}

#[test]
fn kinds_have_the_numbers_of_the_kernels_side() {
    let header = include_str!("../../../bpf/record.h");
    let list = header.split("enum kind {").nth(1).unwrap().split("KINDS,").next().unwrap();
    let names: Vec<&str> = list.lines().filter_map(|it| it.trim().strip_prefix("KIND_")).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    for (number, kind) in Kind::ALL.iter().enumerate() {
        assert_eq!(kind.number() as usize, number + 1);
        let name = names[number].trim_end_matches(|it: char| !it.is_alphabetic());
        let name = name.split([' ', ',']).next().unwrap().replace('_', "");
        assert_eq!(format!("{kind:?}").to_uppercase(), name);
    }
}

#[test]
fn paths_are_joined_without_detours() {
    let cases = [
        ("/home/ann", "a", "/home/ann/a"),
        ("/home/ann", "/etc//x/./y", "/etc/x/y"),
        ("/home/ann", "../../../etc/passwd", "/etc/passwd"),
        ("/", "", "/"),
        ("", "a/../b", "/b"),
    ];
    for (base, text, expected) in cases {
        assert_eq!(join(base, text), expected, "{base} {text}");
    }
}

#[test]
fn devices_are_numbered_as_stat_does() {
    assert_eq!(device_number(0x103 << 20 | 0x12c), rustix::fs::makedev(0x103, 0x12c));
    assert_eq!(terminal_name("pts12".to_owned()).as_deref(), Some("pts/12"));
    assert_eq!(terminal_name("ttyS0".to_owned()).as_deref(), Some("ttyS0"));
    assert_eq!(terminal_name(String::new()), None);
}
