//! Gives a plugin's directory, with all that is in it, to the account that the plugin runs as: the host may have run as
//! somebody else before.
//!
//! Whoever owned it before may have put anything there: no link is followed, and what did not belong to that owner, or has a
//! second name elsewhere, stays as it is.

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Directories in each other: one descriptor each.
const DEPTH: usize = 200;

/// # Errors
/// It is not there, or this process may not give it away.
pub(super) fn give(directory: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let top = rustix::fs::open(directory, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let found = rustix::fs::fstat(&top)?;
    if (found.st_uid, found.st_gid) == (uid, gid) {
        return Ok(());
    }
    let to = Giving { from: found.st_uid, uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) };
    if found.st_uid != uid {
        to.inside(&top, DEPTH)?;
    }
    // Last: a directory that is given already is not looked into again.
    to.one(&top)
}

struct Giving {
    /// Who owned the directory so far.
    from: u32,
    uid: Uid,
    gid: Gid,
}

impl Giving {
    fn one(&self, what: impl AsFd) -> io::Result<()> {
        Ok(rustix::fs::chownat(what, c"", Some(self.uid), Some(self.gid), AtFlags::EMPTY_PATH)?)
    }

    fn inside(&self, directory: &OwnedFd, depth: usize) -> io::Result<()> {
        if depth == 0 {
            return Err(io::Error::other("there are too many directories in each other"));
        }
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Some((what, found)) = look(directory, name)? else { continue };
            let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            if found.st_uid != self.from || (!is_directory && found.st_nlink > 1) {
                continue;
            }
            if is_directory {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
                self.inside(&rustix::fs::openat(directory, name, flags, Mode::empty())?, depth - 1)?;
            }
            self.one(what)?;
        }
        Ok(())
    }
}

/// A handle on a name itself, whatever it is; none where it is gone.
fn look(directory: &OwnedFd, name: &CStr) -> io::Result<Option<(OwnedFd, Stat)>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(what) => {
            let found = rustix::fs::fstat(&what)?;
            Ok(Some((what, found)))
        }
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, chown, lchown, symlink};

    const BEFORE: u32 = 4711;
    const AFTER: u32 = 4712;

    #[test]
    fn everything_of_the_owner_before_goes_and_nothing_else() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root gives files away");
            return;
        }
        let work = tempfile::tempdir().unwrap();
        let (files, outside) = (work.path().join("files"), work.path().join("outside"));
        fs::create_dir_all(files.join("vault/packs/00")).unwrap();
        fs::create_dir(&outside).unwrap();
        for path in ["files/vault/vault.json", "files/vault/packs/00/1.pack", "outside/theirs", "outside/roots"] {
            fs::write(work.path().join(path), "").unwrap();
        }
        symlink(outside.join("theirs"), files.join("link")).unwrap();
        symlink(&outside, files.join("way out")).unwrap();
        fs::hard_link(outside.join("roots"), files.join("roots")).unwrap();
        let theirs = ["", "vault", "vault/packs", "vault/packs/00", "vault/vault.json", "vault/packs/00/1.pack"];
        theirs.iter().for_each(|path| chown(files.join(path), Some(BEFORE), Some(BEFORE)).unwrap());
        lchown(files.join("link"), Some(BEFORE), Some(BEFORE)).unwrap();
        lchown(files.join("way out"), Some(BEFORE), Some(BEFORE)).unwrap();
        chown(outside.join("theirs"), Some(BEFORE), Some(BEFORE)).unwrap();

        let owner = |path: &Path| {
            let found = fs::symlink_metadata(path).unwrap();
            (found.uid(), found.gid())
        };
        for _ in 0..2 {
            give(&files, AFTER, AFTER).unwrap();
            for path in theirs.iter().chain(&["link", "way out"]) {
                assert_eq!(owner(&files.join(path)), (AFTER, AFTER), "{path}");
            }
            assert_eq!(owner(&outside.join("theirs")), (BEFORE, BEFORE), "no link is followed");
            assert_eq!(owner(&files.join("roots")).0, 0, "it belongs to somebody else");
            assert_eq!(owner(&outside).0, 0);
        }
    }
}
