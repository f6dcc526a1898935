//! The keeper's hold on a vault: its key, its index and its folder.

mod follow;
pub(crate) mod header;
mod holds;
mod marks;
mod size;
mod store;

pub use header::Access;
pub use holds::Hold;
pub use size::Size;
pub(crate) use store::{entries, footer_entries};

use crate::domain::{self, Domain};
use crate::error::VaultError;
use crate::index::{Index, RunFault};
use crate::keys::{self, Cost, Slot, VaultKey, WayIn};
use crate::pack::PackId;
use crate::packs::Packs;
use crate::registry::Registry;
use crate::snapshot::{self, Mode, Order, RecordFault, Snapshot, Summary};
use crate::storage::{Lock, Storage, StorageError};
use crate::{DomainId, SnapshotId};
use follow::Seen;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::Unsealed;

/// An open vault. Any number of threads and sessions may use it; there is one keeper that writes at a time.
pub struct Vault {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) id: [u8; 16],
    pub(crate) key: VaultKey,
    pub(crate) index: Index,
    pub(crate) packs: Packs,
    pub(crate) registry: Registry,
    /// Held for reading by whoever decides that a chunk or a snapshot is there and makes sure that it stays; for writing by
    /// whoever decides that something goes.
    pub(crate) gate: RwLock<()>,
    pub(crate) order: Mutex<Order>,
    /// Held by whoever collects garbage or marks damage.
    pub(crate) upkeep: Mutex<()>,
    /// Something that snapshots need may be missing, so a snapshot is looked at before anybody builds on it.
    pub(crate) is_in_doubt: AtomicBool,
    pub(crate) unsealed: Unsealed,
    domains: Mutex<HashMap<DomainId, Arc<Domain>>>,
    troubles: Mutex<Vec<Trouble>>,
    access: Access,
    /// Only looked at where this is open for reading.
    seen: Mutex<Seen>,
    _lock: Option<Lock>,
}

/// Something that went wrong beside what was asked for, and that somebody should see.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("{path} is damaged and counts as missing; scrub the vault for what it affects")]
    Pack {
        path: String,
        #[source]
        source: crate::pack::PackFault,
    },
    #[error("{path} was damaged; what it said of the index was read from the packs anew")]
    Run {
        path: String,
        #[source]
        source: RunFault,
    },
    #[error("the index could not be written; what it knows is in the packs too, have it rebuilt if this stays so")]
    Flush(#[source] RunFault),
    #[error("what an interrupted backup had sent could not be stored, so the next one sends it again")]
    Seal(#[source] VaultError),
    #[error(
        "{chunks} chunks that snapshots need are missing; scrub the vault for which, then back up their sources again"
    )]
    Missing { chunks: u64 },
    #[error("{path} is damaged; what it said of damaged packs is found again by a scrub")]
    Mark { path: String },
}

/// Every snapshot whose record can be read, from the oldest to the newest, and those whose cannot.
#[derive(Debug, Default)]
pub struct Listing {
    pub snapshots: Vec<Summary>,
    pub damaged: Vec<(SnapshotId, RecordFault)>,
}

impl Vault {
    /// Makes a vault with one way in, in a place that is empty, and opens it. `cost` counts for passwords only.
    ///
    /// # Errors
    /// Something else, or a vault, is there, or the place cannot be written.
    pub fn init(storage: Arc<dyn Storage>, slot: &str, way: &WayIn, cost: Cost) -> Result<Arc<Vault>, VaultError> {
        {
            let _lock = storage.lock()?;
            header::check_is_free(&*storage)?;
            let (id, key) = (rand::random(), VaultKey::generate());
            keys::add_slot(&*storage, &id, slot, &key, way, cost)?;
            // Last: without it there is no vault.
            header::write(&*storage, &id)?;
        }
        Vault::open(storage, way, Access::Write)
    }

    /// # Errors
    /// It is no vault, or a newer one, this is no way in, or another process is its keeper.
    pub fn open(storage: Arc<dyn Storage>, way: &WayIn, access: Access) -> Result<Arc<Vault>, VaultError> {
        let id = header::read(&*storage, access)?;
        let key = keys::open_slots(&*storage, &id, way)?;
        let lock = if access == Access::Write { Some(storage.lock()?) } else { None };
        let (seen, index, uncovered, damaged) = Seen::index(&storage)?;
        let vault = Arc::new(Vault {
            id,
            key,
            index,
            packs: Packs::new(storage.clone()),
            registry: Registry::default(),
            gate: RwLock::default(),
            order: Mutex::new(Order::after(&snapshot::list(&*storage)?)),
            upkeep: Mutex::default(),
            is_in_doubt: AtomicBool::new(false),
            unsealed: Unsealed::default(),
            domains: Mutex::default(),
            troubles: Mutex::default(),
            access,
            seen: Mutex::new(seen),
            _lock: lock,
            storage,
        });
        vault.read_marks()?;
        if !vault.index.hidden().gone.is_empty() {
            vault.is_in_doubt.store(true, Ordering::Release);
        }
        vault.read_in(&uncovered)?;
        vault.drop_runs(damaged)?;
        Ok(vault)
    }

    /// Ways in, by name.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn ways_in(&self) -> Result<Vec<Slot>, VaultError> {
        Ok(keys::list_slots(&*self.storage)?)
    }

    /// # Errors
    /// The name is taken or none, or the folder cannot be written.
    pub fn add_way_in(&self, slot: &str, way: &WayIn, cost: Cost) -> Result<(), VaultError> {
        self.check_writable()?;
        Ok(keys::add_slot(&*self.storage, &self.id, slot, &self.key, way, cost)?)
    }

    /// # Errors
    /// There is none of this name, or no other one.
    pub fn remove_way_in(&self, slot: &str) -> Result<(), VaultError> {
        self.check_writable()?;
        Ok(keys::remove_slot(&*self.storage, slot)?)
    }

    /// Which vault this is: stays the same wherever its folder is moved.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Snapshots whose records are there.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn snapshot_ids(&self) -> Result<Vec<SnapshotId>, VaultError> {
        Ok(snapshot::list(&*self.storage)?)
    }

    /// What a list says of every snapshot. One that is damaged hides no other.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn snapshots(&self) -> Result<Listing, VaultError> {
        let mut listing = Listing::default();
        for id in self.snapshot_ids()? {
            match snapshot::read_summary(&*self.storage, &self.key, id) {
                Ok(summary) => listing.snapshots.push(summary),
                // Removed since.
                Err(RecordFault::Storage(error)) if error.is_not_found() => {}
                Err(fault) => listing.damaged.push((id, fault)),
            }
        }
        Ok(listing)
    }

    /// # Errors
    /// There is none, or its record is damaged.
    pub fn summary(&self, id: SnapshotId) -> Result<Summary, VaultError> {
        snapshot::read_summary(&*self.storage, &self.key, id).map_err(|fault| self.record_error(id, fault))
    }

    /// # Errors
    /// There is none, or its record is damaged.
    pub fn snapshot(&self, id: SnapshotId) -> Result<Snapshot, VaultError> {
        snapshot::read(&*self.storage, &self.key, id).map_err(|fault| self.record_error(id, fault))
    }

    /// The newest snapshot of a source in a domain: what its next one builds on. Records that are damaged are passed over.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn latest(&self, source: &str, domain: &str) -> Result<Option<Summary>, VaultError> {
        for id in self.snapshot_ids()?.into_iter().rev() {
            match snapshot::read_summary(&*self.storage, &self.key, id) {
                Ok(summary) if summary.source == source && summary.domain == domain => return Ok(Some(summary)),
                _ => {}
            }
        }
        Ok(None)
    }

    /// What went wrong since it was last asked for.
    pub fn troubles(&self) -> Vec<Trouble> {
        std::mem::take(&mut *self.troubles.lock())
    }

    pub(crate) fn report(&self, trouble: Trouble) {
        self.troubles.lock().push(trouble);
    }

    pub(crate) fn check_writable(&self) -> Result<(), VaultError> {
        if self.access == Access::Write { Ok(()) } else { Err(VaultError::ReadOnly) }
    }

    fn record_error(&self, id: SnapshotId, fault: RecordFault) -> VaultError {
        match fault {
            RecordFault::Storage(StorageError::NotFound { .. }) => VaultError::NoSnapshot { snapshot: id },
            RecordFault::Storage(error) => VaultError::Storage(error),
            source => VaultError::Record { path: self.storage.path(&snapshot::path(id)), source },
        }
    }

    /// A domain that is there already.
    pub(crate) fn domain(&self, id: DomainId) -> Result<Option<Arc<Domain>>, VaultError> {
        let mut domains = self.domains.lock();
        if let Some(domain) = domains.get(&id) {
            return Ok(Some(domain.clone()));
        }
        match domain::read(&*self.storage, &self.key, id) {
            Ok(domain) => Ok(Some(domains.entry(id).or_insert(Arc::new(domain)).clone())),
            Err(RecordFault::Storage(StorageError::NotFound { .. })) => Ok(None),
            Err(RecordFault::Storage(error)) => Err(error.into()),
            Err(source) => Err(VaultError::Record { path: self.storage.path(&domain::path(id)), source }),
        }
    }

    /// A domain as a snapshot names it: reading needs no record of it.
    pub(crate) fn domain_of(&self, name: &str, mode: Mode) -> Arc<Domain> {
        let known = self.domains.lock().get(&DomainId::of(name)).cloned();
        let known = known.filter(|domain| domain.mode == mode);
        known.unwrap_or_else(|| Arc::new(Domain::new(name.to_owned(), mode, &self.key)))
    }

    pub(crate) fn packs_there(&self) -> Result<Vec<PackId>, StorageError> {
        Ok(self.storage.list("packs/")?.iter().filter_map(|name| PackId::of_path(name)).collect())
    }

    /// The domain of this name, which is made if there is none.
    pub(crate) fn domain_for(&self, name: &str, mode: Mode) -> Result<Arc<Domain>, VaultError> {
        let id = DomainId::of(name);
        let domain = match self.domain(id)? {
            Some(domain) => domain,
            None => {
                let mut domains = self.domains.lock();
                if let Some(domain) = domains.get(&id) {
                    domain.clone()
                } else {
                    let domain = Arc::new(domain::write(&*self.storage, &self.key, name, mode)?);
                    domains.insert(id, domain.clone());
                    domain
                }
            }
        };
        if domain.mode != mode {
            return Err(VaultError::DomainMode { domain: name.to_owned(), is: domain.mode, wanted: mode });
        }
        Ok(domain)
    }
}
