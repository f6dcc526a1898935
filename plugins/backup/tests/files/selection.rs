//! What of a machine is in a backup: paths, patterns, caches, and what an earlier backup saves.

use crate::kit::{self, Backup, Store, options};
use backup::files::restore::{Conflict, RestoreOptions};
use backup::files::walk::{WalkError, WalkOptions};
use backup::files::{Excludes, Severity};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use trees::{chmod, noise, set_time};
use vault::{Doubt, Kind};

fn tree(files: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let work = tempfile::tempdir().unwrap();
    let root = work.path().canonicalize().unwrap().join("root");
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file).unwrap();
    }
    (work, root)
}

fn names(store: &Store, backup: &Backup, root: &Path) -> Vec<String> {
    let tree = store.tree(backup.id);
    let all = tree.walk(tree.root()).unwrap().map(|found| String::from_utf8(found.unwrap().0).unwrap());
    let root = format!("{}/", root.strip_prefix("/").unwrap().display());
    all.filter_map(|path| path.strip_prefix(&root).map(str::to_owned)).collect()
}

#[test]
fn what_links_lead_out_to_is_not_backed_up_where_that_is_said() {
    let (store, folder) = (Store::new(), tempfile::tempdir().unwrap());
    let root = folder.path().canonicalize().unwrap();
    let (mine, other) = (root.join("mine"), root.join("other"));
    std::fs::create_dir_all(mine.join("deep")).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(&other, mine.join("link")).unwrap();
    let named = |path: PathBuf| WalkOptions { paths: vec![path], within: vec![mine.clone()], ..options(&root) };
    assert!(store.try_back_up(&named(mine.join("deep")), None).is_ok());
    for path in [mine.join("link"), other.clone(), mine.join("../other")] {
        let refused = store.try_back_up(&named(path.clone()), None).map(|_| ());
        assert!(matches!(refused, Err(WalkError::Outside(_))), "{path:?}");
    }
}

#[test]
fn several_paths_become_one_tree() {
    let (_work, root) = tree(&["a/1", "a/b/2", "a/b/3", "c/4", "d"]);
    symlink("c", root.join("link")).unwrap();
    let store = Store::new();
    let paths = ["a/b/3", "link", "a/b", "a/b/../1", "gone"].map(PathBuf::from).to_vec();
    let backup = store.try_back_up(&WalkOptions { paths, base: root.clone(), ..options(&root) }, None).unwrap();
    assert_eq!(names(&store, &backup, &root), ["a", "a/1", "a/b", "a/b/2", "a/b/3", "c", "c/4", "link"]);
    assert_eq!(backup.told("/link"), ["it is a link to `c`; both were backed up"]);
    assert_eq!(backup.told("/gone"), ["there is nothing of this name: check the spelling of what is to be backed up"]);
    assert_eq!((backup.walked.lost, backup.problems.len()), (1, 2));
    // Folders that only lead there are in it with what belongs to them.
    let tree = store.tree(backup.id);
    let way = tree.find(root.as_os_str().as_encoded_bytes()).unwrap().unwrap();
    assert_eq!(way.inode, std::os::unix::fs::MetadataExt::ino(&fs::metadata(&root).unwrap()));

    let nothing = WalkOptions { paths: vec!["nowhere".into()], base: root.clone(), ..options(&root) };
    assert!(matches!(store.try_back_up(&nothing, None).map(|_| ()), Err(WalkError::Nothing)));
}

#[test]
fn patterns_caches_and_the_vault_itself_are_left_out() {
    let (_work, root) = tree(&["a/x.tmp", "a/y", "node_modules/z", "cache/big", "vault/pack", "keep/node_modules/z"]);
    fs::write(root.join("cache/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n# more").unwrap();
    fs::write(root.join("a/CACHEDIR.TAG"), "Signature: of something else, which is longer than that").unwrap();
    let store = Store::new();
    let plain = store.back_up(&root);
    assert_eq!(names(&store, &plain, &root).len(), 14);
    let choosy = WalkOptions {
        paths: vec![root.clone(), root.join("keep/node_modules")],
        excludes: Excludes::new(["*.tmp", "node_modules/"]).unwrap(),
        skip_caches: true,
        leave_out: vec![root.join("vault")],
        ..options(&root)
    };
    let backup = store.try_back_up(&choosy, None).unwrap();
    let expected = [
        "a",
        "a/CACHEDIR.TAG",
        "a/y",
        "cache",
        "cache/CACHEDIR.TAG",
        "keep",
        "keep/node_modules",
        "keep/node_modules/z",
        "vault",
    ];
    assert_eq!(names(&store, &backup, &root), expected);
    assert_eq!(backup.walked.excluded, 2);
    assert_eq!(backup.told("/vault"), ["backups are kept here; it was left out"]);
    assert_eq!(backup.walked.lost, 0);
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let (_work, root) = tree(&["a/1", "a/2", "b/3"]);
    fs::write(root.join("big"), noise(500_000)).unwrap();
    rustix::fs::setxattr(root.join("a/1"), "user.note", b"kept", rustix::fs::XattrFlags::empty()).unwrap();
    for path in ["a/1", "a/2", "b/3", "big"] {
        set_time(&root.join(path), 1_000_000_000, 5);
    }
    // What changed just before it was read is read again next time.
    std::thread::sleep(std::time::Duration::from_millis(60));
    let store = Store::new();
    let first = store.back_up(&root);
    assert_eq!(first.finished.counts.files_read, 4);
    // The same size and time, but another time of change.
    fs::write(root.join("a/2"), "2/a").unwrap();
    set_time(&root.join("a/2"), 1_000_000_000, 5);
    fs::write(root.join("b/new"), "new").unwrap();
    fs::remove_file(root.join("b/3")).unwrap();
    let second = store.try_back_up(&options(&root), Some(first.id)).unwrap();
    assert_eq!((second.finished.counts.files, second.finished.counts.files_read), (4, 2));
    let target = tempfile::tempdir().unwrap();
    store.restore(second.id, &kit::into(target.path())).assert_whole();
    trees::compare::ourselves(&root, &trees::beneath(target.path(), &root), trees::compare::Same::Everything);
}

/// Somebody writes, replaces, shortens and deletes while everything is read.
#[test]
fn what_changes_while_it_is_read_is_marked_and_the_rest_is_whole() {
    let (_work, root) = tree(&["still/1", "still/2", "gone/x"]);
    fs::write(root.join("log"), noise(64 << 20)).unwrap();
    fs::write(root.join("shrinks"), noise(32 << 20)).unwrap();
    let done = AtomicBool::new(false);
    let store = Store::new();
    let backup = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                round += 1;
                use std::io::Write as _;
                fs::OpenOptions::new()
                    .append(true)
                    .open(root.join("log"))
                    .unwrap()
                    .write_all(b"one more line\n")
                    .unwrap();
                let shrinks = fs::OpenOptions::new().write(true).open(root.join("shrinks")).unwrap();
                shrinks.set_len((32 << 20) - round).unwrap();
                let here = root.join(format!("gone/{}", round % 50));
                if fs::remove_file(&here).is_err() {
                    fs::write(&here, "for a moment").unwrap();
                }
            }
        });
        let backup = store.back_up(&root);
        done.store(true, Ordering::Relaxed);
        backup
    });
    assert_eq!(backup.told("/log"), ["it changed while it was read"]);
    assert_eq!(backup.told("/shrinks"), ["it changed while it was read"]);
    assert_eq!(backup.walked.lost, 0, "{:?}", backup.problems);
    assert!(backup.walked.doubtful >= 2);
    let tree = store.tree(backup.id);
    let path = |name: &str| root.join(name).into_os_string().into_encoded_bytes();
    let log = tree.find(&path("log")).unwrap().unwrap();
    assert!(matches!(&log.kind, Kind::File(content) if content.doubt == Some(Doubt::Changed)));
    let target = tempfile::tempdir().unwrap();
    let outcome = store.restore(backup.id, &kit::into(target.path()));
    let copy = trees::beneath(target.path(), &root);
    assert!(
        outcome
            .told()
            .iter()
            .any(|told| told.ends_with("/log: it was being changed while it was backed up: check that it is usable"))
    );
    assert_eq!(outcome.restored.lost, 0);
    // What was there when it was opened is there now.
    let (was, is) = (fs::read(root.join("log")).unwrap(), fs::read(copy.join("log")).unwrap());
    assert!(is.len() >= 64 << 20 && was.starts_with(&is));
    trees::compare::ourselves(&root.join("still"), &copy.join("still"), trees::compare::Same::Everything);
}

#[test]
fn what_may_not_be_read_is_told_and_never_replaces_what_is_there() {
    const TEST: &str = "selection::what_may_not_be_read_is_told_and_never_replaces_what_is_there";
    if crate::kit::is_root() {
        return crate::kit::as_nobody(TEST);
    }
    let (_work, root) = tree(&["closed/in it", "open", "secret"]);
    chmod(&root.join("secret"), 0o000);
    chmod(&root.join("closed"), 0o000);
    let store = Store::new();
    let backup = store.back_up(&root);
    chmod(&root.join("closed"), 0o700);
    let denied = ["it cannot be opened: Permission denied (os error 13)"];
    assert_eq!(
        (backup.told("/secret"), backup.told("/closed")),
        (vec![denied[0].to_owned()], vec![denied[0].to_owned()])
    );
    assert_eq!(
        (backup.walked.lost, names(&store, &backup, &root)),
        (2, vec!["closed".into(), "open".into(), "secret".into()])
    );
    assert!(backup.problems.iter().all(|problem| problem.what.severity() == Severity::Loss));
    let target = tempfile::tempdir().unwrap();
    let copy = trees::beneath(target.path(), &root);
    let options = RestoreOptions { conflict: Conflict::Overwrite, ..kit::into(target.path()) };
    let never =
        format!("{}/secret: it could not be read when it was backed up: there is nothing to restore", root.display());
    assert_eq!(store.restore(backup.id, &options).told(), [never]);
    fs::write(copy.join("secret"), "what somebody has saved").unwrap();
    let outcome = store.restore(backup.id, &options);
    assert!(outcome.told()[0].ends_with("a file that is there was left alone"), "{:?}", outcome.told());
    assert_eq!(fs::read_to_string(copy.join("secret")).unwrap(), "what somebody has saved");
}
