//! What this host has done before: pairs of who starts what, and who calls whom. A pair is a
//! digest of eight bytes; what is new is told only once the host has been learned.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::time::Timestamp;

use crate::state::{self, StateError};

/// Most pairs remembered: 2 MiB. When there are more, nothing is called new any more, because
/// what was forgotten would be.
pub const PAIRS_MAX: usize = 65_536;
/// How long a host is learned unless the policy says otherwise.
pub const LEARN: Duration = Duration::from_hours(7 * 24);
const FILE_BYTES_MAX: usize = 16 + PAIRS_MAX * 8;
/// Version of the file and of what a pair is made of.
const MAGIC: &[u8; 8] = b"GARSEEN1";

/// Bounded memory of pairs.
#[derive(Debug)]
pub struct FirstSeen {
    pairs: HashSet<u64>,
    began: Timestamp,
    learn: Duration,
    file: Option<PathBuf>,
    changed: bool,
    /// Pairs that found no room.
    pub overflowed: u64,
}

impl FirstSeen {
    /// What was learned before, in `file`; a damaged one is learned anew.
    pub fn load(file: Option<&Path>, learn: Duration, now: Timestamp) -> Self {
        let kept = file.and_then(|it| state::read(it, FILE_BYTES_MAX));
        let (began, pairs) = kept.and_then(|it| parse(&it)).unwrap_or((now, HashSet::new()));
        // Learned under a clock that was ahead.
        let began = began.min(now);
        let file = file.map(ToOwned::to_owned);
        Self { pairs, began, learn, file, changed: true, overflowed: 0 }
    }

    /// Notes a pair and says whether it is new; nothing while the host is being learned, or
    /// where there is no room to know.
    pub fn note(&mut self, kind: &str, one: &str, other: &str, now: Timestamp) -> Option<bool> {
        let pair = digest(kind, one, other);
        if self.pairs.contains(&pair) {
            return self.is_learned(now).then_some(false);
        }
        if self.pairs.len() >= PAIRS_MAX {
            self.overflowed += 1;
            return None;
        }
        self.pairs.insert(pair);
        self.changed = true;
        self.is_learned(now).then_some(true)
    }

    pub fn is_learned(&self, now: Timestamp) -> bool {
        now.since(self.began) >= self.learn
    }

    /// The clock was set: as much is learned as was.
    pub fn move_clock(&mut self, by_us: i64) {
        self.began = self.began.moved(by_us);
        self.changed = true;
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Keeps what was learned since the last time.
    pub fn keep(&mut self) -> Result<(), StateError> {
        let Some(file) = self.file.as_deref().filter(|_| self.changed) else { return Ok(()) };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.began.0.to_le_bytes());
        bytes.extend(self.pairs.iter().flat_map(|it| it.to_le_bytes()));
        state::write(file, &bytes)?;
        self.changed = false;
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Option<(Timestamp, HashSet<u64>)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (began, pairs) = rest.split_first_chunk::<8>()?;
    let (pairs, left) = pairs.as_chunks::<8>();
    let pairs = pairs.iter().take(PAIRS_MAX).map(|it| u64::from_le_bytes(*it)).collect();
    left.is_empty().then_some((Timestamp(i64::from_le_bytes(*began)), pairs))
}

fn digest(kind: &str, one: &str, other: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in [kind, one, other] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    let mut half = [0; 8];
    half.copy_from_slice(hasher.finalize().as_bytes().split_at(8).0);
    u64::from_le_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_only_after_learning_and_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("seen");
        let (t0, later) = (Timestamp::from_secs(0), Timestamp::from_secs(8 * 24 * 3600));
        let mut it = FirstSeen::load(Some(&file), LEARN, t0);
        assert_eq!(it.note("exec", "/bin/sh", "/bin/ls", t0), None, "everything is new at first");
        assert_eq!(it.note("exec", "/bin/sh", "/bin/id", later), Some(true));
        assert_eq!(it.note("exec", "/bin/sh", "/bin/id", later), Some(false));
        it.keep().unwrap();
        let mut it = FirstSeen::load(Some(&file), LEARN, later);
        assert_eq!(it.note("exec", "/bin/sh", "/bin/ls", later), Some(false));
        assert_eq!(it.note("exec", "/bin/ls", "/bin/sh", later), Some(true));
        std::fs::write(&file, b"GARSEEN1damaged").unwrap();
        assert!(FirstSeen::load(Some(&file), LEARN, later).is_empty());
    }

    #[test]
    fn a_clock_that_is_set_changes_nothing_of_how_long_was_learned() {
        const YEAR_US: i64 = 365 * 86_400 * 1_000_000;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("seen");
        // A host whose clock begins in 1970 and is put right later.
        let t0 = Timestamp::from_secs(10);
        let mut it = FirstSeen::load(Some(&file), LEARN, t0);
        it.move_clock(56 * YEAR_US);
        assert_eq!(it.note("exec", "a", "b", t0.moved(56 * YEAR_US)), None, "is still learned");
        it.keep().unwrap();
        // And one whose clock was ahead when it was first seen.
        let it = FirstSeen::load(Some(&file), LEARN, t0);
        assert!(!it.is_learned(t0) && it.is_learned(t0 + LEARN));
    }

    #[test]
    fn a_full_memory_calls_nothing_new() {
        let t0 = Timestamp::from_secs(0);
        let mut it = FirstSeen::load(None, Duration::ZERO, t0);
        for number in 0..PAIRS_MAX + 10 {
            it.note("exec", "a", &number.to_string(), t0);
        }
        assert_eq!((it.len(), it.overflowed), (PAIRS_MAX, 10));
        assert_eq!(it.note("exec", "b", "c", t0), None);
    }
}
