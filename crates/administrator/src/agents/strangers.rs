//! Connections without a certificate: they may only fetch the agent and enrol, and cannot use up what agents need.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// At a time, over all addresses.
const STRANGERS: usize = 512;
/// At a time from one address; a room of new machines behind one address fits.
const FROM_ONE_ADDRESS: usize = 64;

/// How many there are, by their network address.
#[derive(Default)]
pub(super) struct Strangers(Mutex<HashMap<IpAddr, usize>>);

/// The place of one of them.
pub(super) struct Place {
    strangers: Arc<Strangers>,
    address: IpAddr,
}

impl Strangers {
    /// A place for one more from `address`, where there is one.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut known = self.0.lock();
        let here = known.get(&address).copied().unwrap_or_default();
        if here == FROM_ONE_ADDRESS || known.values().sum::<usize>() == STRANGERS {
            return None;
        }
        known.insert(address, here + 1);
        Some(Place { strangers: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut known = self.strangers.0.lock();
        if let Some(here) = known.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                known.remove(&self.address);
            }
        }
    }
}

/// One machine has as many IPv6 addresses as it likes, all in one /64.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_one_address_nor_all_together_take_every_place() {
        let strangers = Arc::new(Strangers::default());
        let one: IpAddr = "10.0.0.1".parse().unwrap();
        let mut places: Vec<Place> = (0..FROM_ONE_ADDRESS).map(|_| strangers.admit(one).unwrap()).collect();
        assert!(strangers.admit(one).is_none());
        assert!(strangers.admit("::ffff:10.0.0.1".parse().unwrap()).is_none(), "the same in another spelling");
        let other = |n: u32| IpAddr::V4((0x0a01_0000 + n).into());
        places.extend((0..).map_while(|n| strangers.admit(other(n))));
        assert_eq!(places.len(), STRANGERS);
        places.clear();
        assert!(strangers.0.lock().is_empty());
        assert!(strangers.admit(one).is_some());
    }

    #[test]
    fn a_machine_with_many_ipv6_addresses_is_one() {
        let (a, b): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8::ffff:2".parse().unwrap());
        assert_eq!(network_of(a), network_of(b));
        assert_ne!(network_of(a), network_of("2001:db8:0:1::1".parse().unwrap()));
    }
}
