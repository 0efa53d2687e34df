//! SHA-256 of files that are asked for again and again.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::host_root::{FileKind, HostRoot, Metadata, ReadError};

/// Most files remembered: about 1 MiB. When it is full the half not used for longest goes.
pub const FILES_MAX: usize = 8192;
/// Largest file that is hashed.
pub const FILE_BYTES_MAX: usize = 512 << 20;
const CHUNK_BYTES: usize = 256 << 10;

/// What must be the same for a file not to have changed. ctime cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    device: u64,
    inode: u64,
    modified_ns: i64,
    changed_ns: i64,
    size: u64,
}

impl From<&Metadata> for Key {
    fn from(it: &Metadata) -> Self {
        let &Metadata { device, inode, modified_ns, changed_ns, size, .. } = it;
        Self { device, inode, modified_ns, changed_ns, size }
    }
}

#[derive(Debug)]
struct Slot {
    digest: [u8; 32],
    used: u64,
}

/// Digests by identity of the file, bounded.
#[derive(Debug, Default)]
pub struct HashCache {
    slots: HashMap<Key, Slot>,
    /// Counts look-ups: the age of a slot.
    clock: u64,
    reads: u64,
}

impl HashCache {
    /// Hexadecimal SHA-256 of the regular file at `path`.
    pub fn sha256(&mut self, root: &HostRoot, path: &Path) -> Result<String, ReadError> {
        self.clock += 1;
        let found = root.metadata(path)?;
        // Anything but a file falls through to the error of opening it.
        if found.kind == FileKind::File
            && let Some(slot) = self.slots.get_mut(&Key::from(&found))
        {
            slot.used = self.clock;
            return Ok(HEXLOWER.encode(&slot.digest));
        }
        let (file, metadata) = root.open_with_metadata(path)?;
        let digest = digest(file, path)?;
        self.reads += 1;
        if self.slots.len() >= FILES_MAX {
            self.drop_older_half();
        }
        self.slots.insert(Key::from(&metadata), Slot { digest, used: self.clock });
        Ok(HEXLOWER.encode(&digest))
    }

    /// Files read since the start: a full second run adds none.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    fn drop_older_half(&mut self) {
        let mut ages: Vec<u64> = self.slots.values().map(|it| it.used).collect();
        let middle = ages.len() / 2;
        let (_, median, _) = ages.select_nth_unstable(middle);
        let median = *median;
        self.slots.retain(|_, slot| slot.used >= median);
    }
}

fn digest(file: std::fs::File, path: &Path) -> Result<[u8; 32], ReadError> {
    let mut rest = file.take(FILE_BYTES_MAX as u64 + 1);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = match rest.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(it) if it.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(ReadError::Io { path: path.to_owned(), source }),
        };
        hasher.update(chunk.get(..length).unwrap_or_default());
    }
    if rest.limit() == 0 {
        return Err(ReadError::TooLarge { path: path.to_owned(), max: FILE_BYTES_MAX });
    }
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_again_only_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let root = HostRoot::new(folder.path()).unwrap();
        let mut cache = HashCache::default();
        std::fs::write(folder.path().join("a"), "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for _ in 0..3 {
            assert_eq!(cache.sha256(&root, Path::new("/a")).unwrap(), abc);
        }
        assert_eq!(cache.reads(), 1);
        std::fs::write(folder.path().join("a"), "abcd").unwrap();
        assert_ne!(cache.sha256(&root, Path::new("/a")).unwrap(), abc);
        assert_eq!(cache.reads(), 2);
        assert!(cache.sha256(&root, Path::new("/b")).unwrap_err().is_absent());
        assert!(matches!(cache.sha256(&root, Path::new("/")), Err(ReadError::Kind { .. })));
    }

    #[test]
    fn stays_within_its_bound() {
        let mut cache = HashCache::default();
        for inode in 0..FILES_MAX as u64 {
            let key = Key { device: 1, inode, modified_ns: 0, changed_ns: 0, size: 0 };
            cache.slots.insert(key, Slot { digest: [0; 32], used: inode });
        }
        cache.drop_older_half();
        assert_eq!(cache.slots.len(), FILES_MAX / 2);
        assert!(cache.slots.values().all(|it| it.used >= FILES_MAX as u64 / 2));
    }
}
