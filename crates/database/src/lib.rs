//! The one place with SQL: machines, jobs, what plugins publish, and the query form that reads all of it.
//!
//! One writer thread commits many closures at a time, each in a savepoint of its own; a pool of reader threads answers
//! from snapshots. Nothing outside sees a connection: the storage traits of `fleet`, `jobs` and `identity` are
//! implemented by [`Read`] and [`Write`], so that one closure can audit and act in one transaction.

mod access;
mod cache;
mod catalog;
mod changes;
mod declare;
mod error;
mod event_store;
mod fleet_store;
mod identity_store;
mod job_store;
mod lock;
mod open;
mod pool;
mod query;
mod rows;
mod setting_store;
mod value;

pub use access::{Access, Read, ReadOnly, ReadWrite, Write};
pub use changes::{ChangedKeys, Changes};
pub use error::{Error, OpenError};
pub use lock::{LockError, StateLock};
pub use pool::Database;
pub use query::{FacetValue, Rows, Scope};
pub use rows::{MAX_ROWS, PublishOutcome, Section};
