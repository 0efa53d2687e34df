//! Agents that left, and how: one that stays away longer than it may is an alarm.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use engine::self_protection::{Departure, SelfProtection};
use model::finding::Finding;
use model::id::HostId;
use model::time::Timestamp;
use sha2::{Digest as _, Sha256};

use super::LinkServer;
use crate::clock;

/// What an agent says with its goodbye when whoever stopped it had a token; the secret follows.
const PERMIT: &str = "token ";
/// Hosts that are away or silent at the same time.
const HOSTS_MAX: usize = 100_000;

/// Who is away since when.
#[derive(Debug, Default)]
pub(super) struct Departures {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    away: HashMap<HostId, (Departure, Timestamp)>,
    /// Hosts whose silence is an open alarm.
    silent: HashSet<HostId>,
}

impl Departures {
    pub(super) fn left(&self, host: HostId, how: Departure, at: Timestamp) {
        let mut state = self.state();
        if state.away.len() < HOSTS_MAX {
            state.away.insert(host, (how, at));
        }
    }

    /// True: its silence was an alarm, which is over.
    pub(super) fn back(&self, host: HostId) -> bool {
        let mut state = self.state();
        state.away.remove(&host);
        state.silent.remove(&host)
    }

    /// The alarms about those that are away too long by now, each once.
    fn due(&self, rules: &SelfProtection, now: Timestamp) -> Vec<(HostId, Finding)> {
        let mut state = self.state();
        let alarm = |(host, (how, left)): (&HostId, &(Departure, Timestamp))| {
            Some((*host, rules.silent(*how, *left, now)?))
        };
        let due: Vec<(HostId, Finding)> = state.away.iter().filter_map(alarm).collect();
        for (host, _) in &due {
            state.away.remove(host);
            state.silent.insert(*host);
        }
        due
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkServer {
    /// An agent said goodbye for `reason`.
    pub(super) async fn said_goodbye(&self, host: HostId, reason: &str) {
        let how = match reason.strip_prefix(PERMIT) {
            Some(secret) if self.is_token(secret).await => Departure::Permitted,
            _ => Departure::Stopped,
        };
        tracing::info!(%host, %how, "agent said goodbye");
        self.departures.left(host, how, clock::now());
    }

    /// Whether a token with this secret could still enrol somebody: one that was used up may lie
    /// in the history of a shell.
    async fn is_token(&self, secret: &str) -> bool {
        let Ok(secret) = HEXLOWER.decode(secret.as_bytes()) else { return false };
        let digest = Sha256::digest(&secret).into();
        match self.store.is_enrol_token(digest, clock::now()).await {
            Ok(is) => is,
            Err(error) => {
                tracing::warn!(%error, "a token that came with a goodbye was not looked up");
                false
            }
        }
    }

    /// An agent is connected.
    pub(super) async fn came_back(&self, host: HostId, now: Timestamp) {
        if self.departures.back(host) {
            self.found(host, self.protection.heard_again(now), now).await;
        }
    }

    /// Alarms about agents that stay away.
    pub(super) async fn alarm_silent(&self) {
        let now = clock::now();
        for (host, finding) in self.departures.due(&self.protection, now) {
            tracing::warn!(%host, "agent is silent");
            self.found(host, finding, now).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::content::Catalogue;
    use engine::self_protection::{STOPPED_MAX, VANISHED_MAX};

    use super::*;

    #[test]
    fn silence_is_an_alarm_once_and_over_when_it_is_back() {
        let rules = SelfProtection::new(&Catalogue::embedded().unwrap()).unwrap();
        let departures = Departures::default();
        let start = Timestamp::from_secs(1000);
        let second = Duration::from_secs(1);
        let [gone, stopped, permitted, quick] = [1, 2, 3, 4].map(HostId);
        departures.left(gone, Departure::Vanished, start);
        departures.left(stopped, Departure::Stopped, start);
        departures.left(permitted, Departure::Permitted, start);
        departures.left(quick, Departure::Vanished, start);
        assert!(!departures.back(quick), "no alarm yet");
        let due =
            |at| departures.due(&rules, at).into_iter().map(|(host, _)| host).collect::<Vec<_>>();
        assert_eq!(due(start + VANISHED_MAX - second), []);
        assert_eq!(due(start + VANISHED_MAX), [gone]);
        assert_eq!(due(start + VANISHED_MAX + second), []);
        assert_eq!(due(start + STOPPED_MAX), [stopped]);
        assert_eq!(due(start + 100 * STOPPED_MAX), []);
        assert!(departures.back(gone) && !departures.back(gone) && !departures.back(permitted));
    }
}
