//! How long to wait before connecting again: full jitter, so that a fleet that lost its administrator comes back spread
//! out instead of all at once.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// Waits between attempts. Takes the randomness from its caller.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A connection lasted: the next wait is a short one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next wait. `random` is uniform in 0..1; `asked` is what the other side asked for, which is kept to and
    /// spread over half as much again.
    pub fn next(&mut self, random: f64, asked: Option<Duration>) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        match asked {
            Some(asked) => asked + asked.mul_f64(random / 2.0),
            None => ceiling.mul_f64(random),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_ceiling_and_shrink_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..6).map(|_| backoff.next(1.0, None).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        assert_eq!(backoff.next(0.0, None), Duration::ZERO);
        backoff.reset();
        assert_eq!(backoff.next(1.0, None), FIRST);
    }

    #[test]
    fn what_the_administrator_asks_for_is_kept() {
        let asked = Some(Duration::from_secs(10));
        assert_eq!(Backoff::default().next(0.0, asked), Duration::from_secs(10));
        assert_eq!(Backoff::default().next(1.0, asked), Duration::from_secs(15));
    }
}
