//! One entry on its way to the disk.

use super::folder::{Folder, Opened};
use super::links::First;
use std::sync::Arc;
use vault::Entry;

pub(super) struct Item {
    pub(super) folder: Arc<Folder>,
    /// Stays open though the folder be closed meanwhile; nothing where it is not there, in a restore that only looks.
    pub(super) opened: Option<Arc<Opened>>,
    pub(super) entry: Entry,
    pub(super) link: Link,
}

/// What is known of its other names.
pub(super) enum Link {
    None,
    /// It is the first name that came: others may wait for it.
    First,
    To(First),
}

impl Item {
    pub(super) fn new(folder: &Arc<Folder>, entry: Entry) -> Item {
        Item { folder: folder.clone(), opened: folder.opened(), entry, link: Link::None }
    }

    /// Which file it was at the time of the backup.
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.entry.device, self.entry.inode)
    }
}
