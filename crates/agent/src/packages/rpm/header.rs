//! One package of an rpm database: a header without its lead, as rpm stores it.
//!
//! Format: "Header" of the rpm file format in rpm's own documentation (docs/manual/format.md):
//! two big-endian counts, an index of 16-byte entries, then the data they point into.

use super::RpmError;

/// rpm's own bounds on an index and on its data.
const ENTRIES_MAX: usize = 0xffff;
const DATA_MAX: usize = 256 * 1024 * 1024;

const ENTRY_BYTES: usize = 16;

pub(super) mod tag {
    pub(crate) const NAME: u32 = 1000;
    pub(crate) const VERSION: u32 = 1001;
    pub(crate) const RELEASE: u32 = 1002;
    pub(crate) const EPOCH: u32 = 1003;
    pub(crate) const INSTALL_TIME: u32 = 1008;
    pub(crate) const VENDOR: u32 = 1011;
    pub(crate) const ARCH: u32 = 1022;
    pub(crate) const OLD_FILE_NAMES: u32 = 1027;
    pub(crate) const FILE_MODES: u32 = 1030;
    pub(crate) const FILE_DIGESTS: u32 = 1035;
    pub(crate) const SOURCE_RPM: u32 = 1044;
    pub(crate) const DIR_INDEXES: u32 = 1116;
    pub(crate) const BASE_NAMES: u32 = 1117;
    pub(crate) const DIR_NAMES: u32 = 1118;
}

const INT16: u32 = 3;
const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

#[derive(Debug)]
pub(super) struct Header<'a> {
    entries: Vec<Entry>,
    data: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    form: u32,
    offset: usize,
    count: usize,
}

impl<'a> Header<'a> {
    pub(super) fn parse(blob: &'a [u8]) -> Result<Self, RpmError> {
        let (counts, rest) = blob.split_at_checked(8).ok_or(RpmError::Header("too short"))?;
        let (index_count, data_bytes) = counts.split_at(4);
        let index_count = big_endian(index_count) as usize;
        let data_bytes = big_endian(data_bytes) as usize;
        if index_count > ENTRIES_MAX || data_bytes > DATA_MAX {
            return Err(RpmError::Header("impossible size"));
        }
        let (index, rest) = rest
            .split_at_checked(index_count * ENTRY_BYTES)
            .ok_or(RpmError::Header("index is cut off"))?;
        let data = rest.get(..data_bytes).ok_or(RpmError::Header("data is cut off"))?;
        let entries = index
            .chunks_exact(ENTRY_BYTES)
            .filter_map(|entry| {
                let mut words = entry.chunks_exact(4).map(big_endian);
                Some(Entry {
                    tag: words.next()?,
                    form: words.next()?,
                    offset: words.next()? as usize,
                    count: words.next()? as usize,
                })
            })
            .collect();
        Ok(Self { entries, data })
    }

    fn find(&self, tag: u32) -> Option<Entry> {
        self.entries.iter().copied().find(|it| it.tag == tag)
    }

    /// The first string of a tag. Bytes that are no UTF-8 become replacement characters.
    pub(super) fn text(&self, tag: u32) -> Option<String> {
        let entry = self.find(tag)?;
        if !matches!(entry.form, STRING | STRING_ARRAY | I18N_STRING) {
            return None;
        }
        let bytes = self.data.get(entry.offset..)?.split(|it| *it == 0).next()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// All strings of a tag, without copies.
    pub(super) fn texts(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let entry = self.find(tag).filter(|it| matches!(it.form, STRING_ARRAY | I18N_STRING));
        let data = entry.and_then(|it| self.data.get(it.offset..)).unwrap_or_default();
        data.split(|it| *it == 0).take(entry.map_or(0, |it| it.count))
    }

    pub(super) fn number(&self, tag: u32) -> Option<u32> {
        self.numbers(tag).next()
    }

    /// As [`Self::numbers`], of 16 bits each.
    pub(super) fn shorts(&self, tag: u32) -> impl Iterator<Item = u16> + use<'a> {
        let entry = self.find(tag).filter(|it| it.form == INT16);
        let data = entry.and_then(|it| self.data.get(it.offset..)).unwrap_or_default();
        data.chunks_exact(2).take(entry.map_or(0, |it| it.count)).map(|it| big_endian(it) as u16)
    }

    pub(super) fn numbers(&self, tag: u32) -> impl Iterator<Item = u32> + use<'a> {
        let entry = self.find(tag).filter(|it| it.form == INT32);
        let data = entry.and_then(|it| self.data.get(it.offset..)).unwrap_or_default();
        data.chunks_exact(4).take(entry.map_or(0, |it| it.count)).map(big_endian)
    }
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}
