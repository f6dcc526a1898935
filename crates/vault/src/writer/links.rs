//! Files with several names: read under the first one, and known under the others.

use crate::{ChunkId, Content, Entry, FileTime, Kind};
use std::collections::HashMap;

/// Files that are remembered, and ids of their chunks in all. What goes beyond is read again, and sent no second time.
const FILES: usize = 32 << 10;
const IDS: usize = 64 << 10;

/// What tells a file from every other while a tree is walked; its times besides, should the inode be used again meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Link {
    device: u64,
    inode: u64,
    size: u64,
    modified: FileTime,
    changed: FileTime,
}

pub(super) enum Known {
    /// Its first name is still being read.
    Awaited,
    Read(Content, Vec<ChunkId>),
}

#[derive(Default)]
pub(super) struct Links {
    known: HashMap<Link, Known>,
    ids: usize,
}

impl Link {
    /// Of a file that has other names.
    pub(super) fn of(entry: &Entry) -> Option<Link> {
        let Entry { device, inode, modified, changed, .. } = *entry;
        match &entry.kind {
            Kind::File(Content { size, .. }) if entry.linked => {
                Some(Link { device, inode, size: *size, modified, changed })
            }
            _ => None,
        }
    }
}

impl Links {
    pub(super) fn get(&self, link: &Link) -> Option<&Known> {
        self.known.get(link)
    }

    /// Its first name is about to be read.
    pub(super) fn await_first(&mut self, link: Link) {
        if self.known.len() < FILES {
            self.known.insert(link, Known::Awaited);
        }
    }

    /// Whether what becomes of it is wanted.
    pub(super) fn is_awaited(&self, link: &Link) -> bool {
        matches!(self.known.get(link), Some(Known::Awaited))
    }

    /// What the file holds; nothing where it could not be read, or holds too much to be kept.
    pub(super) fn settle(&mut self, link: Link, content: Option<(&Content, Vec<ChunkId>)>) {
        match content {
            Some((content, ids)) if content.doubt.is_none() && self.ids + ids.len() <= IDS => {
                self.ids += ids.len();
                self.known.insert(link, Known::Read(content.clone(), ids));
            }
            _ => {
                self.known.remove(&link);
            }
        }
    }
}
