//! Addresses that must never be blocked: whoever blocks them locks himself out.

use std::net::IpAddr;
use std::time::Duration;

use engine::place::Cidr;
use model::because;
use model::because::Because;
use model::policy::Policy;
use model::time::Timestamp;

use crate::ingest::LinkServer;
use crate::store::StoreError;

/// Shorter prefixes would cut a host off from much of the world.
const BITS_MIN_V4: u8 = 16;
const BITS_MIN_V6: u8 = 32;
/// How long a name of this server may take to become addresses.
const LOOK_UP_MAX: Duration = Duration::from_secs(1);
/// Loopback, unspecified, link-local, multicast, broadcast.
const NOBODY: &[&str] = &[
    "127.0.0.0/8",
    "0.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::/10",
    "ff00::/8",
];

/// Why an address is not blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoAddress,
    TooWide,
    Nobody,
    Server,
    Whitelisted,
    SignedIn,
}

impl Refusal {
    /// Why `address` is not blocked.
    pub fn because(self, address: &str) -> Because {
        match self {
            Self::NoAddress => because!(
                "unblockable.no_address",
                "{address} is neither an address nor a block like 192.0.2.0/24",
                address = address
            ),
            Self::TooWide => because!(
                "unblockable.too_wide",
                "{address} covers too many addresses: at least /16, or /32 for IPv6",
                address = address
            ),
            Self::Nobody => because!(
                "unblockable.nobody",
                "{address} is a local or multicast address, which no attacker has",
                address = address
            ),
            Self::Server => {
                because!("unblockable.server", "{address} is this server", address = address)
            }
            Self::Whitelisted => because!(
                "unblockable.whitelisted",
                "{address} is never blocked, by the policy",
                address = address
            ),
            Self::SignedIn => because!(
                "unblockable.signed_in",
                "{address} is where somebody is signed in to the console",
                address = address
            ),
        }
    }
}

/// What must stay reachable right now.
#[derive(Debug)]
pub struct Protected {
    blocks: Vec<(Cidr, Refusal)>,
}

impl Protected {
    /// `caller` is where the request comes from.
    pub async fn gather(
        link: &LinkServer,
        policy: &Policy,
        caller: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut blocks = Vec::new();
        let mut add = |text: &str, why| blocks.extend(Cidr::parse(text).map(|it| (it, why)));
        for it in NOBODY {
            add(it, Refusal::Nobody);
        }
        for endpoint in &link.endpoints {
            let looked_up = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host(endpoint));
            match looked_up.await {
                Ok(Ok(found)) => found.for_each(|it| add(&it.ip().to_string(), Refusal::Server)),
                Ok(Err(error)) => {
                    tracing::warn!(endpoint, %error, "an own name has no address");
                }
                Err(_) => tracing::warn!(endpoint, "an own name took too long to look up"),
            }
        }
        let accepted = policy.response.never_block.iter();
        let accepted = accepted.chain(&policy.login.common_addresses);
        let logins = policy.login.whitelist.iter().filter_map(|it| it.address.as_ref());
        for it in accepted.chain(logins) {
            add(it, Refusal::Whitelisted);
        }
        for it in link.store.signed_in_addresses(now).await? {
            add(&it, Refusal::SignedIn);
        }
        if let Some(caller) = caller {
            add(&caller.to_string(), Refusal::SignedIn);
        }
        Ok(Self { blocks })
    }

    /// Why `address`, or a part of it, must not be blocked.
    pub fn refuses(&self, address: &str) -> Option<Refusal> {
        let Some(wanted) = Cidr::parse(address) else { return Some(Refusal::NoAddress) };
        let least = if wanted.is_ipv4() { BITS_MIN_V4 } else { BITS_MIN_V6 };
        let hit = self.blocks.iter().find(|(it, _)| it.overlaps(&wanted)).map(|it| it.1);
        hit.or((wanted.bits() < least).then_some(Refusal::TooWide))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_stay_reachable_is_refused() {
        let of = |text: &str, why| (Cidr::parse(text).unwrap(), why);
        let protected = Protected {
            blocks: vec![
                of("127.0.0.0/8", Refusal::Nobody),
                of("192.0.2.1", Refusal::Server),
                of("198.51.100.0/24", Refusal::Whitelisted),
                of("2001:db8::7", Refusal::SignedIn),
            ],
        };
        for (address, want) in [
            ("203.0.113.7", None),
            ("203.0.113.0/24", None),
            ("192.0.2.1", Some(Refusal::Server)),
            ("192.0.2.0/24", Some(Refusal::Server)),
            ("198.51.100.9", Some(Refusal::Whitelisted)),
            ("2001:db8::/64", Some(Refusal::SignedIn)),
            ("203.0.0.0/15", Some(Refusal::TooWide)),
            ("2002::/16", Some(Refusal::TooWide)),
            ("0.0.0.0/0", Some(Refusal::Nobody)),
            ("attacker.example", Some(Refusal::NoAddress)),
            ("", Some(Refusal::NoAddress)),
        ] {
            assert_eq!(protected.refuses(address), want, "{address}");
        }
    }
}
