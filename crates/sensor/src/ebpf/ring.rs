//! The reading end of a BPF ring buffer.
//!
//! The kernel maps three things for user space: a page with the position of the reader, a page
//! with the position of the writers, and the data. It would map the data twice in a row, so that
//! no record wraps; but every page mapped counts as resident, and one record in thousands wraps.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// The length of a record, and where it lies, which only the kernel needs.
const HEADER_BYTES: usize = 8;

#[derive(Debug)]
pub(crate) struct Ring {
    consumer: Mapping,
    producer: Mapping,
    data_bytes: usize,
    page_bytes: usize,
    waiter: OwnedFd,
    /// A record that wraps, put together.
    whole: Vec<u8>,
}

#[derive(Debug)]
struct Mapping {
    start: *mut core::ffi::c_void,
    bytes: usize,
}

#[expect(
    unsafe_code,
    reason = "the raw pointer of a mapping hides that it may move between threads"
)]
// SAFETY: a mapping is plain memory that no thread owns; `Ring` gives out references to it only
// through `&mut self`, and what the kernel changes meanwhile is read as atomics.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(map: &impl AsFd, bytes: usize, may_write: bool, offset: usize) -> io::Result<Self> {
        let protection =
            if may_write { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        #[expect(unsafe_code, reason = "a ring is shared memory with the kernel")]
        // SAFETY: a new mapping at an address the kernel chooses overlaps nothing of ours.
        let start = unsafe {
            mmap(core::ptr::null_mut(), bytes, protection, MapFlags::SHARED, map, offset as u64)
        }?;
        Ok(Self { start, bytes })
    }

    fn position(&self) -> &AtomicU64 {
        #[expect(unsafe_code, reason = "a ring is shared memory with the kernel")]
        // SAFETY: the mapping is page aligned, at least a page long and lives as long as `self`;
        // its first eight bytes are a position that both sides use atomically.
        unsafe {
            &*self.start.cast::<AtomicU64>()
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "what was mapped is unmapped")]
        // SAFETY: start and length are those of our own mapping, to which nobody has a reference
        // any more. A failure leaves it mapped, which harms nobody.
        let _ = unsafe { munmap(self.start, self.bytes) };
    }
}

impl Ring {
    /// `map` is a ring of `data_bytes`, a power of two.
    pub(crate) fn open(map: &impl AsFd, data_bytes: usize) -> io::Result<Self> {
        let waiter = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // By edge: what already lies there does not end a wait, only a wake-up does.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&waiter, map, epoll::EventData::new_u64(0), flags)?;
        Self::mapped(map, data_bytes, waiter)
    }

    fn mapped(map: &impl AsFd, data_bytes: usize, waiter: OwnedFd) -> io::Result<Self> {
        let page_bytes = rustix::param::page_size();
        let consumer = Mapping::new(map, page_bytes, true, 0)?;
        let producer = Mapping::new(map, page_bytes + data_bytes, false, page_bytes)?;
        Ok(Self { consumer, producer, data_bytes, page_bytes, waiter, whole: Vec::new() })
    }

    /// Until the kernel's side asks for attention, or `timeout`; true if it asked.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }];
        let timeout = Timespec::try_from(timeout).ok();
        match epoll::wait(&self.waiter, &mut events, timeout.as_ref()) {
            Ok(count) => Ok(count > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Has a write to the event counter `wake` end a wait too.
    pub(crate) fn woken_by(&self, wake: &impl AsFd) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        Ok(epoll::add(&self.waiter, wake, epoll::EventData::new_u64(1), flags)?)
    }

    /// Every finished record, in order, up to the first that is still being written.
    pub(crate) fn take(&mut self, mut each: impl FnMut(&[u8])) {
        let mut whole = std::mem::take(&mut self.whole);
        let mut at = self.consumer.position().load(Ordering::Relaxed);
        // A writer that keeps up for ever must not keep us here for ever.
        let end = self.producer.position().load(Ordering::Acquire);
        while at < end {
            let Some(header) = self.header(at) else { break };
            let length = header.load(Ordering::Acquire);
            if length & BUSY != 0 {
                break;
            }
            let bytes = (length & !(BUSY | DISCARDED)) as usize;
            if length & DISCARDED == 0
                && let Some(record) = self.record(at, bytes, &mut whole)
            {
                each(record);
            }
            at += (HEADER_BYTES + bytes).next_multiple_of(8) as u64;
            self.consumer.position().store(at, Ordering::Release);
        }
        self.whole = whole;
    }

    fn offset(&self, at: u64) -> usize {
        (at as usize) & (self.data_bytes - 1)
    }

    fn header(&self, at: u64) -> Option<&AtomicU32> {
        let offset = self.page_bytes + self.offset(at);
        (offset.is_multiple_of(8) && offset + HEADER_BYTES <= self.producer.bytes).then(|| {
            #[expect(unsafe_code, reason = "a ring is shared memory with the kernel")]
            // SAFETY: aligned and inside the mapping, as just checked; the kernel writes this
            // word atomically too.
            unsafe {
                &*self.producer.start.byte_add(offset).cast::<AtomicU32>()
            }
        })
    }

    fn record<'a>(&'a self, at: u64, bytes: usize, whole: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let start = self.offset(at + HEADER_BYTES as u64);
        let first = self.data(start, bytes.min(self.data_bytes - start))?;
        if first.len() == bytes {
            return Some(first);
        }
        whole.clear();
        whole.extend_from_slice(first);
        whole.extend_from_slice(self.data(0, bytes - first.len())?);
        Some(whole)
    }

    fn data(&self, start: usize, bytes: usize) -> Option<&[u8]> {
        let offset = self.page_bytes + start;
        (offset + bytes <= self.producer.bytes).then(|| {
            #[expect(unsafe_code, reason = "a ring is shared memory with the kernel")]
            // SAFETY: inside the mapping, as just checked. The record is finished and the kernel
            // writes here again only when the position of the reader has passed it, which happens
            // after the slice is gone.
            unsafe {
                core::slice::from_raw_parts(
                    self.producer.start.byte_add(offset).cast::<u8>(),
                    bytes,
                )
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    const DATA: usize = 8192;

    /// A ring as the kernel lays it out, in a file.
    struct Laid {
        file: File,
        page: usize,
        end: usize,
    }

    impl Laid {
        fn new() -> Self {
            let page = rustix::param::page_size();
            let file = tempfile::tempfile().unwrap();
            file.set_len((2 * page + DATA) as u64).unwrap();
            Self { file, page, end: 0 }
        }

        fn write(&mut self, flags: u32, bytes: &[u8]) {
            let mut record = (bytes.len() as u32 | flags).to_ne_bytes().to_vec();
            record.extend([0; 4]);
            record.extend(bytes);
            for (number, byte) in record.iter().enumerate() {
                let at = 2 * self.page + (self.end + number) % DATA;
                self.file.write_all_at(&[*byte], at as u64).unwrap();
            }
            self.end += record.len().next_multiple_of(8);
            self.file.write_all_at(&self.end.to_ne_bytes(), self.page as u64).unwrap();
        }
    }

    #[test]
    fn records_come_in_order_also_around_the_end() {
        let mut laid = Laid::new();
        let (waiter, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut ring = Ring::mapped(&laid.file, DATA, waiter.into()).unwrap();
        for round in 0..40_usize {
            // Lengths that meet the end in every way: before, in and after a header.
            let records = [1003 + 8 * round, 16, 1500].map(|it| vec![round as u8; it]);
            for it in &records {
                laid.write(0, it);
            }
            laid.write(DISCARDED, b"not told");
            let mut seen = Vec::new();
            ring.take(|it| seen.push(it.to_vec()));
            assert!(seen == records, "round {round}");
        }
        laid.write(BUSY, b"still being written");
        laid.write(0, b"behind it");
        ring.take(|it| panic!("{it:?} is not finished"));
    }
}
