//! Package headers in a Berkeley DB hash file (`Packages`), as rpm wrote it up to RHEL 8.
//!
//! Format: the page layout of Berkeley DB 4.x/5.x, `dbinc/db_page.h`. Every hash page is looked
//! at rather than the buckets followed: all values are wanted, none is searched for.

use model::because;
use model::because::Because;

use super::{BLOB_BYTES_MAX, ReadAt, RpmError};

const HASH_MAGIC: u32 = 0x0006_1561;
const PAGE_HEADER_BYTES: usize = 26;
const PAGES_MAX: u32 = 4_000_000;

const PAGE_HASH_UNSORTED: u8 = 2;
const PAGE_OVERFLOW: u8 = 7;
const PAGE_HASH: u8 = 13;

const ITEM_KEY_DATA: u8 = 1;
const ITEM_OFF_PAGE: u8 = 3;

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(four),
            Self::Big => u32::from_be_bytes(four),
        })
    }

    fn u16(self, bytes: &[u8], at: usize) -> Option<usize> {
        let two: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(usize::from(match self {
            Self::Little => u16::from_le_bytes(two),
            Self::Big => u16::from_be_bytes(two),
        }))
    }
}

/// Calls `each` with every value that is large enough to be a package header. What cannot be
/// read is added to `skipped`.
pub(super) fn blobs(
    read_at: ReadAt<'_>,
    each: &mut dyn FnMut(&[u8]),
    skipped: &mut Vec<Because>,
) -> Result<(), RpmError> {
    let mut meta = [0; 72];
    read_at(0, &mut meta).map_err(RpmError::Read)?;
    let order = if Order::Little.u32(&meta, 12) == Some(HASH_MAGIC) {
        Order::Little
    } else if Order::Big.u32(&meta, 12) == Some(HASH_MAGIC) {
        Order::Big
    } else {
        return Err(RpmError::Format("no Berkeley DB hash file"));
    };
    let page_bytes = order.u32(&meta, 20).unwrap_or(0) as usize;
    let last_page = order.u32(&meta, 32).unwrap_or(0);
    if !page_bytes.is_power_of_two() || !(512..=65536).contains(&page_bytes) {
        return Err(RpmError::Format("impossible page size"));
    }
    if last_page > PAGES_MAX {
        return Err(RpmError::Format("more pages than any package database has"));
    }
    let file = Pages { read_at, order, page_bytes, last_page };
    let mut page = vec![0; page_bytes];
    for number in 1..=last_page {
        if let Err(error) = file.page(number, &mut page) {
            // The pages after a cut are gone as well.
            skipped.push(because!(
                "package.page",
                "page {number} of {last} and what follows: {cause}",
                number = number,
                last = last_page,
                cause = error
            ));
            return Ok(());
        }
        if matches!(page.get(25), Some(&PAGE_HASH | &PAGE_HASH_UNSORTED)) {
            file.values(&page, number, each, skipped);
        }
    }
    Ok(())
}

struct Pages<'a> {
    read_at: ReadAt<'a>,
    order: Order,
    page_bytes: usize,
    last_page: u32,
}

impl Pages<'_> {
    fn page(&self, number: u32, page: &mut [u8]) -> Result<(), RpmError> {
        (self.read_at)(u64::from(number) * self.page_bytes as u64, page).map_err(RpmError::Read)
    }

    fn values(
        &self,
        page: &[u8],
        number: u32,
        each: &mut dyn FnMut(&[u8]),
        skipped: &mut Vec<Because>,
    ) {
        let count = self.order.u16(page, 20).unwrap_or(0);
        // Keys and values take turns.
        for index in (1..count).step_by(2) {
            let Some(at) = self.order.u16(page, PAGE_HEADER_BYTES + index * 2) else { return };
            match page.get(at) {
                Some(&ITEM_OFF_PAGE) => match self.off_page(page, at) {
                    Ok(blob) => each(&blob),
                    Err(error) => skipped.push(because!(
                        "package.value",
                        "value {index} of page {number}: {cause}",
                        index = index,
                        number = number,
                        cause = error
                    )),
                },
                Some(&ITEM_KEY_DATA) => {
                    // Items fill the page from its end: the one before ends where this begins.
                    let end = match self.order.u16(page, PAGE_HEADER_BYTES + (index - 1) * 2) {
                        Some(end) if end > at => end,
                        _ => page.len(),
                    };
                    let value = page.get(at + 1..end).unwrap_or_default();
                    // Shorter ones are counters of the database.
                    if value.len() > 16 {
                        each(value);
                    }
                }
                _ => {}
            }
        }
    }

    fn off_page(&self, page: &[u8], at: usize) -> Result<Vec<u8>, RpmError> {
        let wrong = RpmError::Format("broken overflow item");
        let (Some(mut next), Some(total)) =
            (self.order.u32(page, at + 4), self.order.u32(page, at + 8))
        else {
            return Err(wrong);
        };
        let total = total as usize;
        if total > BLOB_BYTES_MAX {
            return Err(RpmError::Format("a header larger than any package has"));
        }
        let mut blob = Vec::with_capacity(total.min(1 << 20));
        let mut part = vec![0; self.page_bytes];
        while next != 0 && blob.len() < total {
            if next > self.last_page {
                return Err(wrong);
            }
            self.page(next, &mut part)?;
            if part.get(25) != Some(&PAGE_OVERFLOW) {
                return Err(wrong);
            }
            let bytes = self.order.u16(&part, 22).unwrap_or(0);
            let end = PAGE_HEADER_BYTES.saturating_add(bytes);
            let piece = part.get(PAGE_HEADER_BYTES..end).unwrap_or_default();
            // An empty page in the chain would let a circle of pages run for ever.
            if piece.is_empty() {
                return Err(wrong);
            }
            blob.extend_from_slice(piece);
            next = self.order.u32(&part, 16).unwrap_or(0);
        }
        if blob.len() < total { Err(wrong) } else { Ok(blob) }
    }
}
