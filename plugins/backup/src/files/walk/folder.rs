//! Folders that are being read.

use crate::files::look::{Look, pass_folder};
use crate::files::trail::Trail;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Descriptors of folders that this machine lets be open, and how many are.
#[derive(Debug)]
pub(super) struct Descriptors {
    open: AtomicUsize,
    most: usize,
}

impl Descriptors {
    /// Raises the limit of this process as far as it may: its usual value is from a time when tables were small.
    pub(super) fn of_process() -> Arc<Descriptors> {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.unwrap_or(u64::MAX).min(16_384);
        let mut limit = current.unwrap_or(u64::MAX);
        if limit < wanted && setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).is_ok() {
            limit = wanted;
        }
        let most = usize::try_from(limit / 2).unwrap_or(usize::MAX).min(8192);
        Arc::new(Descriptors { open: AtomicUsize::new(0), most })
    }

    /// So many are open that files which wait to be read must be read first.
    pub(super) fn are_many(&self) -> bool {
        self.open.load(Ordering::Relaxed) >= self.most
    }
}

/// An open folder, as long as anybody reads in it.
#[derive(Debug)]
pub(super) struct Folder {
    open: OwnedFd,
    pub(super) trail: Arc<Trail>,
    descriptors: Arc<Descriptors>,
}

impl Folder {
    pub(super) fn new(open: OwnedFd, trail: Arc<Trail>, descriptors: &Arc<Descriptors>) -> Arc<Folder> {
        descriptors.open.fetch_add(1, Ordering::Relaxed);
        Arc::new(Folder { open, trail, descriptors: descriptors.clone() })
    }

    pub(super) fn open(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.open
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.descriptors.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The root of the machine. It can be passed by everybody, but perhaps not be listed.
pub(super) fn root(lists: bool) -> Result<OwnedFd, Errno> {
    let how = if lists { OFlags::RDONLY } else { OFlags::PATH };
    rustix::fs::open("/", how | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a folder again, which is `identity`: by going up from `below`, or, where that was moved, from the root.
pub(super) fn reopen(
    below: Option<&Folder>,
    trail: &Arc<Trail>,
    identity: (u64, u64),
    descriptors: &Arc<Descriptors>,
) -> Option<Arc<Folder>> {
    let is_it = |open: &OwnedFd| Look::open(open).is_ok_and(|look| look.identity() == identity);
    let up = below.and_then(|below| pass_folder(below.open(), b"..").ok());
    let along = || {
        let root = root(false).ok()?;
        trail.names().into_iter().try_fold(root, |at, name| pass_folder(at.as_fd(), name)).ok()
    };
    let open = up.filter(is_it).or_else(|| along().filter(is_it))?;
    Some(Folder::new(open, trail.clone(), descriptors))
}
