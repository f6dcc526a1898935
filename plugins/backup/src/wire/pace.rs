//! A limit on how fast is sent, at the hours for which it is set.

use parking_lot::Mutex;
use sdk::schema::Hours;
use sdk::tokio::time::{Instant, sleep_until};
use std::time::Duration;

/// Most bytes that are sent at once under a limit.
pub(super) const PIECE: usize = 16 * 1024;

/// How fast a machine sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) bytes_per_second: f64,
    /// By this machine's clock.
    pub(crate) hours: Hours,
}

/// Holds back whoever sends under a limit.
pub(super) struct Pace {
    limit: Limit,
    /// When the line is free again.
    free: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(limit: Limit) -> Pace {
        Pace { limit, free: Mutex::new(Instant::now()) }
    }

    /// Waits until that many bytes may go.
    pub(super) async fn wait(&self, bytes: usize) {
        if self.limit.hours.contains(minute_of_day()) {
            sleep_until(self.turn(bytes, Instant::now())).await;
        }
    }

    fn turn(&self, bytes: usize, now: Instant) -> Instant {
        let mut free = self.free.lock();
        let begin = (*free).max(now);
        // A limit next to nothing holds back for an hour at most, so that another one gets its turn.
        let seconds = (bytes as f64 / self.limit.bytes_per_second.max(1.0)).min(3600.0);
        *free = begin + Duration::from_secs_f64(seconds);
        begin
    }
}

/// By this machine's clock.
pub(crate) fn minute_of_day() -> u16 {
    let time = jiff::Zoned::now().time();
    time.hour().unsigned_abs() as u16 * 60 + time.minute().unsigned_abs() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_takes_the_time_that_the_limit_says() {
        let limit = Limit { bytes_per_second: 100_000.0, hours: "00:00-24:00".parse().unwrap() };
        let pace = Pace::new(limit);
        let now = Instant::now();
        *pace.free.lock() = now;
        let last = (0..=50).map(|_| pace.turn(10_000, now)).last().unwrap();
        assert_eq!(last - now, Duration::from_secs(5));
        // Who was silent has saved nothing up.
        let later = now + Duration::from_secs(100);
        assert_eq!(pace.turn(10_000, later), later);
        assert_eq!(pace.turn(10_000, later), later + Duration::from_millis(100));
    }
}
