//! The form of a file at rest: pieces of ChaCha20-Poly1305.
//!
//! `GRV1`, 16 random bytes, then pieces of at most 64 KiB with their tag. Each file has a key of
//! its own, derived from the vault's key and the random bytes; the nonce is the number of the piece
//! and whether it is the last one, so that none can be left out, moved or cut off unnoticed.

use std::io::{self, Read, Write};
use std::path::Path;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use sha2::{Digest as _, Sha256};

use crate::state;

const MAGIC: &[u8; 4] = b"GRV1";
const SALT_BYTES: usize = 16;
const PIECE_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("reading or writing failed")]
    Io(#[from] io::Error),
    #[error("the sealed file is damaged, or of another vault")]
    Damaged,
    #[error("no random number: {0}")]
    Random(getrandom::Error),
    #[error("the key of the vault")]
    Key(#[from] state::StateError),
    #[error("the key of the vault is damaged")]
    KeyLength,
}

/// What went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub sha256: [u8; 32],
    pub bytes: u64,
}

/// The secret of one vault.
pub struct Key([u8; KEY_BYTES]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// The key in `path`, made if there is none. Never made anew while a damaged one is there:
    /// what was sealed with it would be lost.
    pub fn load(path: &Path) -> Result<Self, SealError> {
        if path.exists() {
            let bytes = state::read(path, KEY_BYTES).unwrap_or_default();
            return Ok(Self(bytes.try_into().map_err(|_| SealError::KeyLength)?));
        }
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(SealError::Random)?;
        state::write(path, &key)?;
        Ok(Self(key))
    }

    fn of_file(&self, salt: &[u8]) -> Result<LessSafeKey, SealError> {
        let secret = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let key = secret.expand(&[b"garrison vault 1"], &CHACHA20_POLY1305);
        Ok(LessSafeKey::new(UnboundKey::from(key.map_err(|_| SealError::Damaged)?)))
    }

    /// Seals everything of `source` into `target`.
    pub fn seal(&self, source: impl Read, mut target: impl Write) -> Result<Passed, SealError> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(SealError::Random)?;
        let key = self.of_file(&salt)?;
        target.write_all(MAGIC)?;
        target.write_all(&salt)?;
        each_piece(source, PIECE_BYTES, |number, last, piece, passed| {
            passed.take(piece);
            key.seal_in_place_append_tag(nonce(number, last), Aad::from(MAGIC), piece)
                .map_err(|_| SealError::Damaged)?;
            Ok(target.write_all(piece)?)
        })
    }

    /// Writes what was sealed in `source` to `target`. What was written is worthless if this fails.
    pub fn unseal(
        &self,
        mut source: impl Read,
        mut target: impl Write,
    ) -> Result<Passed, SealError> {
        let mut head = [0; MAGIC.len() + SALT_BYTES];
        source.read_exact(&mut head).map_err(|_| SealError::Damaged)?;
        let salt = head.strip_prefix(MAGIC).ok_or(SealError::Damaged)?;
        let key = self.of_file(salt)?;
        each_piece(source, PIECE_BYTES + TAG_BYTES, |number, last, piece, passed| {
            let plain = key
                .open_in_place(nonce(number, last), Aad::from(MAGIC), piece)
                .map_err(|_| SealError::Damaged)?;
            passed.take(plain);
            Ok(target.write_all(plain)?)
        })
    }
}

struct Passing {
    hasher: Sha256,
    bytes: u64,
}

impl Passing {
    fn take(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
    }
}

/// Reads pieces of `size` bytes; the last may be shorter, and is empty for an empty file.
fn each_piece(
    mut source: impl Read,
    size: usize,
    mut act: impl FnMut(u64, bool, &mut Vec<u8>, &mut Passing) -> Result<(), SealError>,
) -> Result<Passed, SealError> {
    let mut passing = Passing { hasher: Sha256::new(), bytes: 0 };
    let mut piece = read_piece(&mut source, size)?;
    for number in 0.. {
        let next = if piece.len() < size { Vec::new() } else { read_piece(&mut source, size)? };
        let last = next.is_empty();
        act(number, last, &mut piece, &mut passing)?;
        if last {
            break;
        }
        piece = next;
    }
    Ok(Passed { sha256: passing.hasher.finalize().into(), bytes: passing.bytes })
}

fn read_piece(source: &mut impl Read, size: usize) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(size + TAG_BYTES);
    source.take(size as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    let (count, rest) = bytes.split_at_mut(8);
    count.copy_from_slice(&number.to_be_bytes());
    if let Some(flag) = rest.first_mut() {
        *flag = u8::from(last);
    }
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Key {
        Key([7; KEY_BYTES])
    }

    proptest! {
        #[test]
        fn what_is_sealed_comes_back_and_damage_is_seen(
            length in prop_oneof![0_usize..100, (PIECE_BYTES - 20)..(PIECE_BYTES + 20), Just(3 * PIECE_BYTES)],
            place in any::<prop::sample::Index>(),
        ) {
            let plain: Vec<u8> = (0..length).map(|it| ((it * 31) >> 3) as u8).collect();
            let mut sealed = Vec::new();
            let passed = key().seal(plain.as_slice(), &mut sealed).unwrap();
            prop_assert_eq!(passed.bytes, length as u64);
            let mut back = Vec::new();
            prop_assert_eq!(key().unseal(sealed.as_slice(), &mut back).unwrap(), passed);
            prop_assert_eq!(&back, &plain);
            let at = place.index(sealed.len());
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            prop_assert!(key().unseal(damaged.as_slice(), io::sink()).is_err());
            prop_assert!(key().unseal(&sealed[..at], io::sink()).is_err(), "cut at {at}");
            prop_assert!(Key([8; KEY_BYTES]).unseal(sealed.as_slice(), io::sink()).is_err());
        }
    }

    #[test]
    fn the_key_is_made_once_and_never_over_a_damaged_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let first = Key::load(&path).unwrap();
        assert_eq!(Key::load(&path).unwrap().0, first.0);
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(Key::load(&path), Err(SealError::KeyLength)));
    }
}
