//! One administrator a state directory.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Held for as long as an administrator runs on a state directory. Short writers (`token create`) do not take it.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "an administrator already runs on {} (process {pid}). Stop it, or start this one with another --state.",
        .dir.display()
    )]
    Held { dir: PathBuf, pid: String },
    #[error("{} cannot be written. Give this account write permission there, or name another state directory.", .path.display())]
    NotWritable { path: PathBuf, source: std::io::Error },
}

impl StateLock {
    /// Takes the lock of `dir`, which must exist. The kernel gives it back when the process ends, however it ends.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that has it.
    pub fn acquire(dir: &Path) -> Result<StateLock, LockError> {
        let path = dir.join("administrator.lock");
        let not_writable = |source| LockError::NotWritable { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(not_writable)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(not_writable(error.into()));
            }
            let mut pid = String::new();
            // Whoever holds the lock has written its pid, or is about to: an unreadable one is no reason to fail.
            let _ = file.read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
            return Err(LockError::Held { dir: dir.to_owned(), pid });
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(not_writable)?;
        Ok(StateLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_administrator_is_told_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(dir.path()).unwrap();
        let second = StateLock::acquire(dir.path()).unwrap_err();
        assert!(second.to_string().contains(&format!("process {}", std::process::id())), "{second}");
        drop(first);
        StateLock::acquire(dir.path()).unwrap();
    }
}
