//! The console's port: plain HTTP/1.1, bounded in every direction.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::util::ServiceExt as _;

/// Open connections; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
/// A connection that sends no whole request head for this long is closed.
const HEAD_TIME_MAX: Duration = Duration::from_mins(1);
/// Largest request head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long answers under way may take when the server stops.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// Serves `router` until `stop` turns true, then lets answers under way end.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while !*stop.borrow() {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        let Ok((socket, peer)) = accepted else {
            // Out of descriptors, most likely; give the others time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let router = router.clone();
        let stop = stop.clone();
        tokio::spawn(async move {
            connection(socket, peer, router, stop).await;
            drop(place);
        });
    }
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(STOP_WAIT, places.acquire_many(all)).await;
}

async fn connection(
    socket: TcpStream,
    peer: std::net::SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone will not let the server run either.
    let _ = stop.wait_for(|it| *it).await;
}
