//! Extended attributes: what users and programs attach to files, POSIX ACLs and file capabilities among them.
//!
//! They come and go as bytes, in the kernel's own form. What only shows something that is kept elsewhere (`system.*`
//! other than access lists) is left out.

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// Names of access lists, which a folder hands down to what is made in it.
pub(super) const ACCESS_LIST: &[u8] = b"system.posix_acl_access";
pub(super) const DEFAULT_ACCESS_LIST: &[u8] = b"system.posix_acl_default";

/// Something that has attributes.
#[derive(Clone, Copy)]
pub(super) enum Bearer<'a> {
    Open(BorrowedFd<'a>),
    /// A name in an open folder, for what cannot be opened or need not be. Goes through `/proc`.
    Name {
        folder: BorrowedFd<'a>,
        name: &'a [u8],
    },
    /// Something opened as a mere handle, whatever it is. Goes through `/proc`.
    Handle(BorrowedFd<'a>),
}

/// A path to what a descriptor stands for, itself not followed any further.
pub(super) fn by_descriptor(open: impl AsFd) -> Vec<u8> {
    format!("/proc/self/fd/{}", open.as_fd().as_raw_fd()).into_bytes()
}

fn by_name(folder: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = by_descriptor(folder);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

impl Bearer<'_> {
    fn names(self, into: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Bearer::Open(file) => rustix::fs::flistxattr(file, into),
            Bearer::Name { folder, name } => rustix::fs::llistxattr(by_name(folder, name), into),
            Bearer::Handle(handle) => rustix::fs::listxattr(by_descriptor(handle), into),
        }
    }

    fn value(self, name: &[u8], into: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Bearer::Open(file) => rustix::fs::fgetxattr(file, name, into),
            Bearer::Name { folder, name: of } => rustix::fs::lgetxattr(by_name(folder, of), name, into),
            Bearer::Handle(handle) => rustix::fs::getxattr(by_descriptor(handle), name, into),
        }
    }

    pub(super) fn set(self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        let flags = XattrFlags::empty();
        match self {
            Bearer::Open(file) => rustix::fs::fsetxattr(file, name, value, flags),
            Bearer::Name { folder, name: of } => rustix::fs::lsetxattr(by_name(folder, of), name, value, flags),
            Bearer::Handle(handle) => rustix::fs::setxattr(by_descriptor(handle), name, value, flags),
        }
    }

    /// One that is not there is as good as removed.
    pub(super) fn remove(self, name: &[u8]) -> Result<(), Errno> {
        let removed = match self {
            Bearer::Open(file) => rustix::fs::fremovexattr(file, name),
            Bearer::Name { folder, name: of } => rustix::fs::lremovexattr(by_name(folder, of), name),
            Bearer::Handle(handle) => rustix::fs::removexattr(by_descriptor(handle), name),
        };
        match removed {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            other => other,
        }
    }

    pub(super) fn has(self, name: &[u8]) -> bool {
        matches!(self.value(name, &mut []), Ok(_) | Err(Errno::RANGE))
    }
}

/// All attributes, sorted by name, and those that could not be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) found: Vec<Attribute>,
    /// An empty name: the list of names itself.
    pub(super) unread: Vec<(Vec<u8>, Errno)>,
}

pub(super) fn read(bearer: Bearer<'_>) -> Attributes {
    let mut attributes = Attributes::default();
    let names = match grow(1024, |into| bearer.names(into)) {
        Ok(names) => names,
        // The file system has none, or what is gone will be missed by whoever reads it.
        Err(Errno::OPNOTSUPP | Errno::NOENT) => return attributes,
        Err(error) => {
            attributes.unread.push((Vec::new(), error));
            return attributes;
        }
    };
    for name in names.split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        match grow(256, |into| bearer.value(name, into)) {
            Ok(value) => attributes.found.push((name.to_vec(), value)),
            Err(Errno::NODATA | Errno::NOENT) => {}
            Err(error) => attributes.unread.push((name.to_vec(), error)),
        }
    }
    attributes.found.sort_unstable();
    attributes
}

fn is_kept(name: &[u8]) -> bool {
    let shown_only = name.starts_with(b"system.")
        && ![ACCESS_LIST, DEFAULT_ACCESS_LIST, b"system.nfs4_acl", b"system.richacl"].contains(&name);
    !name.is_empty() && !shown_only
}

/// Reads something of unknown size. The kernel limits lists and values to 64 KiB each.
fn grow(first: usize, mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0; 1024];
    match read(&mut small[..first]) {
        Ok(length) => return Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    let mut large = vec![0; 65_536];
    let length = read(&mut large)?;
    large.truncate(length);
    Ok(large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use std::fs::File;

    #[test]
    fn they_come_back_by_descriptor_and_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let open = File::open(folder.path()).unwrap();
        let file = File::create(folder.path().join("file")).unwrap();
        let by_fd = Bearer::Open(file.as_fd());
        let by_name = Bearer::Name { folder: open.as_fd(), name: b"file" };
        if by_fd.set(b"user.colour", b"red") == Err(Errno::OPNOTSUPP) {
            eprintln!("skipped: {} keeps no attributes", folder.path().display());
            return;
        }
        by_name.set(b"user.big", &[7; 3000]).unwrap();
        by_name.set(b"user.\xff", b"").unwrap();
        let expected = vec![
            (b"user.big".to_vec(), vec![7; 3000]),
            (b"user.colour".to_vec(), b"red".to_vec()),
            (b"user.\xff".to_vec(), Vec::new()),
        ];
        assert_eq!(read(by_fd).found, expected);
        assert_eq!(read(by_name), Attributes { found: expected, unread: Vec::new() });
        by_name.remove(b"user.big").unwrap();
        by_name.remove(b"user.big").unwrap();
        assert!(by_fd.has(b"user.colour") && !by_fd.has(b"user.big"));
    }

    #[test]
    fn a_handle_on_a_link_means_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let open = File::open(folder.path()).unwrap();
        File::create(folder.path().join("file")).unwrap();
        rustix::fs::symlinkat("file", &open, "link").unwrap();
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&open, "link", flags, Mode::empty()).unwrap();
        let named = Bearer::Name { folder: open.as_fd(), name: b"file" };
        match Bearer::Handle(handle.as_fd()).set(b"trusted.of", b"the link") {
            Ok(()) => {
                assert!(!named.has(b"trusted.of"));
                let link = Bearer::Name { folder: open.as_fd(), name: b"link" };
                assert_eq!(read(link).found, [(b"trusted.of".to_vec(), b"the link".to_vec())]);
            }
            Err(error) => assert!([Errno::PERM, Errno::OPNOTSUPP].contains(&error), "{error}"),
        }
        // The kernel lets nobody attach a user's attribute to a link; on the file it would have worked.
        assert!(Bearer::Handle(handle.as_fd()).set(b"user.of", b"x").is_err());
    }

    #[test]
    fn what_only_shows_something_is_left_out() {
        assert!(is_kept(b"system.posix_acl_access") && is_kept(b"security.capability") && is_kept(b"trusted.x"));
        assert!(!is_kept(b"system.sockprotoname") && !is_kept(b""));
    }
}
