//! What has just changed, for whoever watches: published after it is durable.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::content::Catalogue;
use model::id::HostId;
use model::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use crate::api::findings::Finding;
use crate::api::hosts::ScanItem;
use crate::store::{Connection, FindingItem, Protection, ScanChange};

/// Events a slow watcher may fall behind before it misses some and has to look anew.
pub const BACKLOG_MAX: usize = 1024;

/// One change. Watchers that need more than is here ask the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Began, changed or ended; as it now stands.
    Finding(Box<FindingItem>),
    Host {
        id: HostId,
        connection: Connection,
        protection: Protection,
    },
    Scan {
        host: HostId,
        change: ScanChange,
    },
    /// Some number of the dashboard differs.
    Counts,
    /// Responses, isolated files, blocked addresses or whitelists changed.
    Responses,
}

/// Makes the channel every publisher and watcher shares.
pub fn channel() -> broadcast::Sender<Event> {
    broadcast::Sender::new(BACKLOG_MAX)
}

/// One event as pages get it.
#[derive(Debug)]
pub struct Told {
    number: u64,
    /// `finding`, `host`, `scan`, `counts`, `responses` or `reset`.
    pub name: &'static str,
    /// JSON.
    pub data: String,
}

/// The last events, numbered, so that a page that was away gets what it missed.
#[derive(Debug)]
pub struct Feed {
    /// Tells the numbers of this server process from those of the one before.
    boot: i64,
    ring: Mutex<VecDeque<Arc<Told>>>,
    newest: watch::Sender<u64>,
}

/// Where one watcher stands.
#[derive(Debug)]
pub struct Watcher {
    feed: Arc<Feed>,
    seen: u64,
    newest: watch::Receiver<u64>,
    /// It asked for events that are no longer there.
    lost: bool,
}

impl Feed {
    pub fn new(boot: Timestamp) -> Arc<Self> {
        Arc::new(Self { boot: boot.0, ring: Mutex::default(), newest: watch::Sender::new(0) })
    }

    /// Takes events until the channel closes. What the channel dropped is told as a reset.
    pub async fn follow(
        self: Arc<Self>,
        mut events: broadcast::Receiver<Event>,
        catalogue: Arc<Catalogue>,
    ) {
        loop {
            match events.recv().await {
                Ok(event) => self.tell(event, &catalogue),
                Err(broadcast::error::RecvError::Lagged(_)) => self.push("reset", &json!({})),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn tell(&self, event: Event, catalogue: &Catalogue) {
        match event {
            Event::Finding(item) => {
                self.push("finding", &json!({ "item": Finding::of(*item, catalogue) }));
            }
            Event::Host { id, connection, protection } => self.push(
                "host",
                &json!({ "id": id, "connection": connection, "protection": protection }),
            ),
            Event::Scan { host, change } => {
                let items: Vec<ScanItem> = change.items.into_iter().map(Into::into).collect();
                let finished = change.finished;
                let data =
                    json!({ "id": change.id, "host": host, "items": items, "finished": finished });
                self.push("scan", &data);
            }
            Event::Counts => self.push_once("counts"),
            Event::Responses => self.push_once("responses"),
        }
    }

    /// Right after one of its kind it takes that one's place: who has not seen the first needs
    /// only the second, and who has seen it hears that there is more.
    fn push_once(&self, name: &'static str) {
        let mut ring = self.ring();
        // The oldest stays, because watchers tell by its number whether they missed any.
        if ring.len() > 1 && ring.back().is_some_and(|it| it.name == name) {
            ring.pop_back();
        }
        drop(ring);
        self.push(name, &json!({}));
    }

    fn push(&self, name: &'static str, data: &Value) {
        let mut ring = self.ring();
        let number = *self.newest.borrow() + 1;
        if ring.len() >= BACKLOG_MAX {
            ring.pop_front();
        }
        ring.push_back(Arc::new(Told { number, name, data: data.to_string() }));
        self.newest.send_replace(number);
    }

    /// `last_event_id` as the browser sends it; without one, only what happens from now on.
    pub fn watch(self: &Arc<Self>, last_event_id: Option<&str>) -> Watcher {
        let newest = self.newest.subscribe();
        let now = *newest.borrow();
        let asked = last_event_id.map(|it| self.number_in(it).filter(|it| *it <= now));
        let (seen, lost) = match asked {
            None => (now, false),
            Some(Some(number)) => (number, false),
            Some(None) => (now, true),
        };
        Watcher { feed: Arc::clone(self), seen, newest, lost }
    }

    fn number_in(&self, id: &str) -> Option<u64> {
        let (boot, number) = id.split_once('-')?;
        if boot.parse() == Ok(self.boot) { number.parse().ok() } else { None }
    }

    /// What the browser sends back as `Last-Event-ID`.
    pub fn id_of(&self, told: &Told) -> String {
        format!("{}-{}", self.boot, told.number)
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Arc<Told>>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// What is new, waiting until there is something; never empty. A `reset` says that events
    /// were lost and everything has to be fetched anew.
    pub async fn next(&mut self) -> Vec<Arc<Told>> {
        loop {
            let news = self.news();
            if !news.is_empty() {
                return news;
            }
            // The feed holds the sender and this holds the feed, so it never closes.
            let _ = self.newest.changed().await;
        }
    }

    fn news(&mut self) -> Vec<Arc<Told>> {
        let _ = self.newest.borrow_and_update();
        let ring = self.feed.ring();
        let oldest = ring.front().map_or(self.seen + 1, |it| it.number);
        if self.lost || oldest > self.seen + 1 {
            self.lost = false;
            self.seen = ring.back().map_or(self.seen, |it| it.number);
            let told = Told { number: self.seen, name: "reset", data: "{}".to_owned() };
            return vec![Arc::new(told)];
        }
        let news: Vec<_> = ring.iter().filter(|it| it.number > self.seen).cloned().collect();
        if let Some(last) = news.last() {
            self.seen = last.number;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(told: &[Arc<Told>]) -> Vec<&'static str> {
        told.iter().map(|it| it.name).collect()
    }

    #[tokio::test]
    async fn a_watcher_gets_what_it_missed_or_a_reset() {
        let feed = Feed::new(Timestamp(7));
        let mut live = feed.watch(None);
        feed.push("finding", &json!({}));
        feed.push("host", &json!({}));
        let told = live.next().await;
        assert_eq!(names(&told), ["finding", "host"]);
        let first = feed.id_of(&told[0]);
        assert_eq!(names(&feed.watch(Some(&first)).next().await), ["host"]);
        for foreign in ["8-1", "7-99", "x", ""] {
            assert_eq!(names(&feed.watch(Some(foreign)).next().await), ["reset"], "{foreign}");
        }
        for _ in 0..=BACKLOG_MAX {
            feed.push("scan", &json!({}));
        }
        assert_eq!(names(&feed.watch(Some(&first)).next().await), ["reset"]);
        assert_eq!(names(&live.next().await), ["reset"], "too slow");
        feed.push("host", &json!({}));
        assert_eq!(names(&live.next().await), ["host"], "goes on after a reset");
    }

    #[tokio::test]
    async fn a_second_of_a_kind_is_told_to_who_saw_the_first_and_once_to_others() {
        let feed = Feed::new(Timestamp(7));
        let (mut quick, mut slow) = (feed.watch(None), feed.watch(None));
        feed.push("host", &json!({}));
        feed.push_once("responses");
        assert_eq!(names(&quick.next().await), ["host", "responses"]);
        feed.push_once("responses");
        assert_eq!(names(&quick.next().await), ["responses"], "there is more");
        feed.push_once("responses");
        assert_eq!(names(&slow.next().await), ["host", "responses"], "one is enough");
    }

    #[tokio::test]
    async fn a_lagging_channel_is_a_reset() {
        let sender = channel();
        let receiver = sender.subscribe();
        for _ in 0..BACKLOG_MAX + 10 {
            sender.send(Event::Counts).unwrap();
        }
        drop(sender);
        let feed = Feed::new(Timestamp(7));
        let mut watcher = feed.watch(None);
        Arc::clone(&feed).follow(receiver, Arc::new(Catalogue::default())).await;
        assert_eq!(names(&watcher.next().await), ["reset", "counts"]);
    }
}
