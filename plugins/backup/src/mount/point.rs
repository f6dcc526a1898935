//! The folder that snapshots are shown in: whether it will do, and what a mount that ended badly left there.

use rustix::fs::Access;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use sdk::prelude::*;
use sdk::schema::Code;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the list of mounts calls ours.
pub(super) const NAME: &str = "bailiwick-backup";
const DEVICE: &str = "/dev/fuse";
/// Dead mounts that may lie on each other.
const MOST_DEAD: usize = 16;

/// A folder that something can be mounted on.
#[derive(Debug)]
pub(super) struct Point(PathBuf);

impl Point {
    /// Looks whether this folder will do. `vault`: the folder of the vault, which must not be in the way.
    pub(super) fn claim(folder: &Path, vault: &Path) -> Result<Point> {
        let folder = real(folder)?;
        for _ in 0..MOST_DEAD {
            match std::fs::metadata(&folder) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOTCONN) && is_ours(&folder) => {
                    detach(&folder).map_err(|error| {
                        let text = format!("A mount that ended badly is still on {}: {error}.", folder.display());
                        fault(Code::Unavailable, text).fix(format!("End it with umount -l {}.", folder.display()))
                    })?;
                }
                Err(error) => return Err(unusable(&folder, &error)),
                Ok(found) if !found.is_dir() => {
                    let text = format!("{} is no folder.", folder.display());
                    return Err(fault(Code::BadRequest, text).fix("Name an empty folder."));
                }
                Ok(_) => break,
            }
        }
        if is_ours(&folder) {
            let text = format!("Snapshots are shown in {} already.", folder.display());
            return Err(fault(Code::Conflict, text).fix("End that command first, or name another folder."));
        }
        check_empty(&folder)?;
        check_apart(&folder, vault)?;
        check_device()?;
        Ok(Point(folder))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Takes it from where it is seen though programs still use it; it ends when they or this process do.
    pub(super) fn detach(&self) -> std::io::Result<()> {
        if is_ours(&self.0) { detach(&self.0) } else { Ok(()) }
    }

    /// Why nothing could be mounted on it.
    pub(super) fn refused(&self, error: &std::io::Error) -> sdk::Fault {
        let folder = self.0.display();
        let (code, fix) = match error.kind() {
            // What is missing then is the program that mounts for those who are not root.
            std::io::ErrorKind::NotFound => {
                (Code::Unavailable, "Install fusermount3 (package fuse3), or run it as root.".to_owned())
            }
            std::io::ErrorKind::PermissionDenied if error.to_string().contains("user_allow_other") => (
                Code::PermissionDenied,
                "Have root write user_allow_other into /etc/fuse.conf, or go without --allow-other.".to_owned(),
            ),
            _ => (Code::PermissionDenied, format!("Run it as root, or name a folder of your own instead of {folder}.")),
        };
        fault(code, format!("Nothing can be mounted on {folder}: {}.", error.to_string().trim().trim_end_matches('.')))
            .fix(fix)
    }
}

/// With all links followed, though what is mounted there may be dead.
fn real(folder: &Path) -> Result<PathBuf> {
    let failed = |error| unusable(folder, &error);
    match std::fs::canonicalize(folder) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOTCONN) => {
            let name = folder.file_name().unwrap_or_default();
            let above = folder.parent().unwrap_or(Path::new("/"));
            Ok(std::fs::canonicalize(above).map_err(failed)?.join(name))
        }
        real => real.map_err(failed),
    }
}

fn unusable(folder: &Path, error: &std::io::Error) -> sdk::Fault {
    let code = if error.kind() == std::io::ErrorKind::NotFound { Code::NotFound } else { Code::Unavailable };
    let text = format!("The folder {} cannot be used: {error}.", folder.display());
    fault(code, text).fix(format!("Make it with mkdir {}, or name another empty folder.", folder.display()))
}

fn check_empty(folder: &Path) -> Result<()> {
    let mut inside = std::fs::read_dir(folder).map_err(|error| unusable(folder, &error))?;
    match inside.next() {
        None => Ok(()),
        Some(_) => {
            let text = format!("The folder {} is not empty, and what is in it would be hidden.", folder.display());
            Err(fault(Code::Conflict, text).fix("Name an empty folder."))
        }
    }
}

fn check_apart(folder: &Path, vault: &Path) -> Result<()> {
    match std::fs::canonicalize(vault) {
        Ok(vault) if folder.starts_with(&vault) => {
            let text = format!("The folder {} is in the vault itself.", folder.display());
            Err(fault(Code::Conflict, text).fix("Name an empty folder elsewhere."))
        }
        _ => Ok(()),
    }
}

fn check_device() -> Result<()> {
    match rustix::fs::access(DEVICE, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => Err(fault(Code::Unavailable, format!("There is no {DEVICE} on this machine."))
            .fix("Load it with modprobe fuse; in a container, start it with --device /dev/fuse.")),
        Err(error) => Err(fault(Code::PermissionDenied, format!("{DEVICE} cannot be opened: {error}."))
            .fix("Run it as root, or have root allow it with chmod 666 /dev/fuse.")),
    }
}

/// Whether the last thing that was mounted on this folder is one of ours.
fn is_ours(folder: &Path) -> bool {
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut on_it = mounts.split(|byte| *byte == b'\n').filter_map(mounted).filter(|(path, _)| path == folder);
    on_it.next_back().is_some_and(|(_, source)| source == NAME)
}

/// Where a line of the list of mounts says that what is mounted.
fn mounted(line: &[u8]) -> Option<(PathBuf, OsString)> {
    let mut words = line.split(|byte| *byte == b' ');
    let path = unescaped(words.nth(4)?);
    let mut rest = words.skip_while(|word| *word != b"-");
    Some((PathBuf::from(path), unescaped(rest.nth(2)?)))
}

/// Spaces and the like stand as `\040`.
fn unescaped(word: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(out)
}

fn detach(folder: &Path) -> std::io::Result<()> {
    match rustix::mount::unmount(folder, UnmountFlags::DETACH) {
        // Who is not root has a program that does it for them.
        Err(Errno::PERM) => {
            let ended = Command::new("fusermount3").arg("-uz").arg("--").arg(folder).output()?;
            let said = OsStr::from_bytes(ended.stderr.trim_ascii()).to_string_lossy().into_owned();
            if ended.status.success() { Ok(()) } else { Err(std::io::Error::other(said)) }
        }
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_mounts_is_read_with_its_escapes() {
        let line = br"36 25 0:33 / /mnt/a\040b\134 rw,nosuid shared:1 - fuse bailiwick-backup ro,user_id=0";
        assert_eq!(mounted(line), Some((PathBuf::from(r"/mnt/a b\"), NAME.into())));
        assert_eq!(mounted(b"36 25"), None);
    }

    #[test]
    fn what_will_not_do_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (vault, full) = (folder.path().join("vault"), folder.path().join("full"));
        for made in ["vault/inside", "full/of things"] {
            std::fs::create_dir_all(folder.path().join(made)).unwrap();
        }
        std::fs::write(folder.path().join("file"), "").unwrap();
        let told = |point: &Path| Point::claim(point, &vault).unwrap_err().0.to_string();
        for (point, says) in [
            (&folder.path().join("none"), "cannot be used"),
            (&folder.path().join("file"), "is no folder"),
            (&full, "is not empty"),
            (&vault.join("inside"), "is in the vault itself"),
        ] {
            let told = told(point);
            assert!(told.contains(says) && told.contains(&point.display().to_string()), "{told}");
        }
    }
}
