//! Package headers in rpm's own `Packages.db` (SUSE).
//!
//! Format: `lib/backend/ndb/rpmpkg.c` of rpm: pages of 16-byte slots that point at blobs, all
//! little-endian.

use model::because::Because;

use super::{BLOB_BYTES_MAX, ReadAt, RpmError};

const MAGIC_FILE: &[u8] = b"RpmP";
const MAGIC_SLOT: &[u8] = b"Slot";
const MAGIC_BLOB: &[u8] = b"BlbS";
const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: u64 = 16;
const SLOT_PAGES_MAX: u32 = 2048;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at * 4..at * 4 + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(four))
}

/// Calls `each` with every package header. What cannot be read is added to `skipped`.
pub(super) fn blobs(
    read_at: ReadAt<'_>,
    each: &mut dyn FnMut(&[u8]),
    skipped: &mut Vec<Because>,
) -> Result<(), RpmError> {
    let mut head = [0; 32];
    read_at(0, &mut head).map_err(RpmError::Read)?;
    if !head.starts_with(MAGIC_FILE) {
        return Err(RpmError::Format("no rpm ndb file"));
    }
    let slot_pages = word(&head, 3).unwrap_or(0);
    if slot_pages > SLOT_PAGES_MAX {
        return Err(RpmError::Format("more slots than any package database has"));
    }
    let mut page = vec![0; PAGE_BYTES];
    let mut blob = Vec::new();
    for number in 0..slot_pages {
        read_at(u64::from(number) * PAGE_BYTES as u64, &mut page).map_err(RpmError::Read)?;
        // The file's own header lies where the first two slots would be.
        let first = if number == 0 { head.len() } else { 0 };
        for slot in page.get(first..).unwrap_or_default().chunks_exact(SLOT_BYTES) {
            let (Some(package), Some(block)) = (word(slot, 1), word(slot, 2)) else { continue };
            // A slot of package 0 is free.
            if !slot.starts_with(MAGIC_SLOT) || package == 0 {
                continue;
            }
            match read_blob(read_at, package, u64::from(block) * BLOCK_BYTES, &mut blob) {
                Ok(()) => each(&blob),
                Err(error) => skipped.push(super::broken_package(package, &error)),
            }
        }
    }
    Ok(())
}

fn read_blob(
    read_at: ReadAt<'_>,
    package: u32,
    offset: u64,
    blob: &mut Vec<u8>,
) -> Result<(), RpmError> {
    let mut head = [0; 16];
    read_at(offset, &mut head).map_err(RpmError::Read)?;
    let bytes = word(&head, 3).unwrap_or(0) as usize;
    if !head.starts_with(MAGIC_BLOB) || word(&head, 1) != Some(package) || bytes > BLOB_BYTES_MAX {
        return Err(RpmError::Format("slot leads to no header"));
    }
    blob.clear();
    blob.resize(bytes, 0);
    read_at(offset + 16, blob).map_err(RpmError::Read)
}
