//! Packs: about 32 MiB of sealed segments, and a footer that says which chunks are in them.
//!
//! A pack is written in one go and held in memory nowhere. What is read from one may be any bytes: lengths are bounded by what
//! is there before anything is allocated.

mod footer;

pub(crate) use footer::{Footer, FooterSegment};

use crate::keys::{Aead, DomainKeys, Key, Proof, SEAL, VaultKey};
use crate::segment::Limits;
use crate::storage::{Object, Storage, StorageError, Unfinished};
use crate::{DomainId, SegmentKind, stamp, varint};
use std::fmt;

const MAGIC: &[u8; 8] = b"BWPACK\0\x01";
const END: &[u8; 8] = b"BWPACKE1";
pub(crate) const HEADER: u64 = 40;
const TRAILER: u64 = 60;
/// A pack is sealed when it has grown to this.
const TARGET_BYTES: u64 = 32 << 20;
const TARGET_CHUNKS: u32 = 64 << 10;
/// Longest footer that is believed: far above what [`TARGET_CHUNKS`] and one more segment need.
const FOOTER_LIMIT: u64 = 8 << 20;
/// Longest segment as it travels: what zstd and a client's seal may add to the plain bytes.
pub(crate) const SEGMENT_BYTES: usize = Limits::SEGMENT.bytes + (64 << 10);
const STORED_LIMIT: usize = SEGMENT_BYTES + 1 + SEAL;

/// Names a pack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackId(pub [u8; 16]);

/// What is wrong with a pack, or with a segment in it.
#[derive(Debug, thiserror::Error)]
pub enum PackFault {
    #[error("it does not begin as a pack does")]
    Header,
    #[error("it is another pack than its name says")]
    OtherPack,
    #[error("it is shorter than any pack")]
    Short,
    #[error("its footer is damaged")]
    Footer,
    #[error("its footer was not written by the keeper of this vault")]
    Forged,
    #[error("a segment is damaged: its bytes are not those that were written")]
    Segment,
    #[error("a segment cannot be opened: damaged, or sealed under another key")]
    Sealed,
    #[error("a segment does not hold what its footer says")]
    Content,
    #[error("it was sealed by its client: only who has the secret of its domain can look in")]
    Private,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// One chunk as a footer lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub key: Key,
    pub proof: Proof,
    pub length: u32,
}

/// Where a segment is in its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub offset: u32,
    pub stored: u32,
}

impl PackId {
    pub(crate) fn path(self) -> String {
        format!("packs/{:02x}/{self}.pack", self.0[15])
    }

    /// The pack that an object of this name is.
    pub(crate) fn of_path(path: &str) -> Option<PackId> {
        let name = path.rsplit('/').next()?.strip_suffix(".pack")?;
        stamp::parse(name).map(PackId).filter(|id| id.path() == path)
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackId({self})")
    }
}

/// A pack that is being written.
pub(crate) struct PackWriter {
    pub(crate) id: PackId,
    aead: Aead,
    out: Box<dyn Unfinished>,
    header: [u8; HEADER as usize],
    offset: u64,
    segments: u32,
    chunks: u32,
    footer: Vec<u8>,
    scratch: Vec<u8>,
}

impl PackWriter {
    pub(crate) fn create(
        storage: &dyn Storage,
        domain: DomainId,
        keys: &DomainKeys,
        ms: i64,
    ) -> Result<PackWriter, StorageError> {
        let id = PackId(stamp::new(ms));
        let mut header = [0; HEADER as usize];
        header[..8].copy_from_slice(MAGIC);
        header[8..24].copy_from_slice(&id.0);
        header[24..].copy_from_slice(&domain.0);
        let mut out = storage.create(&id.path())?;
        out.append(&header)?;
        let (aead, offset) = (keys.pack(&id.0), HEADER);
        Ok(PackWriter {
            id,
            aead,
            out,
            header,
            offset,
            segments: 0,
            chunks: 0,
            footer: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// It has grown to what a pack should be.
    pub(crate) fn is_full(&self) -> bool {
        self.offset >= TARGET_BYTES || self.chunks >= TARGET_CHUNKS
    }

    pub(crate) fn append(&mut self, kind: SegmentKind, bytes: &[u8], chunks: &[Listed]) -> Result<Span, StorageError> {
        self.scratch.clear();
        self.scratch.push(kind as u8);
        self.scratch.extend_from_slice(bytes);
        self.aead.seal(self.offset, &mut self.scratch);
        self.out.append(&self.scratch)?;
        let stored = u32::try_from(self.scratch.len()).expect("segments are far below 4 GiB");
        let offset = u32::try_from(self.offset).expect("packs are far below 4 GiB");
        varint::put(&mut self.footer, u64::from(stored));
        self.footer.extend_from_slice(&blake3::hash(&self.scratch).as_bytes()[..16]);
        varint::put(&mut self.footer, chunks.len() as u64);
        for chunk in chunks {
            self.footer.extend_from_slice(&chunk.key.0);
            self.footer.extend_from_slice(&chunk.proof);
            varint::put(&mut self.footer, u64::from(chunk.length));
        }
        self.offset += u64::from(stored);
        self.segments += 1;
        self.chunks += chunks.len() as u32;
        Ok(Span { offset, stored })
    }

    /// Once it returns, the pack is on stable storage. Says how long it is.
    pub(crate) fn finish(mut self, key: &VaultKey) -> Result<u64, StorageError> {
        let mut end = Vec::with_capacity(self.footer.len() + 80);
        varint::put(&mut end, u64::from(self.segments));
        end.extend_from_slice(&self.footer);
        let length = u32::try_from(end.len()).expect("footers are far below 4 GiB");
        end.extend_from_slice(&length.to_le_bytes());
        let hash = *blake3::Hasher::new().update(&self.header).update(&end).finalize().as_bytes();
        end.extend_from_slice(&hash);
        end.extend_from_slice(&key.mac(&hash));
        end.extend_from_slice(END);
        self.out.append(&end)?;
        self.out.finish()?;
        Ok(self.offset + end.len() as u64)
    }
}

/// A segment as its client made it.
pub(crate) fn read_segment(object: &dyn Object, aead: &Aead, span: Span) -> Result<(SegmentKind, Vec<u8>), PackFault> {
    let stored = span.stored as usize;
    if stored <= SEAL || stored > STORED_LIMIT {
        return Err(PackFault::Content);
    }
    let mut bytes = vec![0; stored];
    object.read_at(u64::from(span.offset), &mut bytes)?;
    open_segment(aead, span, bytes)
}

/// The same from its stored bytes.
pub(crate) fn open_segment(aead: &Aead, span: Span, mut bytes: Vec<u8>) -> Result<(SegmentKind, Vec<u8>), PackFault> {
    aead.open(u64::from(span.offset), &mut bytes).map_err(|_| PackFault::Sealed)?;
    let kind = bytes.first().and_then(|kind| SegmentKind::try_from(*kind).ok()).ok_or(PackFault::Content)?;
    bytes.drain(..1);
    Ok((kind, bytes))
}

/// The plain chunks of a segment that the client did not seal, one after the other.
pub(crate) fn unpack_segment(kind: SegmentKind, bytes: Vec<u8>) -> Result<Vec<u8>, PackFault> {
    match kind {
        SegmentKind::Plain => Ok(bytes),
        SegmentKind::Zstd => {
            let limit = Limits::SEGMENT.bytes;
            let capacity = zstd::bulk::Decompressor::upper_bound(&bytes).map_or(limit, |bound| bound.min(limit));
            zstd::bulk::decompress(&bytes, capacity).map_err(|_| PackFault::Content)
        }
        SegmentKind::Sealed => Err(PackFault::Private),
    }
}

/// How many plain bytes such a segment has, where its head tells.
pub(crate) fn plain_length(kind: SegmentKind, bytes: &[u8]) -> Option<usize> {
    match kind {
        SegmentKind::Plain => Some(bytes.len()),
        SegmentKind::Zstd => zstd::zstd_safe::get_frame_content_size(bytes).ok()??.try_into().ok(),
        SegmentKind::Sealed => None,
    }
}

#[cfg(test)]
mod tests;
