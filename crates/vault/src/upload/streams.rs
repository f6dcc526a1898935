//! The two streams of a snapshot on their way to the receiver, cut into chunks like any file.

use super::UploadError;
use super::absorb::Absorber;
use super::link::Link;
use crate::chunker::{IdCutter, StreamCutter};
use crate::{ChunkId, Cutter, Packing, Receiver, StreamRef, TreeSink};
use std::sync::Arc;

/// Bytes of chunks that are asked about together.
const TOGETHER: usize = 1 << 20;

/// One stream: what is gathered of it, and what it is made of.
struct Side<R> {
    link: Arc<Link<R>>,
    absorber: Absorber<R>,
    buffer: Vec<u8>,
    ids: Vec<ChunkId>,
    lengths: Vec<u32>,
}

impl<R: Receiver> Side<R> {
    fn new(link: Arc<Link<R>>, packing: Packing) -> Side<R> {
        let absorber = Absorber::new(link.clone(), packing);
        Side { link, absorber, buffer: Vec::new(), ids: Vec::new(), lengths: Vec::new() }
    }

    fn chunk(&mut self, chunk: &[u8]) -> Result<(), UploadError<R::Error>> {
        let name = self.link.fingerprint(chunk);
        self.absorber.note(self.buffer.len(), chunk.len(), name, false);
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() >= TOGETHER { self.settle() } else { Ok(()) }
    }

    fn settle(&mut self) -> Result<(), UploadError<R::Error>> {
        self.absorber.settle(&self.buffer, &mut self.ids, &mut self.lengths, &mut Some)?;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<StreamRef, UploadError<R::Error>> {
        self.settle()?;
        self.absorber.flush()?;
        Ok(StreamRef { chunks: self.ids.into_iter().zip(self.lengths).collect() })
    }
}

pub(crate) struct StreamSender<R> {
    names: Side<R>,
    refs: Side<R>,
    name_cutter: StreamCutter,
    id_cutter: IdCutter,
}

impl<R: Receiver> StreamSender<R> {
    pub(super) fn new(link: Arc<Link<R>>, packing: Packing) -> StreamSender<R> {
        // The keeper reads refs in every domain, so they are never sealed.
        let open = Packing { sealer: None, ..packing.clone() };
        StreamSender {
            names: Side::new(link.clone(), packing),
            refs: Side::new(link, open),
            name_cutter: StreamCutter::new(Cutter::streams()),
            id_cutter: IdCutter::default(),
        }
    }

    /// Sends the rest: what names and refs are made of.
    pub(crate) fn finish(mut self) -> Result<(StreamRef, StreamRef), UploadError<R::Error>> {
        self.name_cutter.finish(&mut |chunk| self.names.chunk(chunk))?;
        self.id_cutter.finish(&mut |chunk| self.refs.chunk(chunk))?;
        Ok((self.names.finish()?, self.refs.finish()?))
    }
}

impl<R: Receiver> TreeSink for StreamSender<R> {
    type Error = UploadError<R::Error>;

    fn names(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.name_cutter.write(bytes, &mut |chunk| self.names.chunk(chunk))
    }

    fn refs(&mut self, ids: &[ChunkId]) -> Result<(), Self::Error> {
        self.id_cutter.write(ids, &mut |chunk| self.refs.chunk(chunk))
    }
}
