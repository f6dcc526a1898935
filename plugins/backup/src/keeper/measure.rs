//! What one backup brings: held against the room that its machine has, and against what a program would bring that has
//! encrypted a machine's files.

use super::machine_and_name;
use sdk::prelude::*;
use sdk::schema::Code;
use std::sync::atomic::{AtomicU64, Ordering};
use vault::{Segment, Summary};

/// As many bytes as no machine has: no quota.
pub(crate) const NO_QUOTA: u64 = 1 << 50;
/// Share of a machine's last backup that is new, from which on it is told.
const MUCH: f64 = 0.3;
/// Less new than this is nothing to be alarmed about.
const LEAST: u64 = 32 << 20;
/// What compresses no better than this is compressed already, or encrypted.
const RANDOM: f64 = 0.97;

/// Counts what comes; any number of threads may.
pub(super) struct Measure {
    quota: u64,
    before: u64,
    plain: AtomicU64,
    packed: AtomicU64,
}

impl Measure {
    /// `before`: what the snapshots of the machine added to the vault.
    pub(super) fn new(quota: u64, before: u64) -> Measure {
        Measure { quota, before, plain: AtomicU64::new(0), packed: AtomicU64::new(0) }
    }

    /// Counts a segment.
    ///
    /// # Errors
    /// There is no room for it.
    pub(super) fn take(&self, segment: &Segment) -> Result<()> {
        let plain = segment.lengths.iter().map(|length| u64::from(*length)).sum();
        self.plain.fetch_add(plain, Ordering::Relaxed);
        let bytes = segment.bytes.len() as u64;
        let packed = self.packed.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.before.saturating_add(packed) <= self.quota {
            return Ok(());
        }
        let text = format!(
            "This machine may keep {} in the vault: its snapshots added {}, and this backup {} so far.",
            mebibytes(self.quota),
            mebibytes(self.before),
            mebibytes(packed)
        );
        Err(fault(Code::Quota, text).fix("Raise its quota, leave more out, or have older snapshots forgotten."))
    }

    /// What is to be told of a backup after one of `logical_bytes`, if anything is.
    pub(super) fn alarm(&self, logical_bytes: u64) -> Option<String> {
        let (plain, packed) = (self.plain.load(Ordering::Relaxed), self.packed.load(Ordering::Relaxed));
        let share = plain as f64 / logical_bytes.max(1) as f64;
        let is_random = packed as f64 >= RANDOM * plain as f64;
        (plain >= LEAST && share >= MUCH && is_random).then(|| {
            format!(
                "{} of its files are new at once and cannot be compressed, as encrypted files are.",
                mebibytes(plain)
            )
        })
    }
}

/// What the snapshots of a machine added to the vault.
pub(super) fn added(snapshots: &[Summary], machine: &str) -> u64 {
    let own = snapshots.iter().filter(|summary| machine_and_name(&summary.source).0 == machine);
    own.map(|summary| summary.stored_bytes).sum()
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::SegmentKind;

    fn segment(plain: u32, packed: usize) -> Segment {
        Segment { lengths: vec![plain], names: Vec::new(), kind: SegmentKind::Plain, bytes: vec![0; packed] }
    }

    #[test]
    fn a_machine_is_held_to_its_quota_and_told_what_it_may() {
        let measure = Measure::new(3 << 20, 2 << 20);
        assert!(measure.take(&segment(4 << 20, 1 << 20)).is_ok());
        let refused = measure.take(&segment(1, 1)).unwrap_err().0;
        assert_eq!(refused.code, Code::Quota);
        assert!(refused.message.contains("may keep 3.0 MiB") && refused.message.contains("added 2.0 MiB"));
        assert!(Measure::new(NO_QUOTA, NO_QUOTA / 2).take(&segment(1, 1 << 20)).is_ok());
    }

    #[test]
    fn much_that_is_new_and_cannot_be_compressed_is_alarming() {
        let after = |plain: u32, packed: usize, logical: u64| {
            let measure = Measure::new(NO_QUOTA, 0);
            measure.take(&segment(plain, packed)).unwrap();
            measure.alarm(logical).is_some()
        };
        assert!(after(40 << 20, 40 << 20, 100 << 20), "encrypted");
        assert!(!after(40 << 20, 20 << 20, 100 << 20), "it compresses");
        assert!(!after(40 << 20, 40 << 20, 1000 << 20), "a small part");
        assert!(!after(1 << 20, 1 << 20, 1 << 20), "next to nothing");
    }
}
