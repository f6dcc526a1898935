//! What everybody who takes part in one restore shares.

use super::folder::Opened;
use super::links::Links;
use super::problem::{Step, Unwritten};
use super::{Action, RestoreError, RestoreOptions, Restored, Watch};
use crate::files::owners::{Owners, Renumbering};
use crate::files::problem::{Problem, Severity};
use crate::files::trail::Trail;
use parking_lot::Mutex;
use rustix::io::Errno;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How names of what is not finished begin.
const UNFINISHED: &str = ".bailiwick-restore-";

/// What was done, counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) folders: AtomicU64,
    pub(super) files: AtomicU64,
    pub(super) links: AtomicU64,
    pub(super) others: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) right: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) beside: AtomicU64,
    lost: AtomicU64,
    doubtful: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) struct Shared<'a> {
    pub(super) options: &'a RestoreOptions,
    pub(super) owners: Renumbering,
    pub(super) counters: Counters,
    pub(super) links: Links,
    watch: &'a dyn Watch,
    /// Where the restore begins; nothing where that is not there, in a restore that only looks.
    pub(super) start: Option<Arc<Opened>>,
    /// In names of what is not finished, so that two restores never meet.
    run: u64,
    number: AtomicU64,
    stopped: AtomicBool,
    fatal: Mutex<Option<RestoreError>>,
    /// A folder on each file system that was written to.
    written: Mutex<HashMap<u64, Arc<Opened>>>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(options: &'a RestoreOptions, watch: &'a dyn Watch, start: Option<Arc<Opened>>) -> Shared<'a> {
        let owners = if rustix::process::geteuid().is_root() { options.owners } else { Owners::Mine };
        Shared {
            options,
            owners: Renumbering::new(owners, &options.owner_names),
            counters: Counters::default(),
            links: Links::default(),
            watch,
            start,
            run: RandomState::new().build_hasher().finish(),
            number: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            fatal: Mutex::new(None),
            written: Mutex::new(HashMap::new()),
        }
    }

    /// Nothing is written.
    pub(super) fn only_looks(&self) -> bool {
        self.options.only_look
    }

    pub(super) fn open_trail(&self, trail: &Trail) -> Result<Arc<Opened>, Errno> {
        self.start.as_ref().ok_or(Errno::NOENT)?.along(trail.names())
    }

    /// A name for what is not finished.
    pub(super) fn unfinished_name(&self) -> Vec<u8> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        format!("{UNFINISHED}{:016x}-{number}", self.run).into_bytes()
    }

    /// Whether something has a name like these, and not of this restore.
    pub(super) fn is_left_over(&self, name: &[u8]) -> bool {
        name.starts_with(UNFINISHED.as_bytes())
            && !name.starts_with(format!("{UNFINISHED}{:016x}-", self.run).as_bytes())
    }

    /// Something about `name` in a folder.
    pub(super) fn problem(&self, folder: &Trail, name: &[u8], what: Unwritten) {
        let path = folder.path(name);
        match what.severity() {
            Severity::Note => {}
            Severity::Doubt => count(&self.counters.doubtful),
            Severity::Loss => count(&self.counters.lost),
        }
        if what.is_full()
            && let Unwritten::Failed { cause, .. } = what
        {
            self.stop(RestoreError::Full { path: path.clone(), cause });
        }
        self.watch.problem(Problem { path, what });
    }

    pub(super) fn planned(&self, folder: &Trail, name: &[u8], action: Action) {
        if self.only_looks() {
            self.watch.planned(&folder.path(name), action);
        }
    }

    /// Ends everything; the first reason counts.
    pub(super) fn stop(&self, error: RestoreError) {
        self.fatal.lock().get_or_insert(error);
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn goes_on(&self) -> bool {
        if self.watch.is_cancelled() && !self.stopped.load(Ordering::Relaxed) {
            self.stop(RestoreError::Cancelled);
        }
        !self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn wrote_on(&self, device: u64, folder: &Arc<Opened>) {
        self.written.lock().entry(device).or_insert_with(|| folder.clone());
    }

    pub(super) fn bytes(&self, more: u64) {
        self.counters.bytes.fetch_add(more, Ordering::Relaxed);
        self.watch.wrote(more);
    }

    /// Waits until everything is on the disk, and sums up.
    pub(super) fn finish(self) -> Result<Restored, RestoreError> {
        for folder in self.written.lock().values().filter(|_| self.options.wait_for_disk) {
            if let Err(cause) = folder.sync() {
                self.problem(&Trail::start(), b"", Unwritten::Failed { step: Step::Sync, cause });
            }
        }
        if let Some(error) = self.fatal.into_inner() {
            return Err(error);
        }
        let Counters { folders, files, links, others, bytes, right, kept, beside, lost, doubtful } = self.counters;
        Ok(Restored {
            folders: folders.into_inner(),
            files: files.into_inner(),
            links: links.into_inner(),
            others: others.into_inner(),
            bytes: bytes.into_inner(),
            right: right.into_inner(),
            kept: kept.into_inner(),
            beside: beside.into_inner(),
            lost: lost.into_inner(),
            doubtful: doubtful.into_inner(),
        })
    }
}
