//! Programs that are compressed or encrypted and unpack themselves in memory: the bytes that lists
//! know never lie on a disk.
//!
//! Packers may be named in the file or not; what none can do without is code that looks like
//! noise, and the table of sections is the first thing they leave out.

use std::io::{Read, Seek, SeekFrom};

/// Read of the middle of the file.
const SAMPLE_BYTES: usize = 16 << 10;
/// Smaller files have no room for noise that means something.
const FILE_BYTES_MIN: u64 = 4 << 10;
/// Machine code has about six bits in a byte, compressed bytes more than seven and a half.
const NOISE_BITS: f64 = 7.5;
/// Sections of an ELF header, 64 and 32 bits: gABI, "ELF Header".
const SECTIONS_AT_64: usize = 60;
const SECTIONS_AT_32: usize = 48;

/// Whether the program in `file`, which begins with `head` and has `size` bytes, is packed.
pub fn is_packed(head: &[u8], mut file: impl Read + Seek, size: u64) -> bool {
    if size < FILE_BYTES_MIN || has_sections(head) != Some(false) {
        return false;
    }
    let middle = size / 2 - (SAMPLE_BYTES as u64 / 2).min(size / 4);
    let mut sample = Vec::with_capacity(SAMPLE_BYTES);
    let read = file
        .seek(SeekFrom::Start(middle))
        .and_then(|_| file.take(SAMPLE_BYTES as u64).read_to_end(&mut sample));
    // What cannot be read is not called anything.
    read.is_ok() && bits_in_byte(&sample) > NOISE_BITS
}

/// `None` where it is no program.
fn has_sections(head: &[u8]) -> Option<bool> {
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let at = if *head.get(4)? == 2 { SECTIONS_AT_64 } else { SECTIONS_AT_32 };
    Some(head.get(at..at + 2)? != [0, 0])
}

/// Shannon entropy.
fn bits_in_byte(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = bytes.len().max(1) as f64;
    let seen = counts.iter().filter(|it| **it > 0).map(|it| f64::from(*it) / all);
    -seen.map(|share| share * share.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A file of a 64-bit program with so many sections.
    fn program(sections: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(SECTIONS_AT_64, 0);
        bytes.extend([sections, 0, 0, 0]);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn noise_without_sections_is_packed() {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noise: Vec<u8> = (0..40_000).map(|_| next()).collect();
        let plain: Vec<u8> = (0..40_000_u32).map(|it| (it % 60) as u8).collect();
        for (name, bytes, packed) in [
            ("packed", program(0, &noise), true),
            ("linked as usual", program(30, &noise), false),
            ("stripped", program(0, &plain), false),
            ("small", program(0, noise.get(..2000).unwrap()), false),
            ("no program", noise.clone(), false),
            ("cut", b"\x7fELF\x02".to_vec(), false),
            ("empty", Vec::new(), false),
        ] {
            let size = bytes.len() as u64;
            assert_eq!(is_packed(&bytes, Cursor::new(&bytes), size), packed, "{name}");
        }
    }
}
