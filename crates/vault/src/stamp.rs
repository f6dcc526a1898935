//! Ids that sort by the time they were made.

use crate::SnapshotId;
use std::str::FromStr;

/// Milliseconds since 1970 in the first 6 bytes, then random.
pub(crate) fn new(ms: i64) -> [u8; 16] {
    let mut id: [u8; 16] = rand::random();
    id[..6].copy_from_slice(&ms.max(0).to_be_bytes()[2..]);
    id
}

/// When this id was made.
pub(crate) fn milliseconds(id: &[u8; 16]) -> i64 {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&id[..6]);
    i64::from_be_bytes(bytes)
}

/// From the hex digits that it is shown in.
pub(crate) fn parse(text: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    hex::decode_to_slice(text, &mut id).ok()?;
    (hex::encode(id) == text).then_some(id)
}

/// The text is no id of a snapshot: 32 digits from 0 to 9 and a to f.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot is named by 32 digits from 0 to 9 and a to f")]
pub struct NoSnapshotId;

impl FromStr for SnapshotId {
    type Err = NoSnapshotId;

    fn from_str(text: &str) -> Result<SnapshotId, NoSnapshotId> {
        parse(text).map(SnapshotId).ok_or(NoSnapshotId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_come_back_from_text() {
        let (early, late) = (new(1_700_000_000_000), new(1_700_000_000_001));
        assert!(early < late);
        assert_eq!(milliseconds(&late), 1_700_000_000_001);
        assert_eq!(milliseconds(&new(-5)), 0);
        assert_eq!(SnapshotId(early).to_string().parse(), Ok(SnapshotId(early)));
        assert_eq!("00".parse::<SnapshotId>(), Err(NoSnapshotId));
        assert_eq!("AB".repeat(16).parse::<SnapshotId>(), Err(NoSnapshotId));
    }
}
