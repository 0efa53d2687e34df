use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::collect::hash_cache::HashCache;
use crate::collect::memo::Memo;
use crate::host_root::HostRoot;
use crate::packages::PackageIndex;

fn fixture(host: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hosts").join(host)
}

fn collect_root(path: &Path) -> (Vec<String>, Collected) {
    let root = HostRoot::new(path).unwrap();
    let (packages, hashes) = (PackageIndex::default(), Mutex::new(HashCache::default()));
    let collected = super::collect(&Context::new(&root, &packages, &hashes, Timestamp(0)));
    let word = |row: &Row, column: &str| {
        row.get(column).and_then(|it| it.as_str()).unwrap_or("-").to_owned()
    };
    let mut lines: Vec<_> = collected
        .rows
        .iter()
        .map(|it| ["ecosystem", "name", "version", "path"].map(|column| word(it, column)).join(" "))
        .collect();
    lines.sort();
    (lines, collected)
}

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn jar_lines(name: &str, bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let (libraries, skipped) = jar::read(name, Cursor::new(bytes));
    let lines = libraries.iter().map(|it| format!("{} {} {}", it.name, it.version, it.inside));
    (
        lines.map(|it| it.trim_end().to_owned()).collect(),
        skipped.into_iter().map(|it| it.text).collect(),
    )
}

#[test]
fn dpkg_paragraphs() {
    let status =
        b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n\
Source: glibc (2.36-9)\nVersion: 2.36-9+deb12u7\nDescription: x\n Package: not-a-field\n\n\
Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
Package: held\nStatus: hold ok installed\nVersion: 2:1.0-1\nArchitecture: all\n\n\
Version: 3\nStatus: install ok installed\n";
    let (packages, skipped) = dpkg::parse(status, true);
    assert_eq!(packages.len(), 2);
    assert_eq!(packages[0].list_path(), "/var/lib/dpkg/info/libc6:amd64.list");
    assert_eq!(packages[0].source.as_deref(), Some("glibc"));
    assert_eq!((packages[1].name.as_str(), packages[1].version.as_str()), ("held", "2:1.0-1"));
    assert_eq!(packages[1].list_path(), "/var/lib/dpkg/info/held.list");
    assert_eq!(skipped, [19]);
    for cut in 0..status.len() {
        dpkg::parse(&status[..cut], true);
    }
}

#[test]
fn language_records() {
    let python = |text: &str| python::parse(text.as_bytes()).map(|(n, v)| format!("{n} {v}"));
    assert_eq!(
        python("Metadata-Version: 2.1\r\nName: Django\r\nVersion: 4.2\r\n\r\nVersion: 9"),
        Some("Django 4.2".into())
    );
    assert_eq!(python("Name: x\n\nVersion: 1"), None);
    let node = |text: &str| node::parse(text.as_bytes());
    assert_eq!(
        node(r#"{"name": "@a/b", "version": "1.0.0"}"#).unwrap(),
        Some(("@a/b".into(), "1.0.0".into()))
    );
    assert_eq!(node(r#"{"type": "module"}"#).unwrap(), None);
    assert!(node("{").is_err() && node(r#"{"name": 7}"#).is_err());
    let gem =
        b"Gem::Specification.new do |s|\n  s.name = \"rake\".freeze\n  s.version = \"13.0.6\"\nend";
    assert_eq!(gem::parse(gem), Some(("rake".into(), "13.0.6".into())));
    assert_eq!(gem::parse(b"s.name = \"x"), None);
}

#[test]
fn java_archives() {
    let pom = b"#c\ngroupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n";
    let manifest = b"Manifest-Version: 1.0\r\nBundle-Version: 5.3.\r\n 20\r\n\r\nName: x\r\nImplementation-Version: 9\r\n";
    let log4j =
        zip_of(&[("META-INF/maven/g/a/pom.properties", pom), ("META-INF/MANIFEST.MF", manifest)]);
    let spring = zip_of(&[("META-INF/MANIFEST.MF", manifest)]);
    let app = zip_of(&[
        ("BOOT-INF/lib/log4j-core-2.14.1.jar", &log4j),
        ("BOOT-INF/lib/spring-core.jar", &spring),
        ("BOOT-INF/lib/plain-1.2.jar", &zip_of(&[])),
        ("BOOT-INF/lib/broken.jar", b"no zip"),
    ]);
    let (lines, skipped) = jar_lines("app-0.1-SNAPSHOT.jar", &app);
    assert_eq!(
        lines,
        [
            "app 0.1-SNAPSHOT",
            "org.apache.logging.log4j:log4j-core 2.14.1 BOOT-INF/lib/log4j-core-2.14.1.jar",
            "plain 1.2 BOOT-INF/lib/plain-1.2.jar",
            "spring-core 5.3.20 BOOT-INF/lib/spring-core.jar",
        ]
    );
    assert!(
        skipped.len() == 1 && skipped[0].starts_with("BOOT-INF/lib/broken.jar: "),
        "{skipped:?}"
    );
    assert_eq!(jar_lines("x.jar", b"").0, Vec::<String>::new());
    for cut in (0..app.len()).step_by(11) {
        jar_lines("x.jar", &app[..cut]);
    }
}

#[test]
fn an_archive_that_unpacks_to_much_is_cut() {
    let bomb = zip_of(&[("META-INF/MANIFEST.MF", &vec![b' '; 10 << 20])]);
    let (lines, skipped) = jar_lines("bomb-1.jar", &bomb);
    assert_eq!(lines, ["bomb 1"]);
    assert_eq!(skipped, ["META-INF/MANIFEST.MF: larger than 65536 bytes"]);
}

/// The section as the Go linker lays it out.
fn build_info(list: &str) -> Vec<u8> {
    let string = |bytes: &[u8]| {
        let mut out = Vec::new();
        let mut length = bytes.len();
        while length >= 0x80 {
            out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap());
        out.extend(bytes);
        out
    };
    let mut out = b"\xff Go buildinf:\x08\x02".to_vec();
    out.resize(32, 0);
    out.extend(string(b"go1.21.5 X:boringcrypto"));
    out.extend(string(&[&[0; 16], list.as_bytes(), &[0; 16]].concat()));
    out
}

#[test]
fn go_programs() {
    let list = "path\tx/cmd\nmod\texample.org/x\t(devel)\t\ndep\tgolang.org/x/net\tv0.1.0\th1:a\n\
dep\told.org/y\tv1.0.0\th1:b\n=>\tnew.org/y\tv1.0.1\th1:c\nbuild\tGOOS=linux\n";
    let bytes = build_info(list);
    let modules = golang::parse(&bytes).unwrap();
    let lines: Vec<_> = modules.iter().map(|it| format!("{} {}", it.name, it.version)).collect();
    assert_eq!(
        lines,
        ["example.org/x (devel)", "golang.org/x/net v0.1.0", "new.org/y v1.0.1", "stdlib 1.21.5"]
    );
    for cut in 0..bytes.len() {
        assert!(golang::parse(&bytes[..cut]).is_err(), "{cut}");
    }
    let mut old = bytes.clone();
    old[15] = 0;
    assert!(matches!(golang::parse(&old), Err(golang::GoError::Old)));
    let shell = |_: u64, buffer: &mut [u8]| {
        buffer.fill(b'#');
        Ok(())
    };
    assert_eq!(golang::read(&shell).unwrap(), None);
}

#[test]
fn every_fixture_host() {
    let (debian, _) = collect_root(&fixture("debian12"));
    for line in [
        "dpkg bash 5.2.15-2+b2 -",
        "python requests 2.28.1 /usr/lib/python3/dist-packages",
        "npm left-pad 1.3.0 /usr/lib/node_modules/left-pad",
        "npm @scope/tool 2.0.0 /usr/lib/node_modules/@scope/tool",
        "npm inner 0.1.0 /usr/lib/node_modules/left-pad/node_modules/inner",
        "gem rake 13.0.6 /usr/share/rubygems-integration/all/specifications",
    ] {
        assert!(debian.iter().any(|it| it == line), "{line} in {debian:#?}");
    }
    let (rocky, _) = collect_root(&fixture("rocky9"));
    assert!(rocky.contains(&"rpm openssh-server 8.7p1-38.el9 -".to_owned()), "{rocky:#?}");
    let (alpine, _) = collect_root(&fixture("alpine3"));
    assert!(alpine.contains(&"apk busybox 1.36.1-r29 -".to_owned()), "{alpine:#?}");
    let (ubuntu, _) = collect_root(&fixture("ubuntu2404"));
    assert!(
        ubuntu.contains(&"dpkg openssh-server 1:9.6p1-3ubuntu13.5 -".to_owned()),
        "{ubuntu:#?}"
    );
}

#[test]
fn broken_records_are_named() {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("usr/lib/node_modules/a/package.json", b"{\"name\": \xff}");
    put("usr/lib/python3/dist-packages/x-1.dist-info/METADATA", b"\xff\xfe");
    put("opt/a/broken.jar", b"PK\x03\x04");
    put("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0 and no more");
    fs::create_dir_all(root.path().join("var/lib/dpkg/status")).unwrap();
    std::os::unix::fs::symlink("loop", root.path().join("opt/loop")).unwrap();
    let fifo = root.path().join("usr/local/bin/fifo.jar");
    fs::create_dir_all(fifo.parent().unwrap()).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
    let (lines, collected) = collect_root(root.path());
    assert_eq!(lines, Vec::<String>::new());
    assert!(!collected.complete);
    for part in [
        "package.json: ",
        "METADATA: no name",
        "broken.jar: no readable",
        "rpmdb.sqlite: ",
        "/var/lib/dpkg/status is a directory",
    ] {
        assert!(
            collected.skipped.iter().any(|it| it.text.contains(part)),
            "{part}: {:#?}",
            collected.skipped
        );
    }
}

/// Every file of the fixture hosts, and what is left of it after small damage, is survived.
#[test]
fn damaged_files_are_survived() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below.max(1) as u64).unwrap()
    };
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hosts")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let whole = std::fs::read(entry.path()).unwrap();
                files += 1;
                for round in 0..20 {
                    let mut bytes = whole.clone();
                    for _ in 0..round {
                        let at = next(bytes.len());
                        match next(3) {
                            0 => bytes.truncate(at),
                            1 => bytes.insert(at, b"\"';{}[]<>=: \n\\\xff\0"[next(16)]),
                            _ if at < bytes.len() => bytes[at] ^= 1 << next(8),
                            _ => {}
                        }
                    }
                    crate::collect::software::parse_any(&bytes);
                    crate::collect::autostart::parse_any(&bytes);
                    crate::collect::web::parse_any(&bytes);
                    crate::collect::service::parse_any(&bytes);
                    crate::packages::rpm::parse_any(&bytes);
                    crate::packages::apk::parse(&bytes, &mut |_, _, _| {});
                }
            }
        }
    }
    assert!(files > 50, "{files}");
}

/// Figures of the machine the test runs on: `cargo nextest run what_lies_on_disk --no-capture`.
#[test]
fn what_lies_on_disk_costs_little_when_nothing_changed() {
    use crate::inspect::thread_cpu;
    let root = HostRoot::live().unwrap();
    let mut packages = PackageIndex::default();
    packages.refresh(&root);
    let (hashes, memo) = (Mutex::new(HashCache::default()), Mutex::new(Memo::default()));
    let tables = ["software", "autostart", "web_site", "web_directory", "database", "middleware"]
        .map(|it| crate::inspect::collector(it).unwrap());
    let mut made = Vec::new();
    for run in ["cold", "warm", "warm again"] {
        let context = Context::new(&root, &packages, &hashes, Timestamp(0)).with_memo(&memo);
        let before = thread_cpu();
        context.processes();
        let begun = thread_cpu();
        let mut line = format!("{run}: processes {:?}", begun.saturating_sub(before));
        for table in tables {
            let start = thread_cpu();
            let rows = crate::collect::run(table, &context).rows.len();
            let cost = thread_cpu().saturating_sub(start);
            line = format!("{line}, {} {rows} rows {cost:?}", table.spec.kind);
        }
        println!("{line}; in all {:?}", thread_cpu().saturating_sub(begun));
        made.push(memo.lock().unwrap().made());
    }
    // Other tests may write files meanwhile; almost everything is still as it was.
    assert!(made[2] - made[1] <= made[0] / 10, "{made:?}");
}
