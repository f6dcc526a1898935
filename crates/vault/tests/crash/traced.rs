//! Notes in a file what the keeper is doing, so that whoever kills it knows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use vault::storage::{Directory, Lock, Object, Storage, StorageError, Unfinished};

/// What was going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Idle,
    Reading,
    Listing,
    Deleting,
    WritingPack,
    FinishingPack,
    WritingRun,
    FinishingRun,
    WritingSnapshot,
    FinishingSnapshot,
    Other,
}

const ALL: [Phase; 11] = [
    Phase::Idle,
    Phase::Reading,
    Phase::Listing,
    Phase::Deleting,
    Phase::WritingPack,
    Phase::FinishingPack,
    Phase::WritingRun,
    Phase::FinishingRun,
    Phase::WritingSnapshot,
    Phase::FinishingSnapshot,
    Phase::Other,
];

/// What was noted last.
pub(crate) fn phase(path: &Path) -> Phase {
    let noted = std::fs::read(path).unwrap();
    ALL[usize::from(noted[0])]
}

#[derive(Clone)]
pub(crate) struct Traced {
    inner: Arc<Directory>,
    note: Arc<File>,
}

impl Traced {
    pub(crate) fn new(inner: Directory, path: &Path) -> Traced {
        let note = File::options().create(true).truncate(false).write(true).open(path).unwrap();
        Traced { inner: Arc::new(inner), note: Arc::new(note) }
    }

    fn during<T>(&self, phase: Phase, operation: impl FnOnce() -> T) -> T {
        self.note.write_all_at(&[phase as u8], 0).unwrap();
        let result = operation();
        self.note.write_all_at(&[Phase::Idle as u8], 0).unwrap();
        result
    }
}

fn writing(name: &str, finishing: bool) -> Phase {
    match (name.split('/').next(), finishing) {
        (Some("packs"), false) => Phase::WritingPack,
        (Some("packs"), true) => Phase::FinishingPack,
        (Some("index"), false) => Phase::WritingRun,
        (Some("index"), true) => Phase::FinishingRun,
        (Some("snapshots"), false) => Phase::WritingSnapshot,
        (Some("snapshots"), true) => Phase::FinishingSnapshot,
        _ => Phase::Other,
    }
}

impl Storage for Traced {
    fn create(&self, name: &str) -> Result<Box<dyn Unfinished>, StorageError> {
        let inner = self.during(writing(name, false), || self.inner.create(name))?;
        Ok(Box::new(TracedUnfinished { inner, traced: self.clone(), name: name.to_owned() }))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Object>, StorageError> {
        let inner = self.during(Phase::Reading, || self.inner.open(name))?;
        Ok(Arc::new(TracedObject { inner, traced: self.clone() }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        self.during(Phase::Listing, || self.inner.list(prefix))
    }

    fn top(&self) -> Result<Vec<String>, StorageError> {
        self.during(Phase::Listing, || self.inner.top())
    }

    fn delete(&self, names: &[String]) -> Result<(), StorageError> {
        self.during(Phase::Deleting, || self.inner.delete(names))
    }

    fn lock(&self) -> Result<Lock, StorageError> {
        self.inner.lock()
    }

    fn path(&self, name: &str) -> String {
        self.inner.path(name)
    }
}

struct TracedUnfinished {
    inner: Box<dyn Unfinished>,
    traced: Traced,
    name: String,
}

impl Unfinished for TracedUnfinished {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let inner = &mut self.inner;
        self.traced.during(writing(&self.name, false), || inner.append(bytes))
    }

    fn finish(self: Box<Self>) -> Result<(), StorageError> {
        let TracedUnfinished { inner, traced, name } = *self;
        traced.during(writing(&name, true), || inner.finish())
    }
}

struct TracedObject {
    inner: Arc<dyn Object>,
    traced: Traced,
}

impl Object for TracedObject {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.traced.during(Phase::Reading, || self.inner.read_at(offset, buffer))
    }

    fn length(&self) -> Result<u64, StorageError> {
        self.inner.length()
    }
}
