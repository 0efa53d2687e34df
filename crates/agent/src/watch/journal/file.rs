//! One systemd journal file, read as its format description says (`JOURNAL_FILE_FORMAT`).
//!
//! A file may be damaged, cut, or written to at this moment: every offset is checked, every
//! walk is bounded, and what cannot be read is an error or a count, never a loop.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Largest payload of a field that is read, as stored and as unpacked.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// Fields of one entry that are looked at.
const ITEMS_MAX: usize = 512;
/// Fields remembered, so that those shared by most entries are read once.
const CACHE_MAX: usize = 8192;
/// Read at once at the beginning of a field: holds every short one whole.
const DATA_PROBE_BYTES: usize = 256;

const HEADER_BYTES: usize = 208;
const OBJECT_BYTES: u64 = 16;
const XZ: u8 = 1;
const LZ4: u8 = 2;
const ZSTD: u8 = 4;
const TYPE_DATA: u8 = 1;
const TYPE_ENTRY: u8 = 3;
const TYPE_ENTRY_ARRAY: u8 = 6;

/// Why a file cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("not a journal file")]
    Signature,
    #[error("the journal file uses features this build does not know (flags {flags:#x})")]
    Features { flags: u32 },
    #[error("the journal file is damaged at byte {offset}")]
    Damaged { offset: u64 },
    #[error("the journal file could not be read")]
    Io(#[source] std::io::Error),
}

/// Where the bytes of a journal are.
#[derive(Debug)]
pub enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

/// What the header says now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub file_id: [u8; 16],
    /// Shared by all files of one sequence: numbers go on from file to file.
    pub sequence_id: [u8; 16],
    pub archived: bool,
    pub entries: u64,
    pub first_number: u64,
    pub last_number: u64,
    pub last_at_us: i64,
    first_array: u64,
    compact: bool,
    size: u64,
}

/// The fields of an entry that log-ins are told by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    pub at_us: i64,
    pub identifier: String,
    pub pid: Option<u32>,
    pub uid: Option<u32>,
    pub message: Vec<u8>,
}

/// A field, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Identifier(String),
    Pid(u32),
    SyslogPid(u32),
    Uid(u32),
    Message(Vec<u8>),
    Other,
    /// Packed in a way this build cannot read.
    Unreadable,
}

/// Reads one file from a position on.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    header: Header,
    /// The array the next entry stands in, and its index there; 0 before the first.
    array: u64,
    index: u64,
    taken: u64,
    cache: HashMap<u64, Field>,
    /// Entries or fields that could not be read.
    pub skipped: u64,
}

impl Bytes {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, JournalError> {
        match self {
            Self::File(file) => file.read_at(buffer, offset).map_err(JournalError::Io),
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let rest = bytes.get(start..).unwrap_or_default();
                let count = rest.len().min(buffer.len());
                if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
                    to.copy_from_slice(from);
                }
                Ok(count)
            }
        }
    }

    fn exact<const N: usize>(&self, offset: u64) -> Result<[u8; N], JournalError> {
        let mut buffer = [0; N];
        let count = self.read_at(&mut buffer, offset)?;
        if count == N { Ok(buffer) } else { Err(JournalError::Damaged { offset }) }
    }

    fn vec(&self, offset: u64, count: usize) -> Result<Vec<u8>, JournalError> {
        let mut buffer = vec![0; count];
        let got = self.read_at(&mut buffer, offset)?;
        if got == count { Ok(buffer) } else { Err(JournalError::Damaged { offset }) }
    }

    fn size(&self) -> u64 {
        match self {
            Self::File(file) => file.metadata().map_or(0, |it| it.len()),
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..at + 8).and_then(|it| it.try_into().ok());
    field.map_or(0, u64::from_le_bytes)
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..at + 4).and_then(|it| it.try_into().ok());
    field.map_or(0, u32::from_le_bytes)
}

fn id(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes.get(at..at + 16).and_then(|it| it.try_into().ok()).unwrap_or_default()
}

fn header(bytes: &Bytes) -> Result<Header, JournalError> {
    let raw = bytes.exact::<HEADER_BYTES>(0).map_err(|error| match error {
        JournalError::Damaged { .. } => JournalError::Signature,
        other => other,
    })?;
    if !raw.starts_with(b"LPKSHHRH") {
        return Err(JournalError::Signature);
    }
    let flags = le32(&raw, 12);
    if flags & !0x1f != 0 {
        return Err(JournalError::Features { flags });
    }
    Ok(Header {
        file_id: id(&raw, 24),
        sequence_id: id(&raw, 72),
        archived: raw.get(16) == Some(&2),
        entries: le64(&raw, 152),
        first_number: le64(&raw, 168),
        last_number: le64(&raw, 160),
        last_at_us: le64(&raw, 192) as i64,
        first_array: le64(&raw, 176),
        compact: flags & 16 != 0,
        size: bytes.size(),
    })
}

impl Reader {
    /// Before the first entry of the file.
    pub fn new(bytes: Bytes) -> Result<Self, JournalError> {
        let header = header(&bytes)?;
        let cache = HashMap::new();
        Ok(Self { bytes, header, array: 0, index: 0, taken: 0, cache, skipped: 0 })
    }

    pub fn header(&self) -> Header {
        self.header
    }

    /// Reads the header again; whether there are entries to take.
    pub fn refresh(&mut self) -> Result<bool, JournalError> {
        let before = self.header.entries;
        let header = header(&self.bytes)?;
        if header.file_id != self.header.file_id {
            return Err(JournalError::Damaged { offset: 24 });
        }
        self.header = header;
        // Emptied, or an older copy put back.
        if header.entries < before {
            return Err(JournalError::Damaged { offset: 152 });
        }
        Ok(self.taken < header.entries)
    }

    /// Skips what stands before the last `count` entries.
    pub fn seek_last(&mut self, count: u64) -> Result<(), JournalError> {
        let target = self.header.entries.saturating_sub(count);
        while self.taken < target {
            let room = self.room()?;
            let step = room.saturating_sub(self.index).min(target - self.taken);
            self.index += step;
            self.taken += step;
            if self.taken < target && !self.next_array()? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Skips entries up to and including this number.
    pub fn seek_after(&mut self, number: u64) -> Result<(), JournalError> {
        loop {
            let room = self.room()?;
            let here = room.min(self.header.entries - self.taken);
            if here == 0 {
                return Ok(());
            }
            if self.number_at(here - 1)? > number {
                break;
            }
            self.index = here;
            self.taken += here;
            if here < room || !self.next_array()? {
                return Ok(());
            }
        }
        let (mut low, mut high) = (0, self.room()?.min(self.header.entries - self.taken));
        while low < high {
            let middle = low.midpoint(high);
            if self.number_at(middle)? <= number { low = middle + 1 } else { high = middle }
        }
        self.index = low;
        self.taken += low;
        Ok(())
    }

    /// The next entry, `None` at the end. An entry that cannot be read is counted and passed
    /// over; a broken chain is an error.
    pub fn next_entry(
        &mut self,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Entry>, JournalError> {
        while self.taken < self.header.entries {
            if self.index >= self.room()? {
                if !self.next_array()? {
                    return Ok(None);
                }
                continue;
            }
            let offset = self.item(self.index)?;
            // Linked, but not filled in yet.
            if offset == 0 {
                return Ok(None);
            }
            self.index += 1;
            self.taken += 1;
            match self.entry(offset, wanted) {
                Ok(Some(entry)) => return Ok(Some(entry)),
                Ok(None) => (),
                Err(JournalError::Io(error)) => return Err(JournalError::Io(error)),
                Err(_) => self.skipped += 1,
            }
        }
        Ok(None)
    }

    fn item_bytes(&self) -> u64 {
        if self.header.compact { 4 } else { 8 }
    }

    /// Number of items the current array can hold; enters the first array if need be.
    fn room(&mut self) -> Result<u64, JournalError> {
        if self.array == 0 {
            self.array = self.header.first_array;
            self.index = 0;
            if self.array == 0 {
                return Ok(0);
            }
        }
        let size = self.object(self.array, TYPE_ENTRY_ARRAY)?.0;
        Ok(size.saturating_sub(24) / self.item_bytes())
    }

    /// Goes to the next array of the chain; `false` if there is none yet.
    fn next_array(&mut self) -> Result<bool, JournalError> {
        let next = u64::from_le_bytes(self.bytes.exact(self.array + OBJECT_BYTES)?);
        if next == 0 {
            return Ok(false);
        }
        // A chain only ever grows towards the end of the file: no circle, no overlap.
        let (size, _) = self.object(self.array, TYPE_ENTRY_ARRAY)?;
        if next < self.array + size {
            return Err(JournalError::Damaged { offset: self.array });
        }
        self.array = next;
        self.index = 0;
        Ok(true)
    }

    fn item(&self, index: u64) -> Result<u64, JournalError> {
        let at = self.array + 24 + index * self.item_bytes();
        Ok(if self.header.compact {
            u64::from(u32::from_le_bytes(self.bytes.exact(at)?))
        } else {
            u64::from_le_bytes(self.bytes.exact(at)?)
        })
    }

    fn number_at(&self, index: u64) -> Result<u64, JournalError> {
        let offset = self.item(index)?;
        self.object(offset, TYPE_ENTRY)?;
        Ok(u64::from_le_bytes(self.bytes.exact(offset + OBJECT_BYTES)?))
    }

    /// Size and flags of the object of this type at `offset`.
    fn object(&self, offset: u64, kind: u8) -> Result<(u64, u8), JournalError> {
        let damaged = JournalError::Damaged { offset };
        if offset == 0 || !offset.is_multiple_of(8) || offset >= self.bytes_end() {
            return Err(damaged);
        }
        let head = self.bytes.exact::<16>(offset)?;
        let [found, flags, ..] = head;
        let size = le64(&head, 8);
        let end = offset.checked_add(size).filter(|it| *it <= self.bytes_end());
        if found != kind || size < OBJECT_BYTES || end.is_none() {
            return Err(damaged);
        }
        Ok((size, flags))
    }

    fn bytes_end(&self) -> u64 {
        self.header.size
    }

    /// The entry at `offset`, `None` if its program is not wanted.
    fn entry(
        &mut self,
        offset: u64,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Entry>, JournalError> {
        let (size, _) = self.object(offset, TYPE_ENTRY)?;
        let stride = if self.header.compact { 4 } else { 16 };
        let items = (size.saturating_sub(64) as usize / stride).min(ITEMS_MAX);
        let raw = self.bytes.vec(offset, 64 + items * stride)?;
        let number = le64(&raw, 16);
        let mut entry = Entry { number, at_us: le64(&raw, 24) as i64, ..Entry::default() };
        let mut messages = None;
        for item in 0..items {
            let at = 64 + item * stride;
            let data = if self.header.compact { u64::from(le32(&raw, at)) } else { le64(&raw, at) };
            match self.field(data) {
                Ok(Field::Identifier(name)) => {
                    if !wanted(&name) {
                        return Ok(None);
                    }
                    entry.identifier = name;
                }
                Ok(Field::Pid(pid)) => entry.pid = Some(pid),
                Ok(Field::SyslogPid(pid)) => entry.pid = entry.pid.or(Some(pid)),
                Ok(Field::Uid(uid)) => entry.uid = Some(uid),
                Ok(Field::Message(text)) => messages = Some(text),
                Ok(Field::Other) => (),
                Ok(Field::Unreadable) => self.skipped += 1,
                Err(JournalError::Io(error)) => return Err(JournalError::Io(error)),
                Err(_) => self.skipped += 1,
            }
        }
        entry.message = messages.unwrap_or_default();
        Ok((!entry.identifier.is_empty()).then_some(entry))
    }

    /// The field at `offset`, from memory if it was read before.
    fn field(&mut self, offset: u64) -> Result<Field, JournalError> {
        if let Some(known) = self.cache.get(&offset) {
            return Ok(known.clone());
        }
        let field = self.read_field(offset)?;
        // A message is rarely said twice, and longer than all the others together.
        if !matches!(field, Field::Message(_)) {
            if self.cache.len() >= CACHE_MAX {
                self.cache.clear();
            }
            self.cache.insert(offset, field.clone());
        }
        Ok(field)
    }

    fn read_field(&self, offset: u64) -> Result<Field, JournalError> {
        let damaged = || JournalError::Damaged { offset };
        let (size, flags) = self.object(offset, TYPE_DATA)?;
        let start: u64 = if self.header.compact { 72 } else { 64 };
        let stored = usize::try_from(size.checked_sub(start).ok_or_else(damaged)?);
        let stored = stored.unwrap_or(usize::MAX).min(PAYLOAD_BYTES_MAX);
        let mut payload = self.bytes.vec(offset + start, stored.min(DATA_PROBE_BYTES))?;
        let packed = flags & (XZ | LZ4 | ZSTD) != 0;
        if stored > payload.len() && (packed || payload.starts_with(b"MESSAGE=")) {
            payload = self.bytes.vec(offset + start, stored)?;
        }
        if packed {
            match unpack(&payload, flags) {
                Some(plain) => payload = plain,
                None if flags & XZ != 0 => return Ok(Field::Unreadable),
                None => return Err(damaged()),
            }
        }
        Ok(understand(&payload))
    }
}

fn unpack(payload: &[u8], flags: u8) -> Option<Vec<u8>> {
    if flags & ZSTD != 0 {
        let mut plain = Vec::new();
        let decoder = zstd::stream::read::Decoder::with_buffer(payload).ok()?;
        let mut limited = std::io::Read::take(decoder, PAYLOAD_BYTES_MAX as u64);
        std::io::Read::read_to_end(&mut limited, &mut plain).ok()?;
        return Some(plain);
    }
    if flags & LZ4 != 0 {
        let (size, block) = payload.split_first_chunk::<8>()?;
        let size = usize::try_from(u64::from_le_bytes(*size)).ok()?;
        if size > PAYLOAD_BYTES_MAX {
            return None;
        }
        return lz4_flex::block::decompress(block, size).ok();
    }
    None
}

fn understand(payload: &[u8]) -> Field {
    let text = |name: &[u8]| payload.strip_prefix(name);
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(|it| it.parse().ok());
    if let Some(message) = text(b"MESSAGE=") {
        return Field::Message(message.to_vec());
    }
    if let Some(name) = text(b"SYSLOG_IDENTIFIER=") {
        return Field::Identifier(String::from_utf8_lossy(name).into_owned());
    }
    if let Some(pid) = text(b"_PID=").and_then(number) {
        return Field::Pid(pid);
    }
    if let Some(pid) = text(b"SYSLOG_PID=").and_then(number) {
        return Field::SyslogPid(pid);
    }
    if let Some(uid) = text(b"_UID=").and_then(number) {
        return Field::Uid(uid);
    }
    Field::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_unpacked_and_bounded() {
        let plain = b"MESSAGE=".repeat(100);
        let mut lz4 = (plain.len() as u64).to_le_bytes().to_vec();
        lz4.extend(lz4_flex::block::compress(&plain));
        assert_eq!(unpack(&lz4, LZ4), Some(plain.clone()));
        let mut huge = u64::MAX.to_le_bytes().to_vec();
        huge.extend([0; 10]);
        assert_eq!(unpack(&huge, LZ4), None);
        let bomb = zstd::encode_all(&vec![0; 10 << 20][..], 1).unwrap();
        assert_eq!(unpack(&bomb, ZSTD).map(|it| it.len()), Some(PAYLOAD_BYTES_MAX));
        assert_eq!(unpack(b"x", ZSTD), None);
        assert_eq!(unpack(b"x", XZ), None);
    }

    #[test]
    fn fields_that_matter() {
        for (payload, want) in [
            (&b"MESSAGE=a=b"[..], Field::Message(b"a=b".to_vec())),
            (b"SYSLOG_IDENTIFIER=sshd", Field::Identifier("sshd".to_owned())),
            (b"_PID=7", Field::Pid(7)),
            (b"SYSLOG_PID=8", Field::SyslogPid(8)),
            (b"_UID=0", Field::Uid(0)),
            (b"_PID=x", Field::Other),
            (b"_COMM=sshd", Field::Other),
        ] {
            assert_eq!(understand(payload), want);
        }
    }
}
