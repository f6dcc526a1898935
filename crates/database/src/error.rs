//! What can go wrong with the database, by what a caller can do about it.

use rusqlite::ErrorCode;
use schema::{Code, Problem};
use std::path::PathBuf;

/// Why a database could not be opened. Each sentence ends in the way out.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} cannot be written. Give this account write permission there, or name another state directory.", .path.display())]
    ReadOnly { path: PathBuf },
    #[error("{} is not a database of Bailiwick. Name another state directory, or move that file away.", .path.display())]
    Foreign { path: PathBuf },
    #[error(
        "{} was written by a newer Bailiwick (its schema is {found}, this program knows {known}). Start the newer program.",
        .path.display()
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{} is damaged. Put back the last backup of the state directory.", .path.display())]
    Corrupt { path: PathBuf },
    #[error("there is no space left for {}. Make room on that file system and start again.", .path.display())]
    Full { path: PathBuf },
    #[error("{} is being changed by another program. Wait for it to end and start again.", .path.display())]
    Busy { path: PathBuf },
    #[error("{} cannot be opened", .path.display())]
    Other { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
}

impl OpenError {
    pub(crate) fn of(path: &std::path::Path, source: rusqlite::Error) -> OpenError {
        let path = path.to_owned();
        match Error::from(source) {
            Error::ReadOnly => OpenError::ReadOnly { path },
            Error::Corrupt => OpenError::Corrupt { path },
            Error::Full => OpenError::Full { path },
            Error::Busy => OpenError::Busy { path },
            other => OpenError::Other { path, source: Box::new(other) },
        }
    }
}

/// Why a read or write did not happen. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Problem(#[from] Problem),
    #[error("the disk is full")]
    Full,
    #[error("the database cannot be written")]
    ReadOnly,
    #[error("the database is damaged")]
    Corrupt,
    #[error("another program holds the database")]
    Busy,
    #[error("it took too long")]
    Timeout,
    #[error("the database is closed")]
    Closed,
    #[error("a closure panicked in the database")]
    Panicked,
    #[error("the database failed")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        let full_in_disguise = [rusqlite::ffi::SQLITE_IOERR_SHMSIZE, rusqlite::ffi::SQLITE_IOERR_SHMMAP];
        match error.sqlite_error() {
            Some(e) if full_in_disguise.contains(&e.extended_code) => Error::Full,
            Some(e) => match e.code {
                ErrorCode::DiskFull => Error::Full,
                ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Error::ReadOnly,
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Corrupt,
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy,
                ErrorCode::OperationInterrupted => Error::Timeout,
                _ => Error::Sqlite(error),
            },
            None => Error::Sqlite(error),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let sentence = format!("{error}.");
        match error {
            Error::Problem(problem) => problem,
            Error::Full => Problem::new(Code::Unavailable, "the administrator's disk is full; nothing was changed.")
                .fix("Make room on the file system of the state directory and try again."),
            Error::ReadOnly => Problem::new(Code::Unavailable, sentence)
                .fix("Give the administrator write permission in its state directory."),
            Error::Corrupt => {
                Problem::new(Code::Unavailable, sentence).fix("Put back the last backup of the state directory.")
            }
            Error::Busy | Error::Closed => Problem::new(Code::Unavailable, sentence).fix("Try again in a moment."),
            Error::Timeout => {
                Problem::new(Code::Deadline, "the query took too long.").fix("Narrow it with a filter or a search.")
            }
            Error::Panicked | Error::Sqlite(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "database");
                Problem::internal(sentence)
            }
        }
    }
}

/// The problem that a statement inside a storage trait ended with.
pub(crate) fn sql(error: rusqlite::Error) -> Problem {
    Error::from(error).into()
}
