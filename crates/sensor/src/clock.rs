//! The two clocks events are told by. A sensor is an outermost loop, so it reads them itself.

use model::time::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

pub(crate) fn now() -> Timestamp {
    Timestamp(nanos(clock_gettime(ClockId::Realtime)) / 1000)
}

/// Nanoseconds to add to a time since boot to get the time of day.
pub(crate) fn boot_offset_ns() -> i64 {
    nanos(clock_gettime(ClockId::Realtime)) - nanos(clock_gettime(ClockId::Boottime))
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
