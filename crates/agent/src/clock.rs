//! Notices that somebody set the clock. What was counted by it and what waits for it then moves
//! along, so that neither an hour back nor one forward makes a counter forget or a thread sleep.

use std::time::Duration;

use model::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// A smaller difference between two looks is how a clock is kept right, not how it is set.
const SET_MIN_US: i64 = 2_000_000;

/// Compares the time of day with the one that nobody can set.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockWatch {
    /// The time of day when the host started, as it was at the last look.
    started_us: Option<i64>,
}

impl ClockWatch {
    /// By how many microseconds the clock was set since the last look, if it was. `running` is how
    /// long the host runs.
    pub fn set_by(&mut self, now: Timestamp, running: Duration) -> Option<i64> {
        let Timestamp(started_us) = now - running;
        let before = self.started_us.replace(started_us)?;
        let by_us = started_us.saturating_sub(before);
        (by_us.abs() >= SET_MIN_US).then_some(by_us)
    }
}

/// How long the host runs; sleep counts.
pub fn running() -> Duration {
    let it = clock_gettime(ClockId::Boottime);
    let nanos = u32::try_from(it.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(it.tv_sec).unwrap_or(0), nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_once_by_how_much() {
        const HOUR: i64 = 3600;
        let mut watch = ClockWatch::default();
        let mut told = Vec::new();
        // Seconds the host runs, and what the clock is ahead of that then.
        for (running, ahead) in [(10, 0), (11, 0), (12, 5 * HOUR), (13, 5 * HOUR), (14, -HOUR)] {
            let now = Timestamp::from_secs(1_000_000 + running + ahead);
            told.push(watch.set_by(now, Duration::from_secs(running.cast_unsigned())));
        }
        let us = |seconds: i64| Some(seconds * 1_000_000);
        assert_eq!(told, [None, None, us(5 * HOUR), None, us(-6 * HOUR)]);
    }

    #[test]
    fn a_clock_that_is_kept_right_was_not_set() {
        let mut watch = ClockWatch::default();
        for second in 0..1000_i64 {
            // A second more each second.
            let now = Timestamp::from_secs(second * 2);
            assert_eq!(watch.set_by(now, Duration::from_secs(second.cast_unsigned())), None);
        }
        assert!(running() > Duration::ZERO);
    }
}
