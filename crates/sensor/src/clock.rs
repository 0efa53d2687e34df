//! The two clocks events are told by. A sensor is an outermost loop, so it reads them itself.

use model::time::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

pub(crate) fn now() -> Timestamp {
    Timestamp(nanos(clock_gettime(ClockId::Realtime)) / 1000)
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
