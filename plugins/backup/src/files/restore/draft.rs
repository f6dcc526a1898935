//! Something that is made where nobody sees it, and gets its name when it is finished.
//!
//! A file has no name at all until then, where the file system can do that; anything else has one that tells what it is. So a
//! restore that is killed leaves nothing half done under a real name.

use super::folder::{Opened, failed};
use super::problem::{Step, There, Unwritten};
use super::shared::Shared;
use crate::files::attributes::by_descriptor;
use crate::files::look::Look;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::sync::Arc;
use vault::Kind;

pub(super) struct Draft {
    folder: Arc<Opened>,
    open: OwnedFd,
    /// The name it has meanwhile.
    name: Option<Vec<u8>>,
}

impl Draft {
    /// A file to write into.
    pub(super) fn file(folder: Arc<Opened>, shared: &Shared<'_>) -> Result<Draft, Unwritten> {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::openat(folder.get(), ".", flags | OFlags::TMPFILE, mode) {
            Ok(open) => return Ok(Draft { folder, open, name: None }),
            // The file system knows no files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {}
            Err(cause) => return Err(failed(Step::Make, cause)),
        }
        Draft::named_file(folder, shared)
    }

    fn named_file(folder: Arc<Opened>, shared: &Shared<'_>) -> Result<Draft, Unwritten> {
        let name = shared.unfinished_name();
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let open = rustix::fs::openat(folder.get(), &name, flags, mode).map_err(|cause| failed(Step::Make, cause))?;
        Ok(Draft { folder, open, name: Some(name) })
    }

    /// A link, device, pipe or socket.
    pub(super) fn special(folder: Arc<Opened>, kind: &Kind, shared: &Shared<'_>) -> Result<Draft, Unwritten> {
        let within = folder.get();
        let name = shared.unfinished_name();
        let node = |kind, device| rustix::fs::mknodat(within, &name, kind, Mode::RUSR | Mode::WUSR, device);
        let made = match kind {
            Kind::Symlink { target } => rustix::fs::symlinkat(&target[..], within, &name[..]),
            Kind::Fifo => node(FileType::Fifo, 0),
            Kind::Socket => node(FileType::Socket, 0),
            Kind::CharacterDevice { major, minor } => {
                node(FileType::CharacterDevice, rustix::fs::makedev(*major, *minor))
            }
            Kind::BlockDevice { major, minor } => node(FileType::BlockDevice, rustix::fs::makedev(*major, *minor)),
            Kind::File(_) | Kind::Directory(_) => Err(Errno::INVAL),
        };
        made.map_err(|cause| failed(Step::Make, cause))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open =
            rustix::fs::openat(within, &name, flags, Mode::empty()).map_err(|cause| failed(Step::Open, cause))?;
        Ok(Draft { folder, open, name: Some(name) })
    }

    pub(super) fn open(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }

    pub(super) fn look(&self) -> Result<Look, Unwritten> {
        Look::open(&self.open).map_err(|cause| failed(Step::Look, cause))
    }

    /// Gives it its name, which nothing has, unless it replaces what has it.
    pub(super) fn publish(mut self, name: &[u8], replaces: bool, shared: &Shared<'_>) -> Result<(), Unwritten> {
        let folder = self.folder.get();
        let between = self.name.take();
        let named = match between {
            None if replaces => {
                let between = shared.unfinished_name();
                link_open(&self.open, folder, &between).and_then(|()| rename(folder, &between, name, true))
            }
            None => link_open(&self.open, folder, name),
            Some(between) => rename(folder, &between, name, replaces),
        };
        named.map_err(in_the_way)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Whatever it is, it tells by its name that it was not finished.
            let _left = rustix::fs::unlinkat(self.folder.get(), name, AtFlags::empty());
        }
    }
}

/// Links an existing file to another name.
pub(super) fn link(
    (from, first): (BorrowedFd<'_>, &[u8]),
    (to, name): (BorrowedFd<'_>, &[u8]),
    replaces: bool,
    shared: &Shared<'_>,
) -> Result<(), Errno> {
    if !replaces {
        return rustix::fs::linkat(from, first, to, name, AtFlags::empty());
    }
    let between = shared.unfinished_name();
    rustix::fs::linkat(from, first, to, &between, AtFlags::empty())?;
    rename(to, &between, name, true)?;
    // Between two names of one file, renaming does nothing.
    match rustix::fs::unlinkat(to, &between, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

fn link_open(open: &OwnedFd, folder: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::linkat(open, "", folder, name, AtFlags::EMPTY_PATH) {
        // Older kernels allow this to root alone.
        Err(Errno::NOENT | Errno::PERM) => {
            rustix::fs::linkat(CWD, by_descriptor(open), folder, name, AtFlags::SYMLINK_FOLLOW)
        }
        other => other,
    }
}

fn rename(folder: BorrowedFd<'_>, from: &[u8], to: &[u8], replaces: bool) -> Result<(), Errno> {
    let renamed = if replaces {
        rustix::fs::renameat(folder, from, folder, to)
    } else {
        match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
            // The file system cannot promise it: look first.
            Err(Errno::INVAL | Errno::NOSYS) => match Look::at(folder, to) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => rustix::fs::renameat(folder, from, folder, to),
                Err(error) => Err(error),
            },
            other => other,
        }
    };
    if renamed.is_err() {
        // The cause is reported; what stays behind tells by its name that it was not finished.
        let _left = rustix::fs::unlinkat(folder, from, AtFlags::empty());
    }
    renamed
}

/// Something took the name since it was looked at.
fn in_the_way(cause: Errno) -> Unwritten {
    match cause {
        Errno::EXIST => Unwritten::InTheWay(There::File),
        Errno::ISDIR => Unwritten::InTheWay(There::Folder),
        cause => failed(Step::Name, cause),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Destination, RestoreOptions, Watch, WriteProblem};
    use super::*;
    use std::fs;
    use std::path::Path;

    struct Nobody;

    impl Watch for Nobody {
        fn problem(&self, problem: WriteProblem) {
            panic!("{problem}");
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// In a folder with one file, all ways to make another one.
    fn with_each(test: impl Fn(&Path, Draft, &Shared<'_>)) {
        let options = RestoreOptions::new(Destination::Original);
        for make in [Draft::file, Draft::named_file] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("there"), "old").unwrap();
            let shared = Shared::new(&options, &Nobody, None);
            let opened = Arc::new(Opened::start(folder.path()).unwrap());
            let draft = make(opened, &shared).unwrap();
            rustix::io::write(draft.open(), b"new").unwrap();
            test(folder.path(), draft, &shared);
        }
    }

    #[test]
    fn a_draft_gets_a_name_that_is_free() {
        with_each(|folder, draft, shared| {
            draft.publish(b"new", false, shared).unwrap();
            assert_eq!(names(folder), ["new", "there"]);
            assert_eq!(fs::read_to_string(folder.join("new")).unwrap(), "new");
        });
    }

    #[test]
    fn a_draft_replaces_nothing_unless_it_should() {
        with_each(|folder, draft, shared| {
            let refused = draft.publish(b"there", false, shared);
            assert!(matches!(refused, Err(Unwritten::InTheWay(There::File))));
            assert_eq!(fs::read_to_string(folder.join("there")).unwrap(), "old");
            assert_eq!(names(folder), ["there"]);
        });
        with_each(|folder, draft, shared| {
            draft.publish(b"there", true, shared).unwrap();
            assert_eq!(fs::read_to_string(folder.join("there")).unwrap(), "new");
            assert_eq!(names(folder), ["there"]);
        });
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        with_each(|folder, draft, _| {
            drop(draft);
            assert_eq!(names(folder), ["there"]);
        });
    }

    #[test]
    fn two_names_of_one_file_stay_two_names() {
        with_each(|folder, draft, shared| {
            draft.publish(b"new", false, shared).unwrap();
            let opened = Opened::start(folder).unwrap();
            link((opened.get(), b"new"), (opened.get(), b"there"), true, shared).unwrap();
            link((opened.get(), b"new"), (opened.get(), b"there"), true, shared).unwrap();
            assert_eq!(names(folder), ["new", "there"]);
            assert_eq!(fs::read_to_string(folder.join("there")).unwrap(), "new");
            assert_eq!(link((opened.get(), b"new"), (opened.get(), b"there"), false, shared), Err(Errno::EXIST));
        });
    }
}
