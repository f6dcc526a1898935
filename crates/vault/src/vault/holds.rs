//! Holds: snapshots that may not be removed, for a reason and possibly until some day.

use super::Vault;
use crate::SnapshotId;
use crate::error::VaultError;
use crate::snapshot;
use crate::storage::StorageError;
use serde::{Deserialize, Serialize};

const FOLDER: &str = "holds/";
const VERSION: u32 = 1;
const LIMIT: u64 = 64 << 10;
const REASON_BYTES: usize = 4096;

/// Why a snapshot stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub reason: String,
    /// In milliseconds since 1970 by the keeper's clock; none: until it is released.
    pub until_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    reason: String,
    until_ms: Option<i64>,
}

fn path(id: SnapshotId) -> String {
    format!("{FOLDER}{id}.json")
}

impl Hold {
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.until_ms.is_some_and(|until| until <= now_ms)
    }
}

impl Vault {
    /// In the place of a hold that it has already.
    ///
    /// # Errors
    /// There is no such snapshot, or the folder cannot be written.
    pub fn hold(&self, id: SnapshotId, hold: &Hold) -> Result<(), VaultError> {
        self.check_writable()?;
        if hold.reason.len() > REASON_BYTES {
            return Err(VaultError::Reason { limit: REASON_BYTES });
        }
        // Nobody removes it meanwhile.
        let _gate = self.gate.read();
        if !self.snapshot_ids()?.contains(&id) {
            return Err(VaultError::NoSnapshot { snapshot: id });
        }
        let file = File { version: VERSION, reason: hold.reason.clone(), until_ms: hold.until_ms };
        let text = serde_json::to_vec_pretty(&file).expect("a hold is plain data");
        if let Err(StorageError::Exists { .. }) = self.storage.put_new(&path(id), &text) {
            self.storage.delete(&[path(id)])?;
            self.storage.put_new(&path(id), &text)?;
        }
        Ok(())
    }

    /// A snapshot that is not held is none the worse.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn release(&self, id: SnapshotId) -> Result<(), VaultError> {
        self.check_writable()?;
        Ok(self.storage.delete(&[path(id)])?)
    }

    /// Also one that is over by now. One whose file is damaged holds for ever, and says so.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn held(&self, id: SnapshotId) -> Result<Option<Hold>, VaultError> {
        let name = path(id);
        match self.storage.read(&name, LIMIT) {
            Ok(text) => Ok(Some(match serde_json::from_slice(&text) {
                Ok(File { version: VERSION, reason, until_ms }) => Hold { reason, until_ms },
                _ => Hold { reason: format!("{} cannot be read", self.storage.path(&name)), until_ms: None },
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error @ StorageError::TooLong { .. }) => Ok(Some(Hold { reason: error.to_string(), until_ms: None })),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes snapshots, all of them or none. What only they needed is garbage from then on; sessions and readers that rely on
    /// one go on. Ids of snapshots that are not there are passed over. Says how many there were.
    ///
    /// # Errors
    /// One is held, or the folder cannot be written; killed in between, some may be removed.
    pub fn remove(&self, ids: &[SnapshotId], now_ms: i64) -> Result<usize, VaultError> {
        self.check_writable()?;
        let _gate = self.gate.write();
        let there = self.snapshot_ids()?;
        let ids: Vec<SnapshotId> = ids.iter().filter(|id| there.binary_search(id).is_ok()).copied().collect();
        for id in &ids {
            if let Some(hold) = self.held(*id)?.filter(|hold| !hold.is_over(now_ms)) {
                return Err(VaultError::Held { snapshot: *id, reason: hold.reason });
            }
        }
        let records: Vec<String> = ids.iter().map(|id| snapshot::path(*id)).collect();
        self.storage.delete(&records)?;
        self.storage.delete(&ids.iter().map(|id| path(*id)).collect::<Vec<_>>())?;
        Ok(ids.len())
    }
}
