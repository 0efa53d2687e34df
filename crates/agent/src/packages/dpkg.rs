//! The file lists of dpkg: `/var/lib/dpkg/info/PACKAGE[:ARCH].list`, one path a line, and
//! `/var/lib/dpkg/diversions`, three lines each: path, new path, package (or `:`). See dpkg(1)
//! and dpkg-divert(1).

use std::os::unix::ffi::OsStrExt as _;

use model::because;

use super::{Builder, Source, too_many};
use crate::host_root::HostRoot;

const INFO: &str = "/var/lib/dpkg/info";
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
/// Largest file list: the longest in Debian have some 100,000 paths.
const LIST_BYTES_MAX: usize = 32 << 20;
const DIVERSIONS_BYTES_MAX: usize = 4 << 20;

pub(super) static SOURCE: Source = Source { stamps: &["/var/lib/dpkg/status", DIVERSIONS], read };

fn read(root: &HostRoot, builder: &mut Builder) {
    match root.read(DIVERSIONS, DIVERSIONS_BYTES_MAX) {
        Ok(bytes) => parse_diversions(&bytes, |from, to, by| builder.divert(from, to, by)),
        Err(error) if error.is_absent() => {}
        Err(error) => builder.skip(error.because()),
    }
    let (directory, entries) =
        match root.open_dir(INFO).and_then(|it| it.entries().map(|entries| (it, entries))) {
            Ok(it) => it,
            Err(error) if error.is_absent() => return,
            Err(error) => return builder.skip(error.because()),
        };
    let mut buffer = Vec::new();
    for entry in entries {
        let Some(name) = package_of_list(entry.name.as_bytes()) else { continue };
        match directory.read(&entry.name, LIST_BYTES_MAX, &mut buffer) {
            Ok(false) => {}
            Ok(true) => {
                let why = because!(
                    "skip.tail",
                    "only the first {max} bytes were read",
                    max = LIST_BYTES_MAX
                );
                builder.skip(why.at(&format!("{INFO}/{}", entry.name.display())));
            }
            Err(error) => {
                builder.skip(error.because());
                continue;
            }
        }
        let Some(package) = builder.package(name) else {
            return builder.skip(too_many().at(INFO));
        };
        parse_list(&buffer, |path| builder.file(package, path));
    }
}

/// `libc6:amd64.list` is of `libc6`.
fn package_of_list(name: &[u8]) -> Option<&[u8]> {
    let name = name.strip_suffix(b".list")?;
    name.split(|it| *it == b':').next()
}

/// Every path that is not plainly a directory: those stand before what is in them.
pub fn parse_list<'a>(bytes: &'a [u8], mut each: impl FnMut(&'a [u8])) {
    let mut last: &[u8] = b"";
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
        let path = bytes.get(start..end).unwrap_or_default();
        start = end + 1;
        if !path.starts_with(b"/") {
            continue;
        }
        let inside = path.strip_prefix(last).is_some_and(|it| it.starts_with(b"/"));
        if !inside && !last.is_empty() {
            each(last);
        }
        last = path;
    }
    if !last.is_empty() {
        each(last);
    }
}

/// Path, where it went, and the package whose own file stays. Incomplete triples are left out.
pub fn parse_diversions(bytes: &[u8], mut each: impl FnMut(&[u8], &[u8], &[u8])) {
    let mut lines = bytes.split(|it| *it == b'\n');
    while let (Some(from), Some(to), Some(by)) = (lines.next(), lines.next(), lines.next()) {
        if from.starts_with(b"/") && to.starts_with(b"/") {
            each(from, to, by);
        }
    }
}
