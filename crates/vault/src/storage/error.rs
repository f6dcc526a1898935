//! What can be wrong with the place of a vault, and what to do about it.

use std::fmt;
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{path} is not there")]
    NotFound { path: String },
    #[error("{path} is there already")]
    Exists { path: String },
    #[error("cannot {action} {path}: the disk is full; free some space on it, or move the vault to a larger one")]
    Full { action: Action, path: String, source: io::Error },
    #[error("cannot {action} {path}: the disk is mounted read-only; mount it writable, and look why it was not")]
    ReadOnly { action: Action, path: String, source: io::Error },
    #[error("cannot {action} {path}: this user may not; give the folder to the user that keeps the vault")]
    Denied { action: Action, path: String, source: io::Error },
    #[error("{path} is in use by process {pid}; stop that one first")]
    Locked { path: String, pid: u32 },
    #[error("{path} is in use by another process; stop that one first")]
    LockedByUnknown { path: String },
    #[error("{path} ends at byte {length}, before byte {end}: it was cut off; scrub the vault")]
    CutOff { path: String, length: u64, end: u64 },
    #[error("{path} has {length} bytes, more than the {limit} it can have; it is not what its name says")]
    TooLong { path: String, length: u64, limit: u64 },
    #[error("cannot {action} {path}: the disk failed or is gone; look at its health and whether it is mounted")]
    Failed { action: Action, path: String, source: io::Error },
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Write,
    Read,
    List,
    Delete,
    Lock,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Action::Write => "write",
            Action::Read => "read",
            Action::List => "list",
            Action::Delete => "delete",
            Action::Lock => "lock",
        })
    }
}

impl StorageError {
    pub(super) fn from_io(action: Action, path: String, source: io::Error) -> StorageError {
        match source.kind() {
            io::ErrorKind::NotFound => StorageError::NotFound { path },
            io::ErrorKind::AlreadyExists => StorageError::Exists { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                StorageError::Full { action, path, source }
            }
            io::ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly { action, path, source },
            io::ErrorKind::PermissionDenied => StorageError::Denied { action, path, source },
            _ => StorageError::Failed { action, path, source },
        }
    }

    /// An object is missing or shorter than it was: nothing that trying again or mending the disk's connection would change.
    pub(crate) fn is_about_content(&self) -> bool {
        matches!(self, StorageError::NotFound { .. } | StorageError::CutOff { .. } | StorageError::TooLong { .. })
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, StorageError::NotFound { .. })
    }
}
