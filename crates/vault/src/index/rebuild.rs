//! Making the index anew beside the one that is used, and changing over at the end.

use super::merge::merge;
use super::run::{Run, RunEntry, RunFault, RunWriter};
use super::{DUE_ENTRIES, Found, Index, take};
use crate::keys::Key;
use crate::pack::PackId;
use parking_lot::MutexGuard;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// While it is there, what comes new stays in memory.
pub(crate) struct Rebuild<'a> {
    index: &'a Index,
    next: MutexGuard<'a, u64>,
    runs: Vec<Arc<Run>>,
    packs: Vec<PackId>,
    entries: Vec<(Key, Found, u32)>,
    is_done: bool,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(index: &'a Index) -> Rebuild<'a> {
        let next = index.maintenance.lock();
        Rebuild { index, next, runs: Vec::new(), packs: Vec::new(), entries: Vec::new(), is_done: false }
    }

    pub(crate) fn add(&mut self, pack: PackId, entries: impl Iterator<Item = (Key, Found)>) -> Result<(), RunFault> {
        let number = self.packs.len() as u32;
        self.packs.push(pack);
        self.entries.extend(entries.map(|(key, found)| (key, found, number)));
        if self.entries.len() >= DUE_ENTRIES { self.write() } else { Ok(()) }
    }

    /// What the index that is used knows of packs that cannot tell it themselves any more. A run that is damaged says nothing.
    pub(crate) fn keep(&mut self, packs: &HashSet<PackId>) -> Result<(), RunFault> {
        let mut known: BTreeMap<PackId, HashMap<Key, Found>> = BTreeMap::new();
        let mut note = |key, found: Found| {
            known.entry(found.place.pack).or_default().insert(key, found);
        };
        let runs = self.index.runs.read().clone();
        for run in runs.iter().filter(|run| run.names_any(packs)) {
            match run.entries_of(packs) {
                Ok(entries) => entries.into_iter().for_each(|(key, found)| note(key, found)),
                Err(fault @ RunFault::Storage(_)) => return Err(fault),
                Err(_) => {}
            }
        }
        let memory = self.index.memory.read();
        let of_packs = memory.entries.iter().filter(|(_, found)| packs.contains(&found.place.pack));
        of_packs.for_each(|(key, found)| note(*key, *found));
        drop(memory);
        known.into_iter().try_for_each(|(pack, entries)| self.add(pack, entries.into_iter()))
    }

    fn write(&mut self) -> Result<(), RunFault> {
        let hidden = self.index.hidden();
        let is_bad = |found: &Found| hidden.is_bad(&found.place);
        self.entries.sort_by_key(|(key, found, _)| (*key, is_bad(found)));
        self.entries.dedup_by_key(|(key, _, _)| *key);
        let storage = &*self.index.storage;
        let new = take(&mut self.next);
        let mut writer = RunWriter::create(storage, new)?;
        for (key, found, pack) in self.entries.drain(..) {
            writer.push(&RunEntry::new(key, &found, pack))?;
        }
        writer.finish(&std::mem::take(&mut self.packs))?;
        self.open(new)?;
        while let [.., older, newer] = &self.runs[..] {
            if older.entries >= 2 * newer.entries {
                break;
            }
            let both = self.runs.split_off(self.runs.len() - 2);
            self.merge(&both)?;
        }
        Ok(())
    }

    fn merge(&mut self, runs: &[Arc<Run>]) -> Result<(), RunFault> {
        let new = take(&mut self.next);
        merge(&*self.index.storage, runs, &self.index.hidden(), new)?;
        self.open(new)?;
        Ok(self.index.storage.delete(&runs.iter().map(|run| run.name.clone()).collect::<Vec<_>>())?)
    }

    fn open(&mut self, number: u64) -> Result<(), RunFault> {
        self.runs.push(Arc::new(Run::open(&*self.index.storage, number)?));
        Ok(())
    }

    /// What was made takes the place of what was used.
    pub(crate) fn finish(mut self) -> Result<(), RunFault> {
        if !self.packs.is_empty() {
            self.write()?;
        }
        if self.runs.len() > 1 {
            let all = std::mem::take(&mut self.runs);
            self.merge(&all)?;
        }
        self.is_done = true;
        let kept: Vec<String> = self.runs.iter().map(|run| run.name.clone()).collect();
        *self.index.runs.write() = Arc::new(std::mem::take(&mut self.runs));
        // Also those that could not be used when the vault was opened.
        let names = self.index.storage.list(super::FOLDER)?;
        let old: Vec<String> =
            names.into_iter().filter(|name| super::run::number(name).is_some() && !kept.contains(name)).collect();
        self.index.storage.delete(&old)?;
        self.index.hide(|hidden| hidden.gone.clear());
        Ok(())
    }
}

impl Drop for Rebuild<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            let names: Vec<String> = self.runs.iter().map(|run| run.name.clone()).collect();
            // What stays behind says nothing that is not so, and is merged one day.
            let _ = self.index.storage.delete(&names);
        }
    }
}
