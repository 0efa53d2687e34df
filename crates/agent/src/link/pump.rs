//! Moves one lane of the spool to the server, in order, a bounded way ahead of what is acknowledged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use model::wire::{self, AgentFrame, agent_frame};
use tokio::sync::watch;

use super::Frames;
use crate::spool::{Lane, Spool, SpoolError};

/// Blocks of one lane on their way and not yet acknowledged.
const WINDOW_BLOCKS: usize = 64;
/// A server's wish to slow down is kept this long.
const SLOW_DOWN_SPAN: Duration = Duration::from_mins(1);

/// How fast telemetry may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) pause_until: Instant,
    pub(super) per_s: u32,
    pub(super) until: Instant,
}

impl Pace {
    pub(super) fn asked(wish: wire::SlowDown, now: Instant) -> Self {
        Self {
            pause_until: now + Duration::from_millis(u64::from(wish.pause_ms)).min(SLOW_DOWN_SPAN),
            per_s: wish.telemetry_per_s.max(1),
            until: now + SLOW_DOWN_SPAN,
        }
    }

    /// How long to wait before `records` more.
    fn wait(self, records: u32, now: Instant) -> Duration {
        if now >= self.until {
            return Duration::ZERO;
        }
        let spread = Duration::from_secs_f64(f64::from(records) / f64::from(self.per_s));
        self.pause_until.saturating_duration_since(now) + spread
    }
}

/// One lane's way to the server. Ends when the stream does, or with why the spool failed.
pub(super) struct Pump {
    pub(super) lane: Lane,
    pub(super) spool: Spool,
    pub(super) frames: Frames,
    /// Last number the server has; the first value is where it stood at the beginning.
    pub(super) acked: watch::Receiver<u64>,
    /// Only telemetry obeys it.
    pub(super) pace: watch::Receiver<Option<Pace>>,
}

impl Pump {
    pub(super) async fn run(mut self) -> Result<(), SpoolError> {
        let mut durable = self.spool.durable(self.lane);
        let mut sent = *self.acked.borrow();
        let mut underway = VecDeque::new();
        loop {
            durable.borrow_and_update();
            let (spool, lane) = (self.spool.clone(), self.lane);
            let read = tokio::task::spawn_blocking(move || spool.next_batch(lane, sent)).await;
            let Ok(read) = read else { return Err(SpoolError::Closed) };
            let Some(batch) = read? else {
                if durable.changed().await.is_err() {
                    return Err(SpoolError::Closed);
                }
                continue;
            };
            if !self.room(&mut underway).await {
                return Ok(());
            }
            self.obey(batch.count).await;
            sent = batch.last_seq();
            underway.push_back(sent);
            let frame = AgentFrame { frame: Some(agent_frame::Frame::Batch(batch.into_wire())) };
            if self.frames.send(frame).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Waits until the window has room; false when the stream is over.
    async fn room(&mut self, underway: &mut VecDeque<u64>) -> bool {
        loop {
            let acked = *self.acked.borrow_and_update();
            while underway.front().is_some_and(|it| *it <= acked) {
                underway.pop_front();
            }
            if underway.len() < WINDOW_BLOCKS {
                return true;
            }
            if self.acked.changed().await.is_err() {
                return false;
            }
        }
    }

    async fn obey(&self, records: u32) {
        if self.lane == Lane::Telemetry {
            let pace = *self.pace.borrow();
            if let Some(pace) = pace {
                tokio::time::sleep(pace.wait(records, Instant::now())).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_obeyed_and_forgotten() {
        let now = Instant::now();
        let pace = Pace::asked(wire::SlowDown { telemetry_per_s: 100, pause_ms: 500 }, now);
        assert_eq!(pace.wait(50, now), Duration::from_secs(1), "the pause, then the rate");
        assert_eq!(pace.wait(50, now + Duration::from_secs(1)), Duration::from_millis(500));
        assert_eq!(pace.wait(50, now + SLOW_DOWN_SPAN), Duration::ZERO);
    }
}
