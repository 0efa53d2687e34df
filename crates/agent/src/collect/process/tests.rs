use std::path::PathBuf;
use std::process::Command;

use super::parse::*;
use super::table::*;
use super::*;
use crate::host_root::HostRoot;

#[test]
fn stat_lines() {
    let tail = "0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 999";
    let parsed =
        |line: &str| stat(line.as_bytes()).map(|it| (it.name, it.state, it.parent, it.start_ticks));
    let some = |name: &str| Some((name.to_owned(), 'S', 7, 12345));
    for (line, expected) in [
        (format!("42 (bash) S 7 42 42 {tail}"), some("bash")),
        (format!("42 (a) R (b)) S 7 42 42 {tail}"), some("a) R (b)")),
        (format!("42 () S 7 42 42 {tail}"), some("")),
        ("42 (bash) S 7 42".to_owned(), None),
        ("42 bash S".to_owned(), None),
        (") (".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(parsed(&line), expected, "{line}");
    }
    let thread = stat(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 3 0").unwrap();
    assert!(thread.kernel_thread);
}

#[test]
fn small_files() {
    let nginx = stat(include_bytes!("fixtures/stat")).unwrap();
    assert_eq!((nginx.name.as_str(), nginx.parent, nginx.start_ticks), ("ngi) R (nx", 810, 12345));
    assert_eq!(effective_uid(include_bytes!("fixtures/status")), Some(33));
    assert_eq!(effective_uid(b"Name:\tx\nUid:\t1000\t33\t0\t0\n"), Some(33));
    assert_eq!(effective_uid(b"Uid:\t1000\n"), None);
    assert_eq!(boot_time(b"cpu 1\nbtime 1900000000\nx"), Some(1_900_000_000));
    assert_eq!(boot_time(b"btime x"), None);
    assert_eq!(arguments(b""), Vec::<Vec<u8>>::new());
    assert_eq!(arguments(b"a\0\0b\0\0\0"), [&b"a"[..], b"", b"b"]);
    for (link, path, state) in [
        ("/bin/a", "/bin/a", ExecutableState::Present),
        ("/bin/a (deleted)", "/bin/a", ExecutableState::Deleted),
        ("/memfd:x (deleted)", "/memfd:x", ExecutableState::Memory),
    ] {
        assert_eq!(executable(link.as_bytes()), (PathBuf::from(path), state));
    }
    for (digits, expected) in
        [("0", Some(0)), ("18446744073709551615", Some(u64::MAX)), ("18446744073709551616", None)]
    {
        assert_eq!(number(digits.as_bytes()), expected);
    }
    assert_eq!((number(b""), number(b"1a"), number(b"-1")), (None, None, None));
}

/// A copy of sleep(1) that runs until dropped.
struct Sleeper {
    child: std::process::Child,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn sleeper() -> Sleeper {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sleeper");
    std::fs::copy("/bin/sleep", &path).unwrap();
    let child = Command::new(&path).args(["1000"]).env("SECRET", "never").spawn().unwrap();
    Sleeper { child, path, _folder: folder }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn real_processes_and_what_became_of_their_files() {
    let root = HostRoot::live().unwrap();
    let (present, deleted, replaced) = (sleeper(), sleeper(), sleeper());
    std::fs::remove_file(&deleted.path).unwrap();
    std::fs::remove_file(&replaced.path).unwrap();
    std::fs::write(&replaced.path, "new").unwrap();
    let table = ProcessTable::read(&root);
    assert!(table.available);
    for (it, state) in [
        (&present, ExecutableState::Present),
        (&deleted, ExecutableState::Deleted),
        (&replaced, ExecutableState::Replaced),
    ] {
        let process = table.get(it.child.id()).unwrap();
        assert_eq!(process.executable.as_deref(), Some(it.path.as_path()));
        assert_eq!(process.executable_state, Some(state));
        assert_eq!(process.parent, std::process::id());
        assert!(process.command().ends_with("sleeper 1000"));
    }
    let own = table.get(std::process::id()).unwrap();
    assert_eq!(table.get(present.child.id()).unwrap().depth, own.depth + 1);
    assert!(own.started_at.is_some() && own.uid.is_some());
}

#[test]
fn rows_hold_the_digest_of_the_running_file() {
    let root = HostRoot::live().unwrap();
    let gone = sleeper();
    let digest = {
        use sha2::Digest as _;
        let bytes = std::fs::read(&gone.path).unwrap();
        data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(bytes))
    };
    std::fs::remove_file(&gone.path).unwrap();
    let mut packages = crate::packages::PackageIndex::default();
    packages.refresh(&root);
    let hashes = std::sync::Mutex::default();
    let context = Context::new(&root, &packages, &hashes, model::time::Timestamp(0));
    let collected = super::super::run(&COLLECTOR, &context);
    assert!(collected.complete);
    let row =
        collected.rows.iter().find(|it| it.get("pid") == Some(&gone.child.id().into())).unwrap();
    assert_eq!(row.get("sha256").unwrap(), digest.as_str());
    assert_eq!(row.get("executable_state").unwrap(), "deleted");
    assert_eq!(row.get("package"), None);
    assert!(!serde_json::to_string(&collected.rows).unwrap().contains("never"));
    let before = hashes.lock().unwrap().reads();
    let context = Context::new(&root, &packages, &hashes, model::time::Timestamp(0));
    super::super::run(&COLLECTOR, &context);
    // Other tests start programs of their own meanwhile.
    assert!(hashes.lock().unwrap().reads() - before < before.max(8));
}

#[test]
fn an_offline_root_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let root = HostRoot::new(folder.path()).unwrap();
    let table = ProcessTable::read(&root);
    assert!(!table.available && table.processes.is_empty());
    assert_eq!(table.skipped, ["this needs the running host, not just its files"]);
}

#[test]
fn only_what_changed_is_read_again() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let root = HostRoot::live().unwrap();
    let script = "echo 1; read x; exec sh -c 'echo 2; read y; exec sleep 1000' second";
    let mut child = Command::new("sh")
        .args(["-c", script, "first"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (pid, mut input) = (child.id(), child.stdin.take().unwrap());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let command = |table: &ProcessTable| table.get(pid).unwrap().command();
    lines.next().unwrap().unwrap();
    let table = ProcessTable::read(&root);
    assert!(command(&table).ends_with("first"));
    input.write_all(b"\n").unwrap();
    lines.next().unwrap().unwrap();
    // Nobody tells, and the executable is the same.
    let table = ProcessTable::renew(&root, table, &Changes::default());
    assert!(command(&table).ends_with("first"));
    let mut told = Changes::default();
    told.add(pid);
    let table = ProcessTable::renew(&root, table, &told);
    assert!(command(&table).ends_with("second"));
    input.write_all(b"\n").unwrap();
    let link = format!("/proc/{pid}/exe");
    while !std::fs::read_link(&link).unwrap().ends_with("sleep") {
        std::thread::yield_now();
    }
    let later = sleeper();
    // Another executable and a new process need not be told.
    let table = ProcessTable::renew(&root, table, &Changes::default());
    assert_eq!(command(&table), "sleep 1000");
    assert_eq!(table.get(later.child.id()).unwrap().parent, std::process::id());
    let _ = child.kill();
    let _ = child.wait();
    std::fs::remove_file(&later.path).unwrap();
    let table = ProcessTable::renew(&root, table, &Changes::default());
    assert!(table.get(pid).is_none());
    let later = table.get(later.child.id()).unwrap();
    assert_eq!(later.executable_state, Some(ExecutableState::Deleted));
}

#[test]
fn too_many_changes_are_any() {
    let mut changes = Changes::default();
    assert!(changes.is_empty());
    (0..=5000).for_each(|it| changes.add(it));
    assert_eq!(changes, Changes::any());
    changes.add(1);
    assert_eq!(changes, Changes::any());
    let mut few = Changes::default();
    few.add(1);
    few.extend(&changes);
    assert_eq!(few, Changes::any());
}
