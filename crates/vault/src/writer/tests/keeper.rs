//! A keeper in memory.

use crate::segment::{Limits, Opener, Unpacker};
use crate::{
    Basis, ChunkId, DomainSecret, Draft, Fingerprint, Received, Receiver, Segment, SegmentKind, SnapshotId, Stream,
    StreamRef, Streams, TreeReader,
};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;

/// A keeper in memory that checks what a keeper checks, and can be told to fail.
#[derive(Default)]
pub(super) struct Keeper {
    pub(super) secret: Option<DomainSecret>,
    pub(super) chunks: Mutex<HashMap<ChunkId, (Fingerprint, Vec<u8>)>>,
    pub(super) puts: AtomicU64,
    /// Names of chunks that it was asked about.
    pub(super) asked: AtomicU64,
    /// Chunks that came although they were there.
    pub(super) twice: AtomicU64,
    pub(super) fails_after: Option<u64>,
    pub(super) threads: Mutex<HashSet<ThreadId>>,
    pub(super) drafts: Mutex<Vec<Draft>>,
}

#[derive(Debug, thiserror::Error)]
#[error("the keeper is full")]
pub(super) struct Full;

impl Keeper {
    fn take(&self, segment: Segment) {
        let names = segment.names.clone();
        let mut unpacker = Unpacker::new(Limits::SEGMENT);
        let segment = match (&self.secret, segment.kind) {
            (Some(secret), SegmentKind::Sealed) => {
                let (kind, bytes) = Opener::new(secret.clone()).open(&segment.bytes).unwrap();
                Segment { kind, bytes, ..segment }
            }
            _ => segment,
        };
        let key = self.secret.as_ref().map(|secret| &secret.0);
        let chunks: Vec<_> = segment.unpack(&mut unpacker).unwrap().map(<[u8]>::to_vec).collect();
        let computed: Vec<_> = chunks.iter().map(|chunk| Fingerprint::of(key, chunk)).collect();
        assert!(names.is_empty() || names == computed);
        for (name, chunk) in computed.into_iter().zip(chunks) {
            if self.chunks.lock().insert(name.id, (name, chunk)).is_some() {
                self.twice.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn stream(&self, stream: &StreamRef) -> Vec<u8> {
        let chunks = self.chunks.lock();
        let bytes: Vec<u8> = stream.chunks.iter().flat_map(|(id, _)| chunks[id].1.clone()).collect();
        assert_eq!(bytes.len() as u64, stream.length());
        bytes
    }

    pub(super) fn last(&self) -> Draft {
        self.drafts.lock().last().unwrap().clone()
    }

    pub(super) fn reader(&self, draft: &Draft) -> TreeReader<Bytes> {
        let bytes = Bytes(self.stream(&draft.names), self.stream(&draft.refs));
        TreeReader::new(bytes, draft.root, draft.root_refs)
    }

    pub(super) fn basis(&self) -> Basis {
        let draft = self.last();
        let bytes = Bytes(self.stream(&draft.names), self.stream(&draft.refs));
        Basis::new(bytes, draft.root, draft.root_refs)
    }

    pub(super) fn stored(&self) -> usize {
        self.chunks.lock().len()
    }
}

impl Receiver for Keeper {
    type Error = Full;

    fn have(&self, names: &[Fingerprint]) -> Result<Vec<bool>, Full> {
        assert!(!names.is_empty() && names.len() <= Self::BATCH);
        self.asked.fetch_add(names.len() as u64, Ordering::Relaxed);
        let chunks = self.chunks.lock();
        Ok(names.iter().map(|name| chunks.get(&name.id).is_some_and(|(known, _)| known.tag == name.tag)).collect())
    }

    fn put(&self, segment: Segment) -> Result<(), Full> {
        if self.fails_after.is_some_and(|after| self.puts.fetch_add(1, Ordering::Relaxed) >= after) {
            return Err(Full);
        }
        self.threads.lock().insert(std::thread::current().id());
        self.take(segment);
        Ok(())
    }

    fn commit(&self, draft: Draft) -> Result<Received, Full> {
        let refs = self.stream(&draft.refs);
        let chunks = self.chunks.lock();
        for id in refs.chunks(32) {
            assert!(chunks.contains_key(&ChunkId(id.try_into().unwrap())), "a chunk was not sent");
        }
        assert!(draft.refs.chunks.iter().all(|(_, length)| length % 32 == 0));
        drop(chunks);
        self.drafts.lock().push(draft);
        Ok(Received { snapshot: SnapshotId([1; 16]), time_ms: 0, stored_bytes: 0 })
    }
}

pub(super) struct Bytes(pub Vec<u8>, pub Vec<u8>);

impl Streams for Bytes {
    fn length(&self, stream: Stream) -> u64 {
        if stream == Stream::Names { self.0.len() as u64 } else { self.1.len() as u64 }
    }

    fn read(&self, stream: Stream, position: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = if stream == Stream::Names { &self.0 } else { &self.1 };
        let range = position as usize..position as usize + into.len();
        into.copy_from_slice(bytes.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
