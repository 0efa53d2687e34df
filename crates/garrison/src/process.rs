//! What the long-running commands share: the clock, the log, and being asked to stop.

use std::io::{Read as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use model::time::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing_subscriber::EnvFilter;

/// Which messages are logged unless `GARRISON_LOG` says otherwise.
const LOG_DEFAULT: &str = "info,rustls=warn,h2=warn,hyper=warn,tonic=warn";

#[expect(clippy::disallowed_methods, reason = "the clock of the commands")]
pub(crate) fn now() -> Timestamp {
    Timestamp(0) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// One line on standard output; a closed one is no reason to fail.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub(crate) fn log_to_stderr() {
    let filter =
        EnvFilter::try_from_env("GARRISON_LOG").unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

/// Turns `stop` true on SIGINT or SIGTERM, or, for a supervised process, when whoever
/// supervises it closes its standard input or is gone.
pub(crate) fn stop_on_request(stop: watch::Sender<bool>, supervised: bool) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = end_of_input(), if supervised => {}
        }
        stop.send_replace(true);
        // Keeps the channel until whoever listens has seen it.
        stop.closed().await;
    });
    Ok(())
}

/// Ready when standard input ends. The thread that reads it is left behind when this is
/// dropped: it holds nothing but the descriptor.
async fn end_of_input() {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 256];
        let mut input = std::io::stdin().lock();
        while input.read(&mut bytes).is_ok_and(|it| it > 0) {}
        let _ = tell.send(());
    });
    let _ = told.await;
}
