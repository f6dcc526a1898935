//! Commit: what a snapshot refers to is looked at, then it is made durable.

use super::proof::Unproven;
use super::{Draft, Received, Session};
use crate::error::{Refusal, VaultError};
use crate::index::Want;
use crate::keys::Key;
use crate::snapshot::{self, DESCRIPTION_LIMIT, LIMIT, OF_A_CHUNK, Snapshot, Summary};
use crate::streams::RefsReader;
use crate::{ChunkId, StreamRef};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

impl Session {
    pub(super) fn commit_draft(&self, draft: Draft) -> Result<Received, VaultError> {
        self.check_running()?;
        self.settle()?;
        self.check(&draft)?;
        let mut state = self.state.lock();
        if state.is_committed {
            return Err(VaultError::Ended);
        }
        let time_ms = self.now_ms();
        let id = self.vault.order.lock().next(time_ms);
        let stored_bytes = self.stored_bytes.load(Ordering::Relaxed);
        let summary = Summary {
            id,
            source: self.source.clone(),
            domain: self.domain.name.clone(),
            mode: self.domain.mode,
            began_ms: self.began_ms,
            time_ms,
            incomplete: draft.incomplete,
            counts: draft.counts,
            stored_bytes,
        };
        let Draft { names, refs, root, root_refs, description, .. } = draft;
        let snapshot = Snapshot { summary, names, refs, root, root_refs, description };
        snapshot::write(&*self.vault.storage, &self.vault.key, &snapshot)?;
        state.is_committed = true;
        Ok(Received { snapshot: id, time_ms, stored_bytes })
    }

    /// Everything that this session put or was told of is on stable storage then.
    fn settle(&self) -> Result<(), VaultError> {
        let packs: Vec<_> = self.state.lock().packs.iter().copied().collect();
        for pack in packs {
            self.vault.settle(&self.domain, pack)?;
            self.state.lock().packs.remove(&pack);
        }
        Ok(())
    }

    fn check(&self, draft: &Draft) -> Result<(), VaultError> {
        let found = draft.description.len();
        if found > DESCRIPTION_LIMIT {
            return Err(Refusal::Description { found, limit: DESCRIPTION_LIMIT }.into());
        }
        // What could not be read again must not be written.
        let chunks = (draft.names.chunks.len() + draft.refs.chunks.len()) as u64;
        let record = found as u64 + chunks * OF_A_CHUNK + (64 << 10);
        if record > LIMIT {
            return Err(Refusal::Record { found: record, limit: LIMIT }.into());
        }
        let basis = self.basis();
        let known: HashSet<(ChunkId, u32)> =
            basis.iter().flat_map(|basis| basis.names.chunks.iter().chain(&basis.refs.chunks)).copied().collect();
        let mut unproven = Unproven::new(self, draft);
        for stream in [&draft.names, &draft.refs] {
            self.check_stream(stream, &known, &mut unproven)?;
        }
        let known_refs: HashSet<ChunkId> =
            basis.iter().flat_map(|basis| &basis.refs.chunks).map(|(id, _)| *id).collect();
        let reader = RefsReader::new(&self.vault, &self.domain);
        for (chunk, length) in &draft.refs.chunks {
            if length % 32 != 0 {
                return Err(Refusal::Refs { chunk: *chunk }.into());
            }
            // All that a chunk of the basis refers to was proven when that was committed.
            if !known_refs.contains(chunk) {
                for id in reader.ids(*chunk)? {
                    unproven.check(id)?;
                }
            }
        }
        unproven.finish()?;
        let root_is_in = draft.root < draft.names.length() || (draft.root == 0 && draft.names.chunks.is_empty());
        if !root_is_in || draft.root_refs > draft.refs.length() / 32 {
            return Err(Refusal::Root.into());
        }
        Ok(())
    }

    /// The chunks of the stream itself: that they are proven, and as long as they are said to be.
    fn check_stream(
        &self,
        stream: &StreamRef,
        known: &HashSet<(ChunkId, u32)>,
        unproven: &mut Unproven<'_>,
    ) -> Result<(), VaultError> {
        let new: Vec<(ChunkId, u32)> = stream.chunks.iter().filter(|chunk| !known.contains(*chunk)).copied().collect();
        for part in new.chunks(4096) {
            let keys: Vec<Key> = part.iter().map(|(id, _)| self.domain.keys.key(id)).collect();
            let found = self.vault.index.find(&keys, Want::Any)?;
            for ((id, said), found) in part.iter().zip(found) {
                unproven.check(*id)?;
                let is = found.ok_or(Refusal::Unproven { chunk: *id })?.place.length;
                if is != *said {
                    return Err(Refusal::Length { chunk: *id, said: *said, is }.into());
                }
            }
        }
        Ok(())
    }
}
