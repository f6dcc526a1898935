//! What a closure holds while it reads or writes: the storage traits are implemented on it in their own files.

use crate::catalog::Catalog;
use crate::changes::Changes;
use crate::query::SharedCache;
use rusqlite::Connection;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

/// A snapshot ([`Read`]) or a part of a transaction ([`Write`]).
pub struct Access<'a, Mode> {
    pub(crate) conn: &'a Connection,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) changes: RefCell<Changes>,
    /// Only of snapshots: what a transaction sees may never come true.
    pub(crate) cache: Option<SharedCache>,
    mode: PhantomData<Mode>,
}

/// Mode of a snapshot.
pub enum ReadOnly {}
/// Mode of a transaction.
pub enum ReadWrite {}

/// One snapshot of the whole database.
pub type Read<'a> = Access<'a, ReadOnly>;
/// One savepoint of a transaction. It sees its own writes.
pub type Write<'a> = Access<'a, ReadWrite>;

impl<'a, Mode> Access<'a, Mode> {
    pub(crate) fn new(conn: &'a Connection, catalog: Arc<Catalog>) -> Access<'a, Mode> {
        Access { conn, catalog, changes: RefCell::default(), cache: None, mode: PhantomData }
    }
}

impl Write<'_> {
    /// Says that a row came, changed or went. Without it open views stay as they were.
    pub(crate) fn changed(&self, type_id: &str, key: &str) {
        self.changes.borrow_mut().add(type_id, key);
    }

    /// Says that more rows changed than are worth counting.
    pub(crate) fn changed_many(&self, type_id: &str) {
        self.changes.borrow_mut().add_many(type_id);
    }
}

impl Write<'_> {
    /// Id of this very database, made with its first use. A restored copy keeps it; another database has another.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn store_id(&mut self) -> Result<String, crate::Error> {
        let fresh = uuid::Uuid::new_v4().to_string();
        self.conn.execute("INSERT OR IGNORE INTO meta (name, value) VALUES ('store_id', ?1)", [fresh])?;
        Ok(self.conn.query_row("SELECT value FROM meta WHERE name = 'store_id'", [], |row| row.get(0))?)
    }
}
