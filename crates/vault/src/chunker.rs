//! Where bytes are cut into chunks: by what they hold, so that an insertion moves no cut but those beside it.
//!
//! Files and *names* are cut by FastCDC (version 2020), *refs* after ids, which are random as they are. It reads nothing and
//! keeps nothing beyond the largest chunk.

use crate::ChunkId;
use fastcdc::v2020::{Normalization, select_masks};

/// Cuts bytes by what they hold.
#[derive(Clone, Copy, Debug)]
pub struct Cutter {
    least: usize,
    usual: usize,
    most: usize,
    small: u64,
    large: u64,
}

impl Cutter {
    /// For the bytes of files: 64 KiB to 1 MiB, about 256 KiB. A file below 64 KiB is one chunk.
    pub fn files() -> Cutter {
        Cutter::new(256 << 10)
    }

    /// For the streams of a snapshot, where a small change should cost little: 16 KiB to 256 KiB, about 64 KiB.
    pub fn streams() -> Cutter {
        Cutter::new(64 << 10)
    }

    fn new(usual: usize) -> Cutter {
        let (small, large) = select_masks(usual, Normalization::Level1);
        Cutter { least: usual / 4, usual, most: usual * 4, small, large }
    }

    /// Length of the longest chunk.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Length of the first chunk of these bytes; nothing while that depends on what follows. `ended`: nothing follows.
    pub fn cut(&self, bytes: &[u8], ended: bool) -> Option<usize> {
        if bytes.is_empty() || (!ended && bytes.len() <= self.least) {
            return None;
        }
        let Cutter { least, usual, most, small, large } = *self;
        let (_, cut) = fastcdc::v2020::cut(bytes, least, usual, most, small, large, small << 1, large << 1);
        (ended || cut < bytes.len() || cut == most).then_some(cut)
    }
}

/// Cuts a stream that is written piece by piece.
pub(crate) struct StreamCutter {
    cutter: Cutter,
    bytes: Vec<u8>,
    /// Where what was not handed out yet begins.
    start: usize,
}

impl StreamCutter {
    pub(crate) fn new(cutter: Cutter) -> StreamCutter {
        StreamCutter { cutter, bytes: Vec::new(), start: 0 }
    }

    /// Takes bytes and hands out the chunks that are certain.
    pub(crate) fn write<E>(&mut self, mut more: &[u8], out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let most = self.cutter.most();
        while !more.is_empty() {
            let (now, later) = more.split_at(more.len().min(most));
            more = later;
            self.bytes.extend_from_slice(now);
            while self.bytes.len() - self.start >= most {
                let cut = self.cutter.cut(&self.bytes[self.start..], false).expect("the longest chunk is there");
                self.start += cut;
                out(&self.bytes[self.start - cut..self.start])?;
            }
            if self.start >= most {
                self.bytes.drain(..self.start);
                self.start = 0;
            }
        }
        Ok(())
    }

    pub(crate) fn finish<E>(&mut self, out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        while let Some(cut) = self.cutter.cut(&self.bytes[self.start..], true) {
            self.start += cut;
            out(&self.bytes[self.start - cut..self.start])?;
        }
        self.bytes.clear();
        self.start = 0;
        Ok(())
    }
}

/// Cuts *refs*: 512 to 8,192 ids, about 2,500; a chunk is a whole number of ids, and ends where an id says so.
#[derive(Default)]
pub(crate) struct IdCutter {
    bytes: Vec<u8>,
}

impl IdCutter {
    const ID: usize = size_of::<ChunkId>();
    const LEAST: usize = 512 * Self::ID;
    const MOST: usize = 8192 * Self::ID;
    /// One id in 2,048 ends a chunk.
    const MASK: u16 = 0x7ff;

    pub(crate) fn write<E>(&mut self, ids: &[ChunkId], out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        for id in ids {
            self.bytes.extend_from_slice(&id.0);
            let ends = u16::from_le_bytes([id.0[0], id.0[1]]) & Self::MASK == 0;
            let length = self.bytes.len();
            if (ends && length >= Self::LEAST) || length == Self::MOST {
                self.finish(out)?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish<E>(&mut self, out: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if !self.bytes.is_empty() {
            out(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::convert::Infallible;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn chunks(cutter: Cutter, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(cut) = cutter.cut(bytes, true) {
            out.push(bytes[..cut].to_vec());
            bytes = &bytes[cut..];
        }
        out
    }

    fn streamed(bytes: &[u8], pieces: &[usize]) -> Vec<Vec<u8>> {
        let (mut cutter, mut out, mut at) = (StreamCutter::new(Cutter::streams()), Vec::new(), 0);
        let mut take = |chunk: &[u8]| {
            out.push(chunk.to_vec());
            Ok::<_, Infallible>(())
        };
        for piece in pieces.iter().cycle() {
            let end = (at + piece).min(bytes.len());
            cutter.write(&bytes[at..end], &mut take).unwrap();
            assert!(cutter.bytes.len() <= 3 * cutter.cutter.most(), "memory is bounded");
            at = end;
            if at == bytes.len() {
                break;
            }
        }
        cutter.finish(&mut take).unwrap();
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn chunks_put_together_are_the_bytes_and_keep_their_bounds(seed: u64, length in 0_usize..3_000_000) {
            let bytes = noise(seed, length);
            let chunks = chunks(Cutter::files(), &bytes);
            prop_assert_eq!(chunks.concat(), bytes);
            for (number, chunk) in chunks.iter().enumerate() {
                prop_assert!(chunk.len() <= 1 << 20);
                prop_assert!(chunk.len() >= 64 << 10 || number + 1 == chunks.len());
            }
        }

        #[test]
        fn pieces_do_not_move_a_cut(
            seed: u64,
            length in 0_usize..1_500_000,
            pieces in proptest::collection::vec(1_usize..400_000, 1..8),
        ) {
            let bytes = noise(seed, length);
            prop_assert_eq!(streamed(&bytes, &pieces), chunks(Cutter::streams(), &bytes));
        }

        #[test]
        fn a_cut_that_is_certain_is_the_one_at_the_end(seed: u64, length in 0_usize..1_500_000, more in 1_usize..300_000) {
            let (cutter, bytes) = (Cutter::files(), noise(seed, length + more));
            if let Some(early) = cutter.cut(&bytes[..length], false) {
                prop_assert_eq!(cutter.cut(&bytes, true), Some(early));
            }
        }

        #[test]
        fn an_insertion_moves_only_the_cuts_beside_it(seed: u64, at in 0_usize..4_000_000, more in 1_usize..5000) {
            let mut bytes = noise(seed, 4_000_000);
            let before: HashSet<_> = chunks(Cutter::streams(), &bytes).into_iter().collect();
            bytes.splice(at..at, noise(seed ^ 1, more));
            let after = chunks(Cutter::streams(), &bytes);
            let new = after.iter().filter(|chunk| !before.contains(*chunk)).count();
            prop_assert!(new <= 6, "{new} of {} chunks are new", after.len());
        }

        #[test]
        fn ids_are_never_cut_apart(seed: u64, count in 0_usize..30_000, step in 1_usize..5000) {
            let bytes = noise(seed, count * 32);
            let ids: Vec<_> = bytes.chunks(32).map(|id| ChunkId(id.try_into().unwrap())).collect();
            let (mut cutter, mut out) = (IdCutter::default(), Vec::new());
            let mut take = |chunk: &[u8]| {
                out.push(chunk.to_vec());
                Ok::<_, Infallible>(())
            };
            for some in ids.chunks(step) {
                cutter.write(some, &mut take).unwrap();
            }
            cutter.finish(&mut take).unwrap();
            prop_assert!(out.iter().all(|chunk| chunk.len() % 32 == 0 && chunk.len() <= 8192 * 32));
            prop_assert!(out.iter().rev().skip(1).all(|chunk| chunk.len() >= 512 * 32));
            prop_assert_eq!(out.concat(), bytes);
        }
    }

    #[test]
    fn zeros_are_cut_at_the_longest() {
        let lengths: Vec<_> = chunks(Cutter::files(), &vec![0; 2_500_000]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1 << 20, 1 << 20, 2_500_000 - (2 << 20)]);
    }
}
