//! The streams of the last snapshot in a file of the client, so that the next run reads nothing over the line.
//!
//! The file is a help and nothing depends on it: it is checked as a whole when it is opened, and whoever finds it missing,
//! damaged or of another snapshot does without. It is 64 KiB blocks of both streams as they came, then a trailer: snapshot id
//! 16, root u64, root refs u64, for names and for refs the length u64 and the offset u64 of each block; then the length of the
//! trailer u32, magic `BWBASE\0\1`, and blake3 of everything before. All little-endian.

use crate::varint::{Cursor, Malformed};
use crate::{Basis, ChunkId, Place, SnapshotId, Stream, Streams};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"BWBASE\0\x01";
const BLOCK: usize = 64 << 10;
const HASH: usize = 32;
/// Bytes after the trailer.
const END: usize = 4 + MAGIC.len() + HASH;

/// Why there is no basis in a file. Whatever it is, a backup does without one, and reads all files.
#[derive(Debug, thiserror::Error)]
pub enum BasisFileError {
    #[error("{} cannot be used", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no file of this program, or was cut off", path.display())]
    Format { path: PathBuf },
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf },
}

/// Writes the streams of a snapshot beside what is sent. It appears under its name when the snapshot is there.
pub struct BasisFileWriter {
    path: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    written: u64,
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    bytes: Vec<u8>,
    blocks: Vec<u64>,
    length: u64,
}

impl BasisFileWriter {
    /// # Errors
    /// The file beside it cannot be made.
    pub fn create(path: &Path) -> Result<BasisFileWriter, BasisFileError> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(beside(path));
        let file = file.map_err(|source| BasisFileError::Io { path: beside(path), source })?;
        let hasher = blake3::Hasher::new();
        Ok(BasisFileWriter { path: path.to_owned(), file, hasher, written: 0, sides: Default::default() })
    }

    pub(crate) fn names(&mut self, bytes: &[u8]) -> Result<(), BasisFileError> {
        self.write(Stream::Names, bytes)
    }

    pub(crate) fn refs(&mut self, ids: &[ChunkId]) -> Result<(), BasisFileError> {
        ids.iter().try_for_each(|id| self.write(Stream::Refs, &id.0))
    }

    /// # Errors
    /// It cannot be written, or not get its name.
    pub fn finish(mut self, snapshot: SnapshotId, root: Place) -> Result<(), BasisFileError> {
        let mut trailer = [&snapshot.0[..], &root.page.to_le_bytes(), &root.refs.to_le_bytes()].concat();
        for stream in [Stream::Names, Stream::Refs] {
            self.flush(stream)?;
            let side = &self.sides[stream as usize];
            trailer.extend_from_slice(&side.length.to_le_bytes());
            trailer.extend(side.blocks.iter().flat_map(|offset| offset.to_le_bytes()));
        }
        let length = trailer.len() as u32;
        trailer.extend_from_slice(&length.to_le_bytes());
        trailer.extend_from_slice(MAGIC);
        self.append(&trailer)?;
        let hash = *self.hasher.finalize().as_bytes();
        self.append(&hash)?;
        // It need not survive a crash: then its hash is wrong, and nobody uses it.
        let renamed = fs::rename(beside(&self.path), &self.path);
        renamed.map_err(|source| BasisFileError::Io { path: self.path, source })
    }

    fn write(&mut self, stream: Stream, mut bytes: &[u8]) -> Result<(), BasisFileError> {
        while !bytes.is_empty() {
            let side = &mut self.sides[stream as usize];
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - side.bytes.len()));
            side.bytes.extend_from_slice(now);
            bytes = later;
            if side.bytes.len() == BLOCK {
                self.flush(stream)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, stream: Stream) -> Result<(), BasisFileError> {
        let side = &mut self.sides[stream as usize];
        if side.bytes.is_empty() {
            return Ok(());
        }
        side.blocks.push(self.written);
        side.length += side.bytes.len() as u64;
        let bytes = std::mem::take(&mut side.bytes);
        self.append(&bytes)?;
        self.sides[stream as usize].bytes = bytes;
        self.sides[stream as usize].bytes.clear();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), BasisFileError> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        let written = self.file.write_all(bytes);
        written.map_err(|source| BasisFileError::Io { path: beside(&self.path), source })
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// The streams of the snapshot before, from a file.
#[derive(Debug)]
pub struct BasisFile {
    file: File,
    snapshot: SnapshotId,
    root: Place,
    sides: [Known; 2],
}

#[derive(Debug)]
struct Known {
    length: u64,
    blocks: Vec<u64>,
}

impl BasisFile {
    /// Nothing where there is no file.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    pub fn open(path: &Path) -> Result<Option<BasisFile>, BasisFileError> {
        let io = |source| BasisFileError::Io { path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io(source)),
        };
        let format = || BasisFileError::Format { path: path.to_owned() };
        let length = file.metadata().map_err(io)?.len();
        let end_at = length.checked_sub(END as u64).ok_or_else(format)?;
        let mut end = [0; END];
        file.read_exact_at(&mut end, end_at).map_err(io)?;
        if &end[4..12] != MAGIC {
            return Err(format());
        }
        if hash(&mut file, length - HASH as u64).map_err(io)?.as_bytes()[..] != end[12..] {
            return Err(BasisFileError::Damaged { path: path.to_owned() });
        }
        let trailer_length = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
        let trailer_at = end_at.checked_sub(trailer_length).ok_or_else(format)?;
        let mut trailer = vec![0; trailer_length as usize];
        file.read_exact_at(&mut trailer, trailer_at).map_err(io)?;
        let (snapshot, root, sides) = parse(&trailer).map_err(|Malformed| format())?;
        Ok(Some(BasisFile { file, snapshot, root, sides }))
    }

    /// Which snapshot it is of.
    pub fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    pub fn into_basis(self) -> Basis {
        let Place { page, refs, .. } = self.root;
        Basis::new(self, page, refs)
    }
}

fn hash(file: &mut File, length: u64) -> io::Result<blake3::Hash> {
    let (mut hasher, mut left) = (blake3::Hasher::new(), file.take(length));
    let mut buffer = vec![0; BLOCK];
    loop {
        let read = left.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(&buffer[..read]);
    }
}

fn parse(trailer: &[u8]) -> Result<(SnapshotId, Place, [Known; 2]), Malformed> {
    let mut cursor = Cursor::new(trailer);
    let snapshot = SnapshotId(cursor.array()?);
    let mut number = || cursor.array().map(u64::from_le_bytes);
    let root = Place { page: number()?, refs: number()?, floor: 0 };
    let mut side = || {
        let length = number()?;
        let count = length.div_ceil(BLOCK as u64);
        if count > trailer.len() as u64 {
            return Err(Malformed);
        }
        let blocks = (0..count).map(|_| number()).collect::<Result<_, _>>()?;
        Ok(Known { length, blocks })
    };
    let sides = [side()?, side()?];
    if cursor.remaining() == 0 { Ok((snapshot, root, sides)) } else { Err(Malformed) }
}

impl Streams for BasisFile {
    fn length(&self, stream: Stream) -> u64 {
        self.sides[stream as usize].length
    }

    fn read(&self, stream: Stream, mut position: u64, mut into: &mut [u8]) -> io::Result<()> {
        let side = &self.sides[stream as usize];
        if position.checked_add(into.len() as u64).is_none_or(|end| end > side.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !into.is_empty() {
            let within = (position % BLOCK as u64) as usize;
            let (now, later) = into.split_at_mut(into.len().min(BLOCK - within));
            let block = side.blocks[(position / BLOCK as u64) as usize];
            self.file.read_exact_at(now, block + within as u64)?;
            position += now.len() as u64;
            into = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path) -> (Vec<u8>, Vec<ChunkId>) {
        let mut names = vec![0; 300_000];
        blake3::Hasher::new().finalize_xof().fill(&mut names);
        let ids: Vec<_> = names.chunks_exact(32).map(|id| ChunkId(id.try_into().unwrap())).collect();
        let mut writer = BasisFileWriter::create(path).unwrap();
        for (bytes, ids) in names.chunks(7001).zip(ids.chunks(200)) {
            writer.names(bytes).unwrap();
            writer.refs(ids).unwrap();
        }
        assert!(!path.exists(), "not before the snapshot is there");
        writer.finish(SnapshotId([3; 16]), Place { page: 5, refs: 6, floor: 0 }).unwrap();
        (names, ids[..43 * 200].to_vec())
    }

    #[test]
    fn both_streams_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("basis");
        assert!(BasisFile::open(&path).unwrap().is_none());
        let (names, ids) = write(&path);
        let file = BasisFile::open(&path).unwrap().unwrap();
        assert_eq!((file.snapshot(), file.root.page, file.root.refs), (SnapshotId([3; 16]), 5, 6));
        let mut read = vec![0; 200_000];
        file.read(Stream::Names, 50_001, &mut read).unwrap();
        assert_eq!(read, names[50_001..250_001]);
        assert_eq!(file.length(Stream::Refs), ids.len() as u64 * 32);
        let mut last = [0; 32];
        file.read(Stream::Refs, (ids.len() as u64 - 1) * 32, &mut last).unwrap();
        assert_eq!(ChunkId(last), *ids.last().unwrap());
        assert!(file.read(Stream::Names, 299_999, &mut [0; 2]).is_err());
        assert!(file.read(Stream::Names, u64::MAX, &mut [0; 2]).is_err());
    }

    #[test]
    fn what_is_not_what_was_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("basis");
        write(&path);
        let good = fs::read(&path).unwrap();
        for at in [0, 70_000, good.len() - 200, good.len() - 40, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            let error = BasisFile::open(&path).unwrap_err();
            assert!(error.to_string().contains("basis"), "{error}");
        }
        for length in [0, 10, 43, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            assert!(matches!(BasisFile::open(&path), Err(BasisFileError::Format { .. })));
        }
    }
}
