//! The bytes of a file that is open, chunk by chunk.

use super::fault::Fault;
use super::recent::Recent;
use super::snapshot::Snapshot;
use std::sync::Arc;
use vault::{Content, Plain};

/// Chunks of all files that are kept, each with the segment that it is in.
pub(super) const CHUNKS: usize = 16;
/// Chunks between two whose beginnings are known.
const STEP: usize = 64;

/// Chunks by the number of their snapshot and their position in it.
pub(super) type Chunks = Recent<(u16, u64), Plain>;

pub(super) struct OpenFile {
    snapshot: Arc<Snapshot>,
    content: Content,
    /// Where its data lies, and how many bytes of data are before each part.
    parts: Vec<Part>,
    /// Bytes of data before every so manyth chunk.
    begins: Vec<u64>,
    chunks: Arc<Chunks>,
}

#[derive(Clone, Copy)]
struct Part {
    offset: u64,
    length: u64,
    before: u64,
}

/// What a program looks for in a sparse file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Seek {
    Data,
    Hole,
}

impl OpenFile {
    pub(super) fn new(snapshot: Arc<Snapshot>, content: Content, chunks: Arc<Chunks>) -> OpenFile {
        let mut before = 0;
        let parts = content.data().into_iter().map(|(offset, length)| {
            let part = Part { offset, length, before };
            before += length;
            part
        });
        let parts = parts.collect();
        let mut begin = 0;
        let begins = content.chunks.chunks(STEP).map(|some| {
            let here = begin;
            begin += some.iter().map(|length| u64::from(*length)).sum::<u64>();
            here
        });
        let begins = begins.collect();
        OpenFile { snapshot, content, parts, begins, chunks }
    }

    /// At most so many bytes from here on: fewer only at its end. Holes are zeros.
    pub(super) fn read(&self, offset: u64, size: u32) -> Result<Vec<u8>, Fault> {
        let end = self.content.size.min(offset.saturating_add(size.into()));
        let mut out = vec![0; end.saturating_sub(offset) as usize];
        let first = self.parts.partition_point(|part| part.offset + part.length <= offset);
        for part in self.parts[first..].iter().take_while(|part| part.offset < end) {
            let (from, upto) = (part.offset.max(offset), (part.offset + part.length).min(end));
            let into = &mut out[(from - offset) as usize..(upto - offset) as usize];
            self.data(part.before + (from - part.offset), into)?;
        }
        Ok(out)
    }

    /// Fills the buffer with data from this byte of it on.
    fn data(&self, mut at: u64, mut into: &mut [u8]) -> Result<(), Fault> {
        let step = self.begins.partition_point(|begin| *begin <= at).saturating_sub(1);
        let (mut chunk, mut begin) = (step * STEP, self.begins.get(step).copied().unwrap_or(0));
        while let Some(length) = self.content.chunks.get(chunk).map(|length| u64::from(*length)) {
            if into.is_empty() {
                break;
            }
            if at < begin + length {
                let plain = self.chunk(self.content.first + chunk as u64)?;
                let rest = plain.get((at - begin) as usize..).unwrap_or_default();
                let count = rest.len().min(into.len());
                into[..count].copy_from_slice(&rest[..count]);
                into = &mut into[count..];
                at += count as u64;
                if (plain.len() as u64) < length {
                    return Err(Fault::Tree(vault::TreeError::Damaged {
                        position: begin,
                        fault: vault::Fault::Content,
                    }));
                }
            }
            begin += length;
            chunk += 1;
        }
        Ok(())
    }

    fn chunk(&self, position: u64) -> Result<Arc<Plain>, Fault> {
        let key = (self.snapshot.entered, position);
        match self.chunks.get(key) {
            Some(plain) => Ok(plain),
            None => Ok(self.chunks.put(key, self.snapshot.reader.chunk(position)?, 1)),
        }
    }

    /// The next data, or the next hole, from here on; none past the end.
    pub(super) fn seek(&self, offset: u64, what: Seek) -> Option<u64> {
        if offset >= self.content.size {
            return None;
        }
        let mut parts = &self.parts[self.parts.partition_point(|part| part.offset + part.length <= offset)..];
        if what == Seek::Data {
            return parts.first().map(|part| part.offset.max(offset));
        }
        let mut at = offset;
        while let [part, rest @ ..] = parts
            && part.offset <= at
        {
            at = part.offset + part.length;
            parts = rest;
        }
        Some(at.min(self.content.size))
    }
}
