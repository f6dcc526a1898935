//! A vault in memory: for tests, and for trying what a damaged or a killed one does.

use super::{Action, Lock, Object, Storage, StorageError, Unfinished};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Objects in memory. A clone is another handle to the same ones.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    objects: Arc<Mutex<BTreeMap<String, Arc<Vec<u8>>>>>,
    locked: Arc<AtomicBool>,
    /// Bytes that there is room for; 0: any number.
    room: Arc<AtomicU64>,
}

impl MemoryStorage {
    /// The bytes of one object, and writing others in their place.
    pub fn alter(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(bytes) = self.objects.lock().get_mut(name) {
            change(Arc::make_mut(bytes));
        }
    }

    /// What is there now, for going on from it twice.
    pub fn copy(&self) -> MemoryStorage {
        MemoryStorage {
            objects: Arc::new(Mutex::new(self.objects.lock().clone())),
            locked: Arc::default(),
            room: Arc::default(),
        }
    }

    /// From now on the disk has this many bytes, those of what is being written not counted before it is finished.
    pub fn limit(&self, bytes: u64) {
        self.room.store(bytes, Ordering::Release);
    }

    /// Bytes of all objects whose names begin so.
    pub fn bytes(&self, prefix: &str) -> u64 {
        let objects = self.objects.lock();
        objects.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

impl Storage for MemoryStorage {
    fn create(&self, name: &str) -> Result<Box<dyn Unfinished>, StorageError> {
        Ok(Box::new(Growing { storage: self.clone(), name: name.to_owned(), bytes: Vec::new() }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Object>, StorageError> {
        let bytes = self.objects.lock().get(name).cloned();
        let bytes = bytes.ok_or_else(|| StorageError::NotFound { path: self.path(name) })?;
        Ok(Arc::new(Held { path: self.path(name), bytes }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        Ok(self.objects.lock().keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn top(&self) -> Result<Vec<String>, StorageError> {
        let objects = self.objects.lock();
        let mut names: Vec<String> =
            objects.keys().map(|name| name.split_inclusive('/').next().unwrap_or_default().to_owned()).collect();
        names.dedup();
        Ok(names)
    }

    fn delete(&self, names: &[String]) -> Result<(), StorageError> {
        let mut objects = self.objects.lock();
        for name in names {
            objects.remove(name);
        }
        Ok(())
    }

    fn lock(&self) -> Result<Lock, StorageError> {
        if self.locked.swap(true, Ordering::AcqRel) {
            return Err(StorageError::Locked { path: self.path("lock"), pid: std::process::id() });
        }
        Ok(Lock::new(Unlocks(self.locked.clone())))
    }

    fn path(&self, name: &str) -> String {
        format!("memory:{name}")
    }
}

struct Unlocks(Arc<AtomicBool>);

impl Drop for Unlocks {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

struct Growing {
    storage: MemoryStorage,
    name: String,
    bytes: Vec<u8>,
}

impl Unfinished for Growing {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), StorageError> {
        let mut objects = self.storage.objects.lock();
        if objects.contains_key(&self.name) {
            let taken = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(StorageError::from_io(Action::Write, self.storage.path(&self.name), taken));
        }
        let room = self.storage.room.load(Ordering::Acquire);
        let taken: usize = objects.values().map(|bytes| bytes.len()).sum();
        if room > 0 && (taken + self.bytes.len()) as u64 > room {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            return Err(StorageError::from_io(Action::Write, self.storage.path(&self.name), full));
        }
        objects.insert(self.name, Arc::new(self.bytes));
        Ok(())
    }
}

struct Held {
    path: String,
    bytes: Arc<Vec<u8>>,
}

impl Object for Held {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let end = offset.saturating_add(buffer.len() as u64);
        let length = self.bytes.len() as u64;
        if end > length {
            return Err(StorageError::CutOff { path: self.path.clone(), length, end });
        }
        buffer.copy_from_slice(&self.bytes[offset as usize..end as usize]);
        Ok(())
    }

    fn length(&self) -> Result<u64, StorageError> {
        Ok(self.bytes.len() as u64)
    }
}
