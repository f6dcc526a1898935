//! Random trees come back as they were, and so does what random changes make of them on top of an earlier backup.

use crate::kit::{self, Store, options};
use backup::files::restore::{Conflict, RestoreOptions};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use trees::compare::{self, Same};
use trees::{beneath, chmod, noise, set_time};

#[derive(Clone, Debug)]
enum Node {
    File {
        size: usize,
        hole: Option<u64>,
        mode: u32,
    },
    Folder {
        entries: BTreeMap<Vec<u8>, Node>,
        mode: u32,
    },
    Link(Vec<u8>),
    Pipe,
    /// Another name of some file that was made before.
    Also(usize),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no name has it", |byte| *byte != 0 && *byte != b'/');
    prop::collection::vec(byte, 1..12).prop_filter("it means something else", |name| name != b"." && name != b"..")
}

fn node() -> impl Strategy<Value = Node> {
    let size = prop_oneof![Just(0), 1usize..200, 60_000usize..70_000, 200_000usize..2_000_000];
    let hole = prop::option::weighted(0.3, 0u64..3_000_000);
    let file = (size, hole, 0o400u32..0o1000).prop_map(|(size, hole, mode)| Node::File { size, hole, mode });
    let leaf = prop_oneof![
        6 => file,
        1 => prop::collection::vec(1u8.., 1..60).prop_map(Node::Link),
        1 => Just(Node::Pipe),
        2 => (0usize..20).prop_map(Node::Also),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        let entries = prop::collection::btree_map(name(), inner, 0..8);
        (entries, 0o700u32..0o1000).prop_map(|(entries, mode)| Node::Folder { entries, mode })
    })
}

struct Maker {
    files: Vec<std::path::PathBuf>,
    clock: i64,
}

impl Maker {
    fn make(&mut self, path: &Path, node: &Node) {
        self.clock += 1_234_567;
        match node {
            Node::File { size, hole, mode } => {
                let file = fs::File::create(path).unwrap();
                file.write_all_at(&noise(*size), hole.unwrap_or(0)).unwrap();
                chmod(path, *mode);
                self.files.push(path.to_path_buf());
            }
            Node::Folder { entries, mode } => {
                fs::create_dir(path).unwrap();
                for (name, node) in entries {
                    self.make(&path.join(OsString::from_vec(name.clone())), node);
                }
                chmod(path, *mode);
            }
            Node::Link(target) => symlink(OsString::from_vec(target.clone()), path).unwrap(),
            Node::Pipe => {
                rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
                    .unwrap();
            }
            Node::Also(number) => match self.files.get(*number) {
                Some(file) => fs::hard_link(file, path).unwrap(),
                None => fs::write(path, "alone").unwrap(),
            },
        }
        set_time(path, self.clock - 2_000_000_000, self.clock % 1_000_000_000);
    }
}

fn round_trip(tree: &Node, changed: &Node) {
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("root");
    let mut maker = Maker { files: Vec::new(), clock: 0 };
    maker.make(&root, tree);
    let store = Store::new();
    let first = store.back_up(&root);
    assert!(first.problems.is_empty(), "{:?}", first.problems);
    let target = work.path().join("to");
    let restore = kit::into(&target);
    store.restore(first.id, &restore).assert_whole();
    compare::ourselves(&root, &beneath(&target, &root), Same::Everything);

    // The other tree in its place, on top of the first backup, and restored over what the first one left.
    let Node::Folder { entries: before, .. } = tree else { return };
    let Node::Folder { entries, .. } = changed else { return };
    let mut maker = Maker { files: Vec::new(), clock: 1_000 };
    for (name, node) in entries.iter().filter(|(name, _)| !before.contains_key(*name)) {
        maker.make(&root.join(OsString::from_vec(name.clone())), node);
    }
    let second = store.try_back_up(&options(&root), Some(first.id)).unwrap();
    assert!(second.problems.is_empty(), "{:?}", second.problems);
    store.restore(second.id, &RestoreOptions { conflict: Conflict::Overwrite, ..restore }).assert_whole();
    compare::ourselves(&root, &beneath(&target, &root), Same::Everything);
}

fn folder() -> impl Strategy<Value = Node> {
    prop::collection::btree_map(name(), node(), 0..8).prop_map(|entries| Node::Folder { entries, mode: 0o755 })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if kit::is_long() { 300 } else { 16 }, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_tree_comes_back(tree in folder(), changed in folder()) {
        round_trip(&tree, &changed);
    }
}
