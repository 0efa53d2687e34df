//! Finds text lines that say what the journal has said already.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use engine::login::{Attempt, Sign};
use model::time::Timestamp;

/// A syslog daemon that shortens repetitions writes its line within this time.
const KEPT_FOR: Duration = Duration::from_mins(15);
/// Messages of the journal remembered; the oldest is forgotten first.
const KEPT_MAX: usize = 20_000;

/// What the journal said and no text line has repeated yet.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    open: HashMap<u64, u32>,
    order: VecDeque<(Timestamp, u64)>,
}

impl Repeats {
    /// The journal said this.
    pub(super) fn said(&mut self, attempt: &Attempt) {
        if self.order.len() >= KEPT_MAX {
            self.drop_oldest();
        }
        let key = key(attempt);
        *self.open.entry(key).or_default() += 1;
        self.order.push_back((attempt.at, key));
    }

    /// What is left of a text line after what the journal said. `message repeated 3 times`
    /// stands for three messages.
    pub(super) fn unsaid(&mut self, mut attempt: Attempt) -> Option<Attempt> {
        let key = key(&attempt);
        let Sign::Tried(count) = &mut attempt.sign else {
            return (!self.take(key)).then_some(attempt);
        };
        while *count > 0 && self.take(key) {
            *count -= 1;
        }
        (*count > 0).then_some(attempt)
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) > KEPT_FOR) {
            self.drop_oldest();
        }
    }

    fn take(&mut self, key: u64) -> bool {
        let Some(count) = self.open.get_mut(&key) else { return false };
        *count -= 1;
        if *count == 0 {
            self.open.remove(&key);
        }
        true
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.take(key);
        }
    }
}

/// Everything but the time, which the text rounds, and the process, which it may lack.
fn key(attempt: &Attempt) -> u64 {
    let mut hasher = DefaultHasher::new();
    attempt.service.hash(&mut hasher);
    attempt.user.hash(&mut hasher);
    attempt.origin.hash(&mut hasher);
    attempt.outcome.hash(&mut hasher);
    attempt.port.hash(&mut hasher);
    match attempt.sign {
        Sign::Tried(_) => 0_u32.hash(&mut hasher),
        Sign::Pam(count) => (1 + count).hash(&mut hasher),
        Sign::Connection => u32::MAX.hash(&mut hasher),
    }
    hasher.finish()
}
