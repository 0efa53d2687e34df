//! What the allocator keeps of memory that is free.
//!
//! Loading kernel programs and reading a host take tens of megabytes for a moment; an agent is
//! there for months, so what it no longer needs goes back. Only glibc hoards by the thread and
//! has these calls; with another C library both do nothing.

/// Threads share this many heaps: more would each hold on to the peak of its own.
#[cfg(target_env = "gnu")]
const ARENAS: libc::c_int = 1;

/// To be called before the first thread is started.
pub fn share_heaps() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a setting of the C library")]
    // SAFETY: it takes two numbers and touches only the allocator's own settings; a number it
    // does not know is refused.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
    }
}

/// Returns free pages to the kernel. Costs about a millisecond.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a call of the C library")]
    // SAFETY: it takes the allocator's own locks and frees only pages that hold no allocation.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_given_back() {
        const PIECES: usize = 4096;
        const PIECE: usize = 4096;
        const MIB: u64 = 1 << 20;
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/statm").unwrap();
            let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
            pages * rustix::param::page_size() as u64
        };
        let pieces: Vec<Vec<u8>> = (0..PIECES).map(|_| vec![1_u8; PIECE]).collect();
        // One that stays keeps the heap from shrinking at its end.
        let stays = vec![1_u8; PIECE];
        let full = resident();
        drop(pieces);
        give_back();
        let after = resident();
        assert!(after + 8 * MIB < full, "{after} of {full} bytes are still resident");
        assert_eq!(stays.len(), PIECE);
    }
}
