//! Reading the streams of snapshots: the keeper's own look at *refs*.

use crate::chunks::{Chunks, Plain};
use crate::domain::Domain;
use crate::error::{Refusal, VaultError};
use crate::index::Want;
use crate::keys::Key;
use crate::pack::PackFault;
use crate::snapshot::Snapshot;
use crate::vault::Vault;
use crate::{ChunkId, DomainId};
use std::collections::HashSet;
use std::sync::Arc;

/// Ids that are looked up at once.
const AT_ONCE: usize = 4096;

pub(crate) struct RefsReader(Chunks);

impl RefsReader {
    pub(crate) fn new(vault: &Arc<Vault>, domain: &Arc<Domain>) -> RefsReader {
        RefsReader(Chunks::new(vault.clone(), domain.clone(), None))
    }

    /// The ids in one chunk of a refs stream.
    pub(crate) fn ids(&self, chunk: ChunkId) -> Result<impl Iterator<Item = ChunkId> + use<>, VaultError> {
        let plain = match self.0.get(chunk) {
            // Sealed by the client, or packed so that it cannot be unpacked: nothing that the keeper could read.
            Err(VaultError::DamagedChunk { source: PackFault::Content, .. } | VaultError::NeedsSecret { .. }) => {
                return Err(Refusal::Refs { chunk }.into());
            }
            result => result?,
        };
        if plain.len() % 32 != 0 {
            return Err(Refusal::Refs { chunk }.into());
        }
        Ok(Ids { plain, at: 0 })
    }
}

struct Ids {
    plain: Plain,
    at: usize,
}

impl Iterator for Ids {
    type Item = ChunkId;

    fn next(&mut self) -> Option<ChunkId> {
        let id = self.plain.get(self.at..)?.first_chunk()?;
        self.at += 32;
        Some(ChunkId(*id))
    }
}

/// Says what snapshots need, each chunk of *refs* once however many snapshots share it.
pub(crate) struct Needs {
    vault: Arc<Vault>,
    /// Kept apart: of a chunk of *names* nobody has looked at what it would mean as one of *refs*.
    names: Seen,
    refs: Seen,
}

/// Half an id is enough to tell it from others.
type Seen = HashSet<(DomainId, [u8; 16])>;

impl Needs {
    pub(crate) fn new(vault: &Arc<Vault>) -> Needs {
        Needs { vault: vault.clone(), names: Seen::new(), refs: Seen::new() }
    }

    /// Tells the keys of what was not told before: chunks of files part by part, and those of the streams.
    pub(crate) fn each_part(
        &mut self,
        snapshot: &Snapshot,
        mut visit: impl FnMut(&mut dyn Iterator<Item = Key>) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        let summary = &snapshot.summary;
        let domain = self.vault.domain_of(&summary.domain, summary.mode);
        let is_new = |seen: &mut Seen, id: &ChunkId| {
            let half = *id.0.first_chunk().expect("an id has 32 bytes");
            seen.insert((domain.id, half))
        };
        let names = snapshot.names.chunks.iter().filter(|(id, _)| is_new(&mut self.names, id));
        visit(&mut names.map(|(id, _)| domain.keys.key(id)))?;
        let reader = RefsReader::new(&self.vault, &domain);
        for (chunk, _) in &snapshot.refs.chunks {
            if is_new(&mut self.refs, chunk) {
                let ids = reader.ids(*chunk)?;
                let keys = std::iter::once(domain.keys.key(chunk)).chain(ids.map(|id| domain.keys.key(&id)));
                visit(&mut { keys })?;
            }
        }
        Ok(())
    }
}

impl Vault {
    /// The first chunk that a snapshot needs and that is missing or marked as damaged.
    pub(crate) fn first_absent(
        self: &Arc<Self>,
        domain: &Arc<Domain>,
        snapshot: &Snapshot,
    ) -> Result<Option<ChunkId>, VaultError> {
        let of_streams = snapshot.names.chunks.iter().chain(&snapshot.refs.chunks);
        let mut waiting: Vec<ChunkId> = of_streams.map(|(id, _)| *id).collect();
        if let Some(absent) = self.absent(domain, &waiting)? {
            return Ok(Some(absent));
        }
        let reader = RefsReader::new(self, domain);
        waiting.clear();
        for (chunk, _) in &snapshot.refs.chunks {
            waiting.extend(reader.ids(*chunk)?);
            if waiting.len() >= AT_ONCE {
                if let Some(absent) = self.absent(domain, &waiting)? {
                    return Ok(Some(absent));
                }
                waiting.clear();
            }
        }
        self.absent(domain, &waiting)
    }

    fn absent(&self, domain: &Domain, ids: &[ChunkId]) -> Result<Option<ChunkId>, VaultError> {
        let keys: Vec<Key> = ids.iter().map(|id| domain.keys.key(id)).collect();
        let found = self.index.find(&keys, Want::Whole)?;
        Ok(ids.iter().zip(found).find(|(_, found)| found.is_none()).map(|(id, _)| *id))
    }
}
