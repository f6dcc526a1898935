//! How often a wrong password may be tried, by name and by peer address.
//!
//! A pure structure: the caller gives the time and the address of the TCP peer (never a forwarded header). Names are
//! held up for at most half a minute, so that nobody can lock an operator out for long by guessing at their name;
//! addresses, which cost a guesser something, for up to a quarter of an hour.

use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Wrong tries without any delay.
const FREE: u32 = 5;
const FIRST_DELAY: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_BY_NAME: SignedDuration = SignedDuration::from_secs(30);
const LONGEST_BY_PEER: SignedDuration = SignedDuration::from_mins(15);
/// What is remembered of one that stopped trying.
const FORGET: SignedDuration = SignedDuration::from_hours(1);
/// Most keys remembered; beyond, the longest idle go first.
const MOST: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Name(String),
    Peer(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Tries {
    failed: u32,
    last: Timestamp,
    until: Timestamp,
}

/// Wrong tries of the recent past.
#[derive(Debug, Default)]
pub struct Throttle {
    tries: HashMap<Key, Tries>,
}

impl Throttle {
    /// Whether a try may be made now. It counts as failed until [`Throttle::succeeded`] says otherwise, so that many
    /// at once gain nothing.
    ///
    /// # Errors
    /// How long to wait.
    pub fn attempt(&mut self, name: &str, peer: IpAddr, now: Timestamp) -> Result<(), SignedDuration> {
        let keys = keys(name, peer);
        let wait = keys.iter().filter_map(|key| self.tries.get(key)).map(|t| now.duration_until(t.until)).max();
        match wait {
            Some(wait) if wait > SignedDuration::ZERO => return Err(wait),
            _ => {}
        }
        for key in keys {
            let longest = if matches!(key, Key::Peer(_)) { LONGEST_BY_PEER } else { LONGEST_BY_NAME };
            let tries = self.tries.entry(key).or_insert(Tries { failed: 0, last: now, until: now });
            if tries.last.duration_until(now) >= FORGET {
                tries.failed = 0;
            }
            tries.failed = tries.failed.saturating_add(1);
            tries.last = now;
            tries.until = now.saturating_add(delay(tries.failed, longest)).unwrap_or(Timestamp::MAX);
        }
        self.shrink(now);
        Ok(())
    }

    /// The last try was right: it counts no longer. Earlier wrong ones of the peer stay, since one own account must not
    /// buy free guesses at others'.
    pub fn succeeded(&mut self, name: &str, peer: IpAddr) {
        let [by_name, by_peer] = keys(name, peer);
        self.tries.remove(&by_name);
        if let Some(tries) = self.tries.get_mut(&by_peer) {
            tries.failed -= 1;
            tries.until = tries.last;
            if tries.failed == 0 {
                self.tries.remove(&by_peer);
            }
        }
    }

    fn shrink(&mut self, now: Timestamp) {
        if self.tries.len() <= MOST {
            return;
        }
        self.tries.retain(|_, t| t.last.duration_until(now) < FORGET);
        if self.tries.len() > MOST {
            let mut times: Vec<Timestamp> = self.tries.values().map(|t| t.last).collect();
            let (_, &mut middle, _) = times.select_nth_unstable(MOST / 2);
            self.tries.retain(|_, t| t.last > middle);
        }
    }
}

fn keys(name: &str, peer: IpAddr) -> [Key; 2] {
    // One customer has a whole /64 of IPv6 addresses to rotate through.
    let network = match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX))),
        ip => ip,
    };
    let name: String = name.trim().to_lowercase().chars().take(100).collect();
    [Key::Name(name), Key::Peer(network)]
}

fn delay(failed: u32, longest: SignedDuration) -> SignedDuration {
    match failed.checked_sub(FREE) {
        None | Some(0) => SignedDuration::ZERO,
        Some(more) => FIRST_DELAY.saturating_mul(1 << (more - 1).min(20)).min(longest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Tries in a day when each is made as soon as it is let through.
    fn tries_in_a_day(mut key: impl FnMut(u64) -> (String, IpAddr)) -> u64 {
        let (mut throttle, mut now, mut made) = (Throttle::default(), start(), 0);
        while now < start() + SignedDuration::from_hours(24) && made < 100_000 {
            let (name, peer) = key(made);
            match throttle.attempt(&name, peer, now) {
                Ok(()) => made += 1,
                Err(wait) => now += wait,
            }
        }
        made
    }

    #[test]
    fn guessing_is_slow_by_name_and_by_peer() {
        let one = tries_in_a_day(|_| ("ada".into(), ip("192.0.2.1")));
        assert!((90..130).contains(&one), "{one}");
        let rotating_peers = tries_in_a_day(|n| ("ada".into(), IpAddr::from((n as u32).to_be_bytes())));
        assert!(rotating_peers < 3_000, "{rotating_peers}");
        let rotating_names = tries_in_a_day(|n| (format!("name{n}"), ip("192.0.2.1")));
        assert!(rotating_names < 130, "{rotating_names}");
        let same_network = tries_in_a_day(|n| (format!("n{n}"), ip(&format!("2001:db8::{:x}", n % 0xffff))));
        assert!(same_network < 130, "{same_network}");
    }

    #[test]
    fn a_right_password_costs_nothing_and_buys_nothing() {
        let (mut throttle, peer) = (Throttle::default(), ip("192.0.2.1"));
        for _ in 0..100 {
            throttle.attempt("ada", peer, start()).unwrap();
            throttle.succeeded("ada", peer);
        }
        for n in 0..FREE + 1 {
            throttle.attempt(&format!("victim{n}"), peer, start()).unwrap();
        }
        assert!(throttle.attempt("ada", peer, start()).is_err(), "the peer is held up whatever the name");
        assert!(throttle.attempt("ADA ", ip("192.0.2.2"), start()).is_ok(), "another peer is not");
    }

    #[test]
    fn idle_ones_are_forgotten_and_memory_is_bounded() {
        let mut throttle = Throttle::default();
        while throttle.attempt("ada", ip("192.0.2.1"), start()).is_ok() {}
        let later = start() + FORGET;
        for _ in 0..FREE {
            throttle.attempt("ada", ip("192.0.2.1"), later).unwrap();
        }
        for n in 0..100_000u32 {
            let at = later + SignedDuration::from_millis(n.into());
            throttle.attempt(&format!("n{n}"), IpAddr::from(n.to_be_bytes()), at).unwrap();
        }
        assert!(throttle.tries.len() <= MOST, "{}", throttle.tries.len());
    }
}
