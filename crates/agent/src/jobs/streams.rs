//! The named streams of one job: the plugin offers each once, an operator's client takes it.

use parking_lot::Mutex;
use plugin_host::Duplex;
use std::collections::HashMap;
use tokio::sync::Notify;

/// What is offered and not taken.
#[derive(Default)]
pub(crate) struct Streams {
    offered: Mutex<Offered>,
    changed: Notify,
}

#[derive(Default)]
struct Offered {
    streams: HashMap<String, Duplex>,
    closed: bool,
}

impl Streams {
    pub(crate) fn offer(&self, name: String, duplex: Duplex) {
        self.offered.lock().streams.insert(name, duplex);
        self.changed.notify_waiters();
    }

    /// The job is over.
    pub(crate) fn close(&self) {
        let mut offered = self.offered.lock();
        offered.closed = true;
        offered.streams.clear();
        drop(offered);
        self.changed.notify_waiters();
    }

    /// Takes a stream, and waits for it where the plugin has not opened it yet; `None` when the job is over.
    pub(crate) async fn take(&self, name: &str) -> Option<Duplex> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut offered = self.offered.lock();
                if let Some(duplex) = offered.streams.remove(name) {
                    return Some(duplex);
                }
                if offered.closed {
                    return None;
                }
            }
            changed.await;
        }
    }
}
