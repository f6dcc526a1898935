//! Waiting for something that happens elsewhere, with a limit and a sentence for when it does not.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// How often a condition elsewhere is looked at.
const STEP: Duration = Duration::from_millis(20);

/// Asks `look` until it has an answer; fails with `what` after `limit`.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begun.elapsed() > limit {
            bail!("after {:.1} s still not so: {what}", limit.as_secs_f64());
        }
        std::thread::sleep(STEP);
    }
}

/// [`until`] with a limit that is generous for anything that should take a moment.
pub fn soon<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until(what, Duration::from_secs(30), look)
}
