//! A storage that fails at a chosen operation: for tests of what a full disk, a failing one or a kill leaves behind.

use super::{Action, Lock, Object, Storage, StorageError, Unfinished};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Writing fails once, as on a full disk; half of what was to be appended is there.
    Full,
    /// Anything fails once.
    Broken,
    /// The process is as good as dead before the operation takes effect: nothing works any more.
    KilledBefore,
    /// The same after it took effect.
    KilledAfter,
}

/// Passes everything on, until the operation that was chosen.
#[derive(Clone)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    plan: Arc<Plan>,
}

struct Plan {
    done: AtomicU64,
    next: Mutex<Option<(u64, Fault)>>,
    dead: Mutex<bool>,
}

#[derive(PartialEq)]
enum Verdict {
    Pass,
    Fail(io::ErrorKind),
    FailAfter,
}

impl Plan {
    fn decide(&self, writes: bool) -> Verdict {
        let number = self.done.fetch_add(1, Ordering::AcqRel);
        let mut dead = self.dead.lock();
        if *dead {
            return Verdict::Fail(io::ErrorKind::Other);
        }
        let mut next = self.next.lock();
        let Some((at, fault)) = *next else { return Verdict::Pass };
        if number < at || (fault == Fault::Full && !writes) {
            return Verdict::Pass;
        }
        *next = None;
        *dead = matches!(fault, Fault::KilledBefore | Fault::KilledAfter);
        match fault {
            Fault::Full => Verdict::Fail(io::ErrorKind::StorageFull),
            Fault::Broken | Fault::KilledBefore => Verdict::Fail(io::ErrorKind::Other),
            Fault::KilledAfter => Verdict::FailAfter,
        }
    }
}

impl FaultyStorage {
    /// Fails at operation `at`, counted from 0 (a full disk: at the first one from there that writes).
    pub fn new(inner: Arc<dyn Storage>, at: u64, fault: Fault) -> FaultyStorage {
        let plan = Plan { done: AtomicU64::new(0), next: Mutex::new(Some((at, fault))), dead: Mutex::new(false) };
        FaultyStorage { inner, plan: Arc::new(plan) }
    }

    /// Whether the fault has happened.
    pub fn has_failed(&self) -> bool {
        self.plan.next.lock().is_none()
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.plan.done.load(Ordering::Acquire)
    }

    fn run<T>(
        &self,
        action: Action,
        name: &str,
        operation: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let wrong = |kind| Err(StorageError::from_io(action, self.inner.path(name), io::Error::from(kind)));
        match self.plan.decide(matches!(action, Action::Write)) {
            Verdict::Pass => operation(),
            Verdict::Fail(kind) => wrong(kind),
            Verdict::FailAfter => operation().and_then(|_| wrong(io::ErrorKind::Other)),
        }
    }
}

impl Storage for FaultyStorage {
    fn create(&self, name: &str) -> Result<Box<dyn Unfinished>, StorageError> {
        let inner = self.run(Action::Write, name, || self.inner.create(name))?;
        Ok(Box::new(FaultyUnfinished { inner, storage: self.clone(), name: name.to_owned() }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Object>, StorageError> {
        let inner = self.run(Action::Read, name, || self.inner.open(name))?;
        Ok(Arc::new(FaultyObject { inner, storage: self.clone(), name: name.to_owned() }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        self.run(Action::List, prefix, || self.inner.list(prefix))
    }

    fn top(&self) -> Result<Vec<String>, StorageError> {
        self.run(Action::List, "", || self.inner.top())
    }

    fn delete(&self, names: &[String]) -> Result<(), StorageError> {
        // One by one, so that a kill can come between any two.
        names
            .iter()
            .try_for_each(|name| self.run(Action::Delete, name, || self.inner.delete(std::slice::from_ref(name))))
    }

    fn lock(&self) -> Result<Lock, StorageError> {
        self.run(Action::Lock, "lock", || self.inner.lock())
    }

    fn path(&self, name: &str) -> String {
        self.inner.path(name)
    }
}

struct FaultyUnfinished {
    inner: Box<dyn Unfinished>,
    storage: FaultyStorage,
    name: String,
}

impl Unfinished for FaultyUnfinished {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let inner = &mut self.inner;
        let result = self.storage.run(Action::Write, &self.name, || inner.append(bytes));
        if result.is_err() {
            // A torn write: the error that is reported stays the one that was asked for.
            let _ = self.inner.append(&bytes[..bytes.len() / 2]);
        }
        result
    }

    fn finish(self: Box<Self>) -> Result<(), StorageError> {
        let FaultyUnfinished { inner, storage, name } = *self;
        storage.run(Action::Write, &name, || inner.finish())
    }
}

struct FaultyObject {
    inner: Arc<dyn Object>,
    storage: FaultyStorage,
    name: String,
}

impl Object for FaultyObject {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.storage.run(Action::Read, &self.name, || self.inner.read_at(offset, buffer))
    }

    fn length(&self) -> Result<u64, StorageError> {
        self.storage.run(Action::Read, &self.name, || self.inner.length())
    }
}
