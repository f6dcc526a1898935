//! What a client says to the keeper of a vault: the four verbs and what goes through them.

use crate::{ChunkId, Fingerprint, SnapshotId};

/// The keeper's side of one backup, as its client sees it: `Session` itself where both are one process, messages over a
/// channel otherwise. Any number of threads may call it.
pub trait Receiver: Send + Sync {
    /// What is wrong when the keeper refuses or cannot be reached.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Which of these the keeper has and believes that the client has too, in their order. At most [`Self::BATCH`].
    ///
    /// # Errors
    /// The keeper refuses or cannot be reached.
    fn have(&self, names: &[Fingerprint]) -> Result<Vec<bool>, Self::Error>;

    /// Hands over chunks. What goes wrong with them may come out of a later call; nothing is safe before `commit`.
    ///
    /// # Errors
    /// The keeper refuses or cannot be reached.
    fn put(&self, segment: Segment) -> Result<(), Self::Error>;

    /// Ends the backup. Once it returns, the snapshot is on stable storage.
    ///
    /// # Errors
    /// Something it refers to was not proven, or it could not be stored.
    fn commit(&self, draft: Draft) -> Result<Received, Self::Error>;

    /// Names asked about in one message.
    const BATCH: usize = 8192;
}

/// Chunks that were packed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Plain length of each chunk, in order.
    pub lengths: Vec<u32>,
    /// Both names of each chunk. Empty where the keeper computes them itself.
    pub names: Vec<Fingerprint>,
    pub kind: SegmentKind,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SegmentKind {
    /// The chunks as they are, one after the other.
    Plain = 0,
    /// The same, compressed with zstd.
    Zstd = 1,
    /// Sealed by the client; the keeper cannot look in.
    Sealed = 2,
}

/// A stream of a snapshot: its chunks, in order, with their plain lengths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRef {
    pub chunks: Vec<(ChunkId, u32)>,
}

impl StreamRef {
    pub fn length(&self) -> u64 {
        self.chunks.iter().map(|(_, length)| u64::from(*length)).sum()
    }
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    pub files: u64,
    pub directories: u64,
    /// Bytes of all files, as the file system counts them, holes left out.
    pub logical_bytes: u64,
    /// Files read anew.
    pub files_read: u64,
    /// Things that could not be read whole.
    pub problems: u64,
}

/// A snapshot as its client proposes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    pub names: StreamRef,
    /// Each chunk is a whole number of ids, and not sealed by the client in any domain.
    pub refs: StreamRef,
    /// Where the last page of the root begins, in bytes of `names`.
    pub root: u64,
    /// Which id of `refs` is the first of that page.
    pub root_refs: u64,
    pub counts: Counts,
    /// Something could not be read: the snapshot is listed as incomplete.
    pub incomplete: bool,
    /// The client's own words about it (see `Description`); sealed by the client in a private domain.
    pub description: Vec<u8>,
}

/// What the keeper made of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub snapshot: SnapshotId,
    /// Milliseconds since 1970 by the keeper's clock.
    pub time_ms: i64,
    /// Bytes that this session added to the vault, as stored.
    pub stored_bytes: u64,
}
