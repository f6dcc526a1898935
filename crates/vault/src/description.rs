//! The client's own words about a snapshot: what was backed up where, who its numbers are, and what could not be read.
//!
//! `version u8`, `length varint` of what follows plain, then that compressed with zstd: machine, program and time (seconds
//! zigzag, nanoseconds), paths, users, groups (number less the one before, name), the root's own entry (0, or 1 and the
//! entry, which stands where the names stream has none), problems of all, and those that are listed (path, what). A later
//! version may append, and readers pass over what they do not know.

use crate::tree::{decode_root, encode_root};
use crate::varint::{Cursor, Malformed, put, put_bytes, put_signed};
use crate::{Entry, Fault, FileTime, OpenError, Opener, Sealer, SegmentKind};
use std::collections::BTreeMap;

const VERSION: u8 = 1;
/// Plain bytes that a reader takes.
const MOST_BYTES: u64 = 16 << 20;
/// Bytes of an encoded one: whoever opens a snapshot is sent all of it.
const MOST_ENCODED: usize = 1 << 20;
/// Of a problem, what is more is cut off.
const MOST_TEXT: usize = 512;

/// What a client says about its snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// As the machine calls itself.
    pub machine: String,
    /// Program and version.
    pub program: String,
    /// When it began, by the client's clock.
    pub began: FileTime,
    /// What was asked for.
    pub paths: Vec<Vec<u8>>,
    /// Names of the users and groups that files belong to.
    pub users: BTreeMap<u32, String>,
    pub groups: BTreeMap<u32, String>,
    /// Owner, mode and times of the directory that the root of the tree is; its name means nothing.
    pub root: Option<Entry>,
    /// The first of them, at most [`Description::PROBLEMS`].
    pub problems: Vec<Problem>,
    /// All of them.
    pub problem_count: u64,
}

/// Something that could not be read, or not whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    pub path: Vec<u8>,
    pub what: String,
}

/// Why a description cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    #[error("the description of a snapshot is damaged")]
    Format,
    #[error("the description of a snapshot was written by a newer version ({0}); update this program")]
    Newer(u8),
    #[error("the description of a snapshot cannot be opened")]
    Sealed(#[from] OpenError),
}

impl From<Malformed> for DescriptionError {
    fn from(_: Malformed) -> DescriptionError {
        DescriptionError::Format
    }
}

impl From<Fault> for DescriptionError {
    fn from(_: Fault) -> DescriptionError {
        DescriptionError::Format
    }
}

impl Description {
    /// Problems that are listed; more are counted.
    pub const PROBLEMS: usize = 10_000;

    /// Counts a problem, and lists it while there is room.
    pub fn add_problem(&mut self, path: &[u8], what: &str) {
        self.problem_count += 1;
        if self.problems.len() < Description::PROBLEMS {
            let end = what.floor_char_boundary(MOST_TEXT);
            self.problems.push(Problem { path: path.to_vec(), what: what[..end].to_owned() });
        }
    }

    /// For a snapshot; sealed where the domain is private. What makes it too long is left out: first problems, of which the
    /// number stays, then names of users and groups, then the attributes of the root.
    pub fn encode(&self, sealer: Option<&Sealer>) -> Vec<u8> {
        let mut fitting = std::borrow::Cow::Borrowed(self);
        let out = loop {
            match fitting.encode_open() {
                Some(out) => break out,
                None => fitting.to_mut().shorten(),
            }
        };
        match sealer {
            Some(sealer) => sealer.seal(SegmentKind::Zstd, &out),
            None => out,
        }
    }

    fn shorten(&mut self) {
        if !self.problems.is_empty() {
            self.problems.truncate(self.problems.len() / 2);
        } else if !self.users.is_empty() || !self.groups.is_empty() {
            for names in [&mut self.users, &mut self.groups] {
                let kept = names.len() / 2;
                *names = std::mem::take(names).into_iter().take(kept).collect();
            }
        } else if let Some(root) = self.root.as_mut().filter(|root| !root.attributes.is_empty()) {
            root.attributes.clear();
        } else {
            self.paths.truncate(self.paths.len() / 2);
            let end = self.machine.floor_char_boundary(MOST_TEXT);
            self.machine.truncate(end);
            let end = self.program.floor_char_boundary(MOST_TEXT);
            self.program.truncate(end);
        }
    }

    /// None where it is too long.
    fn encode_open(&self) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        put_bytes(&mut plain, self.machine.as_bytes());
        put_bytes(&mut plain, self.program.as_bytes());
        put_signed(&mut plain, self.began.seconds);
        put(&mut plain, self.began.nanoseconds.into());
        put(&mut plain, self.paths.len() as u64);
        self.paths.iter().for_each(|path| put_bytes(&mut plain, path));
        for names in [&self.users, &self.groups] {
            put(&mut plain, names.len() as u64);
            let mut last = 0;
            for (number, name) in names {
                put(&mut plain, u64::from(number - last));
                put_bytes(&mut plain, name.as_bytes());
                last = *number;
            }
        }
        plain.push(self.root.is_some().into());
        if let Some(root) = &self.root {
            encode_root(root, &mut plain);
        }
        put(&mut plain, self.problem_count);
        self.encode_problems(&mut plain);
        if plain.len() as u64 > MOST_BYTES {
            return None;
        }
        let mut out = vec![VERSION];
        put(&mut out, plain.len() as u64);
        out.extend(zstd::bulk::compress(&plain, 3).expect("zstd compresses anything that fits into memory"));
        (out.len() <= MOST_ENCODED).then_some(out)
    }

    /// As many as a reader takes.
    fn encode_problems(&self, plain: &mut Vec<u8>) {
        let room = (MOST_BYTES as usize / 2).saturating_sub(plain.len());
        let mut used = 0;
        let listed = self.problems.iter().take(Description::PROBLEMS).take_while(|problem| {
            used += problem.path.len() + problem.what.len() + 20;
            used <= room
        });
        let listed: Vec<_> = listed.collect();
        put(plain, listed.len() as u64);
        for problem in listed {
            put_bytes(plain, &problem.path);
            put_bytes(plain, problem.what.as_bytes());
        }
    }

    /// From a snapshot. An opener for those of private domains.
    ///
    /// # Errors
    /// It is damaged, sealed under another secret, or of a newer version.
    pub fn decode(bytes: &[u8], opener: Option<&mut Opener>) -> Result<Description, DescriptionError> {
        match opener {
            Some(opener) => Description::decode_open(&opener.open(bytes)?.1),
            None => Description::decode_open(bytes),
        }
    }

    fn decode_open(bytes: &[u8]) -> Result<Description, DescriptionError> {
        let mut cursor = Cursor::new(bytes);
        let version = cursor.byte()?;
        if version != VERSION {
            return Err(if version > VERSION { DescriptionError::Newer(version) } else { DescriptionError::Format });
        }
        let length = cursor.number()?;
        if length > MOST_BYTES {
            return Err(DescriptionError::Format);
        }
        let compressed = cursor.take(cursor.remaining())?;
        let plain = zstd::bulk::decompress(compressed, length as usize).map_err(|_| DescriptionError::Format)?;
        Description::decode_plain(&mut Cursor::new(&plain))
    }

    fn decode_plain(cursor: &mut Cursor<'_>) -> Result<Description, DescriptionError> {
        let (machine, program) = (text(cursor)?, text(cursor)?);
        let began = FileTime { seconds: cursor.signed()?, nanoseconds: cursor.small()? };
        let mut paths = Vec::new();
        for _ in 0..cursor.count(1)? {
            paths.push(cursor.bytes()?.to_vec());
        }
        let (users, groups) = (people(cursor)?, people(cursor)?);
        let root = match cursor.byte()? {
            0 => None,
            _ => Some(decode_root(cursor)?),
        };
        let problem_count = cursor.number()?;
        let mut problems = Vec::new();
        for _ in 0..cursor.count(2)? {
            problems.push(Problem { path: cursor.bytes()?.to_vec(), what: text(cursor)? });
        }
        Ok(Description { machine, program, began, paths, users, groups, root, problems, problem_count })
    }
}

fn text(cursor: &mut Cursor<'_>) -> Result<String, DescriptionError> {
    String::from_utf8(cursor.bytes()?.to_vec()).map_err(|_| DescriptionError::Format)
}

fn people(cursor: &mut Cursor<'_>) -> Result<BTreeMap<u32, String>, DescriptionError> {
    let (mut people, mut last) = (BTreeMap::new(), 0_u32);
    for _ in 0..cursor.count(2)? {
        last = last.checked_add(cursor.small()?).ok_or(DescriptionError::Format)?;
        people.insert(last, text(cursor)?);
    }
    Ok(people)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DomainSecret, Kind, Place};
    use proptest::prelude::*;

    fn described() -> Description {
        let root = Entry {
            name: b"root".to_vec(),
            kind: Kind::Directory(Place::default()),
            mode: 0o755,
            uid: 0,
            gid: 0,
            modified: FileTime { seconds: -5, nanoseconds: 1 },
            changed: FileTime { seconds: 5, nanoseconds: 1 },
            inode: 2,
            device: 64,
            linked: false,
            attributes: vec![(b"user.a".to_vec(), b"1".to_vec())],
        };
        let mut description = Description {
            machine: "büro-3".to_owned(),
            program: "backup 0.1.0".to_owned(),
            began: FileTime { seconds: 1_700_000_000, nanoseconds: 5 },
            paths: vec![b"/".to_vec(), b"/srv/\xff".to_vec()],
            users: [(0, "root".to_owned()), (1000, "ann".to_owned()), (u32::MAX, "nobody".to_owned())].into(),
            groups: [(5, "tty".to_owned())].into(),
            root: Some(root),
            ..Description::default()
        };
        description.add_problem(b"etc/shadow", "permission denied");
        description
    }

    #[test]
    fn it_comes_back() {
        let description = described();
        assert_eq!(Description::decode(&description.encode(None), None).unwrap(), description);
        let empty = Description::default();
        assert_eq!(Description::decode(&empty.encode(None), None).unwrap(), empty);
    }

    #[test]
    fn one_that_is_too_long_is_shortened_and_can_be_read() {
        let mut description = described();
        let text = |number: u32| blake3::hash(&number.to_le_bytes()).to_hex().to_string();
        description.users = (0..400_000).map(|number| (number, text(number))).collect();
        for number in 0..10_000 {
            description.add_problem(text(number).as_bytes(), "it is gone");
        }
        description.root.as_mut().unwrap().attributes = vec![(b"user.large".to_vec(), vec![b'x'; 100_000])];
        let encoded = description.encode(None);
        assert!(encoded.len() <= MOST_ENCODED);
        let read = Description::decode(&encoded, None).unwrap();
        assert_eq!(
            (read.problem_count, &read.machine, &read.paths),
            (10_001, &description.machine, &description.paths)
        );
        assert!(read.users.len() > 10_000 && read.users.iter().all(|(number, name)| *name == text(*number)));
        assert_eq!(read.root, description.root);
        description.root.as_mut().unwrap().attributes = (0..500_u32)
            .map(|number| {
                let mut noise = vec![0; 65_536];
                blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut noise);
                (format!("user.{number:03}").into_bytes(), noise)
            })
            .collect();
        let read = Description::decode(&description.encode(None), None).unwrap();
        assert!(read.root.unwrap().attributes.is_empty());
    }

    #[test]
    fn in_a_private_domain_only_the_secret_opens_it() {
        let (description, secret) = (described(), DomainSecret([3; 32]));
        let sealed = description.encode(Some(&Sealer::new(&secret, [1; 16])));
        assert!(!sealed.windows(4).any(|bytes| bytes == b"root"));
        assert_eq!(Description::decode(&sealed, Some(&mut Opener::new(secret))).unwrap(), description);
        let mut stranger = Opener::new(DomainSecret([4; 32]));
        let refused = Description::decode(&sealed, Some(&mut stranger));
        assert!(matches!(refused, Err(DescriptionError::Sealed(OpenError::Refused))));
    }

    #[test]
    fn problems_are_listed_up_to_a_number_and_counted_beyond() {
        let mut description = Description::default();
        for number in 0..20_000 {
            description.add_problem(format!("some/where/{number}").as_bytes(), &"é".repeat(1000));
        }
        assert_eq!((description.problems.len(), description.problem_count), (10_000, 20_000));
        let read = Description::decode(&description.encode(None), None).unwrap();
        assert_eq!(read.problem_count, 20_000);
        assert!(read.problems.len() > 1000);
        assert_eq!(read.problems[..], description.problems[..read.problems.len()]);
        assert_eq!(read.problems[0].what, "é".repeat(256));
    }

    #[test]
    fn a_newer_one_and_a_bomb_are_refused() {
        assert!(matches!(Description::decode(&[2, 1, 1], None), Err(DescriptionError::Newer(2))));
        let mut bomb = vec![1];
        put(&mut bomb, 1 << 40);
        bomb.extend(zstd::bulk::compress(&vec![0; 32 << 20], 1).unwrap());
        assert!(matches!(Description::decode(&bomb, None), Err(DescriptionError::Format)));
        bomb.splice(1..7, [200, 1]);
        assert!(matches!(Description::decode(&bomb, None), Err(DescriptionError::Format)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at: proptest::sample::Index, bit in 0_u8..8) {
            let _read_or_refused = Description::decode_plain(&mut Cursor::new(&bytes));
            let mut changed = described().encode(None);
            let at = at.index(changed.len());
            changed[at] ^= 1_u8 << bit;
            let _read_or_refused = Description::decode(&changed, None);
        }
    }
}
