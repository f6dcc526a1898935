//! Goes through a snapshot and hands what was chosen to those who write.
//!
//! Folders are entered in the order of names, as they were when they were backed up, so that chunks are wanted in the order in
//! which they were stored.

use super::folder::Folder;
use super::item::{Item, Link};
use super::links::Claim;
use super::problem::Unwritten;
use super::shared::{Shared, count};
use super::{Action, Destination, RestoreError};
use crate::files::select::Selection;
use std::collections::btree_map;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use vault::{Entry, Kind, List, Place, Streams, TreeError, TreeReader};

/// What is handed over together: bytes of content, entries, and folders they are in.
const BATCH_BYTES: u64 = 2 << 20;
const BATCH_ITEMS: usize = 256;
const BATCH_FOLDERS: usize = 32;
/// Folders above the one being read that are kept open.
const OPEN: usize = 48;

pub(super) struct Walk<'t, S> {
    tree: &'t TreeReader<S>,
    shared: &'t Shared<'t>,
    to: SyncSender<Vec<Item>>,
    stack: Vec<Frame<'t, S>>,
    batch: Vec<Item>,
    bytes: u64,
    folders: usize,
}

struct Frame<'t, S> {
    entries: Entries<'t, S>,
    folder: Arc<Folder>,
    /// All of it was chosen.
    whole: bool,
    /// What was named in it.
    named: Option<&'t Selection>,
}

enum Entries<'t, S> {
    All(List<'t, S>),
    /// Only these.
    Named(Place, btree_map::Iter<'t, Vec<u8>, Selection>),
}

impl<'t, S: Streams> Walk<'t, S> {
    pub(super) fn new(tree: &'t TreeReader<S>, shared: &'t Shared<'t>, to: SyncSender<Vec<Item>>) -> Walk<'t, S> {
        Walk { tree, shared, to, stack: Vec::new(), batch: Vec::new(), bytes: 0, folders: 0 }
    }

    /// Goes through everything, or until somebody stops it. The root of the tree goes to `start`.
    pub(super) fn run(mut self, start: Folder) -> Result<(), TreeError> {
        let what = &self.shared.options.what;
        let begun = self.push(Arc::new(start), self.tree.root(), what.whole, Some(what));
        while !self.stack.is_empty() {
            if !self.shared.goes_on() {
                self.pop();
                continue;
            }
            match self.next() {
                Ok(Some((entry, selection))) => self.entry(entry, selection),
                Ok(None) => self.pop(),
                Err(error) => {
                    let trail = self.top().folder.trail.clone();
                    self.shared.problem(trail.parent(), trail.last(), Unwritten::Tree(error));
                    self.pop();
                }
            }
        }
        self.flush();
        begun
    }

    fn top(&mut self) -> &mut Frame<'t, S> {
        self.stack.last_mut().expect("the walk is not over")
    }

    fn push(
        &mut self,
        folder: Arc<Folder>,
        place: Place,
        whole: bool,
        named: Option<&'t Selection>,
    ) -> Result<(), TreeError> {
        let entries = match named {
            Some(named) if !whole => Ok(Entries::Named(place, named.below.iter())),
            _ => self.tree.list(place).map(Entries::All),
        };
        match entries {
            Ok(entries) => {
                self.stack.push(Frame { entries, folder, whole, named });
                if let Some(far) = self.stack.len().checked_sub(OPEN + 1) {
                    self.stack[far].folder.close();
                }
                Ok(())
            }
            Err(error) => {
                Folder::release(folder, self.shared);
                Err(error)
            }
        }
    }

    /// Leaves a folder. The one it is in is open again before anybody can be the last to leave that; one that cannot be is
    /// left as well.
    fn pop(&mut self) {
        while let Some(Frame { folder, .. }) = self.stack.pop() {
            let reopened = self.stack.last().map_or(Ok(()), |above| above.folder.reopen(&folder, self.shared));
            Folder::release(folder, self.shared);
            let Err(what) = reopened else { return };
            let trail = self.top().folder.trail.clone();
            self.shared.problem(trail.parent(), trail.last(), what);
        }
    }

    /// The next entry that was chosen, with what was chosen in it by name.
    fn next(&mut self) -> Result<Option<(Entry, Option<&'t Selection>)>, TreeError> {
        let (tree, shared) = (self.tree, self.shared);
        loop {
            let Frame { entries, folder, named, .. } = self.top();
            let (entry, chosen) = match entries {
                Entries::All(list) => {
                    let Some(entry) = list.next().transpose()? else { return Ok(None) };
                    let named = named.and_then(|named| named.below.get(&entry.name));
                    (entry, named)
                }
                Entries::Named(place, names) => {
                    let Some((name, selection)) = names.next() else { return Ok(None) };
                    let found = tree.find_in(*place, name)?;
                    let leads_on = |entry: &Entry| selection.whole || matches!(entry.kind, Kind::Directory(_));
                    match found.filter(leads_on) {
                        Some(entry) => (entry, Some(selection)),
                        None => {
                            shared.problem(&folder.trail, name, Unwritten::NotInSnapshot);
                            continue;
                        }
                    }
                }
            };
            let except = &shared.options.except;
            let is_folder = matches!(entry.kind, Kind::Directory(_));
            let leaves_out =
                chosen.is_none() && !except.is_empty() && except.leave_out(&folder.trail.path(&entry.name), is_folder);
            if !leaves_out {
                return Ok(Some((entry, chosen)));
            }
        }
    }

    fn entry(&mut self, entry: Entry, selection: Option<&'t Selection>) {
        match entry.kind {
            Kind::Directory(place) => self.folder(&entry, place, selection),
            _ => self.item(entry),
        }
    }

    fn folder(&mut self, entry: &Entry, place: Place, named: Option<&'t Selection>) {
        let shared = self.shared;
        let within = self.top();
        let selected = within.whole || named.is_some_and(|named| named.whole);
        let parent = within.folder.clone();
        let passes = !selected && matches!(shared.options.to, Destination::Into(_));
        let folder = if passes { Ok(parent.pass(entry)) } else { parent.enter(entry, selected, shared) };
        let entered = folder.map(|folder| {
            count(&shared.counters.folders);
            if folder.is_new && !passes {
                shared.planned(&parent.trail, &entry.name, Action::Create);
            }
            self.push(Arc::new(folder), place, selected, named)
        });
        match entered {
            Ok(Ok(())) => {}
            Ok(Err(error)) => shared.problem(&parent.trail, &entry.name, Unwritten::Tree(error)),
            Err(what) => shared.problem(&parent.trail, &entry.name, what),
        }
        Folder::release(parent, shared);
    }

    fn item(&mut self, entry: Entry) {
        let mut item = Item::new(&self.top().folder, entry);
        if item.entry.linked {
            if self.shared.links.are_many() {
                // What they wait for may be in our hands.
                self.flush();
                self.shared.links.wait(|| self.shared.goes_on());
            }
            item = match self.shared.links.claim(item) {
                Claim::Write(item) => item,
                Claim::Link(mut item, first) => {
                    item.link = Link::To(first);
                    item
                }
                Claim::Waits => return,
            };
        }
        let is_new = self.batch.last().is_none_or(|last| !Arc::ptr_eq(&last.folder, &item.folder));
        self.folders += usize::from(is_new);
        self.bytes += match &item.entry.kind {
            Kind::File(content) => content.chunks.iter().map(|length| u64::from(*length)).sum(),
            _ => 0,
        };
        self.batch.push(item);
        if self.bytes >= BATCH_BYTES || self.batch.len() >= BATCH_ITEMS || self.folders >= BATCH_FOLDERS {
            self.flush();
        }
    }

    fn flush(&mut self) {
        (self.bytes, self.folders) = (0, 0);
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            if self.to.send(batch).is_err() {
                // All who write have panicked, which whoever waits for them will hear of.
                self.shared.stop(RestoreError::Cancelled);
            }
        }
    }
}
