//! The entries of one directory, page by page.

use super::entry::{Around, Before, decode};
use super::pages::PagePlace;
use super::reader::{Page, Streams, TreeReader};
use super::{Entry, Fault, Place, TreeError};
use crate::varint::Cursor;
use std::sync::Arc;

/// Pages of one directory: more than 500 million entries.
pub(super) const MOST_PAGES: usize = 1 << 20;

/// Where a page is and how many ids are before its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub page: u64,
    pub refs: u64,
}

/// A page that is being read.
struct Current {
    page: Arc<Page>,
    at: usize,
    left: u64,
    before: Before,
    around: Around,
}

/// Where in a directory one is. It borrows no reader, so that who has one can keep both.
pub(crate) struct Listing {
    /// Pages to come, the next one last.
    spots: Vec<Spot>,
    current: Option<Current>,
    last: Vec<u8>,
    floor: u64,
}

impl Listing {
    pub(crate) fn new<S: Streams>(reader: &TreeReader<S>, place: Place) -> Result<Listing, TreeError> {
        let mut spots = Vec::with_capacity(1);
        let mut spot = Spot { page: place.page, refs: place.refs };
        loop {
            let damaged = |fault| TreeError::Damaged { position: spot.page, fault };
            if spot.page < place.floor || spot.refs > reader.ids_in_all() {
                return Err(damaged(Fault::Distance));
            }
            // Most directories have one page, which is wanted next.
            let head = if spots.is_empty() { reader.page(spot)?.head } else { reader.head(spot)? };
            spots.push(spot);
            if head.previous == 0 && head.refs == 0 {
                break;
            }
            // Only a directory without any entry has an empty page.
            if head.entries == 0 || spots.len() == MOST_PAGES {
                return Err(damaged(Fault::Format));
            }
            let page = spot.page.checked_sub(head.previous).filter(|page| *page < spot.page);
            let (page, refs) = page.zip(spot.refs.checked_sub(head.refs)).ok_or(damaged(Fault::Distance))?;
            spot = Spot { page, refs };
        }
        Ok(Listing { spots, current: None, last: Vec::new(), floor: place.floor })
    }

    /// One page alone.
    pub(super) fn of_page(page: PagePlace) -> Listing {
        Listing { spots: vec![page.spot], current: None, last: Vec::new(), floor: page.floor }
    }

    /// The pages to come.
    pub(super) fn pages(&self) -> Vec<PagePlace> {
        let mut floor = self.floor;
        let place = |spot: &Spot| PagePlace { spot: *spot, floor: std::mem::replace(&mut floor, spot.page + 1) };
        self.spots.iter().rev().map(place).collect()
    }

    pub(crate) fn next<S: Streams>(&mut self, reader: &TreeReader<S>) -> Result<Option<Entry>, TreeError> {
        let result = self.try_next(reader);
        if result.is_err() {
            self.spots.clear();
            self.current = None;
        }
        result
    }

    fn try_next<S: Streams>(&mut self, reader: &TreeReader<S>) -> Result<Option<Entry>, TreeError> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(spot) = self.spots.pop() else { return Ok(None) };
                self.current = Some(Current::new(reader, spot, self.floor)?);
                continue;
            };
            let position = current.page.start;
            let damaged = |fault| TreeError::Damaged { position, fault };
            if current.left == 0 {
                if current.at != current.page.bytes.len() {
                    return Err(damaged(Fault::Format));
                }
                self.floor = position + 1;
                self.current = None;
                continue;
            }
            let entry = current.next().map_err(damaged)?;
            if entry.name <= self.last {
                return Err(damaged(Fault::Order));
            }
            self.last.clear();
            self.last.extend_from_slice(&entry.name);
            return Ok(Some(entry));
        }
    }

    /// Passes over the pages that end before this name. Only before the first entry was taken.
    pub(super) fn skip_to<S: Streams>(&mut self, reader: &TreeReader<S>, name: &[u8]) -> Result<(), TreeError> {
        debug_assert!(self.current.is_none(), "nothing was taken yet");
        // Pages stand in reverse: the first one whose first name is not after ours holds it, or nothing does.
        let (mut low, mut high) = (0, self.spots.len().saturating_sub(1));
        while low < high {
            let middle = low.midpoint(high);
            let spot = self.spots[middle];
            let mut page = Current::new(reader, spot, 0)?;
            let first = page.next().map_err(|fault| TreeError::Damaged { position: spot.page, fault })?;
            if first.name.as_slice() <= name { high = middle } else { low = middle + 1 }
        }
        if let Some(before) = self.spots.get(low + 1) {
            self.floor = before.page + 1;
        }
        self.spots.truncate(low + 1);
        Ok(())
    }
}

impl Current {
    fn new<S: Streams>(reader: &TreeReader<S>, spot: Spot, floor: u64) -> Result<Current, TreeError> {
        let page = reader.page(spot)?;
        let Spot { page: start, refs } = spot;
        let around = Around { page: start, refs, next: refs, limit: reader.ids_in_all(), floor };
        Ok(Current { at: page.body, left: page.head.entries, before: Before::default(), around, page })
    }

    fn next(&mut self) -> Result<Entry, Fault> {
        let mut cursor = Cursor::new(&self.page.bytes[self.at..]);
        let entry = decode(&mut cursor, &mut self.before, &mut self.around)?;
        self.at = self.page.bytes.len() - cursor.remaining();
        self.left -= 1;
        Ok(entry)
    }
}

/// The entries of one directory. Ends after an error.
pub struct List<'a, S> {
    reader: &'a TreeReader<S>,
    listing: Listing,
}

impl<'a, S> List<'a, S> {
    pub(super) fn new(reader: &'a TreeReader<S>, listing: Listing) -> List<'a, S> {
        List { reader, listing }
    }
}

impl<S: Streams> Iterator for List<'_, S> {
    type Item = Result<Entry, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.listing.next(self.reader).transpose()
    }
}
