//! What it costs to back up the files of a machine and to restore them: processor time, wall time, memory.
//!
//! `bench-files [TREE]` measures a tree, or two that it makes: 100,000 small files, and 30,000 of all sizes. Client and keeper are
//! one process here, and each phase has a process of its own.

#![allow(clippy::unwrap_used)] // a bench may stop at what it did not expect

use backup::files::Excludes;
use backup::files::restore::{ChunkError, ChunkSource, Destination, RestoreOptions, Watch, WriteProblem, restore};
use backup::files::walk::{WalkOptions, walk};
use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use vault::storage::Directory;
use vault::{
    Access, Basis, Cost, Description, Mode, Reader, SessionOptions, SnapshotWriter, TreeReader, Trust, UploadOptions,
    Vault, WayIn,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--json").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["phase", "backup", store, tree] => back_up(Path::new(store), Path::new(tree)),
        ["phase", "restore", store, target] => bring_back(Path::new(store), Path::new(target)),
        [tree] => measure("the tree", Path::new(tree)),
        _ => {
            let work = tempfile::tempdir().unwrap();
            make_small(&work.path().join("small"));
            measure("100,000 small files", &work.path().join("small"));
            make_mixed(&work.path().join("mixed"));
            measure("30,000 files of all sizes", &work.path().join("mixed"));
        }
    }
}

fn measure(what: &str, tree: &Path) {
    let tree = tree.canonicalize().unwrap();
    let work = tempfile::tempdir().unwrap();
    let (store, target) = (work.path().join("vault"), work.path().join("restored"));
    println!("{what}, {}", tree.display());
    let (tree, store, target) = (tree.to_str().unwrap(), store.to_str().unwrap(), target.to_str().unwrap());
    let first = ["backup", store, tree];
    for (name, phase) in [
        ("first", first),
        ("unchanged", first),
        ("restore", ["restore", store, target]),
        ("again", ["restore", store, target]),
    ] {
        print!("  {name:10}");
        std::io::Write::flush(&mut std::io::stdout()).unwrap();
        let status = Command::new(std::env::current_exe().unwrap()).arg("phase").args(phase).status().unwrap();
        assert!(status.success());
    }
}

/// Prints what this process has used until now.
fn report(begun: Instant, done: &str) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let seconds = |field: usize| fields[field].parse::<f64>().unwrap() / 100.0;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    let peak = peak.split(' ').next().unwrap().parse::<u64>().unwrap() / 1024;
    let (user, system, wall) = (seconds(11), seconds(12), begun.elapsed().as_secs_f64());
    println!("user {user:6.2} s   system {system:6.2} s   wall {wall:6.2} s   peak {peak:4} MiB   {done}");
}

fn open(path: &Path, access: Access) -> Arc<Vault> {
    let way = WayIn::host([7; 32]);
    match Directory::open(path) {
        Ok(storage) => Vault::open(Arc::new(storage), &way, access).unwrap(),
        Err(_) => Vault::init(Arc::new(Directory::create(path).unwrap()), "host", &way, Cost::NORMAL).unwrap(),
    }
}

fn reader(vault: &Arc<Vault>) -> Option<Arc<Reader>> {
    let id = *vault.snapshot_ids().unwrap().last()?;
    Some(Arc::new(vault.reader(id, None).unwrap()))
}

fn back_up(store: &Path, tree: &Path) {
    let begun = Instant::now();
    let vault = open(store, Access::Write);
    let before = reader(&vault);
    let options = SessionOptions {
        source: "machine".into(),
        domain: "here".into(),
        mode: Mode::Managed,
        basis: before.as_ref().map(|before| before.snapshot().summary.id),
        trust: Trust::Own,
        now_ms: 1_800_000_000_000,
    };
    let session = Arc::new(vault.begin(options).unwrap());
    let basis = before.map(|before| {
        let snapshot = before.snapshot();
        let (root, refs) = (snapshot.root, snapshot.root_refs);
        Basis::new(before, root, refs)
    });
    let mut writer = SnapshotWriter::new(session, UploadOptions { names: true, ..UploadOptions::default() }, basis);
    let options = WalkOptions {
        paths: vec![tree.to_path_buf()],
        base: PathBuf::from("/"),
        within: Vec::new(),
        excludes: Excludes::default(),
        one_file_system: false,
        skip_caches: false,
        leave_out: vec![store.to_path_buf()],
        scratch: std::env::temp_dir(),
    };
    let walked = walk(&mut writer, &options, &mut |problem| eprintln!("{problem}")).unwrap();
    let finished = writer.finish(&Description::default(), !walked.is_whole()).unwrap();
    let stored = disk_usage(&store.join("packs")) >> 20;
    let (files, read) = (finished.counts.files, finished.counts.files_read);
    report(begun, &format!("{files} files, {read} read, {stored} MiB in packs"));
}

fn disk_usage(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| if entry.path().is_dir() { disk_usage(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

struct Chunks(Arc<Reader>);

impl ChunkSource for Chunks {
    fn chunks(&self, positions: Range<u64>, take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), ChunkError> {
        self.0.each(positions, take).map_err(|error| ChunkError::Damaged(error.into()))
    }
}

struct Tell;

impl Watch for Tell {
    fn problem(&self, problem: WriteProblem) {
        eprintln!("{problem}");
    }
}

fn bring_back(store: &Path, target: &Path) {
    let begun = Instant::now();
    let vault = open(store, Access::Read);
    let reader = reader(&vault).unwrap();
    let tree = TreeReader::new(reader.clone(), reader.snapshot().root, reader.snapshot().root_refs);
    let options = RestoreOptions::new(Destination::Beneath(target.to_path_buf()));
    let options = RestoreOptions { wait_for_disk: std::env::var_os("NO_SYNC").is_none(), ..options };
    let restored = restore(&tree, &Chunks(reader), &options, &Tell).unwrap();
    report(begun, &format!("{} files written, {} were right", restored.files, restored.right));
}

/// The same bytes for the same seed, about half of which can be compressed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
        bytes.extend_from_slice(b"as it was");
    }
    bytes.truncate(length);
    bytes
}

fn make_small(root: &Path) {
    for folder in 0..500 {
        let path = root.join(format!("{:02}/{folder:03}", folder / 20));
        fs::create_dir_all(&path).unwrap();
        for file in 0..200u64 {
            let seed = folder * 200 + file;
            fs::write(path.join(format!("file-{file:03}.txt")), noise(seed, 200 + (seed * 37 % 3000) as usize))
                .unwrap();
        }
    }
}

fn make_mixed(root: &Path) {
    for folder in 0..300 {
        let path = root.join(format!("{:02}/{folder:03}", folder / 10));
        fs::create_dir_all(&path).unwrap();
        for file in 0..100u64 {
            let seed = folder * 100 + file;
            let length = if file == 0 { 3 << 20 } else { 1 << (6 + seed % 11) };
            fs::write(path.join(format!("file-{file:03}.bin")), noise(seed % 25_000, length)).unwrap();
        }
    }
}
