mod again;
mod keeper;
mod refused;

use super::*;
use crate::{Attribute, DomainSecret, Layout};
use keeper::{Bytes, Full, Keeper};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file in memory, with a hole after its bytes.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    bytes: Arc<Vec<u8>>,
    hole: u64,
    fails: Option<io::ErrorKind>,
    fails_at: u64,
}

impl FileSource for Plain {
    fn size(&self) -> u64 {
        self.bytes.len() as u64 + self.hole
    }

    fn open(&mut self) -> io::Result<Layout> {
        match self.fails {
            Some(kind) if self.fails_at == 0 => return Err(kind.into()),
            _ => {}
        }
        let extents = (self.hole > 0).then(|| vec![(0, self.bytes.len() as u64)]);
        Ok(Layout { size: Some(self.size()), extents })
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut end = self.bytes.len();
        if let Some(kind) = self.fails {
            if offset >= self.fails_at {
                return Err(kind.into());
            }
            end = self.fails_at as usize;
        }
        let left = &self.bytes[(offset as usize).min(end)..end];
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        Ok(count)
    }

    fn close(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

/// A tree of files in memory.
#[derive(Clone, Debug)]
enum Node {
    File(Plain),
    Directory(BTreeMap<Vec<u8>, Node>),
    Fifo,
}

fn plain(bytes: Vec<u8>) -> Plain {
    Plain { bytes: Arc::new(bytes), hole: 0, fails: None, fails_at: 0 }
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

fn entry(name: &[u8], node: &Node) -> Entry {
    let (kind, inode) = match node {
        Node::File(file) => {
            let seed = blake3::hash(&file.bytes).as_bytes()[..8].try_into().unwrap();
            (Kind::File(Content { size: file.size(), ..Content::default() }), u64::from_le_bytes(seed) >> 8)
        }
        Node::Directory(_) => (Kind::Directory(Place::default()), 2),
        Node::Fifo => (Kind::Fifo, 3),
    };
    let time = FileTime { seconds: 1_600_000_000, nanoseconds: 7 };
    let attributes = Vec::<Attribute>::new();
    Entry {
        name: name.to_vec(),
        kind,
        mode: 0o600,
        uid: 1,
        gid: 2,
        modified: time,
        changed: time,
        inode,
        device: 9,
        linked: false,
        attributes,
    }
}

type Writer = SnapshotWriter<Keeper, Plain>;

fn walk(tree: &BTreeMap<Vec<u8>, Node>, writer: &mut Writer) -> Result<(), WriteError<Full>> {
    for (name, node) in tree {
        let entry = entry(name, node);
        match node {
            Node::File(file) => {
                if writer.before(name).is_some_and(|before| entry.is_unchanged_since(before)) {
                    writer.unchanged(entry)?;
                } else {
                    writer.file(entry, file.clone())?;
                }
            }
            Node::Directory(below) => {
                writer.begin_directory(name)?;
                walk(below, writer)?;
                writer.end_directory(entry)?;
            }
            Node::Fifo => writer.entry(entry)?,
        }
    }
    Ok(())
}

fn backup(
    keeper: &Arc<Keeper>,
    tree: &BTreeMap<Vec<u8>, Node>,
    basis: Option<Basis>,
) -> Result<(Finished, Vec<Failure<Plain>>), WriteError<Full>> {
    let secret = keeper.secret.clone().map(|secret| (secret, [4; 16]));
    let mut writer = Writer::new(keeper.clone(), UploadOptions { secret, ..UploadOptions::default() }, basis);
    walk(tree, &mut writer)?;
    writer.settle()?;
    let failures = writer.failures();
    let mut description = Description::default();
    failures.iter().for_each(|failure| description.add_problem(b"a file", &failure.error.to_string()));
    Ok((writer.finish(&description, !failures.is_empty())?, failures))
}

/// What a snapshot holds, as paths and bytes.
fn contents(keeper: &Keeper) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
    let reader = keeper.reader(&keeper.last());
    let found = reader.walk(reader.root()).unwrap().map(|found| {
        let (path, entry) = found.unwrap();
        let Kind::File(content) = &entry.kind else { return (path, None) };
        let ids = reader.ids_of(content).unwrap();
        let chunks = keeper.chunks.lock();
        let mut bytes = Vec::new();
        for (id, length) in ids.iter().zip(&content.chunks) {
            assert_eq!(chunks[id].1.len(), *length as usize);
            bytes.extend_from_slice(&chunks[id].1);
        }
        bytes.resize(content.size as usize, 0);
        (path, Some(bytes))
    });
    found.collect()
}

fn expected(tree: &BTreeMap<Vec<u8>, Node>, path: &[u8], out: &mut BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
    for (name, node) in tree {
        let path = if path.is_empty() { name.clone() } else { [path, b"/", name].concat() };
        let bytes = match node {
            Node::File(file) => {
                let mut bytes = file.bytes.to_vec();
                bytes.resize(file.size() as usize, 0);
                Some(bytes)
            }
            _ => None,
        };
        out.insert(path.clone(), bytes);
        if let Node::Directory(below) = node {
            expected(below, &path, out);
        }
    }
}

fn check(keeper: &Keeper, tree: &BTreeMap<Vec<u8>, Node>) {
    let mut all = BTreeMap::new();
    expected(tree, b"", &mut all);
    let found = contents(keeper);
    assert_eq!(found.keys().collect::<Vec<_>>(), all.keys().collect::<Vec<_>>());
    for (path, bytes) in found {
        assert!(bytes == all[&path], "{} differs", String::from_utf8_lossy(&path));
    }
}

fn tree() -> impl Strategy<Value = BTreeMap<Vec<u8>, Node>> {
    let name = proptest::collection::vec(b'a'..=b'f', 1..4);
    let size = prop_oneof![6 => 0_usize..3000, 2 => 0_usize..200_000, 1 => 0_usize..6_000_000];
    let file = (0_u64..40, size, prop_oneof![4 => Just(0), 1 => 1_u64..100_000]).prop_map(|(seed, length, hole)| {
        let bytes = if seed % 3 == 0 { noise(seed, length) } else { noise(seed, 50).repeat(length / 50 + 1) };
        Node::File(Plain { hole, ..plain(bytes[..length].to_vec()) })
    });
    let leaf = prop_oneof![5 => file, 1 => Just(Node::Fifo)].boxed();
    let inner = proptest::collection::btree_map(name.clone(), leaf.clone(), 0..12).prop_map(Node::Directory);
    let node = prop_oneof![2 => leaf.clone(), 1 => inner];
    let middle = proptest::collection::btree_map(name.clone(), node, 0..8).prop_map(Node::Directory);
    proptest::collection::btree_map(name, prop_oneof![1 => leaf, 1 => middle], 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_tree_comes_back_and_costs_nothing_again(tree in tree(), private: bool) {
        let keeper = Arc::new(Keeper { secret: private.then_some(DomainSecret([8; 32])), ..Keeper::default() });
        backup(&keeper, &tree, None).unwrap();
        check(&keeper, &tree);
        let (stored, first) = (keeper.stored(), keeper.last());
        let (again, _) = backup(&keeper, &tree, Some(keeper.basis())).unwrap();
        let read = again.counts.files_read;
        prop_assert_eq!(read, 0);
        prop_assert_eq!(keeper.stored(), stored);
        let second = keeper.last();
        prop_assert_eq!((second.names, second.refs, second.root), (first.names, first.refs, first.root));
        let (_, failures) = backup(&keeper, &tree, None).unwrap();
        prop_assert!(failures.is_empty());
        prop_assert_eq!(keeper.stored(), stored);
    }

    #[test]
    fn a_changed_tree_comes_back(one in tree(), two in tree()) {
        let keeper = Arc::new(Keeper::default());
        backup(&keeper, &one, None).unwrap();
        backup(&keeper, &two, Some(keeper.basis())).unwrap();
        check(&keeper, &two);
    }
}

fn one_file(name: &str, file: Plain) -> BTreeMap<Vec<u8>, Node> {
    [(name.as_bytes().to_vec(), Node::File(file))].into()
}

#[test]
fn a_file_that_cannot_be_read_is_a_failure_and_the_rest_goes_on() {
    let failing = |kind, fails_at| Plain { fails: Some(kind), fails_at, ..plain(noise(1, 300_000)) };
    let mut tree = one_file("good", plain(noise(2, 100)));
    tree.extend(one_file("denied", failing(io::ErrorKind::PermissionDenied, 0)));
    tree.extend(one_file("gone", failing(io::ErrorKind::NotFound, 0)));
    tree.extend(one_file("half", failing(io::ErrorKind::InvalidData, 1)));
    let keeper = Arc::new(Keeper::default());
    let (finished, failures) = backup(&keeper, &tree, None).unwrap();
    let kinds: Vec<_> = failures.iter().map(|failure| (failure.error.kind(), failure.vanished)).collect();
    let [denied, gone, half] = [
        (io::ErrorKind::PermissionDenied, false),
        (io::ErrorKind::NotFound, true),
        (io::ErrorKind::InvalidData, false),
    ];
    assert_eq!(kinds, [denied, gone, half]);
    assert_eq!((finished.counts.files, finished.counts.problems), (3, 3));
    let reader = keeper.reader(&keeper.last());
    let doubts = ["denied", "good", "half"].map(|name| match reader.find(name.as_bytes()).unwrap().unwrap().kind {
        Kind::File(content) => content.doubt,
        _ => panic!("a file"),
    });
    assert_eq!(doubts, [Some(Doubt::Unreadable), None, Some(Doubt::Unreadable)]);
    assert_eq!(reader.find(b"gone").unwrap(), None);
    let (again, _) = backup(&keeper, &tree, Some(keeper.basis())).unwrap();
    assert_eq!(again.counts.files_read, 2, "what is doubtful is read again");
}

fn many(count: u64) -> BTreeMap<Vec<u8>, Node> {
    let file = |number: u64| (format!("{number:07}").into_bytes(), Node::File(plain(noise(number, 900))));
    (0..count).map(file).collect()
}

#[test]
fn a_receiver_that_fails_ends_it() {
    for fails_after in [0, 1, 20] {
        let keeper = Arc::new(Keeper { fails_after: Some(fails_after), ..Keeper::default() });
        let mut tree = many(20_000);
        tree.extend(one_file("big", plain(noise(9, 20_000_000))));
        let error = backup(&keeper, &tree, None).unwrap_err();
        assert!(matches!(error, WriteError::Upload(UploadError::Receiver(Full))), "{error:?}");
        assert!(keeper.drafts.lock().is_empty());
    }
}

#[test]
fn cancelling_ends_it_and_commits_nothing() {
    let keeper = Arc::new(Keeper::default());
    let options = UploadOptions::default();
    let cancel = options.cancel.clone();
    let mut writer = Writer::new(keeper.clone(), options, None);
    let tree = many(5000);
    walk(&tree, &mut writer).unwrap();
    cancel.cancel();
    assert!(matches!(writer.finish(&Description::default(), false), Err(WriteError::Upload(UploadError::Cancelled))));
    assert!(keeper.drafts.lock().is_empty());
}

#[test]
fn a_writer_that_is_dropped_leaves_no_thread_waiting() {
    let keeper = Arc::new(Keeper::default());
    let mut writer = Writer::new(keeper.clone(), UploadOptions::default(), None);
    walk(&many(20_000), &mut writer).unwrap();
    drop(writer);
    assert_eq!(Arc::strong_count(&keeper), 1);
}

#[test]
fn equal_files_are_sent_once_whoever_reads_them() {
    let same = noise(3, 2_000_000);
    let file = |number: u32| (format!("{number}").into_bytes(), Node::File(plain(same.clone())));
    let keeper = Arc::new(Keeper::default());
    backup(&keeper, &(0..40).map(file).collect(), None).unwrap();
    assert_eq!(keeper.twice.load(Ordering::Relaxed), 0);
}

#[test]
fn what_changed_a_moment_ago_is_read_again() {
    let keeper = Arc::new(Keeper::default());
    let backup = |clock| {
        let is_first = keeper.drafts.lock().is_empty();
        let basis = (!is_first).then(|| keeper.basis());
        let mut writer = Writer::new(keeper.clone(), UploadOptions { clock, ..UploadOptions::default() }, basis);
        walk(&many(3), &mut writer).unwrap();
        writer.finish(&Description::default(), false).unwrap().counts.files_read
    };
    let [soon, later]: [fn() -> SystemTime; 2] = [
        || UNIX_EPOCH + Duration::from_millis(1_600_000_000_005),
        || UNIX_EPOCH + Duration::from_millis(1_600_000_000_500),
    ];
    assert_eq!([backup(soon), backup(soon), backup(later), backup(later)], [3, 3, 3, 0]);
}

#[test]
fn a_basis_that_cannot_be_read_costs_time_and_nothing_else() {
    let keeper = Arc::new(Keeper::default());
    let tree = many(3000);
    backup(&keeper, &tree, None).unwrap();
    let draft = keeper.last();
    let mut bytes = Bytes(keeper.stream(&draft.names), keeper.stream(&draft.refs));
    let middle = bytes.0.len() / 2;
    bytes.0[middle..].fill(0xff);
    let mut writer =
        Writer::new(keeper.clone(), UploadOptions::default(), Some(Basis::new(bytes, draft.root, draft.root_refs)));
    walk(&tree, &mut writer).unwrap();
    assert!(writer.basis_lost().is_some());
    writer.finish(&Description::default(), false).unwrap();
    check(&keeper, &tree);
}

#[test]
fn unchanged_is_only_what_the_basis_shows() {
    let keeper = Arc::new(Keeper::default());
    backup(&keeper, &many(3), None).unwrap();
    let mut writer = Writer::new(keeper.clone(), UploadOptions::default(), Some(keeper.basis()));
    let other = entry(b"0000001", &Node::File(plain(noise(77, 900))));
    assert!(matches!(writer.unchanged(other), Err(WriteError::Tree(_))));
}

/// Counts how often it is opened.
struct Counted(Plain, Arc<AtomicU64>);

impl FileSource for Counted {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn open(&mut self) -> io::Result<Layout> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.open()
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, into)
    }

    fn close(&mut self) -> io::Result<bool> {
        self.0.close()
    }
}

#[test]
fn a_file_with_several_names_is_read_once() {
    let (keeper, opened) = (Arc::new(Keeper::default()), Arc::new(AtomicU64::new(0)));
    let mut writer = SnapshotWriter::new(keeper.clone(), UploadOptions::default(), None);
    let [small, large] = [plain(noise(1, 500_000)), plain(noise(2, 3_000_000))];
    let failing = Plain { fails: Some(io::ErrorKind::PermissionDenied), ..plain(noise(3, 100)) };
    let mut tree = BTreeMap::new();
    for (names, file) in [("ace", &small), ("bdf", &large), ("gh", &failing)] {
        for name in names.bytes() {
            let node = Node::File(file.clone());
            let mut entry = entry(&[name], &node);
            entry.linked = true;
            tree.insert(vec![name], (entry, file.clone()));
        }
    }
    for (entry, file) in tree.into_values() {
        writer.file(entry, Counted(file, opened.clone())).unwrap();
    }
    writer.settle().unwrap();
    assert_eq!(writer.failures().len(), 2);
    let finished = writer.finish(&Description::default(), true).unwrap();
    assert_eq!((opened.load(Ordering::Relaxed), finished.counts.files, finished.counts.files_read), (4, 8, 4));
    let found = contents(&keeper);
    for (names, file) in [("ace", small), ("bdf", large)] {
        for name in names.bytes() {
            assert!(found[&vec![name]].as_deref() == Some(&file.bytes[..]), "{name}");
        }
    }
}

#[test]
fn other_threads_help_to_compress_a_large_file() {
    let text: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    let tree = one_file("large", plain(text));
    // On a busy machine a thread may come too late to help with one file, but not with every one.
    let is_helped = (0..100).any(|_| {
        let keeper = Arc::new(Keeper::default());
        backup(&keeper, &tree, None).unwrap();
        check(&keeper, &tree);
        keeper.threads.lock().len() > 2
    });
    assert!(is_helped, "one thread did everything");
}
