//! Ids are 63-bit integers in the store and `prefix_` + 13 base-32 digits everywhere else.
//!
//! The digits sort as the numbers do, so ids made from time sort by time as text too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 13;

/// Why a text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    #[error("an id of this kind starts with `{expected}_`")]
    Prefix { expected: &'static str },
    #[error("an id ends in 13 base-32 digits")]
    Digits,
}

fn encode(prefix: &str, value: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bits = value.cast_unsigned();
    write!(f, "{prefix}_")?;
    for place in (0..LENGTH).rev() {
        let digit = (bits >> (place * 5)) & 31;
        let byte = DIGITS.get(digit as usize).copied().unwrap_or(b'0');
        write!(f, "{}", char::from(byte))?;
    }
    Ok(())
}

fn decode(prefix: &'static str, text: &str) -> Result<i64, IdError> {
    let digits = text
        .strip_prefix(prefix)
        .and_then(|it| it.strip_prefix('_'))
        .ok_or(IdError::Prefix { expected: prefix })?;
    if digits.len() != LENGTH {
        return Err(IdError::Digits);
    }
    let mut value: u64 = 0;
    for byte in digits.bytes() {
        let digit = DIGITS.iter().position(|it| *it == byte).ok_or(IdError::Digits)?;
        if value >> 59 != 0 {
            return Err(IdError::Digits);
        }
        value = (value << 5) | digit as u64;
    }
    i64::try_from(value).map_err(|_| IdError::Digits)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl $name {
            pub const PREFIX: &'static str = $prefix;
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode(Self::PREFIX, self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode(Self::PREFIX, self.0, f)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                decode(Self::PREFIX, text).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A protected machine.
    HostId = "host";
    /// A set of hosts that share policies; a host is in exactly one.
    GroupId = "group";
    /// A conclusion with evidence, of any of the four kinds. Made from time.
    FindingId = "finding";
    /// One run over a host. Made from time.
    ScanId = "scan";
    /// A person who signs in.
    UserId = "user";
    /// A browser session.
    SessionId = "session";
    /// An API token.
    ApiTokenId = "apitoken";
    /// An enrolment token.
    EnrolTokenId = "token";
    /// An entry of the audit log, numbered without gaps.
    AuditId = "audit";
    /// One change of one asset row. Made from time.
    ChangeId = "change";
    /// What an agent was asked to do about an attack, or did by itself. Made from time.
    ResponseId = "response";
    /// A file in the vault of a host. Made from time.
    IsolatedId = "isolated";
    /// An address that a host refuses. Made from time.
    BlockedId = "blocked";
    /// What a person decided about one finding, in the order it happened.
    DecisionId = "decision";
    /// A decision about many findings that the server carries out.
    JobId = "job";
    /// A place notifications are sent to.
    ChannelId = "channel";
    /// Which findings are sent to which channels.
    RouteId = "route";
    /// One message for one channel. Made from time.
    DeliveryId = "delivery";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_form() {
        assert_eq!(HostId(0).to_string(), "host_0000000000000");
        assert_eq!(HostId(i64::MAX).to_string(), "host_7zzzzzzzzzzzz");
        assert_eq!("user_0000000000001".parse(), Ok(UserId(1)));
        assert_eq!("host_1".parse::<HostId>(), Err(IdError::Digits));
        assert_eq!("host_zzzzzzzzzzzzz".parse::<HostId>(), Err(IdError::Digits));
        assert_eq!("host_8000000000000".parse::<HostId>(), Err(IdError::Digits));
        assert_eq!(
            "user_0000000000001".parse::<HostId>(),
            Err(IdError::Prefix { expected: "host" })
        );
    }

    proptest! {
        #[test]
        fn round_trip_and_order(a in 0..=i64::MAX, b in 0..=i64::MAX) {
            let (x, y) = (FindingId(a), FindingId(b));
            prop_assert_eq!(x.to_string().parse(), Ok(x));
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
        }
    }
}
