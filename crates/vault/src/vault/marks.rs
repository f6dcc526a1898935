//! Marks: which segments were found damaged. Their chunks count as absent, so whoever has them is asked for them again.

use super::{Trouble, Vault};
use crate::error::VaultError;
use crate::index::Bad;
use crate::pack::PackId;
use crate::stamp;
use crate::storage::StorageError;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

const FOLDER: &str = "marks/";
/// There while snapshots lack something.
const DOUBT: &str = "marks/doubt.json";
const VERSION: u32 = 1;
const LIMIT: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    version: u32,
    /// Everything in the pack.
    whole: bool,
    /// Offsets of segments.
    segments: Vec<u32>,
}

fn path(pack: PackId) -> String {
    format!("{FOLDER}{pack}.json")
}

impl Vault {
    pub(super) fn read_marks(&self) -> Result<(), VaultError> {
        for name in self.storage.list(FOLDER)? {
            self.is_in_doubt.store(true, Ordering::Release);
            let id = name.strip_prefix(FOLDER).and_then(|name| name.strip_suffix(".json")).and_then(stamp::parse);
            let Some(id) = id.map(PackId) else { continue };
            let text = self.storage.read(&name, LIMIT)?;
            let bad = match serde_json::from_slice(&text) {
                Ok(Mark { version: VERSION, whole: false, segments }) => Bad::Segments(segments.into_iter().collect()),
                Ok(Mark { .. }) => Bad::Whole,
                // What it said is not known, so nothing in its pack is relied on.
                Err(_) => {
                    self.report(Trouble::Mark { path: self.storage.path(&name) });
                    Bad::Whole
                }
            };
            self.index.hide(|hidden| drop(hidden.bad.insert(id, bad)));
        }
        Ok(())
    }

    /// From now on, and after the next opening too.
    pub(crate) fn mark(&self, pack: PackId, bad: &Bad) -> Result<(), VaultError> {
        if self.index.hidden().bad.get(&pack) == Some(bad) {
            return Ok(());
        }
        let segments = match bad {
            Bad::Whole => Vec::new(),
            Bad::Segments(offsets) => offsets.iter().copied().collect(),
        };
        let mark = Mark { version: VERSION, whole: *bad == Bad::Whole, segments };
        let text = serde_json::to_vec_pretty(&mark).expect("a mark is plain data");
        self.index.hide(|hidden| drop(hidden.bad.insert(pack, bad.clone())));
        match self.storage.put_new(&path(pack), &text) {
            Err(StorageError::Exists { .. }) => {
                self.storage.delete(&[path(pack)])?;
                Ok(self.storage.put_new(&path(pack), &text)?)
            }
            result => Ok(result?),
        }
    }

    /// Whether a scrub found that snapshots lack something: known after the next opening too.
    pub(crate) fn doubt(&self, doubt: bool) -> Result<(), VaultError> {
        self.is_in_doubt.store(doubt, Ordering::Release);
        if !doubt {
            return Ok(self.storage.delete(&[DOUBT.to_owned()])?);
        }
        match self.storage.put_new(DOUBT, b"{}") {
            Ok(()) | Err(StorageError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The pack is whole, or gone.
    pub(crate) fn unmark(&self, pack: PackId) -> Result<(), VaultError> {
        if self.index.hidden().bad.contains_key(&pack) {
            self.storage.delete(&[path(pack)])?;
            self.index.hide(|hidden| drop(hidden.bad.remove(&pack)));
        }
        Ok(())
    }
}
