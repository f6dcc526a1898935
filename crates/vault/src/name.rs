//! What chunks, domains and snapshots are called.

use std::fmt;

/// Names a chunk to everyone. Stands in snapshots.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(pub [u8; 32]);

/// Shows that somebody has, or had, the bytes of a chunk. Never stands in a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub [u8; 16]);

/// Both names of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    pub id: ChunkId,
    pub tag: Tag,
}

/// What de-duplicates together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainId(pub [u8; 16]);

/// A snapshot; the order of ids is the order in which the keeper took them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotId(pub [u8; 16]);

impl Fingerprint {
    /// The names of these plain bytes, keyed where the domain is private.
    pub fn of(secret: Option<&[u8; 32]>, plain: &[u8]) -> Fingerprint {
        let mut hasher = secret.map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed);
        hasher.update(plain);
        let mut out = [0; 48];
        hasher.finalize_xof().fill(&mut out);
        let (mut id, mut tag) = ([0; 32], [0; 16]);
        id.copy_from_slice(&out[..32]);
        tag.copy_from_slice(&out[32..]);
        Fingerprint { id: ChunkId(id), tag: Tag(tag) }
    }
}

impl DomainId {
    pub fn of(name: &str) -> DomainId {
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
        DomainId(id)
    }
}

macro_rules! shown_in_hex {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

shown_in_hex!(ChunkId DomainId SnapshotId);

/// A tag is a proof: it is never printed.
impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_changes_both_names() {
        let (plain, keyed) = (Fingerprint::of(None, b"text"), Fingerprint::of(Some(&[7; 32]), b"text"));
        assert_eq!(plain.id.to_string(), blake3::hash(b"text").to_hex().to_string());
        assert_ne!(plain.id, keyed.id);
        assert_ne!(plain.tag, keyed.tag);
        assert_eq!(format!("{:?}", plain.tag), "Tag(…)");
    }
}
