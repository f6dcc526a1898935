//! A file that waits to be read, and what happens to it then.

use super::folder::Folder;
use crate::files::extents::extents;
use crate::files::look::{Look, open_file};
use crate::files::problem::{Problem, ReadProblem, Unread};
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::io;
use std::sync::Arc;
use vault::{FileSource, Layout};

/// Problems that come up where files are read, until the walk takes them.
pub(super) type Problems = Arc<Mutex<Vec<ReadProblem>>>;

/// A regular file of this machine. It is opened when its turn comes, by its name in the folder it was found in.
pub struct MachineFile {
    folder: Arc<Folder>,
    name: Vec<u8>,
    /// When it was found; when it was opened, from then on.
    look: Look,
    open: Option<OwnedFd>,
    problems: Problems,
}

impl MachineFile {
    pub(super) fn new(folder: &Arc<Folder>, name: &[u8], look: Look, problems: &Problems) -> MachineFile {
        MachineFile { folder: folder.clone(), name: name.to_vec(), look, open: None, problems: problems.clone() }
    }

    fn problem(&self, what: Unread) {
        self.problems.lock().push(self.about(what));
    }

    pub(super) fn about(&self, what: Unread) -> ReadProblem {
        Problem { path: self.folder.trail.path(&self.name), what }
    }
}

/// What became of a file, from what its source said.
pub(super) fn unread(error: io::Error) -> Unread {
    let errno = Errno::from_io_error(&error);
    match error.into_inner().map(|inner| inner.downcast::<Unread>()) {
        Some(Ok(unread)) => *unread,
        _ => Unread::Unreadable(errno.unwrap_or(Errno::IO)),
    }
}

fn error(what: Unread) -> io::Error {
    let kind = match what {
        // What took the name of a file is not that file any more.
        Unread::Vanished | Unread::Replaced => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, what)
}

fn unreadable(errno: Errno) -> io::Error {
    match errno {
        Errno::INTR => io::ErrorKind::Interrupted.into(),
        errno => error(Unread::Unreadable(errno)),
    }
}

impl FileSource for MachineFile {
    fn size(&self) -> u64 {
        self.look.size
    }

    fn open(&mut self) -> io::Result<Layout> {
        let (open, look) = open_file(self.folder.open(), &self.name).map_err(error)?;
        let has_holes = look.stored < look.size;
        let found = has_holes.then(|| extents(&open, look.size)).transpose().map_err(unreadable)?;
        let size = look.size;
        (self.look, self.open) = (look, Some(open));
        let extents = found.filter(|extents| extents[..] != [(0, size)]);
        Ok(Layout { size: Some(size), extents })
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let open = self.open.as_ref().expect("a file is opened before it is read");
        rustix::io::pread(open, into, offset).map_err(unreadable)
    }

    fn close(&mut self) -> io::Result<bool> {
        let Some(open) = self.open.take() else { return Ok(true) };
        let now = Look::open(&open).map_err(|cause| error(Unread::Hidden(cause)))?;
        let same = now.same_content(&self.look);
        if !same {
            self.problem(Unread::Changed);
        }
        Ok(same)
    }
}
