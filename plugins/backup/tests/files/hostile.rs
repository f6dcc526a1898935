//! Snapshots from somebody who means harm, and neighbours who do.

use crate::crafted::{Crafted, Crafter};
use crate::kit::{self, Outcome, is_root};
use backup::files::restore::{Conflict, RestoreOptions, Unwritten};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use vault::{Content, Kind};

/// A place to restore to, and one beside it that nothing may ever reach.
struct Places {
    _work: tempfile::TempDir,
    target: PathBuf,
    outside: PathBuf,
}

impl Places {
    fn new() -> Places {
        let work = tempfile::tempdir().unwrap();
        let (target, outside) = (work.path().join("target"), work.path().join("outside"));
        fs::create_dir(&target).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "untouched").unwrap();
        Places { _work: work, target, outside }
    }

    fn restore(&self, snapshot: &Crafted, conflict: Conflict) -> Outcome {
        snapshot.restore(&self.options(conflict))
    }

    fn options(&self, conflict: Conflict) -> RestoreOptions {
        RestoreOptions { conflict, ..kit::into(&self.target) }
    }

    #[track_caller]
    fn assert_untouched(&self) {
        let names: Vec<_> = fs::read_dir(&self.outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["precious"]);
        assert_eq!(fs::read_to_string(self.outside.join("precious")).unwrap(), "untouched");
    }
}

const RULES: [Conflict; 5] =
    [Conflict::Overwrite, Conflict::Keep, Conflict::KeepNewer, Conflict::Refuse, Conflict::Rename];

/// A file in a folder.
fn through(folder: &str, file: &str) -> Crafted {
    let mut crafter = Crafter::new();
    crafter.folder(folder, |crafter| crafter.file(file, &[b"overwritten"], |_| {}));
    crafter.finish()
}

#[test]
fn a_link_is_never_followed_by_what_comes_after_it() {
    for rule in RULES {
        let places = Places::new();
        let mut crafter = Crafter::new();
        crafter.link("way", places.outside.to_str().unwrap());
        places.restore(&crafter.finish(), rule).assert_whole();
        let outcome = places.restore(&through("way", "precious"), rule);
        places.assert_untouched();
        if rule == Conflict::Overwrite {
            // The link itself gave way to the folder.
            assert_eq!(fs::read_to_string(places.target.join("way/precious")).unwrap(), "overwritten");
        } else {
            assert!(fs::symlink_metadata(places.target.join("way")).unwrap().is_symlink());
            assert_eq!(outcome.problems.len(), 1, "{:#?}", outcome.told());
        }
    }
}

#[test]
fn a_link_under_the_name_of_a_file_is_replaced_and_not_written_through() {
    for rule in RULES {
        let places = Places::new();
        symlink(places.outside.join("precious"), places.target.join("file")).unwrap();
        let mut crafter = Crafter::new();
        crafter.file("file", &[b"overwritten"], |_| {});
        places.restore(&crafter.finish(), rule);
        places.assert_untouched();
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    for (name, evil) in [("xx", ".."), ("x", "."), ("aaaaaaaaaaaaaaaaaaaa", "../outside/precious!"), ("zz/z", "")] {
        let places = Places::new();
        let mut snapshot = if evil.is_empty() {
            // An absolute name: three bytes that a writer refuses to write.
            let mut snapshot = through("zzzz", "file");
            replace(&mut snapshot.names, b"zzzz", b"/tmp");
            snapshot
        } else {
            through(name, "precious")
        };
        if !evil.is_empty() {
            replace(&mut snapshot.names, name.as_bytes(), evil.as_bytes());
        }
        match snapshot.try_restore(&places.options(Conflict::Overwrite)) {
            Ok(outcome) => assert!(outcome.problems.iter().any(|problem| matches!(problem.what, Unwritten::Tree(_)))),
            Err(error) => assert!(matches!(error, backup::files::restore::RestoreError::Tree(_)), "{error}"),
        }
        places.assert_untouched();
        assert_eq!(fs::read_dir(&places.target).unwrap().count(), 0, "{evil}");
    }
}

/// Exactly one place has these bytes, as a name with its length before it.
#[track_caller]
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let with_length = |name: &[u8]| [&[name.len() as u8][..], name].concat();
    let (from, to) = (with_length(from), with_length(to));
    let found: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&from)).collect();
    assert_eq!((found.len(), from.len()), (1, to.len()));
    bytes[found[0]..found[0] + to.len()].copy_from_slice(&to);
}

#[test]
fn sizes_that_no_disk_has_cost_nothing() {
    let places = Places::new();
    let mut crafter = Crafter::new();
    for (name, size) in [("a", 1 << 63), ("b", u64::MAX)] {
        let huge = crafter.plain(name, Kind::File(Content { size, ..Content::default() }));
        crafter.entry(&huge);
    }
    crafter.file("c", &[b"data"], |entry| {
        let Kind::File(content) = &mut entry.kind else { unreachable!() };
        (content.size, content.extents) = (i64::MAX as u64 + 9, vec![(i64::MAX as u64 - 1, 4)]);
    });
    crafter.file("d", &[b"whole"], |_| {});
    let outcome = places.restore(&crafter.finish(), Conflict::Overwrite);
    let lost: Vec<_> = outcome.problems.iter().map(|problem| problem.path.clone()).collect();
    assert_eq!(lost, [b"/a", b"/b", b"/c"]);
    assert_eq!(fs::read_dir(&places.target).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(places.target.join("d")).unwrap(), "whole");
}

#[test]
fn chunks_that_are_not_what_they_should_be_leave_no_file() {
    let places = Places::new();
    let mut crafter = Crafter::new();
    for name in ["a", "b", "c", "d"] {
        crafter.file(name, &[b"first", name.as_bytes()], |_| {});
    }
    let mut snapshot = crafter.finish();
    snapshot.chunks[2] = b"longer than it says".to_vec();
    snapshot.damaged = vec![5];
    let outcome = places.restore(&snapshot, Conflict::Overwrite);
    let told = outcome.told();
    assert_eq!(
        told,
        [
            "/b: the snapshot contradicts itself about its content",
            "/c: a part of its content is damaged or missing in the vault: it was damaged for a test"
        ]
    );
    let mut names: Vec<_> = fs::read_dir(&places.target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "d"]);
    assert_eq!(fs::read_to_string(places.target.join("d")).unwrap(), "firstd");
    assert_eq!(outcome.restored.lost, 2);
}

#[test]
fn a_hard_link_to_what_somebody_put_there_meanwhile_is_not_made() {
    // All in one: the first name is a link that leads out, the second claims to be the same file.
    let places = Places::new();
    let mut crafter = Crafter::new();
    let mut first =
        crafter.plain("a", Kind::Symlink { target: places.outside.join("precious").to_str().unwrap().into() });
    first.linked = true;
    crafter.entry(&first);
    crafter.file("b", &[b"overwritten"], |entry| (entry.linked, entry.inode) = (true, first.inode));
    places.restore(&crafter.finish(), Conflict::Overwrite);
    assert_eq!(fs::metadata(places.outside.join("precious")).unwrap().nlink(), 1);
    places.assert_untouched();
}

/// A neighbour swaps a folder for a link that leads out, again and again, while something is restored into it.
#[test]
fn a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere() {
    let places = Places::new();
    let (folder, aside) = (places.target.join("folder"), places.target.join("aside"));
    fs::create_dir(&folder).unwrap();
    let mut crafter = Crafter::new();
    crafter.folder("folder", |crafter| {
        crafter.file("precious", &[b"overwritten"], |_| {});
        crafter.folder("sub", |crafter| crafter.file("precious", &[b"overwritten"], |_| {}));
    });
    let snapshot = crafter.finish();
    let (done, swaps) = (AtomicBool::new(false), std::sync::atomic::AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::rename(&folder, &aside).ok();
                symlink(&places.outside, &folder).ok();
                swaps.fetch_add(1, Ordering::Relaxed);
                fs::remove_file(&folder).ok();
                fs::rename(&aside, &folder).ok();
            }
        });
        let mut rounds = 0;
        while rounds < 200 || swaps.load(Ordering::Relaxed) < 200 {
            for rule in [Conflict::Overwrite, Conflict::Keep] {
                snapshot.restore(&places.options(rule));
            }
            rounds += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    places.assert_untouched();
}

#[test]
fn what_only_root_may_do_is_reported_to_others_and_the_rest_is_restored() {
    if is_root() {
        return kit::as_nobody("hostile::what_only_root_may_do_is_reported_to_others_and_the_rest_is_restored");
    }
    let places = Places::new();
    let mut crafter = Crafter::new();
    let mut device = crafter.plain("disk", Kind::BlockDevice { major: 8, minor: 0 });
    device.mode = 0o666;
    crafter.entry(&device);
    crafter.file("labelled", &[b"text"], |entry| {
        entry.attributes = vec![(b"trusted.label".to_vec(), b"x".to_vec()), (b"user.label".to_vec(), b"y".to_vec())];
    });
    crafter.file("root's own", &[b"#!"], |entry| (entry.mode, entry.uid, entry.gid) = (0o6755, 0, 0));
    let mine = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    crafter.file("tool", &[b"#!"], |entry| (entry.mode, entry.uid, entry.gid) = (0o4755, mine.0, mine.1));
    let outcome = places.restore(&crafter.finish(), Conflict::Overwrite);
    assert_eq!(
        outcome.told(),
        [
            "/disk: making it failed: Operation not permitted (os error 1)",
            "/labelled: its attribute `trusted.label` was not set: Operation not permitted (os error 1)",
            "/root's own: its set-user-id or set-group-id bit was not set, as it belongs to somebody else than before",
        ]
    );
    let mode = |name: &str| fs::metadata(places.target.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("root's own"), mode("tool")), (0o755, 0o4755));
    assert!(fs::symlink_metadata(places.target.join("disk")).is_err());
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(places.target.join("labelled"), "user.label", &mut value[..]), Ok(1));
    assert_eq!(leftovers(&places.target), Vec::<PathBuf>::new());
}

/// What is not finished and was left behind.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().contains(".bailiwick-restore-")).collect()
}
