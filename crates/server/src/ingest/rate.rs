//! How much one agent may send: a token bucket for records and one for bytes.

use std::time::{Duration, Instant};

/// What one agent may send, sustained; bursts may be [`BURST_SECONDS`] of it.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    pub records_per_s: u32,
    pub bytes_per_s: u32,
}

/// Room for what gathers while a server restarts.
const BURST_SECONDS: u32 = 4;

impl Default for RateLimits {
    fn default() -> Self {
        Self { records_per_s: 20_000, bytes_per_s: 8 * 1024 * 1024 }
    }
}

/// Fills with `per_s`, holds [`BURST_SECONDS`] of it, and may go into debt once per taking.
#[derive(Debug)]
struct Bucket {
    per_s: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    fn new(per_s: u32, now: Instant) -> Self {
        let per_s = f64::from(per_s.max(1));
        Self { per_s, level: per_s * f64::from(BURST_SECONDS), at: now }
    }

    /// Takes `amount` and says how long to wait until the debt is paid.
    fn take(&mut self, amount: usize, now: Instant) -> Duration {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_s;
        self.at = now;
        self.level = (self.level + gained).min(self.per_s * f64::from(BURST_SECONDS));
        self.level -= amount as f64;
        if self.level >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.level / self.per_s).unwrap_or(Duration::MAX)
    }
}

/// Both buckets of one agent.
#[derive(Debug)]
pub(super) struct Meter {
    records: Bucket,
    bytes: Bucket,
    limits: RateLimits,
}

impl Meter {
    pub(super) fn new(limits: RateLimits, now: Instant) -> Self {
        Self {
            records: Bucket::new(limits.records_per_s, now),
            bytes: Bucket::new(limits.bytes_per_s, now),
            limits,
        }
    }

    /// How long to wait before the next batch is taken.
    pub(super) fn take(&mut self, records: u32, bytes: usize, now: Instant) -> Duration {
        self.records.take(records as usize, now).max(self.bytes.take(bytes, now))
    }

    /// What an agent that sent too much is asked to keep to: half, so that it catches up.
    pub(super) fn asked_rate(&self) -> u32 {
        (self.limits.records_per_s / 2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_pass_and_the_sustained_rate_is_kept() {
        let start = Instant::now();
        let limits = RateLimits { records_per_s: 100, bytes_per_s: 1_000_000 };
        let mut meter = Meter::new(limits, start);
        assert_eq!(meter.take(400, 10, start), Duration::ZERO, "a burst");
        assert_eq!(
            meter.take(100, 10, start),
            Duration::from_secs(1),
            "one second's worth of debt"
        );
        let later = start + Duration::from_secs(2);
        assert_eq!(meter.take(100, 10, later), Duration::ZERO, "paid back");
        let pause = meter.take(1, 5_999_990, later);
        assert!(
            pause.abs_diff(Duration::from_secs(2)) < Duration::from_millis(1),
            "bytes count too: {pause:?}"
        );
        assert_eq!(meter.asked_rate(), 50);
    }
}
