//! Writes what the walk hands over: decides, makes, fills, gives metadata and name.

use super::content::{self, Cursor};
use super::decide;
use super::draft::Draft;
use super::folder::{Folder, Opened, failed, look};
use super::item::{Item, Link};
use super::links::{Claim, First};
use super::metadata::{self, Target};
use super::problem::{AtBackup, ChunkError, Step, There, Unwritten};
use super::shared::{Shared, count};
use super::{Action, ChunkSource, RestoreError};
use crate::files::attributes::{self, Bearer};
use crate::files::look::{self, Look};
use rustix::fd::AsFd as _;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use vault::{Content, Doubt, Entry, Kind};

pub(super) struct Worker<'a, S> {
    shared: &'a Shared<'a>,
    source: &'a S,
    todo: VecDeque<Item>,
}

/// Something that is to be made.
struct Ready {
    item: Item,
    opened: Arc<Opened>,
    /// The name it gets.
    name: Vec<u8>,
    replaces: bool,
}

/// A file that is being written.
struct Filling {
    ready: Ready,
    draft: Result<Draft, Unwritten>,
    cursor: Cursor,
}

impl<'a, S: ChunkSource> Worker<'a, S> {
    pub(super) fn new(shared: &'a Shared<'a>, source: &'a S) -> Worker<'a, S> {
        Worker { shared, source, todo: VecDeque::new() }
    }

    /// Does all of `items`, and what waited for them.
    pub(super) fn work(&mut self, items: Vec<Item>) {
        self.todo.extend(items);
        while !self.todo.is_empty() {
            let mut ready = VecDeque::new();
            while let Some(item) = self.todo.pop_front() {
                if !self.shared.goes_on() {
                    self.give_up(item);
                } else if let Some(one) = self.prepare(item) {
                    match &one.item.entry.kind {
                        Kind::File(content) if !content.chunks.is_empty() => ready.push_back(one),
                        Kind::File(_) => self.empty_file(one),
                        _ => self.special(one),
                    }
                }
            }
            while !ready.is_empty() {
                self.fill(&mut ready);
            }
        }
    }

    /// Decides what becomes of it, and does all that needs no content.
    fn prepare(&mut self, mut item: Item) -> Option<Ready> {
        if let Link::To(first) = std::mem::replace(&mut item.link, Link::None) {
            return self.link(item, &first);
        }
        item.link = if item.entry.linked { Link::First } else { Link::None };
        match self.decide(&item) {
            Ok((action, there)) => self.act(item, action, there),
            Err(what) => {
                self.fail(item, what);
                None
            }
        }
    }

    fn decide(&self, item: &Item) -> Result<(Action, Option<Look>), Unwritten> {
        let entry = &item.entry;
        let unread = match &entry.kind {
            Kind::File(content) if content.doubt == Some(Doubt::Unreadable) => Some(content),
            _ => None,
        };
        let Some(opened) = item.opened.as_ref().filter(|_| !item.folder.is_new) else {
            return match unread {
                Some(content) if content.chunks.is_empty() => Err(Unwritten::NeverRead),
                _ => Ok((Action::Create, None)),
            };
        };
        let there = look(opened.get(), &entry.name)?;
        let right = there.as_ref().is_some_and(|there| self.is_right(opened, entry, there));
        match (unread, &there) {
            (Some(_), Some(there)) if !right => return Err(Unwritten::Poorer(There::of(there.kind))),
            (Some(content), None) if content.chunks.is_empty() => return Err(Unwritten::NeverRead),
            _ => {}
        }
        let action = decide::action(self.shared.options.conflict, entry, there.as_ref(), right);
        // What has all its metadata too need not be touched at all.
        let complete = |there: &Look| self.is_complete(opened, entry, there);
        match there {
            Some(there) if action == Action::Mend && complete(&there) => Ok((Action::Right, Some(there))),
            there => Ok((action, there)),
        }
    }

    fn is_right(&self, opened: &Opened, entry: &Entry, there: &Look) -> bool {
        let target = match entry.kind {
            Kind::Symlink { .. } => look::link_target(opened.get(), &entry.name).ok(),
            _ => None,
        };
        if !decide::is_right(entry, there, target.as_deref()) {
            return false;
        }
        match &entry.kind {
            Kind::File(content) if self.shared.options.compare_content => {
                let Ok((file, _)) = look::open_file(opened.get(), &entry.name) else { return false };
                // What the vault cannot deliver will be reported when it is written.
                content::is_same(&file, content, self.source).unwrap_or(false)
            }
            _ => true,
        }
    }

    fn is_complete(&self, opened: &Opened, entry: &Entry, there: &Look) -> bool {
        if !metadata::is_same(entry, there, &self.shared.owners) {
            return false;
        }
        let found = attributes::read(Bearer::Name { folder: opened.get(), name: &entry.name });
        metadata::has_attributes(&found.found, entry, &self.shared.owners)
    }

    fn act(&mut self, item: Item, action: Action, there: Option<Look>) -> Option<Ready> {
        let shared = self.shared;
        shared.planned(&item.folder.trail, &item.entry.name, action);
        let opened = item.opened.clone().filter(|_| !shared.only_looks());
        match (action, there, opened) {
            (Action::Create | Action::Replace, _, Some(opened)) => {
                let name = item.entry.name.clone();
                return Some(Ready { item, opened, name, replaces: action == Action::Replace });
            }
            (Action::Beside, _, Some(opened)) => return self.beside(item, opened),
            (Action::Mend, Some(there), Some(opened)) => self.mend(item, &opened, &there),
            (Action::Right, Some(there), _) => {
                count(&shared.counters.right);
                let name = item.entry.name.clone();
                self.complete(item, name, there.identity());
            }
            (Action::Keep, ..) => {
                count(&shared.counters.kept);
                self.give_up(item);
            }
            (Action::Refuse, Some(there), _) => self.fail(item, Unwritten::Refused(There::of(there.kind))),
            (Action::Blocked, Some(there), _) => self.fail(item, Unwritten::InTheWay(There::of(there.kind))),
            // Only looking.
            _ => self.give_up(item),
        }
        None
    }

    /// Finds a name beside what is there, unless an earlier run did.
    fn beside(&mut self, item: Item, opened: Arc<Opened>) -> Option<Ready> {
        for attempt in 1.. {
            let name = decide::name_beside(&item.entry.name, attempt);
            let as_if = Entry { name: name.clone(), ..item.entry.clone() };
            match look(opened.get(), &name) {
                Ok(None) => {
                    count(&self.shared.counters.beside);
                    let what = Unwritten::Beside { name: name.clone() };
                    self.shared.problem(&item.folder.trail, &item.entry.name, what);
                    return Some(Ready { item, opened, name, replaces: false });
                }
                Ok(Some(there)) if self.is_right(&opened, &as_if, &there) => {
                    count(&self.shared.counters.right);
                    self.complete(item, name, there.identity());
                    return None;
                }
                Ok(Some(_)) => {}
                Err(what) => {
                    self.fail(item, what);
                    return None;
                }
            }
        }
        None
    }

    /// The content is right; the metadata is set again.
    fn mend(&mut self, item: Item, opened: &Opened, there: &Look) {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = item.entry.name.clone();
        let open = rustix::fs::openat(opened.get(), &name, flags, Mode::empty());
        let checked = open.and_then(|open| Look::open(&open).map(|look| (open, look)));
        let open = match checked {
            Ok((open, look)) if look.identity() == there.identity() => open,
            Ok(_) => return self.fail(item, Unwritten::InTheWay(There::of(there.kind))),
            Err(cause) => return self.fail(item, failed(Step::Open, cause)),
        };
        let target =
            Target { open: open.as_fd(), is_handle: true, has: Some(there), kind: there.kind, inherits: false };
        for what in metadata::apply(target, &item.entry, &self.shared.owners) {
            self.shared.problem(&item.folder.trail, &name, what);
        }
        count(&self.shared.counters.right);
        self.complete(item, name, there.identity());
    }

    fn empty_file(&mut self, ready: Ready) {
        let Some(filling) = self.begin(ready) else { return };
        self.end(filling);
    }

    fn special(&mut self, ready: Ready) {
        let draft = Draft::special(ready.opened.clone(), &ready.item.entry.kind, self.shared);
        match draft {
            Ok(draft) => self.publish(ready, draft, true),
            Err(what) => self.fail(ready.item, what),
        }
    }

    /// Fills files whose chunks lie one after the other, as far as they do.
    fn fill(&mut self, ready: &mut VecDeque<Ready>) {
        let Some(first) = ready.front().map(|ready| content_of(&ready.item).first) else { return };
        let mut end = first;
        let together = ready.iter().take_while(|ready| {
            let content = content_of(&ready.item);
            let follows = content.first == end;
            end += if follows { content.chunks.len() as u64 } else { 0 };
            follows
        });
        let mut run: VecDeque<Ready> = VecDeque::new();
        let together = together.count();
        run.extend(ready.drain(..together));
        let mut filling: Option<Filling> = None;
        let source = self.source;
        let result = source.chunks(first..end, &mut |chunk| {
            if filling.is_none() {
                filling = run.pop_front().and_then(|ready| self.begin(ready));
            }
            let Some(now) = &mut filling else { return ControlFlow::Break(()) };
            now.take(chunk);
            if now.cursor.has_all(content_of(&now.ready.item)) {
                let done = filling.take().expect("it was just filled");
                self.end(done);
            }
            if self.shared.goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        // The file whose chunk did not come; those after it are tried again.
        if let Some(broken) = filling.map(|filling| filling.ready).or_else(|| run.pop_front()) {
            self.broken(broken, result);
        }
        while let Some(later) = run.pop_back() {
            ready.push_front(later);
        }
        if !self.shared.goes_on() {
            ready.drain(..).for_each(|ready| self.give_up(ready.item));
        }
    }

    fn broken(&mut self, broken: Ready, result: Result<(), ChunkError>) {
        match result {
            Err(ChunkError::Lost(cause)) => {
                self.shared.stop(RestoreError::Lost(cause));
                self.give_up(broken.item);
            }
            Err(error) => self.fail(broken.item, Unwritten::Content(error)),
            Ok(()) if self.shared.goes_on() => self.fail(broken.item, Unwritten::Contradiction),
            Ok(()) => self.give_up(broken.item),
        }
    }

    fn begin(&mut self, ready: Ready) -> Option<Filling> {
        let cursor = Cursor::new(content_of(&ready.item));
        let draft = Draft::file(ready.opened.clone(), self.shared);
        Some(Filling { ready, draft, cursor })
    }

    /// All its chunks have come.
    fn end(&mut self, filling: Filling) {
        let Filling { ready, draft, cursor } = filling;
        let content = content_of(&ready.item);
        let finished = draft.and_then(|draft| cursor.finish(draft.open(), content).map(|()| draft));
        match finished {
            Ok(draft) => {
                let doubt = content.doubt;
                self.shared.bytes(content.chunks.iter().map(|length| u64::from(*length)).sum());
                if let Some(doubt) = doubt {
                    let what = Unwritten::Doubtful(AtBackup(doubt));
                    self.shared.problem(&ready.item.folder.trail, &ready.item.entry.name, what);
                }
                self.publish(ready, draft, false);
            }
            Err(what) => self.fail(ready.item, what),
        }
    }

    fn publish(&mut self, ready: Ready, draft: Draft, is_handle: bool) {
        let Ready { item, opened, name, replaces } = ready;
        let kind = decide::file_type(&item.entry.kind);
        let target = Target { open: draft.open(), is_handle, has: None, kind, inherits: item.folder.inherits };
        for what in metadata::apply(target, &item.entry, &self.shared.owners) {
            self.shared.problem(&item.folder.trail, &item.entry.name, what);
        }
        let identity =
            if matches!(item.link, Link::First) { draft.look().map(|look| look.identity()) } else { Ok((0, 0)) };
        match identity.and_then(|identity| draft.publish(&name, replaces, self.shared).map(|()| identity)) {
            Ok(identity) => {
                let counters = &self.shared.counters;
                count(if matches!(item.entry.kind, Kind::File(_)) { &counters.files } else { &counters.others });
                item.folder.wrote(&opened, self.shared);
                self.complete(item, name, identity);
            }
            Err(what) => self.fail(item, what),
        }
    }

    /// Links another name to a file that is there.
    fn link(&mut self, mut item: Item, first: &First) -> Option<Ready> {
        let Some(opened) = item.opened.clone().filter(|_| !self.shared.only_looks()) else {
            self.shared.planned(&item.folder.trail, &item.entry.name, Action::Create);
            self.give_up(item);
            return None;
        };
        let (action, there) = match self.decide(&item) {
            Ok(decided) => decided,
            Err(what) => {
                self.fail(item, what);
                return None;
            }
        };
        if there.is_some_and(|there| there.identity() == first.identity) {
            count(&self.shared.counters.right);
            Folder::release(item.folder, self.shared);
            return None;
        }
        let overwrites = self.shared.options.conflict == super::Conflict::Overwrite;
        let replaces = match action {
            Action::Create => false,
            Action::Replace => true,
            // The bytes are right, but it is a copy of its own.
            Action::Mend | Action::Right if overwrites => true,
            _ => return self.act(item, action, there),
        };
        match self.link_to(&item, &opened, first, replaces) {
            Ok(()) => {
                count(&self.shared.counters.links);
                Folder::release(item.folder, self.shared);
                None
            }
            Err(Errno::EXIST) => {
                self.fail(item, Unwritten::InTheWay(There::File));
                None
            }
            Err(cause) => {
                self.shared.problem(&item.folder.trail, &item.entry.name, Unwritten::Unlinked { cause });
                item.link = Link::None;
                let name = item.entry.name.clone();
                Some(Ready { item, opened, name, replaces })
            }
        }
    }

    fn link_to(&self, item: &Item, opened: &Arc<Opened>, first: &First, replaces: bool) -> Result<(), Errno> {
        let elsewhere;
        let from = if Arc::ptr_eq(&first.folder, &item.folder.trail) {
            opened
        } else {
            elsewhere = self.shared.open_trail(&first.folder)?;
            &elsewhere
        };
        // Somebody may have put another file there meanwhile.
        if Look::at(from.get(), &first.name)?.identity() != first.identity {
            return Err(Errno::STALE);
        }
        super::draft::link((from.get(), &first.name), (opened.get(), &item.entry.name), replaces, self.shared)
    }

    /// It is on the disk, under this name.
    fn complete(&mut self, item: Item, name: Vec<u8>, identity: (u64, u64)) {
        if matches!(item.link, Link::First) {
            let first = First { folder: item.folder.trail.clone(), name, identity };
            for mut waiting in self.shared.links.done(item.identity(), first.clone()) {
                waiting.link = Link::To(first.clone());
                self.todo.push_back(waiting);
            }
        }
        Folder::release(item.folder, self.shared);
    }

    fn fail(&mut self, item: Item, what: Unwritten) {
        self.shared.problem(&item.folder.trail, &item.entry.name, what);
        self.give_up(item);
    }

    /// It will not be on the disk; another of its names may be.
    fn give_up(&mut self, item: Item) {
        if matches!(item.link, Link::First) {
            for waiting in self.shared.links.given_up(item.identity()) {
                self.claim(waiting);
            }
        }
        Folder::release(item.folder, self.shared);
    }

    fn claim(&mut self, item: Item) {
        match self.shared.links.claim(item) {
            Claim::Write(item) => self.todo.push_back(item),
            Claim::Link(mut item, first) => {
                item.link = Link::To(first);
                self.todo.push_back(item);
            }
            Claim::Waits => {}
        }
    }
}

impl Filling {
    fn take(&mut self, chunk: &[u8]) {
        // What comes after a failure is passed over, so that the files after it still get theirs.
        let content = content_of(&self.ready.item);
        let failed = match &self.draft {
            Ok(draft) => self.cursor.write(draft.open(), content, chunk).err(),
            Err(_) => {
                self.cursor.skip();
                None
            }
        };
        if let Some(what) = failed {
            self.draft = Err(what);
        }
    }
}

fn content_of(item: &Item) -> &Content {
    match &item.entry.kind {
        Kind::File(content) => content,
        _ => unreachable!("only files are filled"),
    }
}
