//! Where an address is: its country from a MaxMind database, or its network.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maxminddb::Reader;
use model::finding::Text;
use serde::Deserialize;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("not a MaxMind database")]
    Format(#[source] maxminddb::MaxMindDbError),
    #[error("the database `{kind}` gives no country for any address tried")]
    NoCountry { kind: String },
}

/// The place of an address, as coarse as an alarm about a new one should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Private, loopback or link-local.
    Local,
    /// ISO 3166-1 alpha-2.
    Country(String),
    /// The network, where no country is known.
    Network(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local network",
            Self::Country(code) => code,
            Self::Network(network) => network,
        })
    }
}

/// Looks places up.
pub struct Places {
    database: Option<Reader<Cow<'static, [u8]>>>,
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("database", &self.database.is_some()).finish()
    }
}

/// Both forms in use: `{"country_code": "DE"}` and `{"country": {"iso_code": "DE"}}`.
#[derive(Deserialize)]
struct Record<'t> {
    country_code: Option<&'t str>,
    #[serde(borrow)]
    country: Option<Country<'t>>,
}

#[derive(Deserialize)]
struct Country<'t> {
    iso_code: Option<&'t str>,
}

impl Places {
    /// Reads a country database; refuses one that knows no country of well-known addresses.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, PlaceError> {
        let reader = Reader::from_source(bytes.into()).map_err(PlaceError::Format)?;
        let kind = reader.metadata().database_type.clone();
        let places = Self { database: Some(reader) };
        // Root name servers and public resolvers: in every country database there is.
        let known = [[8, 8, 8, 8], [193, 0, 14, 129], [198, 41, 0, 4], [202, 12, 27, 33]];
        if known.iter().all(|it| places.country(IpAddr::from(*it)).is_none()) {
            return Err(PlaceError::NoCountry { kind });
        }
        Ok(places)
    }

    /// Without a database places are networks.
    pub fn without_database() -> Self {
        Self { database: None }
    }

    /// What is not as good as it should be, in one sentence.
    pub fn shortcoming(&self) -> Option<Text> {
        self.database.is_none().then(|| Text {
            en: "there is no country database: places of log-ins are networks only".to_owned(),
            zh: "没有国家地址库：登录地点只能按网络区分".to_owned(),
        })
    }

    /// Of a canonical address (no IPv4-mapped IPv6).
    pub fn of(&self, address: IpAddr) -> Place {
        if is_local(address) {
            return Place::Local;
        }
        self.country(address).map_or_else(|| Place::Network(network(address)), Place::Country)
    }

    /// ISO 3166-1 alpha-2, if the database has it.
    pub fn country(&self, address: IpAddr) -> Option<String> {
        let found = self.database.as_ref()?.lookup(address).ok()?;
        let record: Record<'_> = found.decode().ok()??;
        let code = record.country_code.or_else(|| record.country.and_then(|it| it.iso_code))?;
        let sound = code.len() == 2 && code.bytes().all(|it| it.is_ascii_alphabetic());
        sound.then(|| code.to_ascii_uppercase())
    }
}

/// The network an operator of addresses usually keeps together: /16 and /32, and within
/// local ranges /24 and /64.
pub fn network(address: IpAddr) -> String {
    let bits = match (address, is_local(address)) {
        (IpAddr::V4(_), false) => 16,
        (IpAddr::V4(_), true) => 24,
        (IpAddr::V6(_), false) => 32,
        (IpAddr::V6(_), true) => 64,
    };
    Cidr { base: address, bits }.to_string()
}

/// Private, loopback, link-local, unique local, or shared by a provider's NAT.
pub fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => {
            let [a, b, ..] = it.octets();
            it.is_private()
                || it.is_loopback()
                || it.is_link_local()
                || it.is_unspecified()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(it) => {
            it.is_loopback()
                || it.is_unspecified()
                || it.is_unique_local()
                || it.is_unicast_link_local()
        }
    }
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

impl Cidr {
    /// `192.0.2.0/24`, or one address. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, bits) = match text.trim().split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u8>().ok()?)),
            None => (text.trim(), None),
        };
        let base: IpAddr = base.parse().ok()?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { base, bits })
    }

    /// How many leading bits its addresses share.
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    pub const fn is_ipv4(&self) -> bool {
        self.base.is_ipv4()
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(it)) => mask4(base, self.bits) == mask4(it, self.bits),
            (IpAddr::V6(base), IpAddr::V6(it)) => mask6(base, self.bits) == mask6(it, self.bits),
            _ => false,
        }
    }

    /// One address as a block.
    pub fn single(address: IpAddr) -> Self {
        Self { base: address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The same block, named by its first address.
    #[must_use]
    pub fn normal(&self) -> Self {
        Self { base: self.first(), bits: self.bits }
    }

    pub fn first(&self) -> IpAddr {
        match self.base {
            IpAddr::V4(base) => IpAddr::V4(mask4(base, self.bits).into()),
            IpAddr::V6(base) => IpAddr::V6(mask6(base, self.bits).into()),
        }
    }

    pub fn last(&self) -> IpAddr {
        match self.base {
            IpAddr::V4(base) => {
                let host = u32::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((mask4(base, self.bits) | host).into())
            }
            IpAddr::V6(base) => {
                let host = u128::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6((mask6(base, self.bits) | host).into())
            }
        }
    }

    /// Whether this is one address.
    pub fn is_single(&self) -> bool {
        self.bits == if self.base.is_ipv4() { 32 } else { 128 }
    }

    /// Whether every address of `other` is in this block.
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.base)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base {
            IpAddr::V4(base) => {
                write!(f, "{}/{}", Ipv4Addr::from(mask4(base, self.bits)), self.bits)
            }
            IpAddr::V6(base) => {
                write!(f, "{}/{}", Ipv6Addr::from(mask6(base, self.bits)), self.bits)
            }
        }
    }
}

fn mask4(address: Ipv4Addr, bits: u8) -> u32 {
    u32::from(address) & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn mask6(address: Ipv6Addr, bits: u8) -> u128 {
    u128::from(address) & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_ends_and_cover_each_other() {
        for (text, first, last, single) in [
            ("192.0.2.77/24", "192.0.2.0", "192.0.2.255", false),
            ("192.0.2.77", "192.0.2.77", "192.0.2.77", true),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", false),
            ("2001:db8::1/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", false),
            ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("::1", "::1", "::1", true),
        ] {
            let block = Cidr::parse(text).unwrap();
            assert_eq!(block.first().to_string(), first, "{text}");
            assert_eq!(block.last().to_string(), last, "{text}");
            assert_eq!(block.is_single(), single, "{text}");
            assert_eq!(block.normal().first(), block.first(), "{text}");
        }
        for (one, other, overlap) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("10.1.2.0/25", "10.1.2.128/25", false),
            ("0.0.0.0/0", "::1", false),
        ] {
            let (one, other) = (Cidr::parse(one).unwrap(), Cidr::parse(other).unwrap());
            assert_eq!(one.overlaps(&other), overlap, "{one} {other}");
        }
    }

    #[test]
    fn local_and_networks_without_a_database() {
        let places = Places::without_database();
        assert!(places.shortcoming().is_some());
        for (address, want, net) in [
            ("10.1.2.3", "local network", "10.1.2.0/24"),
            ("100.64.0.1", "local network", "100.64.0.0/24"),
            ("127.0.0.1", "local network", "127.0.0.0/24"),
            ("fe80::1", "local network", "fe80::/64"),
            ("fd00:1:2:3::9", "local network", "fd00:1:2:3::/64"),
            ("203.0.113.9", "203.0.0.0/16", "203.0.0.0/16"),
            ("2001:db8:1::9", "2001:db8::/32", "2001:db8::/32"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(places.of(address).to_string(), want);
            assert_eq!(network(address), net);
        }
    }

    #[test]
    fn blocks() {
        for (block, address, want) in [
            ("192.0.2.0/24", "192.0.2.9", true),
            ("192.0.2.0/24", "192.0.3.9", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("::/0", "2001:db8::1", true),
        ] {
            let block = Cidr::parse(block).unwrap();
            assert_eq!(block.contains(address.parse().unwrap()), want, "{block} {address}");
        }
        for (one, other, want) in [
            ("192.0.2.0/24", "192.0.2.9", true),
            ("192.0.2.9", "192.0.0.0/16", true),
            ("192.0.2.0/24", "192.0.3.0/24", false),
            ("0.0.0.0/0", "::/0", false),
        ] {
            let (one, other) = (Cidr::parse(one).unwrap(), Cidr::parse(other).unwrap());
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (want, want), "{one} {other}");
        }
        for wrong in ["", "x", "1.2.3.4/33", "::/129", "1.2.3.4/-1", "1.2.3.4/"] {
            assert_eq!(Cidr::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn broken_databases_are_refused() {
        assert!(Places::from_bytes(&b""[..]).is_err());
        assert!(Places::from_bytes(vec![0xab; 4096]).is_err());
    }
}
