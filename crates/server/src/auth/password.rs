//! Passwords: argon2id, a few at a time.

use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{Mutex, MutexGuard, Semaphore};

/// Memory of one hash: OWASP's second choice (19 MiB, two passes, one lane).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Hashes at once: a flood of sign-ins costs at most this many times the memory of one.
const AT_ONCE_MAX: usize = 2;
/// How long a sign-in waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Shortest password a person may choose, in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password that is hashed, in characters.
pub const PASSWORD_CHARS_MAX: usize = 256;
/// Letters of generated passwords: none that look alike.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";
const GENERATED_LETTERS: usize = 20;

/// Why a password could be neither hashed nor compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("too many sign-ins at once")]
    Busy,
    #[error("argon2: {0}")]
    Hash(argon2::password_hash::Error),
    #[error("the thread that hashes ended early")]
    Thread(#[source] tokio::task::JoinError),
    #[error("the kernel gives no random bytes")]
    Random(#[source] getrandom::Error),
}

/// Hashes and compares, within its limits of memory.
#[derive(Debug)]
pub struct Passwords {
    turns: Semaphore,
    proofs: Mutex<()>,
    /// Compared against when there is no such user, so that both take as long.
    nobody: String,
}

fn hasher() -> Result<Argon2<'static>, PasswordError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|it| PasswordError::Hash(it.into()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The hash of `password` as PHC text. Takes about 20 ms and 19 MiB.
pub fn hash_now(password: &str) -> Result<String, PasswordError> {
    let salt: [u8; 16] = super::random_bytes().map_err(PasswordError::Random)?;
    let hash: phc::PasswordHash = hasher()?
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// A password for a person to type once and then change: 20 letters, 100 bits.
pub fn generate() -> Result<String, PasswordError> {
    let random: [u8; GENERATED_LETTERS] = super::random_bytes().map_err(PasswordError::Random)?;
    let letter = |byte: &u8| LETTERS.get(usize::from(byte % 32)).copied().map_or('a', char::from);
    Ok(random.iter().map(letter).collect())
}

impl Passwords {
    pub fn new() -> Result<Self, PasswordError> {
        Ok(Self {
            turns: Semaphore::new(AT_ONCE_MAX),
            proofs: Mutex::new(()),
            nobody: hash_now(&generate()?)?,
        })
    }

    /// Waits until no other proof of a password is under way.
    pub async fn turn(&self) -> Result<MutexGuard<'_, ()>, PasswordError> {
        tokio::time::timeout(WAIT_MAX, self.proofs.lock()).await.map_err(|_| PasswordError::Busy)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = tokio::time::timeout(WAIT_MAX, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(PasswordError::Busy) };
        tokio::task::spawn_blocking(work).await.map_err(PasswordError::Thread)?
    }

    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.in_turn(move || hash_now(&password)).await
    }

    /// Whether `password` is the one of `hash`; `None` stands for a user that does not exist
    /// and takes as long.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        self.in_turn(move || {
            let verdict =
                PasswordVerifier::<str>::verify_password(&hasher()?, password.as_bytes(), &hash);
            match verdict {
                Ok(()) => Ok(exists),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(other) => Err(PasswordError::Hash(other)),
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_compare_with_their_own_password_only() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for (password, hash, expected) in [
            ("correct horse", Some(hash.clone()), true),
            ("correct horsE", Some(hash), false),
            ("correct horse", None, false),
        ] {
            assert_eq!(passwords.verify(password.to_owned(), hash).await.unwrap(), expected);
        }
        assert_eq!(generate().unwrap().len(), GENERATED_LETTERS);
    }
}
