//! Signs of life, for whoever starts the agent again when it hangs: a file for its own supervisor,
//! a message for systemd.

use std::ffi::OsStr;
use std::fs::File;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use crate::install::supervise::ALIVE_FILE;

/// Between two signs.
const EVERY: Duration = Duration::from_secs(5);

/// Gives signs until it is dropped. Runs where the link runs: if that hangs, the signs stay out.
pub(super) async fn signs(state_dir: &Path) -> std::convert::Infallible {
    let path = state_dir.join(ALIVE_FILE);
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        if let Err(error) = File::create(&path) {
            tracing::warn!(%error, "no sign of life could be given");
        }
        if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
            // systemd ends a service without signs: nothing is lost if it cannot be told.
            let _ = notify(socket.as_encoded_bytes());
        }
    }
}

/// sd_notify(3): a datagram to the socket that systemd names, `@` for an abstract one.
fn notify(socket: &[u8]) -> std::io::Result<()> {
    let address = if let Some(name) = socket.strip_prefix(b"@") {
        SocketAddr::from_abstract_name(name)?
    } else {
        SocketAddr::from_pathname(OsStr::from_bytes(socket))?
    };
    UnixDatagram::unbound()?.send_to_addr(b"WATCHDOG=1", &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let abstract_name = format!("garrison-test-{}", std::process::id());
        let sockets = [
            (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&abstract_name).unwrap())
                    .unwrap(),
                format!("@{abstract_name}"),
            ),
        ];
        for (socket, name) in sockets {
            notify(name.as_bytes()).unwrap();
            let mut bytes = [0; 32];
            let length = socket.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..length], b"WATCHDOG=1");
        }
        assert!(notify(b"/nowhere/at/all").is_err());
    }
}
