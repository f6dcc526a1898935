//! What a scrub found.

use crate::SnapshotId;
use crate::index::RunFault;
use crate::keys::KeyError;
use crate::pack::PackFault;
use crate::read::Part;
use crate::snapshot::RecordFault;
use std::ops::Range;

/// What can be found without any key.
#[derive(Debug, Default)]
pub struct FilesReport {
    pub packs: u64,
    /// Bytes of packs.
    pub bytes: u64,
    pub segments: u64,
    /// Snapshots, domains, ways in and runs of the index.
    pub records: u64,
    pub damage: Vec<Damage>,
    /// What is no part of a vault.
    pub strangers: Vec<String>,
}

/// Something that is not as it was written.
#[derive(Debug)]
pub struct Damage {
    pub path: String,
    pub part: DamagedPart,
    pub fault: DamageFault,
}

/// How much of a file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamagedPart {
    Whole,
    /// One segment of a pack.
    Segment {
        offset: u32,
        chunks: usize,
    },
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum DamageFault {
    #[error(transparent)]
    Pack(#[from] PackFault),
    #[error(transparent)]
    Record(#[from] RecordFault),
    #[error(transparent)]
    Run(#[from] RunFault),
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What can be found with the key.
#[derive(Debug, Default)]
pub struct ScrubReport {
    pub files: FilesReport,
    pub chunks: u64,
    pub snapshots: u64,
    /// What snapshots need and cannot be read.
    pub affected: Vec<Affected>,
}

/// Part of a snapshot that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    pub snapshot: SnapshotId,
    pub source: String,
    pub part: Part,
    /// As a reader of the snapshot counts them.
    pub positions: Vec<Range<u64>>,
}

impl FilesReport {
    pub(super) fn damage(&mut self, path: String, part: DamagedPart, fault: impl Into<DamageFault>) {
        self.damage.push(Damage { path, part, fault: fault.into() });
    }
}

impl ScrubReport {
    /// Nothing is damaged, and every snapshot has all that it needs.
    pub fn is_clean(&self) -> bool {
        self.files.damage.is_empty() && self.affected.is_empty()
    }

    pub(super) fn affect(&mut self, snapshot: SnapshotId, source: &str, part: Part, position: u64) {
        let is_last = self.affected.last().is_some_and(|last| last.snapshot == snapshot && last.part == part);
        if !is_last {
            self.affected.push(Affected { snapshot, source: source.to_owned(), part, positions: Vec::new() });
        }
        let positions = &mut self.affected.last_mut().expect("it was just looked at or put there").positions;
        match positions.last_mut() {
            Some(range) if range.end == position => range.end += 1,
            _ => positions.push(position..position + 1),
        }
    }
}
