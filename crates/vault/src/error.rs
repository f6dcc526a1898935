//! What a vault says when it cannot do what it was asked.

use crate::index::RunFault;
use crate::keys::KeyError;
use crate::pack::{PackFault, PackId};
use crate::segment::UnpackError;
use crate::snapshot::{Mode, RecordFault};
use crate::storage::StorageError;
use crate::{ChunkId, SegmentKind, SnapshotId};

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("{path} holds something else ({found} among it); choose an empty folder for the vault")]
    NotEmpty { path: String, found: String },
    #[error("{path} is a vault already; open it, or choose another folder")]
    Exists { path: String },
    #[error("{path} is not there, so this is no vault; look whether its disk is mounted and the path is right")]
    NoVault { path: String },
    #[error("{path} is missing in a vault that has data; restore it from a copy of the vault")]
    Headless { path: String },
    #[error("{path} is not what a vault begins with; choose the folder of a vault, or restore the file from a copy")]
    Header {
        path: String,
        #[source]
        source: Option<serde_json::Error>,
    },
    #[error("{path} was written by a newer version ({}); use that one", features.join(", "))]
    Newer { path: String, features: Vec<String> },
    #[error("the vault is open for reading only; open it for writing to do that")]
    ReadOnly,
    #[error(transparent)]
    Key(#[from] KeyError),

    #[error("domain {domain} is {is} for good and cannot be used as {wanted}; use another domain")]
    DomainMode { domain: String, is: Mode, wanted: Mode },
    #[error("a source or domain is called by 1 to 255 bytes without control characters, not {name:?}")]
    Name { name: String },
    #[error("the vault has no snapshot {snapshot}")]
    NoSnapshot { snapshot: SnapshotId },
    #[error("snapshot {snapshot} is not one of source {asked}")]
    OtherSource { snapshot: SnapshotId, asked: String },
    #[error(
        "snapshot {snapshot} was made in domain {is} and cannot be built on in domain {asked}; go on without a basis"
    )]
    OtherDomain { snapshot: SnapshotId, is: String, asked: String },
    #[error("part of snapshot {snapshot} is damaged or missing; back up without a basis, so that it is sent again")]
    DamagedBasis { snapshot: SnapshotId },
    #[error("snapshot {snapshot} is held ({reason}); release it first")]
    Held { snapshot: SnapshotId, reason: String },

    #[error("the reason for a hold has at most {limit} bytes")]
    Reason { limit: usize },
    #[error("this session has ended; begin another one")]
    Ended,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("pack {pack} could not be stored, and chunks of this session were in it; start the backup again")]
    Lost { pack: PackId },

    #[error("{path} is damaged; scrub the vault for what it affects")]
    Record {
        path: String,
        #[source]
        source: RecordFault,
    },
    #[error("chunk {chunk} is damaged in pack {pack}; scrub the vault, then back up its source again to heal it")]
    DamagedChunk {
        chunk: ChunkId,
        pack: PackId,
        #[source]
        source: PackFault,
    },
    #[error("chunk {chunk} was sealed by its client; only who has the secret of its domain can read it")]
    NeedsSecret { chunk: ChunkId },
    #[error("chunk {chunk} is missing; scrub the vault, then back up its source again to heal it")]
    MissingChunk { chunk: ChunkId },
    #[error("{path} is damaged; scrub the vault for what it affects")]
    Pack {
        path: String,
        #[source]
        source: PackFault,
    },
    #[error("the index of the vault is damaged; have it rebuilt from the packs")]
    Index(#[source] RunFault),
    #[error("stream or position {position} is past the end of snapshot {snapshot}")]
    Position { snapshot: SnapshotId, position: u64 },
    #[error(
        "{packs} packs, one after the other, cannot be read: the disk fails or is gone; nothing was marked as damaged"
    )]
    Unreadable { packs: u32 },
    #[error("stopped before the end, as was asked")]
    Stopped,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<RunFault> for VaultError {
    fn from(fault: RunFault) -> VaultError {
        match fault {
            RunFault::Storage(error) => VaultError::Storage(error),
            fault => VaultError::Index(fault),
        }
    }
}

/// What a client sent is not taken. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("a message asks for {found} names, and at most {limit} are allowed")]
    TooMany { found: usize, limit: usize },
    #[error("a segment has no chunks")]
    Empty,
    #[error("a segment has {found} bytes, and at most {limit} are allowed")]
    TooLong { found: usize, limit: usize },
    #[error("a {kind:?} segment does not belong in a {mode} domain")]
    Kind { kind: SegmentKind, mode: Mode },
    #[error("a segment does not name its chunks")]
    Unnamed,
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("chunk {chunk} was not proven in this session: put it, or ask for it with its tag")]
    Unproven { chunk: ChunkId },
    #[error("chunk {chunk} has {is} bytes and not {said}")]
    Length { chunk: ChunkId, said: u32, is: u32 },
    #[error("chunk {chunk} of the refs stream is not a whole number of ids, or sealed")]
    Refs { chunk: ChunkId },
    #[error("the root page is said to begin past the end of its stream")]
    Root,
    #[error("the client's words have {found} bytes, and at most {limit} are allowed")]
    Description { found: usize, limit: usize },
    #[error("the record of the snapshot would have {found} bytes, and at most {limit} are read; back up several sets")]
    Record { found: u64, limit: u64 },
}
