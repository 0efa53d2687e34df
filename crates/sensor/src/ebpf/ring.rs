//! The reading end of a BPF ring buffer.
//!
//! The kernel maps three things for user space: a page with the position of the reader, a page
//! with the position of the writers, and the data, twice in a row so that a record never wraps.

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
    /// `map` is a ring of `data_bytes`.
    pub(crate) fn open(map: &impl AsFd, data_bytes: usize) -> io::Result<Self> {
        let page_bytes = rustix::param::page_size();
        let consumer = Mapping::new(map, page_bytes, true, 0)?;
        let producer = Mapping::new(map, page_bytes + 2 * data_bytes, false, page_bytes)?;
        let waiter = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // By edge: what already lies there does not end a wait, only a wake-up does.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&waiter, map, epoll::EventData::new_u64(0), flags)?;
        Ok(Self { consumer, producer, data_bytes, page_bytes, waiter })
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
                && let Some(record) = self.record(at, bytes)
            {
                each(record);
            }
            at += (HEADER_BYTES + bytes).next_multiple_of(8) as u64;
            self.consumer.position().store(at, Ordering::Release);
        }
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

    fn record(&self, at: u64, bytes: usize) -> Option<&[u8]> {
        let offset = self.page_bytes + self.offset(at) + HEADER_BYTES;
        (offset + bytes <= self.producer.bytes).then(|| {
            #[expect(unsafe_code, reason = "a ring is shared memory with the kernel")]
            // SAFETY: inside the mapping, as just checked, thanks to its second copy of the data.
            // The record is finished and the kernel writes here again only when the position of
            // the reader has passed it, which happens after the slice is gone.
            unsafe {
                core::slice::from_raw_parts(
                    self.producer.start.byte_add(offset).cast::<u8>(),
                    bytes,
                )
            }
        })
    }
}
