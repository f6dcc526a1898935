//! A vault that is open for reading, beside the keeper that goes on writing: what it knows of where chunks are grows old, and
//! is read anew where something is not found.

use super::Vault;
use super::store::footer_entries;
use crate::error::VaultError;
use crate::index::{DamagedRun, Index};
use crate::pack::PackId;
use crate::storage::{Storage, StorageError};
use std::collections::HashSet;
use std::sync::Arc;

/// How often is looked again where the keeper took something away between a list and a look at what it named.
const TRIES: u32 = 16;

/// Packs and runs that were there when they were last looked at.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Seen {
    packs: HashSet<PackId>,
    runs: Vec<String>,
}

impl Seen {
    pub(super) fn now(storage: &dyn Storage) -> Result<Seen, StorageError> {
        let names = storage.list("packs/")?;
        let packs = names.iter().filter_map(|name| PackId::of_path(name)).collect();
        Ok(Seen { packs, runs: Index::runs_there(storage)? })
    }

    /// The index of what is there, packs that it does not cover, and runs that cannot be used.
    pub(super) fn index(
        storage: &Arc<dyn Storage>,
    ) -> Result<(Seen, Index, Vec<PackId>, Vec<DamagedRun>), StorageError> {
        let mut tries = 0;
        loop {
            let seen = Seen::now(&**storage)?;
            tries += 1;
            match Index::open(storage.clone(), &seen.packs) {
                Err(error) if error.is_not_found() && tries < TRIES => {}
                opened => return opened.map(|(index, uncovered, damaged)| (seen, index, uncovered, damaged)),
            }
        }
    }
}

impl Vault {
    /// Whether there is anything that this vault did not know of: what was not found is to be looked for again then. The
    /// keeper itself knows everything.
    pub(crate) fn catch_up(&self) -> Result<bool, VaultError> {
        if self.check_writable().is_ok() {
            return Ok(false);
        }
        let mut seen = self.seen.lock();
        if *seen == Seen::now(&*self.storage)? {
            return Ok(false);
        }
        let (now, index, uncovered, _) = Seen::index(&self.storage)?;
        for id in uncovered {
            if let Some(footer) = self.footer_or_trouble(id)? {
                index.insert(footer_entries(id, &footer));
            }
        }
        self.index.become_like(index);
        *seen = now;
        Ok(true)
    }
}
