//! Putting segments into packs, and packs onto stable storage.

use super::{Trouble, Vault};
use crate::SegmentKind;
use crate::domain::Domain;
use crate::error::VaultError;
use crate::index::{DamagedRun, Found, Place};
use crate::keys::Key;
use crate::pack::{Footer, Listed, PackFault, PackId, PackWriter, Span};
use crate::storage::StorageError;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;

/// Packs that are not on stable storage: those that are written, and those that could not be.
#[derive(Default)]
pub(crate) struct Unsealed {
    states: Mutex<HashMap<PackId, State>>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Sealing,
    Lost,
}

impl Unsealed {
    pub(crate) fn contains(&self, pack: PackId) -> bool {
        self.states.lock().contains_key(&pack)
    }

    fn set(&self, pack: PackId, state: Option<State>) {
        let mut states = self.states.lock();
        match state {
            Some(state) => states.insert(pack, state),
            None => states.remove(&pack),
        };
        self.changed.notify_all();
    }
}

/// Where a segment went.
pub(crate) struct Stored {
    pub pack: PackId,
    /// Bytes that the vault grew by; none if others had put the same meanwhile.
    pub bytes: u64,
}

/// The entries of one segment for the index.
pub(crate) fn entries(pack: PackId, span: Span, chunks: &[Listed]) -> impl Iterator<Item = (Key, Found)> {
    let mut start = 0;
    chunks.iter().map(move |chunk| {
        let place = Place { pack, span, start, length: chunk.length };
        start += chunk.length;
        (chunk.key, Found { proof: chunk.proof, place })
    })
}

pub(crate) fn footer_entries(pack: PackId, footer: &Footer) -> impl Iterator<Item = (Key, Found)> {
    footer.parts().flat_map(move |(segment, chunks)| entries(pack, segment.span, chunks))
}

impl Vault {
    /// Puts a segment into the open pack of its domain.
    pub(crate) fn store(
        &self,
        domain: &Domain,
        kind: SegmentKind,
        bytes: &[u8],
        chunks: &[Listed],
        now_ms: i64,
    ) -> Result<Stored, VaultError> {
        let mut writer = domain.writer.lock();
        if writer.is_none() {
            let new = PackWriter::create(&*self.storage, domain.id, &domain.keys, now_ms)?;
            self.unsealed.set(new.id, Some(State::Open));
            *writer = Some(new);
        }
        let pack = writer.as_mut().expect("it was just made");
        let id = pack.id;
        // Another session may have put the very same between this one's look and now.
        if chunks.iter().all(|chunk| self.index.is_in(&chunk.key, id)) {
            return Ok(Stored { pack: id, bytes: 0 });
        }
        let span = match pack.append(kind, bytes, chunks) {
            Ok(span) => span,
            Err(error) => {
                *writer = None;
                self.lose(id);
                return Err(error.into());
            }
        };
        self.index.insert(entries(id, span, chunks));
        let full = if pack.is_full() { writer.take() } else { None };
        if full.is_some() {
            self.unsealed.set(id, Some(State::Sealing));
        }
        drop(writer);
        if let Some(full) = full {
            self.finish(full)?;
        }
        Ok(Stored { pack: id, bytes: u64::from(span.stored) })
    }

    /// Returns once this pack is on stable storage. Sessions that wait for the same pack share the work.
    pub(crate) fn settle(&self, domain: &Domain, pack: PackId) -> Result<(), VaultError> {
        loop {
            {
                let mut states = self.unsealed.states.lock();
                match states.get(&pack) {
                    None => return Ok(()),
                    Some(State::Lost) => return Err(VaultError::Lost { pack }),
                    Some(State::Sealing) => {
                        self.unsealed.changed.wait(&mut states);
                        continue;
                    }
                    Some(State::Open) => {}
                }
            }
            let mut writer = domain.writer.lock();
            let Some(open) = writer.take_if(|writer| writer.id == pack) else { continue };
            self.unsealed.set(pack, Some(State::Sealing));
            drop(writer);
            self.finish(open)?;
        }
    }

    fn finish(&self, writer: PackWriter) -> Result<(), VaultError> {
        let id = writer.id;
        if let Err(error) = writer.finish(&self.key) {
            self.lose(id);
            return Err(error.into());
        }
        self.index.sealed(id);
        self.unsealed.set(id, None);
        self.flush_if_due();
        Ok(())
    }

    fn lose(&self, pack: PackId) {
        self.index.forget(pack);
        self.unsealed.set(pack, Some(State::Lost));
    }

    pub(crate) fn flush_if_due(&self) {
        if self.index.is_due()
            && let Err(fault) = self.index.flush()
        {
            self.report(Trouble::Flush(fault));
        }
    }

    /// Runs that cannot be used: all that they said has just been read in.
    pub(super) fn drop_runs(&self, damaged: Vec<DamagedRun>) -> Result<(), VaultError> {
        if !damaged.is_empty() && self.check_writable().is_ok() {
            self.index.flush()?;
            let names: Vec<String> = damaged.iter().map(|run| run.name.clone()).collect();
            self.storage.delete(&names)?;
        }
        for run in damaged {
            self.report(Trouble::Run { path: self.storage.path(&run.name), source: run.fault });
        }
        Ok(())
    }

    /// Reads packs in that no run of the index covers. One that is damaged counts as missing.
    pub(crate) fn read_in(&self, packs: &[PackId]) -> Result<(), VaultError> {
        for id in packs {
            if let Some(footer) = self.footer_or_trouble(*id)? {
                self.index.insert(footer_entries(*id, &footer));
                self.index.sealed(*id);
            }
            if self.check_writable().is_ok() {
                self.flush_if_due();
            }
        }
        Ok(())
    }

    pub(crate) fn read_footer(&self, id: PackId) -> Result<Footer, PackFault> {
        let object = self.storage.open(&id.path())?;
        Footer::read(&*object, id, Some(&self.key))
    }

    /// None where it is gone, or damaged, which is a trouble.
    pub(crate) fn footer_or_trouble(&self, id: PackId) -> Result<Option<Footer>, VaultError> {
        match self.read_footer(id) {
            Ok(footer) => Ok(Some(footer)),
            Err(PackFault::Storage(StorageError::NotFound { .. })) => Ok(None),
            Err(PackFault::Storage(error)) if !error.is_about_content() => Err(error.into()),
            Err(source) => {
                self.report(Trouble::Pack { path: self.storage.path(&id.path()), source });
                Ok(None)
            }
        }
    }
}

impl Drop for Vault {
    /// Leaves the next one little to read in. What cannot be written is in the packs.
    fn drop(&mut self) {
        if self.check_writable().is_ok() {
            let _ = self.index.flush();
        }
    }
}
