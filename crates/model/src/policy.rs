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
}

impl Default for CollectPolicy {
    fn default() -> Self {
        Self { fast_s: 60, slow_s: 3600 }
    }
}
