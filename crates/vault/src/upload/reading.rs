//! One file while it is read: where its data lies, how far it is, and what has to be said about it.

use super::{FileSource, Layout};
use crate::{Content, Doubt};
use std::io;

/// Bytes asked for at once: more would leave the processor's cache before they are looked at.
const AT_ONCE: usize = 1 << 20;

pub(super) struct Reading {
    size: Option<u64>,
    /// What is to be read: all data that was there when it was opened.
    extents: Vec<(u64, u64)>,
    has_holes: bool,
    /// Which extent is being read, and how far.
    extent: usize,
    within: u64,
    bytes: u64,
    end: Option<Ended>,
}

enum Ended {
    Whole,
    /// Data ended before the file should.
    Short,
    Failed(io::Error),
}

impl Reading {
    pub(super) fn new(layout: Layout) -> Reading {
        let Layout { size, extents } = layout;
        let whole = || vec![(0, size.unwrap_or(u64::MAX))];
        let has_holes = extents.is_some();
        let mut extents = extents.unwrap_or_else(whole);
        extents.retain(|(_, length)| *length > 0);
        Reading { size, extents, has_holes, extent: 0, within: 0, bytes: 0, end: None }
    }

    /// Bytes that the next call of `fill` can use.
    pub(super) fn wants(&self) -> usize {
        let left = self.extents.get(self.extent).map_or(0, |(_, length)| length - self.within);
        usize::try_from(left).unwrap_or(AT_ONCE).min(AT_ONCE)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Reads some of what is next.
    pub(super) fn fill<F: FileSource>(&mut self, source: &mut F, into: &mut [u8]) -> usize {
        let mut filled = 0;
        while self.end.is_none() && filled < into.len() {
            let Some((offset, length)) = self.extents.get(self.extent) else {
                self.end = Some(Ended::Whole);
                break;
            };
            if self.within == *length {
                (self.extent, self.within) = (self.extent + 1, 0);
                continue;
            }
            let room = into.len().min(filled + AT_ONCE);
            let left = usize::try_from(length - self.within).unwrap_or(usize::MAX).min(room - filled);
            match source.read_at(offset + self.within, &mut into[filled..filled + left]) {
                Ok(0) if self.size.is_none() => self.end = Some(Ended::Whole),
                Ok(0) => self.end = Some(Ended::Short),
                Ok(read) => {
                    filled += read;
                    self.within += read as u64;
                    self.bytes += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.end = Some(Ended::Failed(error)),
            }
            if filled >= AT_ONCE {
                break;
            }
        }
        filled
    }

    /// What is known of its content, but for its chunks.
    pub(super) fn finish<F: FileSource>(mut self, source: &mut F) -> (Content, Option<io::Error>) {
        let closed = source.close();
        let end = self.end.take().unwrap_or(Ended::Whole);
        let stopped = self.extents.get(self.extent).map_or(0, |(offset, _)| offset + self.within);
        let whole = self.size.unwrap_or(self.bytes);
        let (size, doubt, error) = match (end, closed) {
            (Ended::Whole, Ok(true)) => (whole, None, None),
            (Ended::Whole, Ok(false)) => (whole, Some(Doubt::Changed), None),
            (Ended::Short, Ok(_)) => (stopped, Some(Doubt::Changed), None),
            (Ended::Failed(error), _) => (whole, Some(Doubt::Unreadable), Some(error)),
            (Ended::Whole | Ended::Short, Err(error)) => (whole, Some(Doubt::Unreadable), Some(error)),
        };
        let extents = if self.bytes == size { Vec::new() } else { self.read_extents() };
        (Content { size, extents, doubt, ..Content::default() }, error)
    }

    /// The extents as far as they were read.
    fn read_extents(mut self) -> Vec<(u64, u64)> {
        if let Some((_, length)) = self.extents.get_mut(self.extent) {
            *length = self.within;
        }
        self.extents.truncate(self.extent + 1);
        self.extents.retain(|(_, length)| *length > 0);
        debug_assert!(self.has_holes || self.extents.len() <= 1, "one extent is all of a file without holes");
        self.extents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of these bytes that ends or fails where it is told to.
    struct Script {
        bytes: Vec<u8>,
        fails_at: Option<usize>,
        same: bool,
    }

    impl FileSource for Script {
        fn size(&self) -> u64 {
            self.bytes.len() as u64
        }

        fn open(&mut self) -> io::Result<Layout> {
            Ok(Layout::default())
        }

        fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            let offset = offset as usize;
            if self.fails_at.is_some_and(|at| offset >= at) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let end = self.fails_at.unwrap_or(self.bytes.len()).min(self.bytes.len());
            let count = end.saturating_sub(offset).min(into.len()).min(700);
            into[..count].copy_from_slice(&self.bytes[offset..offset + count]);
            Ok(count)
        }

        fn close(&mut self) -> io::Result<bool> {
            Ok(self.same)
        }
    }

    fn read(layout: Layout, mut script: Script) -> (Vec<u8>, Content, bool) {
        let (mut reading, mut out) = (Reading::new(layout), Vec::new());
        while !reading.has_ended() {
            let mut buffer = [0; 1000];
            let filled = reading.fill(&mut script, &mut buffer);
            out.extend_from_slice(&buffer[..filled]);
        }
        let (content, error) = reading.finish(&mut script);
        let chunked = Content { chunks: vec![1; out.len().min(1)], ..content.clone() };
        assert_eq!(chunked.data().iter().map(|(_, length)| length).sum::<u64>(), out.len() as u64);
        (out, content, error.is_some())
    }

    fn bytes() -> Vec<u8> {
        (0..5000_u32).map(|number| number as u8).collect()
    }

    #[test]
    fn holes_are_passed_over() {
        let layout = Layout { size: Some(9000), extents: Some(vec![(100, 50), (4000, 1000)]) };
        let (out, content, _) = read(layout, Script { bytes: bytes(), fails_at: None, same: true });
        assert_eq!(out, [&bytes()[100..150], &bytes()[4000..]].concat());
        assert_eq!((content.size, &content.extents[..], content.doubt), (9000, &[(100, 50), (4000, 1000)][..], None));
        let layout = Layout { size: Some(9000), extents: Some(Vec::new()) };
        let (out, content, _) = read(layout, Script { bytes: bytes(), fails_at: None, same: true });
        assert_eq!((out.len(), content.size, content.extents.len(), content.doubt), (0, 9000, 0, None));
    }

    #[test]
    fn what_grows_shrinks_or_changes_is_marked() {
        let layout = |size| Layout { size: Some(size), extents: None };
        let (out, content, _) = read(layout(3000), Script { bytes: bytes(), fails_at: None, same: false });
        assert_eq!((out.len(), content.size, content.doubt), (3000, 3000, Some(Doubt::Changed)));
        let (out, content, _) = read(layout(6000), Script { bytes: bytes(), fails_at: None, same: true });
        assert_eq!((out.len(), content.size, content.doubt), (5000, 5000, Some(Doubt::Changed)));
        assert!(content.extents.is_empty());
        let layout = Layout { size: Some(9000), extents: Some(vec![(100, 50), (4000, 2000)]) };
        let (_, content, _) = read(layout, Script { bytes: bytes(), fails_at: None, same: true });
        assert_eq!((content.size, &content.extents[..]), (5000, &[(100, 50), (4000, 1000)][..]));
    }

    #[test]
    fn what_could_be_read_before_an_error_is_kept() {
        let layout = Layout { size: Some(5000), extents: None };
        let (out, content, failed) = read(layout.clone(), Script { bytes: bytes(), fails_at: Some(1500), same: true });
        assert_eq!((out.len(), content.size, content.doubt, failed), (1500, 5000, Some(Doubt::Unreadable), true));
        assert_eq!(content.extents, [(0, 1500)]);
        let (out, content, failed) = read(layout, Script { bytes: bytes(), fails_at: Some(0), same: true });
        assert_eq!((out.len(), content.size, content.extents.len(), failed), (0, 5000, 0, true));
    }

    #[test]
    fn a_stream_is_read_to_its_end() {
        let (out, content, _) = read(Layout::default(), Script { bytes: bytes(), fails_at: None, same: true });
        assert_eq!((out, content.size, content.doubt), (bytes(), 5000, None));
    }
}
