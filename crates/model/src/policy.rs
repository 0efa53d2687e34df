//! What operators set and agents obey. JSON on the wire; an older agent skips fields it does not know.

use serde::{Deserialize, Serialize};

/// Everything one agent needs to decide by itself. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Policy {
    pub login: LoginPolicy,
    pub ports: PortPolicy,
    pub collect: CollectPolicy,
    pub detect: DetectPolicy,
    pub response: ResponsePolicy,
    /// What differs for the hosts of a group. The server applies it and tells each agent only
    /// the result.
    #[cfg_attr(feature = "schema", schema(max_items = 1_000))]
    pub groups: Vec<GroupPolicy>,
}

/// What differs for the hosts of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GroupPolicy {
    /// `group_…`.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 64))]
    pub group: String,
    /// Rules that are off for this group alone.
    #[cfg_attr(feature = "schema", schema(max_items = 10_000))]
    pub disabled_rules: Vec<String>,
    /// Rules that are on for this group although they are off for all.
    #[cfg_attr(feature = "schema", schema(max_items = 10_000))]
    pub enabled_rules: Vec<String>,
}

impl Policy {
    /// What the agent of `host` in `group` obeys: only its own exceptions, merged.
    #[must_use]
    pub fn of_host(&self, host: &str, group: &str) -> Self {
        let mut own = self.clone();
        own.login.whitelist.retain(|it| it.host.as_deref().is_none_or(|it| it == host));
        for entry in &mut own.login.whitelist {
            *entry = entry.as_told();
        }
        for it in std::mem::take(&mut own.groups).iter().filter(|it| it.group == group) {
            let rules = &mut own.detect.disabled_rules;
            rules.retain(|rule| !it.enabled_rules.contains(rule));
            let more = it.disabled_rules.iter().filter(|rule| !rules.contains(rule));
            let more: Vec<_> = more.cloned().collect();
            rules.extend(more);
        }
        own
    }
}

/// When log-in failures and log-ins become alarms. Spans are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LoginPolicy {
    /// Failures from one source within `burst_window_s` that make a brute-force alarm.
    #[cfg_attr(feature = "schema", schema(minimum = 2, maximum = 10_000))]
    pub burst_failures: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 86_400))]
    pub burst_window_s: u32,
    /// Failures from one source within `slow_window_s`, however far apart.
    #[cfg_attr(feature = "schema", schema(minimum = 2, maximum = 10_000))]
    pub slow_failures: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 60, maximum = 604_800))]
    pub slow_window_s: u32,
    /// Distinct sources that fail on one account within `spread_window_s`.
    #[cfg_attr(feature = "schema", schema(minimum = 2, maximum = 10_000))]
    pub spread_sources: u32,
    /// Distinct accounts one source fails on within `spread_window_s`.
    #[cfg_attr(feature = "schema", schema(minimum = 2, maximum = 10_000))]
    pub spray_accounts: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 604_800))]
    pub spread_window_s: u32,
    /// Places of a host that are learned before a new one is an alarm.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 100))]
    pub places_learned: u32,
    #[cfg_attr(feature = "schema", schema(max_items = 1_000))]
    pub whitelist: Vec<LoginWhitelistEntry>,
    /// ISO 3166-1 alpha-2 codes that never alarm.
    #[cfg_attr(feature = "schema", schema(max_items = 300))]
    pub common_places: Vec<String>,
    /// Addresses or CIDR blocks that never alarm as abnormal.
    #[cfg_attr(feature = "schema", schema(max_items = 1_000))]
    pub common_addresses: Vec<String>,
}

impl Default for LoginPolicy {
    fn default() -> Self {
        Self {
            burst_failures: 5,
            burst_window_s: 30,
            slow_failures: 20,
            slow_window_s: 6 * 3600,
            spread_sources: 10,
            spray_accounts: 8,
            spread_window_s: 900,
            places_learned: 3,
            whitelist: Vec::new(),
            common_places: Vec::new(),
            common_addresses: Vec::new(),
        }
    }
}

/// All given parts must match; an absent part matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LoginWhitelistEntry {
    /// Address or CIDR block the log-in comes from.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 64))]
    pub address: Option<String>,
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 256))]
    pub user: Option<String>,
    /// `host_…` it holds on; absent: on every host. The server sorts entries out, agents never
    /// see one of another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 64))]
    pub host: Option<String>,
}

impl LoginWhitelistEntry {
    /// Named by what it says: `login-` and 16 hexadecimal digits.
    pub fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [&self.host, &self.address, &self.user] {
            let text = part.as_deref();
            hasher.update(&[u8::from(text.is_some())]);
            hasher.update(&(text.map_or(0, str::len) as u64).to_le_bytes());
            hasher.update(text.unwrap_or_default().as_bytes());
        }
        let hex = hasher.finalize().to_hex();
        format!("login-{}", hex.as_str().chars().take(16).collect::<String>())
    }

    /// As agents are told of it: without the host, whose own policy it stands in.
    #[must_use]
    pub fn as_told(&self) -> Self {
        Self { host: None, ..self.clone() }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PortPolicy {
    /// Ports an operator has looked at and accepts.
    #[cfg_attr(feature = "schema", schema(max_items = 1_000))]
    pub ignored: Vec<IgnoredPort>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IgnoredPort {
    /// `tcp` or `udp`.
    #[cfg_attr(feature = "schema", schema(pattern = "^(tcp|udp)$"))]
    pub protocol: String,
    pub port: u16,
}

/// How often each table is read again when the kernel does not tell of changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CollectPolicy {
    #[cfg_attr(feature = "schema", schema(minimum = 5, maximum = 3_600))]
    pub fast_s: u32,
    #[cfg_attr(feature = "schema", schema(minimum = 60, maximum = 604_800))]
    pub slow_s: u32,
    /// Text logs of log-ins beyond those where distributions put them.
    #[cfg_attr(feature = "schema", schema(max_items = 16))]
    pub logs: Vec<FollowedLog>,
}

/// A text log that agents follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FollowedLog {
    /// How its lines are laid out: `syslog`, `vsftpd`, `mysql` or `postgresql`.
    #[cfg_attr(feature = "schema", schema(pattern = "^(syslog|vsftpd|mysql|postgresql)$"))]
    pub format: String,
    #[cfg_attr(feature = "schema", schema(pattern = "^/[^\\x00]*$", max_length = 4_096))]
    pub path: String,
}

impl Default for CollectPolicy {
    fn default() -> Self {
        Self { fast_s: 60, slow_s: 3600, logs: Vec::new() }
    }
}

/// Which rules are on, and what never alarms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DetectPolicy {
    /// Ids of rules that are off.
    #[cfg_attr(feature = "schema", schema(max_items = 10_000))]
    pub disabled_rules: Vec<String>,
    #[cfg_attr(feature = "schema", schema(max_items = 1_000))]
    pub whitelist: Vec<AlarmWhitelistEntry>,
    /// Files and folders whose changes are watched beyond the built-in ones.
    #[cfg_attr(feature = "schema", schema(max_items = 1_000))]
    pub watched_paths: Vec<String>,
}

/// Keeps alarms of one rule, or of all, from being raised where a value matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AlarmWhitelistEntry {
    /// Names the entry for ever: hits are counted by it.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 64))]
    pub id: String,
    /// Empty: every rule.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(max_length = 64))]
    pub rule: String,
    /// A parameter of the finding, a field of the event, or `subject`.
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 64))]
    pub field: String,
    pub judge: WhitelistJudge,
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 512))]
    pub value: String,
    #[serde(default)]
    pub expires_at: Option<crate::time::Timestamp>,
}

crate::words! {
    /// How a whitelist entry compares.
    WhitelistJudge {
        Equals = "equals",
        Contains = "contains",
        /// The value is an address block, the field an address.
        Cidr = "cidr",
    }
}

/// What the agent may do by itself, and within which bounds. Everything is off by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ResponsePolicy {
    /// Block the source of an attack on log-ins.
    pub block: bool,
    /// How long a block lasts.
    #[cfg_attr(feature = "schema", schema(minimum = 60, maximum = 2_592_000))]
    pub block_s: u32,
    /// Blocks of one host go to all hosts of its group.
    pub share_blocks: bool,
    /// Addresses and CIDR blocks that are never blocked.
    #[cfg_attr(feature = "schema", schema(max_items = 1_000))]
    pub never_block: Vec<String>,
    /// Isolate and kill where a rule offers it and is sure enough.
    pub isolate: bool,
    /// Lowest confidence of a finding that is answered by itself.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub confidence_min: u32,
    /// Most answers by itself in one hour.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 10_000))]
    pub per_hour_max: u32,
    /// A block by itself is taken back when the server is out of reach for this long after it.
    #[cfg_attr(feature = "schema", schema(minimum = 10, maximum = 3_600))]
    pub dead_man_s: u32,
    /// Ask before programs start, and refuse known bad content.
    pub refuse_programs: bool,
    /// Keep the installed agent's program and unit immutable, so that not even root changes them
    /// without taking the flag away first.
    pub lock_agent: bool,
    /// The kernel lets nobody but the agent change the agent's files, or end or trace its process.
    pub protect_agent: bool,
}

impl Default for ResponsePolicy {
    fn default() -> Self {
        Self {
            block: false,
            block_s: 12 * 3600,
            share_blocks: false,
            never_block: Vec::new(),
            isolate: false,
            confidence_min: 90,
            per_hour_max: 60,
            dead_man_s: 60,
            refuse_programs: false,
            lock_agent: false,
            protect_agent: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_what_holds_for_it() {
        let entry = |user: &str, host: Option<&str>| LoginWhitelistEntry {
            user: Some(user.to_owned()),
            host: host.map(str::to_owned),
            ..LoginWhitelistEntry::default()
        };
        let rules = |them: &[&str]| them.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let mut policy = Policy::default();
        policy.login.whitelist =
            vec![entry("all", None), entry("one", Some("host_1")), entry("two", Some("host_2"))];
        policy.detect.disabled_rules = rules(&["A", "B"]);
        policy.groups = vec![GroupPolicy {
            group: "group_1".to_owned(),
            disabled_rules: rules(&["B", "C"]),
            enabled_rules: rules(&["A"]),
        }];
        for (host, group, users, off) in [
            ("host_1", "group_1", vec!["all", "one"], vec!["B", "C"]),
            ("host_2", "group_2", vec!["all", "two"], vec!["A", "B"]),
            ("host_3", "group_2", vec!["all"], vec!["A", "B"]),
        ] {
            let own = policy.of_host(host, group);
            let named: Vec<_> = own.login.whitelist.iter().map(|it| it.user.as_deref()).collect();
            assert_eq!(named, users.into_iter().map(Some).collect::<Vec<_>>(), "{host}");
            assert!(own.login.whitelist.iter().all(|it| it.host.is_none()), "{host}");
            assert_eq!(own.detect.disabled_rules, off, "{host}");
            assert_eq!(own.groups, [], "{host}");
        }
    }
}
