//! One stream to one server, from the connection to its end.

use std::time::{Duration, Instant};

use model::wire::{
    self, AgentFrame, DisconnectReason, ServerFrame, agent_frame::Frame as Up,
    server_frame::Frame as Down,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::connect::{self, whole_reason};
use super::pump::{Pace, Pump};
use super::rpc::link_client::LinkClient;
use super::usage::usage;
use super::{Channels, Config, Frames, Inbound, LinkState, keep, now};
use crate::identity::{self, Credentials, Der, Identity};
use crate::install;
use crate::spool::{Lane, Spool, SpoolError};

/// Frames that may wait for the connection. Few, so that an alarm does not wait behind telemetry.
const FRAMES_MAX: usize = 4;
const WELCOME_TIMEOUT: Duration = Duration::from_secs(30);
/// A renewal that is not answered is asked for again after this.
const RENEW_AGAIN: Duration = Duration::from_mins(10);
/// How often the age of the certificate is looked at.
const RENEW_LOOK: Duration = Duration::from_secs(1);
/// How long the last frames may take when the agent stops.
const GOODBYE_WAIT: Duration = Duration::from_secs(1);

/// How a stream ended.
pub(super) enum End {
    /// This agent was asked to stop.
    Stopped,
    /// Connect again with the new key.
    Renewed,
    /// The server does not accept this certificate.
    Refused(String),
    /// The server told this agent to go.
    SentAway(String),
    Failed(String),
}

pub(super) struct Session<'a> {
    pub(super) config: &'a Config,
    pub(super) spool: &'a Spool,
    pub(super) channels: &'a mut Channels,
    pub(super) identity: &'a mut Identity,
    pub(super) instance: &'a [u8],
    pub(super) installation: &'a [u8],
    pub(super) server: &'a str,
    /// Use the renewed key.
    pub(super) with_next: bool,
}

/// An open stream.
struct Stream {
    frames: Frames,
    inbound: Streaming<ServerFrame>,
    pumps: JoinSet<Result<(), SpoolError>>,
    acked: [watch::Sender<u64>; 2],
    pace: watch::Sender<Option<Pace>>,
    /// The key of a renewal that is under way.
    renewing: Option<Der>,
    asked_at: Option<Instant>,
}

impl Session<'_> {
    pub(super) async fn run(mut self, stop: &mut watch::Receiver<bool>) -> End {
        let opening = tokio::select! {
            it = self.open() => it,
            _ = stop.changed() => return End::Stopped,
        };
        let (mut stream, welcome) = match opening {
            Ok(it) => it,
            Err(end) => return end,
        };
        if self.with_next
            && let Some(next) = self.identity.next.take()
        {
            // The server has seen the new key: the old one is of no use to anybody.
            self.identity.current = next;
            keep(self.config, self.identity);
        }
        if let Err(end) = self.begin(&mut stream, welcome).await {
            return end;
        }
        let end = self.converse(&mut stream, stop).await;
        if matches!(end, End::Stopped | End::Renewed) {
            stream.goodbye(install::permit::reason(&self.config.state_dir)).await;
        }
        end
    }

    /// Connects and says hello; the answer is the server's welcome.
    async fn open(&mut self) -> Result<(Stream, wire::Welcome), End> {
        let own = match &self.identity.next {
            Some(next) if self.with_next => next,
            _ => &self.identity.current,
        };
        let tls = connect::mutual(&self.identity.ca, own);
        let tls = tls.map_err(|it| End::Failed(whole_reason(&it)))?;
        let connected = connect::connect(self.server, tls).await;
        let (channel, _) = connected.map_err(|it| End::Failed(whole_reason(&it)))?;
        let (frames, outbound) = mpsc::channel(FRAMES_MAX);
        let hello = AgentFrame { frame: Some(Up::Hello(self.hello())) };
        frames.send(hello).await.map_err(|_| End::Failed("the stream closed".to_owned()))?;
        let mut client = LinkClient::new(channel)
            .max_decoding_message_size(wire::FRAME_BYTES_MAX)
            .max_encoding_message_size(wire::FRAME_BYTES_MAX);
        let answer = async {
            let mut inbound = client.connect(ReceiverStream::new(outbound)).await?.into_inner();
            let first = inbound.message().await?;
            Ok::<_, Status>((inbound, first))
        };
        let answer = tokio::time::timeout(WELCOME_TIMEOUT, answer).await;
        let answer = answer.map_err(|_| End::Failed("no welcome within 30 s".to_owned()))?;
        let (inbound, first) = answer.map_err(refused)?;
        match first.and_then(|it| it.frame) {
            Some(Down::Welcome(welcome)) => {
                let stream = Stream {
                    frames,
                    inbound,
                    pumps: JoinSet::new(),
                    acked: [watch::Sender::new(0), watch::Sender::new(0)],
                    pace: watch::Sender::new(None),
                    renewing: None,
                    asked_at: None,
                };
                Ok((stream, welcome))
            }
            Some(Down::Disconnect(it)) => Err(sent_away(&it)),
            _ => Err(End::Failed("the server did not begin with a welcome".to_owned())),
        }
    }

    fn hello(&self) -> wire::Hello {
        wire::Hello {
            protocol: wire::PROTOCOL,
            instance: self.instance.to_vec(),
            installation_id: self.installation.to_vec(),
            ..self.channels.hello.borrow().clone()
        }
    }

    /// Goes on in each lane where the server stands.
    async fn begin(&mut self, stream: &mut Stream, welcome: wire::Welcome) -> Result<(), End> {
        let online =
            LinkState::Online { server: self.server.to_owned(), host: welcome.host.clone() };
        for ack in &welcome.lanes {
            self.acknowledge(stream, ack);
        }
        let stats = self.spool.stats();
        for (lane, acked) in Lane::ALL.into_iter().zip(&stream.acked) {
            let epoch = match lane {
                Lane::Alarm => stats.alarm.epoch,
                Lane::Telemetry => stats.telemetry.epoch,
            };
            let at = |it: &&wire::Ack| Lane::from_wire(it.lane) == Some(lane) && it.epoch == epoch;
            acked.send_replace(welcome.lanes.iter().find(at).map_or(0, |it| it.seq));
            let pump = Pump {
                lane,
                spool: self.spool.clone(),
                frames: stream.frames.clone(),
                acked: acked.subscribe(),
                pace: stream.pace.subscribe(),
            };
            stream.pumps.spawn(pump.run());
        }
        tracing::info!(server = self.server, host = welcome.host, "connected");
        self.channels.state.send_replace(online);
        self.deliver(Inbound::Welcome(welcome)).await
    }

    async fn converse(&mut self, stream: &mut Stream, stop: &mut watch::Receiver<bool>) -> End {
        let mut heartbeat = tokio::time::interval(self.config.heartbeat);
        let mut look = tokio::time::interval(RENEW_LOOK);
        loop {
            let step = tokio::select! {
                _ = stop.changed() => Err(End::Stopped),
                message = stream.inbound.message() => match message {
                    Ok(Some(ServerFrame { frame: Some(it) })) => self.take(stream, it).await,
                    Ok(Some(_)) => Ok(()),
                    Ok(None) => Err(End::Failed("the server closed the stream".to_owned())),
                    Err(status) => Err(refused(status)),
                },
                _ = heartbeat.tick() => self.heartbeat(stream).await,
                _ = look.tick() => self.renew_if_due(stream).await,
                Some(update) = self.channels.outbox.recv() => {
                    stream.send(Up::TaskUpdate(update)).await
                }
                Some(done) = stream.pumps.join_next() => Err(End::Failed(match done {
                    Ok(Ok(())) => "the stream closed".to_owned(),
                    Ok(Err(error)) => whole_reason(&error),
                    Err(error) => error.to_string(),
                })),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn take(&mut self, stream: &mut Stream, frame: Down) -> Result<(), End> {
        match frame {
            Down::Ack(ack) => {
                self.acknowledge(stream, &ack);
                Ok(())
            }
            Down::SlowDown(wish) => {
                tracing::info!(?wish, "the server asks to slow down");
                stream.pace.send_replace(Some(Pace::asked(wish, Instant::now())));
                Ok(())
            }
            Down::Renewed(it) => self.renewed(stream, it),
            Down::Probe(_) => self.heartbeat(stream).await,
            Down::Disconnect(it) => Err(sent_away(&it)),
            Down::Task(it) => self.deliver(Inbound::Task(it)).await,
            Down::Policy(it) => self.deliver(Inbound::Policy(it)).await,
            Down::Resync(it) => self.deliver(Inbound::Resync(it.kind)).await,
            Down::Welcome(_) => Err(End::Failed("the server said welcome twice".to_owned())),
        }
    }

    fn acknowledge(&self, stream: &Stream, ack: &wire::Ack) {
        let Some(lane) = Lane::from_wire(ack.lane) else { return };
        let stats = self.spool.stats();
        let [alarm, telemetry] = &stream.acked;
        let (lane_stats, acked) = match lane {
            Lane::Alarm => (stats.alarm, alarm),
            Lane::Telemetry => (stats.telemetry, telemetry),
        };
        if lane_stats.epoch != ack.epoch {
            return;
        }
        if let Err(error) = self.spool.ack(lane, ack.epoch, ack.seq) {
            tracing::warn!(error = whole_reason(&error), "acknowledged records not removed");
        }
        acked.send_if_modified(|it| std::mem::replace(it, ack.seq.max(*it)) != *it);
    }

    async fn heartbeat(&self, stream: &Stream) -> Result<(), End> {
        let (resident_bytes, cpu_us) = usage();
        let stats = self.spool.stats();
        let heartbeat = wire::Heartbeat {
            at_us: now().0,
            resident_bytes,
            cpu_us,
            telemetry_dropped: stats.telemetry.dropped + stats.telemetry.damaged,
            spool_bytes: stats.alarm.bytes + stats.telemetry.bytes,
            costs: self.config.costs.to_wire(),
        };
        stream.send(Up::Heartbeat(heartbeat)).await
    }

    async fn renew_if_due(&self, stream: &mut Stream) -> Result<(), End> {
        let asked = stream.asked_at.is_some_and(|it| it.elapsed() < RENEW_AGAIN);
        if asked || now() < self.identity.current.renew_at() {
            return Ok(());
        }
        match identity::key_and_request() {
            Ok((key, csr_der)) => {
                stream.asked_at = Some(Instant::now());
                stream.renewing = Some(key);
                stream.send(Up::Renew(wire::Renew { csr_der })).await
            }
            Err(error) => {
                tracing::error!(error = whole_reason(&error), "no new key");
                stream.asked_at = Some(Instant::now());
                Ok(())
            }
        }
    }

    /// Keeps the new key and goes back to use it.
    fn renewed(&mut self, stream: &mut Stream, it: wire::Renewed) -> Result<(), End> {
        let Some(key) = stream.renewing.take() else { return Ok(()) };
        if it.certificate_chain_der.is_empty() {
            return Ok(());
        }
        self.identity.next = Some(Credentials {
            key,
            chain: it.certificate_chain_der.into_iter().map(Der).collect(),
            issued_at: now(),
            not_after: model::time::Timestamp(it.not_after_us),
        });
        keep(self.config, self.identity);
        tracing::info!("certificate renewed");
        Err(End::Renewed)
    }

    async fn deliver(&self, message: Inbound) -> Result<(), End> {
        self.channels.inbox.send(message).await.map_err(|_| End::Stopped)
    }
}

impl Stream {
    async fn send(&self, frame: Up) -> Result<(), End> {
        let frame = AgentFrame { frame: Some(frame) };
        let sent = self.frames.send(frame).await;
        sent.map_err(|_| End::Failed("the stream closed".to_owned()))
    }

    /// The server should know that this end is meant.
    async fn goodbye(mut self, reason: String) {
        let goodbye = Up::Goodbye(wire::Goodbye { reason });
        self.pumps.abort_all();
        let last = async {
            if self.send(goodbye).await.is_ok() {
                while let Ok(Some(_)) = self.inbound.message().await {}
            }
        };
        let _ = tokio::time::timeout(GOODBYE_WAIT, last).await;
    }
}

fn refused(status: Status) -> End {
    let reason = format!("{}: {}", status.code(), status.message());
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => End::Refused(reason),
        _ => End::Failed(reason),
    }
}

fn sent_away(it: &wire::Disconnect) -> End {
    match it.reason() {
        DisconnectReason::ShuttingDown => End::Failed("the server is shutting down".to_owned()),
        DisconnectReason::Revoked
        | DisconnectReason::Replaced
        | DisconnectReason::Limit
        | DisconnectReason::Unspecified => End::SentAway(it.detail.clone()),
    }
}
