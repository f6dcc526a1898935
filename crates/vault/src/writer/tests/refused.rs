//! What a reader would refuse costs nothing but itself.

use super::*;
use crate::Unfit;

fn with(name: &[u8], node: &Node, change: impl FnOnce(&mut Entry)) -> Entry {
    let mut entry = entry(name, node);
    change(&mut entry);
    entry
}

/// Extents that lie in each other, as from a file system that is not right in the head.
#[derive(Clone)]
struct Tangled(Plain);

impl FileSource for Tangled {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn open(&mut self) -> io::Result<Layout> {
        let inside = self.0.name_is_tangled().then(|| vec![(0, 3_000_000), (1_000_000, 2_000_000)]);
        Ok(Layout { size: Some(self.size()), extents: inside })
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, into)
    }

    fn close(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

impl Plain {
    fn name_is_tangled(&self) -> bool {
        self.bytes.len() == 4_000_000
    }
}

#[test]
fn one_entry_that_no_reader_takes_does_not_cost_the_others() {
    let keeper = Arc::new(Keeper::default());
    let mut writer = SnapshotWriter::<Keeper, Tangled>::new(keeper.clone(), UploadOptions::default(), None);
    let file = |bytes: &[u8]| Node::File(plain(bytes.to_vec()));
    let source = |node: &Node| match node {
        Node::File(file) => Tangled(file.clone()),
        _ => unreachable!(),
    };
    let (small, tangled) = (file(b"small"), file(&noise(1, 4_000_000)));
    writer.begin_directory(b"d").unwrap();
    writer
        .file(
            with(b"attributes", &small, |entry| {
                entry.attributes =
                    [&b"user.b"[..], b"", b"user.a", b"user.b"].map(|name| (name.to_vec(), vec![1])).to_vec();
            }),
            source(&small),
        )
        .unwrap();
    writer.entry(with(b"nul", &Node::Fifo, |entry| entry.kind = Kind::Symlink { target: b"a\0b".to_vec() })).unwrap();
    writer.file(with(b"tangled", &tangled, |_| {}), source(&tangled)).unwrap();
    writer.file(with(b"time", &small, |entry| entry.modified.nanoseconds = 1_073_741_823), source(&small)).unwrap();
    writer.file(with(b"whole", &small, |_| {}), source(&small)).unwrap();
    let directory = Node::Directory(BTreeMap::new());
    writer.end_directory(with(b"d", &directory, |entry| entry.changed.nanoseconds = 1_000_000_000)).unwrap();
    writer.settle().unwrap();
    let refused: Vec<_> = writer.refused().into_iter().map(|one| (one.path, one.unfit)).collect();
    let expected = [
        (&b"d/attributes"[..], Unfit::Attributes),
        (b"d/nul", Unfit::Target),
        (b"d/tangled", Unfit::Content),
        (b"d/time", Unfit::Time),
        (b"d", Unfit::Time),
    ];
    assert_eq!(refused, expected.map(|(path, unfit)| (path.to_vec(), unfit)));
    assert!(writer.refused().is_empty());
    writer.finish(&Description::default(), true).unwrap();

    let read = contents(&keeper);
    let names: Vec<_> = read.keys().map(|path| String::from_utf8_lossy(path)).collect();
    assert_eq!(names, ["d", "d/attributes", "d/tangled", "d/time", "d/whole"]);
    for path in ["d/attributes", "d/time", "d/whole"] {
        assert_eq!(read[path.as_bytes()].as_deref(), Some(&b"small"[..]), "{path}");
    }
    let reader = keeper.reader(&keeper.last());
    let found = |path: &str| reader.find(path.as_bytes()).unwrap().unwrap();
    let names: Vec<_> = found("d/attributes").attributes.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"user.a", b"user.b"]);
    assert_eq!(found("d/time").modified.nanoseconds, 999_999_999);
    let Kind::File(content) = found("d/tangled").kind else { panic!("it is a file") };
    assert_eq!((content.size, content.chunks.len(), content.doubt), (4_000_000, 0, Some(Doubt::Unreadable)));
}
