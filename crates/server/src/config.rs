//! What a server is started with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use crate::api::Limits;

/// Settings that cannot change while the server runs; the others are in the store.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub data: PathBuf,
    /// Address of the console. Plain HTTP: keep it on loopback, or put a proxy with TLS before
    /// it and say so in `limits`.
    pub console: SocketAddr,
    /// Address agents connect to, TLS.
    pub agents: SocketAddr,
    /// Where agents reach this server, `host:port`, best first. Empty: found out from `agents`
    /// and the machine's route to the world.
    pub endpoints: Vec<String>,
    pub limits: Limits,
}

impl Config {
    pub fn new(data: PathBuf) -> Self {
        Self {
            data,
            console: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            agents: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)),
            endpoints: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Where agents reach a listener that is bound to `bound`.
    pub(crate) fn endpoints_at(&self, bound: SocketAddr) -> Vec<String> {
        if !self.endpoints.is_empty() {
            return self.endpoints.clone();
        }
        let address =
            if bound.ip().is_unspecified() { own_address(bound.ip()) } else { bound.ip() };
        vec![SocketAddr::new(address, bound.port()).to_string()]
    }
}

/// The address this machine would speak to the world from; loopback when it cannot. Connecting
/// a UDP socket sends nothing: the kernel only chooses the route.
fn own_address(listening: IpAddr) -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    // Documentation addresses (RFC 5737, RFC 3849): nobody's, but routed like the world.
    let (any, world) = match listening {
        IpAddr::V4(_) => ("0.0.0.0:0", "192.0.2.1:9"),
        IpAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9"),
    };
    let address = UdpSocket::bind(any)
        .and_then(|it| it.connect(world).and_then(|()| it.local_addr()))
        .map_or(loopback, |it| it.ip());
    if address.is_unspecified() { loopback } else { address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_name_an_address_agents_can_use() {
        let mut config = Config::new(PathBuf::from("var"));
        let at = |config: &Config, bound: &str| config.endpoints_at(bound.parse().unwrap());
        assert_eq!(at(&config, "127.0.0.1:8443"), ["127.0.0.1:8443"]);
        for any in ["0.0.0.0:8443", "[::]:8443"] {
            let found = at(&config, any);
            assert!(model::enrol::is_endpoint(&found[0]), "{found:?}");
            let address: SocketAddr = found[0].parse().unwrap();
            assert!(!address.ip().is_unspecified(), "{found:?}");
        }
        config.endpoints = vec!["garrison.example:443".to_owned()];
        assert_eq!(at(&config, "0.0.0.0:8443"), ["garrison.example:443"]);
    }
}
