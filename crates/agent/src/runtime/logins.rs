//! The thread that decides about log-ins: attempts in, alarms and log-in history out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::content::{Catalogue, ContentError};
use engine::link_health::LinkHealth;
use engine::login::Attempt;
use engine::login::correlate::{Correlator, SeenLogin, State};
use engine::place::Places;
use model::convert::finding_to_wire;
use model::finding::Finding;
use model::policy::LoginPolicy;
use model::time::Timestamp;
use model::wire::record::Record as Body;
use model::wire::{LoginSeen, Record, WhitelistHits};
use tokio::sync::mpsc;

use super::reporter::Reporter;
use crate::clock::{ClockWatch, running};
use crate::respond::answers::Answers;
use crate::spool::{Lane, Spool};
use crate::watch::WatchEvent;

/// Attempts that wait between the followers and this thread; then the followers wait.
pub(super) const EVENTS_WAITING_MAX: usize = 4096;
/// Attempts decided together, so that their alarms share one write to disk.
const BATCH_MAX: usize = 1024;
const TICK: Duration = Duration::from_secs(1);
/// Between two writings of what was learned.
const KEEP_EVERY: Duration = Duration::from_mins(1);
/// Between two messages about what the whitelist passed over.
const HITS_EVERY: Duration = Duration::from_secs(30);
const STATE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Findings that wait for the alarm lane to take them again.
const PENDING_MAX: usize = 10_000;

/// What else this thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Policy(LoginPolicy),
    /// The accounts that nobody should be able to sign in to.
    DisabledAccounts(BTreeSet<String>),
}

pub(super) struct LoginWorker {
    correlator: Correlator,
    health: LinkHealth,
    places: Places,
    spool: Spool,
    reporter: Reporter,
    answers: Answers,
    state: PathBuf,
    kept_at: Timestamp,
    hits_told_at: Timestamp,
    hits: Vec<Record>,
    changed: bool,
    dropped: u64,
    pending: Vec<Finding>,
    overflowed: u64,
    watch: ClockWatch,
    clock: fn() -> Timestamp,
}

impl LoginWorker {
    pub(super) fn new(
        catalogue: &Catalogue,
        policy: LoginPolicy,
        places: Places,
        (spool, reporter, answers): (Spool, Reporter, Answers),
        state: PathBuf,
        clock: fn() -> Timestamp,
    ) -> Result<Self, ContentError> {
        let learned = load(&state);
        Ok(Self {
            correlator: Correlator::new(catalogue, policy, learned)?,
            health: LinkHealth::new(catalogue)?,
            places,
            dropped: spool.stats().telemetry.dropped,
            spool,
            reporter,
            answers,
            state,
            kept_at: clock(),
            hits_told_at: clock(),
            hits: Vec::new(),
            changed: false,
            pending: Vec::new(),
            overflowed: 0,
            watch: ClockWatch::default(),
            clock,
        })
    }

    /// Works until the followers and the givers of orders are gone.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<WatchEvent>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = events.recv_many(&mut batch, BATCH_MAX) => match count {
                    0 => break,
                    _ => self.decide(batch.drain(..)),
                },
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                _ = tick.tick() => self.tick(),
            }
        }
        self.tick();
        self.tell_hits((self.clock)());
        self.keep();
    }

    fn decide(&mut self, events: impl Iterator<Item = WatchEvent>) {
        let now = self.now();
        let mut logins = Vec::new();
        for event in events {
            match event {
                WatchEvent::Attempt { attempt, live: false } => {
                    self.correlator.learn(&attempt, &self.places);
                }
                WatchEvent::Attempt { attempt, live: true } => {
                    logins.extend(self.decide_one(&attempt, now));
                }
                WatchEvent::Skipped { source, count } => {
                    tracing::warn!(source, count, "log lines that could not be understood");
                }
                WatchEvent::Capabilities(rows) => self.reporter.tell(&rows),
            }
            self.changed = true;
        }
        self.send();
        if let Err(error) = self.spool.append(Lane::Telemetry, &logins) {
            tracing::error!(%error, "log-ins could not be queued");
        }
    }

    fn decide_one(&mut self, attempt: &Attempt, now: Timestamp) -> Option<Record> {
        let decided = self.correlator.observe(attempt, &self.places, now);
        // Before anything is queued: an answer does not wait for the disk.
        decided.findings.iter().for_each(|it| self.answers.consider(it, now));
        self.pending.extend(decided.findings);
        decided.login.map(login_record)
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Policy(policy) => {
                for wrong in self.correlator.set_policy(policy) {
                    tracing::warn!(address = wrong, "an address of the policy is none");
                }
            }
            Order::DisabledAccounts(names) => self.correlator.set_disabled_accounts(names),
        }
    }

    /// Reads the clock, and has what is counted move along where it was set.
    fn now(&mut self) -> Timestamp {
        let now = (self.clock)();
        if let Some(by_us) = self.watch.set_by(now, running()) {
            self.correlator.move_clock(by_us);
        }
        now
    }

    fn tick(&mut self) {
        let now = self.now();
        let told = self.correlator.tick(now);
        self.pending.extend(told);
        let dropped = self.spool.stats().telemetry.dropped;
        self.pending.extend(self.health.telemetry_lost(self.dropped, dropped, now));
        self.dropped = dropped;
        self.send();
        if now.is_due(self.hits_told_at, HITS_EVERY) {
            self.tell_hits(now);
        }
        if self.changed && now.is_due(self.kept_at, KEEP_EVERY) {
            self.kept_at = now;
            self.keep();
        }
    }

    /// Hands everything pending to the alarm lane, or keeps it for the next try.
    fn send(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let records: Vec<Record> = self
            .pending
            .iter()
            .map(|it| record(Body::Finding(finding_to_wire(it.clone(), String::new()))))
            .collect();
        match self.spool.append(Lane::Alarm, &records) {
            Ok(()) => self.pending.clear(),
            Err(error) => {
                let over = self.pending.len().saturating_sub(PENDING_MAX);
                self.pending.truncate(PENDING_MAX);
                self.overflowed += over as u64;
                tracing::error!(%error, lost = self.overflowed, "alarms could not be queued, trying again");
            }
        }
    }

    /// Counts wait for the next time when the queue does not take them.
    fn tell_hits(&mut self, now: Timestamp) {
        self.hits_told_at = now;
        let hits = self.correlator.take_hits().into_iter().map(|(entry, (hits, at))| {
            record(Body::WhitelistHits(WhitelistHits { entry, hits, at_us: at.0 }))
        });
        self.hits.extend(hits);
        if self.hits.is_empty() {
            return;
        }
        match self.spool.append(Lane::Alarm, &self.hits) {
            Ok(()) => self.hits.clear(),
            Err(error) => {
                self.hits.truncate(PENDING_MAX);
                tracing::warn!(%error, "whitelist hits could not be queued, trying again");
            }
        }
    }

    fn keep(&mut self) {
        self.changed = false;
        if let Err(error) = crate::state::write_json(&self.state, self.correlator.state()) {
            tracing::warn!(%error, "what was learned of log-ins could not be kept");
        }
    }
}

/// Nothing learned is better than nothing running: a damaged file is said and left behind.
fn load(path: &Path) -> State {
    let Some(bytes) = crate::state::read(path, STATE_BYTES_MAX) else { return State::default() };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::warn!(%error, path = %path.display(), "log-in history is damaged, learning anew");
        State::default()
    })
}

fn login_record(login: SeenLogin) -> Record {
    record(Body::LoginSeen(LoginSeen {
        at_us: login.at.0,
        service: login.service.to_string(),
        user: login.user,
        address: login.origin.to_string(),
        country: login.country.unwrap_or_default(),
        method: login.method.map(|it| it.to_string()).unwrap_or_default(),
        key_fingerprint: login.key_fingerprint.unwrap_or_default(),
    }))
}

fn record(body: Body) -> Record {
    Record { record: Some(body) }
}

#[cfg(test)]
mod tests;
