use super::*;

const HEAD: &str = "audit(1700000000.500:7): ";

/// A record of a system call by a shell, with these fields in front.
fn call(fields: &str) -> (u16, String) {
    let rest = "ppid=10 pid=11 auid=1000 uid=0 gid=5 euid=0 suid=0 fsuid=0 egid=5 tty=pts3 ses=2 \
                comm=\"sh\" exe=\"/usr/bin/dash\" key=(null)";
    (record::SYSCALL, format!("arch=c000003e {fields} {rest}"))
}

fn path(name: &str, kind: &str) -> (u16, String) {
    let rest = "inode=41 dev=fe:01 mode=0100755 ouid=1 ogid=2 rdev=00:00";
    (record::PATH, format!("item=0 name=\"{name}\" {rest} nametype={kind}"))
}

fn cwd(name: &str) -> (u16, String) {
    (record::CWD, format!("cwd=\"{name}\""))
}

fn told(records: &[(u16, String)]) -> Option<Told> {
    let mut assembler = Assembler::default();
    for (kind, text) in records {
        assert_eq!(assembler.take(*kind, format!("{HEAD}{text}").as_bytes()), None);
    }
    let told = assembler.take(record::END, HEAD.as_bytes());
    assert!(assembler.open.is_empty());
    told
}

fn file(change: FileChange, result: i32) -> What {
    What::File { change, result: Some(result) }
}

#[test]
fn a_program_is_told_with_all_its_arguments() {
    let it = told(&[
        call("syscall=59 success=yes exit=0 a0=55 items=2"),
        (record::EXECVE, "argc=3 a0=\"sh\" a1=2D6320783B".to_owned()),
        (record::EXECVE, "a2_len=6 a2[0]=\"abc\"".to_owned()),
        (record::EXECVE, "a2[1]=646566".to_owned()),
        cwd("/root"),
        path("/bin/sh", "NORMAL"),
        path("/lib64/ld-linux-x86-64.so.2", "NORMAL"),
    ])
    .unwrap();
    assert_eq!(it.at, Timestamp(1_700_000_000_500_000));
    let task = &it.task;
    assert_eq!((task.pid, task.parent_pid, task.uid, task.egid), (11, 10, 0, 5));
    assert_eq!((task.login_uid, task.session, task.name.as_str()), (Some(1000), Some(2), "sh"));
    let What::Exec(exec) = it.what else { panic!("{it:?}") };
    assert_eq!(exec.arguments, ["sh", "-c x;", "abcdef"]);
    assert_eq!((exec.executable.as_str(), exec.cwd.as_deref()), ("/usr/bin/dash", Some("/root")));
    assert_eq!(exec.terminal.as_deref(), Some("pts/3"));
    let file = exec.file.unwrap();
    assert_eq!((file.inode, file.mode, file.uid, file.gid), (41, 0o100_755, 1, 2));
    assert_eq!(file.device, rustix::fs::makedev(0xfe, 1));
}

#[test]
fn too_many_arguments_are_cut_and_that_is_said() {
    let records = ["a0", "a1"].map(|it| (record::EXECVE, format!("{it}=\"{}\"", "x".repeat(8500))));
    let [first, second] = records;
    let it = told(&[call("syscall=322 success=yes exit=0"), first, second]);
    let Some(What::Exec(exec)) = it.map(|it| it.what) else { panic!() };
    assert_eq!((exec.arguments.len(), exec.arguments_cut), (1, true));
}

#[test]
fn calls_are_told_as_other_tiers_tell_them() {
    let owned = str::to_owned;
    let web = Address { ip: Ipv4Addr::new(203, 0, 113, 9).into(), port: 443 };
    let socket = |local, peer| Socket { family: 2, kind: 0, inode: 0, local, peer };
    let saddr = || (record::SOCKADDR, "saddr=020001BBCB0071090000000000000000".to_owned());
    let open = |path, created, truncated| {
        let path = str::to_owned(path);
        file(FileChange::OpenWrite { path, created, truncated }, 3)
    };
    let cases = [
        // Failed starts changed nothing; reading is not told.
        (vec![call("syscall=59 success=no exit=-13")], None),
        (vec![call("syscall=257 exit=3 a2=0"), path("/etc/passwd", "NORMAL")], None),
        (
            vec![call("syscall=257 exit=3 a2=241"), cwd("/etc"), path("./new", "CREATE")],
            Some(open("/etc/new", true, true)),
        ),
        (
            vec![call("syscall=2 exit=3 a1=401"), path("/etc/passwd", "NORMAL")],
            Some(open("/etc/passwd", false, false)),
        ),
        (vec![call("syscall=85 exit=3"), path("/a", "NORMAL")], Some(open("/a", false, true))),
        (
            vec![call("syscall=268 exit=0 a2=9ed"), path("/bin/x", "NORMAL")],
            Some(file(FileChange::Mode { path: owned("/bin/x"), mode: 0o4755 }, 0)),
        ),
        (
            vec![call("syscall=260 exit=0 a2=0 a3=ffffffff"), path("/bin/x", "NORMAL")],
            Some(file(FileChange::Owner { path: owned("/bin/x"), uid: Some(0), gid: None }, 0)),
        ),
        (
            vec![
                call("syscall=82 exit=0"),
                path("/", "PARENT"),
                path("/a", "DELETE"),
                path("/b", "CREATE"),
            ],
            Some(file(FileChange::Renamed { from: owned("/a"), to: owned("/b") }, 0)),
        ),
        (
            vec![call("syscall=263 exit=-2"), path("/a", "DELETE")],
            Some(file(FileChange::Removed { path: owned("/a") }, -2)),
        ),
        (
            vec![call("syscall=42 exit=-115"), saddr()],
            Some(What::Connect { socket: socket(None, Some(web)), result: Some(-115) }),
        ),
        (
            vec![call("syscall=49 exit=0"), saddr()],
            Some(What::Bind { socket: socket(Some(web), None), result: Some(0) }),
        ),
        (
            vec![call("syscall=62 exit=0 a0=64 a1=9")],
            Some(What::Signal { target_pid: 100, signal: 9, result: Some(0) }),
        ),
        (
            vec![call("syscall=313 exit=0"), (record::MODULE, "name=\"evil\"".to_owned())],
            Some(What::ModuleLoad { name: owned("evil"), path: None, result: Some(0) }),
        ),
        // Another architecture has other numbers; a path without its directory is none.
        (
            vec![(
                record::SYSCALL,
                "arch=40000003 syscall=62 exit=0 a0=64 a1=9 pid=1 ppid=1".to_owned(),
            )],
            None,
        ),
        (vec![call("syscall=263 exit=0"), path("a", "DELETE")], None),
        (vec![path("/a", "DELETE")], None),
    ];
    for (records, wanted) in cases {
        assert_eq!(told(&records).map(|it| it.what), wanted, "{records:?}");
    }
}

#[test]
fn events_that_never_end_are_told_when_others_need_the_room() {
    let mut assembler = Assembler::default();
    let (kind, text) = call("syscall=62 exit=0 a0=64 a1=9");
    let mut told = 0;
    for serial in 0..OPEN_MAX + 10 {
        let record = format!("audit(1.000:{serial}): {text}");
        told += usize::from(assembler.take(kind, record.as_bytes()).is_some());
    }
    assert_eq!((told, assembler.open.len()), (10, OPEN_MAX));
}
