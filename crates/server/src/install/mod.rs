//! Hands out the install script and this very program, on the agents' port.
//!
//! The script comes over a connection whose key the install line pins, and names the digest the
//! program must have, so nothing else has to be trusted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use data_encoding::HEXLOWER;
use model::enrol::EnrolToken;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OnceCell, Semaphore};

use crate::ingest::LinkServer;
#[cfg(test)]
mod tests;

const SCRIPT: &str = include_str!("install.sh");
/// The running program, even after its file was replaced.
pub const OWN_PROGRAM: &str = "/proc/self/exe";
const CHUNK_BYTES: usize = 64 * 1024;
/// Copies of the program that may be on their way at once.
const DOWNLOADS_MAX: usize = 32;

/// The line to paste into a root shell. The token goes by the environment: arguments are visible
/// to every user of a machine.
pub fn one_liner(token: &EnrolToken, key_pin: &str) -> String {
    let server = token.endpoints.first().map_or("", String::as_str);
    format!(
        "curl -fsSk --pinnedpubkey '{key_pin}' https://{server}/install.sh | GARRISON_TOKEN='{token}' sh"
    )
}

#[derive(Debug)]
struct Site {
    endpoints: String,
    key_pin: String,
    program: PathBuf,
    digest: OnceCell<String>,
    downloads: Arc<Semaphore>,
}

/// `/install.sh` and `/install/garrison`.
pub(crate) fn router(link: &LinkServer) -> Router {
    let site = Arc::new(Site {
        endpoints: link.endpoints.join(" "),
        key_pin: link.authority.listener_key_pin(),
        program: link.program.clone(),
        digest: OnceCell::new(),
        downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
    });
    let script_site = Arc::clone(&site);
    Router::new()
        .route("/install.sh", get(move || async move { script(&script_site).await }))
        .route("/install/garrison", get(move || async move { program(&site).await }))
}

async fn script(site: &Site) -> Response {
    match site.digest.get_or_try_init(|| digest_of(&site.program)).await {
        Ok(digest) => {
            let text = fill(&site.endpoints, &site.key_pin, digest);
            ([(header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8")], text).into_response()
        }
        Err(error) => failed(&error),
    }
}

/// Endpoints, pin and digest are made of characters that need no quoting in a shell.
fn fill(endpoints: &str, key_pin: &str, digest: &str) -> String {
    SCRIPT
        .replace("@SERVERS@", endpoints)
        .replace("@PIN@", key_pin)
        .replace("@SHA256@", digest)
        .replace("@ARCH@", std::env::consts::ARCH)
}

async fn program(site: &Site) -> Response {
    let Ok(place) = Arc::clone(&site.downloads).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")]).into_response();
    };
    let file = match tokio::fs::File::open(&site.program).await {
        Ok(it) => it,
        Err(error) => return failed(&error),
    };
    let length = file.metadata().await.map(|it| it.len()).unwrap_or_default();
    let chunks = futures_util::stream::try_unfold((file, place), |(mut file, place)| async {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), (file, place))))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

/// Lower-case hexadecimal SHA-256 of a file.
async fn digest_of(path: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&hasher.finalize()));
        }
        hasher.update(chunk.get(..read).unwrap_or_default());
    }
}

fn failed(error: &std::io::Error) -> Response {
    tracing::error!(%error, "the program cannot be read to hand it out");
    (StatusCode::INTERNAL_SERVER_ERROR, "the server cannot read its own program\n").into_response()
}
