//! One agent's stream, from its first frame to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::link_health::Copied;
use engine::self_protection::Departure;
use model::because::Because;
use model::id::HostId;
use model::time::Timestamp;
use model::wire::{
    self, AgentFrame, DisconnectReason, ServerFrame, agent_frame, server_frame::Frame,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::decode::{Decoded, capabilities, decode};
use super::listener::Caller;
use super::rate::Meter;
use super::rpc::link_server::Link;
use super::{LinkServer, OWN_EPOCH, orders};
use crate::agents::{Attached, Cut, frame};
use crate::ca::PeerIdentity;
use crate::clock;
use crate::enrol::facts_from_wire;
use crate::live::Event;
use crate::store::{
    COSTS_MAX, FeatureCost, HeartbeatRow, HelloRow, Host, IngestBatch, Lane, StoreError,
};

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames that may wait to be written to one agent.
const REPLIES_MAX: usize = 64;
/// Decoded batches of one agent that may wait for the store.
const BATCHES_MAX: usize = 32;
/// Unpacked bytes of all agents that may wait for the store.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// An agent renews once in weeks.
const RENEWALS_PER_STREAM_MAX: u32 = 16;
const SPECS_MAX: usize = 128;
const SPEC_BYTES_MAX: usize = 64 * 1024;
/// Random value that tells one process of an agent from another.
const INSTANCE_BYTES_MAX: usize = 64;
/// Longest name of a function that tells its cost.
const COST_NAME_BYTES_MAX: usize = 64;
/// The agent is asked to slow down at most this often.
const SLOW_DOWN_INTERVAL: Duration = Duration::from_secs(1);

type Replies = mpsc::Sender<Result<ServerFrame, Status>>;

/// The `Link` service.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    link: Arc<LinkServer>,
    waiting: Arc<Semaphore>,
}

impl Streams {
    pub(super) fn new(link: Arc<LinkServer>) -> Self {
        Self { link, waiting: Arc::new(Semaphore::new(WAITING_BYTES_MAX)) }
    }
}

#[tonic::async_trait]
impl Link for Streams {
    type ConnectStream = ReceiverStream<Result<ServerFrame, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentFrame>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let identity = request.extensions().get::<Caller>().and_then(|it| it.identity.clone());
        let identity =
            identity.ok_or_else(|| Status::unauthenticated("a client certificate is needed"))?;
        let peer = self.link.admit(identity).await?;
        let (replies, stream) = mpsc::channel(REPLIES_MAX);
        let streams = self.clone();
        tokio::spawn(async move {
            let host = peer.host;
            let ended = streams.run(peer, request.into_inner(), replies.clone()).await;
            match ended {
                Ok(End::Goodbye(reason)) => streams.link.said_goodbye(host, &reason).await,
                Ok(End::Gone) => {
                    tracing::info!(%host, "agent's stream ended abruptly");
                    streams.link.departures.left(host, Departure::Vanished, clock::now());
                }
                Ok(End::Cut(cut)) => {
                    tracing::info!(%host, reason = cut.detail, "agent's stream was cut");
                    let _ = replies.send(Ok(cut.frame())).await;
                }
                Err(status) => {
                    tracing::info!(%host, reason = status.message(), "agent's stream was refused");
                    let _ = replies.send(Err(status)).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

enum End {
    /// With its reason.
    Goodbye(String),
    /// Without a word: a crash, a cable.
    Gone,
    Cut(Cut),
}

impl LinkServer {
    /// Decides by what is stored whether a verified certificate still speaks for its host.
    async fn admit(&self, peer: PeerIdentity) -> Result<PeerIdentity, Status> {
        let known = self.store.host_identity(peer.host).await.map_err(unavailable)?;
        let Some(known) = known else {
            return Err(Status::permission_denied("this host is not known here; enrol it again"));
        };
        if known.revoked_at.is_some() {
            return Err(Status::permission_denied("this host was revoked"));
        }
        if known.certificate_serial == peer.serial {
            return Ok(peer);
        }
        let superseded = known.certificate_expires_at.is_some_and(|it| peer.not_after < it);
        if superseded {
            let now = clock::now();
            self.copied(peer.host, Copied::OldKey, now).await;
            return Err(Status::permission_denied(
                "this certificate has been replaced by a newer one",
            ));
        }
        // The first use of a renewed certificate ends the life of the one before.
        self.store
            .record_certificate(peer.host, peer.serial.clone(), peer.not_after)
            .await
            .map_err(unavailable)?;
        Ok(peer)
    }
}

impl Streams {
    async fn run(
        &self,
        peer: PeerIdentity,
        mut inbound: Streaming<AgentFrame>,
        replies: Replies,
    ) -> Result<End, Status> {
        let host = peer.host;
        let hello = match tokio::time::timeout(HELLO_TIMEOUT, inbound.message()).await {
            Ok(Ok(Some(AgentFrame { frame: Some(agent_frame::Frame::Hello(it)) }))) => it,
            Ok(Ok(_)) => return Err(Status::invalid_argument("the first frame says hello")),
            Ok(Err(status)) => return Err(status),
            Err(_) => return Err(Status::deadline_exceeded("no hello within 10 s")),
        };
        let now = clock::now();
        let row = hello_row(host, &hello, now).map_err(Status::invalid_argument)?;
        let presence = self.link.agents.presence(host).await;
        let attach =
            self.link.agents.attach(host, &hello.instance, self.link.settings.probe_wait).await;
        let Ok(attached) = attach else {
            self.link.copied(host, Copied::SameTime, now).await;
            let detail = "another process with this identity is connected";
            return Ok(End::Cut(Cut { reason: DisconnectReason::Replaced, detail }));
        };
        let shown = self.link.store.hello(row).await.map_err(unavailable)?;
        self.link.publish_host(&shown);
        drop(presence);
        self.link.came_back(host, now).await;
        if attached.took_turns {
            self.link.copied(host, Copied::Turns, now).await;
        }
        let result = match self.welcome(&shown, hello.policy_version, &replies).await {
            Ok(()) => self.converse(&peer, inbound, attached, replies).await,
            Err(status) => {
                drop(attached);
                Err(status)
            }
        };
        self.leave(host).await;
        result
    }

    /// What the agent must know to go on where it was.
    async fn welcome(&self, shown: &Host, policy: u64, replies: &Replies) -> Result<(), Status> {
        let host = shown.id;
        let store = &self.link.store;
        let positions = store.lane_positions(host).await.map_err(unavailable)?;
        let lanes = positions.into_iter().filter(|it| it.epoch != OWN_EPOCH).map(|it| wire::Ack {
            lane: lane_number(it.lane),
            epoch: it.epoch,
            seq: it.seq,
        });
        let digests = store.asset_digests(host).await.map_err(unavailable)?;
        let digests = digests.into_iter().map(|(kind, digest)| wire::AssetDigest {
            kind,
            digest: digest.map(|it| it.to_bytes().to_vec()).unwrap_or_default(),
        });
        let welcome = wire::Welcome {
            protocol: wire::PROTOCOL,
            host: host.to_string(),
            lanes: lanes.collect(),
            digests: digests.collect(),
        };
        reply(replies, Frame::Welcome(welcome)).await?;
        let current = store.policy().await.map_err(unavailable)?;
        if current.version != policy {
            let policy = orders::policy_frame(&current, host, shown.group.0);
            reply(replies, Frame::Policy(policy.map_err(Status::internal)?)).await?;
        }
        for scan in store.pending_scans(host).await.map_err(unavailable)? {
            let task = wire::task::Task::Scan(wire::ScanTask { items: scan.wanted });
            let task = wire::Task { id: scan.id.to_string(), task: Some(task) };
            reply(replies, Frame::Task(task)).await?;
        }
        let open = store.pending_responses(host).await.map_err(unavailable)?;
        let mut told = Vec::with_capacity(open.len());
        for response in open {
            let Some(task) = orders::task(&response) else { continue };
            reply(replies, Frame::Task(task)).await?;
            told.push(response.id);
        }
        if !told.is_empty() {
            store.responses_sent(told).await.map_err(unavailable)?;
            self.link.publish(Event::Responses);
        }
        Ok(())
    }

    async fn converse(
        &self,
        peer: &PeerIdentity,
        mut inbound: Streaming<AgentFrame>,
        mut attached: Attached,
        replies: Replies,
    ) -> Result<End, Status> {
        let host = peer.host;
        let (batches, queue) = mpsc::channel(BATCHES_MAX);
        let committer = Committer { link: Arc::clone(&self.link), host, replies: replies.clone() };
        let mut committing = tokio::spawn(committer.run(queue));
        let mut cut = attached.cut.clone();
        let mut session = Session {
            streams: self,
            host,
            meter: Meter::new(self.link.settings.rates, Instant::now()),
            batches,
            replies,
            asked_at: None,
            renewals: 0,
        };
        loop {
            let message = tokio::select! {
                biased;
                _ = cut.changed() => {
                    let cut = cut.borrow().clone();
                    return Ok(cut.map_or(End::Gone, End::Cut));
                }
                done = &mut committing => {
                    return Err(done.unwrap_or_else(|_| Status::internal("the stream failed")));
                }
                Some(frame) = attached.out.recv() => {
                    send(&session.replies, frame).await?;
                    continue;
                }
                message = inbound.message() => message,
            };
            let Ok(Some(AgentFrame { frame: Some(frame) })) = message else {
                return Ok(End::Gone);
            };
            attached.hear();
            if let agent_frame::Frame::Goodbye(it) = frame {
                return Ok(End::Goodbye(it.reason));
            }
            tokio::select! {
                biased;
                _ = cut.changed() => {
                    let cut = cut.borrow().clone();
                    return Ok(cut.map_or(End::Gone, End::Cut));
                }
                taken = session.take(frame) => taken?,
            }
        }
    }

    /// The stream is over; unless the next one has begun, the host is offline.
    async fn leave(&self, host: HostId) {
        let _presence = self.link.agents.presence(host).await;
        if self.link.agents.is_online(host) {
            return;
        }
        match self.link.store.set_offline(host, clock::now()).await {
            Ok(shown) => self.link.publish_host(&shown),
            // A host that was deleted is not offline but gone.
            Err(error) => tracing::debug!(%host, %error, "host not marked offline"),
        }
    }
}

/// What one stream's frames act on.
struct Session<'a> {
    streams: &'a Streams,
    host: HostId,
    meter: Meter,
    batches: mpsc::Sender<(Decoded, tokio::sync::OwnedSemaphorePermit)>,
    replies: Replies,
    asked_at: Option<Instant>,
    renewals: u32,
}

impl Session<'_> {
    async fn take(&mut self, frame: agent_frame::Frame) -> Result<(), Status> {
        match frame {
            agent_frame::Frame::Batch(it) => self.batch(it).await,
            agent_frame::Frame::Heartbeat(it) => {
                self.streams.link.note_heartbeat(heartbeat(self.host, it, clock::now()));
                Ok(())
            }
            agent_frame::Frame::Renew(it) => self.renew(&it.csr_der).await,
            agent_frame::Frame::TaskUpdate(it) => self.task_update(it).await,
            agent_frame::Frame::Hello(_) => Err(Status::invalid_argument("hello is said once")),
            agent_frame::Frame::Goodbye(_) => Ok(()),
        }
    }

    async fn batch(&mut self, batch: wire::Batch) -> Result<(), Status> {
        let wait = self.meter.take(batch.count, batch.block.len(), Instant::now());
        if !wait.is_zero() {
            self.ask_to_slow_down(wait).await?;
            tokio::time::sleep(wait).await;
        }
        let decoded = decode(&batch, &self.streams.link.health, clock::now())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let bytes = decoded.bytes.min(WAITING_BYTES_MAX) as u32;
        let closed = || Status::unavailable("the server is shutting down");
        let room = Arc::clone(&self.streams.waiting).acquire_many_owned(bytes);
        let room = room.await.map_err(|_| closed())?;
        self.batches.send((decoded, room)).await.map_err(|_| closed())
    }

    async fn ask_to_slow_down(&mut self, wait: Duration) -> Result<(), Status> {
        let now = Instant::now();
        if self.asked_at.is_some_and(|it| now.duration_since(it) < SLOW_DOWN_INTERVAL) {
            return Ok(());
        }
        self.asked_at = Some(now);
        let pause_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let telemetry_per_s = self.meter.asked_rate();
        reply(&self.replies, Frame::SlowDown(wire::SlowDown { telemetry_per_s, pause_ms })).await
    }

    async fn renew(&mut self, csr_der: &[u8]) -> Result<(), Status> {
        self.renewals += 1;
        if self.renewals > RENEWALS_PER_STREAM_MAX {
            return Err(Status::resource_exhausted("too many renewals on one stream"));
        }
        let link = &self.streams.link;
        let signed = link
            .authority
            .sign_agent(csr_der, self.host, clock::now(), link.settings.agent_lifetime)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let renewed = wire::Renewed {
            certificate_chain_der: signed.chain_der,
            not_after_us: signed.not_after.0,
        };
        reply(&self.replies, Frame::Renewed(renewed)).await
    }

    async fn task_update(&self, update: wire::TaskUpdate) -> Result<(), Status> {
        if update.accepted {
            return Ok(());
        }
        let store = &self.streams.link.store;
        let why = Because {
            text: update.reason.chars().take(500).collect(),
            // An id that is none costs the translation, not the refusal.
            reason: update.why.and_then(|it| super::said::why(it).ok()),
        };
        if let Ok(id) = update.id.parse() {
            let refused = store.refuse_response(self.host, id, why, clock::now()).await;
            return match refused {
                Ok(opened) => {
                    self.streams.link.publish_responses(opened);
                    Ok(())
                }
                Err(StoreError::NotFound { .. }) => Ok(()),
                Err(error) => Err(unavailable(error)),
            };
        }
        let Ok(id) = update.id.parse() else { return Ok(()) };
        // Only a scan of this very host can be refused by it.
        match store.scan(id).await {
            Ok(scan) if scan.host.id == self.host => {
                store.refuse_scan(id, why, clock::now()).await.map_err(unavailable)
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Commits what one stream brings, in order, as many batches at once as are waiting.
struct Committer {
    link: Arc<LinkServer>,
    host: HostId,
    replies: Replies,
}

impl Committer {
    /// Ends with the reason when it cannot go on.
    async fn run(
        self,
        mut queue: mpsc::Receiver<(Decoded, tokio::sync::OwnedSemaphorePermit)>,
    ) -> Status {
        let mut waiting = Vec::new();
        while queue.recv_many(&mut waiting, BATCHES_MAX).await > 0 {
            let (decoded, rooms): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
            for batch in joined(decoded, self.host, clock::now()) {
                if let Err(status) = self.commit(batch).await {
                    return status;
                }
            }
            drop(rooms);
        }
        Status::unavailable("the stream has ended")
    }

    async fn commit(&self, batch: IngestBatch) -> Result<(), Status> {
        let ack =
            wire::Ack { lane: lane_number(batch.lane), epoch: batch.epoch, seq: batch.last_seq };
        let resync = self.link.commit(batch).await.map_err(unavailable)?;
        reply(&self.replies, Frame::Ack(ack)).await?;
        for kind in resync {
            reply(&self.replies, Frame::Resync(wire::Resync { kind })).await?;
        }
        Ok(())
    }
}

/// Adjoining batches of one lane become one, so that they share a commit and an acknowledgement.
fn joined(decoded: Vec<Decoded>, host: HostId, now: Timestamp) -> Vec<IngestBatch> {
    let mut out: Vec<IngestBatch> = Vec::new();
    for it in decoded {
        let same = out.iter_mut().find(|had| had.lane == it.lane && had.epoch == it.epoch);
        match same {
            Some(had) if had.last_seq < it.last_seq => {
                let after = had.last_seq;
                had.records.extend(it.records.into_iter().filter(|(seq, _)| *seq > after));
                had.last_seq = it.last_seq;
            }
            // A replay of what is already waiting.
            Some(_) => {}
            None => out.push(IngestBatch {
                host,
                lane: it.lane,
                epoch: it.epoch,
                records: it.records,
                last_seq: it.last_seq,
                received_at: now,
            }),
        }
    }
    // Alarms first: they are what somebody waits for.
    out.sort_by_key(|it| it.lane != Lane::Alarm);
    out
}

fn hello_row(host: HostId, hello: &wire::Hello, at: Timestamp) -> Result<HelloRow, String> {
    if hello.protocol == 0 || hello.protocol > wire::PROTOCOL {
        return Err(format!(
            "the agent speaks protocol {}, this server knows 1 to {}: update the server first",
            hello.protocol,
            wire::PROTOCOL
        ));
    }
    if hello.instance.is_empty() || hello.instance.len() > INSTANCE_BYTES_MAX {
        return Err("a process has an instance of 1 to 64 bytes".to_owned());
    }
    if hello.asset_specs_json.len() > SPECS_MAX {
        return Err(format!("at most {SPECS_MAX} asset tables"));
    }
    let spec = |json: &Vec<u8>| match json.len() {
        0..=SPEC_BYTES_MAX => serde_json::from_slice(json)
            .map_err(|error| format!("an asset table's specification is not one: {error}")),
        _ => Err(format!("an asset table's specification has at most {SPEC_BYTES_MAX} bytes")),
    };
    Ok(HelloRow {
        host,
        at,
        facts: facts_from_wire(hello.facts.clone().unwrap_or_default()),
        specs: hello.asset_specs_json.iter().map(spec).collect::<Result<_, _>>()?,
        capabilities: capabilities(hello.capabilities.clone())?,
    })
}

fn heartbeat(host: HostId, message: wire::Heartbeat, at: Timestamp) -> HeartbeatRow {
    let named =
        message.costs.into_iter().filter(|it| (1..=COST_NAME_BYTES_MAX).contains(&it.id.len()));
    let costs = named.take(COSTS_MAX).map(|it| FeatureCost {
        id: it.id,
        cpu_us: it.cpu_us,
        events: it.events,
        lost: it.lost,
    });
    HeartbeatRow {
        host,
        at,
        resident_bytes: message.resident_bytes,
        cpu_us: message.cpu_us,
        telemetry_dropped: message.telemetry_dropped,
        spool_bytes: message.spool_bytes,
        costs: costs.collect(),
    }
}

fn lane_number(lane: Lane) -> i32 {
    match lane {
        Lane::Alarm => wire::Lane::Alarm as i32,
        Lane::Telemetry => wire::Lane::Telemetry as i32,
    }
}

async fn reply(replies: &Replies, it: Frame) -> Result<(), Status> {
    send(replies, frame(it)).await
}

async fn send(replies: &Replies, frame: ServerFrame) -> Result<(), Status> {
    replies.send(Ok(frame)).await.map_err(|_| Status::cancelled("the agent is gone"))
}

fn unavailable(error: crate::store::StoreError) -> Status {
    match error {
        crate::store::StoreError::NotFound { .. } => {
            Status::permission_denied("this host is not known here; enrol it again")
        }
        error => {
            tracing::error!(%error, "the store failed an agent");
            Status::unavailable("the store does not answer")
        }
    }
}
