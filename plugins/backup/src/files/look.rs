//! One name in an open folder: what the file system says of it, and how it is opened without a surprise.

use super::problem::Unread;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use vault::{Entry, FileTime, Kind};

/// What a file system says of one name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) kind: FileType,
    /// Permission bits alone.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Bytes that lie on the disk; less than `size` where there are holes.
    pub(super) stored: u64,
    pub(super) modified: FileTime,
    pub(super) changed: FileTime,
    pub(super) inode: u64,
    pub(super) device: u64,
    pub(super) links: u64,
    /// What a device node stands for.
    pub(super) stands_for: u64,
}

impl Look {
    /// Looks at `name` itself, not at what it links to, and sets off no automatic mount.
    pub(super) fn at(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Look, Errno> {
        rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
            .map(|found| Look::of(&found))
    }

    pub(super) fn open(file: impl AsFd) -> Result<Look, Errno> {
        rustix::fs::fstat(file).map(|found| Look::of(&found))
    }

    // Which integers these are differs between architectures.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    fn of(found: &Stat) -> Look {
        Look {
            kind: FileType::from_raw_mode(found.st_mode),
            mode: found.st_mode & 0o7777,
            uid: found.st_uid,
            gid: found.st_gid,
            size: found.st_size.max(0) as u64,
            stored: found.st_blocks.max(0) as u64 * 512,
            modified: FileTime { seconds: found.st_mtime as i64, nanoseconds: found.st_mtime_nsec as u32 },
            changed: FileTime { seconds: found.st_ctime as i64, nanoseconds: found.st_ctime_nsec as u32 },
            inode: found.st_ino as u64,
            device: found.st_dev as u64,
            links: found.st_nlink as u64,
            stands_for: found.st_rdev as u64,
        }
    }

    /// Which file it is, among all that are mounted.
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// The bytes are still those of `earlier`, as far as a file system can tell.
    pub(super) fn same_content(&self, earlier: &Look) -> bool {
        (self.size, self.modified, self.changed) == (earlier.size, earlier.modified, earlier.changed)
    }

    /// What a snapshot keeps.
    pub(super) fn entry(&self, name: &[u8], kind: Kind) -> Entry {
        Entry {
            name: name.to_vec(),
            kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            modified: self.modified,
            changed: self.changed,
            inode: self.inode,
            device: self.device,
            linked: self.links > 1 && self.kind != FileType::Directory,
            attributes: Vec::new(),
        }
    }
}

/// What a reader of files sets on every descriptor.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NOATIME);

/// Opens a folder. It is the caller's to compare it with what was looked at before.
pub(super) fn open_folder(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    without_atime(parent, name, READ | OFlags::DIRECTORY)
}

/// A handle on a folder that may be passed through but perhaps not listed. Sets off no automatic mount.
pub(super) fn pass_folder(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::DIRECTORY;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Opens a regular file that was looked at before, and looks again. Whatever has taken its name meanwhile, this does
/// not wait for the other end of a pipe and wakes no device.
pub(super) fn open_file(folder: BorrowedFd<'_>, name: &[u8]) -> Result<(OwnedFd, Look), Unread> {
    let file = without_atime(folder, name, READ | OFlags::NONBLOCK | OFlags::NOCTTY).or_else(|error| match error {
        // Another program holds a lease on it, and has now been asked to give it up.
        Errno::AGAIN => open_leased(folder, name),
        other => Err(other),
    });
    let file = file.map_err(|error| match error {
        Errno::NOENT => Unread::Vanished,
        Errno::LOOP | Errno::NXIO => Unread::Replaced,
        other => Unread::Closed(other),
    })?;
    let look = Look::open(&file).map_err(Unread::Hidden)?;
    if look.kind == FileType::RegularFile { Ok((file, look)) } else { Err(Unread::Replaced) }
}

/// Waits until the lease is given up, which the kernel enforces; only a regular file is waited for.
fn open_leased(folder: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let handle = rustix::fs::openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if Look::open(&handle)?.kind != FileType::RegularFile {
        return Err(Errno::AGAIN);
    }
    rustix::fs::open(super::attributes::by_descriptor(&handle), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Only the owner of a file, or one who may act as such, may read it without leaving a trace.
fn without_atime(folder: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(folder, name, flags - OFlags::NOATIME, Mode::empty()),
        other => other,
    }
}

/// What a link points at.
pub(super) fn link_target(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    Ok(rustix::fs::readlinkat(folder, name, Vec::new())?.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Timespec, Timestamps};
    use std::fs::File;

    fn folder() -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().unwrap();
        let open = File::open(folder.path()).unwrap();
        (folder, open)
    }

    #[test]
    fn a_moment_before_1970_keeps_its_nanoseconds() {
        let (folder, open) = folder();
        std::fs::write(folder.path().join("old"), "x").unwrap();
        let time = Timespec { tv_sec: -2_208_988_801, tv_nsec: 123_456_789 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(&open, "old", &times, AtFlags::empty()).unwrap();
        let look = Look::at(open.as_fd(), b"old").unwrap();
        // A file system with 32-bit times cannot hold it, and clamps it to 1901.
        let clamped = FileTime { seconds: -2_147_483_648, nanoseconds: 0 };
        let held = FileTime { seconds: time.tv_sec, nanoseconds: 123_456_789 };
        assert!([held, clamped].contains(&look.modified), "{:?}", look.modified);
    }

    #[test]
    fn a_pipe_under_the_name_of_a_file_is_not_waited_for() {
        let (_folder, open) = folder();
        rustix::fs::mknodat(&open, "pipe", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(open_file(open.as_fd(), b"pipe").unwrap_err(), Unread::Replaced);
        rustix::fs::symlinkat("pipe", &open, "link").unwrap();
        assert_eq!(open_file(open.as_fd(), b"link").unwrap_err(), Unread::Replaced);
        assert_eq!(open_file(open.as_fd(), b"none").unwrap_err(), Unread::Vanished);
    }

    #[test]
    fn reading_leaves_no_trace() {
        let (folder, open) = folder();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let old = Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
        let times = Timestamps { last_access: old, last_modification: old };
        rustix::fs::utimensat(&open, "file", &times, AtFlags::empty()).unwrap();
        let (file, _) = open_file(open.as_fd(), b"file").unwrap();
        assert_eq!(rustix::io::read(&file, &mut [0; 4]), Ok(1));
        assert_eq!(rustix::fs::fstat(&file).unwrap().st_atime, 1_000_000);
    }

    #[test]
    fn entries_know_of_other_names() {
        let (folder, open) = folder();
        std::fs::write(folder.path().join("a"), "x").unwrap();
        std::fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
        let look = Look::at(open.as_fd(), b"a").unwrap();
        assert!(look.entry(b"a", Kind::Socket).linked);
        assert_eq!(look.identity(), Look::at(open.as_fd(), b"b").unwrap().identity());
    }
}
