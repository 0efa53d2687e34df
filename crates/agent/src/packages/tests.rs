use std::os::unix::fs::symlink;

use super::*;

fn dpkg_root(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
    let folder = tempfile::tempdir().unwrap();
    let info = folder.path().join("var/lib/dpkg/info");
    std::fs::create_dir_all(&info).unwrap();
    std::fs::create_dir_all(folder.path().join("usr/bin")).unwrap();
    symlink("usr/bin", folder.path().join("bin")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join("var/lib/dpkg").join(name), text).unwrap();
    }
    let root = HostRoot::new(folder.path()).unwrap();
    (folder, root)
}

#[test]
fn owners_by_path() {
    let (_folder, root) = dpkg_root(&[
        ("status", "1"),
        ("diversions", "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/perf\n/usr/bin/perf.old\n:\n"),
        ("info/coreutils.list", "/.\n/bin\n/bin/ls\n/usr/bin/env\n"),
        ("info/libc6:amd64.list", "/.\n/lib/libc.so\n/usr/share/doc/libc6\n"),
        ("info/bash.list", "/bin/sh\n/bin/bash\n"),
        ("info/dash.list", "/bin/sh\n/usr/bin/dash"),
        ("info/perf.list", "/usr/bin/perf\n"),
        ("info/dash.md5sums", "/usr/bin/nothing\n"),
    ]);
    let mut index = PackageIndex::default();
    assert!(index.refresh(&root));
    for (path, owner) in [
        ("/bin/ls", Some("coreutils")),
        ("/usr/bin/ls", Some("coreutils")),
        ("/usr/bin/env", Some("coreutils")),
        ("/bin/env", Some("coreutils")),
        ("/lib/libc.so", Some("libc6")),
        ("/usr/lib/libc.so", None),
        ("/bin", None),
        ("/usr/bin/dash", Some("dash")),
        ("/bin/sh", Some("dash")),
        ("/usr/bin/sh", Some("dash")),
        ("/bin/sh.distrib", Some("bash")),
        ("/usr/bin/perf", None),
        ("/usr/bin/perf.old", Some("perf")),
        ("/usr/bin/nothing", None),
        ("", None),
    ] {
        assert_eq!(index.owner(path), owner, "{path}");
    }
    assert_eq!(index.skipped(), [] as [&str; 0]);
    assert_eq!(index.packages(), 5);
}

#[test]
fn read_again_only_after_a_change() {
    let (folder, root) = dpkg_root(&[("status", "1"), ("info/a.list", "/opt/a\n")]);
    let mut index = PackageIndex::default();
    assert!(index.refresh(&root));
    assert!(!index.refresh(&root));
    assert_eq!(index.owner("/opt/b"), None);
    std::fs::write(folder.path().join("var/lib/dpkg/info/b.list"), "/opt/b\n").unwrap();
    std::fs::write(folder.path().join("var/lib/dpkg/status"), "12").unwrap();
    assert!(index.refresh(&root));
    assert_eq!(index.owner("/opt/b"), Some("b"));
}

#[test]
fn broken_lists_are_told() {
    let (folder, root) = dpkg_root(&[
        ("status", "1"),
        ("diversions", "/one\n"),
        ("info/bad.list", "no path\n\n\0\n/opt/\u{fffd}\n/opt/half"),
    ]);
    let pipe = folder.path().join("var/lib/dpkg/info/pipe.list");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut index = PackageIndex::default();
    index.refresh(&root);
    assert_eq!(index.owner("/opt/half"), Some("bad"));
    assert_eq!(index.skipped(), ["/var/lib/dpkg/info/pipe.list is a FIFO, not a file"]);
}

#[test]
fn a_host_without_packages_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let root = HostRoot::new(folder.path()).unwrap();
    let mut index = PackageIndex::default();
    index.refresh(&root);
    assert!(index.is_empty());
    assert_eq!(index.owner("/bin/ls"), None);
    assert_eq!(index.skipped(), [] as [&str; 0]);
}

#[test]
fn lists_leave_folders_out() {
    let paths = |text: &'static str| {
        let mut paths = Vec::new();
        dpkg::parse_list(text.as_bytes(), |it| paths.push(std::str::from_utf8(it).unwrap()));
        paths
    };
    for (text, expected) in [
        ("", &[][..]),
        ("\n\n", &[]),
        (
            "/.\n/usr\n/usr/bin\n/usr/bin/a\n/usr/bin/ab\n/usr/c\n",
            &["/.", "/usr/bin/a", "/usr/bin/ab", "/usr/c"],
        ),
        ("/a", &["/a"]),
        ("a\n/a\nb\n", &["/a"]),
    ] {
        assert_eq!(paths(text), expected, "{text:?}");
    }
}
