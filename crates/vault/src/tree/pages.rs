//! A directory page by page, for whoever comes back to single entries: where its page is, is all that is needed to read an
//! entry again.

use super::list::{Listing, Spot};
use super::reader::{Streams, TreeReader};
use super::{Entry, Place, TreeError};

/// Where one page of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePlace {
    pub(super) spot: Spot,
    pub(super) floor: u64,
}

impl PagePlace {
    /// Bytes of *names* before it: no other page of the tree begins there.
    pub fn position(&self) -> u64 {
        self.spot.page
    }
}

impl<S: Streams> TreeReader<S> {
    /// The pages of a directory, in the order of names. There is one at least.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn pages(&self, place: Place) -> Result<Vec<PagePlace>, TreeError> {
        Ok(Listing::new(self, place)?.pages())
    }

    /// The entries of a page in the order of names; none where it has more than `most_entries` or is longer than
    /// `most_bytes`.
    ///
    /// # Errors
    /// It cannot be read, or is damaged.
    pub fn entries(
        &self,
        page: PagePlace,
        most_entries: usize,
        most_bytes: usize,
    ) -> Result<Option<Vec<Entry>>, TreeError> {
        let (head, length) = self.measure(page.spot)?;
        if length > most_bytes || head.entries > most_entries as u64 {
            return Ok(None);
        }
        let mut listing = Listing::of_page(page);
        let mut entries = Vec::with_capacity(head.entries as usize);
        while let Some(entry) = listing.next(self)? {
            entries.push(entry);
        }
        Ok(Some(entries))
    }
}
