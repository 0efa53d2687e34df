//! What a package says the content of one of its files is.
//!
//! dpkg keeps MD5 sums in `/var/lib/dpkg/info/PACKAGE[:ARCH].md5sums`, apk SHA-1 sums in the `Z:`
//! lines of its database, rpm a digest of its choice in the header. The sums of dpkg and apk are
//! read when asked for; an rpm database is only understood as a whole, so the sums of its
//! executables are kept.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use super::apk::{INSTALLED, INSTALLED_BYTES_MAX};
use super::rpm::Database;
use crate::host_root::HostRoot;

/// Largest list of sums: that of the largest package of Debian has some 10 MB.
const LIST_BYTES_MAX: usize = 32 << 20;
/// Most executables of an rpm host whose sums are kept: 5 MB.
const RPM_FILES_MAX: usize = 100_000;
/// Architectures a package may be of on one host, most likely first.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: [&str; 3] = ["amd64", "i386", "x32"];
#[cfg(not(target_arch = "x86_64"))]
const ARCHITECTURES: [&str; 2] = ["arm64", "armhf"];

/// A digest of the kind the package manager uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileDigest {
    Md5([u8; 16]),
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

impl FileDigest {
    /// From hexadecimal digits; their number tells the kind.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(digits).ok()?;
        match bytes.len() {
            16 => bytes.try_into().ok().map(Self::Md5),
            20 => bytes.try_into().ok().map(Self::Sha1),
            32 => bytes.try_into().ok().map(Self::Sha256),
            _ => None,
        }
    }
}

/// Answers for all three databases.
#[derive(Debug, Default)]
pub struct Digests {
    rpm: HashMap<u64, FileDigest>,
    hasher: RandomState,
}

impl Digests {
    /// Reads what has to be read as a whole. Costs nothing on a host without rpm.
    pub fn read(root: &HostRoot) -> Self {
        let mut it = Self::default();
        if let Some(database) = Database::find(root) {
            // What could not be read was said when the index of packages was made.
            database.each_package(root, &mut |entry| {
                entry.each_executable(&mut |path, digest| {
                    if it.rpm.len() < RPM_FILES_MAX
                        && let Some(digest) = FileDigest::from_hex(digest)
                    {
                        it.rpm.insert(it.hasher.hash_one(path), digest);
                    }
                });
            });
        }
        it
    }

    /// What `package` says of the file at the absolute `path`; `None`: it says nothing.
    pub fn of(&self, root: &HostRoot, package: &str, path: &str) -> Option<FileDigest> {
        let names = spellings(path);
        let names = || names.iter().map(String::as_str);
        names()
            .find_map(|it| self.rpm.get(&self.hasher.hash_one(it.as_bytes())).copied())
            .or_else(|| dpkg(root, package, names))
            .or_else(|| apk(root, names))
    }
}

/// The path, and as it was before `/usr` was merged: packages may name a file either way.
fn spellings(path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    if let Some(rest) = path.strip_prefix("/usr")
        && ["/bin/", "/sbin/", "/lib", "/lib64/"].iter().any(|it| rest.starts_with(it))
    {
        all.push(rest.to_owned());
    }
    if let Some(rest) = path.strip_prefix("/usr/bin/") {
        all.extend([format!("/usr/sbin/{rest}"), format!("/sbin/{rest}")]);
    }
    all
}

fn dpkg<'a, I: Iterator<Item = &'a str>>(
    root: &HostRoot,
    package: &str,
    names: impl Fn() -> I,
) -> Option<FileDigest> {
    let plain = std::iter::once(String::new());
    let suffixes = plain.chain(ARCHITECTURES.iter().map(|it| format!(":{it}")));
    let files = suffixes.map(|it| format!("/var/lib/dpkg/info/{package}{it}.md5sums"));
    let lists = files.filter_map(|it| root.read(it, LIST_BYTES_MAX).ok());
    lists.into_iter().find_map(|list| names().find_map(|name| in_md5sums(&list, name)))
}

/// `DIGEST  PATH` lines, the path without the slash before it.
pub fn in_md5sums(list: &[u8], path: &str) -> Option<FileDigest> {
    let path = path.trim_start_matches('/').as_bytes();
    memchr::memmem::find_iter(list, path).find_map(|at| {
        let end = at + path.len();
        let ends = list.get(end).is_none_or(|it| *it == b'\n');
        let begin = memchr::memrchr(b'\n', list.get(..at)?).map_or(0, |it| it + 1);
        let digest = list.get(begin..at)?.strip_suffix(b"  ")?;
        if ends { FileDigest::from_hex(digest) } else { None }
    })
}

fn apk<'a, I: Iterator<Item = &'a str>>(
    root: &HostRoot,
    names: impl Fn() -> I,
) -> Option<FileDigest> {
    let database = root.read(INSTALLED, INSTALLED_BYTES_MAX).ok()?;
    names().find_map(|name| in_apk(&database, name))
}

/// The `Z:` line after the `R:` line of the file: `Q1` and base64 of SHA-1.
pub fn in_apk(database: &[u8], path: &str) -> Option<FileDigest> {
    let (directory, name) = path.strip_prefix('/')?.rsplit_once('/').unwrap_or(("", path));
    let (mut inside, mut here) = (false, false);
    for line in database.split(|it| *it == b'\n') {
        match line {
            [b'F', b':', value @ ..] => (inside, here) = (value == directory.as_bytes(), false),
            [b'R', b':', value @ ..] => here = inside && value == name.as_bytes(),
            [b'Z', b':', b'Q', b'1', value @ ..] if here => {
                let bytes = BASE64.decode(value).ok()?;
                return bytes.try_into().ok().map(FileDigest::Sha1);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn md5sums_by_whole_path() {
        let list =
            format!("{}  usr/bin/abcd\n{ABC}  usr/bin/abc\nbad  usr/bin/x\n", "0".repeat(32));
        let want = FileDigest::from_hex(ABC.as_bytes());
        for (path, found) in [
            ("/usr/bin/abc", want),
            ("/bin/abc", None),
            ("/usr/bin/ab", None),
            ("/usr/bin/x", None),
            ("/usr/bin/abc\n", None),
        ] {
            assert_eq!(in_md5sums(list.as_bytes(), path), found, "{path}");
        }
        assert!(in_md5sums(b"", "/").is_none());
    }

    #[test]
    fn apk_sums_stand_after_their_file() {
        let database = "P:busybox\nF:bin\nR:busybox\na:0:0:755\nZ:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nR:none\n\nP:x\nF:sbin\nR:busybox\n";
        assert_eq!(in_apk(database.as_bytes(), "/bin/busybox"), Some(FileDigest::Sha1([0; 20])));
        assert_eq!(in_apk(database.as_bytes(), "/sbin/busybox"), None);
        assert_eq!(in_apk(database.as_bytes(), "/bin/none"), None);
    }

    #[test]
    fn this_host_verifies_its_shell() {
        let root = HostRoot::live().unwrap();
        let mut index = crate::packages::PackageIndex::default();
        index.refresh(&root);
        let shell = std::fs::canonicalize("/bin/bash").unwrap();
        let Some(package) = index.owner(&shell) else {
            eprintln!("skipped: this host has no package of {}", shell.display());
            return;
        };
        let digest = Digests::read(&root).of(&root, package, shell.to_str().unwrap());
        let content = std::fs::read(&shell).unwrap();
        let is_same = match digest.expect("packages name digests here") {
            FileDigest::Md5(it) => {
                <[u8; 16]>::from(<md5::Md5 as md5::Digest>::digest(&content)) == it
            }
            FileDigest::Sha1(it) => {
                ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &content).as_ref()
                    == it
            }
            FileDigest::Sha256(it) => {
                ring::digest::digest(&ring::digest::SHA256, &content).as_ref() == it
            }
        };
        assert!(is_same, "{digest:?}");
    }
}
