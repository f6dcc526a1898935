//! The bytes of a file, on their way from chunks to where they lie in it.

use super::ChunkSource;
use super::folder::failed;
use super::problem::{ChunkError, Step, Unwritten};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::ops::ControlFlow;
use vault::Content;

/// Where the next bytes of a file's chunks go.
pub(super) struct Cursor {
    extents: Vec<(u64, u64)>,
    extent: usize,
    within: u64,
    /// Chunks that have come.
    chunks: usize,
}

impl Cursor {
    pub(super) fn new(content: &Content) -> Cursor {
        Cursor { extents: content.data(), extent: 0, within: 0, chunks: 0 }
    }

    /// Hands out the pieces of the next chunk with their offsets.
    fn place<E>(
        &mut self,
        content: &Content,
        mut chunk: &[u8],
        mut piece: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), PlaceError<E>> {
        let expected = content.chunks.get(self.chunks);
        self.chunks += 1;
        if expected.is_none_or(|length| *length as usize != chunk.len()) {
            return Err(PlaceError::Contradiction);
        }
        while !chunk.is_empty() {
            let Some((offset, length)) = self.extents.get(self.extent) else { return Err(PlaceError::Contradiction) };
            if self.within == *length {
                (self.extent, self.within) = (self.extent + 1, 0);
                continue;
            }
            let here = usize::try_from(length - self.within).unwrap_or(usize::MAX).min(chunk.len());
            piece(offset + self.within, &chunk[..here]).map_err(PlaceError::Piece)?;
            self.within += here as u64;
            chunk = &chunk[here..];
        }
        Ok(())
    }

    /// Writes the next chunk.
    pub(super) fn write(&mut self, file: impl AsFd, content: &Content, chunk: &[u8]) -> Result<(), Unwritten> {
        let placed = self.place(content, chunk, |offset, bytes| write_at(&file, offset, bytes));
        placed.map_err(|error| match error {
            PlaceError::Contradiction => Unwritten::Contradiction,
            PlaceError::Piece(cause) => failed(Step::Write, cause),
        })
    }

    pub(super) fn has_all(&self, content: &Content) -> bool {
        self.chunks >= content.chunks.len()
    }

    /// Passes over the next chunk.
    pub(super) fn skip(&mut self) {
        self.chunks += 1;
    }

    /// Gives the file its size, if it ends in a hole.
    pub(super) fn finish(&self, file: impl AsFd, content: &Content) -> Result<(), Unwritten> {
        let end = self.extents.last().map_or(0, |(offset, length)| offset + length);
        if end == content.size {
            return Ok(());
        }
        rustix::fs::ftruncate(file, content.size).map_err(|cause| failed(Step::Write, cause))
    }
}

enum PlaceError<E> {
    Contradiction,
    Piece(E),
}

fn write_at(file: impl AsFd, mut offset: u64, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&file, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                offset += written as u64;
                bytes = &bytes[written..];
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a file of the right size holds these bytes.
pub(super) fn is_same<S: ChunkSource>(file: impl AsFd, content: &Content, source: &S) -> Result<bool, ChunkError> {
    let mut cursor = Cursor::new(content);
    let mut same = true;
    let mut buffer = Vec::new();
    let positions = content.first..content.first + content.chunks.len() as u64;
    source.chunks(positions, &mut |chunk| {
        let placed = cursor.place(content, chunk, |offset, bytes| holds(&file, offset, bytes, &mut buffer));
        same = placed.is_ok();
        if same { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(same && holes_are_empty(file, content))
}

/// Any difference, and any failure to read, is an error.
fn holds(file: impl AsFd, offset: u64, bytes: &[u8], buffer: &mut Vec<u8>) -> Result<(), ()> {
    buffer.resize(bytes.len(), 0);
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(&file, &mut buffer[filled..], offset + filled as u64) {
            Ok(0) => return Err(()),
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(_) => return Err(()),
        }
    }
    if buffer == bytes { Ok(()) } else { Err(()) }
}

/// What lies between the extents reads as zeros. What the file system knows to be a hole is not read.
fn holes_are_empty(file: impl AsFd, content: &Content) -> bool {
    let Ok(found) = crate::files::extents::extents(&file, content.size) else { return false };
    let data = content.data();
    let (mut buffer, zeros) = (Vec::new(), vec![0; 64 << 10]);
    let mut is_empty = |from: u64, to: u64| {
        (from..to).step_by(zeros.len()).all(|at| {
            let length = usize::try_from(to - at).unwrap_or(usize::MAX).min(zeros.len());
            holds(&file, at, &zeros[..length], &mut buffer).is_ok()
        })
    };
    found.into_iter().all(|(begin, length)| {
        let mut at = begin;
        let end = begin + length;
        let first = data.partition_point(|(offset, length)| offset + length <= begin);
        for (offset, length) in data[first..].iter().take_while(|(offset, _)| *offset < end) {
            if *offset > at && !is_empty(at, *offset) {
                return false;
            }
            at = (offset + length).min(end);
        }
        at >= end || is_empty(at, end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::ops::Range;

    /// Chunks at positions from 0 on.
    struct Chunks(Vec<Vec<u8>>);

    impl ChunkSource for Chunks {
        fn chunks(
            &self,
            positions: Range<u64>,
            take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
        ) -> Result<(), ChunkError> {
            let range = positions.start as usize..positions.end as usize;
            let _broken = self.0[range].iter().try_for_each(|chunk| take(chunk));
            Ok(())
        }
    }

    fn content(size: u64, chunks: &[&[u8]], extents: &[(u64, u64)]) -> Content {
        let chunks = chunks.iter().map(|chunk| chunk.len() as u32).collect();
        Content { size, chunks, extents: extents.to_vec(), ..Content::default() }
    }

    fn write(content: &Content, chunks: &[&[u8]]) -> Result<std::fs::File, Unwritten> {
        let file = tempfile::tempfile().unwrap();
        let mut cursor = Cursor::new(content);
        chunks.iter().try_for_each(|chunk| cursor.write(&file, content, chunk))?;
        assert_eq!(cursor.has_all(content), content.chunks.len() == chunks.len());
        cursor.finish(&file, content)?;
        Ok(file)
    }

    fn same(file: &std::fs::File, content: &Content, chunks: &[&[u8]]) -> bool {
        is_same(file, content, &Chunks(chunks.iter().map(|chunk| chunk.to_vec()).collect())).unwrap()
    }

    #[test]
    fn chunks_are_spread_over_the_places_where_data_lies() {
        let chunks: [&[u8]; 3] = [b"abcde", b"fg", b"hi"];
        let content = content(3 << 20, &chunks, &[(2, 4), (1 << 20, 5)]);
        let mut file = write(&content, &chunks).unwrap();
        assert!(same(&file, &content, &chunks));
        let mut bytes = Vec::new();
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let mut expected = vec![0; 3 << 20];
        expected[2..6].copy_from_slice(b"abcd");
        expected[1 << 20..][..5].copy_from_slice(b"efghi");
        assert!(bytes == expected);
        // One byte more in what should be a hole, or another one in the data.
        write_at(&file, 2 << 20, b"x").unwrap();
        assert!(!same(&file, &content, &chunks));
        write_at(&file, 2 << 20, b"\0").unwrap();
        assert!(same(&file, &content, &chunks));
        write_at(&file, 3, b"x").unwrap();
        assert!(!same(&file, &content, &chunks));
    }

    #[test]
    fn what_does_not_add_up_is_not_written() {
        let lies = content(10, &[b"12345"], &[]);
        assert!(matches!(write(&lies, &[b"123"]), Err(Unwritten::Contradiction)));
        let short = content(3, &[b"12345"], &[(0, 3)]);
        assert!(matches!(write(&short, &[b"12345"]), Err(Unwritten::Contradiction)));
    }

    #[test]
    fn a_size_that_no_file_has_is_refused_by_the_system() {
        let endless = content(1 << 63, &[], &[]);
        let refused = write(&endless, &[]);
        assert!(matches!(refused, Err(Unwritten::Failed { step: Step::Write, .. })));
        let beyond = content(u64::MAX, &[b"x"], &[(u64::MAX - 1, 1)]);
        assert!(write(&beyond, &[b"x"]).is_err());
    }
}
