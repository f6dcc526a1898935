//! Folders that are being written into.
//!
//! A folder is opened or made once, and everything in it goes through its descriptor, one name at a time: whatever a
//! snapshot holds and whatever others do meanwhile, nothing leads out of it. It gets its metadata when nobody writes into
//! it or below it any more.

use super::decide::name_beside;
use super::metadata::{self, Target};
use super::problem::{Step, There, Unwritten};
use super::{Conflict, shared::Shared};
use crate::files::attributes::{Bearer, DEFAULT_ACCESS_LIST};
use crate::files::look::Look;
use crate::files::trail::Trail;
use parking_lot::Mutex;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::sync::Arc;
use vault::Entry;

/// Permissions of a folder that is not finished. Hardly any other folder has them, so that a restore that was cut off
/// knows its own when it is run again.
const UNFINISHED: u32 = 0o1700;

/// An open folder.
#[derive(Debug)]
pub(super) struct Opened {
    descriptor: OwnedFd,
    /// It may be passed through but not be read.
    is_handle: bool,
}

impl Opened {
    pub(super) fn get(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Opens a name in a folder, but no link.
    fn at(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Opened, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(parent, name, flags | OFlags::RDONLY, Mode::empty()) {
            Err(Errno::ACCESS) => rustix::fs::openat(parent, name, flags | OFlags::PATH, Mode::empty())
                .map(|descriptor| Opened { descriptor, is_handle: true }),
            other => other.map(|descriptor| Opened { descriptor, is_handle: false }),
        }
    }

    /// Removes what a restore that was killed had not finished here. What cannot be removed tells by its name what it is.
    fn clear(&self, shared: &Shared<'_>) {
        let Ok(names) = rustix::fs::Dir::read_from(self.get()) else { return };
        for name in names.filter_map(Result::ok).map(|entry| entry.file_name().to_bytes().to_vec()) {
            if shared.is_left_over(&name) {
                let _left = rustix::fs::unlinkat(self.get(), &name, rustix::fs::AtFlags::empty());
            }
        }
    }

    /// Opens where a restore begins; links on the way there are the operator's own.
    pub(super) fn start(path: &std::path::Path) -> Result<Opened, Errno> {
        let descriptor = rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
        Ok(Opened { descriptor, is_handle: false })
    }

    /// Opens what lies along these names, but no link.
    pub(super) fn along<'a>(
        self: &Arc<Opened>,
        names: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Arc<Opened>, Errno> {
        names.into_iter().try_fold(self.clone(), |folder, name| Opened::at(folder.get(), name).map(Arc::new))
    }

    /// Waits until everything on its file system is on the disk.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        if self.is_handle { Ok(()) } else { rustix::fs::syncfs(&self.descriptor) }
    }
}

/// A folder with something still to be done in it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) trail: Arc<Trail>,
    parent: Option<Arc<Folder>>,
    /// Closed while the walk is far below; nothing in a restore that only looks, where the folder is not there.
    opened: Mutex<Option<Arc<Opened>>>,
    identity: (u64, u64),
    /// Made by this run, so that nothing is in it yet.
    pub(super) is_new: bool,
    /// Hands down access lists to what is made in it.
    pub(super) inherits: bool,
    /// Metadata it gets in the end.
    finish: Option<Entry>,
    had: Option<Look>,
}

impl Folder {
    /// Where a restore begins.
    pub(super) fn start(opened: Option<Arc<Opened>>, finish: Option<Entry>) -> Result<Folder, Errno> {
        let had = opened.as_ref().map(|opened| Look::open(opened.get())).transpose()?;
        let inherits = opened.as_ref().is_some_and(|opened| hands_down(opened));
        Ok(Folder {
            trail: Trail::start(),
            parent: None,
            is_new: opened.is_none(),
            opened: Mutex::new(opened),
            identity: had.map_or((0, 0), |look| look.identity()),
            inherits,
            finish,
            had,
        })
    }

    pub(super) fn opened(&self) -> Option<Arc<Opened>> {
        self.opened.lock().clone()
    }

    /// Lets go of the descriptor until `reopen`; who has it in use keeps it.
    pub(super) fn close(&self) {
        *self.opened.lock() = None;
    }

    /// Opens it again: from a folder in it, or, where that was moved, from where the restore began.
    pub(super) fn reopen(&self, child: &Folder, shared: &Shared<'_>) -> Result<(), Unwritten> {
        let mut opened = self.opened.lock();
        if opened.is_some() || shared.only_looks() {
            return Ok(());
        }
        let up = |below: Arc<Opened>| Opened::at(below.get(), b"..").map(Arc::new).ok();
        let is_it = |again: &Arc<Opened>| Look::open(again.get()).is_ok_and(|look| look.identity() == self.identity);
        let again = child.opened().and_then(up).filter(is_it);
        let again = again.or_else(|| shared.open_trail(&self.trail).ok().filter(is_it));
        *opened = Some(again.ok_or(Unwritten::Moved)?);
        Ok(())
    }

    /// Something in it was written.
    pub(super) fn wrote(&self, opened: &Arc<Opened>, shared: &Shared<'_>) {
        shared.wrote_on(self.identity.0, opened);
    }

    /// A folder in this one. `selected`: it is to be restored itself, not only passed on the way to what is.
    pub(super) fn enter(
        self: &Arc<Folder>,
        entry: &Entry,
        selected: bool,
        shared: &Shared<'_>,
    ) -> Result<Folder, Unwritten> {
        let Some(parent) = self.opened() else {
            // Only looking: what is not there would be made.
            return if shared.only_looks() { Ok(self.imagined(&entry.name, entry)) } else { Err(Unwritten::Moved) };
        };
        let found = if self.is_new { None } else { look(parent.get(), &entry.name)? };
        match found {
            Some(there) if there.kind == FileType::Directory => {
                let opened = Opened::at(parent.get(), &entry.name).map_err(|cause| failed(Step::Open, cause))?;
                self.existing(opened, &entry.name, entry, selected, shared)
            }
            None if shared.only_looks() => Ok(self.imagined(&entry.name, entry)),
            None => self.made(&parent, &entry.name, entry),
            Some(there) if !selected => Err(Unwritten::InTheWay(There::of(there.kind))),
            Some(there) => self.instead(&parent, there, entry, shared),
        }
    }

    /// A folder that is passed over: what is in it goes to this one's place.
    pub(super) fn pass(self: &Arc<Folder>, entry: &Entry) -> Folder {
        Folder {
            trail: self.trail.name(b"", &entry.name),
            parent: Some(self.clone()),
            opened: Mutex::new(self.opened()),
            identity: self.identity,
            is_new: self.is_new,
            inherits: self.inherits,
            finish: None,
            had: self.had,
        }
    }

    fn imagined(self: &Arc<Folder>, name: &[u8], entry: &Entry) -> Folder {
        Folder {
            trail: self.trail.name(name, &entry.name),
            parent: Some(self.clone()),
            opened: Mutex::new(None),
            identity: (0, 0),
            is_new: true,
            inherits: false,
            finish: None,
            had: None,
        }
    }

    fn existing(
        self: &Arc<Folder>,
        opened: Opened,
        name: &[u8],
        entry: &Entry,
        selected: bool,
        shared: &Shared<'_>,
    ) -> Result<Folder, Unwritten> {
        let had = Look::open(opened.get()).map_err(|cause| failed(Step::Look, cause))?;
        let is_unfinished = had.mode == UNFINISHED && had.uid == rustix::process::geteuid().as_raw();
        if is_unfinished && !shared.only_looks() {
            opened.clear(shared);
        }
        let finishes = is_unfinished || (selected && shared.options.conflict == Conflict::Overwrite);
        Ok(Folder {
            trail: self.trail.name(name, &entry.name),
            parent: Some(self.clone()),
            identity: had.identity(),
            is_new: false,
            inherits: hands_down(&opened),
            opened: Mutex::new(Some(Arc::new(opened))),
            finish: (finishes && !shared.only_looks()).then(|| entry.clone()),
            had: Some(had),
        })
    }

    fn made(self: &Arc<Folder>, parent: &Opened, name: &[u8], entry: &Entry) -> Result<Folder, Unwritten> {
        rustix::fs::mkdirat(parent.get(), name, Mode::from_raw_mode(UNFINISHED))
            .map_err(|cause| failed(Step::Make, cause))?;
        let opened = Opened::at(parent.get(), name).map_err(|cause| failed(Step::Open, cause))?;
        let look = Look::open(opened.get()).map_err(|cause| failed(Step::Look, cause))?;
        // Others who may write here could have put a folder of theirs in its place.
        let is_mine = look.uid == rustix::process::geteuid().as_raw() && look.mode & 0o077 == 0;
        if !is_mine && self.may_be_written_by_others() {
            return Err(Unwritten::Moved);
        }
        Ok(Folder {
            trail: self.trail.name(name, &entry.name),
            parent: Some(self.clone()),
            identity: look.identity(),
            is_new: true,
            inherits: self.inherits,
            opened: Mutex::new(Some(Arc::new(opened))),
            finish: Some(entry.clone()),
            had: None,
        })
    }

    /// A file system without owners or permissions shows the same for every folder.
    fn may_be_written_by_others(&self) -> bool {
        !self.is_new && self.had.is_some_and(|had| had.mode & 0o022 != 0)
    }

    /// Something else has the name.
    fn instead(
        self: &Arc<Folder>,
        parent: &Opened,
        there: Look,
        entry: &Entry,
        shared: &Shared<'_>,
    ) -> Result<Folder, Unwritten> {
        let what = There::of(there.kind);
        match shared.options.conflict {
            Conflict::Overwrite if shared.only_looks() => Ok(self.imagined(&entry.name, entry)),
            Conflict::Overwrite => {
                rustix::fs::unlinkat(parent.get(), &entry.name, AtFlags::empty())
                    .map_err(|cause| failed(Step::Remove, cause))?;
                self.made(parent, &entry.name, entry)
            }
            Conflict::Rename => {
                let (name, found) = (1..)
                    .map(|attempt| name_beside(&entry.name, attempt))
                    .find_map(|name| match look(parent.get(), &name) {
                        Ok(Some(there)) if there.kind != FileType::Directory => None,
                        other => Some(other.map(|found| (name, found.is_some()))),
                    })
                    .expect("a folder has fewer names than there are numbers")?;
                shared.problem(&self.trail, &entry.name, Unwritten::Beside { name: name.clone() });
                if found {
                    let opened = Opened::at(parent.get(), &name).map_err(|cause| failed(Step::Open, cause))?;
                    return self.existing(opened, &name, entry, true, shared);
                }
                if shared.only_looks() { Ok(self.imagined(&name, entry)) } else { self.made(parent, &name, entry) }
            }
            Conflict::Refuse => Err(Unwritten::Refused(what)),
            Conflict::Keep | Conflict::KeepNewer => Err(Unwritten::InTheWay(what)),
        }
    }

    /// Nobody needs `folder` here any more. Whoever is the last one finishes it, and then those above it.
    pub(super) fn release(folder: Arc<Folder>, shared: &Shared<'_>) {
        let mut next = Some(folder);
        while let Some(mut folder) = next.and_then(Arc::into_inner) {
            folder.finish(shared);
            next = folder.parent.take();
        }
    }

    fn finish(&mut self, shared: &Shared<'_>) {
        let Some(entry) = self.finish.take() else { return };
        if !shared.goes_on() {
            // Something is missing from it: it stays unfinished, and the next restore goes on in it.
            return;
        }
        let (parent, name) = (self.trail.parent(), self.trail.last().to_vec());
        let Some(opened) = self.opened() else {
            shared.problem(parent, &name, Unwritten::Moved);
            return;
        };
        let target = Target {
            open: opened.get(),
            is_handle: opened.is_handle,
            has: self.had.as_ref(),
            kind: FileType::Directory,
            inherits: self.parent.as_ref().is_some_and(|parent| parent.inherits),
        };
        for what in metadata::apply(target, &entry, &shared.owners) {
            shared.problem(parent, &name, what);
        }
        shared.wrote_on(self.identity.0, &opened);
    }
}

impl Drop for Folder {
    /// A chain of folders as deep as the tree must not be taken apart by recursion.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut folder) = next.and_then(Arc::into_inner) {
            next = folder.parent.take();
        }
    }
}

fn hands_down(folder: &Opened) -> bool {
    let bearer = if folder.is_handle { Bearer::Handle(folder.get()) } else { Bearer::Open(folder.get()) };
    bearer.has(DEFAULT_ACCESS_LIST)
}

/// What is there under this name, if anything.
pub(super) fn look(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Look>, Unwritten> {
    match Look::at(folder, name) {
        Ok(look) => Ok(Some(look)),
        Err(Errno::NOENT) => Ok(None),
        Err(cause) => Err(failed(Step::Look, cause)),
    }
}

pub(super) fn failed(step: Step, cause: Errno) -> Unwritten {
    Unwritten::Failed { step, cause }
}
