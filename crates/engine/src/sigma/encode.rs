//! The encodings that a value may stand in: Base64 and UTF-16.

use super::pattern::DASHES;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |place: usize| u32::from(chunk.get(place).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            if place > chunk.len() {
                out.push(b'=');
            } else {
                let index = (bits >> (18 - 6 * place) & 63) as usize;
                out.push(ALPHABET.get(index).copied().unwrap_or_default());
            }
        }
    }
    out
}

/// The part of an encoded text that stays the same wherever in it `bytes` stands: one for each
/// of the three ways to lie against the groups of three.
pub(super) fn base64_offsets(bytes: &[u8]) -> Vec<Vec<u8>> {
    (0..3)
        .map(|shift| {
            let mut shifted = vec![b' '; shift];
            shifted.extend_from_slice(bytes);
            let encoded = base64(&shifted);
            // Characters that hold bits of what stands before, and of what comes after.
            let before = [0, 2, 3].get(shift).copied().unwrap_or_default();
            let after = [0, 3, 2].get(shifted.len() % 3).copied().unwrap_or_default();
            let end = encoded.len().saturating_sub(after);
            encoded.get(before..end).unwrap_or_default().to_vec()
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wide {
    Little,
    Big,
    /// Little, with the mark that says so.
    Marked,
}

/// `bytes` in UTF-16; what is no UTF-8 stays as it is.
pub(super) fn utf16(bytes: &[u8], wide: Wide) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    let mut out = Vec::with_capacity(bytes.len() * 2 + 2);
    if wide == Wide::Marked {
        out.extend([0xff, 0xfe]);
    }
    for unit in text.encode_utf16() {
        match wide {
            Wide::Big => out.extend(unit.to_be_bytes()),
            Wide::Little | Wide::Marked => out.extend(unit.to_le_bytes()),
        }
    }
    out
}

/// Every way to write the switches of a Windows command line; `None`: too many of them.
pub(super) fn dashes(text: &str) -> Option<Vec<String>> {
    let mut ways = vec![String::with_capacity(text.len())];
    let mut before = None;
    let mut rest = text.chars().peekable();
    let is_word = |it: &char| it.is_alphanumeric() || *it == '_';
    let mut places = 0;
    while let Some(it) = rest.next() {
        let starts_switch = DASHES.contains(&it)
            && rest.peek().is_some_and(is_word)
            && !before.as_ref().is_some_and(is_word);
        before = Some(it);
        if !starts_switch {
            for way in &mut ways {
                way.push(it);
            }
            continue;
        }
        places += 1;
        if places > SWITCHES_MAX {
            return None;
        }
        let more = |way: String| {
            DASHES.iter().map(move |dash| {
                let mut way = way.clone();
                way.push(*dash);
                way
            })
        };
        ways = ways.into_iter().flat_map(more).collect();
    }
    Some(ways)
}

/// Most switches in one value with `windash`: each is written in five ways.
const SWITCHES_MAX: usize = 4;
