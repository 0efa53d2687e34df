//! One lane on disk: segment files named by their first sequence number, and a small state file.
//!
//! Invariants: a sequence number is never used twice in an epoch, not even for records a crash cut
//! off; the newest block is never deleted, so the position outlives every acknowledgement.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use model::wire::BATCH_RECORDS_MAX;
use serde::{Deserialize, Serialize};

use super::block::{self, HEADER_BYTES, Header, Parsed, Piece};
use super::records::Open;
use super::{LaneStats, SpoolError};

const STATE_FILE: &str = "state.json";
const LOCK_FILE: &str = "lock";
const STATE_BYTES_MAX: u64 = 4096;
/// A segment longer than this was not written by us; what lies beyond is damage.
const SEGMENT_READ_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What must outlive the segments.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    epoch: u64,
    dropped: u64,
    /// Records damaged in segments that are gone.
    damaged: u64,
    acked: u64,
    /// Segments named lower are accounted for and only wait for their deletion.
    gone_below: u64,
}

#[derive(Debug)]
struct Segment {
    /// The file's name: no record in it is older.
    first_seq: u64,
    /// 0 while it holds no block.
    last_seq: u64,
    records: u64,
    damaged: u64,
    bytes: u64,
}

/// Where the reader stands, so that reading on needs no search.
#[derive(Debug)]
struct Cursor {
    segment: u64,
    offset: u64,
    after_seq: u64,
    file: File,
}

#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    _lock: File,
    cap_bytes: u64,
    segment_bytes: u64,
    ring: bool,
    state: State,
    /// Oldest first; the last one is written to. Never empty after `open`.
    segments: VecDeque<Segment>,
    active: File,
    /// A write failed half-way or a tail was cut: go on in a new segment.
    must_roll: bool,
    next_seq: u64,
    cursor: Option<Cursor>,
}

impl Disk {
    pub(super) fn open(
        dir: PathBuf,
        cap_bytes: u64,
        segment_bytes: u64,
        ring: bool,
    ) -> Result<Self, SpoolError> {
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|it| io_error("create", &dir, it))?;
        let lock = lock(&dir)?;
        let names = segment_names(&dir)?;
        let state = match read_state(&dir) {
            Some(it) => it,
            None => State { epoch: found_or_new_epoch(&dir, &names)?, ..State::default() },
        };
        let mut segments = VecDeque::new();
        let mut next_seq = 1;
        let mut torn = 0;
        for (place, name) in names.iter().enumerate() {
            let path = segment_path(&dir, *name);
            if *name < state.gone_below {
                fs::remove_file(&path).map_err(|it| io_error("remove", &path, it))?;
                continue;
            }
            let is_last = place + 1 == names.len();
            let (segment, cut) = recover(&path, *name, state.epoch, names.get(place + 1).copied())?;
            if is_last && cut > 0 {
                truncate(&path, segment.bytes)?;
                torn = cut;
            }
            next_seq = next_seq.max(*name).max(segment.last_seq + 1);
            segments.push_back(segment);
        }
        // The cut blocks may have reached the server: their numbers must not be used again.
        next_seq += (torn as u64).div_ceil(HEADER_BYTES as u64) * u64::from(BATCH_RECORDS_MAX);
        let (active, must_roll) = if let Some(last) = segments.back() {
            (append_to(&segment_path(&dir, last.first_seq))?, torn > 0)
        } else {
            segments.push_back(Segment::empty(next_seq));
            (create(&dir, next_seq)?, false)
        };
        let disk = Self {
            dir,
            _lock: lock,
            cap_bytes,
            segment_bytes,
            ring,
            state,
            segments,
            active,
            must_roll,
            next_seq,
            cursor: None,
        };
        disk.save_state()?;
        Ok(disk)
    }

    /// Writes and syncs `blocks`; afterwards they are readable. Returns the last sequence number.
    pub(super) fn write(&mut self, blocks: &[Open]) -> Result<u64, SpoolError> {
        let mut bytes = Vec::new();
        let mut seq = self.next_seq;
        let path = segment_path(&self.dir, self.next_seq);
        for open in blocks {
            let payload = open.compress().map_err(|it| io_error("compress for", &path, it))?;
            block::write(self.state.epoch, seq, open.count, &payload, &mut bytes);
            seq += u64::from(open.count);
        }
        let full = self.segments.back().is_some_and(|it| it.bytes >= self.segment_bytes);
        if self.must_roll || full {
            self.roll()?;
        }
        if self.ring {
            self.make_room(bytes.len() as u64)?;
        }
        let written = self.active.write_all(&bytes).and_then(|()| self.active.sync_data());
        let records = seq - self.next_seq;
        self.next_seq = seq;
        let Some(segment) = self.segments.back_mut() else { return Err(SpoolError::Closed) };
        if let Err(source) = written {
            // What reached the disk is unknown: cut it off and never touch this file again.
            let _ = self.active.set_len(segment.bytes);
            self.must_roll = true;
            if self.ring {
                self.state.dropped += records;
            }
            return Err(io_error("write", &segment_path(&self.dir, segment.first_seq), source));
        }
        segment.bytes += bytes.len() as u64;
        segment.records += records;
        segment.last_seq = seq - 1;
        Ok(segment.last_seq)
    }

    /// The oldest block that holds a record after `after_seq`, with its payload.
    pub(super) fn next_block(
        &mut self,
        after_seq: u64,
    ) -> Result<Option<(Header, Vec<u8>)>, SpoolError> {
        let mut least = 0;
        loop {
            let found =
                self.segments.iter().find(|it| it.last_seq > after_seq && it.first_seq > least);
            let Some(segment) = found else { return Ok(None) };
            let (name, bytes) = (segment.first_seq, segment.bytes);
            let path = segment_path(&self.dir, name);
            let mut cursor = match self.cursor.take() {
                Some(it) if it.segment == name && it.after_seq == after_seq => it,
                _ => {
                    let file = File::open(&path).map_err(|it| io_error("open", &path, it))?;
                    Cursor { segment: name, offset: 0, after_seq, file }
                }
            };
            while let Some((header, payload)) = read_next(&mut cursor, bytes, self.state.epoch)
                .map_err(|it| io_error("read", &path, it))?
            {
                if header.last_seq() > after_seq {
                    cursor.after_seq = header.last_seq();
                    self.cursor = Some(cursor);
                    return Ok(Some((header, payload)));
                }
            }
            // All that was left of this one is damaged.
            least = name;
        }
    }

    /// The newest block.
    pub(super) fn last_block(&self) -> Result<Option<(Header, Vec<u8>)>, SpoolError> {
        for segment in self.segments.iter().rev() {
            let path = segment_path(&self.dir, segment.first_seq);
            let bytes = read_segment(&path)?;
            let last =
                block::scan(&bytes, self.state.epoch).into_iter().rev().find_map(|it| match it {
                    Piece::Block { offset, header } => Some((offset, header)),
                    Piece::Damage { .. } | Piece::Tail { .. } => None,
                });
            if let Some((offset, header)) = last {
                let payload = bytes.get(offset + HEADER_BYTES..offset + header.block_bytes());
                return Ok(Some((header, payload.unwrap_or_default().to_vec())));
            }
        }
        Ok(None)
    }

    /// Forgets everything up to `seq`.
    pub(super) fn ack(&mut self, epoch: u64, seq: u64) -> Result<(), SpoolError> {
        // A number we never gave out is not ours to believe.
        if epoch != self.state.epoch || seq <= self.state.acked || seq >= self.next_seq {
            return Ok(());
        }
        self.state.acked = seq;
        let newest = self.segments.iter().map(|it| it.last_seq).max().unwrap_or(0);
        let done = self
            .segments
            .iter()
            .take(self.segments.len().saturating_sub(1))
            .take_while(|it| it.last_seq <= seq && (it.last_seq < newest || newest == 0))
            .count();
        self.forget(done, false)
    }

    pub(super) fn stats(&self) -> LaneStats {
        LaneStats {
            epoch: self.state.epoch,
            durable_seq: self.segments.iter().map(|it| it.last_seq).max().unwrap_or(0),
            acked_seq: self.state.acked,
            bytes: self.segments.iter().map(|it| it.bytes).sum(),
            segments: self.segments.len() as u64,
            dropped: self.state.dropped,
            damaged: self.state.damaged + self.segments.iter().map(|it| it.damaged).sum::<u64>(),
            refused: 0,
        }
    }

    /// Keeps the counters for the next start; losing them costs nothing but precision.
    pub(super) fn save_state(&self) -> Result<(), SpoolError> {
        let path = self.dir.join(STATE_FILE);
        let next = self.dir.join("state.next");
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&next)?;
            file.write_all(&serde_json::to_vec(&self.state)?)?;
            file.sync_data()?;
            fs::rename(&next, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|it| io_error("write", &path, it))
    }

    fn roll(&mut self) -> Result<(), SpoolError> {
        // After a failed write the newest name may already be this one, with nothing in it.
        let taken = self.segments.back().is_some_and(|it| it.first_seq >= self.next_seq);
        if taken {
            self.next_seq += 1;
        }
        self.active = create(&self.dir, self.next_seq)?;
        self.segments.push_back(Segment::empty(self.next_seq));
        self.must_roll = false;
        Ok(())
    }

    /// Drops the oldest segments until `more` bytes fit.
    fn make_room(&mut self, more: u64) -> Result<(), SpoolError> {
        let mut total: u64 = self.segments.iter().map(|it| it.bytes).sum();
        if total + more <= self.cap_bytes {
            return Ok(());
        }
        if self.segments.len() == 1 && total > 0 {
            self.roll()?;
        }
        let mut done = 0;
        for segment in self.segments.iter().take(self.segments.len().saturating_sub(1)) {
            if total + more <= self.cap_bytes {
                break;
            }
            total -= segment.bytes;
            done += 1;
        }
        self.forget(done, true)
    }

    /// Deletes the `count` oldest segments. The counters are safe before the records are gone.
    fn forget(&mut self, count: usize, dropped: bool) -> Result<(), SpoolError> {
        if count == 0 {
            return Ok(());
        }
        let gone: Vec<Segment> = self.segments.drain(..count).collect();
        for segment in &gone {
            self.state.damaged += segment.damaged;
            if dropped {
                let unsent = segment.last_seq.saturating_sub(self.state.acked);
                self.state.dropped += segment.records.min(unsent);
            }
            self.state.gone_below = segment.first_seq + 1;
        }
        self.save_state()?;
        for segment in gone {
            let path = segment_path(&self.dir, segment.first_seq);
            fs::remove_file(&path).map_err(|it| io_error("remove", &path, it))?;
        }
        Ok(())
    }
}

impl Segment {
    fn empty(first_seq: u64) -> Self {
        Self { first_seq, last_seq: 0, records: 0, damaged: 0, bytes: 0 }
    }
}

/// The next whole block at or after the cursor, which moves behind it.
fn read_next(cursor: &mut Cursor, end: u64, epoch: u64) -> io::Result<Option<(Header, Vec<u8>)>> {
    if cursor.offset >= end {
        return Ok(None);
    }
    let mut head = [0; HEADER_BYTES];
    if end - cursor.offset >= HEADER_BYTES as u64 {
        cursor.file.read_exact_at(&mut head, cursor.offset)?;
        let whole = block::plausible_header(&head)
            .filter(|it| it.block_bytes() as u64 <= end - cursor.offset);
        if let Some(header) = whole {
            let mut bytes = vec![0; header.block_bytes()];
            cursor.file.read_exact_at(&mut bytes, cursor.offset)?;
            if let Parsed::Block(block) = block::parse(&bytes)
                && block.header.epoch == epoch
            {
                cursor.offset += bytes.len() as u64;
                return Ok(Some((header, bytes.split_off(HEADER_BYTES))));
            }
        }
    }
    let mut bytes = vec![0; usize::try_from(end - cursor.offset).unwrap_or(usize::MAX)];
    cursor.file.read_exact_at(&mut bytes, cursor.offset)?;
    let next = block::scan(&bytes, epoch).into_iter().find_map(|it| match it {
        Piece::Block { offset, header } => Some((offset, header)),
        Piece::Damage { .. } | Piece::Tail { .. } => None,
    });
    let Some((offset, header)) = next else {
        cursor.offset = end;
        return Ok(None);
    };
    let payload = bytes.get(offset + HEADER_BYTES..offset + header.block_bytes());
    cursor.offset += (offset + header.block_bytes()) as u64;
    Ok(Some((header, payload.unwrap_or_default().to_vec())))
}

/// Reads a segment after a restart. The second value is the bytes behind its last whole block;
/// in a segment that has a successor they are damage and counted as such.
fn recover(
    path: &Path,
    first_seq: u64,
    epoch: u64,
    successor: Option<u64>,
) -> Result<(Segment, usize), SpoolError> {
    let bytes = read_segment(path)?;
    let mut segment = Segment::empty(first_seq);
    let mut expected = first_seq;
    let mut cut = 0;
    for piece in block::scan(&bytes, epoch) {
        match piece {
            Piece::Block { offset, header } => {
                segment.damaged += header.first_seq.saturating_sub(expected);
                segment.records += u64::from(header.count);
                segment.last_seq = segment.last_seq.max(header.last_seq());
                segment.bytes = (offset + header.block_bytes()) as u64;
                expected = segment.last_seq + 1;
            }
            Piece::Damage { .. } => {}
            Piece::Tail { bytes: tail, .. } => cut = tail,
        }
    }
    if cut > 0
        && let Some(next) = successor
    {
        segment.damaged += next.saturating_sub(expected);
        segment.bytes = bytes.len() as u64;
        cut = 0;
    }
    Ok((segment, cut))
}

fn segment_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}.seg"))
}

/// First sequence numbers of the segments in `dir`, ascending.
fn segment_names(dir: &Path) -> Result<Vec<u64>, SpoolError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|it| io_error("list", dir, it))? {
        let entry = entry.map_err(|it| io_error("list", dir, it))?;
        let name = entry.file_name();
        let seq = name.to_str().and_then(|it| it.strip_suffix(".seg"));
        names.extend(seq.and_then(|it| it.parse::<u64>().ok()));
    }
    names.sort_unstable();
    Ok(names)
}

fn read_segment(path: &Path) -> Result<Vec<u8>, SpoolError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|it| it.take(SEGMENT_READ_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|it| io_error("read", path, it))?;
    Ok(bytes)
}

fn lock(dir: &Path) -> Result<File, SpoolError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|it| io_error("open", &path, it))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SpoolError::InUse { path: dir.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(io_error("lock", &path, source)),
    }
}

fn read_state(dir: &Path) -> Option<State> {
    let mut bytes = Vec::new();
    let file = File::open(dir.join(STATE_FILE)).ok()?;
    file.take(STATE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// The epoch of the first whole block, so that a lost state file loses no record.
fn found_or_new_epoch(dir: &Path, names: &[u64]) -> Result<u64, SpoolError> {
    for name in names {
        let bytes = read_segment(&segment_path(dir, *name))?;
        if let Parsed::Block(block) = block::parse(&bytes) {
            return Ok(block.header.epoch);
        }
    }
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(SpoolError::Random)?;
    // The store keeps it as a signed number; 0 means none.
    Ok((u64::from_le_bytes(random) >> 1).max(1))
}

fn create(dir: &Path, first_seq: u64) -> Result<File, SpoolError> {
    let path = segment_path(dir, first_seq);
    let make = || -> io::Result<File> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        File::open(dir)?.sync_all()?;
        Ok(file)
    };
    make().map_err(|it| io_error("create", &path, it))
}

fn append_to(path: &Path) -> Result<File, SpoolError> {
    OpenOptions::new().append(true).open(path).map_err(|it| io_error("open", path, it))
}

fn truncate(path: &Path, bytes: u64) -> Result<(), SpoolError> {
    let cut = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()
    };
    cut().map_err(|it| io_error("cut", path, it))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Io { action, path: path.to_owned(), source }
}
