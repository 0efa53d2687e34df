use super::*;

#[test]
fn stat_ends_its_name_at_the_last_bracket() {
    let cases: [(&[u8], Option<Stat>); 4] = [
        (
            b"42 (a) S (b)) S 7 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 300 0 0",
            Some(Stat { name: "a) S (b)".to_owned(), parent_pid: 7, started_ns: 3_000_000_000 }),
        ),
        (b"42 (a) S", None),
        (b"42 a S 7", None),
        (b"", None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(parse_stat(bytes), expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn status_gives_ids_and_rights() {
    let good = b"Name:\tx\nUid:\t1\t0\t1\t1\nGid:\t5\t6\t5\t5\nCapEff:\t000001ffffffffff\n";
    let expected = Status { uids: [1, 0], gids: [5, 6], capabilities: 0x0000_01ff_ffff_ffff };
    assert_eq!(parse_status(good), Some(expected));
    assert_eq!(parse_status(b"Uid:\t1\n"), None);
}

#[test]
fn arguments_keep_empty_ones_and_say_when_cut() {
    let cases: [(&[u8], &[&str]); 4] = [
        (b"sh\0-c\0\0", &["sh", "-c", ""]),
        (b"sh\0", &["sh"]),
        (b"renamed by itself", &["renamed by itself"]),
        (b"", &[]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            parse_arguments(bytes),
            (expected.iter().map(|it| (*it).to_owned()).collect(), false)
        );
    }
    let long = vec![b'a'; ARGUMENTS_BYTES_MAX + 1];
    let (arguments, cut) = parse_arguments(&long);
    assert_eq!((arguments[0].len(), cut), (ARGUMENTS_BYTES_MAX, true));
}

#[test]
fn of_an_environment_only_the_loader_is_read() {
    let environment = b"SECRET=1\0LD_PRELOAD=/tmp/a.so\0LD_PRELOADX=2\0LD_AUDIT=\0LD_PRELOAD";
    let expected = [("LD_PRELOAD", "/tmp/a.so"), ("LD_AUDIT", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(parse_loader(environment), expected);
}

#[test]
fn sockets_are_found_by_inode() {
    let table = b"  sl  local_address rem_address   st\n   \
        0: 0100007F:0016 0200007F:C350 01 0:0 0:0 0 0 0 77 1\n   \
        1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 78 1\n";
    let text = |inode| {
        parse_net(table, inode)
            .map(|(local, peer)| format!("{}:{} {}:{}", local.ip, local.port, peer.ip, peer.port))
    };
    assert_eq!(text(77).as_deref(), Some("127.0.0.1:22 127.0.0.2:50000"));
    assert_eq!(text(78).as_deref(), Some("127.0.0.1:80 :::0"));
    assert_eq!(text(79), None);
}

#[test]
fn memory_files_and_deleted_ones_are_named_without_marks() {
    let cases = [
        ("/usr/bin/sh", "/usr/bin/sh"),
        ("/tmp/x (deleted)", "/tmp/x"),
        ("/memfd:job (deleted)", "memfd:job"),
    ];
    for (link, expected) in cases {
        assert_eq!(program_name(link), expected);
    }
}

#[test]
fn this_process_knows_itself() {
    let pid = std::process::id();
    let task = task(pid).expect("alive");
    assert_eq!(task.pid, pid);
    assert_eq!(task.parent_pid, std::os::unix::process::parent_id());
    let exec = exec(pid).expect("alive");
    assert_eq!(Path::new(&exec.executable), std::env::current_exe().expect("known"));
    assert!(exec.ancestors.len() > 1, "{:?}", exec.ancestors);
}
