//! Notifications: what was found is told to people and programs outside.
//!
//! ```text
//! ingest ── notice ──> plan.rs (routes, windows, hours) ──> outbox ──> channels/ ──> world
//!  one transaction        one transaction                  leased, retried, dead at last
//! ```
//!
//! [`plan`] knows no clock and no network, [`channels`] know no store, and only this file joins
//! them. A message that was taken by a channel and not yet written down as sent when the server
//! died is sent again with the same id; every channel that can hand the id to its receiver does.

pub mod channels;
pub mod message;
pub mod net;
pub mod plan;
pub mod render;
pub mod route;
pub mod seal;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::because;
use model::because::Because;
use model::id::{ChannelId, DeliveryId};
use model::time::Timestamp;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::api::Clock;
use crate::store::{
    Attempt, Channel, Delivery, LeaseAsk, NewDelivery, Notice, NotifySettings, Planned, Route,
    Store, StoreError,
};
use channels::{ChannelConfig, Outgoing, Secrets, World};
use message::{Body, Message};
use net::SendError;
use plan::RouteState;
use route::Language;
use seal::{SealError, Sealer};

/// How often there is a look for what is due.
const TICK: Duration = Duration::from_secs(1);
/// Notices that one step takes.
const NOTICES_MAX: usize = 2000;
/// Deliveries under way at once, over all channels.
const LEASED_MAX: usize = 64;
/// Nobody else sends a leased message for this long; far longer than an attempt may take.
const LEASE: Duration = Duration::from_mins(5);
/// A message that failed this often is dead: about seven hours after the first attempt.
pub const ATTEMPTS_MAX: u32 = 16;
/// Pause after the first failure; it doubles with each further one.
const RETRY_FIRST: Duration = Duration::from_secs(10);
const RETRY_MOST: Duration = Duration::from_hours(1);
/// Longest error that is kept.
const ERROR_CHARS_MAX: usize = 500;
/// What is under way when the server stops may take this long to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const RETAIN_EVERY: Duration = Duration::from_mins(10);

/// Plans and sends.
pub struct Notifier {
    store: Arc<dyn Store>,
    sealer: Sealer,
    clock: Clock,
    files: PathBuf,
    hostname: String,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Notifier {
    /// `data`: the server's data directory; the key and the files of file channels lie in it.
    pub fn new(store: Arc<dyn Store>, data: &Path, clock: Clock) -> Result<Arc<Self>, SealError> {
        let files = data.join("notifications");
        let sealer = Sealer::open(&files)?;
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Arc::new(Self { store, sealer, clock, files, hostname }))
    }

    pub fn seal(&self, config: &ChannelConfig, secrets: &Secrets) -> Result<Vec<u8>, SealError> {
        let plain = serde_json::to_vec(secrets).map_err(|_| SealError::Cipher)?;
        self.sealer.seal(config.kind(), &plain)
    }

    pub fn unseal(&self, config: &ChannelConfig, sealed: &[u8]) -> Result<Secrets, SealError> {
        let plain = self.sealer.open_sealed(config.kind(), sealed)?;
        serde_json::from_slice(&plain).map_err(|_| SealError::Foreign)
    }

    /// Plans and sends until `stop` turns true; what is under way then may end.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut retain = tokio::time::interval(RETAIN_EVERY);
        let mut sending = Sending::default();
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                () = sending.next_ended() => {}
                _ = tick.tick() => {}
                _ = retain.tick() => {
                    if let Err(error) = self.store.retain_deliveries(self.clock.now()).await {
                        tracing::warn!(%error, "old notifications were not removed");
                    }
                }
            }
            if let Err(error) = self.turn(&mut sending).await {
                tracing::warn!(%error, "notifications wait for the store");
            }
        }
        // What does not end in time is leased no longer than LEASE and sent after a restart.
        let _ = tokio::time::timeout(STOP_TIMEOUT, sending.all_ended()).await;
    }

    async fn turn(self: &Arc<Self>, sending: &mut Sending) -> Result<(), StoreError> {
        self.plan().await?;
        let now = self.clock.now();
        let ask = LeaseAsk { now, until: now + LEASE, busy: sending.busy(), limit: LEASED_MAX };
        let mut by_channel: HashMap<ChannelId, Vec<Delivery>> = HashMap::new();
        for it in self.store.lease_deliveries(ask).await? {
            by_channel.entry(it.channel).or_default().push(it);
        }
        for (channel, deliveries) in by_channel {
            sending.begin(channel, Arc::clone(self).deliver(channel, deliveries));
        }
        Ok(())
    }

    /// Turns notices into messages, as far as it is time for them.
    pub async fn plan(&self) -> Result<(), StoreError> {
        loop {
            let notices = self.store.notices(NOTICES_MAX).await?;
            let routes = self.store.routes().await?;
            let settings = self.store.notify_settings().await?;
            let full = notices.len() == NOTICES_MAX;
            let planned = planned(self.clock.now(), &routes, notices, &settings);
            let idle = planned.consumed.is_empty()
                && planned.states.is_empty()
                && planned.deliveries.is_empty();
            if idle {
                return Ok(());
            }
            self.store.planned(planned).await?;
            if !full {
                return Ok(());
            }
        }
    }

    /// Sends what was leased, in order. After a failure that may pass, the rest waits too: it
    /// would only find the same.
    async fn deliver(self: Arc<Self>, channel: ChannelId, deliveries: Vec<Delivery>) {
        let mut waiting = deliveries.into_iter();
        while let Some(delivery) = waiting.next() {
            let result = self.attempt(channel, &delivery).await;
            let now = self.clock.now();
            let attempt = judged(&delivery, result, now);
            let again = match &attempt {
                Attempt::Failed { next_at, .. } => Some(*next_at),
                Attempt::Sent | Attempt::Dead { .. } | Attempt::Returned { .. } => None,
            };
            self.settle(delivery.id, now, attempt).await;
            if let Some(next_at) = again {
                for rest in waiting.by_ref() {
                    self.settle(rest.id, now, Attempt::Returned { next_at }).await;
                }
            }
        }
    }

    async fn attempt(&self, channel: ChannelId, delivery: &Delivery) -> Result<(), SendError> {
        let failed = |it: StoreError| {
            let cause = because::whole(&it);
            SendError::passing(because!("send.store", "the store: {cause}", cause = cause))
        };
        let channel = self.store.channel(channel).await.map_err(failed)?;
        let settings = self.store.notify_settings().await.map_err(failed)?;
        self.send(&channel, &settings, &delivery.id.to_string(), &delivery.message).await
    }

    async fn send(
        &self,
        channel: &Channel,
        settings: &NotifySettings,
        id: &str,
        message: &Message,
    ) -> Result<(), SendError> {
        let config: ChannelConfig = serde_json::from_value(channel.set.config.clone())
            .map_err(|it| SendError::permanent(no_settings(&it)))?;
        let secrets = self
            .unseal(&config, &channel.set.sealed)
            .map_err(|it| SendError::permanent(not_opened(&it)))?;
        let world = World {
            reach: settings.reach,
            files: self.files.clone(),
            hostname: self.hostname.clone(),
        };
        let out = Outgoing { id, message, now: self.clock.now() };
        channels::send(&config, &secrets, &world, out).await
    }

    /// Sends a test message at once and says how it went; not by way of the outbox.
    pub async fn test(
        &self,
        id: ChannelId,
        language: Language,
    ) -> Result<Result<(), SendError>, StoreError> {
        let channel = self.store.channel(id).await?;
        let settings = self.store.notify_settings().await?;
        let now = self.clock.now();
        let message = Message {
            language,
            zone: "UTC".to_owned(),
            route: channel.set.name.clone(),
            at: now,
            console: settings.console_url.clone(),
            recipients: Vec::new(),
            body: Body::Test,
        };
        let name = DeliveryId(now.0).to_string();
        let sent = self.send(&channel, &settings, &name, &message).await;
        let sent = sent.map_err(|it| SendError { why: short(it.why), ..it });
        let error = sent.as_ref().err().map(|it| it.why.clone());
        self.store.note_channel(id, self.clock.now(), error).await?;
        Ok(sent)
    }

    /// A failure to write it down leaves the lease, after which the message is sent again.
    async fn settle(&self, id: DeliveryId, now: Timestamp, attempt: Attempt) {
        if let Attempt::Failed { error, .. } | Attempt::Dead { error } = &attempt {
            tracing::warn!(delivery = %id, %error, "a notification was not sent");
        }
        if let Err(error) = self.store.settle_delivery(id, now, attempt).await {
            tracing::warn!(delivery = %id, %error, "the outcome of a notification was not stored");
        }
    }
}

/// Also when nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The value is let go of here: it holds a lock.
    drop(stop.wait_for(|it| *it).await);
}

/// One step of every enabled route.
fn planned(
    now: Timestamp,
    routes: &[Route],
    notices: Vec<(i64, Notice)>,
    settings: &NotifySettings,
) -> Planned {
    let (consumed, fresh): (Vec<_>, Vec<_>) = notices.into_iter().unzip();
    let mut out = Planned { at: now, consumed, ..Planned::default() };
    for route in routes.iter().filter(|it| it.set.enabled) {
        // A state of another version is begun anew; it only says what was held back.
        let before: RouteState = serde_json::from_value(route.state.clone()).unwrap_or_default();
        let mut state = before.clone();
        let rule = &route.set.rule;
        for body in plan::step(rule, &mut state, now, &fresh) {
            let message = Message {
                language: rule.language,
                zone: rule.zone.clone(),
                route: route.set.name.clone(),
                at: now,
                console: settings.console_url.clone(),
                recipients: rule.recipients.iter().map(|it| it.0.clone()).collect(),
                body,
            };
            out.deliveries.extend(rule.channels.iter().map(|channel| NewDelivery {
                channel: *channel,
                route: route.id,
                message: message.clone(),
            }));
        }
        if state != before
            && let Ok(state) = serde_json::to_value(&state)
        {
            out.states.push((route.id, state));
        }
    }
    out
}

/// What an attempt means for a delivery that was tried `delivery.attempts` times before.
fn judged(delivery: &Delivery, result: Result<(), SendError>, now: Timestamp) -> Attempt {
    let Err(why) = result else { return Attempt::Sent };
    let tried = delivery.attempts + 1;
    let error = short(why.why);
    if why.is_permanent || tried >= ATTEMPTS_MAX {
        return Attempt::Dead { error };
    }
    let doubled = RETRY_FIRST.saturating_mul(1 << (tried - 1).min(20));
    let pause = doubled.max(why.retry_after.unwrap_or_default()).min(RETRY_MOST);
    Attempt::Failed { error, next_at: now + pause }
}

fn no_settings(why: &serde_json::Error) -> Because {
    because!("send.settings", "the channel's settings: {cause}", cause = why)
}

/// By far the most likely cause has a sentence of its own.
fn not_opened(why: &SealError) -> Because {
    match why {
        SealError::Foreign => {
            because!("send.sealed", "the secrets were sealed with another key: enter them anew")
        }
        other => {
            let cause = because::whole(other);
            because!("send.not_opened", "the channel's secrets: {cause}", cause = cause)
        }
    }
}

/// What others said is of any length.
fn short(why: Because) -> Because {
    let cut = |text: &str| -> String {
        text.chars().filter(|it| !it.is_control()).take(ERROR_CHARS_MAX).collect()
    };
    let reason = why.reason.map(|mut it| {
        it.params.values_mut().for_each(|value| *value = cut(value));
        it
    });
    Because { text: cut(&why.text), reason }
}

/// Which channels are being sent to: each by one task at a time, so that its messages keep their
/// order.
#[derive(Default)]
struct Sending {
    tasks: JoinSet<()>,
    channels: HashMap<Id, ChannelId>,
}

impl Sending {
    fn busy(&self) -> Vec<ChannelId> {
        self.channels.values().copied().collect()
    }

    fn begin(&mut self, channel: ChannelId, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(work);
        self.channels.insert(handle.id(), channel);
    }

    /// Waits for one to end; for ever while there is none.
    async fn next_ended(&mut self) {
        let ended = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(why)) => why.id(),
            None => return std::future::pending().await,
        };
        self.channels.remove(&ended);
    }

    async fn all_ended(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests;
