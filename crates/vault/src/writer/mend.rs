//! Entries as a reader takes them: what the walker says is not always what a snapshot can hold, and one such entry must not
//! cost the others.

use super::{Done, SnapshotWriter, tree_error};
use crate::{Entry, FileSource, Kind, Receiver, Unfit};
use std::sync::atomic::Ordering;

/// Something that could not be written as the walker said it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Names from the root on.
    pub path: Vec<u8>,
    pub unfit: Unfit,
}

impl<R: Receiver + 'static, F: FileSource> SnapshotWriter<R, F> {
    /// The entry as a reader takes it. What that takes away from it is kept for the walker.
    pub(super) fn mend(&mut self, entry: Entry) -> Option<Entry> {
        if entry.unfit().is_none() {
            return Some(entry);
        }
        let path = match entry.kind {
            // It is the innermost one itself.
            Kind::Directory(_) => self.tree.path(b"").strip_suffix(b"/").unwrap_or_default().to_vec(),
            _ => self.tree.path(&entry.name),
        };
        let (mended, wrong) = entry.mended();
        self.refused.extend(wrong.into_iter().map(|unfit| Refused { path: path.clone(), unfit }));
        mended
    }

    pub(super) fn write(&mut self, entry: Entry) -> Done<R> {
        let chunks = |entry: &Entry| match &entry.kind {
            Kind::File(content) => content.chunks.len(),
            _ => 0,
        };
        let handed_in = chunks(&entry);
        let mended = self.mend(entry);
        if mended.as_ref().map_or(0, chunks) != handed_in {
            self.tree.abandon().map_err(tree_error)?;
        }
        let Some(entry) = mended else { return Ok(()) };
        self.counts.files += 1;
        if let Kind::File(content) = &entry.kind {
            let bytes = content.chunks.iter().map(|length| u64::from(*length)).sum();
            self.counts.logical_bytes += bytes;
            self.upload.link().progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.upload.link().progress.files.fetch_add(1, Ordering::Relaxed);
        self.tree.entry(&entry).map_err(tree_error)
    }
}
