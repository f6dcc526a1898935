//! Whether every snapshot has all that it needs.

use super::report::{DamagedPart, ScrubReport};
use crate::domain::Domain;
use crate::error::VaultError;
use crate::index::{Bad, Hidden, Want};
use crate::keys::Key;
use crate::progress::{Phase, Watch, tell};
use crate::read::Part;
use crate::snapshot::{self, Mode, RecordFault, Snapshot};
use crate::storage::StorageError;
use crate::streams::RefsReader;
use crate::vault::Vault;
use crate::{ChunkId, DomainId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Says also which domains snapshots name.
pub(super) fn check(
    vault: &Arc<Vault>,
    bad: &HashMap<crate::pack::PackId, Bad>,
    report: &mut ScrubReport,
    watch: &mut Watch<'_>,
) -> Result<HashMap<String, Mode>, VaultError> {
    let bad = Hidden { bad: bad.clone(), ..Hidden::default() };
    let mut checker = Checker { vault, bad, whole: HashSet::new(), absent: HashMap::new(), domains: HashMap::new() };
    let ids = snapshot::list(&*vault.storage)?;
    let total = ids.len() as u64;
    for (done, id) in ids.into_iter().enumerate() {
        tell(watch, Phase::Snapshots, done as u64, total)?;
        match snapshot::read(&*vault.storage, &vault.key, id) {
            Ok(snapshot) => checker.check(&snapshot, report)?,
            Err(RecordFault::Storage(StorageError::NotFound { .. })) => {}
            // Its hash has been looked at, so what remains was written by somebody else, or by a newer version.
            Err(fault @ (RecordFault::Sealed | RecordFault::Newer { .. })) => {
                report.files.damage(vault.storage.path(&snapshot::path(id)), DamagedPart::Whole, fault);
            }
            Err(_) => {}
        }
    }
    Ok(checker.domains)
}

struct Checker<'a> {
    vault: &'a Arc<Vault>,
    /// What this scrub found.
    bad: Hidden,
    /// Chunks of *refs* all of whose ids are there: most snapshots share theirs with others.
    whole: HashSet<(DomainId, ChunkId)>,
    /// Which ids of a chunk of *refs* are not there. None: it cannot be read itself.
    absent: HashMap<(DomainId, ChunkId), Option<Vec<u64>>>,
    domains: HashMap<String, Mode>,
}

impl Checker<'_> {
    fn check(&mut self, snapshot: &Snapshot, report: &mut ScrubReport) -> Result<(), VaultError> {
        report.snapshots += 1;
        let summary = &snapshot.summary;
        let domain = self.vault.domain_of(&summary.domain, summary.mode);
        self.domains.insert(summary.domain.clone(), summary.mode);
        for (part, stream) in [(Part::Names, &snapshot.names), (Part::Refs, &snapshot.refs)] {
            let ids: Vec<ChunkId> = stream.chunks.iter().map(|(id, _)| *id).collect();
            for position in self.absent(&domain, &ids)? {
                report.affect(summary.id, &summary.source, part, position);
            }
        }
        let reader = RefsReader::new(self.vault, &domain);
        let mut first = 0;
        for (chunk, length) in &snapshot.refs.chunks {
            let count = u64::from(*length) / 32;
            if !self.whole.contains(&(domain.id, *chunk)) {
                match self.absent_below(&domain, &reader, *chunk)? {
                    None => {
                        for position in first..first + count {
                            report.affect(summary.id, &summary.source, Part::Files, position);
                        }
                    }
                    Some(absent) => {
                        for position in absent {
                            report.affect(summary.id, &summary.source, Part::Files, first + position);
                        }
                    }
                }
            }
            first += count;
        }
        Ok(())
    }

    fn absent_below(
        &mut self,
        domain: &Arc<Domain>,
        reader: &RefsReader,
        chunk: ChunkId,
    ) -> Result<Option<Vec<u64>>, VaultError> {
        let name = (domain.id, chunk);
        if let Some(absent) = self.absent.get(&name) {
            return Ok(absent.clone());
        }
        let absent = match reader.ids(chunk) {
            Ok(ids) => Some(self.absent(domain, &ids.collect::<Vec<_>>())?),
            Err(VaultError::Storage(error)) => return Err(error.into()),
            Err(_) => None,
        };
        if absent.as_ref().is_some_and(Vec::is_empty) {
            self.whole.insert(name);
        } else {
            self.absent.insert(name, absent.clone());
        }
        Ok(absent)
    }

    /// Positions of those that are missing or damaged.
    fn absent(&self, domain: &Domain, ids: &[ChunkId]) -> Result<Vec<u64>, VaultError> {
        let keys: Vec<Key> = ids.iter().map(|id| domain.keys.key(id)).collect();
        let found = self.vault.index.find(&keys, Want::Whole)?;
        let is_absent =
            |found: &Option<_>| found.is_none_or(|found: crate::index::Found| self.bad.is_bad(&found.place));
        Ok((0..).zip(found).filter(|(_, found)| is_absent(found)).map(|(position, _)| position).collect())
    }
}
