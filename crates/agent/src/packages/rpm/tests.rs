use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Five packages in headers that rpm 4.18 wrote, in the table of its SQLite layout.
fn rocky9() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hosts/rocky9")
}

/// The same headers in a file that Berkeley DB 5.3 wrote.
const BERKELEY: &[u8] = include_bytes!("fixtures/Packages");

const EXPECTED: [&str; 5] = [
    "bash 5.1.8-9.el9 x86_64",
    "crontabs 1.11-27.el9 x86_64",
    "dbus 1:1.12.20-8.el9 x86_64",
    "httpd 2.4.57-8.el9 x86_64",
    "openssh-server 8.7p1-38.el9 x86_64",
];

fn read(root: &Path) -> (Vec<String>, Vec<String>, Vec<Because>) {
    let root = HostRoot::new(root).unwrap();
    let database = Database::find(&root).unwrap();
    let (mut packages, mut files) = (Vec::new(), Vec::new());
    let skipped = database.each_package(&root, &mut |it| {
        let package = &it.package;
        let arch = package.arch.clone().unwrap_or_default();
        packages.push(format!("{} {} {arch}", package.name, package.version));
        it.each_file(&mut |path| files.push(String::from_utf8_lossy(path).into_owned()));
    });
    packages.sort();
    files.sort();
    (packages, files, skipped)
}

/// A root whose only content is a database file.
fn root_with(file: &str, bytes: &[u8]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("var/lib/rpm")).unwrap();
    fs::write(root.path().join("var/lib/rpm").join(file), bytes).unwrap();
    root
}

/// Lays headers out as ndb does: slots in the first page, blobs in 16-byte blocks after it.
fn ndb_file(headers: &[Vec<u8>]) -> Vec<u8> {
    let mut slots = vec![0; 4096];
    let mut blobs = Vec::new();
    let word = |it: usize| u32::try_from(it).unwrap().to_le_bytes();
    slots[..4].copy_from_slice(b"RpmP");
    slots[12..16].copy_from_slice(&word(1));
    slots[16..20].copy_from_slice(&word(headers.len() + 1));
    for (index, header) in headers.iter().enumerate() {
        let block = (4096 + blobs.len()) / 16;
        let blocks = (16 + header.len() + 12).div_ceil(16);
        let at = 32 + index * 16;
        let slot = [*b"Slot", word(index + 1), word(block), word(blocks)].concat();
        slots[at..at + 16].copy_from_slice(&slot);
        let begin = blobs.len();
        blobs.extend([*b"BlbS", word(index + 1), word(1), word(header.len())].concat());
        blobs.extend(header);
        blobs.resize(begin + blocks * 16, 0);
    }
    [slots, blobs].concat()
}

fn headers() -> Vec<Vec<u8>> {
    let mut headers = Vec::new();
    let read_at = |at: u64, buffer: &mut [u8]| slice_read(BERKELEY, at, buffer);
    berkeley::blobs(&read_at, &mut |it| headers.push(it.to_vec()), &mut Vec::new()).unwrap();
    headers
}

fn slice_read(bytes: &[u8], at: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    let at = usize::try_from(at).unwrap();
    let part = bytes
        .get(at..at + buffer.len())
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
    buffer.copy_from_slice(part);
    Ok(())
}

#[test]
fn every_layout_gives_the_same_packages() {
    let berkeley = root_with("Packages", BERKELEY);
    let ndb = root_with("Packages.db", &ndb_file(&headers()));
    let (packages, files, skipped) = read(&rocky9());
    assert_eq!(packages, EXPECTED);
    assert!(files.contains(&"/usr/sbin/sshd".to_owned()), "{files:?}");
    assert!(files.contains(&"/usr/lib/systemd/system/httpd.service".to_owned()), "{files:?}");
    assert!(skipped.is_empty(), "{skipped:?}");
    for root in [berkeley, ndb] {
        assert_eq!(read(root.path()), (packages.clone(), files.clone(), Vec::new()));
    }
}

#[test]
fn a_cut_database_gives_what_is_left_and_says_so() {
    let sqlite = fs::read(rocky9().join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    let ndb = ndb_file(&headers());
    for (file, bytes) in
        [("rpmdb.sqlite", &sqlite[..]), ("Packages.db", &ndb[..]), ("Packages", BERKELEY)]
    {
        for part in [0, 1, 30, 99] {
            let root = root_with(file, &bytes[..bytes.len() * part / 100]);
            let (packages, _, skipped) = read(root.path());
            assert!(packages.len() < 5 || part == 99, "{file} {part}%: {packages:?}");
            assert!(!skipped.is_empty() || packages.len() == 5, "{file} {part}%");
            assert!(skipped.iter().all(|it| it.text.starts_with("/var/lib/rpm/")), "{skipped:?}");
        }
        let root = root_with(file, &[0xa5; 9000]);
        assert_eq!(read(root.path()).0, Vec::<String>::new());
    }
}

#[test]
fn no_header_makes_the_parser_fail_badly() {
    for header in headers() {
        assert!(Entry::parse(&header).is_ok());
        for cut in (0..header.len()).step_by(7) {
            let _ = Entry::parse(&header[..cut]);
        }
        for at in (0..header.len().min(2000)).step_by(3) {
            let mut broken = header.clone();
            broken[at] ^= 0xff;
            if let Ok(entry) = Entry::parse(&broken) {
                entry.each_file(&mut |_| {});
            }
        }
    }
}

#[test]
fn a_circle_of_overflow_pages_ends() {
    let mut file = BERKELEY.to_vec();
    for page in file.chunks_exact_mut(1024).filter(|it| it[25] == 7) {
        page[16..20].copy_from_slice(&1_u32.to_le_bytes());
    }
    let root = root_with("Packages", &file);
    let (packages, _, skipped) = read(root.path());
    assert!(packages.len() < 5 && !skipped.is_empty(), "{packages:?} {skipped:?}");
}

#[test]
fn a_database_that_is_no_file_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    let (packages, _, skipped) = read(root.path());
    assert!(packages.is_empty());
    assert!(skipped[0].text.contains("is a directory, not a file"), "{skipped:?}");
}

#[test]
fn the_index_knows_the_owners() {
    let mut index = crate::packages::PackageIndex::default();
    assert!(index.refresh(&HostRoot::new(rocky9()).unwrap()));
    assert_eq!(index.owner("/usr/sbin/sshd"), Some("openssh-server"));
    assert_eq!(index.owner("/usr/sbin/sshe"), None);
}
