//! One backup, as the keeper takes it.

mod commit;
mod proof;

use crate::client::{Draft, Received, Receiver, Segment};
use crate::domain::Domain;
use crate::error::{Refusal, VaultError};
use crate::index::{Found, Want};
use crate::keys::Key;
use crate::pack::{Listed, PackId, SEGMENT_BYTES};
use crate::registry::Pins;
use crate::segment::{Limits, Unpacker};
use crate::snapshot::{Mode, Snapshot};
use crate::vault::{Trouble, Vault};
use crate::{Fingerprint, SegmentKind, SnapshotId};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Who begins a session, and how.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    pub source: String,
    pub domain: String,
    pub mode: Mode,
    /// An earlier snapshot of the same source in the same domain: what it refers to needs no asking.
    pub basis: Option<SnapshotId>,
    pub trust: Trust,
    /// The keeper's clock, in milliseconds since 1970.
    pub now_ms: i64,
}

/// Whether the names of chunks are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// They are computed anew from the chunks, in a managed domain.
    Verify,
    /// The client is this very process, and has just computed them.
    Own,
}

/// A running backup. When it is dropped uncommitted, what arrived is kept for the next one.
pub struct Session {
    vault: Arc<Vault>,
    domain: Arc<Domain>,
    source: String,
    trust: Trust,
    began_ms: i64,
    clock: Instant,
    /// In the registry of the vault under this number.
    number: u64,
    pins: Arc<Pins>,
    stored_bytes: AtomicU64,
    state: Mutex<State>,
    unpackers: Mutex<Vec<Unpacker>>,
}

#[derive(Default)]
struct State {
    is_committed: bool,
    /// Packs that chunks of this session are in and that were not on stable storage at the time.
    packs: HashSet<PackId>,
}

impl Vault {
    /// # Errors
    /// A name is none, the domain is used in another mode, or the basis is not there, damaged, or of another source or domain.
    pub fn begin(self: &Arc<Self>, options: SessionOptions) -> Result<Session, VaultError> {
        self.check_writable()?;
        for name in [&options.source, &options.domain] {
            if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
                return Err(VaultError::Name { name: name.clone() });
            }
        }
        let domain = self.domain_for(&options.domain, options.mode)?;
        let (number, pins) = {
            // Nobody removes the basis between reading it and relying on it.
            let _gate = self.gate.read();
            let basis = options.basis.map(|id| self.basis(id, &options)).transpose()?;
            let pins = Arc::new(Pins::new(basis.map(Arc::new)));
            (self.registry.add_session(pins.clone()), pins)
        };
        let session = Session {
            vault: self.clone(),
            domain,
            source: options.source,
            trust: options.trust,
            began_ms: options.now_ms,
            clock: Instant::now(),
            number,
            pins,
            stored_bytes: AtomicU64::new(0),
            state: Mutex::default(),
            unpackers: Mutex::default(),
        };
        session.check_basis()?;
        Ok(session)
    }

    fn basis(&self, id: SnapshotId, options: &SessionOptions) -> Result<Snapshot, VaultError> {
        let basis = self.snapshot(id)?;
        if basis.summary.source != options.source {
            return Err(VaultError::OtherSource { snapshot: id, asked: options.source.clone() });
        }
        if basis.summary.domain != options.domain {
            let (is, asked) = (basis.summary.domain, options.domain.clone());
            return Err(VaultError::OtherDomain { snapshot: id, is, asked });
        }
        Ok(basis)
    }
}

impl Session {
    /// The snapshot that this session builds on.
    pub fn basis(&self) -> Option<&Snapshot> {
        self.pins.basis.as_deref()
    }

    fn now_ms(&self) -> i64 {
        self.began_ms.saturating_add(i64::try_from(self.clock.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn check_running(&self) -> Result<(), VaultError> {
        if self.state.lock().is_committed { Err(VaultError::Ended) } else { Ok(()) }
    }

    /// The names of the chunks of a segment: computed here where the client is not believed.
    fn names<'a>(&self, segment: &'a Segment) -> Result<Cow<'a, [Fingerprint]>, Refusal> {
        let Segment { lengths, names, kind, bytes } = segment;
        if lengths.is_empty() {
            return Err(Refusal::Empty);
        }
        if bytes.len() > SEGMENT_BYTES {
            return Err(Refusal::TooLong { found: bytes.len(), limit: SEGMENT_BYTES });
        }
        let mode = self.domain.mode;
        if mode == Mode::Managed && *kind == SegmentKind::Sealed {
            return Err(Refusal::Kind { kind: *kind, mode });
        }
        if mode == Mode::Managed && self.trust == Trust::Verify {
            let mut unpacker = self.unpackers.lock().pop().unwrap_or_else(|| Unpacker::new(Limits::SEGMENT));
            let names =
                segment.unpack(&mut unpacker).map(|chunks| chunks.map(|plain| Fingerprint::of(None, plain)).collect());
            self.unpackers.lock().push(unpacker);
            return Ok(Cow::Owned(names?));
        }
        Limits::SEGMENT.check(lengths)?;
        if names.len() != lengths.len() {
            return Err(Refusal::Unnamed);
        }
        Ok(Cow::Borrowed(names))
    }

    fn listed(&self, names: &[Fingerprint], lengths: &[u32]) -> Vec<Listed> {
        let keys = &self.domain.keys;
        names
            .iter()
            .zip(lengths)
            .map(|(name, length)| Listed { key: keys.key(&name.id), proof: keys.proof(&name.tag), length: *length })
            .collect()
    }

    /// Chunks in packs that are not on stable storage yet: commit waits for them.
    fn rely_on(&self, found: &[Option<Found>]) {
        let mut packs: Vec<PackId> = found.iter().flatten().map(|found| found.place.pack).collect();
        packs.dedup();
        packs.retain(|pack| self.vault.unsealed.contains(*pack));
        if !packs.is_empty() {
            self.state.lock().packs.extend(packs);
        }
    }
}

impl Receiver for Session {
    type Error = VaultError;

    fn have(&self, names: &[Fingerprint]) -> Result<Vec<bool>, VaultError> {
        self.check_running()?;
        if names.len() > Self::BATCH {
            return Err(Refusal::TooMany { found: names.len(), limit: Self::BATCH }.into());
        }
        let keys: Vec<Key> = names.iter().map(|name| self.domain.keys.key(&name.id)).collect();
        let _gate = self.vault.gate.read();
        let mut found = self.vault.index.find(&keys, Want::Whole)?;
        for (found, name) in found.iter_mut().zip(names) {
            *found = found.take_if(|found| found.proof == self.domain.keys.proof(&name.tag));
        }
        self.pins.extend(found.iter().zip(&keys).filter(|(found, _)| found.is_some()).map(|(_, key)| *key));
        self.rely_on(&found);
        Ok(found.iter().map(Option::is_some).collect())
    }

    fn put(&self, segment: Segment) -> Result<(), VaultError> {
        self.check_running()?;
        let names = self.names(&segment)?;
        let chunks = self.listed(&names, &segment.lengths);
        {
            let _gate = self.vault.gate.read();
            let keys: Vec<Key> = chunks.iter().map(|chunk| chunk.key).collect();
            let found = self.vault.index.find(&keys, Want::Whole)?;
            self.pins.extend(keys);
            self.rely_on(&found);
            let is_there = |(found, chunk): (&Option<Found>, &Listed)| {
                found.is_some_and(|found| found.proof == chunk.proof && found.place.length == chunk.length)
            };
            if found.iter().zip(&chunks).all(is_there) {
                return Ok(());
            }
        }
        let stored = self.vault.store(&self.domain, segment.kind, &segment.bytes, &chunks, self.now_ms())?;
        self.state.lock().packs.insert(stored.pack);
        self.stored_bytes.fetch_add(stored.bytes, Ordering::Relaxed);
        Ok(())
    }

    fn commit(&self, draft: Draft) -> Result<Received, VaultError> {
        self.commit_draft(draft)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if !state.is_committed {
            for pack in std::mem::take(&mut state.packs) {
                if let Err(error) = self.vault.settle(&self.domain, pack) {
                    self.vault.report(Trouble::Seal(error));
                }
            }
        }
        self.vault.registry.end_session(self.number);
    }
}
