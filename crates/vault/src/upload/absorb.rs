//! From chunks in a buffer to segments: which of them the receiver lacks, packed and put.

use super::UploadError;
use super::link::Link;
use crate::segment::Loose;
use crate::{ChunkId, Fingerprint, Packer, Packing, Receiver};
use std::sync::Arc;

struct Pending {
    at: usize,
    length: u32,
    name: Fingerprint,
    is_known: bool,
}

pub(super) struct Absorber<R> {
    link: Arc<Link<R>>,
    packer: Packer,
    pending: Vec<Pending>,
    new: Vec<usize>,
    names: Vec<Fingerprint>,
}

impl<R: Receiver> Absorber<R> {
    pub(super) fn new(link: Arc<Link<R>>, packing: Packing) -> Absorber<R> {
        Absorber { link, packer: Packer::new(packing), pending: Vec::new(), new: Vec::new(), names: Vec::new() }
    }

    /// Takes note of a chunk that lies at this position of the buffer. One that is known is in what the snapshot builds on: the
    /// receiver need not be asked.
    pub(super) fn note(&mut self, at: usize, length: usize, name: Fingerprint, is_known: bool) {
        self.pending.push(Pending { at, length: length as u32, name, is_known });
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Sees to it that the receiver gets all chunks noted, in the buffer they lie in, and hands out what they are called. What
    /// is to be pressed is offered to others first; they return what they do not take.
    pub(super) fn settle(
        &mut self,
        buffer: &[u8],
        ids: &mut Vec<ChunkId>,
        lengths: &mut Vec<u32>,
        offer: &mut dyn FnMut(Loose) -> Option<Loose>,
    ) -> Result<(), UploadError<R::Error>> {
        ids.extend(self.pending.iter().map(|chunk| chunk.name.id));
        lengths.extend(self.pending.iter().map(|chunk| chunk.length));
        let unknown = self.pending.iter().enumerate().filter(|(_, chunk)| !chunk.is_known);
        self.link.claim(unknown.map(|(at, chunk)| (at, &chunk.name.id)), &mut self.new);
        for new in self.new.chunks(R::BATCH) {
            self.names.clear();
            self.names.extend(new.iter().map(|at| self.pending[*at].name));
            let answers = self.link.have(&self.names)?;
            let missing = new.iter().zip(answers).filter(|(_, has)| !has);
            for (at, _) in missing {
                let Pending { at, length, name, .. } = self.pending[*at];
                if let Some(full) = self.packer.gather(name, &buffer[at..at + length as usize]).and_then(&mut *offer) {
                    let segment = self.packer.press(full);
                    self.link.put(segment)?;
                }
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// Presses and puts what another gathered.
    pub(super) fn help(&mut self, loose: Loose) -> Result<(), UploadError<R::Error>> {
        let segment = self.packer.press(loose);
        self.link.put(segment)
    }

    /// Puts what is gathered.
    pub(super) fn flush(&mut self) -> Result<(), UploadError<R::Error>> {
        self.packer.flush(&mut |segment| self.link.put(segment))
    }
}
