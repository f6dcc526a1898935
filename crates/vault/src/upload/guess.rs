//! Where the next chunk of a file ends, guessed from how the file was cut last time.
//!
//! Where a chunk ends depends on nothing but the bytes from its beginning on. So where one of last time begins again, and the
//! bytes of its length have its name, it ends where it did: no need to look for the cut, nor to ask about a chunk that the
//! basis has. A guess that is wrong costs a hash.

use crate::{ChunkId, Fingerprint};
use std::collections::HashMap;

/// Chunks of a file that are kept: those of 16 GiB. What comes after them is cut as if it were new.
pub(crate) const MOST: usize = 1 << 16;

/// How a file was cut last time.
#[derive(Debug, Default)]
pub(crate) struct Before {
    chunks: Vec<(ChunkId, u32)>,
    /// These are all: the last one ended where the file did, which says nothing of where a longer file is cut.
    is_all: bool,
}

impl Before {
    pub(crate) fn new(chunks: Vec<(ChunkId, u32)>, is_all: bool) -> Before {
        Before { chunks, is_all }
    }

    fn length(&self) -> usize {
        self.chunks.len() - usize::from(self.is_all && !self.chunks.is_empty())
    }
}

/// Goes along a file that is read.
#[derive(Default)]
pub(super) struct Guess {
    before: Before,
    /// The chunk of last time that comes next, if it is known where in it one is.
    next: Option<usize>,
    /// Where each chunk stands, once that is wanted.
    places: HashMap<ChunkId, u32>,
}

/// What the next bytes of a buffer are.
pub(super) enum Next {
    /// A chunk of last time, of this length.
    Same(usize, Fingerprint),
    /// More has to be read before it can be told.
    More,
    /// Something else. If it is as long as this, it is called so.
    Other(Option<(usize, Fingerprint)>),
}

impl Guess {
    pub(super) fn new(before: Option<Before>) -> Guess {
        let before = before.unwrap_or_default();
        Guess { next: (before.length() > 0).then_some(0), before, places: HashMap::new() }
    }

    /// Looks at the bytes that begin where the last chunk ended.
    pub(super) fn look(&mut self, bytes: &[u8], ended: bool, name: impl Fn(&[u8]) -> Fingerprint) -> Next {
        let Some(at) = self.next.filter(|at| *at < self.before.length()) else { return Next::Other(None) };
        let (id, length) = self.before.chunks[at];
        let length = length as usize;
        match bytes.get(..length) {
            Some(bytes) => {
                let name = name(bytes);
                if name.id == id {
                    self.next = Some(at + 1);
                    return Next::Same(length, name);
                }
                self.next = None;
                Next::Other(Some((length, name)))
            }
            None if ended => {
                self.next = None;
                Next::Other(None)
            }
            None => Next::More,
        }
    }

    /// A chunk was cut: if it is one of last time, the one after it may come next. Whether it is.
    pub(super) fn cut(&mut self, id: &ChunkId) -> bool {
        if self.before.chunks.is_empty() {
            return false;
        }
        if self.places.is_empty() {
            let places = self.before.chunks.iter().zip(0..).map(|((id, _), at)| (*id, at));
            self.places = places.collect();
        }
        let place = self.places.get(id);
        self.next = place.map(|at| *at as usize + 1);
        place.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cutter;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn name(bytes: &[u8]) -> Fingerprint {
        Fingerprint::of(None, bytes)
    }

    /// Chunks by the cutter alone.
    fn chunks(bytes: &[u8]) -> Vec<(ChunkId, u32)> {
        let (mut chunks, mut at) = (Vec::new(), 0);
        while let Some(cut) = Cutter::files().cut(&bytes[at..], true) {
            chunks.push((name(&bytes[at..at + cut]).id, cut as u32));
            at += cut;
        }
        chunks
    }

    /// Chunks with the help of guesses, reading a little at a time, and how many were guessed right.
    fn guessed(bytes: &[u8], before: Before, step: usize) -> (Vec<(ChunkId, u32)>, usize) {
        let (mut guess, mut chunks, mut at, mut filled, mut right) = (Guess::new(Some(before)), Vec::new(), 0, 0, 0);
        loop {
            let ended = filled == bytes.len();
            let here = &bytes[at..filled];
            match guess.look(here, ended, name) {
                Next::Same(length, name) => {
                    chunks.push((name.id, length as u32));
                    (at, right) = (at + length, right + 1);
                    continue;
                }
                Next::More => {}
                Next::Other(_) => {
                    if let Some(cut) = Cutter::files().cut(here, ended) {
                        let id = name(&here[..cut]).id;
                        guess.cut(&id);
                        chunks.push((id, cut as u32));
                        at += cut;
                        continue;
                    }
                }
            }
            if ended {
                return (chunks, right);
            }
            filled = bytes.len().min(filled + step);
        }
    }

    #[test]
    fn what_changed_a_little_is_cut_as_if_it_were_new() {
        let old = noise(1, 20 << 20);
        let all = || Before::new(chunks(&old), true);
        let count = chunks(&old).len();
        let inserted = [&old[..7_000_000], &noise(2, 1234), &old[7_000_000..]].concat();
        let mut altered = old.clone();
        altered[12_000_000] ^= 1;
        let deleted = [&old[..3_000_000], &old[3_100_000..]].concat();
        let doubled = [&old[..], &old[..]].concat();
        for (what, new) in [
            ("the same", old.clone()),
            ("inserted", inserted),
            ("altered", altered),
            ("deleted", deleted),
            ("longer", [&old[..], &noise(3, 2_000_000)].concat()),
            ("shorter", old[..15_000_123].to_vec()),
            ("another", noise(4, 5 << 20)),
            ("doubled", doubled),
            ("empty", Vec::new()),
        ] {
            for step in [100_000, 1 << 20] {
                let (found, right) = guessed(&new, all(), step);
                assert!(found == chunks(&new), "{what}");
                let expected = match what {
                    "another" | "empty" => 0..1,
                    "shorter" => count / 2..count,
                    "doubled" => count..2 * count,
                    _ => count - 8..count,
                };
                assert!(expected.contains(&right), "{what}: {right} of {count}");
            }
        }
    }

    #[test]
    fn a_file_of_which_only_the_beginning_is_known_is_cut_right() {
        let old = noise(5, 20 << 20);
        let some = chunks(&old)[..20].to_vec();
        let (found, right) = guessed(&old, Before::new(some, false), 1 << 20);
        assert!(found == chunks(&old));
        assert_eq!(right, 20);
    }
}
