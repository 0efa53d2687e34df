//! Takes what agents send: checks it, commits it, then acknowledges it.

mod decode;
mod departures;
mod listener;
pub(crate) mod orders;
mod rate;
pub(crate) mod rpc;
mod said;
pub(crate) mod stream;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::content::{Catalogue, ContentError};
use engine::link_health::{Copied, LinkHealth};
use engine::self_protection::SelfProtection;
use model::finding::Finding;
use model::id::HostId;
use model::time::Timestamp;
use tokio::sync::broadcast;

use departures::Departures;
pub(crate) use listener::Caller;
pub use listener::{ListenError, listen};
pub use rate::RateLimits;

use crate::agents::Agents;
use crate::ca::{AGENT_LIFETIME, Authority};
use crate::install::OWN_PROGRAM;
use crate::live::Event;
use crate::store::{FindingItem, HeartbeatRow, IngestBatch, Lane, Record, Store, StoreError};

/// Epoch of what this server itself finds out about a host; no agent may use it.
const OWN_EPOCH: u64 = 1;

/// What differs between a product and a test that has no month to wait.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings {
    /// Life of an agent's certificate.
    pub agent_lifetime: Duration,
    pub rates: RateLimits,
    /// How long an older stream has to give a sign of life when a second one comes.
    pub probe_wait: Duration,
    /// Heartbeats are written together this often.
    pub heartbeat_flush: Duration,
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            agent_lifetime: AGENT_LIFETIME,
            rates: RateLimits::default(),
            probe_wait: Duration::from_secs(5),
            heartbeat_flush: Duration::from_secs(5),
        }
    }
}

/// Everything the handlers of agents share.
pub struct LinkServer {
    pub authority: Arc<Authority>,
    pub store: Arc<dyn Store>,
    pub agents: Arc<Agents>,
    pub live: broadcast::Sender<Event>,
    pub settings: LinkSettings,
    /// Where agents reach this server, `host:port`; told to each that enrols.
    pub endpoints: Vec<String>,
    /// What machines that install themselves are given: this very program.
    pub program: PathBuf,
    health: LinkHealth,
    protection: SelfProtection,
    departures: Departures,
    heartbeats: Mutex<Vec<HeartbeatRow>>,
}

impl std::fmt::Debug for LinkServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkServer").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// Heartbeats kept for the next write; an agent that sends more than it should only loses some.
const HEARTBEATS_MAX: usize = 100_000;

impl LinkServer {
    pub fn new(
        authority: Arc<Authority>,
        store: Arc<dyn Store>,
        agents: Arc<Agents>,
        live: broadcast::Sender<Event>,
        endpoints: Vec<String>,
        catalogue: &Catalogue,
    ) -> Result<Self, ContentError> {
        Ok(Self {
            authority,
            store,
            agents,
            live,
            settings: LinkSettings::default(),
            endpoints,
            program: PathBuf::from(OWN_PROGRAM),
            health: LinkHealth::new(catalogue)?,
            protection: SelfProtection::new(catalogue)?,
            departures: Departures::default(),
            heartbeats: Mutex::default(),
        })
    }

    fn note_heartbeat(&self, row: HeartbeatRow) {
        let mut rows = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() < HEARTBEATS_MAX {
            rows.push(row);
        }
    }

    async fn flush_heartbeats(&self) {
        let rows = {
            let mut rows = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *rows)
        };
        if !rows.is_empty()
            && let Err(error) = self.store.heartbeats(rows).await
        {
            tracing::warn!(%error, "heartbeats not stored");
        }
    }

    /// Stores that somebody else uses the identity of `host`.
    async fn copied(&self, host: HostId, how: Copied, now: Timestamp) {
        tracing::warn!(%host, %how, "copied identity");
        self.found(host, self.health.copied_identity(how, now), now).await;
    }

    /// Stores what this server itself found out about a host.
    async fn found(&self, host: HostId, finding: Finding, now: Timestamp) {
        let seq = now.0.unsigned_abs();
        let batch = IngestBatch {
            host,
            lane: Lane::Alarm,
            epoch: OWN_EPOCH,
            records: vec![(seq, Record::Finding { finding, scan: None })],
            last_seq: seq,
            received_at: now,
        };
        if let Err(error) = self.commit(batch).await {
            tracing::warn!(%host, %error, "a finding of the server's own was not stored");
        }
    }

    /// Commits, then tells whoever watches. Returns the tables that must be sent whole.
    async fn commit(&self, batch: IngestBatch) -> Result<Vec<String>, StoreError> {
        let host = batch.host;
        let now = batch.received_at;
        let done = self.store.commit(batch).await?;
        for reason in &done.refused {
            tracing::warn!(%host, reason, "record refused by the store");
        }
        self.send_responses(&done.orders).await;
        if !done.blocked.is_empty() {
            self.share_blocks(host, &done.blocked, now).await;
        }
        if done.responses_changed {
            self.publish(Event::Responses);
        }
        let counts = !done.findings.is_empty() || !done.assets.is_empty();
        for item in done.findings {
            self.publish(Event::Finding(Box::new(item)));
        }
        for change in done.scans {
            self.publish(Event::Scan { host, change });
        }
        if counts {
            self.publish(Event::Counts);
        }
        if done.host_changed {
            let detail = self.store.host(host, now).await?;
            self.publish_host(&detail.host);
        }
        Ok(done.resync)
    }

    fn publish_host(&self, host: &crate::store::Host) {
        self.publish(Event::Host {
            id: host.id,
            connection: host.connection,
            protection: host.protection,
        });
    }

    /// Tells of findings that wait for a decision again because nothing came of a response.
    fn publish_responses(&self, opened: impl IntoIterator<Item = FindingItem>) {
        for item in opened {
            self.publish(Event::Finding(Box::new(item)));
            self.publish(Event::Counts);
        }
        self.publish(Event::Responses);
    }

    /// Nobody watching is no error.
    pub(crate) fn publish(&self, event: Event) {
        let _ = self.live.send(event);
    }
}
