//! Who is online, flushed to the database in batches: a change at once, the last heartbeat now and then.

use super::Context;
use fleet::{MachineId, Presence, Status};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Notify;

/// Changes that come within this time travel together.
const GATHER: Duration = Duration::from_millis(100);
/// How often the time of the last heartbeat is written.
const SEEN_EVERY: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(super) struct PresenceBook {
    pending: Mutex<HashMap<MachineId, (Status, Timestamp)>>,
    changed: Notify,
}

impl PresenceBook {
    pub(super) fn changed(&self, machine: MachineId, status: Status, at: Timestamp) {
        self.pending.lock().insert(machine, (status, at));
        self.changed.notify_one();
    }

    pub(super) fn seen(&self, machine: MachineId, at: Timestamp) {
        let mut pending = self.pending.lock();
        let entry = pending.entry(machine).or_insert((Status::Online, at));
        if entry.0 == Status::Online {
            entry.1 = at;
        }
    }

    fn take(&self) -> Vec<Presence> {
        let pending = std::mem::take(&mut *self.pending.lock());
        pending.into_iter().map(|(machine, (status, seen_at))| Presence { machine, status, seen_at }).collect()
    }

    fn put_back(&self, batch: Vec<Presence>) {
        let mut pending = self.pending.lock();
        for presence in batch {
            pending.entry(presence.machine).or_insert((presence.status, presence.seen_at));
        }
    }
}

/// Flushes until it is dropped.
pub(super) async fn flush(context: &Context) {
    let book = &context.presence;
    loop {
        tokio::select! {
            () = book.changed.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(SEEN_EVERY) => {}
        }
        let batch = book.take();
        if batch.is_empty() {
            continue;
        }
        if let Err(problem) = context.directory.presence(batch.clone()).await {
            tracing::warn!(%problem, "who is online cannot be stored; it is tried again");
            book.put_back(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_heartbeat_does_not_bring_a_machine_back() {
        let (book, machine, now) = (PresenceBook::default(), MachineId::new(), Timestamp::UNIX_EPOCH);
        book.changed(machine, Status::Offline, now);
        book.seen(machine, now);
        assert_eq!(book.take()[0].status, Status::Offline);
        assert!(book.take().is_empty());
    }

    #[test]
    fn what_could_not_be_stored_does_not_cover_what_is_newer() {
        let (book, machine, now) = (PresenceBook::default(), MachineId::new(), Timestamp::UNIX_EPOCH);
        book.changed(machine, Status::Online, now);
        let failed = book.take();
        book.changed(machine, Status::Offline, now);
        book.put_back(failed);
        assert_eq!(book.take()[0].status, Status::Offline);
    }
}
