//! Under which addresses agents can reach this administrator.

use identity::Address;
use std::net::{IpAddr, SocketAddr};

/// Where the agents' port can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    bound: SocketAddr,
    own: Vec<IpAddr>,
}

impl Reach {
    /// `bound` is what the port listens on, `own` are this machine's addresses.
    pub(crate) fn new(bound: SocketAddr, own: Vec<IpAddr>) -> Reach {
        Reach { bound, own }
    }

    /// Addresses for other machines, the best first; those of this machine itself only where there is no other.
    pub(crate) fn for_others(&self) -> Vec<Address> {
        if !self.bound.ip().is_unspecified() {
            return vec![Address::Ip(self.bound.ip(), self.bound.port())];
        }
        let mut addresses: Vec<IpAddr> =
            self.own.iter().copied().filter(|ip| !ip.is_loopback() && !is_link_local(*ip) && self.takes(*ip)).collect();
        addresses.sort_by_key(|ip| (ip.is_ipv6(), *ip));
        addresses.truncate(8);
        if addresses.is_empty() {
            return vec![self.for_this_machine()];
        }
        addresses.into_iter().map(|ip| Address::Ip(ip, self.bound.port())).collect()
    }

    /// Address for the agent beside the administrator.
    pub(crate) fn for_this_machine(&self) -> Address {
        let ip = match self.bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            ip => ip,
        };
        Address::Ip(ip, self.bound.port())
    }

    fn takes(&self, ip: IpAddr) -> bool {
        self.bound.is_ipv6() || ip.is_ipv4()
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bound: &str, own: &[&str]) -> Vec<String> {
        let own = own.iter().map(|ip| ip.parse().unwrap()).collect();
        Reach::new(bound.parse().unwrap(), own).for_others().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn other_machines_are_told_addresses_that_they_can_reach() {
        let own = ["127.0.0.1", "::1", "fe80::1", "169.254.1.1", "10.0.0.2", "2001:db8::2"];
        assert_eq!(shown("0.0.0.0:7443", &own), ["10.0.0.2:7443"]);
        assert_eq!(shown("[::]:7443", &own), ["10.0.0.2:7443", "[2001:db8::2]:7443"]);
        assert_eq!(shown("10.0.0.9:7443", &own), ["10.0.0.9:7443"]);
        assert_eq!(shown("0.0.0.0:7443", &["127.0.0.1"]), ["127.0.0.1:7443"]);
    }
}
