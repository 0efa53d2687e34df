//! The log of log-ins on the stage, followed as the agent follows it, and the rules about log-ins.

use agent::host_root::HostRoot;
use agent::watch::{WatchConfig, WatchEvent, Watcher, utc_offset_s};
use engine::content::Catalogue;
use engine::login::correlate::{Correlator, State};
use engine::login::header::Clock;
use engine::place::Places;
use model::finding::Finding;
use model::policy::LoginPolicy;
use model::time::Timestamp;

pub(crate) struct Logins {
    watcher: Watcher,
    correlator: Correlator,
    places: Places,
}

impl Logins {
    pub(crate) fn follow() -> Self {
        let root = HostRoot::live().unwrap();
        let config = WatchConfig { root, state_file: None, logs: Vec::new() };
        let catalogue = Catalogue::embedded().unwrap();
        let correlator = Correlator::new(&catalogue, LoginPolicy::default(), State::default());
        Self {
            watcher: Watcher::new(config),
            correlator: correlator.unwrap(),
            places: Places::without_database(),
        }
    }

    /// The attacks that the log has told of since the last look.
    pub(crate) fn look(&mut self, now: Timestamp) -> Vec<Finding> {
        let (events, _) = self.watcher.poll(Clock { now, utc_offset_s: utc_offset_s() });
        let mut found = Vec::new();
        for event in events {
            if let WatchEvent::Attempt { attempt, live: true } = event {
                found.extend(self.correlator.observe(&attempt, &self.places, now).findings);
            }
        }
        found
    }
}
