//! Installed Alpine packages: `lib/apk/db/installed`.
//!
//! Format: blocks of `letter:value` lines parted by an empty line. `P` name, `V` version,
//! `A` architecture, `o` source package, `F` a directory, `R` a file in the last directory.

use model::because;
use model::because::Because;

use super::{Builder, Source, too_many};
use crate::host_root::HostRoot;

#[cfg(test)]
mod tests;

pub const INSTALLED: &str = "/lib/apk/db/installed";
/// Largest database read: a hundred times that of a large installation.
pub const INSTALLED_BYTES_MAX: usize = 256 * 1024 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApkPackage {
    pub name: String,
    pub version: String,
    pub arch: Option<String>,
    /// Package it was built from.
    pub source: Option<String>,
}

/// Takes the index of a package, a directory without slashes at its ends, and a file name.
pub type EachFile<'a> = &'a mut dyn FnMut(usize, &[u8], &[u8]);

pub(super) static SOURCE: Source = Source { stamps: &[INSTALLED], read: read_files };

fn read_files(root: &HostRoot, builder: &mut Builder) {
    let bytes = match root.read(INSTALLED, INSTALLED_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_absent() => return,
        Err(error) => return builder.skip(error.because()),
    };
    let mut path = Vec::new();
    let mut files = Vec::new();
    // A package's files follow its name, but the name is known only when its block ends.
    let (packages, skipped) = parse(&bytes, &mut |package, directory, name| {
        path.clear();
        path.push(b'/');
        if !directory.is_empty() {
            path.extend_from_slice(directory);
            path.push(b'/');
        }
        path.extend_from_slice(name);
        files.push((package, path.clone()));
    });
    let mut files = files.into_iter().peekable();
    for (index, package) in packages.iter().enumerate() {
        let Some(number) = builder.package(package.name.as_bytes()) else {
            return builder.skip(too_many().at(INSTALLED));
        };
        while let Some((_, path)) = files.next_if(|(owner, _)| *owner == index) {
            builder.file(number, &path);
        }
    }
    for line in skipped {
        builder.skip(line);
    }
}

/// Reads the packages and calls `each_file` with (index of the package, directory without
/// slashes at its ends, file name). Returns the packages and what was skipped.
pub fn parse(bytes: &[u8], each_file: EachFile<'_>) -> (Vec<ApkPackage>, Vec<Because>) {
    let (mut packages, mut skipped) = (Vec::<ApkPackage>::new(), Vec::new());
    let mut current = ApkPackage::default();
    let mut directory: &[u8] = b"";
    let mut begun_at = 1;
    let mut close = |current: &mut ApkPackage, line: usize, begun_at: usize| {
        let done = std::mem::take(current);
        if done.name.is_empty() {
            if line > begun_at {
                let why = because!("package.nameless", "a package without name or version");
                skipped.push(why.at(&format!("{INSTALLED}:{begun_at}")));
            }
        } else {
            packages.push(done);
        }
        packages.len()
    };
    let mut number = 0;
    for (index, line) in bytes.split(|it| *it == b'\n').enumerate() {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match line {
            [] => {
                number = close(&mut current, index + 1, begun_at);
                begun_at = index + 2;
                directory = b"";
            }
            [b'P', b':', value @ ..] => current.name = text(value),
            [b'V', b':', value @ ..] => current.version = text(value),
            [b'A', b':', value @ ..] => current.arch = Some(text(value)),
            [b'o', b':', value @ ..] => current.source = Some(text(value)),
            [b'F', b':', value @ ..] => directory = value,
            [b'R', b':', value @ ..] => each_file(number, directory, value),
            _ => {}
        }
    }
    close(&mut current, 0, 0);
    (packages, skipped)
}
