use super::*;
use crate::ChunkId;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;

#[derive(Clone, Default)]
struct Memory {
    names: Vec<u8>,
    refs: Vec<u8>,
}

impl TreeSink for Memory {
    type Error = Infallible;

    fn names(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.names.extend_from_slice(bytes);
        Ok(())
    }

    fn refs(&mut self, ids: &[ChunkId]) -> Result<(), Infallible> {
        self.refs.extend(ids.iter().flat_map(|id| id.0));
        Ok(())
    }
}

impl Streams for Memory {
    fn length(&self, stream: Stream) -> u64 {
        match stream {
            Stream::Names => self.names.len() as u64,
            Stream::Refs => self.refs.len() as u64,
        }
    }

    fn read(&self, stream: Stream, position: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = match stream {
            Stream::Names => &self.names,
            Stream::Refs => &self.refs,
        };
        let range = position as usize..position as usize + into.len();
        into.copy_from_slice(bytes.get(range).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A tree as tests make it: names lead to entries, and directories to trees.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model(BTreeMap<Vec<u8>, (Entry, Option<Model>)>);

fn id(number: u64) -> ChunkId {
    ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn entry(name: &[u8], kind: Kind) -> Entry {
    Entry {
        name: name.to_vec(),
        kind,
        mode: 0o644,
        uid: 1000,
        gid: 100,
        modified: FileTime { seconds: 1_700_000_000, nanoseconds: 5 },
        changed: FileTime { seconds: 1_700_000_000, nanoseconds: 5 },
        inode: 70,
        device: 3,
        linked: false,
        attributes: Vec::new(),
    }
}

/// The ids of a file say which file it is: each follows from its name.
fn ids(entry: &Entry) -> Vec<ChunkId> {
    let Kind::File(content) = &entry.kind else { return Vec::new() };
    let seed = u64::from(blake3::hash(&entry.name).as_bytes()[0]);
    (0..content.chunks.len() as u64).map(|number| id(seed << 32 | number)).collect()
}

fn write(model: &Model, writer: &mut TreeWriter<Memory>) {
    for (name, (entry, below)) in &model.0 {
        match below {
            Some(below) => {
                writer.begin_directory(name).unwrap();
                write(below, writer);
                writer.end_directory(entry).unwrap();
            }
            None => {
                writer.refs(&ids(entry)).unwrap();
                writer.entry(entry).unwrap();
            }
        }
    }
}

fn written(model: &Model) -> TreeReader<Memory> {
    let mut writer = TreeWriter::new(Memory::default());
    write(model, &mut writer);
    let (memory, root) = writer.finish().unwrap();
    TreeReader::new(memory, root.page, root.refs)
}

/// Reads everything, checks ids, and forgets positions, which the model does not know.
fn read(reader: &TreeReader<Memory>, place: Place) -> Model {
    let mut model = Model::default();
    for (number, found) in reader.list(place).unwrap().enumerate() {
        let mut found = found.unwrap();
        if number < 20 || number % 1000 == 0 {
            assert_eq!(reader.find_in(place, &found.name).unwrap().as_ref(), Some(&found));
        }
        let mut below = None;
        match &mut found.kind {
            Kind::Directory(place) => below = Some(read(reader, std::mem::take(place))),
            Kind::File(content) => {
                let stored = reader.ids_of(content).unwrap();
                content.first = 0;
                assert_eq!(stored, ids(&found));
            }
            _ => {}
        }
        model.0.insert(found.name.clone(), (found, below));
    }
    model
}

fn content() -> impl Strategy<Value = Content> {
    let chunks = proptest::collection::vec(1_u32..=1 << 20, 0..5);
    let doubt = prop_oneof![Just(None), Just(Some(Doubt::Changed)), Just(Some(Doubt::Unreadable))];
    (chunks, proptest::option::of((1_u64..1 << 40, 1_u64..1 << 40)), doubt, any::<bool>()).prop_map(
        |(chunks, hole, doubt, fresh)| {
            let bytes: u64 = chunks.iter().map(|length| u64::from(*length)).sum();
            let (size, extents) = match hole {
                Some((gap, end)) if bytes > 1 => (gap + bytes + end, vec![(0, 1), (gap + 1, bytes - 1)]),
                Some((gap, _)) if bytes == 0 => (gap, Vec::new()),
                _ => (bytes, Vec::new()),
            };
            Content { size, chunks, first: 0, extents, doubt, fresh }
        },
    )
}

fn leaf() -> impl Strategy<Value = Kind> {
    let numbers = (any::<u32>(), any::<u32>());
    prop_oneof![
        4 => content().prop_map(Kind::File),
        1 => proptest::collection::vec(1_u8.., 0..20).prop_map(|target| Kind::Symlink { target }),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
        1 => numbers.prop_map(|(major, minor)| Kind::CharacterDevice { major, minor }),
        1 => numbers.prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
    ]
}

fn any_entry(kind: Kind) -> impl Strategy<Value = Entry> {
    let time = || (any::<i64>(), 0_u32..1_000_000_000);
    let attribute = (proptest::collection::vec(1_u8.., 1..9), any::<Vec<u8>>());
    let attributes = proptest::collection::btree_map(attribute.0, attribute.1, 0..3);
    let owner = (0_u32..0o10000, prop_oneof![Just(0), any::<u32>()], any::<u32>(), any::<u64>(), any::<u64>());
    (time(), proptest::option::of(time()), attributes, owner, any::<bool>()).prop_map(
        move |(modified, changed, attributes, (mode, uid, gid, inode, device), linked)| {
            let moment = |(seconds, nanoseconds)| FileTime { seconds, nanoseconds };
            Entry {
                name: Vec::new(),
                kind: kind.clone(),
                mode,
                uid,
                gid,
                modified: moment(modified),
                changed: moment(changed.unwrap_or(modified)),
                inode,
                device,
                linked,
                attributes: attributes.into_iter().collect(),
            }
        },
    )
}

fn model() -> impl Strategy<Value = Model> {
    let name = proptest::collection::vec(any::<u8>(), 1..12).prop_filter("a name", |name| entry::is_name(name));
    let file = leaf().prop_flat_map(any_entry).prop_map(|entry| (entry, None)).boxed();
    let leaf = proptest::collection::btree_map(name.clone(), file.clone(), 0..6).prop_map(Model);
    leaf.prop_recursive(4, 60, 6, move |inner| {
        let directory = inner.prop_flat_map(|below| {
            any_entry(Kind::Directory(Place::default())).prop_map(move |entry| (entry, Some(below.clone())))
        });
        proptest::collection::btree_map(name.clone(), prop_oneof![file.clone(), directory], 0..8).prop_map(Model)
    })
    .prop_map(named)
}

fn named(mut model: Model) -> Model {
    for (name, (entry, below)) in &mut model.0 {
        entry.name = name.clone();
        *below = below.take().map(named);
    }
    model
}

proptest! {
    #[test]
    fn what_is_written_is_read(model in model()) {
        let reader = written(&model);
        prop_assert_eq!(read(&reader, reader.root()), model);
    }

    #[test]
    fn a_sub_tree_has_the_same_bytes_wherever_it_is(model in model(), beside in model()) {
        let alone = written(&model).streams().clone();
        let directory = |name: &[u8], below: &Model| {
            (name.to_vec(), (entry(name, Kind::Directory(Place::default())), Some(below.clone())))
        };
        let both = Model([directory(b"a", &beside), directory(b"b", &model)].into());
        let both = written(&both).streams().clone();
        let holds = |whole: &[u8], part: &[u8]| part.is_empty() || whole.windows(part.len()).any(|at| at == part);
        prop_assert!(holds(&both.names, &alone.names));
        prop_assert!(holds(&both.refs, &alone.refs));
    }

    #[test]
    fn any_change_of_the_bytes_is_read_or_refused(
        model in model(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let reader = written(&model);
        let (mut memory, root) = (reader.streams().clone(), reader.root());
        for (at, byte) in changes {
            let at = at.index(memory.names.len());
            memory.names[at] ^= byte;
        }
        if let Some(cut) = cut {
            memory.names.truncate(cut.index(memory.names.len()));
        }
        survive(memory, root);
    }

    #[test]
    fn any_bytes_are_read_or_refused(names: Vec<u8>, refs in 0_usize..4, root in 0_u64..40, root_refs in 0_u64..5) {
        survive(Memory { names, refs: vec![7; refs * 32] }, Place { page: root, refs: root_refs, floor: 0 });
    }
}

/// Reads whatever these bytes are: it ends, and is no larger than they are.
fn survive(memory: Memory, root: Place) {
    let bytes = memory.names.len();
    let reader = TreeReader::new(memory, root.page, root.refs);
    let Ok(walk) = reader.walk(root) else { return };
    let (mut entries, mut paths) = (0, Vec::new());
    for found in walk {
        entries += 1;
        assert!(entries <= bytes, "a walk visits nothing twice");
        if let Ok((path, entry)) = found {
            if let Kind::File(content) = &entry.kind {
                reader.ids_of(content).unwrap();
            }
            paths.push(path);
        }
    }
    for path in paths {
        let _found_or_refused = reader.find(&path);
    }
}

#[test]
fn huge_directories_have_pages_that_a_new_name_does_not_move() {
    let files = |skip: Option<u64>| {
        let number = |number: u64| {
            let name = format!("file {number:08}").into_bytes();
            let content = Content { size: 9, chunks: vec![9], ..Content::default() };
            (name.clone(), (entry(&name, Kind::File(content)), None))
        };
        Model((0..30_000).filter(|n| Some(*n) != skip).map(number).collect())
    };
    let [with, without] = [files(None), files(Some(2500))];
    let reader = written(&with);
    assert_eq!(read(&reader, reader.root()), with);
    assert_eq!(reader.find(b"file 00029999").unwrap().unwrap().name, b"file 00029999");
    assert_eq!(reader.find(b"file 00029999x").unwrap(), None);
    assert_eq!(reader.find(b"a").unwrap(), None);
    for (name, next) in [("", 0), ("file 00004095", 4096), ("file 00012345x", 12_346), ("file 00029998", 29_999)] {
        let mut after = reader.list_after(reader.root(), name.as_bytes()).unwrap().map(|entry| entry.unwrap().name);
        assert_eq!(after.next().unwrap(), format!("file {next:08}").into_bytes(), "after {name}");
        assert_eq!(after.count(), 29_999 - next, "after {name}");
    }
    assert_eq!(reader.list_after(reader.root(), b"file 00029999").unwrap().count(), 0);
    let [with, without] = [reader, written(&without)].map(|reader| reader.streams().names.clone());
    let same = with.iter().rev().zip(without.iter().rev()).take_while(|(a, b)| a == b).count();
    assert!(same > with.len() * 4 / 5, "{same} of {} bytes at the end are the same", with.len());
}

#[test]
fn a_deep_tree_and_a_huge_file_are_read_again() {
    let chunks = vec![4096; 100_000];
    let content = Content { size: 4096 * 100_000, chunks, ..Content::default() };
    let mut model = Model([(b"huge".to_vec(), (entry(b"huge", Kind::File(content)), None))].into());
    let name = [b'x'; 200];
    for number in 0..400 {
        let mut above = Model::default();
        for (name, below) in [(&name[..], Some(model)), (&b"a"[..], None), (&b"z"[..], None)] {
            let kind = below.as_ref().map_or(Kind::Fifo, |_| Kind::Directory(Place::default()));
            let mut entry = entry(name, kind);
            entry.attributes = vec![(b"user.long".to_vec(), vec![number as u8; 60_000])];
            above.0.insert(name.to_vec(), (entry, below));
        }
        model = above;
    }
    let reader = written(&model);
    assert_eq!(read(&reader, reader.root()), model);
    let paths = reader.walk(reader.root()).unwrap().map(|found| found.unwrap().0);
    assert_eq!(paths.max_by_key(Vec::len).unwrap().len(), 400 * 201 + 4);
}

#[test]
fn what_makes_no_tree_is_refused() {
    let mut writer = TreeWriter::new(Memory::default());
    for name in [&b""[..], b".", b"..", b"a/b", b"a\0"] {
        assert!(matches!(writer.entry(&entry(name, Kind::Fifo)), Err(TreeWriteError::Name(_))));
    }
    writer.entry(&entry(b"m", Kind::Fifo)).unwrap();
    assert_eq!(
        writer.entry(&entry(b"m", Kind::Fifo)).unwrap_err().to_string(),
        "`m` came after a name that is not before it"
    );
    assert!(matches!(writer.begin_directory(b"a"), Err(TreeWriteError::Order(_))));
    writer.refs(&[id(1)]).unwrap();
    assert!(matches!(writer.entry(&entry(b"n", Kind::Fifo)), Err(TreeWriteError::Refs(_))));
    writer.begin_directory(b"o").unwrap();
    let other = entry(b"other", Kind::Directory(Place::default()));
    assert!(matches!(writer.end_directory(&other), Err(TreeWriteError::Unbalanced(_))));
    assert!(matches!(writer.finish(), Err(TreeWriteError::Unbalanced(_))));
}

/// The pages that the README shows.
fn example() -> Vec<u8> {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("the empty page before it:\n\n```\n").unwrap();
    let (hex, _) = after.split_once("```").unwrap();
    hex::decode(hex.split_whitespace().collect::<String>()).unwrap()
}

#[test]
fn the_example_in_the_readme_is_what_is_written_and_read() {
    let content = Content { size: 70_009, chunks: vec![70_000, 9], ..Content::default() };
    let mut a = entry(b"a", Kind::File(content));
    a.changed.nanoseconds = 0;
    let mut b = entry(b"b", Kind::Directory(Place::default()));
    b.mode = 0o755;
    b.inode = 71;
    let model = Model([(b"a".to_vec(), (a, None)), (b"b".to_vec(), (b, Some(Model::default())))].into());
    let reader = written(&model);
    assert_eq!(hex::encode(&reader.streams().names), hex::encode(example()));
    let memory = Memory { names: example(), refs: reader.streams().refs.clone() };
    assert_eq!(read(&TreeReader::new(memory, 4, 0), reader.root()), model);
}

#[test]
fn ids_of_a_file_that_does_not_come_belong_to_nobody() {
    let many: Vec<ChunkId> = (0..70_000).map(id).collect();
    for (before, lost) in [(0, 3), (2, 3), (0, 70_000), (2, 70_000)] {
        let mut writer = TreeWriter::new(Memory::default());
        let file = |name: String, chunks| {
            let content = Content { size: chunks, chunks: vec![1; chunks as usize], ..Content::default() };
            entry(name.as_bytes(), Kind::File(content))
        };
        let mut model = Model::default();
        for number in 0..before {
            let entry = file(format!("a{number}"), 2);
            writer.refs(&ids(&entry)).unwrap();
            writer.entry(&entry).unwrap();
            model.0.insert(entry.name.clone(), (entry, None));
        }
        many[..lost].chunks(1000).for_each(|some| writer.refs(some).unwrap());
        writer.abandon().unwrap();
        for number in 0..3 {
            let entry = file(format!("z{number}"), 3);
            writer.refs(&ids(&entry)).unwrap();
            writer.entry(&entry).unwrap();
            model.0.insert(entry.name.clone(), (entry, None));
        }
        let (memory, root) = writer.finish().unwrap();
        let reader = TreeReader::new(memory, root.page, root.refs);
        assert_eq!(read(&reader, reader.root()), model, "{before} {lost}");
    }
}

#[test]
fn entries_are_read_again_by_where_their_page_is() {
    let leaf = |number: u64| (format!("{number:06}").into_bytes(), (entry(b"", Kind::Fifo), None));
    let model = named(Model((0..20_000).map(leaf).collect()));
    let reader = written(&model);
    let pages = reader.pages(reader.root()).unwrap();
    assert!(pages.len() > 4);
    let mut names = Vec::new();
    for page in pages.iter().rev() {
        let entries = reader.entries(*page, 4096, 1 << 20).unwrap().unwrap();
        assert!(reader.entries(*page, entries.len() - 1, 1 << 20).unwrap().is_none());
        assert!(reader.entries(*page, 4096, 1000).unwrap().is_none());
        names.splice(0..0, entries.into_iter().map(|entry| entry.name));
    }
    assert_eq!(names, model.0.into_keys().collect::<Vec<_>>());
}
