//! All runs of one moment, seen as one: for whoever has to look at every entry while the disk may be too full to merge them.

use super::run::{Run, RunEntry, RunFault};
use crate::keys::Key;
use crate::pack::PackId;
use crate::storage::StorageError;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Entries have positions through all runs, packs a number each, though several runs may name them.
pub(crate) struct Runs {
    runs: Vec<Part>,
    pub(crate) packs: Vec<PackId>,
    gone: HashSet<PackId>,
}

struct Part {
    run: Arc<Run>,
    /// Position of its first entry.
    first: u64,
    /// The number of each pack that it names.
    packs: Vec<u32>,
}

impl Runs {
    pub(super) fn new(runs: &[Arc<Run>], gone: HashSet<PackId>) -> Result<Runs, RunFault> {
        let (mut parts, mut packs, mut numbers, mut first) = (Vec::new(), Vec::new(), HashMap::new(), 0);
        for run in runs {
            let named = run.pack_ids()?.into_iter().map(|id| {
                *numbers.entry(id).or_insert_with(|| {
                    packs.push(id);
                    packs.len() as u32 - 1
                })
            });
            parts.push(Part { run: run.clone(), first, packs: named.collect() });
            first += run.entries;
        }
        Ok(Runs { runs: parts, packs, gone })
    }

    pub(crate) fn entries(&self) -> u64 {
        self.runs.iter().map(|part| part.run.entries).sum()
    }

    fn is_gone(&self, pack: u32) -> bool {
        self.packs.get(pack as usize).is_none_or(|id| self.gone.contains(id))
    }

    /// Tells every place of each of these keys: its position, its pack, and the entry. The keys are in order and none comes twice.
    /// Gives back those that are in no pack that is there.
    pub(crate) fn positions(
        &self,
        keys: &[Key],
        mut visit: impl FnMut(u64, u32, &RunEntry),
    ) -> Result<Vec<Key>, StorageError> {
        let mut missing = keys.to_vec();
        for part in &self.runs {
            let mut found = Vec::with_capacity(keys.len());
            part.run.positions(keys, |position, entry| {
                let pack = part.packs.get(entry.pack as usize).copied().unwrap_or(u32::MAX);
                if !self.is_gone(pack) {
                    visit(part.first + position, pack, entry);
                    found.push(entry.key);
                }
            })?;
            // Both are in order.
            let mut found = found.into_iter().peekable();
            missing.retain(|key| {
                while found.next_if(|next| next < key).is_some() {}
                found.peek() != Some(key)
            });
        }
        Ok(missing)
    }

    /// Tells every entry: its position, its pack, and itself.
    pub(crate) fn each(&self, mut visit: impl FnMut(u64, u32, &RunEntry)) -> Result<(), RunFault> {
        for part in &self.runs {
            for (position, entry) in (part.first..).zip(part.run.scan()) {
                let entry = entry?;
                visit(position, part.packs[entry.pack as usize], &entry);
            }
        }
        Ok(())
    }
}
