//! What is mounted where: which file systems are entered, loops of mounts, and trees deeper than any path.

use crate::kit::{self, Store, options, run};
use backup::files::restore::{RestoreError, RestoreOptions};
use backup::files::walk::WalkOptions;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use trees::beneath;
use trees::compare::{self, Same};

const INSIDE: &str = "BAILIWICK_INSIDE_MOUNTS";

/// Whether this is the process with mounts of its own; otherwise runs the test again in one.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if kit::is_root() {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
        run(command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1"));
    } else {
        kit::skip(test, "needs root: it mounts file systems");
    }
    false
}

fn mount(arguments: &[&str], at: &Path) {
    fs::create_dir_all(at).unwrap();
    run(Command::new("mount").args(arguments).arg(at));
}

/// A disk of its own, in a file.
fn mount_disk(image: &Path, at: &Path) {
    fs::File::create(image).unwrap().set_len(8 << 20).unwrap();
    run(Command::new("mkfs.ext4").arg("-q").arg(image));
    mount(&["-o", "loop", image.to_str().unwrap()], at);
}

/// The names in a snapshot below a path of the machine.
fn names(store: &Store, id: vault::SnapshotId, below: &Path) -> Vec<String> {
    let tree = store.tree(id);
    let all = tree
        .walk(tree.root())
        .unwrap()
        .map(|found| PathBuf::from("/").join(String::from_utf8(found.unwrap().0).unwrap()));
    let below = all.filter_map(|path| Some(path.strip_prefix(below).ok()?.to_str().unwrap().to_owned()));
    below.filter(|name| !name.is_empty() && !name.starts_with("disk/lost+found")).collect()
}

#[test]
fn only_disks_of_this_machine_are_entered_on_the_way() {
    if !is_inside("mounts::only_disks_of_this_machine_are_entered_on_the_way") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("root");
    mount_disk(&work.path().join("image"), &root.join("disk"));
    mount(&["-t", "tmpfs", "memory"], &root.join("memory"));
    mount(&["-t", "proc", "proc"], &root.join("proc"));
    mount(&["-t", "sysfs", "sysfs"], &root.join("sys"));
    mount(&["--bind", root.to_str().unwrap()], &root.join("loop"));
    for path in ["disk/kept", "memory/gone", "plain"] {
        fs::write(root.join(path), path).unwrap();
    }
    let store = Store::new();
    let backup = store.back_up(&root);
    let whole = ["disk", "disk/kept", "loop", "memory", "plain", "proc", "sys"];
    assert_eq!(names(&store, backup.id, &root), whole);
    assert_eq!(backup.told("/proc"), ["the kernel's proc is mounted here; it was not entered"]);
    assert_eq!(backup.told("/memory"), ["memory (tmpfs) is mounted here; it was not entered"]);
    let above =
        format!("it is the same folder as `{}`, which it is in; it was not entered a second time", root.display());
    assert_eq!(backup.told("/loop"), [above]);
    assert_eq!((backup.walked.lost, backup.problems.len()), (0, 4));

    let one = WalkOptions { one_file_system: true, ..options(&root) };
    let backup = store.try_back_up(&one, None).unwrap();
    assert_eq!(names(&store, backup.id, &root), ["disk", "loop", "memory", "plain", "proc", "sys"]);
    assert_eq!(backup.told("/disk"), ["another file system is mounted here; it was not entered, as asked"]);

    // What is named is read wherever it lies, unless it holds no files.
    let paths = ["memory", "proc", "sys/kernel/notes", "disk/kept"].map(|path| root.join(path)).to_vec();
    let backup = store.try_back_up(&WalkOptions { paths, ..one }, None).unwrap();
    let expected = ["disk", "disk/kept", "memory", "memory/gone", "proc", "sys", "sys/kernel"];
    assert_eq!(names(&store, backup.id, &root), expected);
    assert_eq!(backup.told("/proc"), ["it holds no files: the kernel's proc"]);
    assert_eq!(backup.told("/sys/kernel/notes"), ["it holds no files: the kernel's sysfs"]);
    assert_eq!(backup.walked.lost, 2);
}

#[test]
fn the_nasty_tree_survives_other_file_systems() {
    if !is_inside("mounts::the_nasty_tree_survives_other_file_systems") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let (from, to) = (work.path().join("from"), work.path().join("to"));
    mount(&["-t", "tmpfs", "memory"], &from);
    let nasty = trees::Nasty::make(from.join("nasty"));
    let store = Store::new();
    let backup = store.back_up(&nasty.root);
    assert!(backup.problems.is_empty(), "{:#?}", backup.problems);
    mount(&["-t", "tmpfs", "memory"], &to);
    store.restore(backup.id, &kit::into(&to)).assert_whole();
    compare::ourselves(&nasty.root, &beneath(&to, &nasty.root), Same::Everything);
}

#[test]
fn a_full_disk_ends_a_restore_and_room_lets_it_go_on() {
    if !is_inside("mounts::a_full_disk_ends_a_restore_and_room_lets_it_go_on") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let (root, small) = (work.path().join("root"), work.path().join("small"));
    fs::create_dir(&root).unwrap();
    for number in 0..40 {
        fs::write(root.join(number.to_string()), trees::noise(100_000 + number)).unwrap();
    }
    let store = Store::new();
    let backup = store.back_up(&root);
    mount(&["-t", "tmpfs", "-o", "size=2m", "memory"], &small);
    let full = store.try_restore(backup.id, &kit::into(&small)).map(|_| ()).unwrap_err();
    assert!(matches!(&full, RestoreError::Full { cause: rustix::io::Errno::NOSPC, .. }), "{full}");
    let copy = beneath(&small, &root);
    let whole: Vec<_> = fs::read_dir(&copy).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!((5..=20).contains(&whole.len()), "{whole:?}");
    assert!(whole.iter().all(|name| fs::read(root.join(name)).unwrap() == fs::read(copy.join(name)).unwrap()));
    run(Command::new("mount").args(["-o", "remount,size=9m"]).arg(&small));
    let outcome = store.restore(backup.id, &kit::into(&small));
    outcome.assert_whole();
    assert_eq!((outcome.restored.right, outcome.restored.files), (whole.len() as u64, 40 - whole.len() as u64));
    compare::ourselves(&root, &copy, Same::Everything);
}

const LEVELS: usize = 2000;

/// Opens the folder `depth` levels below, one level at a time.
fn descend(root: &Path, make: bool) -> OwnedFd {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut open = rustix::fs::openat(CWD, root, flags, Mode::empty()).unwrap();
    for level in 0..LEVELS {
        let name = format!("level {level}");
        if make {
            rustix::fs::mkdirat(&open, &name, Mode::RWXU).unwrap();
        }
        open = rustix::fs::openat(&open, &name, flags, Mode::empty()).unwrap();
    }
    open
}

fn read_at(folder: &OwnedFd, name: &str) -> Vec<u8> {
    let file = rustix::fs::openat(folder, name, OFlags::RDONLY, Mode::empty()).unwrap();
    let mut bytes = vec![0; 100];
    let length = rustix::io::read(&file, &mut bytes[..]).unwrap();
    bytes.truncate(length);
    bytes
}

#[test]
fn a_tree_deeper_than_any_path_comes_back() {
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("root");
    fs::create_dir(&root).unwrap();
    let bottom = descend(&root, true);
    let flags = OFlags::CREATE | OFlags::WRONLY;
    let file = rustix::fs::openat(&bottom, "at the bottom", flags, Mode::RUSR | Mode::WUSR).unwrap();
    rustix::io::write(&file, b"here").unwrap();
    rustix::fs::linkat(&bottom, "at the bottom", &bottom, "linked", rustix::fs::AtFlags::empty()).unwrap();
    fs::hard_link(
        PathBuf::from(format!("/proc/self/fd/{}/linked", std::os::fd::AsRawFd::as_raw_fd(&bottom))),
        root.join("zz at the top"),
    )
    .unwrap();
    let store = Store::new();
    let backup = store.back_up(&root);
    assert!(backup.problems.is_empty(), "{} problems, the first {}", backup.problems.len(), backup.problems[0].what);
    assert!(backup.finished.counts.directories >= LEVELS as u64);
    let target = work.path().join("to");
    let outcome = store.restore(backup.id, &kit::into(&target));
    assert!(outcome.problems.is_empty(), "{} problems", outcome.problems.len());
    assert_eq!((outcome.restored.files, outcome.restored.links), (1, 2));
    let copy = beneath(&target, &root);
    let restored = descend(&copy, false);
    assert_eq!(read_at(&restored, "at the bottom"), b"here");
    assert_eq!(read_at(&restored, "linked"), b"here");
    let inode = rustix::fs::statat(&restored, "linked", rustix::fs::AtFlags::empty()).unwrap().st_ino;
    assert_eq!(rustix::fs::stat(copy.join("zz at the top")).unwrap().st_ino, inode);
    let times = |folder: &OwnedFd| {
        rustix::fs::fstat(folder).map(|stat| (stat.st_mode, stat.st_mtime, stat.st_mtime_nsec)).unwrap()
    };
    assert_eq!(times(&restored), times(&bottom));
    // What removes it by path would need one that is far too long.
    drop((bottom, restored));
    run(Command::new("rm").arg("-rf").arg(&root).arg(&target));
}

#[test]
fn a_wide_folder_needs_little_memory() {
    let long = kit::is_long();
    let count = if long { 1_000_000 } else { 20_000 };
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("wide");
    fs::create_dir(&root).unwrap();
    for number in 0..count {
        fs::write(root.join(format!("a name of some length, as they are {number:07}")), "").unwrap();
    }
    let store = Store::new();
    let backup = store.back_up(&root);
    assert_eq!((backup.finished.counts.files, backup.problems.len()), (count, 0));
    if long {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        println!("{count} entries in one folder:{peak}");
    }
}

/// A whole machine, as small as it can be, with a root that is unlike any other.
#[test]
fn a_machine_comes_back_with_its_root() {
    if !is_inside("mounts::a_machine_comes_back_with_its_root") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let machine = work.path().join("machine");
    mount(&["-t", "tmpfs", "-o", "mode=711,uid=12,gid=34", "memory"], &machine);
    fs::write(machine.join("only file"), "text").unwrap();
    fs::create_dir_all(machine.join("proc")).unwrap();
    fs::create_dir_all(machine.join("tmp")).unwrap();
    // Its temporary folder is not a part of it.
    mount(&["-t", "tmpfs", "memory"], &machine.join("tmp"));
    mount(&["-t", "proc", "proc"], &machine.join("proc"));
    trees::set_time(&machine, 1_234_567_890, 12);
    let outside = fs::File::open("/").unwrap();
    rustix::process::chroot(&machine).unwrap();
    std::env::set_current_dir("/").unwrap();
    let store = Store::new();
    let backup = store.back_up(Path::new("/"));
    let root = backup.walked.root.clone().unwrap();
    assert_eq!((root.mode, root.uid, root.gid, root.modified.nanoseconds), (0o711, 12, 34, 12));
    let to = PathBuf::from("/tmp/restored");
    let options = RestoreOptions { root: Some(root), ..kit::into(&to) };
    store.restore(backup.id, &options).assert_whole();
    let found = fs::metadata(&to).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.mtime(), found.mtime_nsec()), (0o711, 12, 1_234_567_890, 12));
    assert_eq!(fs::read_to_string(to.join("only file")).unwrap(), "text");
    assert_eq!(fs::read_dir(to.join("proc")).unwrap().count(), 0);
    // So that what was made for this is removed.
    rustix::process::fchdir(outside).unwrap();
    rustix::process::chroot(".").unwrap();
}
