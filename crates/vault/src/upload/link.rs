//! What all threads of an upload share: the receiver, what was sent, how far it is, and whether to go on.

use super::sent::Sent;
use crate::{ChunkId, DomainSecret, Fingerprint, Receiver, Segment};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Why an upload ended.
#[derive(Debug, thiserror::Error)]
pub enum UploadError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Receiver(E),
    #[error("it was cancelled")]
    Cancelled,
    #[error("{asked} names were asked about and {answered} answered")]
    Answer { asked: usize, answered: usize },
    #[error("no thread could be started")]
    Thread(#[source] std::io::Error),
    #[error("a thread ended unexpectedly")]
    Worker,
    #[error("it had ended before")]
    Ended,
}

/// Ends an upload from anywhere.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far an upload is; read at any time.
#[derive(Debug, Default)]
pub struct UploadProgress {
    /// Files that are done, unchanged ones too.
    pub files: AtomicU64,
    /// Bytes of these files, holes left out.
    pub bytes: AtomicU64,
    /// Bytes read from files.
    pub bytes_read: AtomicU64,
    /// Bytes of segments put.
    pub bytes_sent: AtomicU64,
}

pub(crate) struct Link<R> {
    receiver: Arc<R>,
    secret: Option<DomainSecret>,
    sent: Mutex<Sent>,
    pub(crate) progress: Arc<UploadProgress>,
    cancel: Cancel,
}

impl<R: Receiver> Link<R> {
    pub(super) fn new(
        receiver: Arc<R>,
        secret: Option<DomainSecret>,
        progress: Arc<UploadProgress>,
        cancel: Cancel,
    ) -> Link<R> {
        Link { receiver, secret, sent: Mutex::default(), progress, cancel }
    }

    pub(crate) fn receiver(&self) -> &R {
        &self.receiver
    }

    pub(crate) fn check(&self) -> Result<(), UploadError<R::Error>> {
        if self.cancel.is_cancelled() { Err(UploadError::Cancelled) } else { Ok(()) }
    }

    pub(super) fn fingerprint(&self, chunk: &[u8]) -> Fingerprint {
        Fingerprint::of(self.secret.as_ref().map(|secret| &secret.0), chunk)
    }

    /// Of these ids, the positions of those that nobody sent or asked about before.
    pub(super) fn claim<'a>(&self, ids: impl Iterator<Item = (usize, &'a ChunkId)>, new: &mut Vec<usize>) {
        let mut sent = self.sent.lock();
        new.clear();
        new.extend(ids.filter(|(_, id)| sent.claim(id)).map(|(at, _)| at));
    }

    pub(super) fn have(&self, names: &[Fingerprint]) -> Result<Vec<bool>, UploadError<R::Error>> {
        self.check()?;
        let answers = self.receiver.have(names).map_err(UploadError::Receiver)?;
        if answers.len() == names.len() {
            Ok(answers)
        } else {
            Err(UploadError::Answer { asked: names.len(), answered: answers.len() })
        }
    }

    pub(super) fn put(&self, segment: Segment) -> Result<(), UploadError<R::Error>> {
        self.check()?;
        let bytes = segment.bytes.len() as u64;
        self.receiver.put(segment).map_err(UploadError::Receiver)?;
        self.progress.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}
