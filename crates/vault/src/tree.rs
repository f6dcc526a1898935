//! What a snapshot knows of each file. How entries become the streams *names* and *refs* stands in the README.

/// A moment as file systems keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileTime {
    pub seconds: i64,
    pub nanoseconds: u32,
}

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
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
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
    /// Where its data lies, as (offset, length); empty where it has no holes. What lies between reads as zeros.
    pub extents: Vec<(u64, u64)>,
    /// Why the content may not be what the file held at any one moment.
    pub doubt: Option<Doubt>,
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
}
