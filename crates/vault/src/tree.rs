//! What a snapshot knows of each file. How entries become the streams *names* and *refs* stands in the README.

mod check;
mod entry;
mod list;
mod page;
mod pages;
mod reader;
mod writer;

pub use check::Unfit;
pub(crate) use entry::{decode_root, encode_root};
pub use list::List;
pub(crate) use list::Listing;
pub use pages::PagePlace;
pub use reader::{Stream, Streams, TreeReader, Walk};
pub use writer::{Shown, TreeSink, TreeWriteError, TreeWriter};

/// Why a tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("{stream} cannot be read at {position}")]
    Read {
        stream: Stream,
        position: u64,
        #[source]
        source: std::io::Error,
    },
    #[error("the directory at {position} is damaged: {fault}")]
    Damaged { position: u64, fault: Fault },
}

/// What is wrong with the bytes of a tree. No client of ours writes such bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it is cut off or no directory")]
    Format,
    #[error("it is larger than a directory can be")]
    Size,
    #[error("a name in it is empty, `.`, `..`, or holds `/` or NUL")]
    Name,
    #[error("its names are not in order")]
    Order,
    #[error("it refers to what does not lie before it, or to what belongs to another directory")]
    Distance,
    #[error("the chunks of a file in it do not add up to its bytes")]
    Content,
}

/// A moment as file systems keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// Name and value of an extended attribute.
pub type Attribute = (Vec<u8>, Vec<u8>);

/// Something in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Any bytes but `/` and NUL; never empty, `.` or `..`: a reader refuses such names.
    pub name: Vec<u8>,
    pub kind: Kind,
    /// Permission bits with set-user-id, set-group-id and sticky: `mode & 0o7777`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: FileTime,
    /// Change time: only to see whether a file is the one of last time.
    pub changed: FileTime,
    pub inode: u64,
    /// Number of the file system; with the inode it tells hard links apart.
    pub device: u64,
    /// More than one name leads to it.
    pub linked: bool,
    /// Extended attributes, ACLs and capabilities among them, sorted by name.
    pub attributes: Vec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File(Content),
    Directory(Place),
    Symlink { target: Vec<u8> },
    Fifo,
    Socket,
    CharacterDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// The bytes of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub size: u64,
    /// Plain lengths of its chunks, in order; they add up to the bytes of `extents`.
    pub chunks: Vec<u32>,
    /// Which id of *refs* is the first of its chunks.
    pub first: u64,
    /// Where its data lies, as (offset, length); empty where it has no holes, or nothing but holes (then it has no chunks).
    /// What lies between reads as zeros.
    pub extents: Vec<(u64, u64)>,
    /// Why the content may not be what the file held at any one moment.
    pub doubt: Option<Doubt>,
    /// It had changed so shortly before it was read that a later change can bear the same time: the next backup reads it
    /// again.
    pub fresh: bool,
}

impl Content {
    /// Where its data lies, as (offset, length), with or without holes.
    pub fn data(&self) -> Vec<(u64, u64)> {
        match (self.chunks.is_empty(), self.extents.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => vec![(0, self.size)],
            (false, false) => self.extents.clone(),
        }
    }
}

impl Entry {
    /// Whether a regular file still holds what it held when `before` was written: same size, times and inode, and nothing
    /// was doubtful then. The number of its file system may change from boot to boot.
    pub fn is_unchanged_since(&self, before: &Entry) -> bool {
        let (Kind::File(now), Kind::File(then)) = (&self.kind, &before.kind) else { return false };
        now.size == then.size && then.doubt.is_none() && !then.fresh && self.bears_the_times_of(before)
    }

    /// Whether its attributes, and the target of a symlink, are those of `before`: the change time covers them.
    pub fn bears_the_times_of(&self, before: &Entry) -> bool {
        self.modified == before.modified && self.changed == before.changed && self.inode == before.inode
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It changed while it was read.
    Changed,
    /// It could not be read to its end; what could be is there.
    Unreadable,
}

/// Where the last page of a directory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes of *names* before it.
    pub page: u64,
    /// Ids of *refs* before those of its files.
    pub refs: u64,
    /// Bytes of *names* before everything below it: what lies there belongs to others. Known to readers alone.
    pub floor: u64,
}

#[cfg(test)]
mod tests;
