use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::event::{FileChange, What};
use model::time::Timestamp;

use super::exec_guard::{ExecGuard, Judgement, Question, Told};
use super::file_watch::FileWatch;
use super::group::parse;
use crate::namespace::private_mounts;

/// A tmpfs that only the calling thread and its children see.
struct Tmpfs {
    dir: tempfile::TempDir,
}

impl Tmpfs {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = private_mounts().and_then(|()| {
            let flags = rustix::mount::MountFlags::empty();
            Ok(rustix::mount::mount("none", dir.path(), "tmpfs", flags, None::<&std::ffi::CStr>)?)
        });
        match mounted {
            Ok(()) => Some(Self { dir }),
            Err(error) => {
                eprintln!("skipped: no mounts of its own: {error}");
                None
            }
        }
    }

    fn program(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.dir.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

/// Ends this whole process if the test does not: a kernel that waits for an answer cannot be
/// asked to stop waiting.
fn end_after(span: Duration) -> std::sync::mpsc::Sender<()> {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if wait.recv_timeout(span) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            std::process::abort();
        }
    });
    done
}

fn open(within: Duration) -> Option<ExecGuard> {
    match ExecGuard::open(within) {
        Ok(it) => Some(it),
        Err(error) => {
            eprintln!("skipped: no permission events: {error}");
            None
        }
    }
}

/// Whether the program at `path` starts.
fn starts(path: &Path) -> bool {
    Command::new(path).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
}

fn on_own_thread(test: impl FnOnce() + Send + 'static) {
    std::thread::spawn(test).join().unwrap();
}

fn by_text(question: &Question) -> Judgement {
    let mut file = &question.file;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text).unwrap();
    if text.contains("evil") { Judgement::Refused } else { Judgement::Allowed }
}

#[test]
fn content_decides_whatever_it_is_called() {
    on_own_thread(|| {
        let Some(tmpfs) = Tmpfs::new() else { return };
        let Some(guard) = open(Duration::from_secs(5)) else { return };
        let _alive = end_after(Duration::from_mins(1));
        let good = tmpfs.program("good", "#!/bin/sh\nexit 0\n");
        let evil = tmpfs.program("evil", "#!/bin/sh\n# evil\nexit 0\n");
        guard.mark(tmpfs.dir.path()).unwrap();
        let (stop, told) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let tell = |it| told.lock().unwrap().push(it);
                guard.run(by_text, tell, |_| {}, &stop).unwrap();
            });
            assert!(starts(&good));
            assert!(!starts(&evil), "refused");
            let link = tmpfs.dir.path().join("innocent");
            fs::hard_link(&evil, &link).unwrap();
            assert!(!starts(&link), "by another name");
            let copy = tmpfs.program("copy", &fs::read_to_string(&evil).unwrap());
            assert!(!starts(&copy), "a copy");
            fs::write(&good, "#!/bin/sh\n# evil now\nexit 0\n").unwrap();
            assert!(!starts(&good), "changed in place");
            stop.store(true, Ordering::Relaxed);
        });
        let told = told.into_inner().unwrap();
        let refused = |path: &Path| {
            told.iter().any(|it| matches!(it, Told::Refused { path: it, .. } if it == path))
        };
        assert!(refused(&evil) && refused(&good) && told.len() == 4, "{told:?}");
    });
    assert_eq!(super::exec_guard::THREADS, 2);
}

#[test]
fn a_judge_that_does_not_come_back_holds_nobody_up() {
    on_own_thread(|| {
        let Some(tmpfs) = Tmpfs::new() else { return };
        let Some(guard) = open(Duration::from_millis(100)) else { return };
        let _alive = end_after(Duration::from_mins(1));
        let program = tmpfs.program("good", "#!/bin/sh\nexit 0\n");
        guard.mark(tmpfs.dir.path()).unwrap();
        let (stop, told) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let hung = AtomicBool::new(false);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(held);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let judge = |_: &Question| {
                    let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(20));
                    Judgement::Refused
                };
                let tell = |it| told.lock().unwrap().push(it);
                let beat = |hangs| {
                    hung.fetch_or(hangs, Ordering::Relaxed);
                };
                guard.run(judge, tell, beat, &stop).unwrap();
            });
            for _ in 0..2 {
                let began = Instant::now();
                assert!(starts(&program), "let start when its time was over");
                assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
            }
            let deadline = Instant::now() + Duration::from_secs(10);
            while !hung.load(Ordering::Relaxed) {
                assert!(Instant::now() < deadline, "that both threads hang is noticed");
                std::thread::yield_now();
            }
            for _ in 0..2 {
                release.send(()).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        let late = told.into_inner().unwrap();
        assert!(
            late.iter().all(|it| matches!(it, Told::Late { .. })) && late.len() == 2,
            "{late:?}"
        );
    });
    assert!(super::exec_guard::ANSWER_WITHIN <= Duration::from_millis(100));
}

const CHILD: &str = "GARRISON_TEST_GUARD_OF";

/// The process that answers in the test below; nothing but that when started by hand.
#[test]
fn answering_process() {
    let Ok(path) = std::env::var(CHILD) else {
        assert_eq!(std::env::var(CHILD), Err(std::env::VarError::NotPresent));
        return;
    };
    let guard = ExecGuard::open(Duration::from_millis(100)).unwrap();
    guard.mark(Path::new(&path)).unwrap();
    let out = std::io::stdout();
    writeln!(out.lock(), "\nanswering").unwrap();
    let beat = |_| {
        // Its parent is gone, or listens no more.
        if writeln!(out.lock(), "beat").and_then(|()| out.lock().flush()).is_err() {
            std::process::exit(0);
        }
    };
    guard.run(|_| Judgement::Allowed, |_| {}, beat, &AtomicBool::new(false)).unwrap();
}

fn answering(path: &Path) -> Child {
    let mut child = Command::new("/proc/self/exe")
        .args(["--exact", "fanotify::tests::answering_process", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|it| it.unwrap() == "answering"));
    child
}

#[test]
fn a_guard_that_is_stopped_is_ended_and_everything_passes() {
    on_own_thread(|| {
        let Some(tmpfs) = Tmpfs::new() else { return };
        if open(Duration::from_millis(100)).is_none() {
            return;
        }
        let _alive = end_after(Duration::from_mins(1));
        let program = tmpfs.program("good", "#!/bin/sh\nexit 0\n");
        let mut child = answering(tmpfs.dir.path());
        assert!(starts(&program), "answered");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let mut waiting =
            Command::new("timeout").args(["-s", "KILL", "30"]).arg(&program).spawn().unwrap();
        // Nobody answers: the program stands still at its start.
        let blocked = Instant::now() + Duration::from_millis(300);
        while Instant::now() < blocked {
            assert!(waiting.try_wait().unwrap().is_none(), "it waits for the answer");
            std::thread::yield_now();
        }
        // What the supervisor does with a guard without a beat.
        let began = Instant::now();
        child.kill().unwrap();
        assert!(waiting.wait().unwrap().success(), "let start");
        assert!(began.elapsed() < Duration::from_secs(5));
        child.wait().unwrap();
        assert!(starts(&program));
    });
    assert!(std::env::var(CHILD).is_err());
}

fn changes(watch: &mut FileWatch, until: usize) -> Vec<FileChange> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut found = Vec::new();
    while found.len() < until && Instant::now() < deadline {
        watch.wait(Duration::from_millis(200)).unwrap();
        let batch = watch.take(Timestamp::from_secs(1)).unwrap();
        assert_eq!(batch.lost, 0);
        for event in batch.events {
            assert_eq!(event.task.pid, std::process::id(), "{event:?}");
            assert!(event.task.started_ns > 0);
            let What::File { change, result: Some(0) } = event.what else { panic!("{event:?}") };
            found.push(change);
        }
    }
    found
}

#[test]
fn changes_are_told_with_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, beside) = (dir.path().join("tree"), dir.path().join("beside"));
    fs::create_dir_all(tree.join("deep")).unwrap();
    fs::create_dir(&beside).unwrap();
    fs::write(tree.join("old"), b"old").unwrap();
    let single = beside.join("single");
    let mut watch = match FileWatch::open(&[tree.clone(), single.clone()]) {
        Ok(it) => it,
        Err(error) => return eprintln!("skipped: no fanotify: {error}"),
    };
    assert_eq!((watch.folders(), watch.unwatched()), (3, 0));
    let text = |it: &Path| it.display().to_string();
    let made =
        |it: &Path| FileChange::OpenWrite { path: text(it), created: true, truncated: false };
    let written = |it: &Path| FileChange::Written { path: text(it) };
    let mode = |it: &Path, mode| FileChange::Mode { path: text(it), mode };
    let removed = |it: &Path| FileChange::Removed { path: text(it) };
    let renamed = |from: &Path, to: &Path| FileChange::Renamed { from: text(from), to: text(to) };

    fs::write(tree.join("deep/new"), b"1").unwrap();
    let deep = tree.join("deep/new");
    assert_eq!(changes(&mut watch, 2), [made(&deep), written(&deep)]);
    fs::set_permissions(&deep, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    assert_eq!(changes(&mut watch, 1), [mode(&deep, 0o104_755)]);
    fs::rename(&deep, tree.join("moved")).unwrap();
    assert_eq!(changes(&mut watch, 1), [renamed(&deep, &tree.join("moved"))]);
    fs::rename(tree.join("moved"), beside.join("out")).unwrap();
    assert_eq!(changes(&mut watch, 1), [removed(&tree.join("moved"))]);
    fs::rename(beside.join("out"), tree.join("in")).unwrap();
    assert_eq!(changes(&mut watch, 2), [made(&tree.join("in")), written(&tree.join("in"))]);
    fs::remove_file(tree.join("old")).unwrap();
    let old = changes(&mut watch, 1);
    assert_eq!(old.last(), Some(&removed(&tree.join("old"))), "{old:?}");
    // A folder made later is watched, and one renamed keeps being so under its new name.
    fs::create_dir(tree.join("later")).unwrap();
    assert_eq!(changes(&mut watch, 1), [made(&tree.join("later"))]);
    fs::rename(tree.join("later"), tree.join("other")).unwrap();
    changes(&mut watch, 1);
    fs::write(tree.join("other/x"), b"1").unwrap();
    let x = tree.join("other/x");
    assert_eq!(changes(&mut watch, 2), [made(&x), written(&x)]);
    // Only the one name of the other folder, though it was not there.
    fs::write(beside.join("unwatched"), b"1").unwrap();
    fs::write(&single, b"1").unwrap();
    assert_eq!(changes(&mut watch, 2), [made(&single), written(&single)]);
}

#[test]
fn a_flood_is_counted_not_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let mut watch = match FileWatch::open(&[dir.path().to_owned()]) {
        Ok(it) => it,
        Err(error) => return eprintln!("skipped: no fanotify: {error}"),
    };
    let limit: usize = fs::read_to_string("/proc/sys/fs/fanotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    for number in 0..limit {
        fs::write(dir.path().join(number.to_string()), b"").unwrap();
    }
    let mut seen: HashMap<bool, usize> = HashMap::new();
    let mut lost = 0;
    while watch.wait(Duration::ZERO).unwrap() {
        let batch = watch.take(Timestamp::from_secs(1)).unwrap();
        lost += batch.lost;
        for event in batch.events {
            let made =
                matches!(&event.what, What::File { change: FileChange::OpenWrite { .. }, .. });
            *seen.entry(made).or_default() += 1;
        }
    }
    assert_eq!(lost, 1, "{seen:?}");
    assert!(seen[&true] >= limit / 2 - 1, "{seen:?}");
}

#[test]
fn rubbish_is_no_event() {
    let mut cut = vec![24, 0, 0, 0, 3, 0, 24, 0];
    cut.resize(24, 0);
    assert_eq!(parse(&cut).count(), 1);
    for wrong in [&cut[..23], &[0; 24], &[255; 64], &[]] {
        assert_eq!(parse(wrong).count(), 0, "{wrong:?}");
    }
    let mut with_info = cut.clone();
    with_info[0] = 32;
    with_info.extend([2, 0, 200, 0, 1, 2, 3, 4]);
    assert_eq!(parse(&with_info).next().unwrap().names().count(), 0);
}
