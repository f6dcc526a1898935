//! Chunks packed together: what travels in `put` and what packs hold. Packing is the client's side, unpacking is both's.
//!
//! Small chunks compress far better together than one by one. A segment holds about 512 KiB of plain chunks, or one chunk
//! that is larger. Unpacking believes nothing: lengths are bounded before anything is allocated.

mod pack;
mod seal;

use crate::{Segment, SegmentKind};
use zstd::bulk::Decompressor;

pub(crate) use pack::Loose;
pub use pack::{Packer, Packing};
pub use seal::{DomainSecret, OpenError, Opener, Sealer};

/// What a segment may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub chunks: usize,
    pub chunk_bytes: u32,
    /// Plain bytes of all chunks.
    pub bytes: usize,
}

impl Limits {
    /// What a keeper takes, and far above what a client packs.
    pub const SEGMENT: Limits = Limits { chunks: 4096, chunk_bytes: 1 << 20, bytes: 4 << 20 };

    /// Plain bytes of these chunks together.
    ///
    /// # Errors
    /// One is empty or too long, or together they are too many or too long.
    pub fn check(&self, lengths: &[u32]) -> Result<usize, UnpackError> {
        if lengths.len() > self.chunks {
            return Err(UnpackError::Chunks { found: lengths.len(), limit: self.chunks });
        }
        if let Some(length) = lengths.iter().find(|length| **length == 0 || **length > self.chunk_bytes) {
            return Err(UnpackError::ChunkLength { found: *length, limit: self.chunk_bytes });
        }
        // Cannot overflow: both factors were just bounded far below 2^32.
        let bytes = lengths.iter().map(|length| u64::from(*length)).sum::<u64>();
        if bytes > self.bytes as u64 {
            return Err(UnpackError::Bytes { found: bytes, limit: self.bytes });
        }
        Ok(bytes as usize)
    }
}

/// Why a segment cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("a segment holds {found} chunks, more than {limit}")]
    Chunks { found: usize, limit: usize },
    #[error("a segment holds a chunk of {found} bytes; from 1 to {limit} are allowed")]
    ChunkLength { found: u32, limit: u32 },
    #[error("a segment holds {found} bytes, more than {limit}")]
    Bytes { found: u64, limit: usize },
    #[error("a segment says that it holds {said} bytes and holds {found}")]
    WrongLength { said: usize, found: usize },
    #[error("a segment names {names} chunks and holds {chunks}")]
    Names { names: usize, chunks: usize },
    #[error("a segment cannot be decompressed")]
    Damaged(#[source] std::io::Error),
    #[error("a segment is sealed: only a client that has the domain's secret can look in")]
    Sealed,
}

/// A kind of segment that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a segment is of an unknown kind ({0}); a newer version wrote it")]
pub struct UnknownKind(pub u8);

impl TryFrom<u8> for SegmentKind {
    type Error = UnknownKind;

    fn try_from(kind: u8) -> Result<SegmentKind, UnknownKind> {
        match kind {
            0 => Ok(SegmentKind::Plain),
            1 => Ok(SegmentKind::Zstd),
            2 => Ok(SegmentKind::Sealed),
            other => Err(UnknownKind(other)),
        }
    }
}

/// Unpacks one segment after the other, and keeps its memory for the next.
pub struct Unpacker {
    context: Decompressor<'static>,
    plain: Vec<u8>,
    limits: Limits,
}

impl Unpacker {
    pub fn new(limits: Limits) -> Unpacker {
        Unpacker { context: Decompressor::default(), plain: Vec::new(), limits }
    }

    /// The chunks one after the other, without a copy where they are stored as they are.
    ///
    /// # Errors
    /// It is sealed, holds more than the limits, or not what its lengths say.
    pub fn unpack<'a>(
        &'a mut self,
        kind: SegmentKind,
        lengths: &[u32],
        bytes: &'a [u8],
    ) -> Result<&'a [u8], UnpackError> {
        let said = self.limits.check(lengths)?;
        let plain = match kind {
            SegmentKind::Plain => bytes,
            SegmentKind::Zstd => {
                self.plain.clear();
                // The capacity bounds what is written, so a bomb fails here.
                self.plain.reserve_exact(said);
                let result = self.context.decompress_to_buffer(bytes, &mut self.plain);
                result.map_err(UnpackError::Damaged)?;
                &self.plain
            }
            SegmentKind::Sealed => return Err(UnpackError::Sealed),
        };
        if plain.len() != said {
            return Err(UnpackError::WrongLength { said, found: plain.len() });
        }
        Ok(plain)
    }
}

impl Segment {
    /// The plain chunks, in order.
    ///
    /// # Errors
    /// As [`Unpacker::unpack`], or there are names and not one for each chunk.
    pub fn unpack<'a>(
        &'a self,
        unpacker: &'a mut Unpacker,
    ) -> Result<impl Iterator<Item = &'a [u8]> + use<'a>, UnpackError> {
        if !self.names.is_empty() && self.names.len() != self.lengths.len() {
            return Err(UnpackError::Names { names: self.names.len(), chunks: self.lengths.len() });
        }
        let plain = unpacker.unpack(self.kind, &self.lengths, &self.bytes)?;
        Ok(split(plain, &self.lengths))
    }
}

/// Cuts plain bytes at these lengths, which add up to them.
pub fn split<'a>(mut plain: &'a [u8], lengths: &'a [u32]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    lengths.iter().map_while(move |length| {
        let (chunk, rest) = plain.split_at_checked(*length as usize)?;
        plain = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests;
