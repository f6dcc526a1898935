//! The names in a folder, sorted, in bounded memory however many there are.
//!
//! What does not fit is sorted in runs that go to a file without a name, and merged from there. A name that the file
//! system reports twice, because the folder changes meanwhile, is given out once.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::RawDir;
use rustix::io::Errno;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Bytes of a run that are read at once.
const READ: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Listing {
    /// What was not spilled: names one after the other, and where each begins and ends, last first.
    bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
    spilled: Option<Spilled>,
    given: Vec<u8>,
}

/// Why there is no list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoListing {
    Folder(Errno),
    Scratch(Errno),
}

impl Listing {
    /// Names in `folder`, of which about `limit` bytes are held in memory; the rest goes to a file in `scratch`.
    pub(super) fn of(folder: &OwnedFd, scratch: &Path, limit: usize) -> Result<Listing, NoListing> {
        let mut collected = Collected::default();
        let mut spill: Option<Spill> = None;
        // The longest name of any file system fits many times over.
        let mut buffer = [MaybeUninit::uninit(); 32 << 10];
        let mut entries = RawDir::new(folder.as_fd(), &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(NoListing::Folder)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            collected.add(name);
            if collected.size() > limit {
                let spill = match &mut spill {
                    Some(spill) => spill,
                    None => spill.insert(Spill::begin(scratch).map_err(scratch_error)?),
                };
                spill.run(&mut collected).map_err(scratch_error)?;
            }
        }
        let spilled = match spill {
            Some(mut spill) => {
                spill.run(&mut collected).map_err(scratch_error)?;
                Some(spill.finish().map_err(scratch_error)?)
            }
            None => None,
        };
        Ok(collected.into_listing(spilled))
    }

    /// Bytes it holds in memory.
    pub(super) fn size(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<(u32, u32)>()
    }

    /// The next name in the order of bytes.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, NoListing> {
        if let Some(spilled) = &mut self.spilled {
            return match spilled.next().map_err(scratch_error)? {
                Some(name) => {
                    self.given = name;
                    Ok(Some(&self.given))
                }
                None => Ok(None),
            };
        }
        Ok(self.spans.pop().map(|(begin, end)| &self.bytes[begin as usize..end as usize]))
    }
}

fn scratch_error(error: std::io::Error) -> NoListing {
    NoListing::Scratch(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    spans: Vec<(u32, u32)>,
}

impl Collected {
    fn add(&mut self, name: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let offset = |at: usize| u32::try_from(at).expect("a run is spilled long before 4 GiB");
        self.spans.push((offset(begin), offset(self.bytes.len())));
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.spans.len() * size_of::<(u32, u32)>()
    }

    fn name(&self, (begin, end): (u32, u32)) -> &[u8] {
        &self.bytes[begin as usize..end as usize]
    }

    /// Sorted, the last name first, each once.
    fn sort(&mut self) {
        let mut spans = std::mem::take(&mut self.spans);
        spans.sort_unstable_by(|a, b| self.name(*b).cmp(self.name(*a)));
        spans.dedup_by(|a, b| self.name(*a) == self.name(*b));
        self.spans = spans;
    }

    fn into_listing(mut self, spilled: Option<Spilled>) -> Listing {
        self.sort();
        self.bytes.shrink_to_fit();
        self.spans.shrink_to_fit();
        Listing { bytes: self.bytes, spans: self.spans, spilled, given: Vec::new() }
    }
}

struct Spill {
    file: BufWriter<File>,
    written: u64,
    ends: Vec<u64>,
}

impl Spill {
    fn begin(scratch: &Path) -> std::io::Result<Spill> {
        let file = tempfile::tempfile_in(scratch)?;
        Ok(Spill { file: BufWriter::with_capacity(READ, file), written: 0, ends: Vec::new() })
    }

    fn run(&mut self, collected: &mut Collected) -> std::io::Result<()> {
        collected.sort();
        for span in collected.spans.iter().rev() {
            let name = collected.name(*span);
            let length = u16::try_from(name.len()).expect("a directory entry has less than 64 KiB");
            self.file.write_all(&length.to_le_bytes())?;
            self.file.write_all(name)?;
            self.written += 2 + u64::from(length);
        }
        self.ends.push(self.written);
        collected.bytes.clear();
        collected.spans.clear();
        Ok(())
    }

    fn finish(self) -> std::io::Result<Spilled> {
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        let mut spilled = Spilled { file, runs: Vec::new(), heads: BinaryHeap::new(), last: None };
        let mut begin = 0;
        for end in self.ends {
            spilled.runs.push(Run { at: begin, end, buffer: Vec::new(), used: 0 });
            spilled.refill(spilled.runs.len() - 1)?;
            begin = end;
        }
        Ok(spilled)
    }
}

#[derive(Debug)]
struct Spilled {
    file: File,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    last: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Run {
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Spilled {
    fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        while let Some(Reverse((name, run))) = self.heads.pop() {
            self.refill(run)?;
            if self.last.as_ref() != Some(&name) {
                self.last = Some(name.clone());
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn refill(&mut self, number: usize) -> std::io::Result<()> {
        if let Some(name) = self.runs[number].next(&self.file)? {
            self.heads.push(Reverse((name, number)));
        }
        Ok(())
    }
}

impl Run {
    fn next(&mut self, file: &File) -> std::io::Result<Option<Vec<u8>>> {
        if !self.fill(file, 2)? {
            return Ok(None);
        }
        let length = usize::from(u16::from_le_bytes([self.buffer[self.used], self.buffer[self.used + 1]]));
        self.used += 2;
        if !self.fill(file, length)? {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.used += length;
        Ok(Some(self.buffer[self.used - length..self.used].to_vec()))
    }

    /// Whether `wanted` bytes are in the buffer now.
    fn fill(&mut self, file: &File, wanted: usize) -> std::io::Result<bool> {
        if self.buffer.len() - self.used >= wanted {
            return Ok(true);
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let held = self.buffer.len();
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let more = left.min(READ.max(wanted) - held);
        self.buffer.resize(held + more, 0);
        file.read_exact_at(&mut self.buffer[held..], self.at)?;
        self.at += more as u64;
        Ok(self.buffer.len() >= wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn all(mut listing: Listing) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        while let Some(name) = listing.next().unwrap() {
            names.push(name.to_vec());
        }
        names
    }

    /// Sorts `names` as if each chunk of them had filled the memory.
    fn sorted(names: &[Vec<u8>], at_once: Option<usize>) -> Vec<Vec<u8>> {
        let mut collected = Collected::default();
        let Some(at_once) = at_once else {
            names.iter().for_each(|name| collected.add(name));
            return all(collected.into_listing(None));
        };
        let scratch = tempfile::tempdir().unwrap();
        let mut spill = Spill::begin(scratch.path()).unwrap();
        for chunk in names.chunks(at_once) {
            chunk.iter().for_each(|name| collected.add(name));
            spill.run(&mut collected).unwrap();
        }
        all(collected.into_listing(Some(spill.finish().unwrap())))
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_bytes_and_each_name_comes_once(
            names in prop::collection::vec(prop::collection::vec(1u8.., 1..300), 0..200),
            at_once in 1usize..50,
        ) {
            let expected: Vec<Vec<u8>> = names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
            prop_assert_eq!(&sorted(&names, None), &expected);
            prop_assert_eq!(&sorted(&names, Some(at_once)), &expected);
        }
    }

    #[test]
    fn a_folder_is_listed_the_same_with_and_without_memory() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..3000 {
            std::fs::write(folder.path().join(format!("{number:x}")), "").unwrap();
        }
        let open: OwnedFd = File::open(folder.path()).unwrap().into();
        let ample = Listing::of(&open, folder.path(), 1 << 20).unwrap();
        assert!(ample.spilled.is_none() && ample.size() < 64 << 10);
        let ample = all(ample);
        assert_eq!(ample.len(), 3000);
        assert!(ample.is_sorted());
        rustix::fs::seek(&open, rustix::fs::SeekFrom::Start(0)).unwrap();
        let narrow = Listing::of(&open, std::env::temp_dir().as_path(), 1000).unwrap();
        assert!(narrow.spilled.is_some() && narrow.size() < 1000);
        assert_eq!(all(narrow), ample);
    }

    #[test]
    fn a_scratch_folder_that_is_not_there_is_named_as_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("name"), "").unwrap();
        let open: OwnedFd = File::open(folder.path()).unwrap().into();
        let listing = Listing::of(&open, &folder.path().join("none"), 1);
        assert_eq!(listing.unwrap_err(), NoListing::Scratch(Errno::NOENT));
    }
}
