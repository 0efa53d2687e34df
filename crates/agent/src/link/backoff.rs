//! How long to wait before the next try to connect.

use std::time::Duration;

/// First ceiling.
pub const DELAY_MIN: Duration = Duration::from_secs(1);
/// Last ceiling.
pub const DELAY_MAX: Duration = Duration::from_mins(5);

/// Full jitter: anything up to a ceiling that doubles with each failed `attempt`, from 0, so that
/// ten thousand agents do not return at once. `random` is uniform over its type.
pub fn delay(attempt: u32, random: u32) -> Duration {
    let ceiling = DELAY_MIN.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
    ceiling.min(DELAY_MAX).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_from_a_second_to_five_minutes() {
        let ceilings: Vec<u64> = (0..12).map(|it| delay(it, u32::MAX).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        for attempt in [0, 5, 31, 32, u32::MAX] {
            assert_eq!(delay(attempt, 0), Duration::ZERO);
            assert!(delay(attempt, u32::MAX) <= DELAY_MAX);
        }
        let half = delay(3, u32::MAX / 2);
        assert!(half > Duration::from_millis(3999) && half < Duration::from_millis(4001));
    }
}
