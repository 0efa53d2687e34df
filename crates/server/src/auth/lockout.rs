//! Growing delays after wrong passwords, per account and per source address.
//!
//! Accounts keep their count in the store; sources are many and cheap to change, so theirs
//! live in a bounded map that a restart empties.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::time::Timestamp;

/// Wrong passwords an account may have before the first delay.
const ACCOUNT_FREE: u32 = 4;
/// Wrong passwords a source may send before the first delay; people share addresses.
const SOURCE_FREE: u32 = 19;
const DELAY_MAX: Duration = Duration::from_mins(15);
/// Sources remembered; the one quiet for longest makes room.
const SOURCES_MAX: usize = 10_000;
/// A source that was quiet this long starts afresh.
const SOURCE_FORGET: Duration = Duration::from_hours(1);

/// How long to refuse after `failures` in a row: nothing, then 1 s, 2 s, 4 s … 15 min.
fn delay(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(over) => {
            let secs = 1_u64.checked_shl(over.saturating_sub(1).min(40)).unwrap_or(u64::MAX);
            Duration::from_secs(secs).min(DELAY_MAX)
        }
    }
}

/// Until when an account refuses after its `failures`th wrong password in a row at `now`.
pub fn account_locked_until(failures: u32, now: Timestamp) -> Option<Timestamp> {
    let delay = delay(failures, ACCOUNT_FREE);
    (!delay.is_zero()).then(|| now + delay)
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_at: Timestamp,
}

/// Failures by source address.
#[derive(Debug, Default)]
pub struct Sources {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

impl Sources {
    /// How long `source` still has to wait.
    pub fn wait(&self, source: IpAddr, now: Timestamp) -> Duration {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(it) = failures.get(&source) else { return Duration::ZERO };
        (it.last_at + delay(it.count, SOURCE_FREE)).since(now)
    }

    pub fn failed(&self, source: IpAddr, now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= SOURCES_MAX && !failures.contains_key(&source) {
            let quietest = failures.iter().min_by_key(|(_, it)| it.last_at).map(|(ip, _)| *ip);
            quietest.and_then(|it| failures.remove(&it));
        }
        let entry = failures.entry(source).or_insert(Failures { count: 0, last_at: now });
        if now.since(entry.last_at) > SOURCE_FORGET {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last_at = now;
    }

    pub fn succeeded(&self, source: IpAddr) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit() {
        let secs: Vec<_> = (0..20).map(|it| delay(it, ACCOUNT_FREE).as_secs()).collect();
        assert_eq!(secs[..10], [0, 0, 0, 0, 0, 1, 2, 4, 8, 16]);
        assert_eq!(secs[19], 900);
        assert_eq!(delay(u32::MAX, ACCOUNT_FREE), DELAY_MAX);
    }

    #[test]
    fn a_source_waits_and_is_forgiven() {
        let sources = Sources::default();
        let (ip, now) = (IpAddr::from([192, 0, 2, 1]), Timestamp::from_secs(1_000_000));
        for _ in 0..=SOURCE_FREE + 2 {
            sources.failed(ip, now);
        }
        assert_eq!(sources.wait(ip, now), Duration::from_secs(4));
        assert_eq!(sources.wait(IpAddr::from([192, 0, 2, 2]), now), Duration::ZERO);
        sources.succeeded(ip);
        assert_eq!(sources.wait(ip, now), Duration::ZERO);
    }

    #[test]
    fn sources_are_bounded() {
        let sources = Sources::default();
        for n in 0..SOURCES_MAX as u32 + 5 {
            sources.failed(IpAddr::from(n.to_be_bytes()), Timestamp::from_secs(i64::from(n)));
        }
        assert_eq!(sources.failures.lock().unwrap().len(), SOURCES_MAX);
    }
}
