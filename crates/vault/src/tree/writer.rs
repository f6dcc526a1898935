//! Writes a tree as the streams *names* and *refs*, while it is walked.
//!
//! What is written below a directory comes before it, so an unfinished page is kept for each open directory. When they grow
//! large together, a page is written before its time; so memory stays bounded however deep and wide a tree is.

use super::entry::{Before, encode, is_name};
use super::list::MOST_PAGES;
use super::page::{FULL_BYTES, FULL_ENTRIES, Head, MANY_ENTRIES, ends_page};
use super::{Entry, Kind, Place, Unfit};
use crate::ChunkId;
use crate::varint::put;
use std::fmt;

/// Bytes of the unfinished pages of all open directories together.
const KEPT: usize = 4 << 20;
/// Pages of a directory that may end before their time: a reader takes no more than [`MOST_PAGES`].
const EARLY_PAGES: usize = MOST_PAGES / 2;
/// Ids that a page keeps; beyond them they are written, and the page with the entry they belong to.
const KEPT_IDS: usize = 32 << 10;

/// Where the two streams go.
pub trait TreeSink {
    type Error: std::error::Error + 'static;

    /// # Errors
    /// They cannot be written.
    fn names(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// # Errors
    /// They cannot be written.
    fn refs(&mut self, ids: &[ChunkId]) -> Result<(), Self::Error>;
}

/// Why an entry cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TreeWriteError<E: std::error::Error + 'static> {
    #[error(transparent)]
    Sink(E),
    #[error("{0} is no name of a file")]
    Name(Shown),
    #[error("{0} came after a name that is not before it")]
    Order(Shown),
    #[error("{0} ended, but another directory is open")]
    Unbalanced(Shown),
    #[error("{0} has more or fewer chunks than were handed in")]
    Refs(Shown),
    #[error("{name} is not as a reader would take it: {unfit}")]
    Unfit { name: Shown, unfit: Unfit },
    #[error("{0} comes after more entries than a directory of a snapshot can have")]
    TooMany(Shown),
}

/// A name as messages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(pub Vec<u8>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", String::from_utf8_lossy(&self.0).escape_debug())
    }
}

/// A directory whose end was not seen yet.
#[derive(Default)]
struct Open {
    name: Vec<u8>,
    last: Vec<u8>,
    /// The page so far, without the distances of its sub-directories.
    body: Vec<u8>,
    entries: u64,
    before: Before,
    /// Where in the body distances are missing, and to what.
    places: Vec<(usize, Place)>,
    refs: Vec<ChunkId>,
    /// Ids since the entry before.
    fresh: u64,
    /// Where its refs begin, once some of them are written.
    spilled: Option<u64>,
    page: Option<Place>,
    pages: usize,
}

pub struct TreeWriter<S: TreeSink> {
    sink: S,
    open: Vec<Open>,
    names: u64,
    refs: u64,
    /// Bytes of all bodies but the innermost.
    kept: usize,
}

type Done<S> = Result<(), TreeWriteError<<S as TreeSink>::Error>>;

const ROOT_STAYS: &str = "the root is open until the end";

impl<S: TreeSink> TreeWriter<S> {
    /// The root is open.
    pub fn new(sink: S) -> TreeWriter<S> {
        TreeWriter { sink, open: vec![Open::default()], names: 0, refs: 0, kept: 0 }
    }

    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// What comes now is in this directory. Names of one directory come in the order of their bytes.
    ///
    /// # Errors
    /// The name is none, out of order, or the sink fails.
    pub fn begin_directory(&mut self, name: &[u8]) -> Done<S> {
        self.check(name)?;
        // Before anything below the new directory is written: no page of ours may lie among its pages.
        let is_due = self.kept + self.innermost().body.len() > KEPT && self.innermost().pages < EARLY_PAGES;
        if is_due && self.innermost().entries > 0 {
            self.flush()?;
        }
        self.kept += self.innermost().body.len();
        self.open.push(Open { name: name.to_vec(), ..Open::default() });
        Ok(())
    }

    /// Ids of chunks of the file whose entry comes next.
    ///
    /// # Errors
    /// The sink fails.
    pub fn refs(&mut self, ids: &[ChunkId]) -> Done<S> {
        let open = self.open.last_mut().expect(ROOT_STAYS);
        open.fresh += ids.len() as u64;
        open.refs.extend_from_slice(ids);
        if open.refs.len() > KEPT_IDS {
            open.spilled.get_or_insert(self.refs);
            self.refs += open.refs.len() as u64;
            self.sink.refs(&open.refs).map_err(TreeWriteError::Sink)?;
            open.refs.clear();
        }
        Ok(())
    }

    /// The ids since the last entry belong to no file: its entry does not come.
    ///
    /// # Errors
    /// The sink fails.
    pub fn abandon(&mut self) -> Done<S> {
        let open = self.innermost_mut();
        let fresh = usize::try_from(std::mem::take(&mut open.fresh)).unwrap_or(usize::MAX);
        let were_written = fresh > open.refs.len();
        open.refs.truncate(open.refs.len().saturating_sub(fresh));
        match were_written {
            false => Ok(()),
            // The next page begins after those that were written.
            true if open.entries > 0 => self.flush(),
            true => {
                open.spilled = None;
                Ok(())
            }
        }
    }

    /// The names of the open directories, from the root on, and of something in the innermost.
    pub fn path(&self, name: &[u8]) -> Vec<u8> {
        let names = self.open.iter().skip(1).map(|open| open.name.as_slice()).chain([name]);
        names.collect::<Vec<_>>().join(&b'/')
    }

    /// Something that is no directory.
    ///
    /// # Errors
    /// The name is none or out of order, a file's chunks are not those handed in, or the sink fails.
    pub fn entry(&mut self, entry: &Entry) -> Done<S> {
        self.check(&entry.name)?;
        let shown = || Shown(entry.name.clone());
        let chunks = match &entry.kind {
            Kind::File(content) => content.chunks.len() as u64,
            Kind::Directory(_) => return Err(TreeWriteError::Unbalanced(shown())),
            _ => 0,
        };
        if std::mem::take(&mut self.innermost_mut().fresh) != chunks {
            return Err(TreeWriteError::Refs(shown()));
        }
        self.push(entry, None)
    }

    /// The innermost directory is complete. Where it lies is filled in.
    ///
    /// # Errors
    /// It is not the one that was begun last, or the sink fails.
    pub fn end_directory(&mut self, entry: &Entry) -> Done<S> {
        let is_it = self.open.len() > 1 && self.innermost().name == entry.name;
        if !is_it || !matches!(entry.kind, Kind::Directory(_)) {
            return Err(TreeWriteError::Unbalanced(Shown(entry.name.clone())));
        }
        let place = self.close()?;
        self.kept -= self.innermost().body.len();
        self.push(entry, Some(place))
    }

    /// The tree is complete: where its root is.
    ///
    /// # Errors
    /// A directory is still open, or the sink fails.
    pub fn finish(mut self) -> Result<(S, Place), TreeWriteError<S::Error>> {
        if self.open.len() > 1 {
            return Err(TreeWriteError::Unbalanced(Shown(self.innermost().name.clone())));
        }
        let root = self.close()?;
        Ok((self.sink, root))
    }

    fn innermost(&self) -> &Open {
        self.open.last().expect(ROOT_STAYS)
    }

    fn innermost_mut(&mut self) -> &mut Open {
        self.open.last_mut().expect(ROOT_STAYS)
    }

    fn check(&self, name: &[u8]) -> Done<S> {
        if !is_name(name) {
            Err(TreeWriteError::Name(Shown(name.to_vec())))
        } else if name <= &self.innermost().last[..] {
            Err(TreeWriteError::Order(Shown(name.to_vec())))
        } else {
            Ok(())
        }
    }

    fn push(&mut self, entry: &Entry, place: Option<Place>) -> Done<S> {
        let name = || Shown(entry.name.clone());
        if let Some(unfit) = entry.unfit() {
            return Err(TreeWriteError::Unfit { name: name(), unfit });
        }
        let open = self.innermost_mut();
        if open.pages >= MOST_PAGES {
            return Err(TreeWriteError::TooMany(name()));
        }
        encode(entry, &mut open.before, &mut open.body);
        open.places.extend(place.map(|place| (open.body.len(), place)));
        open.entries += 1;
        open.last.clear();
        open.last.extend_from_slice(&entry.name);
        let is_full = open.body.len() >= FULL_BYTES
            || open.entries >= FULL_ENTRIES
            || open.spilled.is_some()
            || (open.entries >= MANY_ENTRIES && ends_page(&entry.name));
        if is_full { self.flush() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<Place, TreeWriteError<S::Error>> {
        if self.innermost().entries > 0 || self.innermost().page.is_none() {
            self.flush()?;
        }
        let open = self.open.pop().expect(ROOT_STAYS);
        Ok(open.page.expect("a page was just written"))
    }

    /// Writes the innermost directory's page, if only to say that it is empty.
    fn flush(&mut self) -> Done<S> {
        let open = self.open.last_mut().expect(ROOT_STAYS);
        let refs = open.spilled.take().unwrap_or(self.refs);
        if !open.refs.is_empty() {
            self.refs += open.refs.len() as u64;
            self.sink.refs(&open.refs).map_err(TreeWriteError::Sink)?;
            open.refs.clear();
        }
        let (page, before) = (self.names, open.page);
        let mut body = Vec::with_capacity(open.body.len() + 8 * open.places.len());
        let mut done = 0;
        for (at, place) in open.places.drain(..) {
            body.extend_from_slice(&open.body[done..at]);
            put(&mut body, page - place.page);
            put(&mut body, refs - place.refs);
            done = at;
        }
        body.extend_from_slice(&open.body[done..]);
        let head = Head {
            previous: before.map_or(0, |before| page - before.page),
            refs: before.map_or(0, |before| refs - before.refs),
            entries: open.entries,
        };
        let bytes = head.encode(&body);
        self.names += bytes.len() as u64;
        open.page = Some(Place { page, refs, floor: 0 });
        open.pages += 1;
        open.body.clear();
        open.entries = 0;
        open.before = Before::default();
        self.sink.names(&bytes).map_err(TreeWriteError::Sink)
    }
}
