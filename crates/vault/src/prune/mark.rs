//! What is needed: one bit for each entry of the index.

use super::CollectReport;
use crate::error::VaultError;
use crate::index::{Runs, Want};
use crate::keys::Key;
use crate::progress::{Phase, Watch, tell};
use crate::snapshot::{self, RecordFault, Snapshot};
use crate::storage::StorageError;
use crate::streams::Needs;
use crate::vault::Vault;
use std::sync::Arc;

/// Keys that are looked up at once: in order, so that most looks find the page of the one before.
const AT_ONCE: usize = 256 << 10;

pub(super) struct Marks {
    bits: Vec<u64>,
}

struct Marking<'a> {
    runs: &'a Runs,
    bits: Vec<u64>,
    keys: Vec<Key>,
    /// Keys that are in no run.
    missing: Vec<Key>,
}

impl Marks {
    /// From every snapshot that is there or that somebody relies on.
    pub(super) fn of_all(
        vault: &Arc<Vault>,
        runs: &Runs,
        report: &mut CollectReport,
        watch: &mut Watch<'_>,
    ) -> Result<Marks, VaultError> {
        let bits =
            vec![0; usize::try_from(runs.entries().div_ceil(64)).expect("there is memory for a bit of each entry")];
        let mut marking = Marking { runs, bits, keys: Vec::with_capacity(AT_ONCE), missing: Vec::new() };
        let mut needs = Needs::new(vault);
        let ids = snapshot::list(&*vault.storage)?;
        let total = ids.len() as u64;
        for (done, id) in ids.into_iter().enumerate() {
            tell(watch, Phase::Snapshots, done as u64, total)?;
            match snapshot::read(&*vault.storage, &vault.key, id) {
                Ok(snapshot) => marking.add(&mut needs, &snapshot)?,
                // It was removed meanwhile. Whoever relies on it has said so.
                Err(RecordFault::Storage(StorageError::NotFound { .. })) => {}
                Err(RecordFault::Storage(error)) => return Err(error.into()),
                Err(source) => {
                    return Err(VaultError::Record { path: vault.storage.path(&snapshot::path(id)), source });
                }
            }
            report.snapshots += 1;
        }
        // Asked after the list was read, so that what was removed in between is seen in one of the two.
        for snapshot in vault.registry.relied().snapshots {
            marking.add(&mut needs, &snapshot)?;
        }
        marking.look_up()?;
        report.chunks_missing = marking.count_missing(vault)?;
        Ok(Marks { bits: marking.bits })
    }

    pub(super) fn is_needed(&self, position: u64) -> bool {
        self.bits[(position / 64) as usize] >> (position % 64) & 1 == 1
    }

    pub(super) fn count(&self) -> u64 {
        self.bits.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }
}

impl Marking<'_> {
    fn add(&mut self, needs: &mut Needs, snapshot: &Snapshot) -> Result<(), VaultError> {
        needs.each_part(snapshot, |keys| {
            self.keys.extend(keys);
            if self.keys.len() >= AT_ONCE { self.look_up() } else { Ok(()) }
        })
    }

    fn look_up(&mut self) -> Result<(), VaultError> {
        let bits = &mut self.bits;
        self.keys.sort_unstable();
        self.keys.dedup();
        let mark = |position: u64, _, _: &_| bits[(position / 64) as usize] |= 1 << (position % 64);
        self.missing.extend(self.runs.positions(&self.keys, mark)?);
        self.keys.clear();
        Ok(())
    }

    /// What came after the runs were written is in memory.
    fn count_missing(&self, vault: &Vault) -> Result<u64, VaultError> {
        let mut count = 0;
        for keys in self.missing.chunks(4096) {
            count += vault.index.find(keys, Want::Any)?.iter().filter(|found| found.is_none()).count() as u64;
        }
        Ok(count)
    }
}
