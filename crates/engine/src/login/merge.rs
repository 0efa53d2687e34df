//! Puts the lines of one connection together, so that one wrong password is one failure.

use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::login::bounded::BoundedMap;
use crate::login::{Attempt, Origin, Sign};

/// Connections looked after at the same time.
const CONNECTIONS_MAX: usize = 4096;
/// A process number is not the same connection after this long without a line.
const IDLE_S_MAX: i64 = 120;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Connections {
    by_key: BoundedMap<Connection>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Connection {
    origin: Option<Origin>,
    tried: u32,
    pam: u32,
    other: u32,
    last_at: Timestamp,
}

/// What one line adds to its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Of the line, or of an earlier line of the connection.
    pub(crate) origin: Origin,
    /// Failures not counted before.
    pub(crate) failures: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self { by_key: BoundedMap::new(CONNECTIONS_MAX) }
    }
}

impl Connections {
    pub(crate) fn add(&mut self, attempt: &Attempt) -> Merged {
        let service = attempt.service.as_str();
        let key = match (attempt.pid, attempt.port) {
            (Some(pid), _) => format!("{service}|{pid}"),
            (None, Some(port)) => format!("{service}|{}|{port}", attempt.origin),
            (None, None) => format!("{service}|{}|{}", attempt.origin, attempt.user),
        };
        let connection = self.by_key.entry(&key, Connection::default);
        let known = attempt.origin != Origin::Unknown;
        let another = known && connection.origin.as_ref().is_some_and(|it| *it != attempt.origin);
        let idle = attempt.at.since(connection.last_at).as_secs() as i64 > IDLE_S_MAX;
        if another || idle {
            *connection = Connection::default();
        }
        connection.last_at = connection.last_at.max(attempt.at);
        if known {
            connection.origin = Some(attempt.origin.clone());
        }
        let before = connection.failures();
        match attempt.sign {
            Sign::Tried(count) => connection.tried = connection.tried.saturating_add(count),
            Sign::Pam(count) => connection.pam = connection.pam.saturating_add(count),
            Sign::Connection => connection.other = 1,
        }
        let origin = connection.origin.clone().unwrap_or(Origin::Unknown);
        Merged { origin, failures: connection.failures() - before }
    }
}

impl Connections {
    pub(crate) fn move_clock(&mut self, by_us: i64) {
        self.by_key.iter_mut().for_each(|(_, it)| it.last_at = it.last_at.moved(by_us));
    }
}

impl Connection {
    fn failures(&self) -> u32 {
        self.tried.max(self.pam).max(self.other)
    }
}
