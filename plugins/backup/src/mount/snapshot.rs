//! A snapshot that is looked into: its directories by name and by page.

use super::fault::Fault;
use super::number::{MOST_ENTRIES, MOST_NAMES};
use super::recent::Recent;
use std::sync::{Arc, OnceLock};
use vault::{Description, Entry, FileTime, Kind, PagePlace, Place, Reader, SnapshotId, Stream, Streams, TreeReader};

/// Bytes of a page: an entry of a file of 5 TiB has about as many.
const MOST_BYTES: usize = 64 << 20;
/// Bytes of decoded pages that are kept, of all snapshots together.
pub(super) const PAGES: usize = 24 << 20;
/// Directories of a snapshot whose pages are known by name.
const FOLDERS: usize = 64;

/// Decoded pages by the number of their snapshot and their position.
pub(super) type Pages = Recent<(u16, u64), Vec<Entry>>;

pub(super) struct Snapshot {
    pub(super) id: SnapshotId,
    /// What the numbers of its entries say.
    pub(super) entered: u16,
    pub(super) reader: Arc<Reader>,
    tree: TreeReader<Arc<Reader>>,
    root: Entry,
    pages: Arc<Pages>,
    folders: Recent<u64, Folder>,
}

/// An entry, in its page.
pub(super) struct Placed {
    pub(super) place: PagePlace,
    pub(super) page: Arc<Vec<Entry>>,
    pub(super) at: u16,
}

/// The pages of a directory.
pub(super) struct Folder {
    pub(super) pages: Vec<PagePlace>,
    /// The first name of each page, once it was read.
    firsts: Vec<OnceLock<Vec<u8>>>,
}

impl Snapshot {
    pub(super) fn new(reader: Reader, entered: u16, time_ms: i64, pages: Arc<Pages>) -> Result<Snapshot, Fault> {
        let reader = Arc::new(reader);
        let snapshot = reader.snapshot();
        if reader.length(Stream::Names) > MOST_NAMES {
            return Err(Fault::TooLarge);
        }
        let said = Description::decode(&snapshot.description, None).unwrap_or_default();
        let tree = TreeReader::new(reader.clone(), snapshot.root, snapshot.root_refs);
        Ok(Snapshot {
            id: snapshot.summary.id,
            entered,
            tree,
            root: said.root.unwrap_or_else(|| nameless_root(time_ms)),
            reader,
            pages,
            folders: Recent::new(FOLDERS),
        })
    }

    /// Owner, mode and times of the root.
    pub(super) fn root(&self) -> &Entry {
        &self.root
    }

    pub(super) fn root_folder(&self) -> Result<Arc<Folder>, Fault> {
        self.folder(self.tree.root())
    }

    pub(super) fn folder(&self, place: Place) -> Result<Arc<Folder>, Fault> {
        if let Some(folder) = self.folders.get(place.page) {
            return Ok(folder);
        }
        let pages = self.tree.pages(place)?;
        let firsts = pages.iter().map(|_| OnceLock::new()).collect();
        Ok(self.folders.put(place.page, Folder { pages, firsts }, 1))
    }

    /// The entries of a page.
    pub(super) fn page(&self, place: PagePlace) -> Result<Arc<Vec<Entry>>, Fault> {
        let key = (self.entered, place.position());
        if let Some(page) = self.pages.get(key) {
            return Ok(page);
        }
        let entries = self.tree.entries(place, MOST_ENTRIES, MOST_BYTES)?.ok_or(Fault::TooLarge)?;
        let weight = entries.iter().map(weight).sum();
        Ok(self.pages.put(key, entries, weight))
    }

    /// The page and place in it of a name in a directory.
    pub(super) fn find(&self, folder: &Folder, name: &[u8]) -> Result<Option<Placed>, Fault> {
        // The last page whose first name is not after ours.
        let (mut low, mut high) = (0, folder.pages.len());
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.first(folder, middle)? <= name { low = middle } else { high = middle }
        }
        let Some(place) = folder.pages.get(low) else { return Ok(None) };
        let page = self.page(*place)?;
        let at = page.binary_search_by(|entry| entry.name.as_slice().cmp(name)).ok();
        Ok(at.map(|at| Placed { place: *place, page, at: at as u16 }))
    }

    fn first<'a>(&self, folder: &'a Folder, page: usize) -> Result<&'a [u8], Fault> {
        let first = &folder.firsts[page];
        if let Some(name) = first.get() {
            return Ok(name);
        }
        let entries = self.page(folder.pages[page])?;
        Ok(first.get_or_init(|| entries.first().map(|entry| entry.name.clone()).unwrap_or_default()))
    }
}

/// About what an entry takes in memory.
fn weight(entry: &Entry) -> usize {
    let kind = match &entry.kind {
        Kind::File(content) => 4 * content.chunks.len() + 16 * content.extents.len(),
        Kind::Symlink { target } => target.len(),
        _ => 0,
    };
    let attributes: usize = entry.attributes.iter().map(|(name, value)| 64 + name.len() + value.len()).sum();
    size_of::<Entry>() + entry.name.len() + kind + attributes
}

/// Where only what is below the root was backed up.
fn nameless_root(time_ms: i64) -> Entry {
    let time = FileTime { seconds: time_ms.div_euclid(1000), nanoseconds: time_ms.rem_euclid(1000) as u32 * 1_000_000 };
    Entry {
        name: b"root".to_vec(),
        kind: Kind::Directory(Place::default()),
        mode: 0o755,
        uid: 0,
        gid: 0,
        modified: time,
        changed: time,
        inode: 0,
        device: 0,
        linked: false,
        attributes: Vec::new(),
    }
}
