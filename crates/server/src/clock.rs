//! The one place of the server that reads the clock. Only outermost loops and request handlers
//! call it; everything below takes the time as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use model::time::Timestamp;

/// Now, in UTC.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
