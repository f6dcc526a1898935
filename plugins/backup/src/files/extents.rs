//! Where the data of a file lies, and where there is none.

use rustix::fd::AsFd;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// More pieces than this are joined over their smallest holes, so that a badly fragmented image costs some zeros and
/// not a list without end.
const MOST: usize = 16_384;

/// Offsets and lengths of data. A file system that knows no holes says that all is data. The position of `file` is at its
/// beginning afterwards.
pub(super) fn extents(file: impl AsFd, size: u64) -> Result<Vec<(u64, u64)>, Errno> {
    let found = find(&file, size);
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    match found {
        Ok(pieces) => Ok(pieces),
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) if size == 0 => Ok(Vec::new()),
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(vec![(0, size)]),
        Err(error) => Err(error),
    }
}

fn find(file: impl AsFd, size: u64) -> Result<Vec<(u64, u64)>, Errno> {
    let mut pieces = Vec::new();
    let mut at = 0;
    let mut least_hole = 1;
    while at < size {
        let begin = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(begin) => begin.max(at),
            // From here on there is nothing but a hole.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error),
        };
        if begin >= size {
            break;
        }
        let end = match rustix::fs::seek(&file, SeekFrom::Hole(begin)) {
            Ok(end) if end > begin => end.min(size),
            // The file shrank, or its file system contradicts itself: better to read too much.
            Ok(_) | Err(Errno::NXIO) => size,
            Err(error) => return Err(error),
        };
        pieces.push((begin, end - begin));
        if pieces.len() > MOST {
            while pieces.len() > MOST / 2 {
                least_hole *= 2;
                pieces = join(pieces, least_hole);
            }
        }
        at = end;
    }
    Ok(join(pieces, least_hole))
}

/// Pieces with nothing between them, or a hole smaller than `least_hole`, become one.
fn join(pieces: Vec<(u64, u64)>, least_hole: u64) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(pieces.len());
    for (begin, length) in pieces {
        match joined.last_mut() {
            Some((first, sum)) if begin - (*first + *sum) < least_hole => *sum = begin + length - *first,
            _ => joined.push((begin, length)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    const STEP: u64 = 1 << 20;

    fn file(size: u64, data: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for (at, bytes) in data {
            file.write_all_at(bytes, *at).unwrap();
        }
        file.sync_all().unwrap();
        file
    }

    /// Data lies in whole blocks: what was found must cover what was written, and leave the rest out.
    fn covers(found: &[(u64, u64)], at: u64) -> bool {
        found.iter().any(|(begin, length)| *begin <= at && at < begin + length)
    }

    #[test]
    fn holes_are_left_out() {
        let file = file(10 * STEP, &[(3 * STEP, b"middle"), (9 * STEP, b"late")]);
        let found = extents(&file, 10 * STEP).unwrap();
        assert!(covers(&found, 3 * STEP) && covers(&found, 9 * STEP), "{found:?}");
        assert!(!covers(&found, STEP) && !covers(&found, 6 * STEP), "{found:?}");
        assert!(found.iter().map(|(_, length)| length).sum::<u64>() < STEP);
        assert_eq!(rustix::fs::tell(&file), Ok(0));
    }

    #[test]
    fn a_file_may_be_all_data_or_one_hole() {
        assert_eq!(extents(file(0, &[(0, b"all of it")]), 9), Ok(vec![(0, 9)]));
        assert_eq!(extents(file(0, &[]), 0), Ok(vec![]));
        assert_eq!(extents(file(1 << 40, &[]), 1 << 40), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_asked_is_all_data() {
        let (reader, _writer) = std::io::pipe().unwrap();
        // A pipe cannot seek at all: not even to its beginning.
        assert_eq!(extents(&reader, 10), Err(Errno::SPIPE));
        let zero = File::open("/dev/zero").unwrap();
        assert_eq!(extents(&zero, 10), Ok(vec![(0, 10)]));
    }

    #[test]
    fn a_list_without_end_is_joined_over_its_smallest_holes() {
        let file = tempfile::tempfile().unwrap();
        let count = 20_000u64;
        file.set_len(count * 8192 + STEP).unwrap();
        for number in 0..count {
            file.write_all_at(b"x", number * 8192).unwrap();
        }
        let found = extents(&file, count * 8192 + STEP).unwrap();
        assert!(found.len() <= MOST, "{}", found.len());
        assert!((0..count).all(|number| covers(&found, number * 8192)));
        assert!(!covers(&found, count * 8192 + STEP / 2));
    }

    #[test]
    fn pieces_are_joined_over_small_holes_only() {
        let pieces = vec![(0, 4), (4, 4), (10, 4), (100, 4)];
        assert_eq!(join(pieces.clone(), 1), [(0, 8), (10, 4), (100, 4)]);
        assert_eq!(join(pieces, 4), [(0, 14), (100, 4)]);
    }
}
