//! Records to blocks and back.

use model::wire::{BLOCK_BYTES_MAX, Record};
use prost::Message as _;

use super::SpoolError;

/// Largest single record; a sender splits what is larger.
pub const RECORD_BYTES_MAX: usize = 3 * 1024 * 1024;
/// A block is closed when its records reach this size, before compression.
const BLOCK_BYTES_TARGET: usize = 256 * 1024;
/// A block is closed at this many records.
const BLOCK_RECORDS_TARGET: u32 = 512;
/// zstd levels 1 and 3 give the same size here; 3 costs the server less to read.
const ZSTD_LEVEL: i32 = 3;

/// Length-delimited records that wait to become one block.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) bytes: Vec<u8>,
    pub(super) count: u32,
}

impl Open {
    pub(super) fn is_full(&self) -> bool {
        self.count >= BLOCK_RECORDS_TARGET || self.bytes.len() >= BLOCK_BYTES_TARGET
    }

    /// Adds an already encoded record.
    pub(super) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }

    pub(super) fn compress(&self) -> std::io::Result<Vec<u8>> {
        zstd::bulk::compress(&self.bytes, ZSTD_LEVEL)
    }
}

/// Each record with its length in front, ready for [`Open::push`].
pub(super) fn encode(records: &[Record]) -> Result<Vec<Vec<u8>>, SpoolError> {
    let one = |record: &Record| {
        let bytes = record.encoded_len();
        if bytes > RECORD_BYTES_MAX {
            return Err(SpoolError::RecordTooLarge { bytes });
        }
        Ok(record.encode_length_delimited_to_vec())
    };
    records.iter().map(one).collect()
}

/// The records of a block's payload; `None` if it is not `count` whole records.
pub fn decode(payload: &[u8], count: u32) -> Option<Vec<Record>> {
    use std::io::Read as _;
    let mut raw = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(payload).ok()?;
    decoder.take(BLOCK_BYTES_MAX as u64 + 1).read_to_end(&mut raw).ok()?;
    if raw.len() > BLOCK_BYTES_MAX {
        return None;
    }
    let mut rest = raw.as_slice();
    let mut records = Vec::new();
    while !rest.is_empty() && records.len() <= count as usize {
        records.push(Record::decode_length_delimited(&mut rest).ok()?);
    }
    (records.len() == count as usize).then_some(records)
}
