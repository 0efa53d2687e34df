//! Follows a text log through rotation by renaming, copying and truncating.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host_root::{HostRoot, ReadError};

#[cfg(test)]
mod tests;

/// A file seen for the first time is read from this far before its end.
pub const LOOK_BACK_BYTES: u64 = 256 * 1024;
/// Longer lines are passed over.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// Read of one file in one poll; the rest follows in the next.
const POLL_BYTES_MAX: usize = 4 * 1024 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;
/// The beginning of a file, by which it is known again under another name.
const HEAD_BYTES_MAX: usize = 256;
/// A renamed file is read on for this many polls without news: its writer keeps it open.
const FAREWELL_POLLS: u32 = 300;
/// Names beside the log that are looked at for the rest of a rotated file.
const SIBLINGS_MAX: usize = 64;

/// How far a log has been read. Enough to find the place again under a rotated name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub offset: u64,
    head_bytes: usize,
    head_digest: u64,
}

/// One log that is followed.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    current: Option<Open>,
    /// Renamed, but perhaps still written to.
    leaving: Option<(Open, u32)>,
    resume: Option<Position>,
    seen_before: bool,
}

/// What one poll brought besides lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    pub lines: u64,
    /// Lines too long to be understood.
    pub skipped: u64,
    /// There is more to read right away.
    pub more: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: (u64, u64),
    position: Position,
    partial: Vec<u8>,
    /// Inside a line that is too long, or in the middle of the first one.
    skipping: bool,
}

impl Follower {
    /// `resume` is the position kept from the last run, if there was one.
    pub fn new(path: PathBuf, resume: Option<Position>) -> Self {
        let seen_before = resume.is_some();
        Self { path, current: None, leaving: None, resume, seen_before }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Up to which byte whole lines were taken.
    pub fn position(&self) -> Option<Position> {
        let Some(open) = &self.current else { return self.resume.clone() };
        let offset = open.position.offset - open.partial.len() as u64;
        Some(Position { offset, ..open.position.clone() })
    }

    /// Reads what is new and hands every whole line to `line`, without its end.
    pub fn poll(
        &mut self,
        root: &HostRoot,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<Polled, ReadError> {
        let mut polled = Polled::default();
        // A copy made over it is another file under the same inode.
        if self.leaving.as_ref().is_some_and(|(it, _)| it.was_truncated()) {
            self.leaving = None;
        }
        if let Some((open, polls)) = &mut self.leaving {
            let before = open.position.offset;
            open.read(&mut polled, line);
            *polls = if open.position.offset > before { 0 } else { *polls + 1 };
            if *polls > FAREWELL_POLLS {
                self.leaving = None;
            }
        }
        if let Some(open) = &mut self.current {
            if open.was_truncated() {
                open.finish_from_copy(root, &self.path, &mut polled, line);
                open.restart();
            }
            open.read(&mut polled, line);
        }
        if polled.more {
            return Ok(polled);
        }
        self.follow_name(root, &mut polled, line)?;
        Ok(polled)
    }

    /// Opens the file that has the name now, if it is another one.
    fn follow_name(
        &mut self,
        root: &HostRoot,
        polled: &mut Polled,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<(), ReadError> {
        let metadata = match root.metadata(&self.path) {
            Ok(it) => it,
            // Between the renaming and the making of the new file.
            Err(error) if error.is_absent() && self.current.is_some() => return Ok(()),
            Err(error) => return Err(error),
        };
        let identity = (metadata.device, metadata.inode);
        if self.current.as_ref().is_some_and(|it| it.identity == identity) {
            return Ok(());
        }
        let (file, metadata) = root.open_with_metadata(&self.path)?;
        let identity = (metadata.device, metadata.inode);
        let mut open = Open::new(file, identity);
        if let Some(old) = self.current.take() {
            self.leaving = Some((old, 0));
        } else if let Some(position) = self.resume.take() {
            if open.is_at(&position) && position.offset <= metadata.size {
                open.position = position;
            } else {
                finish_sibling(root, &self.path, &position, polled, line);
            }
        } else if !self.seen_before && metadata.size > LOOK_BACK_BYTES {
            open.position.offset = metadata.size - LOOK_BACK_BYTES;
            open.skipping = true;
        }
        self.seen_before = true;
        open.learn_head();
        open.read(polled, line);
        self.current = Some(open);
        Ok(())
    }
}

impl Open {
    fn new(file: File, identity: (u64, u64)) -> Self {
        let position = Position::default();
        Self { file, identity, position, partial: Vec::new(), skipping: false }
    }

    fn read(&mut self, polled: &mut Polled, line: &mut dyn FnMut(&[u8])) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut total = 0;
        while total < POLL_BYTES_MAX {
            let Ok(count) = self.file.read_at(&mut chunk, self.position.offset) else { return };
            if count == 0 {
                return;
            }
            total += count;
            self.position.offset += count as u64;
            self.take(chunk.get(..count).unwrap_or_default(), polled, line);
            if self.position.head_bytes < HEAD_BYTES_MAX {
                self.learn_head();
            }
        }
        polled.more = true;
    }

    fn take(&mut self, mut bytes: &[u8], polled: &mut Polled, line: &mut dyn FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|it| *it == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.skipping {
                self.skipping = false;
            } else if self.partial.len() + head.len() > LINE_BYTES_MAX {
                polled.skipped += 1;
            } else if self.partial.is_empty() {
                polled.lines += 1;
                line(head);
            } else {
                self.partial.extend_from_slice(head);
                polled.lines += 1;
                line(&self.partial);
            }
            self.partial.clear();
        }
        if self.skipping {
            return;
        }
        if self.partial.len() + bytes.len() > LINE_BYTES_MAX {
            polled.skipped += 1;
            self.skipping = true;
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    /// Shorter than what was read, or another beginning: somebody emptied the file, and may
    /// have filled it again beyond where it was.
    fn was_truncated(&self) -> bool {
        let size = self.file.metadata().map_or(u64::MAX, |it| it.len());
        size < self.position.offset || !self.is_at(&self.position)
    }

    /// Whether the file begins as it did when `position` was taken.
    fn is_at(&self, position: &Position) -> bool {
        head(&self.file, position.head_bytes) == Some(position.head_digest)
    }

    fn learn_head(&mut self) {
        let mut bytes = [0; HEAD_BYTES_MAX];
        let count = self.file.read_at(&mut bytes, 0).unwrap_or(0);
        self.position.head_bytes = count;
        self.position.head_digest = head(&self.file, count).unwrap_or_default();
    }

    /// What was written between the last read and the copy is in the copy.
    fn finish_from_copy(
        &mut self,
        root: &HostRoot,
        path: &Path,
        polled: &mut Polled,
        line: &mut dyn FnMut(&[u8]),
    ) {
        let start = self.position.offset - self.partial.len() as u64;
        let position = Position { offset: start, ..self.position.clone() };
        finish_sibling(root, path, &position, polled, line);
    }

    fn restart(&mut self) {
        self.position = Position::default();
        self.partial.clear();
        self.skipping = false;
        self.learn_head();
    }
}

/// Digest of the first `count` bytes; `None` if there are fewer.
fn head(file: &File, count: usize) -> Option<u64> {
    let mut bytes = [0; HEAD_BYTES_MAX];
    let bytes = bytes.get_mut(..count)?;
    file.read_exact_at(bytes, 0).ok()?;
    let digest = blake3::hash(bytes);
    let (first, _) = digest.as_bytes().split_first_chunk::<8>()?;
    Some(u64::from_le_bytes(*first))
}

/// Reads the rest of the file that was at `position`, if it lies beside `path` under a
/// rotated name (`auth.log.1`, `secure-20260310`). Compressed ones are not read: they were
/// rotated twice.
fn finish_sibling(
    root: &HostRoot,
    path: &Path,
    position: &Position,
    polled: &mut Polled,
    line: &mut dyn FnMut(&[u8]),
) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let name = name.to_string_lossy();
    if position.head_bytes == 0 {
        return;
    }
    let Ok(entries) = root.read_dir(folder) else { return };
    let rotated = |it: &str| {
        let rest = it.strip_prefix(&*name).and_then(|it| it.strip_prefix(['.', '-']));
        rest.is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit() || it == b'-'))
    };
    let mut names: Vec<_> = entries
        .into_iter()
        .map(|it| it.name.to_string_lossy().into_owned())
        .filter(|it| rotated(it))
        .collect();
    names.sort();
    for name in names.into_iter().take(SIBLINGS_MAX) {
        let Ok((file, metadata)) = root.open_with_metadata(folder.join(name)) else { continue };
        let mut open = Open::new(file, (metadata.device, metadata.inode));
        if open.is_at(position) && metadata.size >= position.offset {
            open.position = position.clone();
            open.read(polled, line);
            return;
        }
    }
}
