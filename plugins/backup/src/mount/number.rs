//! Inode numbers: what is shown under which number. They are made of where a thing is, so they stay the same however often
//! the kernel forgets and asks again, and two names of one file have one.

use vault::{Entry, Fingerprint, Kind, SnapshotId};

const LINK: u64 = 1 << 63;
const ENTRY: u64 = 1 << 62;
const AT_BITS: u32 = 12;
const PAGE_BITS: u32 = 36;
/// Entries of a page.
pub(super) const MOST_ENTRIES: usize = 1 << AT_BITS;
/// Bytes of the names of a snapshot.
pub(super) const MOST_NAMES: u64 = 1 << PAGE_BITS;
/// Snapshots that are looked into while a vault is mounted.
pub(super) const MOST_ENTERED: usize = 1 << (62 - PAGE_BITS - AT_BITS);

/// Where an entry is: the snapshot by the order in which they were entered, the page, and which entry of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spot {
    pub entered: u16,
    pub page: u64,
    pub at: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Root,
    Machine(u32),
    /// The link to the latest snapshot of a machine.
    Latest(u32),
    Snapshot(u32),
    Entry(Spot),
    /// A file with several names.
    Link(u64),
}

impl Number {
    pub(super) fn of(inode: u64) -> Option<Number> {
        let low = inode as u32;
        Some(match inode {
            1 => Number::Root,
            _ if inode & LINK != 0 => Number::Link(inode),
            _ if inode & ENTRY != 0 => Number::Entry(Spot {
                entered: (inode >> (PAGE_BITS + AT_BITS)) as u16 & (MOST_ENTERED - 1) as u16,
                page: inode >> AT_BITS & (MOST_NAMES - 1),
                at: inode as u16 & (MOST_ENTRIES - 1) as u16,
            }),
            _ => match inode >> 32 {
                1 => Number::Machine(low),
                2 => Number::Latest(low),
                3 => Number::Snapshot(low),
                _ => return None,
            },
        })
    }

    pub(super) fn inode(self) -> u64 {
        match self {
            Number::Root => 1,
            Number::Machine(machine) => 1 << 32 | u64::from(machine),
            Number::Latest(machine) => 2 << 32 | u64::from(machine),
            Number::Snapshot(snapshot) => 3 << 32 | u64::from(snapshot),
            Number::Entry(Spot { entered, page, at }) => {
                ENTRY | u64::from(entered) << (PAGE_BITS + AT_BITS) | page << AT_BITS | u64::from(at)
            }
            Number::Link(inode) => inode,
        }
    }

    /// The number of an entry at this spot.
    pub(super) fn of_entry(snapshot: SnapshotId, spot: Spot, entry: &Entry) -> Number {
        if !entry.linked || matches!(entry.kind, Kind::Directory(_)) {
            return Number::Entry(spot);
        }
        // What two names have in common.
        let mut key = [0; 32];
        key[..16].copy_from_slice(&snapshot.0);
        key[16..24].copy_from_slice(&entry.device.to_le_bytes());
        key[24..].copy_from_slice(&entry.inode.to_le_bytes());
        let hash = Fingerprint::of(None, &key).id.0;
        Number::Link(LINK | u64::from_le_bytes(*hash.first_chunk().expect("a hash has more than 8 bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::{Content, FileTime};

    #[test]
    fn numbers_come_back() {
        let last = Spot { entered: (MOST_ENTERED - 1) as u16, page: MOST_NAMES - 1, at: (MOST_ENTRIES - 1) as u16 };
        let first = Spot { entered: 0, page: 0, at: 0 };
        for number in [
            Number::Root,
            Number::Machine(0),
            Number::Machine(u32::MAX),
            Number::Latest(7),
            Number::Snapshot(u32::MAX),
            Number::Entry(first),
            Number::Entry(last),
        ] {
            assert_eq!(Number::of(number.inode()), Some(number));
        }
        assert_eq!(Number::of(0), None);
        assert_eq!(Number::of(2), None);
    }

    #[test]
    fn names_of_one_file_share_a_number_within_a_snapshot() {
        let entry = |inode, linked| Entry {
            name: b"a".to_vec(),
            kind: Kind::File(Content::default()),
            mode: 0,
            uid: 0,
            gid: 0,
            modified: FileTime::default(),
            changed: FileTime::default(),
            inode,
            device: 1,
            linked,
            attributes: Vec::new(),
        };
        let (one, other) = (SnapshotId([1; 16]), SnapshotId([2; 16]));
        let (here, there) = (Spot { entered: 1, page: 5, at: 0 }, Spot { entered: 1, page: 99, at: 3 });
        let number = Number::of_entry(one, here, &entry(7, true));
        assert_eq!(Number::of_entry(one, there, &entry(7, true)), number);
        assert_eq!(Number::of(number.inode()), Some(number));
        assert_ne!(Number::of_entry(one, there, &entry(8, true)), number);
        assert_ne!(Number::of_entry(other, there, &entry(7, true)), number);
        assert_eq!(Number::of_entry(one, there, &entry(7, false)), Number::Entry(there));
    }
}
