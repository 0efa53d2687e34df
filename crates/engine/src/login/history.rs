//! What log-ins of a host have looked like so far, and what is new about one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::login::bounded::BoundedMap;

/// Named limits of what is remembered; the oldest goes first.
const PLACES_MAX: usize = 64;
const ACCOUNTS_MAX: usize = 2048;
const NETWORKS_MAX: usize = 64;
const KEYS_MAX: usize = 32;
const ADDRESSES_MAX: usize = 32;

/// An account that signs in for the first time is news once the host has had this many
/// log-ins, or has been watched for a day and had at least one.
const ACCOUNTS_LEARNED_LOGINS: u64 = 10;
const ACCOUNTS_LEARNED_S: u64 = 86_400;
/// Hours of the day are known after this many log-ins on this many days.
const HOURS_LEARNED_LOGINS: u32 = 30;
const HOURS_LEARNED_DAYS: u32 = 7;
/// Keys of an account are known after this many log-ins by key.
const KEYS_LEARNED_LOGINS: u32 = 3;

/// The log-ins of one host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct History {
    places: BTreeMap<String, Timestamp>,
    accounts: BoundedMap<Account>,
    logins: u64,
    first_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Account {
    logins: u32,
    days: u32,
    last_day: i64,
    hours: [u32; 24],
    key_logins: u32,
    keys: Vec<String>,
    networks: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// One log-in over the network.
#[derive(Debug)]
pub(crate) struct Login<'t> {
    pub(crate) at: Timestamp,
    pub(crate) user: &'t str,
    pub(crate) address: IpAddr,
    pub(crate) place: String,
    pub(crate) network: String,
    pub(crate) key: Option<&'t str>,
    /// Places learned without an alarm.
    pub(crate) places_learned: usize,
}

/// What was never seen before, strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A place beyond those learned; with the places known.
    Place(Vec<String>),
    Account,
    Key,
    Network,
    /// Hour of the day in UTC.
    Hour(u32),
}

impl Default for History {
    fn default() -> Self {
        Self {
            places: BTreeMap::new(),
            accounts: BoundedMap::new(ACCOUNTS_MAX),
            logins: 0,
            first_at: None,
        }
    }
}

impl History {
    /// The strongest news of `login`, which becomes part of the history. A place that is
    /// news stays news until somebody accepts it.
    pub(crate) fn learn(&mut self, login: &Login<'_>) -> Option<News> {
        let news = self.news(login);
        self.first_at = Some(self.first_at.map_or(login.at, |it| it.min(login.at)));
        self.logins += 1;
        if !matches!(news, Some(News::Place(_))) {
            self.places.insert(login.place.clone(), login.at);
            if self.places.len() > PLACES_MAX {
                let oldest = self.places.iter().min_by_key(|(_, at)| **at);
                let oldest = oldest.map(|(place, _)| place.clone()).unwrap_or_default();
                self.places.remove(&oldest);
            }
            self.accounts.entry(login.user, Account::default).learn(login);
        }
        news
    }

    /// Whether this account has signed in from this very address before.
    pub(crate) fn is_usual(&self, user: &str, address: IpAddr) -> bool {
        self.accounts.get(user).is_some_and(|it| it.addresses.contains(&address))
    }

    fn news(&self, login: &Login<'_>) -> Option<News> {
        if !self.places.contains_key(&login.place) && self.places.len() >= login.places_learned {
            return Some(News::Place(self.places.keys().cloned().collect()));
        }
        let Some(account) = self.accounts.get(login.user) else {
            let since = self.first_at.map_or(0, |it| login.at.since(it).as_secs());
            let learned = self.logins >= ACCOUNTS_LEARNED_LOGINS || since >= ACCOUNTS_LEARNED_S;
            return learned.then_some(News::Account);
        };
        if let Some(key) = login.key
            && account.key_logins >= KEYS_LEARNED_LOGINS
            && !account.keys.iter().any(|it| it == key)
        {
            return Some(News::Key);
        }
        if !account.networks.contains(&login.network)
            && account.networks.len() >= login.places_learned
        {
            return Some(News::Network);
        }
        let hour = hour(login.at);
        account.is_new_hour(hour).then_some(News::Hour(hour))
    }
}

impl Account {
    fn learn(&mut self, login: &Login<'_>) {
        self.logins = self.logins.saturating_add(1);
        if self.last_day != login.at.day() {
            self.last_day = login.at.day();
            self.days = self.days.saturating_add(1);
        }
        if let Some(count) = self.hours.get_mut(hour(login.at) as usize) {
            *count = count.saturating_add(1);
        }
        if let Some(key) = login.key {
            self.key_logins = self.key_logins.saturating_add(1);
            remember(&mut self.keys, key.to_owned(), KEYS_MAX);
        }
        remember(&mut self.networks, login.network.clone(), NETWORKS_MAX);
        remember(&mut self.addresses, login.address, ADDRESSES_MAX);
    }

    /// An hour is new if neither it nor its neighbours were used: clocks change by an hour
    /// in spring and autumn.
    fn is_new_hour(&self, hour: u32) -> bool {
        let used = |at: u32| self.hours.get(at as usize % 24).is_some_and(|it| *it > 0);
        self.logins >= HOURS_LEARNED_LOGINS
            && self.days >= HOURS_LEARNED_DAYS
            && !(used(hour + 23) || used(hour) || used(hour + 1))
    }
}

fn hour(at: Timestamp) -> u32 {
    (at.as_secs().rem_euclid(86_400) / 3600) as u32
}

/// Puts `value` last; drops the first beyond `max`.
fn remember<T: PartialEq>(list: &mut Vec<T>, value: T, max: usize) {
    list.retain(|it| *it != value);
    list.push(value);
    if list.len() > max {
        list.remove(0);
    }
}
