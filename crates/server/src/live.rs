//! What has just changed, for whoever watches: published after it is durable.

use model::id::HostId;
use tokio::sync::broadcast;

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
}

/// Makes the channel every publisher and watcher shares.
pub fn channel() -> broadcast::Sender<Event> {
    broadcast::Sender::new(BACKLOG_MAX)
}
