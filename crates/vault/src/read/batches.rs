//! Chunks packed for sending over a line.
//!
//! A segment of which everything is wanted goes as it is stored. Of others the wanted chunks are taken out and packed anew,
//! so nobody gets what is somebody else's. Whoever gets them checks their ids: here it would be done twice.

use super::{Part, Reader};
use crate::error::VaultError;
use crate::index::Found;
use crate::pack::PackId;
use crate::{ChunkId, SegmentKind};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// Positions that are looked at together.
const AT_ONCE: u64 = 2048;
/// Plain bytes of a batch that is packed anew.
const BATCH: usize = 512 << 10;

/// Some chunks, in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub kind: SegmentKind,
    pub bytes: Vec<u8>,
    /// Which positions are in it. Several may be at one place.
    pub pieces: Vec<Piece>,
}

/// One position, and where it is in the unpacked batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub position: u64,
    pub start: u32,
    pub length: u32,
}

/// Yields the batches of some positions; each position is in one of them.
pub struct Batches<'a> {
    reader: &'a Reader,
    part: Part,
    positions: Range<u64>,
    /// Chunks of one segment each, with the positions that want them.
    groups: VecDeque<Vec<Wanted>>,
    loose: Loose,
    is_plain: bool,
    has_failed: bool,
}

struct Wanted {
    id: ChunkId,
    found: Found,
    positions: Vec<u64>,
}

#[derive(Default)]
struct Loose {
    plain: Vec<u8>,
    pieces: Vec<Piece>,
}

impl<'a> Batches<'a> {
    pub(super) fn new(reader: &'a Reader, part: Part, positions: Range<u64>) -> Batches<'a> {
        let (groups, loose) = (VecDeque::new(), Loose::default());
        Batches { reader, part, positions, groups, loose, is_plain: false, has_failed: false }
    }

    /// For somebody in this very process, for whom nothing need be small.
    #[must_use]
    pub fn plain(mut self) -> Batches<'a> {
        self.is_plain = true;
        self
    }

    fn step(&mut self) -> Result<Option<Batch>, VaultError> {
        loop {
            if self.loose.plain.len() >= BATCH {
                return Ok(Some(self.loose.pack(self.is_plain)));
            }
            if let Some(group) = self.groups.pop_front() {
                if let Some(batch) = self.send(group)? {
                    return Ok(Some(batch));
                }
            } else if self.positions.is_empty() {
                let is_left = !self.loose.pieces.is_empty();
                return Ok(is_left.then(|| self.loose.pack(self.is_plain)));
            } else {
                self.load()?;
            }
        }
    }

    /// Finds out where the next chunks are.
    fn load(&mut self) -> Result<(), VaultError> {
        let end = self.positions.end.min(self.positions.start + AT_ONCE);
        let here = self.positions.start..end;
        self.positions.start = end;
        let ids = self.reader.ids_of(self.part, here.clone())?;
        let found = self.reader.chunks.find(&ids)?;
        let mut segments: HashMap<(PackId, u32), usize> = HashMap::new();
        let mut chunks: HashMap<ChunkId, (usize, usize)> = HashMap::new();
        for ((position, id), found) in here.zip(ids).zip(found) {
            if let Some((group, at)) = chunks.get(&id) {
                self.groups[*group][*at].positions.push(position);
                continue;
            }
            let found = found.ok_or(VaultError::MissingChunk { chunk: id })?;
            let segment = (found.place.pack, found.place.span.offset);
            let group = *segments.entry(segment).or_insert_with(|| {
                self.groups.push_back(Vec::new());
                self.groups.len() - 1
            });
            chunks.insert(id, (group, self.groups[group].len()));
            self.groups[group].push(Wanted { id, found, positions: vec![position] });
        }
        Ok(())
    }

    fn send(&mut self, mut group: Vec<Wanted>) -> Result<Option<Batch>, VaultError> {
        group.sort_unstable_by_key(|wanted| wanted.found.place.start);
        let chunks = &self.reader.chunks;
        let Some(first) = group.first() else { return Ok(None) };
        if self.reader.is_private() {
            let (kind, bytes) = chunks.stored(first.id, first.found)?;
            return Ok(Some(Batch { kind, bytes, pieces: pieces(&group) }));
        }
        // Side by side from the beginning to an end: perhaps they are all of it.
        let end = group.iter().try_fold(0, |end, Wanted { found, .. }| {
            let (start, length) = (found.place.start as usize, found.place.length as usize);
            (start == end).then_some(end + length)
        });
        if let Some((kind, bytes)) = end.filter(|_| !self.is_plain).and_then(|end| chunks.whole(&first.found, end)) {
            return Ok(Some(Batch { kind, bytes, pieces: pieces(&group) }));
        }
        for wanted in &group {
            self.loose.add(&wanted.positions, &chunks.get_unchecked_at(wanted.id, wanted.found)?);
        }
        Ok(None)
    }
}

fn pieces(group: &[Wanted]) -> Vec<Piece> {
    let each = group.iter().flat_map(|wanted| {
        let place = wanted.found.place;
        wanted.positions.iter().map(move |position| Piece {
            position: *position,
            start: place.start,
            length: place.length,
        })
    });
    each.collect()
}

impl Loose {
    fn add(&mut self, positions: &[u64], plain: &[u8]) {
        let (start, length) = (self.plain.len() as u32, plain.len() as u32);
        self.plain.extend_from_slice(plain);
        self.pieces.extend(positions.iter().map(|position| Piece { position: *position, start, length }));
    }

    fn pack(&mut self, is_plain: bool) -> Batch {
        let (plain, pieces) = (std::mem::take(&mut self.plain), std::mem::take(&mut self.pieces));
        if is_plain {
            return Batch { kind: SegmentKind::Plain, bytes: plain, pieces };
        }
        match zstd::bulk::compress(&plain, 1) {
            Ok(bytes) if bytes.len() < plain.len() => Batch { kind: SegmentKind::Zstd, bytes, pieces },
            _ => Batch { kind: SegmentKind::Plain, bytes: plain, pieces },
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, VaultError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let result = self.step();
        self.has_failed = result.is_err();
        result.transpose()
    }
}
