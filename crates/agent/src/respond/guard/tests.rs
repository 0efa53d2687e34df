use std::fs;

use super::*;
use crate::verdict::Verdict;

/// Read in some seconds.
const LONG_BYTES: u64 = 4 << 30;
const CHILD: &str = "GARRISON_TEST_GUARD_OF";

/// The guard process of the tests below; nothing but that when started by hand.
#[test]
fn guarding_process() {
    let Ok(path) = std::env::var(CHILD) else {
        assert_eq!(parse_line("."), None);
        return;
    };
    serve(&Scope::Only(vec![path.into()])).unwrap();
}

#[test]
fn lines_say_what_they_say() {
    let path = PathBuf::from("/tmp/a b");
    for (line, want) in [
        (".", None),
        ("R 7 /tmp/a b", Some(News::Told(Told::Refused { path: path.clone(), pid: 7 }))),
        ("L 7 /tmp/a b", Some(News::Told(Told::Late { path, pid: 7 }))),
        ("O", Some(News::Told(Told::Overflow))),
        (
            "M 2 /x is of kind nfs",
            Some(News::Guards { unguarded: 2, reason: "/x is of kind nfs".to_owned() }),
        ),
        ("M 0 ", Some(News::Guards { unguarded: 0, reason: String::new() })),
        ("R x /tmp", None),
        ("running 1 test", None),
        ("", None),
    ] {
        assert_eq!(parse_line(line), want, "{line}");
    }
    for told in [Told::Overflow, Told::Refused { path: "/a\nR 1 /b".into(), pid: 3 }] {
        assert!(!line_of(&told).contains('\n'), "a name is not a second line");
    }
}

struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// On the calling thread, and for what it starts.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let mounted = sensor::namespace::private_mounts().and_then(|()| {
            Ok(rustix::mount::mount("none", dir.path(), "tmpfs", flags, None::<&std::ffi::CStr>)?)
        });
        if let Err(error) = mounted.map(|()| ExecGuard::open(ANSWER_WITHIN).map(drop)) {
            eprintln!("skipped: no mounts of its own: {error}");
            return None;
        }
        Some(Self(dir))
    }

    fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n# {text}\nexit 0\n")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

fn guarding(place: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--exact", "respond::guard::tests::guarding_process", "--nocapture"]);
    command.env(CHILD, place).stderr(Stdio::null());
    command
}

fn starts(path: &Path) -> bool {
    // A timer outside, whatever becomes of the guard.
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "30"]).arg(path).stderr(Stdio::null());
    command.status().is_ok_and(|it| it.success())
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The whole of it: what is judged malicious does not start while the guard is up; a guard that is
/// stopped is ended within its time, everything passes, and the next one refuses again.
#[test]
fn what_is_refused_does_not_start_and_a_stopped_guard_holds_nobody_up() {
    let test = || {
        let Some(tmpfs) = Tmpfs::new() else { return };
        let dir = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::load(dir.path());
        let (good, evil) = (tmpfs.program("good", "good"), tmpfs.program("evil", "evil"));
        let digest: Digest = Sha256::digest(fs::read(&evil).unwrap()).into();
        let (stop, news) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let place = tmpfs.0.path().to_owned();
        let command = || guarding(&place);
        let guards = |it: &News| matches!(it, News::Guards { unguarded: 0, .. });
        let ups = || news.lock().unwrap().iter().filter(|it| guards(it)).count();
        let has = |is: &dyn Fn(&News) -> bool| news.lock().unwrap().iter().any(is);
        // Threads started here share the mounts of this one.
        std::thread::scope(|scope| {
            // The scope waits for its threads even when an assertion below fails.
            let _stopping = Stopping(&stop);
            scope
                .spawn(|| supervise(command, &verdicts, |it| news.lock().unwrap().push(it), &stop));
            until("a first guard", || ups() == 1);
            assert!(starts(&good) && starts(&evil), "nothing is refused yet");
            verdicts.set(digest, Verdict::Malicious, "a test").unwrap();
            until("the verdict is known", || !starts(&evil));
            assert!(starts(&good));
            until("the refusal is told", || {
                has(&|it| matches!(it, News::Told(Told::Refused { path, .. }) if *path == evil))
            });
            let guard = children().into_iter().next().unwrap();
            let pid = rustix::process::Pid::from_raw(guard).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
            let began = Instant::now();
            assert!(starts(&good), "let pass once the stopped guard is ended");
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
            until("its end is told", || has(&|it| matches!(it, News::Down(_))));
            until("another guard", || ups() == 2);
            until("which refuses too", || !starts(&evil));
            verdicts.clear(&digest).unwrap();
            until("until that is taken back", || starts(&evil));
        });
    };
    std::thread::spawn(test).join().unwrap();
    assert!(SILENT_MAX < Duration::from_secs(1));
}

/// Two programs that take seconds to read are started at once, more often than threads answer:
/// they are let start and told, nobody else waits for them, the guard stays, and once they have
/// been read they are judged.
#[test]
fn a_long_content_holds_nobody_up() {
    let test = || {
        let Some(tmpfs) = Tmpfs::new() else { return };
        let dir = tempfile::tempdir().unwrap();
        let verdicts = Verdicts::load(dir.path());
        let good = tmpfs.program("good", "good");
        // Holes: they take time to read and no memory.
        let long = ["one", "two"].map(|it| tmpfs.program(it, it));
        for it in &long {
            fs::OpenOptions::new().write(true).open(it).unwrap().set_len(LONG_BYTES).unwrap();
        }
        let mut file = fs::File::open(&long[0]).unwrap();
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; PIECE_BYTES]);
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        verdicts.set(hasher.finalize().into(), Verdict::Malicious, "a test").unwrap();
        let (stop, news) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let place = tmpfs.0.path().to_owned();
        let command = || guarding(&place);
        let has = |is: &dyn Fn(&News) -> bool| news.lock().unwrap().iter().any(is);
        std::thread::scope(|scope| {
            let _stopping = Stopping(&stop);
            scope
                .spawn(|| supervise(command, &verdicts, |it| news.lock().unwrap().push(it), &stop));
            until("a guard", || has(&|it| matches!(it, News::Guards { unguarded: 0, .. })));
            until("a first one is read too long", || {
                starts(&long[0]);
                has(&|it| matches!(it, News::Told(Told::Late { path, .. }) if *path == long[0]))
            });
            for _ in 0..4 {
                for it in &long {
                    scope.spawn(|| starts(it));
                }
            }
            let began = Instant::now();
            assert!(starts(&good));
            assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
            until("what was read is refused", || {
                starts(&long[0]);
                has(&|it| matches!(it, News::Told(Told::Refused { path, .. }) if *path == long[0]))
            });
            assert!(!has(&|it| matches!(it, News::Down(_))), "{:?}", news.lock().unwrap());
        });
    };
    std::thread::spawn(test).join().unwrap();
}

/// Two file systems of one table cannot be guarded: one by its kind, one because it is gone.
#[test]
fn what_is_not_marked_is_said_and_said_no_more_when_it_is_gone() {
    let mount = |device: &str, point: &str, kind: &str| Mount {
        id: 1,
        root: "/".into(),
        device: device.to_owned(),
        point: point.into(),
        kind: kind.to_owned(),
    };
    let table = [
        mount("0:1", "/proc", "proc"),
        mount("8:1", "/", "ext4"),
        mount("8:1", "/srv/bind", "ext4"),
        mount("0:9", "/mnt/far", "nfs4"),
        mount("0:7", "/mnt/gone", "tmpfs"),
    ];
    let marked = Mutex::new(Vec::new());
    let mark = |path: &Path| {
        marked.lock().unwrap().push(path.to_owned());
        if path.ends_with("gone") { Err("cannot watch it".to_owned()) } else { Ok(()) }
    };
    assert_eq!(mark_all(&table, mark), ["/mnt/far is of kind nfs4", "cannot watch it"]);
    assert_eq!(mark_all(&table[..2], mark), [""; 0]);
    let paths: Vec<PathBuf> = marked.into_inner().unwrap();
    assert_eq!(paths, ["/", "/mnt/gone", "/"].map(PathBuf::from), "again at every look");
}

struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Guard processes of this test.
fn children() -> Vec<i32> {
    let mine = std::process::id().to_string();
    let stat = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let pids =
        fs::read_dir("/proc").unwrap().filter_map(|it| it.unwrap().file_name().into_string().ok());
    let of_mine = pids.filter(|it| {
        stat(it).rsplit(')').next().is_some_and(|it| it.split(' ').nth(2) == Some(&mine))
    });
    let guards = of_mine.filter(|it| {
        fs::read_to_string(format!("/proc/{it}/cmdline"))
            .unwrap_or_default()
            .contains("guarding_process")
    });
    guards.filter_map(|it| it.parse().ok()).collect()
}
