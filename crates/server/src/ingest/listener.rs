//! The agents' port: one TLS listener for gRPC (HTTP/2) and the install files (HTTP/1.1).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::util::ServiceExt as _;

use super::LinkServer;
use super::rpc::enrolment_server::EnrolmentServer;
use super::rpc::link_server::LinkServer as LinkService;
use super::stream::Streams;
use crate::agents::AGENTS_MAX;
use crate::ca::{CaError, PeerIdentity};
use crate::clock;
use crate::enrol::Enrolment;
use crate::install;

/// Connections that are still shaking hands.
const HANDSHAKES_MAX: usize = 128;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections without a certificate: enrolling, installing, or knocking.
const GUESTS_MAX: usize = 256;
/// A guest is gone after this; enough to fetch the program over a slow line.
const GUEST_TIME_MAX: Duration = Duration::from_mins(15);
/// Largest request head.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Streams one connection may have open; an agent needs one.
const STREAMS_MAX: u32 = 8;
/// A window that is larger is never given back by the connection.
const WINDOW_BYTES: u32 = 256 * 1024;
const KEEP_ALIVE: Duration = Duration::from_mins(1);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often the listener's certificate is looked at.
const REFRESH_INTERVAL: Duration = Duration::from_hours(1);
/// How long streams may take to say goodbye when the server stops.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// Why the agents' port could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error("agents' port: cannot make the streams offline that an earlier server left")]
    Store(#[from] crate::store::StoreError),
}

/// Serves agents on `listener` until `stop` turns true.
pub async fn listen(
    listener: TcpListener,
    link: Arc<LinkServer>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), ListenError> {
    link.store.set_all_offline().await?;
    let tls = TlsAcceptor::from(Arc::new(link.authority.tls()?));
    let streams = Streams::new(Arc::clone(&link));
    let app = router(&link, streams);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let guests = Arc::new(Semaphore::new(GUESTS_MAX));
    let agents = Arc::new(Semaphore::new(AGENTS_MAX));
    let upkeep = tokio::spawn(upkeep(Arc::clone(&link)));
    while !*stop.borrow() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let Ok((socket, _)) = accepted else {
            // Out of descriptors, most likely; give the others time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(handshake) = Arc::clone(&handshakes).try_acquire_owned() else { continue };
        let connection = Connection {
            app: app.clone(),
            tls: tls.clone(),
            guests: Arc::clone(&guests),
            agents: Arc::clone(&agents),
        };
        tokio::spawn(async move { connection.serve(socket, handshake).await });
    }
    link.agents.shut_down();
    let deadline = Instant::now() + STOP_WAIT;
    while link.agents.count() > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    upkeep.abort();
    link.flush_heartbeats().await;
    Ok(())
}

fn router(link: &Arc<LinkServer>, streams: Streams) -> axum::Router {
    let link_service = LinkService::new(streams)
        .max_decoding_message_size(model::wire::FRAME_BYTES_MAX)
        .max_encoding_message_size(model::wire::FRAME_BYTES_MAX);
    let enrolment = EnrolmentServer::new(Enrolment::new(Arc::clone(link)))
        .max_decoding_message_size(crate::enrol::REQUEST_BYTES_MAX);
    tonic::service::Routes::new(link_service)
        .add_service(enrolment)
        .into_axum_router()
        .merge(install::router(link))
}

async fn upkeep(link: Arc<LinkServer>) {
    let mut heartbeats = tokio::time::interval(link.settings.heartbeat_flush);
    let mut refresh = tokio::time::interval(REFRESH_INTERVAL);
    loop {
        tokio::select! {
            _ = heartbeats.tick() => {
                link.flush_heartbeats().await;
                link.alarm_silent().await;
            }
            _ = refresh.tick() => if let Err(error) = link.authority.refresh(clock::now()) {
                tracing::error!(%error, "the listener's certificate was not renewed");
            },
        }
    }
}

/// Where a request came from; every request carries it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) address: String,
    /// The host its verified certificate names.
    pub(crate) identity: Option<PeerIdentity>,
}

struct Connection {
    app: axum::Router,
    tls: TlsAcceptor,
    guests: Arc<Semaphore>,
    agents: Arc<Semaphore>,
}

impl Connection {
    async fn serve(self, socket: TcpStream, handshake: tokio::sync::OwnedSemaphorePermit) {
        let address = socket.peer_addr().map(|it| it.ip().to_canonical().to_string());
        let address = address.unwrap_or_default();
        keep_alive(&socket);
        let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.tls.accept(socket)).await;
        let Ok(Ok(socket)) = shaken else { return };
        drop(handshake);
        let shown = socket.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let identity = shown.and_then(PeerIdentity::read);
        let is_guest = identity.is_none();
        let places = if is_guest { &self.guests } else { &self.agents };
        let Ok(_place) = places.try_acquire() else { return };
        let caller = Caller { address, identity };
        let app = self.app.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(caller.clone());
            app.clone().oneshot(request.map(Body::new))
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HANDSHAKE_TIMEOUT)
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX);
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        // How a connection ends is told by its stream; here it only ends.
        if is_guest {
            let _ = tokio::time::timeout(GUEST_TIME_MAX, connection).await;
        } else {
            let _ = connection.await;
        }
    }
}

/// Finds peers that vanished without a word, below HTTP/2 as well. Without it only that finds them.
fn keep_alive(socket: &TcpStream) {
    use rustix::net::sockopt;
    let set = || -> rustix::io::Result<()> {
        sockopt::set_tcp_nodelay(socket, true)?;
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEP_ALIVE)?;
        sockopt::set_tcp_keepintvl(socket, KEEP_ALIVE_TIMEOUT)
    };
    if let Err(error) = set() {
        tracing::debug!(%error, "no keep-alive on a connection");
    }
}
