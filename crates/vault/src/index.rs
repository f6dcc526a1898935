//! Where each chunk is.
//!
//! What came last is in memory, everything else in sorted runs on the disk, so memory stays flat however large the vault is.
//! All of it can be made anew from the packs. An entry is hidden when its pack is gone, being cleared away, or damaged there.

mod hidden;
mod merge;
mod rebuild;
mod run;
mod runs;

pub(crate) use hidden::{Bad, Hidden};
pub(crate) use rebuild::Rebuild;
pub use run::RunFault;
pub(crate) use run::{Run, RunEntry, Window, number as run_number};
pub(crate) use runs::Runs;

use crate::keys::{Key, Proof};
use crate::pack::{PackId, Span};
use crate::storage::{Storage, StorageError};
use parking_lot::{Mutex, RwLock};
use run::RunWriter;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FOLDER: &str = "index/";
/// Entries and packs in memory that are worth a run.
const DUE_ENTRIES: usize = 64 << 10;
const DUE_PACKS: usize = 256;

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub pack: PackId,
    pub span: Span,
    /// In the unpacked segment.
    pub start: u32,
    pub length: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub proof: Proof,
    pub place: Place,
}

/// Which entries to find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Those that may be relied on: not known to be damaged, and not about to be cleared away.
    Whole,
    /// Any that is there still.
    Any,
}

#[derive(Default)]
struct Memory {
    entries: HashMap<Key, Found, BuildHasherDefault<Short>>,
    /// Packs that no run covers, and that are on stable storage.
    sealed: HashSet<PackId>,
}

/// A run that cannot be used.
#[derive(Debug)]
pub(crate) struct DamagedRun {
    pub name: String,
    pub fault: RunFault,
}

pub(crate) struct Index {
    storage: Arc<dyn Storage>,
    memory: RwLock<Memory>,
    /// From the oldest to the newest.
    runs: RwLock<Arc<Vec<Arc<Run>>>>,
    hidden: RwLock<Arc<Hidden>>,
    /// Held by whoever writes runs. Holds the number of the next one.
    maintenance: Mutex<u64>,
    /// Somebody needs the runs as they are.
    frozen: AtomicBool,
}

impl Index {
    /// What there is on the disk. Also: packs that are there and that no run covers, and runs that cannot be used.
    pub(crate) fn open(
        storage: Arc<dyn Storage>,
        packs: &HashSet<PackId>,
    ) -> Result<(Index, Vec<PackId>, Vec<DamagedRun>), StorageError> {
        let (mut runs, mut damaged, mut hidden, mut next) = (Vec::new(), Vec::new(), Hidden::default(), 1);
        let mut covered = HashSet::new();
        for name in Index::runs_there(&*storage)? {
            let Some(number) = run::number(&name) else { continue };
            next = next.max(number + 1);
            match Run::open(&*storage, number).and_then(|run| Ok((run.pack_ids()?, run))) {
                Ok((ids, run)) => {
                    hidden.gone.extend(ids.iter().filter(|id| !packs.contains(*id)));
                    covered.extend(ids);
                    runs.push(Arc::new(run));
                }
                Err(RunFault::Storage(error)) => return Err(error),
                Err(fault) => damaged.push(DamagedRun { name, fault }),
            }
        }
        let mut uncovered: Vec<PackId> = packs.difference(&covered).copied().collect();
        uncovered.sort_unstable();
        let index = Index {
            storage,
            memory: RwLock::default(),
            runs: RwLock::new(Arc::new(runs)),
            hidden: RwLock::new(Arc::new(hidden)),
            maintenance: Mutex::new(next),
            frozen: AtomicBool::new(false),
        };
        Ok((index, uncovered, damaged))
    }

    /// Names of the runs that are there.
    pub(crate) fn runs_there(storage: &dyn Storage) -> Result<Vec<String>, StorageError> {
        let mut names = storage.list(FOLDER)?;
        names.retain(|name| run::number(name).is_some());
        Ok(names)
    }

    /// Knows from now on what `other` knows, but for what is damaged.
    pub(crate) fn become_like(&self, other: Index) {
        // All at once: whoever looks meanwhile finds what one of the two knows.
        let (mut memory, mut runs, mut hidden) = (self.memory.write(), self.runs.write(), self.hidden.write());
        *memory = other.memory.into_inner();
        *runs = other.runs.into_inner();
        Arc::make_mut(&mut hidden).gone = other.hidden.into_inner().gone.clone();
    }

    pub(crate) fn find(&self, keys: &[Key], want: Want) -> Result<Vec<Option<Found>>, StorageError> {
        let hidden = self.hidden.read().clone();
        let shown = |key: &Key, found: &Found| !hidden.hides(key, &found.place, want);
        let mut results: Vec<Option<Found>> = {
            let memory = self.memory.read();
            keys.iter().map(|key| memory.entries.get(key).copied().filter(|found| shown(key, found))).collect()
        };
        // Taken after looking into memory: what moves to a run is in it before it leaves there.
        let runs = self.runs.read().clone();
        if runs.is_empty() || results.iter().all(Option::is_some) {
            return Ok(results);
        }
        let mut missing: Vec<usize> = (0..keys.len()).filter(|at| results[*at].is_none()).collect();
        missing.sort_unstable_by_key(|at| keys[*at]);
        for run in runs.iter().rev() {
            let mut window = Window::for_many(run, missing.len());
            for at in &missing {
                let key = &keys[*at];
                let Some((_, entry)) = run.find(key, &mut window)? else { continue };
                results[*at] = Some(run.resolve(&entry)?).filter(|found| shown(key, found));
            }
            missing.retain(|at| results[*at].is_none());
        }
        Ok(results)
    }

    #[cfg(test)]
    pub(crate) fn find_one(&self, key: Key, want: Want) -> Result<Option<Found>, StorageError> {
        Ok(self.find(&[key], want)?.remove(0))
    }

    /// Whether this pack, which is being written, has the chunk.
    pub(crate) fn is_in(&self, key: &Key, pack: PackId) -> bool {
        self.memory.read().entries.get(key).is_some_and(|found| found.place.pack == pack)
    }

    /// Chunks of a pack that is being written. One that is there already stays where it is.
    pub(crate) fn insert(&self, entries: impl IntoIterator<Item = (Key, Found)>) {
        let hidden = self.hidden.read().clone();
        let mut memory = self.memory.write();
        for (key, found) in entries {
            let kept = memory.entries.get(&key).is_some_and(|old| !hidden.hides(&key, &old.place, Want::Whole));
            if !kept {
                memory.entries.insert(key, found);
            }
        }
    }

    /// Chunks of packs that are on stable storage, which take the place of what was known of them.
    pub(crate) fn replace(&self, packs: &[PackId], entries: impl IntoIterator<Item = (Key, Found)>) {
        let mut memory = self.memory.write();
        memory.entries.extend(entries);
        memory.sealed.extend(packs);
    }

    /// A pack is on stable storage now.
    pub(crate) fn sealed(&self, pack: PackId) {
        self.memory.write().sealed.insert(pack);
    }

    /// A pack could not be written: its chunks are not there.
    pub(crate) fn forget(&self, pack: PackId) {
        self.memory.write().entries.retain(|_, found| found.place.pack != pack);
    }

    pub(crate) fn hidden(&self) -> Arc<Hidden> {
        self.hidden.read().clone()
    }

    pub(crate) fn hide(&self, change: impl FnOnce(&mut Hidden)) {
        change(Arc::make_mut(&mut self.hidden.write()));
    }

    #[cfg(test)]
    pub(crate) fn run_count(&self) -> usize {
        self.runs.read().len()
    }

    /// Whether so much is in memory that it should be flushed.
    pub(crate) fn is_due(&self) -> bool {
        let memory = self.memory.read();
        memory.sealed.len() >= DUE_PACKS || (memory.entries.len() >= DUE_ENTRIES && !memory.sealed.is_empty())
    }

    /// Moves what is in memory, and on stable storage, to a run, and merges runs of like size.
    /// Does nothing while somebody else writes runs.
    pub(crate) fn flush(&self) -> Result<(), RunFault> {
        let Some(mut next) = self.maintenance.try_lock() else { return Ok(()) };
        self.flush_memory(&mut next)?;
        while !self.frozen.load(Ordering::Acquire) {
            let runs = self.runs.read().clone();
            let [.., older, newer] = &runs[..] else { return Ok(()) };
            if older.entries >= 2 * newer.entries {
                return Ok(());
            }
            self.merge(&mut next, runs.len() - 2)?;
        }
        Ok(())
    }

    /// While it is frozen, runs are added and none is merged.
    pub(crate) fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Release);
    }

    /// One run of all entries, without those of packs that are gone. None if there is none.
    pub(crate) fn flush_to_one(&self) -> Result<Option<Arc<Run>>, RunFault> {
        let mut next = self.maintenance.lock();
        self.flush_memory(&mut next)?;
        let count = self.runs.read().len();
        let is_clean = self.hidden.read().gone.is_empty();
        if count > 1 || (count == 1 && !is_clean) {
            self.merge(&mut next, 0)?;
        }
        Ok(self.runs.read().first().cloned())
    }

    fn flush_memory(&self, next: &mut u64) -> Result<(), RunFault> {
        let (packs, mut entries) = {
            let memory = self.memory.read();
            let sealed = memory.entries.iter().filter(|(_, found)| memory.sealed.contains(&found.place.pack));
            let entries: Vec<(Key, Found)> = sealed.map(|(key, found)| (*key, *found)).collect();
            (memory.sealed.clone(), entries)
        };
        if packs.is_empty() {
            return Ok(());
        }
        entries.sort_unstable_by_key(|(key, _)| *key);
        let table: Vec<PackId> = packs.iter().copied().collect();
        let numbers: HashMap<PackId, u32> = table.iter().zip(0..).map(|(id, number)| (*id, number)).collect();
        let number = take(next);
        let mut writer = RunWriter::create(&*self.storage, number)?;
        for (key, found) in &entries {
            writer.push(&RunEntry::new(*key, found, numbers[&found.place.pack]))?;
        }
        writer.finish(&table)?;
        let run = Arc::new(Run::open(&*self.storage, number)?);
        Arc::make_mut(&mut self.runs.write()).push(run);
        let mut memory = self.memory.write();
        memory.entries.retain(|_, found| !packs.contains(&found.place.pack));
        memory.sealed.retain(|pack| !packs.contains(pack));
        Ok(())
    }

    /// Merges all runs from this one on.
    fn merge(&self, next: &mut u64, first: usize) -> Result<(), RunFault> {
        let runs = self.runs.read().clone();
        let hidden = self.hidden();
        let number = take(next);
        merge::merge(&*self.storage, &runs[first..], &hidden, number)?;
        let merged = Arc::new(Run::open(&*self.storage, number)?);
        {
            let mut current = self.runs.write();
            let mut kept = current[..first].to_vec();
            kept.push(merged);
            *current = Arc::new(kept);
        }
        if first == 0 {
            // No run names them any more.
            self.hide(|now| now.gone.retain(|pack| !hidden.gone.contains(pack)));
        }
        let names: Vec<String> = runs[first..].iter().map(|run| run.name.clone()).collect();
        Ok(self.storage.delete(&names)?)
    }

    /// The runs as they are now. Of what is in memory, only packs that were on stable storage at the last flush are in one.
    pub(crate) fn runs(&self) -> Result<Runs, RunFault> {
        Runs::new(&self.runs.read().clone(), self.hidden().gone.clone())
    }

    pub(crate) fn rebuild(&self) -> Rebuild<'_> {
        Rebuild::new(self)
    }
}

/// The number of a new run: never one that was begun before, whatever became of it.
fn take(next: &mut u64) -> u64 {
    *next += 1;
    *next - 1
}

/// Keys are keyed hashes already.
#[derive(Default)]
pub(crate) struct Short(u64);

impl Hasher for Short {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests;
