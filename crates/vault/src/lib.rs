//! A store of de-duplicated, encrypted snapshots of file trees. The README says who trusts whom and what is on the disk.
//!
//! It knows no machine, user or job, opens no socket and starts no timer; time and randomness are given where they
//! matter. Everything is synchronous.

mod account;
mod basis;
mod chunker;
mod chunks;
mod client;
mod description;
mod domain;
mod error;
mod index;
mod keys;
mod name;
mod pack;
mod packs;
mod progress;
mod prune;
mod read;
mod registry;
mod scrub;
mod segment;
mod session;
mod snapshot;
mod stamp;
pub mod storage;
mod streams;
mod tree;
mod upload;
mod varint;
mod vault;
mod writer;

pub use account::{Account, Accounts};
pub use basis::{Basis, BasisFile, BasisFileError, BasisFileWriter};
pub use chunker::Cutter;
pub use chunks::Plain;
pub use client::{Counts, Draft, Received, Receiver, Segment, SegmentKind, StreamRef};
pub use description::{Description, DescriptionError, Problem};
pub use error::{Refusal, VaultError};
pub use index::RunFault;
pub use keys::{Cost, KeyError, RecoverySheet, SheetError, Slot, WayIn, WayKind};
pub use name::{ChunkId, DomainId, Fingerprint, SnapshotId, Tag};
pub use pack::{PackFault, PackId};
pub use progress::{Phase, Progress, Watch};
pub use prune::{CollectOptions, CollectReport};
pub use read::{Batch, Batches, Part, Piece, Reader};
pub use scrub::{Affected, Damage, DamageFault, DamagedPart, FilesReport, OnDamage, ScrubReport, scrub_files};
pub use segment::{
    DomainSecret, Limits, OpenError, Opener, Packer, Packing, Sealer, UnknownKind, UnpackError, Unpacker, split,
};
pub use session::{Session, SessionOptions, Trust};
pub use snapshot::{Mode, RecordFault, Snapshot, Summary};
pub use stamp::NoSnapshotId;
pub use tree::{
    Attribute, Content, Doubt, Entry, Fault, FileTime, Kind, List, PagePlace, Place, Shown, Stream, Streams, TreeError,
    TreeReader, TreeSink, TreeWriteError, TreeWriter, Unfit, Walk,
};
pub use upload::{Cancel, FileSource, Layout, ReadSource, UploadError, UploadOptions, UploadProgress};
pub use vault::{Access, Hold, Listing, Size, Trouble, Vault};
pub use writer::{Failure, Finished, Refused, SnapshotWriter, WriteError};
