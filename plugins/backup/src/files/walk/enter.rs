//! Whether a folder is entered, and how.

use super::WalkOptions;
use super::folder::{Descriptors, Folder};
use crate::files::look::{Look, open_folder, pass_folder};
use crate::files::mounts::FileSystem;
use crate::files::problem::Unread;
use crate::files::trail::Trail;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

/// Says of a folder that what is in it can be made again (bford.info/cachedir).
const TAG: &[u8] = b"CACHEDIR.TAG";
const TAGGED: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// What is known before the walk begins.
pub(super) struct Rules<'a> {
    options: &'a WalkOptions,
    /// Folders that backups are kept in.
    own: HashSet<(u64, u64)>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(options: &'a WalkOptions) -> Rules<'a> {
        let own = options.leave_out.iter().filter_map(|path| std::fs::metadata(path).ok());
        Rules { options, own: own.map(|found| (found.dev(), found.ino())).collect() }
    }

    /// Opens a folder of which everything is wanted. `named`: the operator named it, so it may lie on any file system.
    pub(super) fn enter(
        &self,
        parent: (BorrowedFd<'_>, &Look),
        name: &[u8],
        look: &Look,
        named: bool,
    ) -> Result<OwnedFd, Unread> {
        if self.own.contains(&look.identity()) {
            return Err(Unread::Own);
        }
        let (parent, above) = parent;
        let open = if named || look.device != above.device {
            // A handle can be asked what it lies on without waking anything.
            let handle = pass_folder(parent, name).map_err(closed)?;
            self.check(&handle, look, named)?;
            open_folder(handle.as_fd(), b".")
        } else {
            open_folder(parent, name)
        };
        let open = open.map_err(closed)?;
        let now = Look::open(&open).map_err(Unread::Hidden)?;
        if now.identity() == look.identity() { Ok(open) } else { Err(Unread::Replaced) }
    }

    fn check(&self, handle: impl AsFd, look: &Look, named: bool) -> Result<(), Unread> {
        let found = rustix::fs::fstatfs(handle).map_err(Unread::Hidden)?;
        match FileSystem::of(&found, look.device) {
            kind @ FileSystem::Pseudo(_) if named => Err(Unread::NoFiles(kind)),
            _ if named => Ok(()),
            kind @ FileSystem::Pseudo(_) => Err(Unread::NotEntered(kind)),
            _ if self.options.one_file_system => Err(Unread::OtherFileSystem),
            FileSystem::Disk => Ok(()),
            kind => Err(Unread::NotEntered(kind)),
        }
    }

    /// What was named and is no folder may lie anywhere but where no files are.
    pub(super) fn check_named(&self, folder: BorrowedFd<'_>, look: &Look) -> Result<(), Unread> {
        self.check(folder, look, true)
    }

    /// Of a cache, the tag alone is wanted, so that it is known as one after a restore as well.
    pub(super) fn only(&self, folder: BorrowedFd<'_>) -> Option<&'static [u8]> {
        (self.options.skip_caches && is_cache(folder)).then_some(TAG)
    }
}

/// Opens a folder on the way to what was named.
pub(super) fn pass(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Unread> {
    pass_folder(parent, name).map_err(closed)
}

fn closed(cause: Errno) -> Unread {
    match cause {
        Errno::NOENT => Unread::Vanished,
        Errno::NOTDIR | Errno::LOOP => Unread::Replaced,
        other => Unread::Closed(other),
    }
}

fn is_cache(folder: BorrowedFd<'_>) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(tag) = rustix::fs::openat(folder, TAG, flags, Mode::empty()) else { return false };
    let mut begin = [0; TAGGED.len()];
    rustix::io::pread(&tag, &mut begin, 0) == Ok(TAGGED.len()) && begin == TAGGED
}

/// The folders that the walk is in: one that comes again within itself leads nowhere new.
#[derive(Default)]
pub(super) struct Above(HashMap<(u64, u64), usize>);

impl Above {
    /// The depth at which it is entered already.
    pub(super) fn enter(&mut self, identity: (u64, u64), depth: usize) -> Result<(), usize> {
        match self.0.entry(identity) {
            std::collections::hash_map::Entry::Occupied(above) => Err(*above.get()),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(depth);
                Ok(())
            }
        }
    }

    pub(super) fn leave(&mut self, identity: (u64, u64)) {
        self.0.remove(&identity);
    }
}

/// The root as the first folder of a walk.
pub(super) fn begin(lists: bool, descriptors: &Arc<Descriptors>) -> Result<(Arc<Folder>, Look), Errno> {
    let open = super::folder::root(lists)?;
    let look = Look::open(&open)?;
    Ok((Folder::new(open, Trail::start(), descriptors), look))
}
