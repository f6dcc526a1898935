//! What running sessions and readers rely on, so that nobody takes it away from them.

use crate::index::Short;
use crate::keys::Key;
use crate::snapshot::Snapshot;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

/// What one session was told or gave.
#[derive(Default)]
pub(crate) struct Pins {
    /// Short keys of chunks that it put or was told yes about. Keys are keyed hashes, so nobody can aim at one that is here, and
    /// half of one is enough.
    proven: Mutex<HashSet<u64, BuildHasherDefault<Short>>>,
    /// What it builds on.
    pub basis: Option<Arc<Snapshot>>,
}

impl Pins {
    pub(crate) fn new(basis: Option<Arc<Snapshot>>) -> Pins {
        Pins { proven: Mutex::default(), basis }
    }

    pub(crate) fn extend(&self, keys: impl IntoIterator<Item = Key>) {
        self.proven.lock().extend(keys.into_iter().map(|key| key.short()));
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.proven.lock().contains(&key.short())
    }

    /// Adds those of these keys that it relies on.
    pub(crate) fn pick(&self, keys: &[Key], picked: &mut HashSet<Key>) {
        let proven = self.proven.lock();
        picked.extend(keys.iter().filter(|key| proven.contains(&key.short())));
    }
}

#[derive(Default)]
pub(crate) struct Registry(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    sessions: HashMap<u64, Arc<Pins>>,
    readers: HashMap<u64, Arc<Snapshot>>,
    /// Sessions that ended since garbage began to be collected: what they committed was not looked at.
    ended: Option<Vec<Arc<Pins>>>,
}

/// What is relied on at one moment.
pub(crate) struct Relied {
    pub pins: Vec<Arc<Pins>>,
    pub snapshots: Vec<Arc<Snapshot>>,
}

impl Registry {
    pub(crate) fn add_session(&self, pins: Arc<Pins>) -> u64 {
        let mut state = self.0.lock();
        state.next += 1;
        let number = state.next;
        state.sessions.insert(number, pins);
        number
    }

    pub(crate) fn end_session(&self, number: u64) {
        let mut state = self.0.lock();
        if let (Some(pins), Some(ended)) = (state.sessions.remove(&number), state.ended.as_mut()) {
            ended.push(pins);
        }
    }

    pub(crate) fn add_reader(&self, snapshot: Arc<Snapshot>) -> u64 {
        let mut state = self.0.lock();
        state.next += 1;
        let number = state.next;
        state.readers.insert(number, snapshot);
        number
    }

    pub(crate) fn end_reader(&self, number: u64) {
        self.0.lock().readers.remove(&number);
    }

    /// From now on sessions that end are kept too.
    pub(crate) fn begin_collecting(&self) {
        self.0.lock().ended = Some(Vec::new());
    }

    pub(crate) fn end_collecting(&self) {
        self.0.lock().ended = None;
    }

    pub(crate) fn relied(&self) -> Relied {
        let state = self.0.lock();
        let pins: Vec<Arc<Pins>> = state.sessions.values().chain(state.ended.iter().flatten()).cloned().collect();
        let bases = pins.iter().filter_map(|pins| pins.basis.clone());
        let snapshots = bases.chain(state.readers.values().cloned()).collect();
        Relied { pins, snapshots }
    }
}
