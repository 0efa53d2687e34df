//! Small files in the agent's own directory: written whole or not at all, readable by nobody else.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use model::because::{Because, cause};

use crate::respond::step::Explain;

/// Why a state file could not be written. The old one is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct StateError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Explain for StateError {
    fn because(&self) -> Because {
        let path = self.path.display().to_string();
        Because::of(self, "state.unwritten", [("path", path), ("cause", cause(self))])
    }
}

/// The file's bytes; `None` if it is missing, unreadable or larger than `max` bytes.
pub fn read(path: &Path, max: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(max as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= max).then_some(bytes)
}

/// Makes the folder, for nobody else, unless it is there.
pub fn make_folder(path: &Path) -> Result<(), StateError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StateError { path: path.to_owned(), source })
}

/// Replaces the file, durable when this returns.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let fail = |source| StateError { path: path.to_owned(), source };
    put(path, bytes, File::sync_all)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|it| it.sync_all()).map_err(fail)
}

/// Replaces the file. After a loss of power it may be the old one, or empty.
pub fn write_transient(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    put(path, bytes, |_| Ok(()))
}

fn put(
    path: &Path,
    bytes: &[u8],
    settle: impl Fn(&File) -> std::io::Result<()>,
) -> Result<(), StateError> {
    let fail = |source| StateError { path: path.to_owned(), source };
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(fail)?;
    file.write_all(bytes).and_then(|()| settle(&file)).map_err(fail)?;
    std::fs::rename(&new, path).map_err(fail)
}

/// Replaces the file with `value` as JSON.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), StateError> {
    write(path, &json(path, value)?)
}

/// `value` as JSON, for the file at `path`.
pub fn json(path: &Path, value: &impl serde::Serialize) -> Result<Vec<u8>, StateError> {
    serde_json::to_vec(value).map_err(|it| StateError { path: path.to_owned(), source: it.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.json");
        assert_eq!(read(&path, 10), None);
        write(&path, b"first, longer").unwrap();
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(read(&path, 10).unwrap(), b"[1,2]");
        assert_eq!(read(&path, 4), None);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
