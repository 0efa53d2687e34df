//! From attempts to findings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use model::asset::Row;
use model::finding::{Evidence, Finding, LogLine};
use model::policy::LoginPolicy;
use model::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::content::{Catalogue, ContentError, Rule};
use crate::login::alarms::{Alarms, Count, Occurrence};
use crate::login::bounded::BoundedMap;
use crate::login::history::{History, Login, News};
use crate::login::merge::Connections;
use crate::login::{Attempt, Origin, Outcome};
use crate::place::{Cidr, Places, network};

const BURST: &str = "GAR-LOG-001";
const SLOW: &str = "GAR-LOG-002";
const DISTRIBUTED: &str = "GAR-LOG-003";
const SPRAY: &str = "GAR-LOG-004";
const BROKEN_IN: &str = "GAR-LOG-005";
const NEW_PLACE: &str = "GAR-LOG-006";
const NEW_NETWORK: &str = "GAR-LOG-007";
const NEW_HOUR: &str = "GAR-LOG-008";
const NEW_KEY: &str = "GAR-LOG-009";
const DISABLED: &str = "GAR-LOG-010";
const NEW_ACCOUNT: &str = "GAR-LOG-011";
/// The rules this engine carries out.
pub const RULES: [&str; 11] = [
    BURST,
    SLOW,
    DISTRIBUTED,
    SPRAY,
    BROKEN_IN,
    NEW_PLACE,
    NEW_NETWORK,
    NEW_HOUR,
    NEW_KEY,
    DISABLED,
    NEW_ACCOUNT,
];

/// Sources and accounts looked after at the same time.
const SOURCES_MAX: usize = 8192;
const ACCOUNTS_MAX: usize = 4096;
/// Failures of one source remembered one by one: the most a threshold can ask for.
const FAILURES_MAX: usize = 256;
/// Accounts of a source, and sources of an account, remembered one by one.
const DISTINCT_MAX: usize = 64;
/// Lines kept of a source before it is an alarm.
const LINES_MAX: usize = 5;
/// Accounts named in the parameters of a finding.
const USERS_SHOWN_MAX: usize = 10;

/// Everything remembered between two attempts. Keep it across restarts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    connections: Connections,
    sources: BoundedMap<Source>,
    accounts: BoundedMap<Account>,
    alarms: Alarms,
    history: History,
}

impl Default for State {
    fn default() -> Self {
        Self {
            connections: Connections::default(),
            sources: BoundedMap::new(SOURCES_MAX),
            accounts: BoundedMap::new(ACCOUNTS_MAX),
            alarms: Alarms::default(),
            history: History::default(),
        }
    }
}

impl State {
    /// Sources, accounts and alarms forgotten for want of room.
    pub fn evicted(&self) -> u64 {
        self.sources.evicted() + self.accounts.evicted() + self.alarms.evicted()
    }
}

/// One source of one service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Source {
    /// Seconds and a digest of the account, oldest first.
    failures: VecDeque<(i64, u32)>,
    users: BTreeMap<String, i64>,
    last_at_s: i64,
    /// Failures since it was first seen.
    total: u32,
    /// The rule this source broke; further failures count there.
    alarm: Option<String>,
    lines: VecDeque<LogLine>,
}

/// One account of one service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Account {
    /// Sources without an alarm of their own, and when they last failed.
    sources: BTreeMap<String, i64>,
    last_at_s: i64,
    alarm: bool,
    lines: VecDeque<LogLine>,
}

/// A log-in that succeeded, for the history of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenLogin {
    pub at: Timestamp,
    pub service: crate::login::Service,
    pub user: String,
    pub origin: Origin,
    pub country: Option<String>,
    pub method: Option<crate::login::Method>,
    pub key_fingerprint: Option<String>,
}

/// What came of an attempt.
#[derive(Debug, Default)]
pub struct Decided {
    pub findings: Vec<Finding>,
    pub login: Option<SeenLogin>,
}

/// An entry of the whitelist, ready to be asked.
#[derive(Clone, Debug)]
struct Whitelisted {
    id: String,
    block: Option<Cidr>,
    user: Option<String>,
}

impl Whitelisted {
    fn fits(&self, address: Option<IpAddr>, user: &str) -> bool {
        let inside = |it: Cidr| address.is_some_and(|address| it.contains(address));
        self.block.is_none_or(inside) && self.user.as_deref().is_none_or(|it| it == user)
    }
}

/// Decides about the attempts of one host.
#[derive(Debug)]
pub struct Correlator {
    rules: BTreeMap<String, Rule>,
    policy: LoginPolicy,
    whitelist: Vec<Whitelisted>,
    hits: BTreeMap<String, (u64, Timestamp)>,
    common_addresses: Vec<Cidr>,
    disabled: BTreeSet<String>,
    state: State,
}

impl Correlator {
    /// Fails if the catalogue lacks one of [`RULES`].
    pub fn new(
        catalogue: &Catalogue,
        policy: LoginPolicy,
        state: State,
    ) -> Result<Self, ContentError> {
        let mut rules = BTreeMap::new();
        for id in RULES {
            rules.insert(id.to_owned(), catalogue.require(id)?.clone());
        }
        let mut made = Self {
            rules,
            policy: LoginPolicy::default(),
            whitelist: Vec::new(),
            hits: BTreeMap::new(),
            common_addresses: Vec::new(),
            disabled: BTreeSet::new(),
            state,
        };
        made.set_policy(policy);
        Ok(made)
    }

    /// Takes a new policy from the next attempt on. Gives the addresses in it that are none:
    /// an entry with such an address matches nothing.
    pub fn set_policy(&mut self, policy: LoginPolicy) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut cidr = |text: &String| {
            let parsed = Cidr::parse(text);
            if parsed.is_none() {
                wrong.push(text.clone());
            }
            parsed
        };
        self.whitelist = policy
            .whitelist
            .iter()
            .filter(|it| it.address.is_some() || it.user.is_some())
            .filter_map(|it| {
                let block = match &it.address {
                    Some(text) => Some(cidr(text)?),
                    None => None,
                };
                Some(Whitelisted { id: it.id(), block, user: it.user.clone() })
            })
            .collect();
        self.common_addresses = policy.common_addresses.iter().filter_map(&mut cidr).collect();
        self.policy = policy;
        wrong
    }

    /// Accounts of the host that nobody should be able to sign in to (expired, or without
    /// a shell that lets one in).
    pub fn set_disabled_accounts(&mut self, names: BTreeSet<String>) {
        self.disabled = names;
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Decides about one attempt; `now` only bounds how often an alarm is told again.
    pub fn observe(&mut self, attempt: &Attempt, places: &Places, now: Timestamp) -> Decided {
        match attempt.outcome {
            Outcome::Success => self.succeeded(attempt, places, now),
            Outcome::Failure | Outcome::InvalidUser => {
                Decided { findings: self.failed(attempt, places, now), login: None }
            }
            Outcome::Disabled => {
                let mut findings = self.failed(attempt, places, now);
                findings.extend(self.disabled(attempt, places, now));
                Decided { findings, login: None }
            }
        }
    }

    /// Learns from a log-in of the past without deciding about it.
    pub fn learn(&mut self, attempt: &Attempt, places: &Places) {
        if attempt.outcome == Outcome::Success
            && let Some(login) = login(attempt, places, usize::MAX)
        {
            self.state.history.learn(&login);
        }
    }

    /// Tells what was held back; call about once a second.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Finding> {
        let keep_for = Duration::from_secs(u64::from(self.policy.slow_window_s).max(3600));
        let rules = &self.rules;
        let sources = &self.state.sources;
        let refresh = |subject: &str, params: &mut Row| {
            if let Some(source) = sources.get(subject) {
                source.describe(params);
            }
        };
        self.state.alarms.tick(now, keep_for, |id| rules.get(id), refresh)
    }

    /// The clock was set by so many microseconds: what is counted moves along, so that guesses
    /// before and after are counted together.
    pub fn move_clock(&mut self, by_us: i64) {
        let by_s = by_us.div_euclid(1_000_000);
        let State { connections, sources, accounts, alarms, history: _ } = &mut self.state;
        connections.move_clock(by_us);
        alarms.move_clock(by_us);
        for (_, it) in sources.iter_mut() {
            let failures = it.failures.iter_mut().map(|(at, _)| at);
            let all = failures.chain(it.users.values_mut()).chain([&mut it.last_at_s]);
            all.for_each(|at| *at = at.saturating_add(by_s));
        }
        for (_, it) in accounts.iter_mut() {
            let all = it.sources.values_mut().chain([&mut it.last_at_s]);
            all.for_each(|at| *at = at.saturating_add(by_s));
        }
    }

    fn failed(&mut self, attempt: &Attempt, places: &Places, now: Timestamp) -> Vec<Finding> {
        let merged = self.state.connections.add(attempt);
        let address = merged.origin.address();
        let nowhere = merged.origin == Origin::Unknown && attempt.outcome == Outcome::Disabled;
        let count = u64::from(merged.failures.max(1));
        if nowhere || self.is_whitelisted(address, attempt, count) {
            return Vec::new();
        }
        let key = format!("{}|{}", attempt.service, merged.origin.source());
        let source = self.state.sources.entry(&key, Source::default);
        source.add(attempt, merged.failures, &self.policy);
        let (broke, count) = match &source.alarm {
            Some(rule) => (Some(rule.clone()), u64::from(merged.failures)),
            None => (source.broken(&self.policy).map(str::to_owned), source.failures.len() as u64),
        };
        let mut findings = Vec::new();
        let told = source.alarm.as_deref().is_some_and(|id| {
            let key = format!("{id}|{key}");
            let more = Count { key: &key, at: attempt.at, failures: count, text: &attempt.text };
            count > 0 && self.state.alarms.count(&more, now)
        });
        if let Some(id) = broke
            && count > 0
            && !told
            && let Some(rule) = self.rules.get(&id)
        {
            let country = address.and_then(|it| places.country(it));
            let mut params = row(json!({
                "service": attempt.service, "source": merged.origin.source(),
                "address": merged.origin.to_string(), "user": shown(&attempt.user),
                "failures": count, "country": country,
            }));
            source.describe(&mut params);
            let it = Occurrence {
                rule,
                subject: key.clone(),
                at: attempt.at,
                count,
                params,
                facts: thresholds(&id, &self.policy),
                lines: source.take_lines(attempt),
            };
            findings.extend(self.state.alarms.raise(it, now));
            source.alarm = Some(id);
            source.failures.clear();
        }
        let own_alarm = source.alarm.is_some();
        if attempt.outcome == Outcome::Failure && !attempt.user.is_empty() {
            findings.extend(self.spread(attempt, &key, merged.failures, own_alarm, now));
        }
        findings
    }

    /// One account, many sources. Those with an alarm of their own do not count here.
    fn spread(
        &mut self,
        attempt: &Attempt,
        source: &str,
        failures: u32,
        own_alarm: bool,
        now: Timestamp,
    ) -> Option<Finding> {
        let subject = format!("{}|user:{}", attempt.service, attempt.user);
        let account = self.state.accounts.entry(&subject, Account::default);
        if own_alarm {
            account.sources.remove(source);
            return None;
        }
        let window = i64::from(self.policy.spread_window_s);
        let at = attempt.at.as_secs();
        if at - account.last_at_s > i64::from(self.policy.slow_window_s) {
            *account = Account::default();
        }
        account.last_at_s = account.last_at_s.max(at);
        account.sources.retain(|_, seen| account.last_at_s - *seen <= window);
        if account.sources.len() < DISTINCT_MAX || account.sources.contains_key(source) {
            account.sources.insert(source.to_owned(), at);
        }
        keep_line(&mut account.lines, attempt);
        let distinct = account.sources.len();
        let reached = distinct >= (self.policy.spread_sources as usize).clamp(2, DISTINCT_MAX);
        if !reached && !account.alarm {
            return None;
        }
        let count = if account.alarm { u64::from(failures) } else { distinct as u64 };
        account.alarm = true;
        let it = Occurrence {
            rule: self.rules.get(DISTRIBUTED)?,
            subject,
            at: attempt.at,
            count,
            params: row(json!({
                "service": attempt.service, "user": attempt.user, "sources": distinct,
                "addresses": account.sources.keys().take(USERS_SHOWN_MAX)
                    .filter_map(|it| it.split_once('|').map(|(_, it)| it)).collect::<Vec<_>>(),
                "failures": count,
            })),
            facts: thresholds(DISTRIBUTED, &self.policy),
            lines: account.lines.drain(..).collect(),
        };
        self.state.alarms.raise(it, now)
    }

    fn succeeded(&mut self, attempt: &Attempt, places: &Places, now: Timestamp) -> Decided {
        let address = attempt.origin.address();
        let seen = SeenLogin {
            at: attempt.at,
            service: attempt.service,
            user: attempt.user.clone(),
            origin: attempt.origin.clone(),
            country: address.and_then(|it| places.country(it)),
            method: attempt.method,
            key_fingerprint: attempt.key_fingerprint.clone(),
        };
        let mut decided = Decided { findings: Vec::new(), login: Some(seen) };
        if self.is_whitelisted(address, attempt, 1) {
            self.learn(attempt, places);
            self.forgive(attempt);
            return decided;
        }
        if let Some(finding) = self.broken_in(attempt, places, now) {
            decided.findings.extend(finding);
            return decided;
        }
        self.forgive(attempt);
        if self.disabled.contains(&attempt.user) {
            decided.findings.extend(self.disabled(attempt, places, now));
            return decided;
        }
        decided.findings.extend(self.abnormal(attempt, places, now));
        decided
    }

    /// A success from a source that was guessing. `None` if it was not; nothing in it if
    /// that was told moments ago.
    fn broken_in(
        &mut self,
        attempt: &Attempt,
        places: &Places,
        now: Timestamp,
    ) -> Option<Vec<Finding>> {
        let key = format!("{}|{}", attempt.service, attempt.origin.source());
        let account_key = format!("{}|user:{}", attempt.service, attempt.user);
        let at = attempt.at.as_secs();
        let source = self.state.sources.get_mut(&key)?;
        source.prune(at, &self.policy);
        let spread = self
            .state
            .accounts
            .get(&account_key)
            .is_some_and(|it| it.alarm && it.sources.contains_key(&key));
        if source.alarm.is_none() && !spread {
            return None;
        }
        // Somebody who always comes from here and mistyped only the own account.
        let usual = attempt
            .origin
            .address()
            .is_some_and(|address| self.state.history.is_usual(&attempt.user, address));
        let own = source.users.len() <= 1 && source.users.contains_key(&attempt.user);
        if usual && own && source.total < 2 * self.policy.burst_failures {
            return None;
        }
        let failures = source.total;
        let mut lines: Vec<LogLine> = source.lines.drain(..).collect();
        lines.push(LogLine { at: attempt.at, text: attempt.text.clone() });
        let it = Occurrence {
            rule: self.rules.get(BROKEN_IN)?,
            subject: format!("{key}|{}", attempt.user),
            at: attempt.at,
            count: 1,
            params: row(json!({
                "service": attempt.service, "source": attempt.origin.source(),
                "address": attempt.origin.to_string(), "user": attempt.user,
                "tries": failures, "method": attempt.method,
                "country": attempt.origin.address().and_then(|it| places.country(it)),
            })),
            facts: vec![login_evidence(attempt, places)],
            lines,
        };
        Some(self.state.alarms.raise(it, now).into_iter().collect())
    }

    /// Mistyped secrets of an account that then signed in are no guesses.
    fn forgive(&mut self, attempt: &Attempt) {
        let key = format!("{}|{}", attempt.service, attempt.origin.source());
        if let Some(source) = self.state.sources.get_mut(&key) {
            let user = digest(&attempt.user);
            source.failures.retain(|(_, it)| *it != user);
            source.users.remove(&attempt.user);
            if source.users.is_empty() {
                self.state.sources.remove(&key);
            }
        }
        let account = format!("{}|user:{}", attempt.service, attempt.user);
        if let Some(account) = self.state.accounts.get_mut(&account) {
            account.sources.remove(&key);
        }
    }

    fn disabled(&mut self, attempt: &Attempt, places: &Places, now: Timestamp) -> Option<Finding> {
        let entered = attempt.outcome == Outcome::Success;
        let it = Occurrence {
            rule: self.rules.get(DISABLED)?,
            subject: format!("{}|user:{}", attempt.service, attempt.user),
            at: attempt.at,
            count: 1,
            params: row(json!({
                "service": attempt.service, "user": attempt.user,
                "address": attempt.origin.to_string(), "entered": entered,
            })),
            facts: vec![login_evidence(attempt, places)],
            lines: vec![LogLine { at: attempt.at, text: attempt.text.clone() }],
        };
        self.state.alarms.raise(it, now)
    }

    /// A log-in unlike those before it.
    fn abnormal(&mut self, attempt: &Attempt, places: &Places, now: Timestamp) -> Option<Finding> {
        let learned = self.policy.places_learned as usize;
        let login = login(attempt, places, learned)?;
        let common = self.common_addresses.iter().any(|it| it.contains(login.address))
            || self.policy.common_places.iter().any(|it| it.eq_ignore_ascii_case(&login.place));
        let login = if common { Login { places_learned: usize::MAX, ..login } } else { login };
        let news = self.state.history.learn(&login)?;
        let known: Vec<String> = match &news {
            News::Place(known) => known.clone(),
            _ => Vec::new(),
        };
        let user = &attempt.user;
        let (id, subject) = match news {
            News::Place(_) => (NEW_PLACE, format!("{user}|{}", login.place)),
            News::Account => (NEW_ACCOUNT, format!("user:{user}")),
            News::Key => (NEW_KEY, format!("{user}|{}", login.key.unwrap_or_default())),
            News::Network => (NEW_NETWORK, format!("{user}|{}", login.network)),
            News::Hour(hour) => (NEW_HOUR, format!("{user}|{hour:02}:00")),
        };
        let hour = attempt.at.as_secs().rem_euclid(86_400) / 3600;
        let it = Occurrence {
            rule: self.rules.get(id)?,
            subject: format!("{}|{subject}", attempt.service),
            at: attempt.at,
            count: 1,
            params: row(json!({
                "service": attempt.service, "user": user, "address": login.address,
                "place": login.place, "network": login.network, "known_places": known,
                "key": attempt.key_fingerprint, "hour": format!("{hour:02}:00"),
            })),
            facts: vec![login_evidence(attempt, places)],
            lines: vec![LogLine { at: attempt.at, text: attempt.text.clone() }],
        };
        self.state.alarms.raise(it, now)
    }

    /// Whether an entry wants the attempt passed over; `count` of them are counted for it.
    fn is_whitelisted(&mut self, address: Option<IpAddr>, attempt: &Attempt, count: u64) -> bool {
        let entry = self.whitelist.iter().find(|it| it.fits(address, &attempt.user));
        let Some(entry) = entry else { return false };
        let hits = self.hits.entry(entry.id.clone()).or_insert((0, attempt.at));
        *hits = (hits.0.saturating_add(count), hits.1.max(attempt.at));
        true
    }

    /// Attempts passed over because of the whitelist since the last time, by the entry's id, and
    /// when the last was.
    pub fn take_hits(&mut self) -> BTreeMap<String, (u64, Timestamp)> {
        std::mem::take(&mut self.hits)
    }
}

impl Source {
    fn add(&mut self, attempt: &Attempt, failures: u32, policy: &LoginPolicy) {
        let at = attempt.at.as_secs();
        self.prune(at, policy);
        self.total = self.total.saturating_add(failures);
        if let Some(seen) = self.users.get_mut(&attempt.user) {
            *seen = at;
        } else if !attempt.user.is_empty() && self.users.len() < DISTINCT_MAX {
            self.users.insert(attempt.user.clone(), at);
        }
        // The lines of an alarm are kept there.
        if failures > 0 && self.alarm.is_none() {
            keep_line(&mut self.lines, attempt);
        }
        if self.alarm.is_none() {
            let user = digest(&attempt.user);
            for _ in 0..failures.min(FAILURES_MAX as u32) {
                if self.failures.len() >= FAILURES_MAX {
                    self.failures.pop_front();
                }
                self.failures.push_back((at, user));
            }
        }
    }

    /// Forgets what is older than the longest window.
    fn prune(&mut self, at: i64, policy: &LoginPolicy) {
        let (slow, spread) = (i64::from(policy.slow_window_s), i64::from(policy.spread_window_s));
        if at - self.last_at_s > slow.max(spread) {
            *self = Self::default();
        }
        self.last_at_s = self.last_at_s.max(at);
        let latest = self.last_at_s;
        while self.failures.front().is_some_and(|(it, _)| latest - it > slow) {
            self.failures.pop_front();
        }
        if self.alarm.is_none() {
            self.users.retain(|_, it| latest - *it <= slow.max(spread));
        }
    }

    /// The lines that led to the alarm, or the one that goes on with it.
    fn take_lines(&mut self, attempt: &Attempt) -> Vec<LogLine> {
        if self.alarm.is_some() {
            return vec![LogLine { at: attempt.at, text: attempt.text.clone() }];
        }
        self.lines.drain(..).collect()
    }

    /// What changes about this source while its alarm goes on.
    fn describe(&self, params: &mut Row) {
        let users: Vec<_> = self.users.keys().take(USERS_SHOWN_MAX).cloned().collect();
        params.insert("users".to_owned(), Value::from(users));
        params.insert("accounts".to_owned(), Value::from(self.users.len()));
    }

    /// The rule this source breaks now.
    fn broken(&self, policy: &LoginPolicy) -> Option<&'static str> {
        let most = FAILURES_MAX as u32;
        let window = i64::from(policy.burst_window_s);
        let recent = self.failures.iter().rev();
        let recent = recent.filter(|(it, _)| self.last_at_s - it <= window).count() as u32;
        if recent >= policy.burst_failures.clamp(1, most) {
            return Some(BURST);
        }
        let window = i64::from(policy.spread_window_s);
        let accounts = self.users.values().filter(|it| self.last_at_s - **it <= window).count();
        if accounts >= (policy.spray_accounts as usize).clamp(2, DISTINCT_MAX) {
            return Some(SPRAY);
        }
        (self.failures.len() as u32 >= policy.slow_failures.clamp(1, most)).then_some(SLOW)
    }
}

/// The log-in over the network that `attempt` is; a loopback address is no place.
fn login<'t>(attempt: &'t Attempt, places: &Places, places_learned: usize) -> Option<Login<'t>> {
    let address = attempt.origin.address().filter(|it| !it.is_loopback())?;
    let place = places.of(address);
    Some(Login {
        at: attempt.at,
        user: &attempt.user,
        address,
        place: place.to_string(),
        network: network(address),
        key: attempt.key_fingerprint.as_deref(),
        places_learned,
    })
}

fn login_evidence(attempt: &Attempt, places: &Places) -> Evidence {
    Evidence::Login {
        service: attempt.service.to_string(),
        user: attempt.user.clone(),
        address: attempt.origin.to_string(),
        country: attempt.origin.address().and_then(|it| places.country(it)),
        method: attempt.method.map(|it| it.to_string()),
        key_fingerprint: attempt.key_fingerprint.clone(),
    }
}

/// The settings that made the rule fire.
fn thresholds(rule: &str, policy: &LoginPolicy) -> Vec<Evidence> {
    let (name, value, window) = match rule {
        BURST => ("burst_failures", policy.burst_failures, policy.burst_window_s),
        SLOW => ("slow_failures", policy.slow_failures, policy.slow_window_s),
        SPRAY => ("spray_accounts", policy.spray_accounts, policy.spread_window_s),
        _ => ("spread_sources", policy.spread_sources, policy.spread_window_s),
    };
    let fact =
        |name: &str, value: u32| Evidence::Fact { name: name.to_owned(), value: value.into() };
    vec![fact(name, value), fact("window_s", window)]
}

fn keep_line(lines: &mut VecDeque<LogLine>, attempt: &Attempt) {
    if lines.len() >= LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(LogLine { at: attempt.at, text: attempt.text.clone() });
}

fn shown(user: &str) -> &str {
    if user.is_empty() { "?" } else { user }
}

fn digest(user: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    hasher.finish() as u32
}

fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}
