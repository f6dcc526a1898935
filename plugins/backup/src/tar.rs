//! Writes a tar archive in the pax format, which GNU tar unpacks with names, owners, modes, times, links and extended
//! attributes as they were.
//!
//! Whatever does not fit a plain header stands in a pax header before it. Holes are written as zeros.

use std::io::{Result, Write};
use vault::{Entry, FileTime, Kind};

const BLOCK: usize = 512;
/// Longest name, link target or value that is written into a plain header.
const NAME: usize = 100;
/// Largest numbers of a plain header, in octal digits less one.
const NUMBER_7: u64 = 0o7_777_777;
const NUMBER_11: u64 = 0o77_777_777_777;

/// An archive that is being written.
pub(crate) struct Archive<W> {
    to: W,
    /// Bytes of the content of the entry begun last that are still to come.
    left: u64,
}

/// What of an entry is put in.
pub(crate) struct Item<'a> {
    /// Names between slashes, none in front.
    pub(crate) path: &'a [u8],
    pub(crate) entry: &'a Entry,
    pub(crate) owner: &'a str,
    pub(crate) group: &'a str,
    /// The path under which the same file was put in before.
    pub(crate) same_as: Option<&'a [u8]>,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Archive<W> {
        Archive { to, left: 0 }
    }

    /// Begins an entry; of a file its content is to be written next. What an archive cannot hold (sockets) is left out.
    pub(crate) fn begin(&mut self, item: &Item<'_>) -> Result<()> {
        debug_assert_eq!(self.left, 0, "the content of the entry before is whole");
        let Some(header) = Header::of(item) else { return Ok(()) };
        let extended = header.extended(item);
        if !extended.is_empty() {
            let plain =
                Header { path: b"PaxHeader".to_vec(), kind: b'x', size: extended.len() as u64, ..Header::default() };
            self.to.write_all(&plain.block())?;
            self.to.write_all(&extended)?;
            self.pad(extended.len() as u64)?;
        }
        self.to.write_all(&header.block())?;
        self.left = header.size;
        if header.size == 0 { Ok(()) } else { self.to.flush() }
    }

    /// Bytes of the content of the file begun last.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> Result<()> {
        let after = self.left.checked_sub(bytes.len() as u64);
        self.left = after.ok_or_else(|| std::io::Error::other("a file is longer than was said"))?;
        self.to.write_all(bytes)
    }

    /// Ends the content of a file of this size.
    pub(crate) fn end(&mut self, size: u64) -> Result<()> {
        if self.left != 0 {
            return Err(std::io::Error::other("a file is shorter than was said"));
        }
        self.pad(size)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn pad(&mut self, length: u64) -> Result<()> {
        let over = (length % BLOCK as u64) as usize;
        self.to.write_all(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }
}

#[derive(Default)]
struct Header {
    path: Vec<u8>,
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    modified: FileTime,
    link: Vec<u8>,
    owner: String,
    group: String,
    device: (u32, u32),
}

impl Header {
    fn of(item: &Item<'_>) -> Option<Header> {
        let entry = item.entry;
        let mut header = Header {
            path: item.path.to_vec(),
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            modified: entry.modified,
            owner: item.owner.to_owned(),
            group: item.group.to_owned(),
            ..Header::default()
        };
        header.kind = match &entry.kind {
            _ if item.same_as.is_some() => b'1',
            Kind::File(content) => {
                header.size = content.size;
                b'0'
            }
            Kind::Directory(_) => {
                header.path.push(b'/');
                b'5'
            }
            Kind::Symlink { target } => {
                header.link.clone_from(target);
                b'2'
            }
            Kind::Fifo => b'6',
            Kind::CharacterDevice { major, minor } => {
                header.device = (*major, *minor);
                b'3'
            }
            Kind::BlockDevice { major, minor } => {
                header.device = (*major, *minor);
                b'4'
            }
            Kind::Socket => return None,
        };
        if let Some(path) = item.same_as {
            header.link = path.to_vec();
        }
        Some(header)
    }

    /// The records of the pax header: what the plain one cannot say.
    fn extended(&self, item: &Item<'_>) -> Vec<u8> {
        let mut records = Vec::new();
        let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
        if self.path.len() > NAME || !self.path.is_ascii() {
            add(b"path", &self.path);
        }
        if self.link.len() > NAME || !self.link.is_ascii() {
            add(b"linkpath", &self.link);
        }
        let FileTime { seconds, nanoseconds } = self.modified;
        if nanoseconds != 0 || u64::try_from(seconds).map_or(true, |seconds| seconds > NUMBER_11) {
            add(b"mtime", moment(seconds, nanoseconds).as_bytes());
        }
        if self.size > NUMBER_11 {
            add(b"size", self.size.to_string().as_bytes());
        }
        for (key, id) in [(&b"uid"[..], self.uid), (b"gid", self.gid)] {
            if u64::from(id) > NUMBER_7 {
                add(key, id.to_string().as_bytes());
            }
        }
        for (key, name) in [(&b"uname"[..], &self.owner), (b"gname", &self.group)] {
            if name.len() > 31 || !name.is_ascii() {
                add(key, name.as_bytes());
            }
        }
        if self.kind != b'1' {
            for (name, value) in &item.entry.attributes {
                add(&[b"SCHILY.xattr.", name.as_slice()].concat(), value);
            }
        }
        records
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8], most: usize| {
            let length = bytes.len().min(most);
            block[at..at + length].copy_from_slice(&bytes[..length]);
        };
        put(0, &self.path, NAME);
        put(100, octal(u64::from(self.mode), 7).as_bytes(), 8);
        put(108, octal(u64::from(self.uid).min(NUMBER_7), 7).as_bytes(), 8);
        put(116, octal(u64::from(self.gid).min(NUMBER_7), 7).as_bytes(), 8);
        put(124, octal(self.size.min(NUMBER_11), 11).as_bytes(), 12);
        put(136, octal(u64::try_from(self.modified.seconds).unwrap_or(0).min(NUMBER_11), 11).as_bytes(), 12);
        put(148, b"        ", 8);
        put(156, &[self.kind], 1);
        put(157, &self.link, NAME);
        put(257, b"ustar\x0000", 8);
        put(265, self.owner.as_bytes(), 31);
        put(297, self.group.as_bytes(), 31);
        put(329, octal(u64::from(self.device.0), 7).as_bytes(), 8);
        put(337, octal(u64::from(self.device.1), 7).as_bytes(), 8);
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

fn octal(number: u64, digits: usize) -> String {
    format!("{number:0digits$o}\0")
}

/// Seconds with as many decimals as are not zero. Before 1970 the fraction counts upwards still.
fn moment(seconds: i64, nanoseconds: u32) -> String {
    if nanoseconds == 0 {
        return seconds.to_string();
    }
    let (sign, whole, fraction) = match seconds < 0 {
        true => ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanoseconds),
        false => ("", seconds.unsigned_abs(), nanoseconds),
    };
    format!("{sign}{whole}.{fraction:09}").trim_end_matches('0').to_owned()
}

/// `length key=value\n`, where the length counts itself.
fn record(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    into.extend_from_slice(length.to_string().as_bytes());
    into.push(b' ');
    into.extend_from_slice(key);
    into.push(b'=');
    into.extend_from_slice(value);
    into.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for length in [0, 1, 80, 85, 86, 87, 88, 89, 90, 979, 980, 981, 982, 9_970, 9_975, 9_980, 9_990] {
            let mut record_ = Vec::new();
            record(&mut record_, b"path", &vec![b'x'; length]);
            let said: usize = String::from_utf8(record_.clone()).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, record_.len(), "a value of {length} bytes");
        }
    }

    #[test]
    fn a_moment_is_written_with_its_fraction_also_before_1970() {
        assert_eq!(moment(12, 0), "12");
        assert_eq!(moment(12, 500_000_000), "12.5");
        assert_eq!(moment(12, 1), "12.000000001");
        assert_eq!(moment(-1, 500_000_000), "-0.5");
        assert_eq!(moment(-2, 250_000_000), "-1.75");
        assert_eq!(moment(-7, 0), "-7");
    }
}
