//! Files with several names: the first name that comes gets the content, the others are linked to it.

use super::item::Item;
use crate::files::trail::Trail;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;

/// Names that wait for the first one of their file, all files together.
const MOST_WAITING: usize = 1024;

/// Where the first name of a file is on the disk.
#[derive(Clone, Debug)]
pub(super) struct First {
    pub(super) folder: Arc<Trail>,
    pub(super) name: Vec<u8>,
    /// Which file it is there.
    pub(super) identity: (u64, u64),
}

enum State {
    /// Somebody is writing it; these wait.
    Writing(Vec<Item>),
    Done(First),
}

/// What to do with a name that has come.
pub(super) enum Claim {
    /// It is the first: write it, then say `done` or `given_up`.
    Write(Item),
    Link(Item, First),
    /// Whoever writes the first one will see to it.
    Waits,
}

#[derive(Default)]
pub(super) struct Links {
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    /// By the file system and inode at the time of the backup.
    states: HashMap<(u64, u64), State>,
    waiting: usize,
}

impl Links {
    pub(super) fn claim(&self, item: Item) -> Claim {
        let identity = (item.entry.device, item.entry.inode);
        let Known { states, waiting } = &mut *self.known.lock();
        match states.get_mut(&identity) {
            None => {
                states.insert(identity, State::Writing(Vec::new()));
                Claim::Write(item)
            }
            Some(State::Writing(items)) => {
                items.push(item);
                *waiting += 1;
                Claim::Waits
            }
            Some(State::Done(first)) => Claim::Link(item, first.clone()),
        }
    }

    /// So many names wait that the walk should wait as well. Whoever writes must never call `wait`.
    pub(super) fn are_many(&self) -> bool {
        self.known.lock().waiting >= MOST_WAITING
    }

    pub(super) fn wait(&self, goes_on: impl Fn() -> bool) {
        let mut known = self.known.lock();
        while known.waiting >= MOST_WAITING && goes_on() {
            self.changed.wait_for(&mut known, std::time::Duration::from_millis(100));
        }
    }

    /// The first name is there: those that waited.
    pub(super) fn done(&self, identity: (u64, u64), first: First) -> Vec<Item> {
        self.end(identity, Some(State::Done(first)))
    }

    /// There will be no first name: those that waited. The next one that comes is the first.
    pub(super) fn given_up(&self, identity: (u64, u64)) -> Vec<Item> {
        self.end(identity, None)
    }

    fn end(&self, identity: (u64, u64), next: Option<State>) -> Vec<Item> {
        let Known { states, waiting } = &mut *self.known.lock();
        let before = match next {
            Some(state) => states.insert(identity, state),
            None => states.remove(&identity),
        };
        let Some(State::Writing(items)) = before else { return Vec::new() };
        *waiting -= items.len();
        self.changed.notify_all();
        items
    }
}
