//! Every kind of event of the eBPF tier on the kernel this runs on. Children of the test act each
//! one out, in Python for the system calls a shell cannot make; the sensor must tell it of them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "all of this crate is a test"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use model::event::{Descriptor, Event, FileChange, MemoryPath, What};
use sensor::{Config, Sensor, Tier};

const WAIT: Duration = Duration::from_secs(10);

/// Beginning of every act: `call(number, ...)` makes a system call.
const PRELUDE: &str = "
import ctypes, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    made = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return libc.syscall(ctypes.c_long(number), *made)
";

/// The sensor, or the reason why this machine cannot have it, which only a missing capability is.
fn open(config: &Config) -> Option<Sensor> {
    match Sensor::open_tier(Tier::Ebpf, config) {
        Ok(sensor) => Some(sensor),
        Err(error) => {
            let is_able = rustix::process::geteuid().is_root()
                && Path::new("/sys/kernel/btf/vmlinux").exists();
            assert!(!is_able, "{error}: {:?}", std::error::Error::source(&error));
            println!("skipped: eBPF sensor: {error}");
            None
        }
    }
}

/// Runs the act to its end and returns its number and what the sensor told of it, until `is_enough`.
fn act(
    sensor: &mut Sensor,
    code: &str,
    mut is_enough: impl FnMut(&Event) -> bool,
) -> (u32, Vec<Event>) {
    // Not a wrapper from somewhere in the path, which would start programs of its own.
    let child = Command::new("/usr/bin/python3")
        .args(["-c", &format!("{PRELUDE}{code}")])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let pid = child.id();
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{code}\n{said}");
    let mut seen = Vec::new();
    let mut is_done = false;
    let end = Instant::now() + WAIT;
    while !is_done && Instant::now() < end {
        sensor
            .poll(Duration::from_millis(20), &mut |event| {
                let is_theirs = event.task.pid == pid || event.task.parent_pid == pid;
                if is_theirs || matches!(event.what, What::Lost { .. }) {
                    is_done |= is_enough(&event);
                    seen.push(event);
                }
            })
            .expect("the sensor goes on");
    }
    let told: Vec<_> = seen.iter().map(|it| &it.what).collect();
    assert!(is_done, "not told: {code}\ntold: {told:#?}");
    (pid, seen)
}

#[test]
fn an_exec_is_told_whole() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let code = format!(
        "os.chdir({:?}); p = os.pipe(); os.dup2(p[1], 1)
long = 'a' * 9000
e = dict(os.environ, LD_LIBRARY_PATH='/nowhere', SECRET='hush')
os.execve('/bin/sh', ['sh', '-c', 'exit 7 # ' + long], e) if os.fork() == 0 else os.wait()",
        dir.path()
    );
    let is_it = |it: &Event| matches!(&it.what, What::Exec(exec) if exec.arguments[0] == "sh");
    let (pid, seen) = act(&mut sensor, &code, is_it);
    let event = seen.iter().find(|it| is_it(it)).unwrap();
    let What::Exec(exec) = &event.what else { panic!() };
    assert_eq!(exec.arguments[2].len(), "exit 7 # ".len() + 9000);
    assert!(!exec.arguments_cut);
    let directory = std::fs::canonicalize(dir.path()).unwrap();
    assert_eq!(exec.cwd.as_deref(), directory.to_str());
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(Path::new(&exec.executable), shell);
    let (meta, file) = (std::fs::metadata(&shell).unwrap(), exec.file.unwrap());
    {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!((file.device, file.inode), (meta.dev(), meta.ino()));
        assert_eq!(
            (file.mode, file.links, file.size),
            (meta.mode(), meta.nlink() as u32, meta.size())
        );
        assert_eq!(file.changed_at.0, meta.ctime() * 1_000_000 + meta.ctime_nsec() / 1000);
    }
    assert_eq!(exec.loader, [("LD_LIBRARY_PATH".to_owned(), "/nowhere".to_owned())]);
    assert_eq!(exec.stdio[0], Descriptor::Device);
    assert!(matches!(exec.stdio[1], Descriptor::Pipe { is_named: false, inode } if inode > 0));
    // They are known from its fork.
    assert!(exec.ancestors.is_empty() && event.task.parent_pid == pid);
    assert_eq!(event.task.name, "sh");
    let namespaces = event.task.namespaces.unwrap();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(own.to_str().unwrap(), format!("net:[{}]", namespaces.net));
    assert_eq!(exec.before.map(|it| it.uid), Some(event.task.uid));
}

#[test]
fn ancestors_of_what_began_before_the_sensor_are_told() {
    let mut before = Command::new("/bin/sh")
        .args(["-c", "read -r go; exec /bin/true"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let opened = open(&Config::default());
    drop(before.stdin.take());
    let Some(mut sensor) = opened else {
        before.wait().unwrap();
        return;
    };
    let mut told = None;
    let end = Instant::now() + WAIT;
    while told.is_none() && Instant::now() < end {
        let take = &mut |event: Event| match event.what {
            What::Exec(exec) if event.task.pid == before.id() => told = Some(exec.ancestors),
            _ => {}
        };
        sensor.poll(Duration::from_millis(20), take).unwrap();
    }
    before.wait().unwrap();
    let told = told.expect("its exec is told");
    assert_eq!(told[0].pid, std::process::id());
    assert!(told.len() > 1 && told[0].started_ns >= told[1].started_ns, "{told:?}");
}

#[test]
fn variables_of_the_loader_are_found_in_any_environment() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    // Few, many, long ones that are not read at once, and names that only look alike.
    let code = "
def start(pairs):
    if os.fork() == 0: os.execve('/bin/true', ['true'], dict(pairs))
    os.wait()
loader = [('LD_AUDIT', '/nowhere'), ('LD_PRELOAD', '')]
alike = [('OLD_PATH', '1'), ('LDX', '2'), ('XLD_PRELOAD', 'LD_PRELOAD=3'), ('LD', '4')]
start(loader + alike)
start([('N%d' % i, 'x') for i in range(200)] + alike + loader)
start([('LONG', 'y' * 9000)] + alike + loader)
start(alike)
start([])";
    let mut told: Vec<Vec<String>> = Vec::new();
    act(&mut sensor, code, |it| {
        if let What::Exec(exec) = &it.what
            && exec.arguments == ["true"]
        {
            told.push(exec.loader.iter().map(|(name, value)| format!("{name}={value}")).collect());
        }
        told.len() == 5
    });
    let both = vec!["LD_AUDIT=/nowhere".to_owned(), "LD_PRELOAD=".to_owned()];
    assert_eq!(told, [both.clone(), both.clone(), both, Vec::new(), Vec::new()]);
}

#[test]
fn scripts_memory_files_and_cut_arguments_are_named() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("job");
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let code = format!("import subprocess; os.chdir({:?}); subprocess.run(['./job'])", dir.path());
    let real = std::fs::canonicalize(&script).unwrap();
    act(
        &mut sensor,
        &code,
        |it| matches!(&it.what, What::Exec(exec) if exec.script.as_deref() == real.to_str()),
    );

    let code = "
fd = os.memfd_create('work', 0)
os.write(fd, open('/bin/true', 'rb').read())
if os.fork() == 0: os.execve(fd, ['quiet'], {})
os.wait()";
    let mut is_made = false;
    act(&mut sensor, code, |it| {
        is_made |= matches!(&it.what, What::MemfdCreate { name } if name == "work");
        matches!(&it.what, What::Exec(exec)
            if exec.executable == "memfd:work" && exec.file.unwrap().links == 0 && is_made)
    });

    let code = "import subprocess; subprocess.run(['/bin/true', 'a' * 60000])";
    let (pid, seen) = act(
        &mut sensor,
        code,
        |it| matches!(&it.what, What::Exec(exec) if exec.arguments_cut && exec.arguments[1].len() > 16_000),
    );
    assert!(seen.iter().any(|it| it.task.parent_pid == pid), "the cut one is a child's");
}

#[test]
fn beginnings_ends_and_names_of_processes_are_told() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let code = "
child = os.fork()
if child == 0: os._exit(5)
os.wait()
child = os.fork()
if child == 0: os.kill(os.getpid(), 9)
os.wait()
call(157, 15, b'kworker/9')
open('/proc/self/comm', 'w').write('sshd')";
    let (mut forks, mut ends, mut names) = (0, Vec::new(), Vec::new());
    act(&mut sensor, code, |it| {
        match &it.what {
            What::Fork { child_started_ns, .. } if *child_started_ns > 0 => forks += 1,
            What::Exit { status } => ends.push(*status),
            What::Rename { before, after } => names.push((before.clone(), after.clone())),
            _ => {}
        }
        ends.len() == 3
    });
    assert_eq!((forks, ends), (2, vec![5 << 8, 9, 0]));
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(names, [pair("python3", "kworker/9"), pair("kworker/9", "sshd")]);
}

#[test]
fn sockets_and_names_asked_for_are_told() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let code = "
server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen()
client = socket.socket(); client.connect(server.getsockname())
other, _ = server.accept()
os.dup2(client.fileno(), 0); os.dup2(0, 1)
import fcntl
os.close(2); fcntl.fcntl(client.fileno(), fcntl.F_DUPFD, 2)
dead = socket.socket()
try: dead.connect(('127.0.0.1', 1))
except OSError: pass
six = socket.socket(socket.AF_INET6)
try: six.connect(('::1', 1))
except OSError: pass
socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
question = b'\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\7example\\3org\\0\\0\\x10\\0\\1'
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.sendto(question, ('127.0.0.1', 53))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.connect(('127.0.0.1', 53))
os.write(udp.fileno(), question.replace(b'example', b'written'))
whole = question.replace(b'example', b'gathers')
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.connect(('127.0.0.1', 53))
os.writev(udp.fileno(), [whole[:9], whole[9:]])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.sendmsg([question.replace(b'example', b'message')], [], 0, ('127.0.0.1', 53))";
    let mut told = std::collections::BTreeSet::new();
    act(&mut sensor, code, |it| {
        let peer = |socket: &model::event::Socket| socket.peer.map(|it| it.ip.to_string());
        let text = match &it.what {
            What::Bind { socket, result: Some(0) } if socket.local.unwrap().port > 0 => {
                "bind".to_owned()
            }
            What::Listen { .. } => "listen".to_owned(),
            What::Connect { socket, result } => format!(
                "connect {} {}",
                peer(socket).unwrap(),
                if *result == Some(0) { "made" } else { "refused" }
            ),
            What::Accept { socket } => format!("accept {}", peer(socket).unwrap()),
            What::Dup { onto, fd: Descriptor::Socket(socket) } => {
                format!("dup {onto} {}", peer(socket).unwrap())
            }
            What::RawSocket { family, kind, .. } => format!("raw {family} {kind}"),
            What::Dns { query, record_type, server, over_tcp: false } => {
                format!("dns {query} {record_type} {}", server.unwrap().port)
            }
            _ => return false,
        };
        told.insert(text);
        told.len() == 14
    });
    let expected = [
        "accept 127.0.0.1",
        "bind",
        "connect 127.0.0.1 made",
        "connect 127.0.0.1 refused",
        "connect ::1 refused",
        "dns example.org 16 53",
        "dns gathers.org 16 53",
        "dns message.org 16 53",
        "dns written.org 16 53",
        "dup 0 127.0.0.1",
        "dup 1 127.0.0.1",
        "dup 2 127.0.0.1",
        "listen",
        "raw 17 3",
    ];
    assert_eq!(told.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn rings_of_io_uring_are_told() {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    if disabled.is_ok_and(|it| it.trim() != "0") || !Path::new("/proc/sys/kernel").exists() {
        println!("skipped: io_uring is switched off here");
        return;
    }
    let Some(mut sensor) = open(&Config::default()) else { return };
    let code = "
parameters = ctypes.create_string_buffer(120)
if call(425, 4, parameters) < 0: raise OSError(ctypes.get_errno())";
    let (_, seen) = act(&mut sensor, code, |it| matches!(it.what, What::IoUring { .. }));
    assert!(seen.iter().any(|it| it.what == What::IoUring { entries: 4 }), "{seen:?}");
}

#[test]
fn files_opened_by_handle_outside_of_their_mount_are_told() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let dir = tempfile::tempdir().unwrap();
    // A file system of its own in a mount namespace of its own, of which a folder is mounted apart.
    let code = format!(
        "
import subprocess
if call(272, 0x20000) < 0: raise OSError(ctypes.get_errno())
os.chdir({:?})
for place in ['all', 'part']: os.mkdir(place)
subprocess.run(['mount', '--make-rprivate', '/'], check=True)
subprocess.run(['mount', '-t', 'tmpfs', 'none', 'all'], check=True)
for place in ['all/own', 'all/etc']: os.mkdir(place)
subprocess.run(['mount', '--bind', 'all/own', 'part'], check=True)
mount = os.open('part', os.O_RDONLY)
for name in ['all/own/mine', 'all/etc/hashes']:
    open(name, 'w').close()
    handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
    if call(303, -100, name.encode(), handle, ctypes.byref(ctypes.c_int()), 0) < 0: sys.exit('no handle')
    if call(304, mount, handle, 0) < 0: sys.exit('not opened')",
        dir.path()
    );
    let path = Some("/etc/hashes".to_owned());
    let is_it = |it: &Event| it.what == What::OpenByHandle { path: path.clone() };
    let (_, seen) = act(&mut sensor, &code, is_it);
    let told = seen.iter().filter(|it| matches!(it.what, What::OpenByHandle { .. })).count();
    assert_eq!(told, 1, "what lies inside is no news");
}

/// What is told before the programs that see system calls are loaded, and what after.
#[test]
fn a_sensor_that_begins_tells_of_programs_first_and_says_what_is_missing() {
    if open(&Config::default()).is_none() {
        return;
    }
    let (mut sensor, rest) = Sensor::begin(&Config::default()).unwrap();
    let missing = |it: &Sensor| it.health().missing.iter().any(|it| it.name == "system calls");
    let attached = |it: &Sensor, name: &str| it.health().attached.iter().any(|it| it == name);
    let code = "call(319, b'before', 0); os.execv('/bin/true', ['true', 'seen'])";
    let is_end = |it: &Event| matches!(it.what, What::Exit { .. });
    let (_, seen) = act(&mut sensor, code, is_end);
    let is_exec =
        |it: &Event| matches!(&it.what, What::Exec(it) if it.arguments == ["true", "seen"]);
    assert!(seen.iter().any(is_exec), "{seen:?}");
    assert!(!seen.iter().any(|it| matches!(it.what, What::MemfdCreate { .. })), "{seen:?}");
    assert!(!sensor.is_whole() && missing(&sensor) && !attached(&sensor, "on_call"));
    rest.load();
    let (_, seen) = act(&mut sensor, "call(319, b'after', 0)", is_end);
    let is_memfd = |it: &Event| it.what == What::MemfdCreate { name: "after".to_owned() };
    assert!(seen.iter().any(is_memfd), "{seen:?}");
    assert!(sensor.is_whole() && !missing(&sensor) && attached(&sensor, "on_call"));
}

#[test]
fn changed_rights_are_told_with_the_call() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let (_, seen) = act(
        &mut sensor,
        "os.setresuid(65534, 65534, 0); os.seteuid(0)",
        |it| matches!(&it.what, What::Credentials { before, after, .. } if before.euid == 65534 && after.euid == 0),
    );
    let first = seen.iter().find_map(|it| match &it.what {
        What::Credentials { before, after, call } => Some((*before, *after, *call)),
        _ => None,
    });
    let (before, after, call) = first.unwrap();
    assert_eq!((before.uid, after.uid, after.euid, call), (0, 65534, 65534, Some("setresuid")));
    assert!(after.capabilities < before.capabilities, "{before:?} {after:?}");
}

#[test]
fn reaching_into_another_process_is_told() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let code = "
ready, done = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.write(ready[1], b'x'); os.read(done[0], 1); os._exit(0)
os.read(ready[0], 1)
text = ctypes.create_string_buffer(b'same')
vector = struct.pack('QQ', ctypes.addressof(text), 4)
buffer = ctypes.create_string_buffer(vector)
if call(311, child, buffer, 1, buffer, 1, 0) != 4: raise OSError(ctypes.get_errno())
memory = open('/proc/%d/mem' % child, 'r+b', buffering=0); memory.close()
open('/proc/self/mem', 'r+b', buffering=0).close()
if call(101, 0x4206, child, 0, 0) != 0: raise OSError(ctypes.get_errno())
os.write(done[1], b'x')
os.waitpid(child, 0)";
    let mut told = Vec::new();
    let (pid, _) = act(&mut sensor, code, |it| {
        match &it.what {
            What::MemoryWrite { by, target_pid } if *target_pid != it.task.pid => {
                told.push(Some(*by));
            }
            What::Ptrace { request: 0x4206, result: Some(0), .. } => told.push(None),
            _ => {}
        }
        told.len() == 3
    });
    assert_eq!(told, [Some(MemoryPath::ProcessVmWritev), Some(MemoryPath::ProcMem), None], "{pid}");
}

#[test]
fn namespaces_mounts_and_programs_are_told() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    // Everything happens in a mount namespace of its own.
    let code = format!(
        "
if call(272, 0x20000) != 0: raise OSError(ctypes.get_errno())
if libc.mount(b'none', b'/', None, 0x44000, None) != 0: raise OSError(ctypes.get_errno())
if libc.mount(b'quiet', b'{path}', b'tmpfs', 0, None) != 0: raise OSError(ctypes.get_errno())
if libc.umount2(b'{path}', 2) != 0: raise OSError(ctypes.get_errno())
fd = os.open('/proc/self/ns/net', 0)
if call(308, fd, 0x40000000) != 0: raise OSError(ctypes.get_errno())
program = ctypes.create_string_buffer(struct.pack('<QQ', 0xb7, 0x95))
licence = ctypes.create_string_buffer(b'GPL')
attributes = struct.pack('<IIQQIIQII16s', 1, 2, ctypes.addressof(program), ctypes.addressof(licence), 0, 0, 0, 0, 0, b'looks')
buffer = ctypes.create_string_buffer(attributes, 64)
if call(321, 5, buffer, 64) < 0: raise OSError(ctypes.get_errno())
call(313, fd, b'', 0)
call(155, b'/nowhere', b'/nowhere')"
    );
    let mut told = Vec::new();
    act(&mut sensor, &code, |it| {
        match &it.what {
            What::Unshare { flags, result: Some(0) } => told.push(format!("unshare {flags:x}")),
            What::Mount { source, target, kind, result: Some(0), .. } if source == "quiet" => {
                told.push(format!("mount {kind} {}", target == path));
            }
            What::Unmount { target } => told.push(format!("unmount {}", target == path)),
            What::Setns { flags, result: Some(0) } => told.push(format!("setns {flags:x}")),
            What::BpfLoad { program_type, name, result: Some(fd) } if *fd > 0 => {
                told.push(format!("bpf {program_type} {name}"));
            }
            What::ModuleLoad { result: Some(error), .. } if *error < 0 => {
                told.push("module refused".to_owned());
            }
            What::PivotRoot { .. } => told.push("pivot that failed".to_owned()),
            What::Exit { .. } => return true,
            _ => {}
        }
        false
    });
    let mut expected =
        vec!["unshare 20000", "mount tmpfs true", "unmount true", "setns 40000000", "bpf 1 looks"];
    // Without modules the call is not there, but it is still tried.
    expected.push("module refused");
    assert_eq!(told, expected);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one act and all that is told of it")]
fn changes_below_watched_paths_are_told_however_they_are_reached() {
    let dir = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(dir.path()).unwrap();
    let (watched, other) = (root.join("watched"), root.join("other"));
    std::fs::create_dir_all(watched.join("deep")).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(watched.join("secret"), "x").unwrap();
    let config = Config {
        watched_prefixes: vec![watched.to_str().unwrap().to_owned()],
        secret_paths: vec![watched.join("secret").to_str().unwrap().to_owned()],
        ..Config::default()
    };
    let Some(mut sensor) = open(&config) else { return };
    let code = format!(
        "
W, O = {watched:?}, {other:?}
open(W + '/plain', 'w').close()
os.chdir(O); open('../watched/relative', 'w').close()
os.symlink(W, O + '/way'); open(O + '/way/through', 'a').close()
d = os.open(W, 0); f = os.open('at', os.O_CREAT | os.O_WRONLY, dir_fd=d); os.close(f)
open(O + '/unwatched', 'w').close()
call(85, (W + '/created').encode(), 0o644)
os.rename(O + '/way/plain', O + '/way/moved')
os.unlink('way/relative')
os.unlink('at', dir_fd=d)
os.link(W + '/moved', O + '/hard'); os.symlink('/nowhere', W + '/soft')
t = os.open(W, os.O_TMPFILE | os.O_WRONLY, 0o600)
libc.linkat(-100, b'/proc/self/fd/%d' % t, -100, (W + '/linked').encode(), 0x400)
os.chmod(W + '/moved', 0o640); os.chown(O + '/way/moved', 1, 2); os.utime(W + '/moved', (1, 1))
os.truncate(W + '/moved', 0)
os.chmod(O + '/hard', 0o4755)
os.fchmod(os.open(O + '/hard', 0), 0o2755)
open(W + '/secret').read()
os.unlink(O + '/unwatched')
os.unlink(W + '/nowhere') if os.path.exists(W + '/nowhere') else None"
    );
    let mut told = Vec::new();
    let short = |path: &str| path.replace(root.to_str().unwrap(), "");
    act(&mut sensor, &code, |it| {
        if let What::File { change, result } = &it.what {
            assert!(result.unwrap() >= 0, "{change:?}");
            told.push(match change {
                FileChange::OpenWrite { path, created, truncated } => {
                    format!("open {} {created} {truncated}", short(path))
                }
                FileChange::OpenRead { path } => format!("read {}", short(path)),
                FileChange::Renamed { from, to } => format!("rename {} {}", short(from), short(to)),
                FileChange::Removed { path } => format!("remove {}", short(path)),
                FileChange::Linked { from, to, is_symbolic } => {
                    let from =
                        if from.starts_with("/proc/") { "(fd)".to_owned() } else { short(from) };
                    format!("link {from} {} {is_symbolic}", short(to))
                }
                FileChange::Mode { path, mode } => format!("mode {} {mode:o}", short(path)),
                FileChange::Owner { path, uid, gid } => {
                    format!("owner {} {} {}", short(path), uid.unwrap(), gid.unwrap())
                }
                FileChange::Times { path, modified, .. } => {
                    format!("times {} {}", short(path), modified.unwrap().0)
                }
                other => format!("{other:?}"),
            });
        }
        matches!(it.what, What::Exit { .. })
    });
    let tmpfile =
        told.iter().position(|it| it.starts_with("open /watched/#")).expect("O_TMPFILE is told");
    told.remove(tmpfile);
    assert_eq!(
        told,
        [
            "open /watched/plain true true",
            "open /watched/relative true true",
            "link /watched /other/way true",
            "open /watched/through true false",
            "open /watched/at true false",
            "open /watched/created true true",
            "rename /watched/plain /watched/moved",
            "remove /watched/relative",
            "remove /watched/at",
            "link /watched/moved /other/hard false",
            "link /nowhere /watched/soft true",
            "link (fd) /watched/linked false",
            "mode /watched/moved 640",
            "owner /watched/moved 1 2",
            "times /watched/moved 1000000",
            "open /watched/moved false true",
            "mode /other/hard 4755",
            "mode /other/hard 2755",
            "read /watched/secret",
        ]
    );
}

#[test]
fn attributes_and_flags_that_protect_are_told() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = dir.path().join("tool");
    std::fs::write(&path, "").unwrap();
    let Some(mut sensor) = open(&Config::default()) else { return };
    let code = format!(
        "
P = {path:?}
os.setxattr(P, 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))
os.setxattr(P, 'user.note', b'nothing')
f = os.open(P, 0)
import fcntl
flags = bytearray(8)
fcntl.ioctl(f, 0x80086601, flags)
flags[0] |= 0x20; fcntl.ioctl(f, 0x40086602, flags)
flags[0] &= 0xdf; fcntl.ioctl(f, 0x40086602, flags)"
    );
    let mut flags = Vec::new();
    let mut names = Vec::new();
    act(&mut sensor, &code, |it| {
        if let What::File { change, .. } = &it.what {
            match change {
                FileChange::Attribute { path: at, name } if Path::new(at) == path => {
                    names.push(name.clone());
                }
                FileChange::Flags { path: at, flags: set } if Path::new(at) == path => {
                    flags.push(set & 0x20);
                }
                _ => {}
            }
        }
        matches!(it.what, What::Exit { .. })
    });
    assert_eq!((names, flags), (vec!["security.capability".to_owned()], vec![0x20, 0]));
}

#[test]
fn signals_to_protected_processes_are_told() {
    let mut guarded = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = guarded.id();
    let config = Config { protected_pids: vec![pid], ..Config::default() };
    let Some(mut sensor) = open(&config) else {
        drop(guarded.stdin.take());
        guarded.wait().unwrap();
        return;
    };
    let code = format!(
        "import signal; os.kill({pid}, 28); call(234, {pid}, {pid}, 28)
signal.pidfd_send_signal(os.pidfd_open({pid}), 28); os.kill({pid}, 0); os.kill(os.getppid(), 28)"
    );
    let mut count = 0;
    act(&mut sensor, &code, |it| {
        if let What::Signal { target_pid, signal, result } = it.what {
            assert_eq!((target_pid, signal, result), (pid, 28, Some(0)));
            count += 1;
        }
        matches!(it.what, What::Exit { .. })
    });
    drop(guarded.stdin.take());
    guarded.wait().unwrap();
    assert_eq!(count, 3);
}

#[test]
fn a_flood_in_a_busy_place_costs_other_places_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(dir.path()).unwrap();
    let [busy, watched] = ["busy", "watched"].map(|it| root.join(it));
    std::fs::create_dir_all(&busy).unwrap();
    std::fs::create_dir(&watched).unwrap();
    let config = Config {
        busy_prefixes: vec![busy.to_str().unwrap().to_owned()],
        watched_prefixes: vec![watched.to_str().unwrap().to_owned()],
        ..Config::default()
    };
    let Some(mut sensor) = open(&config) else { return };
    let code = format!(
        "
B, W = {busy:?}, {watched:?}
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
for i in range(20000):
    open(B + '/x', 'w').close()
    if i % 2000 == 0:
        open(W + '/%d' % i, 'w').close()
os.rename(B + '/x', W + '/moved')"
    );
    let (mut in_busy, mut elsewhere) = (0_u64, Vec::new());
    act(&mut sensor, &code, |it| {
        match &it.what {
            What::File { change: FileChange::OpenWrite { path, .. }, .. } => {
                if path.ends_with("/busy/x") {
                    in_busy += 1;
                } else {
                    elsewhere.push(path.rsplit('/').next().unwrap().to_owned());
                }
            }
            What::File { change: FileChange::Renamed { to, .. }, .. } if to.ends_with("/moved") => {
                elsewhere.push("moved".to_owned());
            }
            _ => {}
        }
        matches!(it.what, What::Exit { .. })
    });
    let mut expected: Vec<String> = (0..10).map(|it| (it * 2000).to_string()).collect();
    expected.push("moved".to_owned());
    assert_eq!(elsewhere, expected);
    let losses = sensor.health().lost;
    let counted = losses.iter().filter(|it| it.kind.ends_with("busy place"));
    let lost: u64 = counted.map(|it| it.count).sum();
    assert!(in_busy > 0 && lost > 0 && in_busy + lost >= 20_000, "{in_busy} told, {losses:?}");
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let Some(mut sensor) = open(&Config::default()) else { return };
    let code = "
for _ in range(8000): os.close(os.memfd_create('x'))";
    let mut lost = 0;
    let mut ended = false;
    act(&mut sensor, code, |it| {
        // The count may come before the end of the child.
        if let What::Lost { count } = it.what {
            lost += count;
        }
        ended |= matches!(it.what, What::Exit { .. });
        ended
    });
    let end = Instant::now() + WAIT;
    while lost == 0 && Instant::now() < end {
        sensor
            .poll(Duration::from_millis(20), &mut |event| {
                if let What::Lost { count } = event.what {
                    lost += count;
                }
            })
            .unwrap();
    }
    let health = sensor.health();
    let told = health.lost.iter().filter(|it| it.kind == "memfd").map(|it| it.count).sum::<u64>();
    assert!(told > 0 && lost > 0, "{lost} {health:?}");
}

#[test]
fn health_names_what_is_attached_and_what_is_not() {
    let Some(sensor) = open(&Config::default()) else { return };
    let health = sensor.health();
    assert_eq!(health.tier, Tier::Ebpf);
    assert!(health.attached.iter().any(|it| it == "on_exec"), "{health:?}");
    let has_modules = Path::new("/proc/modules").exists();
    assert_eq!(health.missing.iter().any(|it| it.name == "on_module_load"), !has_modules);
}
