//! Whether a session may refer to a chunk: it put it, was told that the keeper has it, or builds on a snapshot with it.

use super::Session;
use crate::error::{Refusal, VaultError};
use crate::streams::RefsReader;
use crate::{ChunkId, Draft};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// Chunks that are looked for in the basis at once: bounds the memory that a client can make the keeper use.
const AT_ONCE: usize = 128 << 10;

/// Collects ids that only the basis may prove, and looks for many at once.
pub(super) struct Unproven<'a> {
    session: &'a Session,
    draft: &'a Draft,
    waiting: HashSet<ChunkId>,
}

impl<'a> Unproven<'a> {
    pub(super) fn new(session: &'a Session, draft: &'a Draft) -> Unproven<'a> {
        Unproven { session, draft, waiting: HashSet::new() }
    }

    pub(super) fn check(&mut self, id: ChunkId) -> Result<(), VaultError> {
        if self.session.pins.contains(&self.session.domain.keys.key(&id)) {
            return Ok(());
        }
        if self.session.basis().is_none() {
            return Err(Refusal::Unproven { chunk: id }.into());
        }
        self.waiting.insert(id);
        if self.waiting.len() >= AT_ONCE { self.look_into_basis() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<(), VaultError> {
        self.look_into_basis()
    }

    fn look_into_basis(&mut self) -> Result<(), VaultError> {
        let Some(basis) = self.session.basis() else { return Ok(()) };
        let reader = RefsReader::new(&self.session.vault, &self.session.domain);
        for (id, _) in basis.names.chunks.iter().chain(&basis.refs.chunks) {
            self.waiting.remove(id);
        }
        // What stood in a chunk that changed most likely stands in the one that took its place.
        let kept: HashSet<ChunkId> = self.draft.refs.chunks.iter().map(|(id, _)| *id).collect();
        let (kept, replaced): (Vec<_>, Vec<_>) = basis.refs.chunks.iter().partition(|(id, _)| kept.contains(id));
        for &(chunk, _) in replaced.into_iter().chain(kept) {
            if self.waiting.is_empty() {
                return Ok(());
            }
            for id in reader.ids(chunk)? {
                self.waiting.remove(&id);
            }
        }
        match self.waiting.iter().next() {
            Some(chunk) => Err(Refusal::Unproven { chunk: *chunk }.into()),
            None => Ok(()),
        }
    }
}

impl Session {
    /// While nothing is known to be damaged or missing, a basis needs no looking at.
    pub(super) fn check_basis(&self) -> Result<(), VaultError> {
        let Some(basis) = self.basis() else { return Ok(()) };
        if !self.vault.is_in_doubt.load(Ordering::Acquire) {
            return Ok(());
        }
        let snapshot = basis.summary.id;
        if self.vault.first_absent(&self.domain, basis)?.is_some() {
            return Err(VaultError::DamagedBasis { snapshot });
        }
        Ok(())
    }
}
