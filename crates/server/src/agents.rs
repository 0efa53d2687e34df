//! The agents that hold a stream to this server right now.
//!
//! One host, one stream. A second stream of the same process replaces the first (its connection
//! broke unseen). A second process with the same identity is either the same host started again,
//! or a copy of it: the first stream is asked for a sign of life; if it gives one, two places use
//! one identity, the first keeps it and the second is refused.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::id::HostId;
use model::wire::{self, DisconnectReason, ServerFrame, server_frame::Frame};
use tokio::sync::{mpsc, watch};

/// Frames that may wait for one agent to read them.
const OUT_FRAMES_MAX: usize = 64;
/// Most agents on one server process.
pub const AGENTS_MAX: usize = 20_000;
/// Processes remembered per host, to notice two that take turns.
const INSTANCES_MAX: usize = 8;

/// Why a frame could not be handed to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the agent of {0} is not connected")]
    Offline(HostId),
    #[error("the agent of {0} does not keep up with what it is sent")]
    Busy(HostId),
}

/// Why a stream is being ended from this side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub reason: DisconnectReason,
    pub detail: &'static str,
}

impl Cut {
    pub(crate) fn frame(&self) -> ServerFrame {
        frame(Frame::Disconnect(wire::Disconnect {
            reason: self.reason as i32,
            detail: self.detail.to_owned(),
        }))
    }
}

pub(crate) fn frame(frame: Frame) -> ServerFrame {
    ServerFrame { frame: Some(frame) }
}

/// Live streams by host.
#[derive(Debug, Default)]
pub struct Agents {
    next: AtomicU64,
    hosts: Mutex<HashMap<HostId, Known>>,
}

#[derive(Debug, Default)]
struct Known {
    live: Option<Stream>,
    /// Oldest first, the present one last.
    instances: VecDeque<Vec<u8>>,
    /// Held while the store is told of a beginning or an end.
    presence: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Debug)]
struct Stream {
    number: u64,
    out: mpsc::Sender<ServerFrame>,
    cut: watch::Sender<Option<Cut>>,
    /// Counts the frames heard; closes with the stream.
    heard: watch::Receiver<u64>,
}

/// What the handler of one stream holds. Dropping it ends the registration.
#[derive(Debug)]
pub struct Attached {
    agents: Arc<Agents>,
    pub(crate) host: HostId,
    number: u64,
    /// Frames for this agent from the rest of the server.
    pub(crate) out: mpsc::Receiver<ServerFrame>,
    pub(crate) cut: watch::Receiver<Option<Cut>>,
    heard: watch::Sender<u64>,
    /// This process was seen before another one was: two places take turns.
    pub(crate) took_turns: bool,
}

impl Attached {
    pub(crate) fn hear(&self) {
        self.heard.send_modify(|it| *it += 1);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut hosts = self.agents.hosts();
        if let Some(known) = hosts.get_mut(&self.host) {
            known.live.take_if(|it| it.number == self.number);
        }
    }
}

/// The identity is in use by another process that is alive.
#[derive(Debug)]
pub(crate) struct Occupied;

impl Agents {
    /// Hands `frame` to the agent of `host`, without waiting.
    pub fn send(&self, host: HostId, frame: ServerFrame) -> Result<(), SendError> {
        let stream = self.stream(host).ok_or(SendError::Offline(host))?;
        stream.out.try_send(frame).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Busy(host),
            mpsc::error::TrySendError::Closed(_) => SendError::Offline(host),
        })
    }

    /// Hands `frame` to every agent; those that do not keep up are cut and get it when they
    /// connect again.
    pub fn send_all(&self, frame: &ServerFrame) {
        for (host, stream) in self.streams() {
            if stream.out.try_send(frame.clone()).is_err() {
                tracing::info!(%host, "agent does not keep up, its stream is cut");
                stream.cut(DisconnectReason::Limit, "does not keep up with what it is sent");
            }
        }
    }

    /// Ends the stream of `host`, if there is one. The store refuses the next.
    pub fn revoke(&self, host: HostId) {
        self.cut(host, DisconnectReason::Revoked, "this host was revoked");
    }

    pub(crate) fn cut(&self, host: HostId, reason: DisconnectReason, detail: &'static str) {
        if let Some(stream) = self.stream(host) {
            stream.cut(reason, detail);
        }
    }

    /// Ends every stream, so that agents go on elsewhere or come back.
    pub fn shut_down(&self) {
        for (_, stream) in self.streams() {
            stream.cut(DisconnectReason::ShuttingDown, "the server is shutting down");
        }
    }

    pub fn is_online(&self, host: HostId) -> bool {
        self.stream(host).is_some()
    }

    /// The hosts with a live stream, in no order.
    pub fn online(&self) -> Vec<HostId> {
        self.streams().into_iter().map(|(host, _)| host).collect()
    }

    /// Keeps "online" and "offline" of one host in the order they happened.
    pub(crate) async fn presence(&self, host: HostId) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = Arc::clone(&self.hosts().entry(host).or_default().presence);
        lock.lock_owned().await
    }

    /// Registers a stream of `host`, as the module says.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        host: HostId,
        instance: &[u8],
        probe_wait: Duration,
    ) -> Result<Attached, Occupied> {
        let older = {
            let hosts = self.hosts();
            hosts.get(&host).and_then(|known| {
                let same = known.instances.back().is_some_and(|it| it == instance);
                known.live.clone().filter(|_| !same)
            })
        };
        if let Some(older) = older
            && older.answers(probe_wait).await
        {
            return Err(Occupied);
        }
        Ok(self.register(host, instance))
    }

    fn register(self: &Arc<Self>, host: HostId, instance: &[u8]) -> Attached {
        let (out_sender, out) = mpsc::channel(OUT_FRAMES_MAX);
        let (cut_sender, cut) = watch::channel(None);
        let (heard_sender, heard) = watch::channel(0);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut hosts = self.hosts();
        let known = hosts.entry(host).or_default();
        let stream = Stream { number, out: out_sender, cut: cut_sender, heard };
        if let Some(older) = known.live.replace(stream) {
            older.cut(DisconnectReason::Replaced, "this agent has connected again");
        }
        let is_present = known.instances.back().is_some_and(|it| it == instance);
        let took_turns = !is_present && known.instances.iter().any(|it| it == instance);
        if !is_present {
            known.instances.push_back(instance.to_vec());
            if known.instances.len() > INSTANCES_MAX {
                known.instances.pop_front();
            }
        }
        drop(hosts);
        Attached {
            agents: Arc::clone(self),
            host,
            number,
            out,
            cut,
            heard: heard_sender,
            took_turns,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.hosts().values().filter(|it| it.live.is_some()).count()
    }

    fn stream(&self, host: HostId) -> Option<Stream> {
        self.hosts().get(&host).and_then(|it| it.live.clone())
    }

    fn streams(&self) -> Vec<(HostId, Stream)> {
        let live = |(host, known): (&HostId, &Known)| Some((*host, known.live.clone()?));
        self.hosts().iter().filter_map(live).collect()
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<HostId, Known>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn cut(&self, reason: DisconnectReason, detail: &'static str) {
        self.cut.send_replace(Some(Cut { reason, detail }));
    }

    /// Whether the other end gives a sign of life within `wait`.
    async fn answers(&self, wait: Duration) -> bool {
        let mut heard = self.heard.clone();
        heard.mark_unchanged();
        if self.out.try_send(frame(Frame::Probe(wire::Probe {}))).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(wait, heard.changed()).await, Ok(Ok(())))
    }
}
