//! Where a vault keeps its objects: a few operations that a folder and an object store can both do.
//!
//! An object is written once, seen by nobody before it is whole and durable, never altered, and deleted at most. Names are
//! lower-case words with `/` between them; a name that is taken is never written over. Only [`Directory`] knows of renames.

mod directory;
mod error;
mod faulty;
mod memory;

pub use directory::Directory;
pub use error::{Action, StorageError};
pub use faulty::{Fault, FaultyStorage};
pub use memory::MemoryStorage;

use std::sync::Arc;

/// A place for objects. Any number of threads may use it.
pub trait Storage: Send + Sync {
    /// Begins an object. It is there once `finish` returns, and not at all if it is dropped before.
    ///
    /// # Errors
    /// The place is full, read-only or gone.
    fn create(&self, name: &str) -> Result<Box<dyn Unfinished>, StorageError>;

    /// An object to read from. It stays readable for as long as it is held, if the place allows; else reading it says that
    /// it is not there once it was deleted.
    ///
    /// # Errors
    /// It is not there, or the place is gone.
    fn open(&self, name: &str) -> Result<Arc<dyn Object>, StorageError>;

    /// Names of all objects that begin with `prefix` (empty, or words that end in `/`), in order. None if there is none.
    ///
    /// # Errors
    /// The place is gone.
    fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError>;

    /// What stands at the top: names of objects, and first words of names with a `/` after them.
    ///
    /// # Errors
    /// The place is gone.
    fn top(&self) -> Result<Vec<String>, StorageError>;

    /// Deletes these objects. Those that are not there are no error. Once it returns, none of them comes back.
    ///
    /// # Errors
    /// The place is read-only or gone; any number of them may have been deleted.
    fn delete(&self, names: &[String]) -> Result<(), StorageError>;

    /// Makes this process the one keeper for as long as the lock is held, and clears away what a killed one left half written.
    ///
    /// # Errors
    /// Another process is the keeper.
    fn lock(&self) -> Result<Lock, StorageError>;

    /// Where an object is, for a person to find it.
    fn path(&self, name: &str) -> String;

    /// A small object as a whole.
    ///
    /// # Errors
    /// As [`Storage::open`], or it is longer than `limit` bytes.
    fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, StorageError> {
        let object = self.open(name)?;
        let length = object.length()?;
        if length > limit {
            return Err(StorageError::TooLong { path: self.path(name), length, limit });
        }
        let mut bytes = vec![0; length as usize];
        object.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Puts a small object, once.
    ///
    /// # Errors
    /// As [`Storage::create`], or one of this name is there.
    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let mut object = self.create(name)?;
        object.append(bytes)?;
        object.finish()
    }
}

/// An object that is being written.
pub trait Unfinished: Send {
    /// Adds to its end. After an error the object cannot be finished any more.
    ///
    /// # Errors
    /// The place is full, read-only or gone.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes it durable, then visible. After an error it may or may not be there.
    ///
    /// # Errors
    /// One of its name is there, or the place is full, read-only or gone.
    fn finish(self: Box<Self>) -> Result<(), StorageError>;
}

/// An object that is read.
pub trait Object: Send + Sync {
    /// Fills the whole buffer.
    ///
    /// # Errors
    /// The object ends before, or the place is gone.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError>;

    /// # Errors
    /// The place is gone.
    fn length(&self) -> Result<u64, StorageError>;
}

/// Held by the keeper of a vault; dropping it gives the vault up.
pub struct Lock(Box<dyn Send + Sync>);

impl Lock {
    pub fn new(held: impl Send + Sync + 'static) -> Lock {
        Lock(Box::new(held))
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Lock(_held) = self;
        f.write_str("Lock")
    }
}

#[cfg(test)]
mod tests;
