//! Secrets at rest: AES-256-GCM under a key that lies in a file of its own, so that a copy of the
//! database alone opens nothing.

use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::auth::random_bytes;

const KEY_BYTES: usize = 32;
/// First byte of what is sealed: how.
const VERSION: u8 = 1;

/// Why a secret cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no key this server wrote", path.display())]
    Key { path: PathBuf },
    #[error("no random number: {0}")]
    Random(getrandom::Error),
    #[error("the secrets were sealed with another key: enter them anew")]
    Foreign,
    #[error("the secret could not be sealed")]
    Cipher,
}

/// Seals and opens.
pub struct Sealer {
    key: LessSafeKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// Reads the key in `dir`, or makes it there, for the owner only.
    pub fn open(dir: &Path) -> Result<Self, SealError> {
        let path = dir.join("seal.key");
        let failed = |action| {
            let path = path.clone();
            move |source| SealError::Io { action, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("create"))?;
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(it) if it.kind() == io::ErrorKind::NotFound => {
                let key = random_bytes::<KEY_BYTES>().map_err(SealError::Random)?;
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(failed("create"))?;
                file.write_all(&key).and_then(|()| file.sync_all()).map_err(failed("write"))?;
                key.to_vec()
            }
            Err(source) => return Err(failed("read")(source)),
        };
        let key = UnboundKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| SealError::Key { path: path.clone() })?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// `purpose` must be given again to open it.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        // Random nonces of 96 bits are safe for far more secrets than anybody enters.
        let nonce = random_bytes::<NONCE_LEN>().map_err(SealError::Random)?;
        let mut body = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut body,
            )
            .map_err(|_| SealError::Cipher)?;
        let mut out = vec![VERSION];
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&body);
        Ok(out)
    }

    pub fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Foreign)?;
        if *version != VERSION || rest.len() < NONCE_LEN {
            return Err(SealError::Foreign);
        }
        let (nonce, body) = rest.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Foreign)?;
        let mut body = body.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut body)
            .map_err(|_| SealError::Foreign)?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(dir.path()).unwrap();
        let sealed = sealer.seal("slack", b"https://hooks.example/T1").unwrap();
        assert!(!sealed.windows(5).any(|it| it == b"hooks"));
        assert_ne!(sealer.seal("slack", b"https://hooks.example/T1").unwrap(), sealed);
        // The key outlives the process.
        let again = Sealer::open(dir.path()).unwrap();
        assert_eq!(again.open_sealed("slack", &sealed).unwrap(), b"https://hooks.example/T1");
        assert!(matches!(again.open_sealed("teams", &sealed), Err(SealError::Foreign)));
        for place in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[place] ^= 1;
            assert!(again.open_sealed("slack", &bad).is_err(), "byte {place}");
            assert!(again.open_sealed("slack", &sealed[..place]).is_err(), "cut at {place}");
        }
        let other = Sealer::open(&dir.path().join("other")).unwrap();
        assert!(matches!(other.open_sealed("slack", &sealed), Err(SealError::Foreign)));
        let mode = std::fs::metadata(dir.path().join("seal.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.path().join("seal.key"), b"short").unwrap();
        assert!(matches!(Sealer::open(dir.path()), Err(SealError::Key { .. })));
    }
}
