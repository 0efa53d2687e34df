//! Server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use model::because;
use model::id::{HostId, ScanId};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::App;
use super::findings::Finding;
use super::hosts::ScanItem;
use super::problem::{Problem, ProblemKind};
use super::routes::{Answer, Ask, Schemas};
use crate::auth::permission::Read;
use crate::auth::{self, Via};
use crate::live::Watcher;
use crate::store::{Connection, Protection};

/// Pages that may watch at once.
pub(super) const WATCHERS_MAX: usize = 256;
/// Comments that keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How often a stream looks whether its session is still good.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// What `data` of each event holds, by the event's name.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveEvents {
    pub finding: LiveFinding,
    pub host: LiveHost,
    pub scan: LiveScan,
    /// The dashboard's numbers changed: fetch them.
    pub counts: LiveNothing,
    /// Responses, isolated files, blocked addresses or whitelists changed: fetch them.
    pub responses: LiveNothing,
    /// Events were lost: fetch everything anew.
    pub reset: LiveNothing,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LiveFinding {
    /// As it now stands.
    pub item: Finding,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LiveHost {
    pub id: HostId,
    pub connection: Connection,
    pub protection: Protection,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LiveScan {
    pub id: ScanId,
    pub host: HostId,
    pub items: Vec<ScanItem>,
    pub finished: bool,
}

/// An empty object.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveNothing {}

/// A stream of events that ends with the session.
#[derive(Debug)]
pub struct EventStream {
    app: Arc<App>,
    watcher: Watcher,
    via: Via,
    /// Given back when the stream ends.
    _seat: OwnedSemaphorePermit,
}

impl Answer for EventStream {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(schemas: &mut Schemas) -> Option<(&'static str, Value)> {
        Some(("text/event-stream", schemas.reference::<LiveEvents>()))
    }

    fn respond(self) -> Response {
        let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
        let mut response = Sse::new(events(self)).keep_alive(keep_alive).into_response();
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

fn events(watching: EventStream) -> impl Stream<Item = Result<Event, Infallible>> {
    let hello = stream::once(async { Ok(Event::default().comment("watching")) });
    let batches = stream::unfold(watching, |mut it| async move {
        let told = it.next().await?;
        let feed = Arc::clone(&it.app.feed);
        let events: Vec<_> = told
            .iter()
            .map(|told| Ok(Event::default().event(told.name).id(feed.id_of(told)).data(&told.data)))
            .collect();
        Some((stream::iter(events), it))
    });
    futures_util::StreamExt::chain(hello, futures_util::StreamExt::flatten(batches))
}

impl EventStream {
    /// `None` when the session ended or the server stops.
    async fn next(&mut self) -> Option<Vec<Arc<crate::live::Told>>> {
        let mut stopping = self.app.stopping.subscribe();
        if *stopping.borrow_and_update() {
            return None;
        }
        loop {
            tokio::select! {
                told = self.watcher.next() => return Some(told),
                _ = stopping.changed() => return None,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    let now = self.app.clock.now();
                    if !auth::is_good(&self.app, &self.via, now).await {
                        return None;
                    }
                }
            }
        }
    }
}

pub async fn watch(ask: Ask<Read>) -> Result<EventStream, Problem> {
    let seat = Arc::clone(&ask.app.watchers).try_acquire_owned().map_err(|_| Problem {
        retry_after_s: Some(30),
        ..Problem::new(
            ProblemKind::Overloaded,
            because!("server.watched", "too many pages are watching"),
        )
    })?;
    let watcher = ask.app.feed.watch(ask.last_event_id.as_deref());
    Ok(EventStream { watcher, via: ask.who.via, _seat: seat, app: ask.app })
}
