use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::*;

fn mount(id: u32, device: &str, root: &str, point: &str) -> Mount {
    Mount {
        id,
        device: device.to_owned(),
        root: root.into(),
        point: point.into(),
        kind: "x".to_owned(),
    }
}

#[test]
fn a_place_in_a_container_has_a_path_here_where_its_file_system_is_seen() {
    let theirs = [
        mount(90, "0:52", "/", "/"),
        mount(91, "8:1", "/srv/data", "/data"),
        mount(92, "0:60", "/", "/tmp"),
    ];
    let ours = [
        mount(20, "8:1", "/", "/"),
        mount(21, "0:52", "/", "/run/box/merged"),
        mount(22, "8:1", "/srv", "/mnt/srv"),
        mount(23, "8:1", "/home", "/mnt/home"),
    ];
    for (seen, id, want) in [
        ("/usr/bin", 90, &["/run/box/merged/usr/bin"] as &[&str]),
        ("/data/deep", 91, &["/srv/data/deep", "/mnt/srv/data/deep"]),
        ("/data", 91, &["/srv/data/", "/mnt/srv/data/"]),
        ("/tmp", 92, &[]),
        ("/elsewhere", 91, &[]),
        ("/usr", 99, &[]),
    ] {
        let found = translated(Path::new(seen), id, &theirs, &ours);
        let want: Vec<PathBuf> = want.iter().map(PathBuf::from).collect();
        assert_eq!(found, want, "{seen}");
    }
}

#[test]
fn the_first_line_says_who_carries_a_script_out() {
    let dir = tempfile::tempdir().unwrap();
    let interpreter = dir.path().join("python3.11");
    let link = dir.path().join("python");
    fs::write(&interpreter, "x").unwrap();
    std::os::unix::fs::symlink(&interpreter, &link).unwrap();
    let own = fs::metadata(&interpreter).unwrap();
    let script = dir.path().join("script");
    let shown = |it: &Path| it.display().to_string();
    for (line, want) in [
        (format!("#!{}\nprint()", shown(&interpreter)), true),
        (format!("#! {} -u\n", shown(&link)), true),
        ("#!/usr/bin/env python3.11\n".to_owned(), true),
        ("#!/usr/bin/env -S A=1 python3.11 -u\n".to_owned(), true),
        ("#!/usr/bin/env perl\n".to_owned(), false),
        ("#!/absent\n".to_owned(), false),
        ("#!\n".to_owned(), false),
        (format!("{}\n", shown(&interpreter)), false),
        (String::new(), false),
    ] {
        fs::write(&script, &line).unwrap();
        assert_eq!(starts(&script, &interpreter, &own), want, "{line}");
    }
}

#[test]
fn what_a_package_brought_stays_by_any_name() {
    let root = HostRoot::live().unwrap();
    let mut packages = Packages::default();
    packages.refresh(&root);
    let shell = fs::canonicalize("/bin/sh").unwrap();
    let Some(package) = packages.index.owner(&shell).map(str::to_owned) else {
        return println!("skipped: this host has no package of {}", shell.display());
    };
    let packaged = Some(Spared::Packaged(package.clone()));
    assert_eq!(packages.spare(&root, &shell), packaged);
    assert_eq!(packages.spare(&root, Path::new("/bin/sh")), packaged, "by a link");
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let copy = dir.path().join("copy");
    fs::copy(&shell, &copy).unwrap();
    assert_eq!(packages.spare(&root, &copy), None, "a copy is somebody's own");
    let content = fs::read(&shell).unwrap();
    let sha256 = HEXLOWER.encode(&Sha256::digest(&content));
    for size in [Some(content.len() as u64), None] {
        let found = packages.program_of(&root, &sha256, size).map(|it| it.1);
        assert_eq!(found, Some(package.clone()), "its content is a package's");
    }
    assert_eq!(packages.program_of(&root, &"0".repeat(64), Some(1)), None);
    let link = dir.path().join("link");
    match fs::hard_link(&shell, &link) {
        Ok(()) => {
            let found = packages.spare(&root, &link);
            assert!(matches!(&found, Some(Spared::Linked { package: it, .. }) if *it == package));
        }
        Err(error) => println!("skipped: another name of a program: {error}"),
    }
}

/// A process that sees `lower` at `seen`, and at `own` what nobody else does.
fn contained(dir: &Path) -> Option<Child> {
    let code = "mount --bind lower seen && mount -t tmpfs none own && echo x > own/evil && \
                echo up && read -r _";
    let mut child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", code])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line == "up\n" {
        return Some(child);
    }
    println!("skipped: no mounts of its own");
    child.wait().unwrap();
    None
}

#[test]
fn a_file_of_a_container_is_found_on_the_host() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["lower", "seen", "own"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("lower/evil"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", dir.path().join("lower/away")).unwrap();
    let Some(mut child) = contained(dir.path()) else { return };
    let it = ProcessTarget { pid: child.id(), started_ns: 0, tree: false };
    let place = |path: &str| on_host(&dir.path().join(path), &[it]);
    assert_eq!(place("seen/evil"), Ok(dir.path().join("lower/evil")));
    assert_eq!(place("own/evil"), Err(Spared::Unreachable));
    assert_eq!(place("seen/absent"), Ok(dir.path().join("seen/absent")), "not there either");
    let alone = on_host(&dir.path().join("seen/evil"), &[]);
    assert_eq!(alone, Ok(dir.path().join("seen/evil")), "nobody sees it elsewhere");
    drop(child.stdin.take());
    child.wait().unwrap();
}
