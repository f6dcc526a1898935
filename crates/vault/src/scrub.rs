//! Scrubbing: whether what is stored is what was written, and what it affects where it is not.
//!
//! Without any key the hashes of packs and records find every flipped bit: that can be done where a copy of the vault is. With
//! the key it is also seen whether the keeper wrote them, whether chunks are what they are called, and whether every
//! snapshot has all that it needs.

mod files;
mod refs;
mod report;

pub use files::scrub_files;
pub use report::{Affected, Damage, DamageFault, DamagedPart, FilesReport, ScrubReport};

use crate::domain;
use crate::error::VaultError;
use crate::index::Bad;
use crate::keys::{Aead, DomainKeys};
use crate::pack::{Footer, FooterSegment, Listed, PackFault, PackId, open_segment, unpack_segment};
use crate::progress::{Phase, Watch, tell};
use crate::segment::split;
use crate::snapshot::Mode;
use crate::vault::{Vault, footer_entries};
use crate::{DomainId, Fingerprint, SegmentKind};
use files::{Failures, read_checked};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What scrubbing does about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// Nothing is changed.
    Report,
    /// Damaged chunks count as absent from now on, so that the next client that has them is asked for them. What was marked
    /// before and is whole now is believed again. Records of domains are written anew from snapshots.
    Mark,
}

impl Vault {
    /// Reads everything. Backups and restores go on meanwhile; garbage is not collected.
    ///
    /// # Errors
    /// The disk is gone, or `watch` said to stop. Damage is no error.
    pub fn scrub(self: &Arc<Self>, on_damage: OnDamage, watch: &mut Watch<'_>) -> Result<ScrubReport, VaultError> {
        let marks = on_damage == OnDamage::Mark;
        if marks {
            self.check_writable()?;
        }
        let _upkeep = self.upkeep.lock();
        let mut report = ScrubReport::default();
        files::scrub_records(&*self.storage, &mut report.files)?;
        let packs = self.packs_there()?;
        let (mut bad, mut whole, mut failures) = (HashMap::new(), Vec::new(), Failures::default());
        for (done, id) in packs.iter().enumerate() {
            tell(watch, Phase::Packs, done as u64, packs.len() as u64)?;
            let before = report.files.damage.len();
            match self.scrub_pack(*id, &mut report) {
                Some(found) => drop(bad.insert(*id, found)),
                None => whole.push(*id),
            }
            failures.count(&report.files, before)?;
        }
        if marks {
            self.doubt(true)?;
            bad.iter().try_for_each(|(id, found)| self.mark(*id, found))?;
            whole.into_iter().try_for_each(|id| self.unmark(id))?;
        }
        let domains = refs::check(self, &bad, &mut report, watch)?;
        if marks {
            self.doubt(!report.affected.is_empty())?;
            self.mend_domains(domains)?;
        }
        Ok(report)
    }

    /// Whether every record is as it was written and every snapshot has all that it needs. Packs are not read, so this takes
    /// moments: a chunk that is in the index counts as whole.
    ///
    /// # Errors
    /// The disk is gone, or `watch` said to stop. Damage is no error.
    pub fn check(self: &Arc<Self>, watch: &mut Watch<'_>) -> Result<ScrubReport, VaultError> {
        let mut report = ScrubReport::default();
        files::scrub_records(&*self.storage, &mut report.files)?;
        refs::check(self, &HashMap::new(), &mut report, watch)?;
        Ok(report)
    }

    /// What is bad in a pack.
    fn scrub_pack(&self, id: PackId, report: &mut ScrubReport) -> Option<Bad> {
        let path = self.storage.path(&id.path());
        let opened = self.storage.open(&id.path()).map_err(PackFault::from);
        let opened = opened.and_then(|object| Ok((Footer::read(&*object, id, Some(&self.key))?, object)));
        let (footer, object) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                report.files.damage(path, DamagedPart::Whole, fault);
                return Some(Bad::Whole);
            }
        };
        report.files.packs += 1;
        report.files.bytes += footer.length;
        let check = PackCheck::new(self, id, footer.domain);
        let mut offsets = BTreeSet::new();
        for (segment, chunks) in footer.parts() {
            report.files.segments += 1;
            report.chunks += chunks.len() as u64;
            let checked = read_checked(&*object, segment).and_then(|stored| check.chunks(segment, stored, chunks));
            if let Err(fault) = checked {
                let part = DamagedPart::Segment { offset: segment.span.offset, chunks: chunks.len() };
                report.files.damage(path.clone(), part, fault);
                offsets.insert(segment.span.offset);
            }
        }
        (!offsets.is_empty()).then_some(Bad::Segments(offsets))
    }

    /// Snapshots say what a domain is, so its record is not lost with its file.
    fn mend_domains(&self, domains: HashMap<String, Mode>) -> Result<(), VaultError> {
        for (name, mode) in domains {
            let id = DomainId::of(&name);
            if domain::read(&*self.storage, &self.key, id).is_err() {
                self.storage.delete(&[domain::path(id)])?;
                domain::write(&*self.storage, &self.key, &name, mode)?;
            }
        }
        Ok(())
    }

    /// Makes the index anew from the packs. Backups and restores go on meanwhile. Of packs that cannot tell what is in them, what the
    /// index knew is kept, so that what is left of them is read; they are marked as damaged, and among the troubles.
    ///
    /// # Errors
    /// The disk is gone, or `watch` said to stop; the index is as it was then.
    pub fn rebuild_index(&self, watch: &mut Watch<'_>) -> Result<(), VaultError> {
        self.check_writable()?;
        let _upkeep = self.upkeep.lock();
        let packs = self.packs_there()?;
        let mut rebuild = self.index.rebuild();
        let mut mute = HashSet::new();
        for (done, id) in packs.iter().enumerate() {
            tell(watch, Phase::Packs, done as u64, packs.len() as u64)?;
            match self.footer_or_trouble(*id)? {
                Some(footer) => rebuild.add(*id, footer_entries(*id, &footer))?,
                None => drop(mute.insert(*id)),
            }
        }
        // Those that were deleted meanwhile say nothing either.
        let there: HashSet<PackId> = self.packs_there()?.into_iter().collect();
        mute.retain(|id| there.contains(id));
        if !mute.is_empty() {
            self.is_in_doubt.store(true, Ordering::Release);
            mute.iter().try_for_each(|id| self.mark(*id, &Bad::Whole))?;
            rebuild.keep(&mute)?;
        }
        Ok(rebuild.finish()?)
    }
}

/// Looks at the segments of one pack.
struct PackCheck {
    keys: DomainKeys,
    aead: Aead,
    is_managed: bool,
}

impl PackCheck {
    fn new(vault: &Vault, id: PackId, domain: DomainId) -> PackCheck {
        let keys = vault.key.domain(domain);
        let aead = keys.pack(&id.0);
        let is_managed = matches!(vault.domain(domain), Ok(Some(domain)) if domain.mode == Mode::Managed);
        PackCheck { keys, aead, is_managed }
    }

    /// Whether the chunks of a segment are what they are called.
    fn chunks(&self, segment: &FooterSegment, stored: Vec<u8>, chunks: &[Listed]) -> Result<(), PackFault> {
        let (kind, bytes) = open_segment(&self.aead, segment.span, stored)?;
        if kind == SegmentKind::Sealed && !self.is_managed {
            // Only its client could look in. That it is as it was sent, opening it has shown.
            return Ok(());
        }
        let plain = unpack_segment(kind, bytes)?;
        let lengths: Vec<u32> = chunks.iter().map(|chunk| chunk.length).collect();
        if lengths.iter().map(|length| *length as usize).sum::<usize>() != plain.len() {
            return Err(PackFault::Content);
        }
        let is_named = |(chunk, listed): (&[u8], &Listed)| {
            let name = Fingerprint::of(None, chunk);
            self.keys.key(&name.id) == listed.key && self.keys.proof(&name.tag) == listed.proof
        };
        let is_whole = !self.is_managed || split(&plain, &lengths).zip(chunks).all(is_named);
        if is_whole { Ok(()) } else { Err(PackFault::Content) }
    }
}
