//! Which content is which program: shells, interpreters and tools of this host, so that a copy
//! under another name is known for what it is.
//!
//! A file is known by its inode, else by its digest (asked only where the size fits), else by the
//! build id its linker wrote into it, which stays when a copy is padded or signed.

use std::collections::HashMap;

use super::image::{Digested, digest_file};
use super::names::{COPIED, ImageKind, MULTI_CALL, PROGRAM_DIRECTORIES, kind_of_name};
use crate::host_root::{FileKind, HostRoot, Metadata};
use crate::packages::PackageIndex;
use crate::verdict::Sha256;

/// Most programs in the index.
const PROGRAMS_MAX: usize = 1024;
/// Where a build id is looked for; linkers put it into the first page.
const HEAD_BYTES: usize = 4096;
/// Longest build id: SHA-1 has 20 bytes.
const BUILD_ID_BYTES_MAX: usize = 64;

/// A program that may be met under another name.
#[derive(Debug)]
pub struct Known {
    pub name: String,
    pub kind: ImageKind,
    path: String,
    size: u64,
    digest: Option<Sha256>,
}

/// Programs of this host by what they are made of.
#[derive(Debug, Default)]
pub struct KnownPrograms {
    programs: Vec<Known>,
    by_inode: HashMap<(u64, u64), Vec<usize>>,
    by_size: HashMap<u64, Vec<usize>>,
    by_build_id: HashMap<Vec<u8>, usize>,
}

impl KnownPrograms {
    /// Looks the tables' programs up in the usual folders. Only what a package brought counts,
    /// or what only root could have put there.
    pub fn read(root: &HostRoot, packages: &PackageIndex) -> Self {
        let mut it = Self::default();
        for directory in PROGRAM_DIRECTORIES {
            // `/bin` is `/usr/bin` where it is a link.
            let is_link =
                root.symlink_metadata(directory).is_ok_and(|it| it.kind == FileKind::Symlink);
            if is_link {
                continue;
            }
            for entry in root.read_dir(directory).unwrap_or_default() {
                let Some(name) = entry.name.to_str() else { continue };
                let is_multi = MULTI_CALL.contains(&name);
                if entry.kind == FileKind::File
                    && (is_multi
                        || kind_of_name(name) != ImageKind::Other
                        || COPIED.contains(&name))
                {
                    it.add(root, packages, &format!("{directory}/{name}"), name);
                }
            }
        }
        it
    }

    fn add(&mut self, root: &HostRoot, packages: &PackageIndex, path: &str, name: &str) {
        let Ok(found) = root.metadata(path) else { return };
        let packaged = packages.owner(path).is_some();
        if found.uid != 0 || !(packaged || packages.is_empty() || path.starts_with("/usr/local/")) {
            return;
        }
        if self.programs.len() >= PROGRAMS_MAX {
            return;
        }
        let index = self.programs.len();
        if let Ok(head) = root.read_prefix(path, HEAD_BYTES)
            && let Some(id) = build_id(&head.bytes)
        {
            self.by_build_id.entry(id.to_vec()).or_insert(index);
        } else if !is_elf_at(root, path) {
            // A script names its interpreter; it is told by its path.
            return;
        }
        self.by_inode.entry((found.device, found.inode)).or_default().push(index);
        self.by_size.entry(found.size).or_default().push(index);
        self.programs.push(Known {
            name: name.to_owned(),
            kind: kind_of_name(name),
            path: path.to_owned(),
            size: found.size,
            digest: None,
        });
    }

    pub fn len(&self) -> usize {
        self.programs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// The program whose very file this is; among its names the one asked for.
    pub fn by_inode(&self, device: u64, inode: u64, name: &str) -> Option<&Known> {
        let found = self.by_inode.get(&(device, inode))?;
        let all = || found.iter().filter_map(|it| self.programs.get(*it));
        all().find(|it| it.name == name).or_else(|| all().next())
    }

    /// A content of this size may be a copy.
    pub fn has_size(&self, size: u64) -> bool {
        self.by_size.contains_key(&size)
    }

    /// The program of this content.
    pub fn by_digest(&mut self, root: &HostRoot, size: u64, digest: &Sha256) -> Option<&Known> {
        let candidates = self.by_size.get(&size)?.clone();
        for index in candidates {
            let Some(known) = self.programs.get_mut(index) else { continue };
            if known.digest.is_none() {
                let file = root.open_with_metadata(&known.path).ok();
                let same = file.filter(|(_, it): &(_, Metadata)| it.size == known.size);
                known.digest = same
                    .and_then(|(file, _)| digest_file(file, known.size).ok())
                    .map(|it: Digested| it.sha256);
            }
            if known.digest.as_ref() == Some(digest) {
                return self.programs.get(index);
            }
        }
        None
    }

    /// The program whose linker wrote this id.
    pub fn by_build_id(&self, head: &[u8]) -> Option<&Known> {
        self.programs.get(*self.by_build_id.get(build_id(head)?)?)
    }
}

fn is_elf_at(root: &HostRoot, path: &str) -> bool {
    root.read_prefix(path, 4).is_ok_and(|it| it.bytes == b"\x7fELF")
}

/// The build id note of an ELF file, out of its first bytes: gABI, "Note Section", and
/// `NT_GNU_BUILD_ID` of the GNU tools.
pub fn build_id(head: &[u8]) -> Option<&[u8]> {
    const PT_NOTE: u64 = 4;
    const NT_GNU_BUILD_ID: u64 = 3;
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let is_64 = *head.get(4)? == 2;
    let is_little = *head.get(5)? == 1;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let part = head.get(at..at.checked_add(bytes)?)?;
        let shift = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Some(if is_little { part.iter().rev().fold(0, shift) } else { part.iter().fold(0, shift) })
    };
    let (table, entry_bytes, count) = if is_64 {
        (number(32, 8)?, number(54, 2)?, number(56, 2)?)
    } else {
        (number(28, 4)?, number(42, 2)?, number(44, 2)?)
    };
    for index in 0..count.min(64) {
        let at = usize::try_from(table.checked_add(index.checked_mul(entry_bytes)?)?).ok()?;
        if number(at, 4)? != PT_NOTE {
            continue;
        }
        let (offset, length) = if is_64 {
            (number(at.checked_add(8)?, 8)?, number(at.checked_add(32)?, 8)?)
        } else {
            (number(at.checked_add(4)?, 4)?, number(at.checked_add(16)?, 4)?)
        };
        let end = offset.checked_add(length)?;
        let mut note = offset;
        while note.checked_add(12)? <= end {
            let place = usize::try_from(note).ok()?;
            let (Some(name), Some(data), Some(kind)) = (
                number(place, 4),
                number(place.checked_add(4)?, 4),
                number(place.checked_add(8)?, 4),
            ) else {
                break;
            };
            let data_at = note.checked_add(12)?.checked_add(name.checked_add(3)? & !3)?;
            if kind == NT_GNU_BUILD_ID && name == 4 {
                let from = usize::try_from(data_at).ok()?;
                let length = usize::try_from(data).ok().filter(|it| *it <= BUILD_ID_BYTES_MAX)?;
                return head.get(from..from.checked_add(length)?).filter(|it| it.len() >= 8);
            }
            note = data_at.checked_add(data.checked_add(3)? & !3)?;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_hosts_shell_is_known_by_all_it_is_made_of() {
        let root = HostRoot::live().unwrap();
        let mut packages = PackageIndex::default();
        packages.refresh(&root);
        let mut known = KnownPrograms::read(&root, &packages);
        let path = std::fs::canonicalize("/bin/bash").unwrap();
        let content = std::fs::read(&path).unwrap();
        let found = root.metadata(&path).unwrap();
        let it = known.by_inode(found.device, found.inode, "bash").unwrap();
        assert_eq!((it.name.as_str(), it.kind), ("bash", ImageKind::Shell));
        let digest = digest_file(std::fs::File::open(&path).unwrap(), found.size).unwrap();
        assert_eq!(known.by_digest(&root, found.size, &digest.sha256).unwrap().name, "bash");
        assert!(known.by_digest(&root, found.size, &[0; 32]).is_none());
        if build_id(&content).is_some() {
            assert_eq!(known.by_build_id(&content).unwrap().name, "bash");
        } else {
            eprintln!("skipped: bash has no build id here");
        }
    }

    #[test]
    fn strange_files_have_no_build_id() {
        let bash = std::fs::read("/bin/bash").unwrap();
        for length in 0..bash.len().min(600) {
            assert_eq!(build_id(&bash[..length]), None, "{length}");
        }
        for seed in 0..2000_usize {
            let mut head = bash[..4096.min(bash.len())].to_vec();
            for step in 0..20 {
                let at = (seed * 7919 + step * 104_729) % 1024;
                head[at] = (seed * 31 + step) as u8;
            }
            if let Some(id) = build_id(&head) {
                assert!(id.len() <= BUILD_ID_BYTES_MAX);
            }
        }
    }
}
