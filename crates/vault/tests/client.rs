//! Both sides of a vault together: what a client writes, a keeper keeps and a reader reads.
#![allow(clippy::unwrap_used)] // a test fails where it stands

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use vault::storage::Directory;
use vault::{
    Access, Basis, BasisFile, BasisFileWriter, Content, Cost, Description, DomainSecret, Entry, FileSource, FileTime,
    Finished, Kind, Layout, Mode, Opener, Place, Session, SessionOptions, SnapshotId, SnapshotWriter, TreeReader,
    Trust, UploadOptions, Vault, WayIn,
};

const SECRET: DomainSecret = DomainSecret([42; 32]);
const CHEAP: Cost = Cost { memory_kib: 64, passes: 1 };

/// Files by path; directories follow from them.
type Tree = BTreeMap<String, Vec<u8>>;

struct Bytes(Vec<u8>);

impl FileSource for Bytes {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn open(&mut self) -> io::Result<Layout> {
        Ok(Layout { size: Some(self.size()), extents: None })
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let left = &self.0[offset as usize..];
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        Ok(count)
    }

    fn close(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    for number in 0..600_u64 {
        tree.insert(format!("small/{}/{number}", number % 30), format!("text {number} ").repeat(40).into_bytes());
    }
    for number in 0..5 {
        tree.insert(format!("large/{number}"), noise(number % 3, 1_500_000));
        tree.insert(format!("large/{number}.txt"), format!("line {number}\n").repeat(300_000).into_bytes());
    }
    tree.insert("empty".to_owned(), Vec::new());
    tree
}

fn entry(name: &str, kind: Kind, inode: u64) -> Entry {
    let time = FileTime { seconds: 1_600_000_000, nanoseconds: 0 };
    Entry {
        name: name.as_bytes().to_vec(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        modified: time,
        changed: time,
        inode,
        device: 1,
        linked: false,
        attributes: Vec::new(),
    }
}

fn walk(tree: &Tree, under: &str, writer: &mut SnapshotWriter<Session, Bytes>) {
    let mut names = BTreeMap::new();
    for (path, bytes) in tree.range(under.to_owned()..).take_while(|(path, _)| path.starts_with(under)) {
        match path[under.len()..].split_once('/') {
            Some((name, _)) => names.insert(name.to_owned(), None),
            None => names.insert(path[under.len()..].to_owned(), Some(bytes)),
        };
    }
    for (name, bytes) in names {
        let Some(bytes) = bytes else {
            writer.begin_directory(name.as_bytes()).unwrap();
            walk(tree, &format!("{under}{name}/"), writer);
            writer.end_directory(entry(&name, Kind::Directory(Place::default()), 1)).unwrap();
            continue;
        };
        let inode = u64::from_le_bytes(blake3::hash(bytes).as_bytes()[..8].try_into().unwrap());
        let content = Content { size: bytes.len() as u64, ..Content::default() };
        let entry = entry(&name, Kind::File(content), inode);
        if writer.before(name.as_bytes()).is_some_and(|before| entry.is_unchanged_since(before)) {
            writer.unchanged(entry).unwrap();
        } else {
            writer.file(entry, Bytes(bytes.clone())).unwrap();
        }
    }
}

/// A vault in a folder, and the folder of its client.
struct Bench {
    vault: Arc<Vault>,
    mode: Mode,
    trust: Trust,
    folder: TempDir,
}

impl Bench {
    fn new(mode: Mode, trust: Trust) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let storage = Arc::new(Directory::create(&folder.path().join("vault")).unwrap());
        let vault = Vault::init(storage, "host", &way(), CHEAP).unwrap();
        Bench { vault, mode, trust, folder }
    }

    fn open_again(self) -> Bench {
        let Bench { vault, mode, trust, folder } = self;
        drop(vault);
        let storage = Arc::new(Directory::open(&folder.path().join("vault")).unwrap());
        Bench { vault: Vault::open(storage, &way(), Access::Write).unwrap(), mode, trust, folder }
    }

    fn basis_path(&self) -> std::path::PathBuf {
        self.folder.path().join("basis")
    }

    fn backup(&self, tree: &Tree, basis: Option<(SnapshotId, Basis)>, keep: Option<&Path>) -> Finished {
        let (id, basis) = basis.unzip();
        let session = self.vault.begin(SessionOptions {
            source: "here".to_owned(),
            domain: "all".to_owned(),
            mode: self.mode,
            basis: id,
            trust: self.trust,
            now_ms: 1_700_000_000_000,
        });
        let secret = (self.mode == Mode::Private).then(|| (SECRET, rand::random()));
        let options = UploadOptions { secret, names: self.trust == Trust::Own, ..UploadOptions::default() };
        let mut writer = SnapshotWriter::new(Arc::new(session.unwrap()), options, basis);
        if let Some(path) = keep {
            writer.keep_basis(BasisFileWriter::create(path).unwrap());
        }
        walk(tree, "", &mut writer);
        let description = Description { machine: "here".to_owned(), ..Description::default() };
        writer.finish(&description, false).unwrap()
    }

    fn reader(&self, id: SnapshotId) -> vault::Reader {
        let reader = self.vault.reader(id, Some("here")).unwrap();
        if self.mode == Mode::Private { reader.with_secret(SECRET) } else { reader }
    }

    fn basis(&self, id: SnapshotId) -> Basis {
        let reader = self.reader(id);
        let (root, refs) = (reader.snapshot().root, reader.snapshot().root_refs);
        Basis::new(reader, root, refs)
    }

    /// What a snapshot holds.
    fn read(&self, id: SnapshotId) -> Tree {
        let reader = Arc::new(self.reader(id));
        let snapshot = reader.snapshot();
        let tree = TreeReader::new(reader.clone(), snapshot.root, snapshot.root_refs);
        let mut found = Tree::new();
        for item in tree.walk(tree.root()).unwrap() {
            let (path, entry) = item.unwrap();
            if let Kind::File(content) = entry.kind {
                let positions = content.first..content.first + content.chunks.len() as u64;
                let bytes: Vec<u8> = positions.flat_map(|at| reader.chunk(at).unwrap().to_vec()).collect();
                assert_eq!(bytes.len() as u64, content.size);
                found.insert(String::from_utf8(path).unwrap(), bytes);
            }
        }
        found
    }
}

fn way() -> WayIn {
    WayIn::Host([7; 32].into())
}

fn round_trip(mode: Mode, trust: Trust) {
    let bench = Bench::new(mode, trust);
    let mut tree = tree();
    let first = bench.backup(&tree, None, Some(&bench.basis_path()));
    assert!(bench.read(first.received.snapshot) == tree);
    assert_eq!((first.counts.files, first.counts.files_read, first.counts.directories), (611, 610, 32));

    let bench = bench.open_again();
    assert!(bench.read(first.received.snapshot) == tree);

    let kept = BasisFile::open(&bench.basis_path()).unwrap().unwrap();
    assert_eq!(kept.snapshot(), first.received.snapshot);
    let second = bench.backup(&tree, Some((kept.snapshot(), kept.into_basis())), None);
    assert_eq!((second.counts.files, second.counts.files_read), (611, 0));
    assert!(second.received.stored_bytes < 1000, "{}", second.received.stored_bytes);

    tree.insert("small/7/7".to_owned(), noise(99, 70_000));
    tree.remove("small/8/8");
    let third = second.received.snapshot;
    let third = bench.backup(&tree, Some((third, bench.basis(third))), None);
    assert_eq!(third.counts.files_read, 1);
    assert!(bench.read(third.received.snapshot) == tree);

    let words = bench.vault.snapshot(third.received.snapshot).unwrap().description;
    let mut opener = (mode == Mode::Private).then(|| Opener::new(SECRET));
    assert_eq!(Description::decode(&words, opener.as_mut()).unwrap().machine, "here");
}

#[test]
fn what_a_keeper_checks_comes_back() {
    round_trip(Mode::Managed, Trust::Verify);
}

#[test]
fn what_this_process_named_comes_back() {
    round_trip(Mode::Managed, Trust::Own);
}

#[test]
fn what_the_keeper_cannot_read_comes_back() {
    round_trip(Mode::Private, Trust::Verify);
}

#[test]
fn files_that_are_read_again_are_not_sent_again() {
    let bench = Bench::new(Mode::Managed, Trust::Verify);
    let tree = tree();
    bench.backup(&tree, None, None);
    let again = bench.backup(&tree, None, None);
    assert_eq!(again.counts.files_read, 610);
    assert!(again.received.stored_bytes < 1000, "{}", again.received.stored_bytes);
}
