//! Packing chunks into segments: gathering, compressing, sealing.

use super::{Limits, Sealer};
use crate::{Fingerprint, Segment, SegmentKind};
use std::sync::Arc;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// Plain bytes at which a segment is closed.
const FULL: usize = 512 << 10;
/// Chunks at which a segment is closed, so that its list stays short beside its bytes.
const MANY: usize = 4096;
/// Chunks from this size on are looked at before they are compressed. Smaller ones gain from their neighbours.
const SAMPLED: usize = 32 << 10;
const SAMPLE: usize = 4096;
/// What is kept of memory that is not in use.
const SPARE: usize = 2;

/// How chunks become segments.
#[derive(Clone)]
pub struct Packing {
    /// Of zstd, from 1 to 19.
    pub level: i32,
    /// Whether segments bring the names of their chunks: not where a keeper computes them itself.
    pub names: bool,
    /// Given in a private domain.
    pub sealer: Option<Arc<Sealer>>,
}

/// Chunks that were gathered and not compressed yet.
#[derive(Default)]
pub(crate) struct Loose {
    lengths: Vec<u32>,
    names: Vec<Fingerprint>,
    bytes: Vec<u8>,
    dense: bool,
}

impl Loose {
    fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    fn fits(&self, more: usize) -> bool {
        self.is_empty() || (self.bytes.len() + more <= FULL && self.lengths.len() < MANY)
    }

    fn push(&mut self, name: Fingerprint, chunk: &[u8], names: bool) {
        debug_assert!(!chunk.is_empty() && chunk.len() <= Limits::SEGMENT.chunk_bytes as usize);
        self.lengths.push(chunk.len() as u32);
        if names {
            self.names.push(name);
        }
        self.bytes.extend_from_slice(chunk);
    }

    /// Makes room for other chunks in the same memory.
    fn clear(&mut self) {
        self.lengths.clear();
        self.names.clear();
        self.bytes.clear();
    }
}

/// Turns gathered chunks into segments; has the memory that takes.
struct Press {
    packing: Packing,
    compressor: Compressor<'static>,
    scratch: Vec<u8>,
}

impl Press {
    fn new(packing: Packing) -> Press {
        let compressor = compressor(packing.level.clamp(1, 19));
        Press { packing, compressor, scratch: Vec::new() }
    }

    fn press(&mut self, loose: &Loose) -> Segment {
        let compressed = if loose.dense { None } else { self.compress(&loose.bytes) };
        let (kind, bytes) = match compressed {
            Some(()) => (SegmentKind::Zstd, &self.scratch[..]),
            None => (SegmentKind::Plain, &loose.bytes[..]),
        };
        let (kind, bytes) = match &self.packing.sealer {
            Some(sealer) => (SegmentKind::Sealed, sealer.seal(kind, bytes)),
            None => (kind, bytes.to_vec()),
        };
        Segment { lengths: loose.lengths.clone(), names: loose.names.clone(), kind, bytes }
    }

    /// Into the scratch, unless that saves next to nothing.
    fn compress(&mut self, plain: &[u8]) -> Option<()> {
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let written = self.compressor.compress_to_buffer(plain, &mut self.scratch);
        let written = written.expect("zstd compresses whatever fits into the bound it gave");
        (written < plain.len() - plain.len() / 32).then_some(())
    }

    /// Whether zstd would find nothing in it: media, archives, what is encrypted.
    fn is_dense(&mut self, chunk: &[u8]) -> bool {
        let third = chunk.len() / 3;
        chunk.len() >= SAMPLED && [third, 2 * third].iter().all(|at| self.is_dense_sample(&chunk[*at..*at + SAMPLE]))
    }

    fn is_dense_sample(&mut self, sample: &[u8]) -> bool {
        let mut counts = [0_u32; 256];
        for byte in sample {
            counts[usize::from(*byte)] += 1;
        }
        // Bytes drawn evenly make this about 17 times the length, text hundreds of times.
        let squares: u32 = counts.iter().map(|count| count * count).sum();
        squares < 20 * SAMPLE as u32 && {
            self.scratch.clear();
            self.scratch.reserve(zstd::zstd_safe::compress_bound(sample.len()));
            let written = self.compressor.compress_to_buffer(sample, &mut self.scratch);
            written.is_ok_and(|written| written > SAMPLE - SAMPLE / 32)
        }
    }
}

/// At its level 1, zstd looks for 7 equal bytes with a small table. With 6 and a table twice that size, segments are 3 %
/// smaller for a tenth more of its time; its level 2 takes a quarter more.
fn compressor(level: i32) -> Compressor<'static> {
    let mut compressor = Compressor::new(level).expect("zstd knows the levels from 1 to 19");
    if level == 1 {
        for parameter in [CParameter::MinMatch(6), CParameter::HashLog(15)] {
            compressor.set_parameter(parameter).expect("zstd takes these at every level");
        }
    }
    compressor
}

/// Packs chunks as they come; what can be compressed and what cannot go into segments of their own.
pub struct Packer {
    press: Press,
    solid: Loose,
    dense: Loose,
    /// Memory of what was pressed, for what comes next.
    spare: Vec<Loose>,
}

impl Packer {
    pub fn new(packing: Packing) -> Packer {
        let dense = Loose { dense: true, ..Loose::default() };
        Packer { press: Press::new(packing), solid: Loose::default(), dense, spare: Vec::new() }
    }

    /// Takes a chunk of at most 1 MiB, and hands out the segment that it fills.
    ///
    /// # Errors
    /// What `out` returns. The chunk is taken all the same.
    pub fn add<E>(
        &mut self,
        name: Fingerprint,
        chunk: &[u8],
        out: &mut impl FnMut(Segment) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.gather(name, chunk) {
            Some(full) => out(self.press(full)),
            None => Ok(()),
        }
    }

    /// Takes a chunk of at most 1 MiB, and hands out what there is no room for beside it, to be pressed here or elsewhere.
    pub(crate) fn gather(&mut self, name: Fingerprint, chunk: &[u8]) -> Option<Loose> {
        let is_dense = self.press.is_dense(chunk);
        let loose = if is_dense { &mut self.dense } else { &mut self.solid };
        let full = (!loose.fits(chunk.len())).then(|| {
            let spare = self.spare.pop().unwrap_or_default();
            std::mem::replace(loose, Loose { dense: is_dense, ..spare })
        });
        loose.push(name, chunk, self.press.packing.names);
        full
    }

    pub(crate) fn press(&mut self, mut loose: Loose) -> Segment {
        let segment = self.press.press(&loose);
        if self.spare.len() < SPARE {
            loose.clear();
            self.spare.push(loose);
        }
        segment
    }

    /// Hands out what is left.
    ///
    /// # Errors
    /// What `out` returns.
    pub fn flush<E>(&mut self, out: &mut impl FnMut(Segment) -> Result<(), E>) -> Result<(), E> {
        for loose in [&mut self.solid, &mut self.dense] {
            if !loose.is_empty() {
                let segment = self.press.press(loose);
                loose.clear();
                out(segment)?;
            }
        }
        Ok(())
    }
}
