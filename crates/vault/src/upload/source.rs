//! Where the bytes of a file come from.

use std::io::{self, Read};

/// A file as whoever walks hands it in. How it is opened, and from what it is protected then, is his business. Everything but
/// [`FileSource::size`] is called from a thread of the upload, in the order below.
pub trait FileSource: Send + 'static {
    /// Bytes to expect; only to share work out.
    fn size(&self) -> u64;

    /// Opens it.
    ///
    /// # Errors
    /// `NotFound` where it is gone: then it is left out of the snapshot. Anything else makes it unreadable.
    fn open(&mut self) -> io::Result<Layout>;

    /// Reads from this offset on; 0 is the end. Offsets only grow.
    ///
    /// # Errors
    /// It cannot be read. What was read before is kept, and it is marked.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Closes it. Whether it is still what the entry says that was handed in with it.
    ///
    /// # Errors
    /// That cannot be known. It is marked as unreadable.
    fn close(&mut self) -> io::Result<bool>;
}

/// What is known of an open file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// No more is read, however it grows. None: until it ends.
    pub size: Option<u64>,
    /// Where its data lies, as (offset, length), in order. None: it has no holes.
    pub extents: Option<Vec<(u64, u64)>>,
}

/// Bytes of unknown number that come once, such as the output of a program.
pub struct ReadSource<R>(pub R);

impl<R: Read + Send + 'static> FileSource for ReadSource<R> {
    fn size(&self) -> u64 {
        // One of its own job's: others need not wait for it.
        u64::from(u32::MAX)
    }

    fn open(&mut self) -> io::Result<Layout> {
        Ok(Layout::default())
    }

    fn read_at(&mut self, _: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }

    fn close(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}
