//! What the agent must not forget: the jobs it took over and the rows that are not stored at the administrator yet. One
//! redb file; every change is on disk before the call returns.

mod jobs;
mod spool;

pub use jobs::{JobRecord, Phase};
pub use spool::{Outgoing, SPOOL_LIMIT_BYTES};

use parking_lot::RwLock;
use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The journal is small, and one agent's memory is not to be noticed.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Why the journal cannot be used. Whatever was asked for counts as not done; after `Storage` it may be found done later.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(
        "the journal cannot be used: {0}. Make room on the disk of the agent's state directory, or make it writable again; the agent then goes on by itself, and nothing it took over is lost"
    )]
    Storage(#[from] redb::Error),
    #[error("a record of the journal cannot be read; move the state directory away and enrol anew")]
    Damaged(#[source] serde_json::Error),
    #[error(
        "the spool is full; the administrator has not taken over anything for too long. See to it that the machine is connected; the rows are published again by themselves then"
    )]
    Full,
    #[error(
        "{} jobs of this machine have not ended at the administrator yet, which is as many as it takes; cancel some, or wait for them",
        jobs::MOST_OPEN
    )]
    TooManyJobs,
}

macro_rules! storage_errors {
    ($($kind:ty),*) => { $(impl From<$kind> for JournalError {
        fn from(error: $kind) -> JournalError {
            JournalError::Storage(error.into())
        }
    })* };
}
storage_errors!(
    redb::DatabaseError,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);

impl From<serde_json::Error> for JournalError {
    fn from(error: serde_json::Error) -> JournalError {
        JournalError::Damaged(error)
    }
}

/// The open journal. Its calls wait for the disk: call them where that may be.
pub struct Journal {
    open: Box<dyn Fn() -> Result<Database, JournalError> + Send + Sync>,
    /// Absent after the disk failed: redb then refuses everything until it is opened anew.
    database: RwLock<Option<Database>>,
}

impl Journal {
    /// Opens the journal or makes it, for its owner alone.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        let path = path.to_owned();
        Journal::over(move || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.map_err(redb::StorageError::Io)?;
            file.set_permissions(Permissions::from_mode(0o600)).map_err(redb::StorageError::Io)?;
            Ok(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(FileBackend::new(file)?)?)
        })
    }

    fn over(
        open: impl Fn() -> Result<Database, JournalError> + Send + Sync + 'static,
    ) -> Result<Journal, JournalError> {
        let journal = Journal { database: RwLock::new(Some(open()?)), open: Box::new(open) };
        journal.write(|transaction| {
            transaction.open_table(META)?;
            jobs::create(transaction)?;
            spool::create(transaction)
        })?;
        Ok(journal)
    }

    /// Does `work`, and returns when it is on disk.
    fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T, JournalError>) -> Result<T, JournalError> {
        self.write_if(|transaction| Ok((true, work(transaction)?)))
    }

    /// The same for work that may find nothing to do, which then costs no write.
    fn write_if<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(bool, T), JournalError>,
    ) -> Result<T, JournalError> {
        self.using(|database| {
            let transaction = database.begin_write()?;
            match work(&transaction)? {
                (true, done) => {
                    transaction.commit()?;
                    Ok(done)
                }
                (false, done) => {
                    transaction.abort()?;
                    Ok(done)
                }
            }
        })
    }

    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, JournalError>) -> Result<T, JournalError> {
        self.using(|database| work(&database.begin_read()?))
    }

    fn using<T>(&self, work: impl FnOnce(&Database) -> Result<T, JournalError>) -> Result<T, JournalError> {
        let known = self.database.read();
        let outcome = if let Some(database) = &*known {
            let outcome = work(database);
            drop(known);
            outcome
        } else {
            drop(known);
            let mut opened = self.database.write();
            if opened.is_none() {
                *opened = Some((self.open)()?);
            }
            work(opened.as_ref().expect("it was just opened"))
        };
        if let Err(JournalError::Storage(_)) = &outcome {
            *self.database.write() = None;
        }
        outcome
    }

    /// Counts up the number of this machine's connections.
    pub fn next_epoch(&self) -> Result<u64, JournalError> {
        let epoch = self.get::<u64>("epoch")?.unwrap_or(0) + 1;
        self.set("epoch", &epoch)?;
        Ok(epoch)
    }

    /// A value of the agent's own.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JournalError> {
        self.read(|transaction| {
            let value = transaction.open_table(META)?.get(name)?;
            value.map(|value| Ok(serde_json::from_slice(value.value())?)).transpose()
        })
    }

    pub fn set<T: Serialize>(&self, name: &str, value: &T) -> Result<(), JournalError> {
        self.write(|transaction| {
            transaction.open_table(META)?.insert(name, serde_json::to_vec(value)?.as_slice())?;
            Ok(())
        })
    }
}

#[cfg(test)]
pub(crate) mod crash_tests;
