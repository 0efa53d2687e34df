//! The link to the server: one stream, held open for as long as the agent lives.
//!
//! What must not be lost goes through the spool; the channels here carry only what is asked and
//! answered while connected.

mod backoff;
pub(crate) mod connect;
mod pump;
pub(crate) mod rpc;
mod session;
mod usage;

pub use usage::usage;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::time::Timestamp;
use model::wire;
use tokio::sync::{mpsc, watch};

use crate::costs::Costs;
use crate::identity::{self, Identity, IdentityError};
use crate::spool::Spool;
use connect::whole_reason;
use session::{End, Session};

pub use backoff::{DELAY_MAX, DELAY_MIN, delay};

/// Random bytes that tell this process from any other with the same identity.
const INSTANCE_BYTES: usize = 16;
/// A stream that lived this long ended by accident: the next try is soon.
const SETTLED: Duration = Duration::from_secs(30);

/// Why the link cannot even begin.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("link: no random number: {0}")]
    Random(getrandom::Error),
}

/// What the server says, for the runtime.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// Connected; the digests are of the tables as the server holds them. What is still in the
    /// spool comes on top.
    Welcome(wire::Welcome),
    Task(wire::Task),
    Policy(wire::Policy),
    /// Send this table whole.
    Resync(String),
}

/// How the link stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Why there is no stream; empty before the first try.
    Offline(String),
    Online {
        server: String,
        host: String,
    },
}

/// Where the link takes from and gives to.
#[derive(Debug)]
pub struct Channels {
    /// What the next stream says first. Protocol, instance and installation are filled in here.
    pub hello: watch::Receiver<wire::Hello>,
    /// Answers to tasks. Those made while offline wait.
    pub outbox: mpsc::Receiver<wire::TaskUpdate>,
    pub inbox: mpsc::Sender<Inbound>,
    pub state: watch::Sender<LinkState>,
}

/// What the link needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    pub state_dir: PathBuf,
    /// Time between heartbeats; a minute unless somebody tests.
    pub heartbeat: Duration,
    /// What each function has used, for the heartbeat.
    pub costs: Costs,
}

impl Config {
    pub fn new(state_dir: PathBuf) -> Self {
        Self { state_dir, heartbeat: Duration::from_mins(1), costs: Costs::default() }
    }
}

/// Keeps a stream to one of the servers until `stop` turns true. Fails only if this agent has no
/// usable identity; whatever goes wrong with a server is tried again for ever.
pub async fn run(
    config: Config,
    spool: Spool,
    mut channels: Channels,
    mut stop: watch::Receiver<bool>,
) -> Result<(), LinkError> {
    let mut instance = [0; INSTANCE_BYTES];
    getrandom::fill(&mut instance).map_err(LinkError::Random)?;
    let installation = identity::installation_id(&config.state_dir)?;
    let mut identity = identity::load(&config.state_dir)?;
    let mut place = 0_usize;
    let mut attempt = 0_u32;
    let mut try_next = true;
    while !*stop.borrow() {
        let server = nth(&identity.servers, place);
        let with_next = try_next && identity.next.is_some();
        let began = Instant::now();
        let session = Session {
            config: &config,
            spool: &spool,
            channels: &mut channels,
            identity: &mut identity,
            instance: &instance,
            installation: &installation,
            server: &server,
            with_next,
        };
        let end = session.run(&mut stop).await;
        let settled = began.elapsed() >= SETTLED;
        let pause = match end {
            End::Stopped => break,
            End::Renewed => {
                try_next = true;
                continue;
            }
            End::Refused(reason) => {
                // The other key may be the one the server knows.
                try_next = !with_next;
                told(&channels, &server, reason);
                place += 1;
                attempt = attempt.saturating_add(1);
                backoff::delay(attempt, random()?)
            }
            End::Failed(reason) => {
                told(&channels, &server, reason);
                place += 1;
                // All servers are tried before the next wait.
                if !settled && !place.is_multiple_of(identity.servers.len().max(1)) {
                    continue;
                }
                attempt = if settled { 0 } else { attempt.saturating_add(1) };
                backoff::delay(attempt.saturating_sub(1), random()?)
            }
            End::SentAway(reason) => {
                told(&channels, &server, reason);
                // It will say so again; there is no hurry.
                attempt = u32::MAX;
                backoff::delay(attempt, random()?)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => {}
        }
    }
    channels.state.send_replace(LinkState::Offline("stopped".to_owned()));
    Ok(())
}

fn told(channels: &Channels, server: &str, reason: String) {
    tracing::info!(server, reason, "no stream to the server");
    channels.state.send_replace(LinkState::Offline(format!("{server}: {reason}")));
}

fn nth(servers: &[String], place: usize) -> String {
    let place = place.checked_rem(servers.len()).unwrap_or(0);
    servers.get(place).cloned().unwrap_or_default()
}

fn random() -> Result<u32, LinkError> {
    getrandom::u32().map_err(LinkError::Random)
}

/// The link is an outermost loop: certificates are compared with the clock here.
#[expect(clippy::disallowed_methods, reason = "outermost loop")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Keeps `identity` on disk; the caller goes on with what is in memory if that fails.
fn keep(config: &Config, identity: &Identity) {
    if let Err(error) = identity::save(&config.state_dir, identity) {
        tracing::error!(error = whole_reason(&error), "identity not saved");
    }
}

/// To the connection.
type Frames = mpsc::Sender<wire::AgentFrame>;
