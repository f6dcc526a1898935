//! A store of de-duplicated, encrypted snapshots of file trees. The README says who trusts whom and what is on the disk.
//!
//! It knows no machine, user or job, opens no socket and starts no timer; time and randomness are given where they
//! matter. Everything is synchronous.

mod client;
mod name;
mod segment;
mod tree;
mod varint;

pub use client::{Counts, Draft, Received, Receiver, Segment, SegmentKind, StreamRef};
pub use name::{ChunkId, DomainId, Fingerprint, SnapshotId, Tag};
pub use segment::{
    DomainSecret, Limits, OpenError, Opener, Packer, Packing, Sealer, UnknownKind, UnpackError, Unpacker, split,
};
pub use tree::{
    Attribute, Content, Doubt, Entry, Fault, FileTime, Kind, List, Place, Shown, Stream, Streams, TreeError,
    TreeReader, TreeSink, TreeWriteError, TreeWriter, Walk,
};
