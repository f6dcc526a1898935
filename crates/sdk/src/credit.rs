//! Byte credits: what may still be sent, and what was taken and is to be granted again.

use std::sync::Mutex;
use tokio::sync::Notify;

/// Grants are gathered up to this many bytes, so that small frames do not each cost a message.
const GRANT_STEP: u32 = 64 * 1024;

/// Credit for one direction of one stream. One message may overdraw it, then it has to be granted again.
pub(crate) struct Credit {
    left: Mutex<Left>,
    changed: Notify,
}

struct Left {
    bytes: i64,
    closed: bool,
}

impl Credit {
    pub(crate) fn new() -> Credit {
        let left = Left { bytes: abi::INITIAL_CREDIT, closed: false };
        Credit { left: Mutex::new(left), changed: Notify::new() }
    }

    /// Waits for credit and takes `bytes` of it; false once the other end takes no more.
    pub(crate) async fn take(&self, bytes: usize) -> bool {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut left = self.lock();
                if left.closed {
                    return false;
                }
                if left.bytes > 0 {
                    left.bytes -= bytes as i64;
                    return true;
                }
            }
            changed.await;
        }
    }

    pub(crate) fn grant(&self, bytes: u32) {
        self.lock().bytes += i64::from(bytes);
        self.changed.notify_waiters();
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Bytes taken and not yet granted again.
#[derive(Default)]
pub(crate) struct Taken(u32);

impl Taken {
    /// The grant that is due, if one is.
    pub(crate) fn add(&mut self, bytes: usize) -> Option<u32> {
        self.0 = self.0.saturating_add(bytes as u32);
        (self.0 >= GRANT_STEP).then(|| std::mem::take(&mut self.0))
    }
}
