//! Snapshots that no walk would write, in memory.

use backup::files::restore::{ChunkError, ChunkSource, RestoreError, RestoreOptions, restore};
use std::convert::Infallible;
use std::io;
use std::ops::{ControlFlow, Range};
use vault::{ChunkId, Content, Entry, FileTime, Kind, Place, Stream, Streams, TreeReader, TreeSink, TreeWriter};

use crate::kit::{Outcome, Told};

/// The two streams, and what chunks hold.
#[derive(Default)]
pub(crate) struct Crafted {
    pub(crate) names: Vec<u8>,
    refs: Vec<u8>,
    pub(crate) chunks: Vec<Vec<u8>>,
    root: Place,
    /// Positions that cannot be read.
    pub(crate) damaged: Vec<u64>,
}

/// Says what is in a snapshot.
pub(crate) struct Crafter {
    tree: TreeWriter<Sink>,
    chunks: Vec<Vec<u8>>,
    inode: u64,
}

#[derive(Default)]
struct Sink {
    names: Vec<u8>,
    refs: Vec<u8>,
}

impl TreeSink for Sink {
    type Error = Infallible;

    fn names(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.names.extend_from_slice(bytes);
        Ok(())
    }

    fn refs(&mut self, ids: &[ChunkId]) -> Result<(), Infallible> {
        ids.iter().for_each(|id| self.refs.extend_from_slice(&id.0));
        Ok(())
    }
}

impl Crafter {
    pub(crate) fn new() -> Crafter {
        Crafter { tree: TreeWriter::new(Sink::default()), chunks: Vec::new(), inode: 1 }
    }

    /// An entry that nothing is wrong with.
    pub(crate) fn plain(&mut self, name: &str, kind: Kind) -> Entry {
        self.inode += 1;
        Entry {
            name: name.into(),
            kind,
            mode: 0o644,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            modified: FileTime { seconds: 1_600_000_000, nanoseconds: 7 },
            changed: FileTime::default(),
            inode: self.inode,
            device: 1,
            linked: false,
            attributes: Vec::new(),
        }
    }

    pub(crate) fn entry(&mut self, entry: &Entry) {
        self.tree.entry(entry).unwrap();
    }

    pub(crate) fn link(&mut self, name: &str, target: &str) {
        let link = self.plain(name, Kind::Symlink { target: target.into() });
        self.entry(&link);
    }

    /// A file whose chunks say that they are these.
    pub(crate) fn file(&mut self, name: &str, chunks: &[&[u8]], change: impl FnOnce(&mut Entry)) {
        let lengths: Vec<u32> = chunks.iter().map(|chunk| chunk.len() as u32).collect();
        let size = lengths.iter().map(|length| u64::from(*length)).sum();
        let content = Content { size, chunks: lengths, ..Content::default() };
        let mut entry = self.plain(name, Kind::File(content));
        change(&mut entry);
        self.tree.refs(&vec![ChunkId([1; 32]); chunks.len()]).unwrap();
        self.chunks.extend(chunks.iter().map(|chunk| chunk.to_vec()));
        self.entry(&entry);
    }

    pub(crate) fn folder(&mut self, name: &str, fill: impl FnOnce(&mut Crafter)) {
        self.tree.begin_directory(name.as_bytes()).unwrap();
        // What is below a folder is written first, and so are its chunks.
        let before = std::mem::take(&mut self.chunks);
        fill(self);
        self.chunks.extend(before);
        let mut entry = self.plain(name, Kind::Directory(Place::default()));
        entry.mode = 0o755;
        self.tree.end_directory(&entry).unwrap();
    }

    pub(crate) fn finish(self) -> Crafted {
        let (Sink { names, refs }, root) = self.tree.finish().unwrap();
        Crafted { names, refs, chunks: self.chunks, root, damaged: Vec::new() }
    }
}

impl Crafted {
    pub(crate) fn try_restore(&self, options: &RestoreOptions) -> Result<Outcome, RestoreError> {
        let told = Told::default();
        let tree = TreeReader::new(self, self.root.page, self.root.refs);
        let restored = restore(&tree, self, options, &told)?;
        Ok(Outcome { restored, problems: told.problems.into_inner().unwrap() })
    }

    pub(crate) fn restore(&self, options: &RestoreOptions) -> Outcome {
        self.try_restore(options).unwrap()
    }
}

impl Streams for Crafted {
    fn length(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Names => self.names.len() as u64,
            Stream::Refs => self.refs.len() as u64,
        }
    }

    fn read(&self, stream: Stream, position: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = match stream {
            Stream::Names => &self.names,
            Stream::Refs => &self.refs,
        };
        let bytes = usize::try_from(position).ok().and_then(|at| bytes.get(at..at + into.len()));
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ChunkSource for Crafted {
    fn chunks(&self, positions: Range<u64>, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), ChunkError> {
        for position in positions {
            if self.damaged.contains(&position) {
                return Err(ChunkError::Damaged(io::Error::other("it was damaged for a test").into()));
            }
            if take(&self.chunks[position as usize]).is_break() {
                break;
            }
        }
        Ok(())
    }
}
