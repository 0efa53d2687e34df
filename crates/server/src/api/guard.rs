//! Around every request: a limit on how many run at once and how long, a net under panics,
//! headers that tell browsers to be careful, and a line in the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use model::because;

use super::App;
use super::problem::{Problem, ProblemKind};
use crate::auth::Source;

/// Requests that run at once; further ones are told to come back.
pub(super) const AT_ONCE_MAX: usize = 256;
/// Longest time from the first byte of a request to the first of its answer.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Scripts only from our own files; Ant Design writes its style sheets at run time, so styles
/// may be inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

static HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let (head, body) = request.into_parts();
    let source = Source::of(&head);
    let mut response = match app.turns.try_acquire() {
        Ok(_turn) => within_limits(Request::from_parts(head, body), next).await,
        Err(_) => Problem {
            retry_after_s: Some(1),
            ..Problem::new(
                ProblemKind::Overloaded,
                because!("server.busy", "too many requests at once"),
            )
        }
        .into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        headers.insert(name.clone(), HeaderValue::from_static(value));
    }
    if path.starts_with("/api/") {
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    let status = response.status().as_u16();
    let took_us = began.elapsed().as_micros() as u64;
    tracing::debug!(%method, path, status, took_us, address = %source.address, "request");
    response
}

async fn within_limits(request: Request, next: Next) -> Response {
    let run = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(TIME_MAX, run).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(reason = text.unwrap_or("not a text"), "a request panicked");
            Problem::failed().into_response()
        }
        Err(_) => {
            let detail = because!("server.slow", "it took longer than 30 s");
            Problem::new(ProblemKind::TimedOut, detail).into_response()
        }
    }
}
