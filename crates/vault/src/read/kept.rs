//! The chunks of a stream that were read last: a tree is read a few hundred bytes at a time, and each of its chunks should be
//! looked up and checked once, not for each of them.

use crate::chunks::Plain;
use parking_lot::Mutex;
use std::sync::Arc;

/// Chunks of each stream.
const KEPT: usize = 4;

/// By their number in the stream; the one used last is last.
#[derive(Default)]
pub(super) struct Kept(Mutex<Vec<(usize, Arc<Plain>)>>);

impl Kept {
    pub(super) fn get<E>(&self, number: usize, read: impl FnOnce() -> Result<Plain, E>) -> Result<Arc<Plain>, E> {
        if let Some(plain) = self.find(number) {
            return Ok(plain);
        }
        let plain = Arc::new(read()?);
        let mut kept = self.0.lock();
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((number, plain.clone()));
        Ok(plain)
    }

    fn find(&self, number: usize) -> Option<Arc<Plain>> {
        let mut kept = self.0.lock();
        let at = kept.iter().rposition(|(kept, _)| *kept == number)?;
        kept[at..].rotate_left(1);
        kept.last().map(|(_, plain)| plain.clone())
    }
}
