//! What makes unchanged files cheap: the snapshot before, read in step with the walk.
//!
//! Both come in the order of names, so a directory is compared by merging and nothing is looked up. What cannot be read of it
//! is no reason to stop: files are read anew then, and the reason is kept.

mod file;

use crate::tree::Listing;
use crate::upload::{Before, MOST_BEFORE};
use crate::{ChunkId, Content, Entry, Kind, Streams, TreeError, TreeReader};

pub use file::{BasisFile, BasisFileError, BasisFileWriter};

/// Chunks of a file for which it is worth knowing how they were cut.
const FEW: usize = 4;
/// Ids read at once.
const WINDOW: usize = 4096;

/// The snapshot before.
pub struct Basis {
    reader: TreeReader<Box<dyn Streams>>,
    /// For each directory that the walk is in: where in it the basis is, if it has it.
    open: Vec<Option<Here>>,
    lost: Option<TreeError>,
    /// Some ids, and which one the first of them is.
    window: Vec<ChunkId>,
    window_at: u64,
}

struct Here {
    listing: Listing,
    /// The first entry that is not before the name asked for last.
    entry: Option<Entry>,
}

impl Basis {
    /// `root` and `root_refs` as the snapshot has them.
    pub fn new(streams: impl Streams + 'static, root: u64, root_refs: u64) -> Basis {
        let reader = TreeReader::new(Box::new(streams) as Box<dyn Streams>, root, root_refs);
        let listing = Listing::new(&reader, reader.root());
        let mut basis = Basis { reader, open: Vec::new(), lost: None, window: Vec::new(), window_at: 0 };
        let root = basis.note(listing);
        basis.open.push(root.map(|listing| Here { listing, entry: None }));
        basis
    }

    /// Why it was not used further, if it could not be read.
    pub fn lost(&self) -> Option<&TreeError> {
        self.lost.as_ref()
    }

    /// What it has under this name in the directory that the walk is in. Names come in order.
    pub(crate) fn before(&mut self, name: &[u8]) -> Option<&Entry> {
        let here = self.open.last_mut()?.as_mut()?;
        while here.entry.as_ref().is_none_or(|entry| entry.name.as_slice() < name) {
            match here.listing.next(&self.reader) {
                Ok(Some(entry)) => here.entry = Some(entry),
                Ok(None) => {
                    here.entry = None;
                    break;
                }
                Err(error) => {
                    here.entry = None;
                    self.lost.get_or_insert(error);
                    break;
                }
            }
        }
        here.entry.as_ref().filter(|entry| entry.name == name)
    }

    /// How a file of this name was cut, where that is worth knowing.
    pub(crate) fn cut(&mut self, name: &[u8]) -> Option<Before> {
        let Kind::File(content) = &self.before(name)?.kind else { return None };
        let all = content.chunks.len();
        if all < FEW {
            return None;
        }
        let chunks = content.chunks[..all.min(MOST_BEFORE)].to_vec();
        let content = Content { first: content.first, chunks, ..Content::default() };
        let mut ids = Vec::with_capacity(content.chunks.len());
        let read: Result<(), TreeError> = self.ids(&content, |some| {
            ids.extend_from_slice(some);
            Ok(())
        });
        self.note(read)?;
        let is_all = ids.len() == all;
        Some(Before::new(ids.into_iter().zip(content.chunks).collect(), is_all))
    }

    pub(crate) fn begin_directory(&mut self, name: &[u8]) {
        let place = match self.before(name).map(|entry| &entry.kind) {
            Some(Kind::Directory(place)) => Some(*place),
            _ => None,
        };
        let listing = place.map(|place| Listing::new(&self.reader, place));
        let listing = listing.and_then(|listing| self.note(listing));
        self.open.push(listing.map(|listing| Here { listing, entry: None }));
    }

    pub(crate) fn end_directory(&mut self) {
        self.open.pop();
    }

    /// The ids of a file's chunks, some at a time.
    pub(crate) fn ids<E: From<TreeError>>(
        &mut self,
        content: &Content,
        mut out: impl FnMut(&[ChunkId]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut at, end) = (content.first, content.first + content.chunks.len() as u64);
        while at < end {
            let known = self.window_at..self.window_at + self.window.len() as u64;
            if !known.contains(&at) {
                let count = self.reader.ids_in_all().saturating_sub(at).min(WINDOW as u64);
                self.window.clear();
                self.window.resize(count.max(1) as usize, ChunkId([0; 32]));
                self.window_at = at;
                if let Err(error) = self.reader.ids(at, &mut self.window) {
                    self.window.clear();
                    return Err(error.into());
                }
            }
            let from = (at - self.window_at) as usize;
            let some = &self.window[from..self.window.len().min(from + (end - at) as usize)];
            at += some.len() as u64;
            out(some)?;
        }
        Ok(())
    }

    fn note<T>(&mut self, result: Result<T, TreeError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.lost.get_or_insert(error);
                None
            }
        }
    }
}
