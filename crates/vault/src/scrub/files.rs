//! What can be seen without any key: that every file of a vault is what was written.

use super::report::{DamagedPart, FilesReport};
use crate::index::{Run, RunFault, run_number};
use crate::pack::{Footer, FooterSegment, PackFault, PackId};
use crate::progress::{Phase, Watch, tell};
use crate::snapshot::RecordFault;
use crate::storage::{Object, Storage, StorageError};
use crate::vault::header;
use crate::{VaultError, domain, keys, snapshot};

/// Looks at every file of a vault, from any copy of its folder.
///
/// # Errors
/// It is no vault, the disk is gone, or `watch` said to stop. Damage is no error.
pub fn scrub_files(storage: &dyn Storage, watch: &mut Watch<'_>) -> Result<FilesReport, VaultError> {
    let mut report = FilesReport::default();
    scrub_records(storage, &mut report)?;
    let packs: Vec<PackId> = storage.list("packs/")?.iter().filter_map(|name| PackId::of_path(name)).collect();
    let total = packs.len() as u64;
    let mut failures = Failures::default();
    for (done, id) in packs.into_iter().enumerate() {
        tell(watch, Phase::Packs, done as u64, total)?;
        let before = report.damage.len();
        scrub_pack(storage, id, &mut report);
        failures.count(&report, before)?;
    }
    Ok(report)
}

/// Tells a few bad sectors from a disk that is gone.
#[derive(Default)]
pub(super) struct Failures(u32);

impl Failures {
    /// Packs one after the other that cannot be read at all before it is the disk that is at fault.
    const MOST: u32 = 8;

    /// `before`: how much damage there was before the pack that was just looked at.
    pub(super) fn count(&mut self, report: &FilesReport, before: usize) -> Result<(), VaultError> {
        let failed = |damage: &super::Damage| match &damage.fault {
            super::DamageFault::Pack(PackFault::Storage(error)) => !error.is_about_content(),
            _ => false,
        };
        self.0 = if report.damage[before..].iter().any(failed) { self.0 + 1 } else { 0 };
        if self.0 < Self::MOST { Ok(()) } else { Err(VaultError::Unreadable { packs: self.0 }) }
    }
}

fn scrub_pack(storage: &dyn Storage, id: PackId, report: &mut FilesReport) {
    let path = storage.path(&id.path());
    let opened = storage.open(&id.path()).map_err(PackFault::from);
    let opened = opened.and_then(|object| Ok((Footer::read(&*object, id, None)?, object)));
    let (footer, object) = match opened {
        Ok(opened) => opened,
        Err(fault) => return report.damage(path, DamagedPart::Whole, fault),
    };
    report.packs += 1;
    report.bytes += footer.length;
    for (segment, chunks) in footer.parts() {
        report.segments += 1;
        if let Err(fault) = read_checked(&*object, segment) {
            let part = DamagedPart::Segment { offset: segment.span.offset, chunks: chunks.len() };
            report.damage(path.clone(), part, fault);
        }
    }
}

/// The stored bytes of a segment, if they are those that were written.
pub(super) fn read_checked(object: &dyn Object, segment: &FooterSegment) -> Result<Vec<u8>, PackFault> {
    let mut bytes = vec![0; segment.span.stored as usize];
    object.read_at(u64::from(segment.span.offset), &mut bytes)?;
    if blake3::hash(&bytes).as_bytes()[..16] == segment.hash { Ok(bytes) } else { Err(PackFault::Segment) }
}

/// Everything but packs.
pub(super) fn scrub_records(storage: &dyn Storage, report: &mut FilesReport) -> Result<(), VaultError> {
    header::check(storage)?;
    find_strangers(storage, report)?;
    for id in snapshot::list(storage)? {
        record(report, storage.path(&snapshot::path(id)), snapshot::verify(storage, id));
    }
    for id in domain::list(storage)? {
        record(report, storage.path(&domain::path(id)), domain::verify(storage, id));
    }
    for path in storage.list("keys/")? {
        report.records += 1;
        if let Err(fault) = keys::verify_slot(storage, &path) {
            report.damage(storage.path(&path), DamagedPart::Whole, fault);
        }
    }
    for name in storage.list("index/")? {
        let Some(number) = run_number(&name) else { continue };
        report.records += 1;
        match Run::open(storage, number).and_then(|run| run.scan().try_for_each(|entry| entry.map(drop))) {
            // It was merged into another one meanwhile.
            Ok(()) | Err(RunFault::Storage(StorageError::NotFound { .. })) => {}
            Err(fault) => report.damage(storage.path(&name), DamagedPart::Whole, fault),
        }
    }
    Ok(())
}

fn record(report: &mut FilesReport, path: String, result: Result<(), RecordFault>) {
    report.records += 1;
    match result {
        // It was removed meanwhile.
        Ok(()) | Err(RecordFault::Storage(StorageError::NotFound { .. })) => {}
        Err(fault) => report.damage(path, DamagedPart::Whole, fault),
    }
}

fn find_strangers(storage: &dyn Storage, report: &mut FilesReport) -> Result<(), StorageError> {
    let top = storage.top()?;
    report.strangers.extend(top.into_iter().filter(|name| !header::is_ours(name)));
    for folder in ["packs/", "index/", "snapshots/"] {
        report.strangers.extend(storage.list(folder)?.into_iter().filter(|name| !is_ours(name)));
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    PackId::of_path(name).is_some() || run_number(name).is_some() || snapshot::id_of_path(name).is_some()
}
