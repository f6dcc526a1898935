//! Collecting garbage: chunks that no snapshot needs any more.
//!
//! Sessions go on meanwhile. What they rely on is known (`registry.rs`); what is to be cleared away is hidden from them first, so
//! nobody begins to rely on it. A pack is deleted only when all that is needed of it is elsewhere on stable storage, so whoever
//! kills the keeper at any moment loses nothing and finds some chunks twice at worst.

mod mark;
mod plan;
mod repack;

use crate::error::VaultError;
use crate::index::{RunFault, Runs};
use crate::pack::PackId;
use crate::progress::{Phase, Watch, tell};
use crate::storage::StorageError;
use crate::vault::{Trouble, Vault};
use mark::Marks;
use plan::{Condemned, Plan};
use repack::Repack;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What may be collected.
#[derive(Clone, Copy, Debug)]
pub struct CollectOptions {
    /// The keeper's clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// Packs younger than this stay as they are: an interrupted backup goes on with what it had sent.
    pub grace_ms: i64,
    /// Packs of which less than this is needed are written anew.
    pub repack_below_percent: u8,
}

impl CollectOptions {
    /// A day's grace, and 60 percent.
    pub fn new(now_ms: i64) -> CollectOptions {
        CollectOptions { now_ms, grace_ms: 24 * 60 * 60 * 1000, repack_below_percent: 60 }
    }
}

/// What collecting came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectReport {
    pub snapshots: u64,
    /// Chunks that the vault had and that something needs.
    pub chunks_needed: u64,
    pub chunks_unneeded: u64,
    /// Chunks that snapshots need and that are not there.
    pub chunks_missing: u64,
    /// Packs that were looked at.
    pub packs: u64,
    pub packs_deleted: u64,
    /// Of these, what was needed was written anew first.
    pub packs_repacked: u64,
    /// Packs that were left as they are because something in them that is needed is damaged.
    pub packs_damaged: u64,
    pub bytes_deleted: u64,
    pub bytes_written: u64,
}

/// Undoes what the vault does differently while garbage is collected.
struct Collecting<'a>(&'a Vault);

impl<'a> Collecting<'a> {
    fn begin(vault: &'a Vault) -> Collecting<'a> {
        vault.registry.begin_collecting();
        vault.index.freeze(true);
        // Whoever was just finding out that something is there has said so when this returns.
        drop(vault.gate.write());
        Collecting(vault)
    }
}

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        self.0.index.hide(|hidden| hidden.condemned.clear());
        self.0.index.freeze(false);
        self.0.registry.end_collecting();
    }
}

impl Vault {
    /// Frees what no snapshot, session or reader needs. Backups and restores go on meanwhile.
    ///
    /// # Errors
    /// It cannot be told what is needed, because a snapshot's record or its *refs* are damaged; the disk is full or gone; or `watch`
    /// said to stop. The vault is whole in every case.
    pub fn collect(
        self: &Arc<Self>,
        options: &CollectOptions,
        watch: &mut Watch<'_>,
    ) -> Result<CollectReport, VaultError> {
        self.check_writable()?;
        let _upkeep = self.upkeep.lock();
        let mut report = CollectReport::default();
        let collecting = Collecting::begin(self);
        self.merge_if_there_is_room()?;
        let runs = self.index.runs()?;
        if runs.packs.is_empty() {
            return Ok(report);
        }
        let marks = Marks::of_all(self, &runs, &mut report, watch)?;
        if report.chunks_missing > 0 {
            self.is_in_doubt.store(true, Ordering::Release);
            self.report(Trouble::Missing { chunks: report.chunks_missing });
        }
        let plan = Plan::make(self, options, &runs, &marks, &mut report)?;
        self.clear_away(&plan, &runs, &marks, &mut report, watch)?;
        drop(collecting);
        self.merge_if_there_is_room()?;
        Ok(report)
    }

    /// On a full disk garbage is collected with the runs that there are.
    fn merge_if_there_is_room(&self) -> Result<(), VaultError> {
        match self.index.flush_to_one() {
            Err(fault @ RunFault::Storage(StorageError::Full { .. })) => self.report(Trouble::Flush(fault)),
            result => drop(result?),
        }
        Ok(())
    }

    fn clear_away(
        self: &Arc<Self>,
        plan: &Plan,
        runs: &Runs,
        marks: &Marks,
        report: &mut CollectReport,
        watch: &mut Watch<'_>,
    ) -> Result<(), VaultError> {
        let total = plan.packs.len() as u64;
        let mut done = 0;
        for round in plan.packs.chunks(plan::ROUND) {
            tell(watch, Phase::Repacking, done, total)?;
            done += round.len() as u64;
            let mut condemned = Condemned::find(self, round, runs, marks)?;
            self.condemn(&mut condemned);
            let mut repack = Repack::new(self);
            for pack in &condemned {
                repack.pack(pack, report)?;
            }
            let moved = repack.finish(report)?;
            tell(watch, Phase::Deleting, done, total)?;
            self.delete_packs(&moved, report)?;
        }
        Ok(())
    }

    /// From now on nobody is told that what is to go is there. What somebody was told before is kept.
    fn condemn(&self, condemned: &mut [Condemned]) {
        {
            let _gate = self.gate.write();
            self.index.hide(|hidden| {
                hidden.condemned = condemned.iter().map(|pack| (pack.id, pack.kept.clone())).collect();
            });
        }
        let relied = self.registry.relied();
        for pack in condemned {
            let mut pinned = HashSet::new();
            for pins in &relied.pins {
                pins.pick(&pack.unneeded, &mut pinned);
            }
            if !pinned.is_empty() {
                Arc::make_mut(&mut pack.kept).extend(pinned);
                self.index.hide(|hidden| drop(hidden.condemned.insert(pack.id, pack.kept.clone())));
            }
        }
    }

    fn delete_packs(&self, packs: &[(PackId, u64)], report: &mut CollectReport) -> Result<(), VaultError> {
        let ids: Vec<PackId> = packs.iter().map(|(id, _)| *id).collect();
        self.index.hide(|hidden| {
            hidden.gone.extend(&ids);
            hidden.condemned.retain(|id, _| !ids.contains(id));
        });
        self.packs.close(&ids);
        self.storage.delete(&ids.iter().map(|id| id.path()).collect::<Vec<_>>())?;
        ids.iter().try_for_each(|id| self.unmark(*id))?;
        report.packs_deleted += packs.len() as u64;
        report.bytes_deleted += packs.iter().map(|(_, bytes)| bytes).sum::<u64>();
        Ok(())
    }
}
