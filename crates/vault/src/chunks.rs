//! Plain chunks by their ids, each looked at before it is given out.

use crate::domain::Domain;
use crate::error::VaultError;
use crate::index::{Found, Want};
use crate::pack::{PackFault, PackId, plain_length, unpack_segment};
use crate::segment::{DomainSecret, Opener};
use crate::snapshot::Mode;
use crate::vault::Vault;
use crate::{ChunkId, Fingerprint, SegmentKind};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Unpacked segments that are kept for the chunks beside.
const CACHE_BYTES: usize = 8 << 20;

/// The bytes of one chunk. Holds its whole segment in memory.
pub struct Plain {
    segment: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.segment[self.range.clone()]
    }
}

/// Reads chunks of one domain.
pub(crate) struct Chunks {
    vault: Arc<Vault>,
    domain: Arc<Domain>,
    /// With it, what clients of a private domain sealed is opened and names are checked.
    secret: Option<DomainSecret>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// The one used last is last.
    segments: VecDeque<(PackId, u32, Arc<Vec<u8>>)>,
    bytes: usize,
}

impl Cache {
    fn get(&mut self, pack: PackId, offset: u32) -> Option<Arc<Vec<u8>>> {
        let at = self.segments.iter().rposition(|(p, o, _)| (*p, *o) == (pack, offset))?;
        let entry = self.segments.remove(at)?;
        let segment = entry.2.clone();
        self.segments.push_back(entry);
        Some(segment)
    }

    fn put(&mut self, pack: PackId, offset: u32, segment: Arc<Vec<u8>>) {
        self.bytes += segment.len();
        self.segments.push_back((pack, offset, segment));
        while self.bytes > CACHE_BYTES && self.segments.len() > 1 {
            if let Some((_, _, oldest)) = self.segments.pop_front() {
                self.bytes -= oldest.len();
            }
        }
    }
}

impl Chunks {
    pub(crate) fn new(vault: Arc<Vault>, domain: Arc<Domain>, secret: Option<DomainSecret>) -> Chunks {
        Chunks { vault, domain, secret, cache: Mutex::default() }
    }

    pub(crate) fn set_secret(&mut self, secret: DomainSecret) {
        self.secret = Some(secret);
    }

    pub(crate) fn find(&self, ids: &[ChunkId]) -> Result<Vec<Option<Found>>, VaultError> {
        let keys: Vec<_> = ids.iter().map(|id| self.domain.keys.key(id)).collect();
        let found = self.vault.index.find(&keys, Want::Any)?;
        if found.iter().all(Option::is_some) || !self.vault.catch_up()? {
            return Ok(found);
        }
        Ok(self.vault.index.find(&keys, Want::Any)?)
    }

    pub(crate) fn get(&self, id: ChunkId) -> Result<Plain, VaultError> {
        let found = self.find(&[id])?.remove(0).ok_or(VaultError::MissingChunk { chunk: id })?;
        self.get_at(id, found)
    }

    pub(crate) fn get_at(&self, id: ChunkId, found: Found) -> Result<Plain, VaultError> {
        self.relocated(id, found, |found| {
            let plain = self.plain(found)?;
            self.check(id, &plain)?;
            Ok(plain)
        })
    }

    /// The same for somebody who looks at it himself.
    pub(crate) fn get_unchecked_at(&self, id: ChunkId, found: Found) -> Result<Plain, VaultError> {
        self.relocated(id, found, |found| self.plain(found))
    }

    /// The segment at this very place, if it is still there and has that many plain bytes, as its client made it.
    pub(crate) fn whole(&self, found: &Found, length: usize) -> Option<(SegmentKind, Vec<u8>)> {
        let segment = self.vault.packs.segment(&self.domain, &found.place).ok();
        segment.filter(|(kind, bytes)| plain_length(*kind, bytes) == Some(length))
    }

    /// The whole segment with this chunk, as its client made it.
    pub(crate) fn stored(&self, id: ChunkId, found: Found) -> Result<(SegmentKind, Vec<u8>), VaultError> {
        self.relocated(id, found, |found| self.vault.packs.segment(&self.domain, &found.place))
    }

    /// Looks again, once, where the chunk was moved between finding and reading it.
    fn relocated<T>(
        &self,
        id: ChunkId,
        found: Found,
        read: impl Fn(&Found) -> Result<T, PackFault>,
    ) -> Result<T, VaultError> {
        let damaged = |found: &Found, source| match source {
            PackFault::Storage(error) if !error.is_about_content() => VaultError::Storage(error),
            PackFault::Private if self.secret.is_none() => VaultError::NeedsSecret { chunk: id },
            source => VaultError::DamagedChunk { chunk: id, pack: found.place.pack, source },
        };
        let fault = match read(&found) {
            Ok(result) => return Ok(result),
            Err(fault) => fault,
        };
        let mut again = self.find(&[id])?.remove(0);
        if again == Some(found) && self.vault.catch_up()? {
            again = self.find(&[id])?.remove(0);
        }
        match again {
            Some(moved) if moved != found => read(&moved).map_err(|fault| damaged(&moved, fault)),
            _ => Err(damaged(&found, fault)),
        }
    }

    fn plain(&self, found: &Found) -> Result<Plain, PackFault> {
        let segment = self.unpacked(found)?;
        let range = found.place.start as usize..found.place.start as usize + found.place.length as usize;
        match segment.get(range.clone()) {
            Some(_) => Ok(Plain { segment, range }),
            None => Err(PackFault::Content),
        }
    }

    fn unpacked(&self, found: &Found) -> Result<Arc<Vec<u8>>, PackFault> {
        let (pack, offset) = (found.place.pack, found.place.span.offset);
        if let Some(segment) = self.cache.lock().get(pack, offset) {
            return Ok(segment);
        }
        let (mut kind, mut bytes) = self.vault.packs.segment(&self.domain, &found.place)?;
        if let (SegmentKind::Sealed, Some(secret)) = (kind, &self.secret) {
            (kind, bytes) = Opener::new(secret.clone()).open(&bytes).map_err(|_| PackFault::Sealed)?;
        }
        let segment = Arc::new(unpack_segment(kind, bytes)?);
        self.cache.lock().put(pack, offset, segment.clone());
        Ok(segment)
    }

    /// In a private domain only who has the secret can.
    fn check(&self, id: ChunkId, plain: &[u8]) -> Result<(), PackFault> {
        let secret = self.secret.as_ref().map(|secret| &secret.0);
        if self.domain.mode == Mode::Private && secret.is_none() {
            return Ok(());
        }
        let secret = secret.filter(|_| self.domain.mode == Mode::Private);
        if Fingerprint::of(secret, plain).id == id { Ok(()) } else { Err(PackFault::Content) }
    }
}
