//! Where the streams of a snapshot go: to the receiver, and to the file of the next run's basis.

use crate::upload::StreamSender;
use crate::{BasisFileError, BasisFileWriter, ChunkId, Receiver, StreamRef, TreeSink, UploadError};

pub(super) struct Sink<R> {
    sender: StreamSender<R>,
    copy: Option<Result<BasisFileWriter, BasisFileError>>,
}

/// Names, refs, and what became of the copy.
type Parts = (StreamRef, StreamRef, Option<Result<BasisFileWriter, BasisFileError>>);

impl<R: Receiver> Sink<R> {
    pub(super) fn new(sender: StreamSender<R>) -> Sink<R> {
        Sink { sender, copy: None }
    }

    pub(super) fn keep(&mut self, file: BasisFileWriter) {
        self.copy = Some(Ok(file));
    }

    pub(super) fn finish(self) -> Result<Parts, UploadError<R::Error>> {
        let (names, refs) = self.sender.finish()?;
        Ok((names, refs, self.copy))
    }

    /// A copy that cannot be written costs the next run time, and this one nothing.
    fn copy(&mut self, write: impl FnOnce(&mut BasisFileWriter) -> Result<(), BasisFileError>) {
        if let Some(Ok(file)) = &mut self.copy
            && let Err(error) = write(file)
        {
            self.copy = Some(Err(error));
        }
    }
}

impl<R: Receiver> TreeSink for Sink<R> {
    type Error = UploadError<R::Error>;

    fn names(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.copy(|file| file.names(bytes));
        self.sender.names(bytes)
    }

    fn refs(&mut self, ids: &[ChunkId]) -> Result<(), Self::Error> {
        self.copy(|file| file.refs(ids));
        self.sender.refs(ids)
    }
}
