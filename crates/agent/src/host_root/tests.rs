use std::os::unix::fs::symlink;

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    root: HostRoot,
}

/// A root in a folder that also holds `secret`, which nothing inside may reach.
fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("etc/deep")).unwrap();
    std::fs::write(folder.path().join("secret"), "outside").unwrap();
    std::fs::write(root.join("etc/passwd"), "inside").unwrap();
    std::fs::write(root.join("secret"), "inner").unwrap();
    let root = HostRoot::new(root).unwrap();
    assert!(!root.is_live());
    Fixture { folder, root }
}

impl Fixture {
    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    fn text(&self, path: &str) -> String {
        match self.root.read(path, 1000) {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => error.line(),
        }
    }
}

#[test]
fn links_stay_inside() {
    let it = fixture();
    symlink("/secret", it.at("absolute")).unwrap();
    symlink("../../../../secret", it.at("etc/upwards")).unwrap();
    symlink("/etc", it.at("settings")).unwrap();
    symlink("../passwd", it.at("etc/deep/up")).unwrap();
    symlink(it.folder.path().join("secret"), it.at("escape")).unwrap();
    for (path, expected) in [
        ("/etc/passwd", "inside"),
        ("etc/passwd", "inside"),
        ("/absolute", "inner"),
        ("/etc/upwards", "inner"),
        ("/../../secret", "inner"),
        ("/settings/passwd", "inside"),
        ("/settings/deep/up", "inside"),
        ("/settings/deep/../passwd", "inside"),
        ("/escape", "/escape does not exist"),
        ("/etc/passwd/below", "/etc/passwd/below does not exist"),
    ] {
        assert_eq!(it.text(path), expected, "{path}");
    }
    assert_eq!(it.root.read_link("/escape").unwrap(), it.folder.path().join("secret"));
    assert_eq!(it.root.symlink_metadata("/escape").unwrap().kind, FileKind::Symlink);
    assert_eq!(it.root.metadata("/settings").unwrap().kind, FileKind::Directory);
    let error = it.root.read_link("/etc/passwd").unwrap_err();
    assert_eq!(error.line(), "/etc/passwd is a file, not a symbolic link");
}

#[test]
fn endless_links_end() {
    let it = fixture();
    symlink("/loop", it.at("loop")).unwrap();
    symlink("b", it.at("a")).unwrap();
    symlink("a", it.at("b")).unwrap();
    // Each step makes the path longer, so that only the count ends it.
    symlink("grow/grow", it.at("grow")).unwrap();
    for path in ["/loop", "/a", "/grow"] {
        let error = it.root.read(path, 10).unwrap_err();
        assert!(matches!(error, ReadError::Endless { .. }), "{path}: {error}");
    }
    let deep = "/etc/deep/../deep".to_owned() + &"/.".repeat(10_000);
    assert!(it.root.read_dir(deep).unwrap().is_empty());
    let live = HostRoot::live().unwrap();
    let error = live.read(it.at("a"), 10).unwrap_err();
    assert!(matches!(error, ReadError::Endless { .. }), "{error}");
}

#[test]
fn only_regular_files_are_opened() {
    let it = fixture();
    let live = HostRoot::live().unwrap();
    rustix::fs::mknodat(CWD, it.at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    std::os::unix::net::UnixListener::bind(it.at("socket")).unwrap();
    for (name, kind) in [("pipe", "FIFO"), ("socket", "socket"), ("etc", "directory")] {
        let expected = format!("/{name} is a {kind}, not a file");
        assert_eq!(it.text(&format!("/{name}")), expected);
        let error = live.read(it.at(name), 10).unwrap_err();
        assert!(matches!(error, ReadError::Kind { .. }), "{error}");
        let directory = it.root.open_dir("/").unwrap();
        let error = directory.read(name, 10, &mut Vec::new()).unwrap_err();
        assert!(error.line().ends_with("not a file"), "{error}");
    }
    let error = live.read("/dev/zero", 10).unwrap_err();
    assert_eq!(error.line(), "/dev/zero is a character device, not a file");
    let error = it.root.read_dir("/etc/passwd").unwrap_err();
    assert_eq!(error.line(), "/etc/passwd is a file, not a directory");
}

#[test]
fn size_is_capped() {
    let it = fixture();
    let file = File::create(it.at("log")).unwrap();
    file.set_len(10 << 30).unwrap();
    assert_eq!(it.text("/log"), "/log is larger than 1000 bytes");
    let prefix = it.root.read_prefix("/log", 16).unwrap();
    assert_eq!(prefix, Prefix { bytes: vec![0; 16], truncated: true });
    let prefix = it.root.read_prefix("/etc/passwd", 6).unwrap();
    assert_eq!(prefix, Prefix { bytes: b"inside".to_vec(), truncated: false });
    let mut buffer = b"old".to_vec();
    assert!(it.root.open_dir("/").unwrap().read("log", 2, &mut buffer).unwrap());
    assert_eq!(buffer, [0, 0]);
}

#[test]
fn names_need_not_be_text() {
    let it = fixture();
    let name = OsStr::from_bytes(b"caf\xe9");
    std::fs::write(it.at("etc").join(name), "latin").unwrap();
    let names: Vec<_> = it.root.read_dir("/etc").unwrap().into_iter().map(|it| it.name).collect();
    assert_eq!(names, [name, OsStr::new("deep"), OsStr::new("passwd")]);
    assert_eq!(it.root.read(Path::new("/etc").join(name), 10).unwrap(), b"latin");
}

#[test]
fn a_directory_takes_single_names() {
    let it = fixture();
    let directory = it.root.open_dir("/etc").unwrap();
    let mut buffer = Vec::new();
    assert!(!directory.read("passwd", 10, &mut buffer).unwrap());
    assert_eq!(buffer, b"inside");
    assert!(directory.read("../secret", 10, &mut buffer).is_err());
    assert!(directory.read("gone", 10, &mut buffer).unwrap_err().is_absent());
    assert_eq!(directory.metadata("deep").unwrap().kind, FileKind::Directory);
}

#[test]
fn kernel_files_are_read_whole() {
    let live = HostRoot::live().unwrap();
    assert!(live.is_live());
    let status = live.read("/proc/self/status", 1 << 16).unwrap();
    assert!(status.starts_with(b"Name:"));
    assert!(live.read("/proc/4194305/status", 10).unwrap_err().is_absent());
    assert!(HostRoot::new("/nowhere").unwrap_err().is_absent());
}
