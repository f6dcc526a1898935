//! Reading a snapshot, by position: nobody names a chunk to get it.

mod batches;
mod kept;

pub use batches::{Batch, Batches, Piece};

use crate::chunks::{Chunks, Plain};
use crate::error::VaultError;
use crate::segment::DomainSecret;
use crate::snapshot::{Mode, Snapshot};
use crate::vault::Vault;
use crate::{ChunkId, SnapshotId, Stream, StreamRef, Streams};
use kept::Kept;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Chunks whose places are looked up together.
const TOGETHER: u64 = 1024;

/// Chunks of a snapshot that have positions of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The chunks of the stream *names*.
    Names,
    /// The chunks of the stream *refs*.
    Refs,
    /// The chunks of files: position 7 is the eighth id in *refs*.
    Files,
}

/// An open snapshot. While it is open, nothing that it needs is collected, though it be removed. Any number of threads may use it.
pub struct Reader {
    vault: Arc<Vault>,
    snapshot: Arc<Snapshot>,
    chunks: Chunks,
    names: Ends,
    refs: Ends,
    kept_names: Kept,
    kept_refs: Kept,
    /// In the registry of the vault under this number.
    number: u64,
}

/// Where each chunk of a stream ends in it.
struct Ends(Vec<u64>);

impl Ends {
    fn of(stream: &StreamRef) -> Ends {
        let mut end = 0;
        let ends = stream.chunks.iter().map(|(_, length)| {
            end += u64::from(*length);
            end
        });
        Ends(ends.collect())
    }

    fn length(&self) -> u64 {
        self.0.last().copied().unwrap_or(0)
    }

    /// The chunk with this byte, and where it begins.
    fn find(&self, at: u64) -> (usize, u64) {
        let chunk = self.0.partition_point(|end| *end <= at);
        (chunk, if chunk == 0 { 0 } else { self.0[chunk - 1] })
    }
}

impl Vault {
    /// `owner`: the source that asks, which may read its own snapshots only; none for the keeper itself.
    ///
    /// # Errors
    /// There is no such snapshot, it is another source's, or its record is damaged.
    pub fn reader(self: &Arc<Self>, id: SnapshotId, owner: Option<&str>) -> Result<Reader, VaultError> {
        let (snapshot, number) = {
            // Nobody removes it between reading it and relying on it.
            let _gate = self.gate.read();
            let snapshot = Arc::new(self.snapshot(id)?);
            (snapshot.clone(), self.registry.add_reader(snapshot))
        };
        let summary = &snapshot.summary;
        let domain = self.domain_of(&summary.domain, summary.mode);
        let reader = Reader {
            chunks: Chunks::new(self.clone(), domain, None),
            vault: self.clone(),
            names: Ends::of(&snapshot.names),
            refs: Ends::of(&snapshot.refs),
            kept_names: Kept::default(),
            kept_refs: Kept::default(),
            snapshot: snapshot.clone(),
            number,
        };
        match owner {
            Some(asked) if asked != summary.source => {
                Err(VaultError::OtherSource { snapshot: id, asked: asked.to_owned() })
            }
            _ => Ok(reader),
        }
    }
}

impl Reader {
    /// With the secret of a private domain, what its clients sealed is opened, and every chunk is checked.
    #[must_use]
    pub fn with_secret(mut self, secret: DomainSecret) -> Reader {
        self.chunks.set_secret(secret);
        self
    }

    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// How many positions a part has.
    pub fn count(&self, part: Part) -> u64 {
        match part {
            Part::Names => self.snapshot.names.chunks.len() as u64,
            Part::Refs => self.snapshot.refs.chunks.len() as u64,
            Part::Files => self.refs.length() / 32,
        }
    }

    /// Fills the buffer from this byte of *names* on. In a private domain that needs the secret.
    ///
    /// # Errors
    /// The stream ends before, or a chunk of it is damaged or missing.
    pub fn read_names(&self, at: u64, buffer: &mut [u8]) -> Result<(), VaultError> {
        self.fill(Stream::Names, at, buffer)
    }

    /// Fills the buffer from this byte of *refs* on.
    ///
    /// # Errors
    /// The stream ends before, or a chunk of it is damaged or missing.
    pub fn read_refs(&self, at: u64, buffer: &mut [u8]) -> Result<(), VaultError> {
        self.fill(Stream::Refs, at, buffer)
    }

    /// The ids at these positions of *refs*.
    ///
    /// # Errors
    /// There are not so many, or a chunk of the stream is damaged or missing.
    pub fn ids(&self, positions: Range<u64>) -> Result<Vec<ChunkId>, VaultError> {
        let count = self.check(Part::Files, &positions)?;
        let mut bytes = vec![0; count * 32];
        self.read_refs(positions.start * 32, &mut bytes)?;
        Ok(bytes.chunks_exact(32).map(|id| ChunkId(id.try_into().expect("chunks have 32 bytes"))).collect())
    }

    /// The chunk of a file.
    ///
    /// # Errors
    /// There is no such position, or the chunk is damaged or missing.
    pub fn chunk(&self, position: u64) -> Result<Plain, VaultError> {
        let id = self.ids(position..position + 1)?[0];
        self.chunks.get(id)
    }

    /// Hands over the chunks of files at these positions in order, until `take` breaks.
    ///
    /// # Errors
    /// There are not so many, or the chunk after those handed over is damaged or missing.
    pub fn each(
        &self,
        positions: Range<u64>,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), VaultError> {
        self.check(Part::Files, &positions)?;
        let mut at = positions.start;
        while at < positions.end {
            let upto = positions.end.min(at + TOGETHER);
            let ids = self.ids(at..upto)?;
            for (id, found) in ids.iter().zip(self.chunks.find(&ids)?) {
                let plain = self.chunks.get_at(*id, found.ok_or(VaultError::MissingChunk { chunk: *id })?)?;
                if take(&plain).is_break() {
                    return Ok(());
                }
            }
            at = upto;
        }
        Ok(())
    }

    /// The chunks at these positions, packed for sending: those and no others, but in a private domain, where the keeper
    /// cannot tell them apart.
    ///
    /// # Errors
    /// There are not so many.
    pub fn batches(&self, part: Part, positions: Range<u64>) -> Result<Batches<'_>, VaultError> {
        self.check(part, &positions)?;
        Ok(Batches::new(self, part, positions))
    }

    /// How many of these chunks of files, from the first on, have at most so many plain bytes together; one at least.
    ///
    /// # Errors
    /// There are not so many, or the first is missing.
    pub fn fitting(&self, positions: Range<u64>, bytes: u64) -> Result<u64, VaultError> {
        self.check(Part::Files, &positions)?;
        let (mut fits, mut total) = (0, 0);
        let ids = self.ids(positions)?;
        for (id, found) in ids.iter().zip(self.chunks.find(&ids)?) {
            match found {
                Some(found) => total += u64::from(found.place.length),
                // Whoever reads it is told so; what comes before is not lost with it.
                None if fits > 0 => break,
                None => return Err(VaultError::MissingChunk { chunk: *id }),
            }
            if fits > 0 && total > bytes {
                break;
            }
            fits += 1;
        }
        Ok(fits)
    }

    fn check(&self, part: Part, positions: &Range<u64>) -> Result<usize, VaultError> {
        let count = positions.end.checked_sub(positions.start).filter(|_| positions.end <= self.count(part));
        let past = || VaultError::Position { snapshot: self.snapshot.summary.id, position: positions.end };
        usize::try_from(count.ok_or_else(past)?).map_err(|_| past())
    }

    fn ids_of(&self, part: Part, positions: Range<u64>) -> Result<Vec<ChunkId>, VaultError> {
        let stream = match part {
            Part::Files => return self.ids(positions),
            Part::Names => &self.snapshot.names,
            Part::Refs => &self.snapshot.refs,
        };
        let range = positions.start as usize..positions.end as usize;
        Ok(stream.chunks[range].iter().map(|(id, _)| *id).collect())
    }

    fn is_private(&self) -> bool {
        self.snapshot.summary.mode == Mode::Private
    }

    fn fill(&self, stream: Stream, at: u64, mut buffer: &mut [u8]) -> Result<(), VaultError> {
        let (stream, ends, kept) = match stream {
            Stream::Names => (&self.snapshot.names, &self.names, &self.kept_names),
            Stream::Refs => (&self.snapshot.refs, &self.refs, &self.kept_refs),
        };
        let end = at.saturating_add(buffer.len() as u64);
        if end > ends.length() {
            return Err(VaultError::Position { snapshot: self.snapshot.summary.id, position: end });
        }
        let mut at = at;
        while !buffer.is_empty() {
            let (number, begin) = ends.find(at);
            let (id, length) = stream.chunks[number];
            let plain = kept.get(number, || self.chunks.get(id))?;
            if plain.len() != length as usize {
                return Err(VaultError::MissingChunk { chunk: id });
            }
            let rest = &plain[(at - begin) as usize..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            buffer = &mut buffer[count..];
            at += count as u64;
        }
        Ok(())
    }
}

impl Streams for Reader {
    fn length(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Names => self.names.length(),
            Stream::Refs => self.refs.length(),
        }
    }

    fn read(&self, stream: Stream, position: u64, into: &mut [u8]) -> io::Result<()> {
        self.fill(stream, position, into).map_err(io::Error::other)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.vault.registry.end_reader(self.number);
    }
}
