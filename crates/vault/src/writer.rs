//! Writes a snapshot while a tree is walked: what a walker talks to.
//!
//! The walker says what is where, in the order of names; files are read by the threads of the upload meanwhile, and entries
//! are written in order once they are. So whatever the tree is, only what the threads are busy with is in memory.

mod links;
mod mend;
mod sink;

use crate::upload::{Block, End, Upload};
use crate::{
    Basis, BasisFileError, BasisFileWriter, ChunkId, Content, Counts, Description, Doubt, Draft, Entry, FileSource,
    FileTime, Kind, Place, Received, Receiver, Shown, TreeError, TreeWriteError, TreeWriter, UploadError,
    UploadOptions,
};
use links::{Known, Link, Links};
pub use mend::Refused;
use sink::Sink;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the walker said that waits for files before it.
const STEPS: usize = 8192;
/// Ids of a file with several names that are kept for the others.
const KEPT_IDS: usize = 256;
/// File systems take their times from a clock that ticks: what changes twice within a tick bears one time.
const TICK: Duration = Duration::from_millis(20);

/// Why a snapshot cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Upload(#[from] UploadError<E>),
    /// The walker is at fault.
    #[error("the tree is not walked as it should be: {0}")]
    Tree(TreeWriteError<UploadError<E>>),
    /// Only without a basis can it be tried again.
    #[error("the snapshot that this one builds on cannot be read")]
    Basis(#[source] TreeError),
}

/// A file that could not be read, or not to its end.
#[derive(Debug)]
pub struct Failure<F> {
    pub source: F,
    pub error: io::Error,
    /// It was gone when it was to be opened, so it is not in the snapshot.
    pub vanished: bool,
}

/// What there is once a snapshot is committed.
#[derive(Debug)]
pub struct Finished {
    pub received: Received,
    pub counts: Counts,
    /// Why the next run will not have a basis in a file.
    pub basis_lost: Option<BasisFileError>,
}

enum Step {
    Begin(Vec<u8>),
    End(Entry),
    Other(Entry),
    /// Its content comes from the upload.
    File(Entry),
    /// Its content is that of the basis.
    Known(Entry),
    /// Its content was read under another name.
    Linked(Entry, Link),
}

/// Results that are being taken.
struct Taking<F> {
    block: Block<F>,
    at: usize,
}

pub struct SnapshotWriter<R: Receiver, F> {
    upload: Upload<R, F>,
    tree: TreeWriter<Sink<R>>,
    basis: Option<Basis>,
    steps: VecDeque<Step>,
    taking: Option<Taking<F>>,
    /// Lengths of the chunks of the file that is first in the steps, as far as they are known.
    chunks: Vec<u32>,
    /// Their ids, as far as another name of the file may want them.
    ids: Vec<ChunkId>,
    links: Links,
    counts: Counts,
    failures: Vec<Failure<F>>,
    refused: Vec<Refused>,
}

type Done<R> = Result<(), WriteError<<R as Receiver>::Error>>;

impl<R: Receiver + 'static, F: FileSource> SnapshotWriter<R, F> {
    pub fn new(receiver: Arc<R>, options: UploadOptions, basis: Option<Basis>) -> SnapshotWriter<R, F> {
        let upload = Upload::new(receiver, options);
        let tree = TreeWriter::new(Sink::new(upload.streams()));
        SnapshotWriter {
            upload,
            tree,
            basis,
            steps: VecDeque::new(),
            taking: None,
            chunks: Vec::new(),
            ids: Vec::new(),
            links: Links::default(),
            counts: Counts::default(),
            failures: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Keeps a copy of the streams, for the next run. Before anything else.
    pub fn keep_basis(&mut self, file: BasisFileWriter) {
        self.tree.sink().keep(file);
    }

    /// What the basis has under this name in the directory that is open: for [`Entry::is_unchanged_since`], and for
    /// attributes that need not be read again. Names come in order.
    pub fn before(&mut self, name: &[u8]) -> Option<&Entry> {
        self.basis.as_mut()?.before(name)
    }

    /// Why the basis was not used to its end, if it could not be read.
    pub fn basis_lost(&self) -> Option<&TreeError> {
        self.basis.as_ref()?.lost()
    }

    /// Counts so far; files that are still being read are not in them.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Files that could not be read since the last call.
    pub fn failures(&mut self) -> Vec<Failure<F>> {
        std::mem::take(&mut self.failures)
    }

    /// What could not be written as it is since the last call: it is not in the snapshot, or without what is said to be wrong.
    pub fn refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    /// What comes now is in this directory.
    ///
    /// # Errors
    /// See [`WriteError`]. After an error of any call, the snapshot cannot be finished.
    pub fn begin_directory(&mut self, name: &[u8]) -> Done<R> {
        if let Some(basis) = &mut self.basis {
            basis.begin_directory(name);
        }
        self.step(Step::Begin(name.to_vec()))
    }

    /// The innermost directory is complete.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn end_directory(&mut self, entry: Entry) -> Done<R> {
        if let Some(basis) = &mut self.basis {
            basis.end_directory();
        }
        self.step(Step::End(entry))
    }

    /// Something that is neither a directory nor a file.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn entry(&mut self, entry: Entry) -> Done<R> {
        self.step(Step::Other(entry))
    }

    /// A file that is read. Of its content, the entry knows the size.
    ///
    /// # Errors
    /// See [`WriteError`]; not that the file cannot be read, see [`SnapshotWriter::failures`].
    pub fn file(&mut self, entry: Entry, source: F) -> Done<R> {
        if source.size() == 0 {
            return self.step(Step::Other(entry));
        }
        if let Some(link) = Link::of(&entry) {
            while self.links.is_awaited(&link) {
                self.advance(true)?;
            }
            if self.links.get(&link).is_some() {
                return self.step(Step::Linked(entry, link));
            }
            self.links.await_first(link);
        }
        while !self.upload.has_room() {
            self.advance(true)?;
        }
        let before = self.basis.as_mut().and_then(|basis| basis.cut(&entry.name));
        self.upload.push(source, before)?;
        self.step(Step::File(entry))
    }

    /// A file that is unchanged since the basis, as [`SnapshotWriter::before`] showed.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn unchanged(&mut self, mut entry: Entry) -> Done<R> {
        let before = self.basis.as_mut().and_then(|basis| basis.before(&entry.name));
        match before.filter(|before| entry.is_unchanged_since(before)) {
            Some(before) => entry.kind = before.kind.clone(),
            None => return Err(WriteError::Tree(TreeWriteError::Refs(Shown(entry.name)))),
        }
        self.step(Step::Known(entry))
    }

    /// Waits for the files that were handed in, so that all failures are known.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn settle(&mut self) -> Done<R> {
        while !self.steps.is_empty() {
            self.advance(true)?;
        }
        Ok(())
    }

    /// Commits the snapshot: once this returns, it is there.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn finish(mut self, description: &Description, incomplete: bool) -> Result<Finished, WriteError<R::Error>> {
        self.settle()?;
        self.counts.problems = description.problem_count;
        let SnapshotWriter { mut upload, tree, counts, .. } = self;
        let (sink, root) = tree.finish().map_err(tree_error)?;
        let (names, refs, file) = sink.finish()?;
        upload.close()?;
        let link = upload.link();
        link.check()?;
        let Place { page, refs: root_refs, .. } = root;
        let description = description.encode(upload.sealer());
        let draft = Draft { names, refs, root: page, root_refs, counts, incomplete, description };
        let received = link.receiver().commit(draft).map_err(UploadError::Receiver)?;
        let basis_lost = match file {
            Some(Ok(file)) => file.finish(received.snapshot, root).err(),
            Some(Err(error)) => Some(error),
            None => None,
        };
        Ok(Finished { received, counts, basis_lost })
    }

    fn step(&mut self, step: Step) -> Done<R> {
        self.steps.push_back(step);
        self.advance(false)?;
        while self.steps.len() > STEPS {
            self.advance(true)?;
        }
        Ok(())
    }

    /// Writes what can be written; with `wait`, at least one more result is taken.
    fn advance(&mut self, mut wait: bool) -> Done<R> {
        while let Some(step) = self.steps.front() {
            if matches!(step, Step::File(_)) {
                match self.take_file(wait)? {
                    Some(end) => self.read(end)?,
                    None => return Ok(()),
                }
                wait = false;
            } else if let Some(step) = self.steps.pop_front() {
                self.apply(step)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, step: Step) -> Done<R> {
        match step {
            Step::Begin(name) => self.tree.begin_directory(&name),
            Step::End(entry) => {
                self.counts.directories += 1;
                match self.mend(entry) {
                    Some(entry) => self.tree.end_directory(&entry),
                    None => return Ok(()),
                }
            }
            Step::Other(entry) => return self.write(entry),
            Step::Known(entry) => {
                if let (Kind::File(content), Some(basis)) = (&entry.kind, &mut self.basis) {
                    basis.ids(content, |ids| self.tree.refs(ids).map_err(tree_error))?;
                }
                return self.write(entry);
            }
            Step::Linked(mut entry, link) => {
                if let Some(Known::Read(content, ids)) = self.links.get(&link) {
                    self.tree.refs(ids).map_err(tree_error)?;
                    entry.kind = Kind::File(content.clone());
                }
                return self.write(entry);
            }
            Step::File(entry) => return self.write(entry),
        }
        .map_err(tree_error)
    }

    /// How the file that is first in the steps ended. Its ids are written as they come.
    fn take_file(&mut self, wait: bool) -> Result<Option<End<F>>, WriteError<R::Error>> {
        loop {
            let taking = match &mut self.taking {
                Some(taking) => taking,
                empty => match self.upload.next(wait)? {
                    Some(block) => empty.insert(Taking { block, at: 0 }),
                    None => return Ok(None),
                },
            };
            let end = taking.block.ends.pop_front();
            let upto = end.as_ref().map_or(taking.block.ids.len(), |end| end.upto);
            let own = taking.at..upto;
            taking.at = upto;
            let ids = &taking.block.ids[own.clone()];
            self.tree.refs(ids).map_err(tree_error)?;
            if matches!(self.steps.front(), Some(Step::File(entry)) if entry.linked) && self.ids.len() <= KEPT_IDS {
                self.ids.extend_from_slice(ids);
            }
            self.chunks.extend_from_slice(&taking.block.lengths[own]);
            if end.is_some() {
                return Ok(end);
            }
            self.taking = None;
        }
    }

    fn read(&mut self, end: End<F>) -> Done<R> {
        let Some(Step::File(mut entry)) = self.steps.pop_front() else {
            return Err(UploadError::Worker.into());
        };
        let (chunks, ids) = (std::mem::take(&mut self.chunks), std::mem::take(&mut self.ids));
        let link = Link::of(&entry);
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let vanished = end.content.is_none() && end.error.as_ref().is_some_and(is_gone);
        if let Some(error) = end.error {
            self.failures.push(Failure { source: end.source, error, vanished });
        }
        if let (Kind::File(content), false) = (&mut entry.kind, vanished) {
            let unopened = Content { size: content.size, doubt: Some(Doubt::Unreadable), ..Content::default() };
            let fresh = is_fresh(entry.changed, end.read);
            *content = Content { chunks, fresh, ..end.content.unwrap_or(unopened) };
            self.counts.files_read += 1;
        }
        if let Some(link) = link {
            let content = match &entry.kind {
                Kind::File(content) if content.chunks.len() == ids.len() => Some((content, ids)),
                _ => None,
            };
            self.links.settle(link, content.filter(|_| !vanished));
        }
        if vanished { Ok(()) } else { self.write(entry) }
    }
}

/// Whether a change after it was read could bear the time that the entry has.
fn is_fresh(changed: FileTime, read: SystemTime) -> bool {
    let Ok(since) = u64::try_from(changed.seconds) else { return false };
    let changed = Duration::new(since, changed.nanoseconds.min(999_999_999));
    let changed = UNIX_EPOCH.checked_add(changed).and_then(|changed| changed.checked_add(TICK));
    changed.is_none_or(|changed| changed >= read)
}

fn tree_error<E: std::error::Error + 'static>(error: TreeWriteError<UploadError<E>>) -> WriteError<E> {
    match error {
        TreeWriteError::Sink(error) => WriteError::Upload(error),
        other => WriteError::Tree(other),
    }
}

impl<E: std::error::Error + 'static> From<TreeError> for WriteError<E> {
    fn from(error: TreeError) -> WriteError<E> {
        WriteError::Basis(error)
    }
}

#[cfg(test)]
mod tests;
