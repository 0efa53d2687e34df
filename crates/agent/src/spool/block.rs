//! The unit of the spool and of the wire: a zstd frame over length-delimited records, with a
//! header that says where it stands in its lane.
//!
//! ```text
//! magic "GSB1" | crc32 of all that follows | epoch u64 | first_seq u64 | count u32 | len u32 | zstd frame
//! ```
//! Integers are little-endian. Reading trusts nothing: a block is one only if its CRC holds.

use model::wire::{BATCH_RECORDS_MAX, FRAME_BYTES_MAX};

/// Bytes before the zstd frame.
pub const HEADER_BYTES: usize = 32;
const MAGIC: [u8; 4] = *b"GSB1";
/// Largest zstd frame of one block; leaves room for the message around it.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - 64 * 1024;

/// Where a block stands and how long its payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Random number of the lane's queue.
    pub epoch: u64,
    /// Sequence number of the first record, from 1.
    pub first_seq: u64,
    /// Records in the block, at least 1.
    pub count: u32,
    /// Bytes of the zstd frame.
    pub len: u32,
}

impl Header {
    /// Sequence number of the last record.
    pub fn last_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// Bytes of the whole block.
    pub fn block_bytes(&self) -> usize {
        HEADER_BYTES + self.len as usize
    }
}

/// A whole block in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub header: Header,
    pub payload: &'a [u8],
}

/// What stands at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    Block(Block<'a>),
    /// The header is plausible but the buffer ends before the block does.
    Short,
    /// Not a block, or a damaged one.
    Bad,
}

/// Reads the block at the start of `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return if MAGIC.starts_with(bytes.get(..4).unwrap_or(bytes)) {
            Parsed::Short
        } else {
            Parsed::Bad
        };
    };
    let Some(header) = plausible_header(head) else { return Parsed::Bad };
    let Some(payload) = rest.get(..header.len as usize) else { return Parsed::Short };
    let mut crc = crc32fast::Hasher::new();
    crc.update(head.get(8..).unwrap_or_default());
    crc.update(payload);
    if crc.finalize() != le_u32(head, 4) {
        return Parsed::Bad;
    }
    Parsed::Block(Block { header, payload })
}

/// The header in `head` if its numbers could be right; only the CRC of the whole block proves it.
pub fn plausible_header(head: &[u8; HEADER_BYTES]) -> Option<Header> {
    if !head.starts_with(&MAGIC) {
        return None;
    }
    let header = Header {
        epoch: le_u64(head, 8),
        first_seq: le_u64(head, 16),
        count: le_u32(head, 24),
        len: le_u32(head, 28),
    };
    let fits = header.first_seq.checked_add(u64::from(header.count)).is_some();
    let sane = (1..=BATCH_RECORDS_MAX).contains(&header.count)
        && (1..=PAYLOAD_BYTES_MAX).contains(&(header.len as usize))
        && header.first_seq > 0
        && fits;
    sane.then_some(header)
}

/// Appends the block of `payload` to `out`.
pub fn write(epoch: u64, first_seq: u64, count: u32, payload: &[u8], out: &mut Vec<u8>) {
    let mut tail = [0_u8; HEADER_BYTES - 8];
    let fields = epoch
        .to_le_bytes()
        .into_iter()
        .chain(first_seq.to_le_bytes())
        .chain(count.to_le_bytes())
        .chain((payload.len() as u32).to_le_bytes());
    for (to, from) in tail.iter_mut().zip(fields) {
        *to = from;
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&tail);
    crc.update(payload);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    out.extend_from_slice(&tail);
    out.extend_from_slice(payload);
}

/// One run of bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Block {
        offset: usize,
        header: Header,
    },
    /// Damaged bytes with whole blocks behind them.
    Damage {
        offset: usize,
        bytes: usize,
    },
    /// Bytes at the end with no whole block behind them: a write that was cut, or damage there.
    Tail {
        offset: usize,
        bytes: usize,
    },
}

/// Cuts a segment into blocks of `epoch`, damage and a torn tail.
pub fn scan(segment: &[u8], epoch: u64) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    let mut bad_from = None;
    while offset < segment.len() {
        match parse(segment.get(offset..).unwrap_or_default()) {
            Parsed::Block(block) if block.header.epoch == epoch => {
                if let Some(from) = bad_from.take() {
                    pieces.push(Piece::Damage { offset: from, bytes: offset - from });
                }
                pieces.push(Piece::Block { offset, header: block.header });
                offset += block.header.block_bytes();
            }
            _ => {
                bad_from.get_or_insert(offset);
                offset += 1 + to_magic(segment.get(offset + 1..).unwrap_or_default());
            }
        }
    }
    if let Some(from) = bad_from {
        pieces.push(Piece::Tail { offset: from, bytes: segment.len() - from });
    }
    pieces
}

/// Bytes before the next magic, or all of them.
fn to_magic(bytes: &[u8]) -> usize {
    bytes.windows(MAGIC.len()).position(|it| it == MAGIC).unwrap_or(bytes.len())
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    u32::from_le_bytes(chunk.copied().unwrap_or_default())
}

fn le_u64(bytes: &[u8], at: usize) -> u64 {
    let chunk = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>);
    u64::from_le_bytes(chunk.copied().unwrap_or_default())
}
