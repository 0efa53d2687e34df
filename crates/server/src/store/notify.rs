//! Notifications: channels, routes, what has just been found, and what waits to be sent.
//!
//! A finding that begins or gets worse leaves a notice in its own transaction. One transaction
//! takes notices away and puts messages into the outbox, so nothing is sent for what was rolled
//! back and nothing is forgotten by a restart. A message leaves the outbox when the channel took
//! it, or is kept as dead with the reason.

use async_trait::async_trait;
use model::because::Because;
use model::finding::{FindingKind, Severity, Text};
use model::id::{ChannelId, DeliveryId, FindingId, GroupId, HostId, RouteId};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditEntry, Page, PageAsk, Result};
use crate::notify::message::Message;
use crate::notify::route::RouteRule;

/// Most channels and most routes.
pub const CHANNELS_MAX: usize = 50;
pub const ROUTES_MAX: usize = 100;
/// Deliveries that are settled are kept this long.
pub const DELIVERY_KEPT_DAYS: i64 = 30;
/// A message that could not be sent for this long is dead.
pub const DELIVERY_AGE_DAYS_MAX: i64 = 3;

model::words! {
    /// Why there is a notice.
    Cause {
        /// The finding is new.
        New = "new",
        /// It was known and is worse now.
        Raised = "raised",
    }
}

model::words! {
    /// Where one message for one channel stands.
    DeliveryState {
        /// To be sent, for the first time or again.
        Waiting = "waiting",
        /// The channel took it.
        Sent = "sent",
        /// Given up; the error says why. It can be sent again by hand.
        Dead = "dead",
    }
}

/// What was found, as it was then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub finding: FindingId,
    pub cause: Cause,
    pub host: HostId,
    pub host_name: String,
    pub group: GroupId,
    pub kind: FindingKind,
    pub category: String,
    pub severity: Severity,
    pub rule: String,
    pub subject: String,
    pub sentence: Text,
    pub at: Timestamp,
}

/// A place messages are sent to. The store does not look into `config` and cannot open `sealed`.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    pub id: ChannelId,
    pub set: ChannelSet,
    pub created_at: Timestamp,
    pub health: ChannelHealth,
}

/// What an operator sets of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSet {
    /// Unique; case does not matter.
    pub name: String,
    pub enabled: bool,
    /// Everything that is no secret.
    pub config: Value,
    /// The secrets, encrypted.
    pub sealed: Vec<u8>,
}

/// How sending went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelHealth {
    pub last_success_at: Option<Timestamp>,
    pub last_error_at: Option<Timestamp>,
    /// Empty when there never was one.
    pub last_error: Because,
    pub waiting: u64,
    pub sent: u64,
    pub dead: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub id: RouteId,
    pub set: RouteSet,
    pub created_at: Timestamp,
    /// What the planner remembers between its steps.
    pub state: Value,
}

/// What an operator sets of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSet {
    pub name: String,
    pub enabled: bool,
    pub rule: RouteRule,
}

/// A message for the outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    pub channel: ChannelId,
    pub route: RouteId,
    pub message: Message,
}

/// The outcome of one step of the planner; all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planned {
    pub at: Timestamp,
    /// The notices that were read, by number; they are taken away.
    pub consumed: Vec<i64>,
    pub states: Vec<(RouteId, Value)>,
    pub deliveries: Vec<NewDelivery>,
}

/// One message for one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub channel: ChannelId,
    /// `None` once the route was deleted.
    pub route: Option<RouteId>,
    pub created_at: Timestamp,
    /// When it is due, or due again.
    pub next_at: Timestamp,
    pub attempts: u32,
    pub state: DeliveryState,
    pub message: Message,
    /// Of the last attempt; empty when it did not fail.
    pub error: Because,
    pub settled_at: Option<Timestamp>,
}

/// Which deliveries a sender takes.
#[derive(Clone, Debug)]
pub struct LeaseAsk {
    pub now: Timestamp,
    /// Nobody else takes them before.
    pub until: Timestamp,
    /// Channels that are being sent to already.
    pub busy: Vec<ChannelId>,
    pub limit: usize,
}

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    Sent,
    /// Tried and failed; again at `next_at`.
    Failed {
        error: Because,
        next_at: Timestamp,
    },
    /// Tried and failed for good.
    Dead {
        error: Because,
    },
    /// Not tried: given back, due at `next_at`.
    Returned {
        next_at: Timestamp,
    },
}

/// Absent parts match everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub channel: Option<ChannelId>,
    pub state: Option<DeliveryState>,
}

model::words! {
    /// How far notifications may reach over the network.
    Reach {
        /// Only addresses of the public internet.
        Public = "public",
        /// Private networks too.
        Private = "private",
        /// Everything, this machine and link-local addresses included.
        Any = "any",
    }
}

/// What holds for all channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NotifySettings {
    pub reach: Reach,
    /// Where people open the console, for links; empty for none.
    pub console_url: String,
}

impl Default for NotifySettings {
    fn default() -> Self {
        Self { reach: Reach::Private, console_url: String::new() }
    }
}

#[async_trait]
pub trait NotifyStore {
    /// All of them, by name.
    async fn channels(&self) -> Result<Vec<Channel>>;
    async fn channel(&self, id: ChannelId) -> Result<Channel>;
    /// A taken name, or too many, is a [`super::StoreError::Conflict`].
    async fn create_channel(&self, set: ChannelSet, audit: AuditEntry) -> Result<Channel>;
    async fn put_channel(
        &self,
        id: ChannelId,
        set: ChannelSet,
        audit: AuditEntry,
    ) -> Result<Channel>;
    /// Its deliveries go with it. Refused while a route leads to it.
    async fn delete_channel(&self, id: ChannelId, audit: AuditEntry) -> Result<()>;
    /// Notes how a test went.
    async fn note_channel(
        &self,
        id: ChannelId,
        at: Timestamp,
        error: Option<Because>,
    ) -> Result<()>;

    /// All of them, by name.
    async fn routes(&self) -> Result<Vec<Route>>;
    /// Refuses channels and groups that do not exist.
    async fn create_route(&self, set: RouteSet, audit: AuditEntry) -> Result<Route>;
    /// What is held back stays.
    async fn put_route(&self, id: RouteId, set: RouteSet, audit: AuditEntry) -> Result<Route>;
    /// What is held back is gone with it; what is in the outbox is still sent.
    async fn delete_route(&self, id: RouteId, audit: AuditEntry) -> Result<()>;

    /// The oldest notices that no plan has consumed, with their numbers. There are none while
    /// no route is enabled.
    async fn notices(&self, limit: usize) -> Result<Vec<(i64, Notice)>>;
    /// A [`super::StoreError::Conflict`] when one of the notices was consumed already.
    async fn planned(&self, planned: Planned) -> Result<()>;

    /// Due deliveries of enabled channels, oldest first; they are the caller's until the lease
    /// ends.
    async fn lease_deliveries(&self, ask: LeaseAsk) -> Result<Vec<Delivery>>;
    /// Changes nothing when the delivery is settled or gone.
    async fn settle_delivery(&self, id: DeliveryId, at: Timestamp, attempt: Attempt) -> Result<()>;
    /// Newest first.
    async fn deliveries(&self, filter: DeliveryFilter, page: PageAsk) -> Result<Page<Delivery>>;
    /// Sends a dead one again, counting attempts anew.
    async fn retry_delivery(&self, id: DeliveryId, audit: AuditEntry) -> Result<Delivery>;
    /// Gives up what waits too long and removes what was settled long ago.
    async fn retain_deliveries(&self, now: Timestamp) -> Result<()>;

    async fn notify_settings(&self) -> Result<NotifySettings>;
    async fn put_notify_settings(
        &self,
        settings: NotifySettings,
        audit: AuditEntry,
    ) -> Result<NotifySettings>;
}
