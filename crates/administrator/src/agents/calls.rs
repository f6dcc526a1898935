//! Calls to agents that wait for an answer.

use protocol::Outcome;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// The calls of one session that are not answered yet.
#[derive(Default)]
pub(super) struct Calls {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
}

impl Calls {
    /// A number for a new call and where its answer will come.
    pub(super) fn open(&mut self) -> (u64, oneshot::Receiver<Outcome>) {
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        self.waiting.insert(self.next, sender);
        (self.next, receiver)
    }

    /// Whether there ever was a call with this number.
    pub(super) fn was_made(&self, call: u64) -> bool {
        (1..=self.next).contains(&call)
    }

    /// Hands an answer to who waits for it; false where nobody does.
    pub(super) fn answer(&mut self, call: u64, outcome: Outcome) -> bool {
        self.waiting.remove(&call).is_some_and(|sender| sender.send(outcome).is_ok())
    }
}
