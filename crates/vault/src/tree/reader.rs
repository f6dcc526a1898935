//! Reads a tree from its two streams, wherever they are kept.
//!
//! It believes nothing: whatever the bytes are, it ends, allocates no more than a page holds, and visits no page twice in a
//! walk, because everything below a directory has to lie between its neighbours' pages and its own.

use super::list::{Listing, Spot};
use super::page::{HEAD_BYTES, Head};
use super::{Content, Entry, Fault, Kind, List, Place, TreeError};
use crate::ChunkId;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Bytes read at first: most pages are smaller.
const GLANCE: u64 = 4096;
/// Pages kept, and the largest of them.
const CACHED: usize = 16;
const CACHED_BYTES: usize = 512 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Names,
    Refs,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stream::Names => "the stream of names",
            Stream::Refs => "the stream of refs",
        })
    }
}

/// The two streams of a snapshot, by position.
pub trait Streams: Send + Sync {
    /// In bytes.
    fn length(&self, stream: Stream) -> u64;

    /// Fills all of `into`.
    ///
    /// # Errors
    /// It cannot be read, or ends before.
    fn read(&self, stream: Stream, position: u64, into: &mut [u8]) -> io::Result<()>;
}

macro_rules! streams_behind {
    ($($pointer:ty),*) => {$(
        impl<S: Streams + ?Sized> Streams for $pointer {
            fn length(&self, stream: Stream) -> u64 {
                (**self).length(stream)
            }

            fn read(&self, stream: Stream, position: u64, into: &mut [u8]) -> io::Result<()> {
                (**self).read(stream, position, into)
            }
        }
    )*};
}

streams_behind!(Box<S>, Arc<S>, &S);

/// A page as it was read.
#[derive(Debug)]
pub(super) struct Page {
    pub start: u64,
    pub head: Head,
    pub bytes: Vec<u8>,
    /// Where the first entry begins.
    pub body: usize,
}

pub struct TreeReader<S> {
    streams: S,
    root: Place,
    /// Last used, last.
    cache: Mutex<Vec<Arc<Page>>>,
}

impl<S: Streams> TreeReader<S> {
    /// `root` and `root_refs` as the snapshot has them.
    pub fn new(streams: S, root: u64, root_refs: u64) -> TreeReader<S> {
        let root = Place { page: root, refs: root_refs, floor: 0 };
        TreeReader { streams, root, cache: Mutex::default() }
    }

    pub fn root(&self) -> Place {
        self.root
    }

    pub fn streams(&self) -> &S {
        &self.streams
    }

    /// What is in a directory, in the order of names.
    ///
    /// # Errors
    /// It cannot be read, or is damaged. What is wrong with single entries comes where they would.
    pub fn list(&self, place: Place) -> Result<List<'_, S>, TreeError> {
        Ok(List::new(self, Listing::new(self, place)?))
    }

    /// What is in a directory after a name, in the order of names: where a page of it ended, the next begins.
    ///
    /// # Errors
    /// As [`TreeReader::list`].
    pub fn list_after(
        &self,
        place: Place,
        name: &[u8],
    ) -> Result<impl Iterator<Item = Result<Entry, TreeError>>, TreeError> {
        let mut listing = Listing::new(self, place)?;
        listing.skip_to(self, name)?;
        let name = name.to_owned();
        Ok(List::new(self, listing).skip_while(move |entry| entry.as_ref().is_ok_and(|entry| entry.name <= name)))
    }

    /// Everything below a directory: each path, relative to it, before what is below it.
    ///
    /// # Errors
    /// As [`TreeReader::list`].
    pub fn walk(&self, place: Place) -> Result<Walk<'_, S>, TreeError> {
        Ok(Walk { reader: self, path: Vec::new(), stack: vec![(Listing::new(self, place)?, 0)], below: None })
    }

    /// The entry at a path of names between slashes; nothing where there is none, and for the root, which has no entry.
    ///
    /// # Errors
    /// A directory on the way cannot be read, or is damaged.
    pub fn find(&self, path: &[u8]) -> Result<Option<Entry>, TreeError> {
        let (mut place, mut found) = (Some(self.root), None);
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let Some(within) = place else { return Ok(None) };
            let Some(entry) = self.find_in(within, name)? else { return Ok(None) };
            place = match entry.kind {
                Kind::Directory(place) => Some(place),
                _ => None,
            };
            found = Some(entry);
        }
        Ok(found)
    }

    /// The entry of this name in a directory.
    ///
    /// # Errors
    /// As [`TreeReader::list`].
    pub fn find_in(&self, place: Place, name: &[u8]) -> Result<Option<Entry>, TreeError> {
        let mut listing = Listing::new(self, place)?;
        listing.skip_to(self, name)?;
        loop {
            match listing.next(self)? {
                Some(entry) if entry.name.as_slice() < name => {}
                Some(entry) if entry.name == name => return Ok(Some(entry)),
                _ => return Ok(None),
            }
        }
    }

    /// The ids from this position of *refs* on.
    ///
    /// # Errors
    /// They cannot be read, or the stream has fewer.
    pub fn ids(&self, first: u64, into: &mut [ChunkId]) -> Result<(), TreeError> {
        const ID: usize = size_of::<ChunkId>();
        let mut bytes = vec![0; into.len() * ID];
        let position = first.saturating_mul(ID as u64);
        let read = self.streams.read(Stream::Refs, position, &mut bytes);
        read.map_err(|source| TreeError::Read { stream: Stream::Refs, position, source })?;
        for (id, bytes) in into.iter_mut().zip(bytes.chunks_exact(ID)) {
            id.0.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// The ids of a file's chunks, all at once: 128 bytes for each MiB of the file.
    ///
    /// # Errors
    /// As [`TreeReader::ids`].
    pub fn ids_of(&self, content: &Content) -> Result<Vec<ChunkId>, TreeError> {
        let mut ids = vec![ChunkId([0; 32]); content.chunks.len()];
        self.ids(content.first, &mut ids)?;
        Ok(ids)
    }

    /// Ids in *refs*.
    pub(crate) fn ids_in_all(&self) -> u64 {
        self.streams.length(Stream::Refs) / size_of::<ChunkId>() as u64
    }

    pub(super) fn page(&self, spot: Spot) -> Result<Arc<Page>, TreeError> {
        let mut cache = self.cache.lock();
        if let Some(at) = cache.iter().rposition(|page| page.start == spot.page) {
            let page = cache.remove(at);
            cache.push(page.clone());
            return Ok(page);
        }
        drop(cache);
        let page = Arc::new(self.read_page(spot.page)?);
        if page.bytes.len() <= CACHED_BYTES {
            let mut cache = self.cache.lock();
            if cache.len() == CACHED {
                cache.remove(0);
            }
            cache.push(page.clone());
        }
        Ok(page)
    }

    /// The head of a page, of which nothing else is wanted yet.
    pub(super) fn head(&self, spot: Spot) -> Result<Head, TreeError> {
        Ok(self.measure(spot)?.0)
    }

    /// The head of a page, and how long the whole page is.
    pub(super) fn measure(&self, spot: Spot) -> Result<(Head, usize), TreeError> {
        if let Some(page) = self.cache.lock().iter().find(|page| page.start == spot.page) {
            return Ok((page.head, page.bytes.len()));
        }
        let (_, head, end, _) = self.read_start(spot.page, HEAD_BYTES as u64)?;
        Ok((head, end))
    }

    fn read_page(&self, start: u64) -> Result<Page, TreeError> {
        let (mut bytes, head, end, body) = self.read_start(start, GLANCE)?;
        let known = bytes.len();
        bytes.resize(end, 0);
        if end > known {
            self.read_names(start + known as u64, &mut bytes[known..])?;
        }
        Ok(Page { start, head, bytes, body })
    }

    /// The first bytes of a page and what its head says; the whole page lies within the stream.
    fn read_start(&self, start: u64, glance: u64) -> Result<(Vec<u8>, Head, usize, usize), TreeError> {
        let damaged = |fault| TreeError::Damaged { position: start, fault };
        let left = self.streams.length(Stream::Names).checked_sub(start).ok_or(damaged(Fault::Distance))?;
        let mut bytes = vec![0; left.min(glance) as usize];
        self.read_names(start, &mut bytes)?;
        let (head, end, body) = Head::decode(&bytes[..bytes.len().min(HEAD_BYTES)]).map_err(damaged)?;
        if end as u64 > left {
            return Err(damaged(Fault::Format));
        }
        Ok((bytes, head, end, body))
    }

    fn read_names(&self, position: u64, into: &mut [u8]) -> Result<(), TreeError> {
        let read = self.streams.read(Stream::Names, position, into);
        read.map_err(|source| TreeError::Read { stream: Stream::Names, position, source })
    }
}

/// Everything below a directory. After an error it goes on beside what was damaged, if it can.
pub struct Walk<'a, S> {
    reader: &'a TreeReader<S>,
    path: Vec<u8>,
    /// Open directories with the length of their path.
    stack: Vec<(Listing, usize)>,
    /// The directory that was just handed out.
    below: Option<Place>,
}

impl<S> Walk<'_, S> {
    /// Passes over what is in the directory that came last.
    pub fn skip(&mut self) {
        self.below = None;
    }
}

impl<S: Streams> Iterator for Walk<'_, S> {
    type Item = Result<(Vec<u8>, Entry), TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(place) = self.below.take() {
            match Listing::new(self.reader, place) {
                Ok(listing) => self.stack.push((listing, self.path.len())),
                Err(error) => return Some(Err(error)),
            }
        }
        loop {
            let (listing, length) = self.stack.last_mut()?;
            self.path.truncate(*length);
            match listing.next(self.reader) {
                Ok(Some(entry)) => {
                    if !self.path.is_empty() {
                        self.path.push(b'/');
                    }
                    self.path.extend_from_slice(&entry.name);
                    if let Kind::Directory(place) = entry.kind {
                        self.below = Some(place);
                    }
                    return Some(Ok((self.path.clone(), entry)));
                }
                Ok(None) => {
                    self.stack.pop();
                }
                Err(error) => {
                    self.stack.pop();
                    return Some(Err(error));
                }
            }
        }
    }
}
