//! What the agent must not forget: the jobs it took over and the rows that are not stored at the administrator yet. One
//! redb file; every change is on disk before the call returns.

mod jobs;
mod spool;

pub use jobs::{JobRecord, Phase};
pub use spool::{Outgoing, SPOOL_LIMIT_BYTES};

use redb::{Database, ReadableDatabase, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The journal is small, and one agent's memory is not to be noticed.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Why the journal cannot be used. Whatever was asked for has not happened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the journal cannot be used: {0}")]
    Storage(#[from] redb::Error),
    #[error("a record of the journal cannot be read; move the state directory away and enrol anew")]
    Damaged(#[source] serde_json::Error),
    #[error("the spool is full; the administrator has not taken over anything for too long")]
    Full,
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
    database: Database,
}

impl Journal {
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        Journal::over(Database::builder().set_cache_size(CACHE_BYTES).create(path)?)
    }

    fn over(database: Database) -> Result<Journal, JournalError> {
        let transaction = database.begin_write()?;
        transaction.open_table(META)?;
        jobs::create(&transaction)?;
        spool::create(&transaction)?;
        transaction.commit()?;
        Ok(Journal { database })
    }

    /// Counts up the number of this machine's connections.
    pub fn next_epoch(&self) -> Result<u64, JournalError> {
        let epoch = self.get::<u64>("epoch")?.unwrap_or(0) + 1;
        self.set("epoch", &epoch)?;
        Ok(epoch)
    }

    /// A value of the agent's own.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, JournalError> {
        let transaction = self.database.begin_read()?;
        let value = transaction.open_table(META)?.get(name)?;
        value.map(|value| Ok(serde_json::from_slice(value.value())?)).transpose()
    }

    pub fn set<T: Serialize>(&self, name: &str, value: &T) -> Result<(), JournalError> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(META)?.insert(name, serde_json::to_vec(value)?.as_slice())?;
        Ok(transaction.commit()?)
    }
}

#[cfg(test)]
mod crash_tests;
