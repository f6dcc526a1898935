//! What the kernel remembers of what it was told: the pages that entries stand in, since a number does not say all that is
//! needed to read one, and the places of files with several names. What it forgets is forgotten here.

use super::number::{Number, Spot};
use parking_lot::Mutex;
use std::collections::HashMap;
use vault::PagePlace;

#[derive(Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Default)]
struct State {
    pages: HashMap<(u16, u64), Remembered>,
    links: HashMap<u64, Linked>,
}

/// A page that the kernel knows entries of.
struct Remembered {
    place: PagePlace,
    /// The directory it is a page of.
    folder: Number,
    count: u64,
}

struct Linked {
    spot: Spot,
    count: u64,
}

/// Where an entry is read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) spot: Spot,
    pub(super) place: PagePlace,
    pub(super) folder: Number,
}

impl Known {
    /// The kernel is told of an entry.
    pub(super) fn tell(&self, number: Number, standing: &Standing) {
        let State { pages, links } = &mut *self.0.lock();
        let mut spot = standing.spot;
        if let Number::Link(inode) = number {
            let linked = links.entry(inode).or_insert(Linked { spot, count: 0 });
            linked.count += 1;
            spot = linked.spot;
        }
        let new = || Remembered { place: standing.place, folder: standing.folder, count: 0 };
        pages.entry((spot.entered, spot.page)).or_insert_with(new).count += 1;
    }

    pub(super) fn forget(&self, number: Number, times: u64) {
        let State { pages, links } = &mut *self.0.lock();
        let spot = match number {
            Number::Entry(spot) => spot,
            Number::Link(inode) => {
                let Some(linked) = links.get_mut(&inode) else { return };
                let spot = linked.spot;
                linked.count = linked.count.saturating_sub(times);
                if linked.count == 0 {
                    links.remove(&inode);
                }
                spot
            }
            _ => return,
        };
        if let Some(page) = pages.get_mut(&(spot.entered, spot.page)) {
            page.count = page.count.saturating_sub(times);
            if page.count == 0 {
                pages.remove(&(spot.entered, spot.page));
            }
        }
    }

    /// Where the entry of this number stands, if the kernel was told of it.
    pub(super) fn standing(&self, number: Number) -> Option<Standing> {
        let State { pages, links } = &*self.0.lock();
        let spot = match number {
            Number::Entry(spot) => spot,
            Number::Link(inode) => links.get(&inode)?.spot,
            _ => return None,
        };
        let Remembered { place, folder, .. } = pages.get(&(spot.entered, spot.page))?;
        Some(Standing { spot, place: *place, folder: *folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::io;
    use vault::{ChunkId, Stream, Streams, TreeReader, TreeSink, TreeWriter};

    #[derive(Default)]
    struct Names(Vec<u8>);

    impl TreeSink for Names {
        type Error = Infallible;

        fn names(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn refs(&mut self, _: &[ChunkId]) -> Result<(), Infallible> {
            Ok(())
        }
    }

    impl Streams for Names {
        fn length(&self, stream: Stream) -> u64 {
            if stream == Stream::Names { self.0.len() as u64 } else { 0 }
        }

        fn read(&self, _: Stream, position: u64, into: &mut [u8]) -> io::Result<()> {
            into.copy_from_slice(&self.0[position as usize..position as usize + into.len()]);
            Ok(())
        }
    }

    /// Where the page of an empty directory is.
    fn place() -> PagePlace {
        let (names, root) = TreeWriter::new(Names::default()).finish().unwrap();
        let reader = TreeReader::new(names, root.page, root.refs);
        reader.pages(reader.root()).unwrap()[0]
    }

    fn counts(known: &Known) -> (usize, usize) {
        let state = known.0.lock();
        (state.pages.len(), state.links.len())
    }

    #[test]
    fn what_the_kernel_forgets_is_forgotten() {
        let (known, place) = (Known::default(), place());
        let standing = |page, at| Standing { spot: Spot { entered: 0, page, at }, place, folder: Number::Root };
        let entry = |page, at| Number::Entry(standing(page, at).spot);
        known.tell(entry(5, 0), &standing(5, 0));
        known.tell(entry(5, 1), &standing(5, 1));
        known.tell(entry(5, 1), &standing(5, 1));
        known.forget(entry(5, 1), 2);
        assert_eq!(counts(&known), (1, 0));
        assert_eq!(known.standing(entry(5, 1)).unwrap().spot, standing(5, 1).spot, "its page is known for another");
        known.forget(entry(5, 0), 1);
        assert_eq!(counts(&known), (0, 0));
        assert!(known.standing(entry(5, 0)).is_none());
    }

    #[test]
    fn names_of_one_file_are_found_where_the_first_was() {
        let (known, place) = (Known::default(), place());
        let standing = |page| Standing { spot: Spot { entered: 0, page, at: 0 }, place, folder: Number::Root };
        let link = Number::Link(1 << 63 | 7);
        known.tell(link, &standing(5));
        known.tell(link, &standing(90));
        assert_eq!(counts(&known), (1, 1));
        assert_eq!(known.standing(link).unwrap().spot.page, 5);
        known.forget(link, 1);
        assert_eq!(known.standing(link).unwrap().spot.page, 5);
        known.forget(link, 1);
        assert_eq!(counts(&known), (0, 0));
        known.forget(link, 1);
        known.tell(link, &standing(90));
        assert_eq!(known.standing(link).unwrap().spot.page, 90);
    }
}
