//! The thread that responds: tasks of the server and answers of the agent itself go in, records for
//! the alarm lane come out.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::because;
use model::because::whole;
use model::policy::Policy;
use model::time::Timestamp;
use model::wire::{CapabilityState, Record, Task};

use super::reporter::Reporter;
use crate::clock::{ClockWatch, running};
use crate::respond::Responder;
use crate::respond::automatic::Action;
use crate::spool::{Lane, Spool};

/// Answers that wait; one more is lost, and said.
pub(super) const ACTIONS_WAITING_MAX: usize = 10_000;
/// Blocks that come within this span are one change of the packet filter.
const GATHER: Duration = Duration::from_millis(250);
const TICK: Duration = Duration::from_secs(1);
/// Between two reports of what was dropped.
const COUNTERS_EVERY: Duration = Duration::from_mins(5);
/// Records that wait for the alarm lane to take them again.
const PENDING_MAX: usize = 20_000;
pub(super) const CAPABILITY: &str = "responses";

/// What the thread is told.
#[derive(Debug)]
pub enum Order {
    Task(Box<Task>),
    Policy(Box<Policy>),
    Act(Action),
    Stop,
}

#[derive(Debug)]
pub struct Worker {
    responder: Responder,
    spool: Spool,
    pending: Vec<Record>,
    /// The alarm lane's end at a time; once it is acknowledged, the server was in reach after it.
    asked: Option<(u64, Timestamp)>,
    seen: Option<Timestamp>,
    counted_at: Instant,
    flushed_at: Option<Instant>,
    watch: ClockWatch,
    clock: fn() -> Timestamp,
}

impl Worker {
    pub fn new(
        responder: Responder,
        records: Vec<Record>,
        spool: Spool,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            responder,
            spool,
            pending: records,
            asked: None,
            seen: None,
            counted_at: Instant::now(),
            flushed_at: None,
            watch: ClockWatch::default(),
            clock,
        }
    }

    /// Works until it is told to stop, or everybody who could tell it something is gone.
    fn run(mut self, orders: &Receiver<Order>) {
        self.send();
        let mut ticked = Instant::now();
        loop {
            match orders.recv_timeout(self.pause(ticked)) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.responder.has_blocks() && self.may_flush() {
                self.flushed_at = Some(Instant::now());
                let records = self.responder.flush((self.clock)());
                self.tell(records);
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick();
            }
        }
        let records = self.responder.flush((self.clock)());
        self.tell(records);
    }

    fn obey(&mut self, order: Order) {
        let now = (self.clock)();
        let records = match order {
            Order::Task(task) => self.responder.carry_out(*task, now),
            Order::Act(action) => self.responder.answer(action, now),
            Order::Policy(policy) => {
                self.responder.set_policy(*policy);
                Vec::new()
            }
            Order::Stop => Vec::new(),
        };
        self.tell(records);
    }

    /// The first block after a quiet while is carried out at once; those right after it gather.
    fn may_flush(&self) -> bool {
        self.flushed_at.is_none_or(|it| it.elapsed() >= GATHER)
    }

    fn pause(&self, ticked: Instant) -> Duration {
        let tick = TICK.saturating_sub(ticked.elapsed());
        match self.flushed_at {
            Some(at) if self.responder.has_blocks() => {
                tick.min(GATHER.saturating_sub(at.elapsed()))
            }
            _ => tick,
        }
    }

    fn tick(&mut self) {
        let now = (self.clock)();
        if let Some(by_us) = self.watch.set_by(now, running()) {
            self.responder.move_clock(by_us);
            let seen = self.asked.iter_mut().map(|(_, at)| at).chain(&mut self.seen);
            seen.for_each(|at| *at = at.moved(by_us));
        }
        self.look_at_server(now);
        let records = self.responder.tick(now, self.seen);
        self.tell(records);
        if self.counted_at.elapsed() >= COUNTERS_EVERY && !self.responder.blocks_nothing() {
            self.counted_at = Instant::now();
            let records = self.responder.counters(now);
            self.tell(records);
        }
        self.send();
    }

    /// An open stream proves nothing: packets may be lost from now on. An acknowledgement of what
    /// was queued after the block does, and the block's own report is: it was queued by this very
    /// thread before it looks here.
    fn look_at_server(&mut self, now: Timestamp) {
        if !self.pending.is_empty() {
            return;
        }
        let lane = self.spool.stats().alarm;
        if let Some((seq, at)) = self.asked
            && lane.acked_seq >= seq
        {
            self.seen = Some(at);
            self.asked = None;
        }
        if lane.acked_seq >= lane.durable_seq {
            self.seen = Some(now);
        } else if self.asked.is_none() {
            // A lane that is never empty is looked at piece by piece.
            self.asked = Some((lane.durable_seq, now));
        }
    }

    fn tell(&mut self, records: Vec<Record>) {
        if !records.is_empty() {
            self.pending.extend(records);
            self.send();
        }
    }

    /// Hands everything pending to the alarm lane, or keeps it for the next try.
    fn send(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match self.spool.append(Lane::Alarm, &self.pending) {
            Ok(()) => self.pending.clear(),
            Err(error) => {
                let lost = self.pending.len().saturating_sub(PENDING_MAX);
                self.pending.drain(..lost);
                tracing::error!(
                    error = whole(&error),
                    lost,
                    "responses could not be reported, trying again"
                );
            }
        }
    }
}

/// Starts the thread, and one that brings it the agent's own answers.
pub fn start(
    worker: Worker,
    actions: Receiver<Action>,
    orders_max: usize,
) -> std::io::Result<(SyncSender<Order>, JoinHandle<()>)> {
    let (sender, orders) = sync_channel(orders_max);
    let thread = std::thread::Builder::new()
        .name("responder".to_owned())
        .spawn(move || worker.run(&orders))?;
    let to = sender.clone();
    // Ends with the last of those who make findings.
    std::thread::Builder::new().name("answers".to_owned()).spawn(move || {
        for action in actions {
            if to.send(Order::Act(action)).is_err() {
                break;
            }
        }
    })?;
    Ok((sender, thread))
}

pub(super) fn report(reporter: &Reporter, failed: Option<&crate::respond::RespondError>) {
    match failed {
        None => reporter.one(CAPABILITY, CapabilityState::Active, ""),
        Some(error) => {
            let why =
                because!("responses.failed", "nothing can be done: {cause}", cause = whole(error));
            reporter.one(CAPABILITY, CapabilityState::Missing, why);
        }
    }
}

#[cfg(test)]
mod tests;
