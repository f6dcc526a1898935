//! Where something is there already: every rule, restores that were cut off, and choosing parts.

use crate::kit::{self, Outcome, Store};
use backup::files::restore::{
    Action, Conflict, Destination, RestoreError, RestoreOptions, Watch, WriteProblem, restore,
};
use backup::files::{Excludes, OwnerNames, Owners, Selection};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use trees::{beneath, chmod, noise, set_time};
use vault::SnapshotId;

struct Place {
    work: tempfile::TempDir,
    original: PathBuf,
    target: PathBuf,
    store: Store,
    id: SnapshotId,
}

impl Place {
    /// A small tree, backed up.
    fn new() -> Place {
        let work = tempfile::tempdir().unwrap();
        let original = work.path().join("original");
        for (path, text, seconds) in [("a/one", "1", 100), ("a/two", "22", 200), ("b/three", "333", 300)] {
            let path = original.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            set_time(&path, seconds, 0);
        }
        symlink("a/one", original.join("link")).unwrap();
        let store = Store::new();
        let id = store.back_up(&original).id;
        Place { target: beneath(&work.path().join("to"), &original), work, original, store, id }
    }

    fn options(&self, conflict: Conflict) -> RestoreOptions {
        RestoreOptions { conflict, ..kit::into(&self.work.path().join("to")) }
    }

    fn restore(&self, conflict: Conflict) -> Outcome {
        self.store.restore(self.id, &self.options(conflict))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.target.join(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str, seconds: i64) {
        fs::write(self.target.join(path), text).unwrap();
        set_time(&self.target.join(path), seconds, 0);
    }

    /// Restored once, then changed: one is newer, one older, and one has another size.
    fn changed() -> Place {
        let place = Place::new();
        place.restore(Conflict::Refuse).assert_whole();
        place.write("a/one", "X", 101);
        place.write("a/two", "XX", 199);
        place.write("b/three", "XXXX", 300);
        place
    }

    fn texts(&self) -> [String; 3] {
        ["a/one", "a/two", "b/three"].map(|path| self.read(path))
    }
}

#[test]
fn overwriting_brings_back_what_was() {
    let place = Place::changed();
    chmod(&place.target.join("a"), 0o700);
    let outcome = place.restore(Conflict::Overwrite);
    outcome.assert_whole();
    assert_eq!((outcome.restored.files, outcome.restored.right), (3, 1));
    assert_eq!(place.texts(), ["1", "22", "333"]);
    trees::compare::ourselves(&place.original, &place.target, trees::compare::Same::Everything);
}

#[test]
fn keeping_leaves_what_is_there() {
    let place = Place::changed();
    let outcome = place.restore(Conflict::Keep);
    outcome.assert_whole();
    assert_eq!((outcome.restored.files, outcome.restored.kept, outcome.restored.right), (0, 3, 1));
    assert_eq!(place.texts(), ["X", "XX", "XXXX"]);
}

#[test]
fn what_is_newer_is_kept() {
    let place = Place::changed();
    let outcome = place.restore(Conflict::KeepNewer);
    outcome.assert_whole();
    assert_eq!(place.texts(), ["X", "22", "XXXX"]);
    assert_eq!((outcome.restored.files, outcome.restored.kept), (1, 2));
}

#[test]
fn refusing_says_what_is_there() {
    let place = Place::changed();
    let outcome = place.restore(Conflict::Refuse);
    assert_eq!(place.texts(), ["X", "XX", "XXXX"]);
    let prefix = place.original.display();
    let mut told = outcome.told();
    told.sort();
    let expected = ["a/one", "a/two", "b/three"];
    let expected =
        expected.map(|path| format!("{prefix}/{path}: a file of this name is there and was left alone, as asked"));
    assert_eq!(told, expected);
    assert_eq!(outcome.restored.lost, 3);
}

#[test]
fn renaming_puts_it_beside_once() {
    let place = Place::changed();
    fs::write(place.target.join("a/one.restored"), "taken").unwrap();
    let outcome = place.restore(Conflict::Rename);
    assert_eq!(place.texts(), ["X", "XX", "XXXX"]);
    assert_eq!([place.read("a/one.restored-2"), place.read("b/three.restored")], ["1", "333"]);
    assert_eq!((outcome.restored.beside, outcome.restored.lost, outcome.problems.len()), (3, 0, 3));
    let again = place.restore(Conflict::Rename);
    again.assert_whole();
    assert_eq!((again.restored.files, again.restored.right), (0, 4));
}

#[test]
fn the_same_size_and_time_may_hide_other_bytes() {
    let place = Place::changed();
    place.write("a/two", "XX", 200);
    let outcome = place.restore(Conflict::Overwrite);
    assert_eq!((place.read("a/two"), outcome.restored.files), ("XX".to_owned(), 2));
    let options = RestoreOptions { compare_content: true, ..place.options(Conflict::Overwrite) };
    let outcome = place.store.restore(place.id, &options);
    outcome.assert_whole();
    assert_eq!((place.read("a/two"), outcome.restored.files), ("22".to_owned(), 1));
}

#[test]
fn a_folder_is_never_removed_for_a_file() {
    let place = Place::new();
    fs::create_dir_all(place.target.join("a/one/full")).unwrap();
    let outcome = place.restore(Conflict::Overwrite);
    let expected =
        format!("{}/a/one: a folder is in the way: move it, or restore to another place", place.original.display());
    assert_eq!(outcome.told(), [expected]);
    assert!(place.target.join("a/one/full").is_dir());
    assert_eq!(place.read("a/two"), "22");
}

/// What a restore would do.
#[derive(Default)]
struct Plan(Mutex<BTreeMap<PathBuf, Action>>);

impl Watch for Plan {
    fn problem(&self, problem: WriteProblem) {
        panic!("{problem}");
    }

    fn planned(&self, path: &[u8], action: Action) {
        use std::os::unix::ffi::OsStrExt as _;
        self.0.lock().unwrap().insert(PathBuf::from(std::ffi::OsStr::from_bytes(path)), action);
    }
}

impl Place {
    fn plan(&self, conflict: Conflict) -> BTreeMap<PathBuf, Action> {
        let options = RestoreOptions { only_look: true, ..self.options(conflict) };
        let plan = Plan::default();
        restore(&self.store.tree(self.id), &kit::Chunks(self.store.reader(self.id)), &options, &plan).unwrap();
        let planned = plan.0.into_inner().unwrap();
        let within =
            |(path, action): (PathBuf, Action)| Some((path.strip_prefix(&self.original).ok()?.to_path_buf(), action));
        planned.into_iter().filter_map(within).collect()
    }
}

#[test]
fn looking_first_writes_nothing() {
    let place = Place::new();
    let plan = place.plan(Conflict::Overwrite);
    let all = ["", "a", "a/one", "a/two", "b", "b/three", "link"];
    assert_eq!(plan, all.into_iter().map(|path| (PathBuf::from(path), Action::Create)).collect());
    assert!(!place.work.path().join("to").exists());

    let place = Place::changed();
    fs::remove_file(place.target.join("link")).unwrap();
    let before = trees::compare::list(&place.target, trees::compare::Same::Everything);
    let expected =
        [("a/one", Action::Keep), ("a/two", Action::Replace), ("b/three", Action::Keep), ("link", Action::Create)];
    assert_eq!(place.plan(Conflict::KeepNewer), expected.map(|(path, action)| (path.into(), action)).into());
    assert_eq!(trees::compare::list(&place.target, trees::compare::Same::Everything), before);
}

#[test]
fn parts_are_chosen_by_path_and_left_out_by_pattern() {
    let place = Place::new();
    let choose = |paths: &[&str]| Selection::of_names(paths.iter().map(|path| place.original.join(path)));
    let options = RestoreOptions { what: choose(&["a/two", "b", "c"]), ..place.options(Conflict::Refuse) };
    let outcome = place.store.restore(place.id, &options);
    assert_eq!(outcome.told().len(), 1);
    assert!(outcome.told()[0].contains("/original/c: the snapshot holds nothing of this name"), "{:?}", outcome.told());
    let listed = trees::compare::list(&place.target, trees::compare::Same::Everything).0;
    let names: Vec<_> = listed.keys().filter_map(|path| path.to_str()).collect();
    assert_eq!(names, ["", "a", "a/two", "b", "b/three"]);

    let into = place.work.path().join("into");
    let options = RestoreOptions {
        what: choose(&["a", "link"]),
        except: Excludes::new(["one"]).unwrap(),
        ..RestoreOptions::new(Destination::Into(into.clone()))
    };
    place.store.restore(place.id, &options).assert_whole();
    let listed = trees::compare::list(&into, trees::compare::Same::Everything).0;
    let names: Vec<_> = listed.keys().filter_map(|path| path.to_str()).collect();
    assert_eq!(names, ["", "a", "a/two", "link"]);

    let clash = RestoreOptions { what: Selection::of_names(["/x/a", "/y/a"]), ..options };
    let refused = place.store.try_restore(place.id, &clash).map(|_| ());
    assert!(matches!(refused, Err(RestoreError::SameName { .. })));
    let nothing = RestoreOptions { what: Selection::of_names::<&str>([]), ..clash };
    assert!(matches!(place.store.try_restore(place.id, &nothing).map(|_| ()), Err(RestoreError::Nothing)));
}

#[test]
fn what_is_in_place_is_restored_where_it_was() {
    let place = Place::new();
    fs::remove_file(place.original.join("a/one")).unwrap();
    fs::write(place.original.join("a/two"), "spoilt").unwrap();
    let before = fs::metadata(place.work.path()).unwrap();
    let options = RestoreOptions {
        what: Selection::of_names([&place.original]),
        conflict: Conflict::Overwrite,
        ..RestoreOptions::new(Destination::Original)
    };
    let outcome = place.store.restore(place.id, &options);
    outcome.assert_whole();
    assert_eq!(fs::read_to_string(place.original.join("a/one")).unwrap(), "1");
    assert_eq!(fs::read_to_string(place.original.join("a/two")).unwrap(), "22");
    assert_eq!(outcome.restored.files, 2);
    // Folders on the way were passed through and nothing else.
    let after = fs::metadata(place.work.path()).unwrap();
    assert_eq!((after.ctime(), after.ctime_nsec()), (before.ctime(), before.ctime_nsec()));
}

#[test]
fn owners_follow_their_names() {
    if !kit::is_root() {
        return kit::skip("owners_follow_their_names", "needs root: it gives files away");
    }
    let place = Place::new();
    for path in ["a/one", "b"] {
        std::os::unix::fs::chown(place.original.join(path), Some(4711), Some(4712)).unwrap();
    }
    let id = place.store.back_up(&place.original).id;
    let then = OwnerNames {
        users: [(4711, "nobody".to_owned())].into(),
        groups: [(4712, "no such group here".to_owned())].into(),
    };
    let nobody =
        String::from_utf8(kit::run(Command::new("id").args(["-u", "nobody"]))).unwrap().trim().parse::<u32>().unwrap();
    let options = RestoreOptions { owners: Owners::ByName, owner_names: then, ..place.options(Conflict::Refuse) };
    place.store.restore(id, &options).assert_whole();
    for path in ["a/one", "b"] {
        let found = fs::metadata(place.target.join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (nobody, 4712), "{path}");
    }
    let mine = RestoreOptions { owners: Owners::Mine, conflict: Conflict::Overwrite, ..options };
    fs::remove_dir_all(place.work.path().join("to")).unwrap();
    place.store.restore(id, &mine).assert_whole();
    assert_eq!(fs::metadata(place.target.join("a/one")).unwrap().uid(), 0);
}

const KILLED: &str = "BAILIWICK_RESTORE_IS_KILLED";

/// A restore that is killed, again and again, until one comes through: nothing half done has a real name at any time.
#[test]
fn a_restore_that_is_killed_goes_on_where_it_was() {
    if let Some(place) = std::env::var_os(KILLED) {
        let place = PathBuf::from(place);
        let storage = std::sync::Arc::new(vault::storage::Directory::open(&place.join("vault")).unwrap());
        let vault = vault::Vault::open(storage, &vault::WayIn::host([7; 32]), vault::Access::Read).unwrap();
        let id = *vault.snapshot_ids().unwrap().last().unwrap();
        let reader = std::sync::Arc::new(vault.reader(id, None).unwrap());
        let tree = vault::TreeReader::new(reader.clone(), reader.snapshot().root, reader.snapshot().root_refs);
        let options = kit::into(&place.join("to"));
        let told = kit::Told::default();
        restore(&tree, &kit::Chunks(reader), &options, &told).unwrap();
        let problems = told.problems.into_inner().unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let original = work.path().join("original");
    for folder in 0..40 {
        let folder = original.join(format!("{folder:02}"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..30 {
            fs::write(folder.join(file.to_string()), noise(file * 7000)).unwrap();
        }
        fs::hard_link(folder.join("7"), folder.join("seven")).unwrap();
        symlink("7", folder.join("to 7")).unwrap();
        chmod(&folder, 0o751);
        set_time(&folder, 1_234_567_890, 5);
    }
    let store = Store::new();
    store.back_up(&original);
    let place = store.folder.path().to_path_buf();
    drop(store.vault);
    let copy = beneath(&place.join("to"), &original);
    let (mut kills, mut wait_us) = (0, 2000);
    loop {
        let mut child = run_again(&place);
        std::thread::sleep(std::time::Duration::from_micros(wait_us));
        if child.try_wait().unwrap().is_some() {
            // It was through before it could be killed.
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        wait_us += wait_us / 4;
        assert_no_half_files(&original, &copy);
    }
    assert!(run_again(&place).wait().unwrap().success());
    assert!(kills > 5, "only {kills} were killed");
    trees::compare::ourselves(&original, &copy, trees::compare::Same::Everything);
}

fn run_again(place: &Path) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "conflicts::a_restore_that_is_killed_goes_on_where_it_was"]).env(KILLED, place);
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Every file that has its name has its content and its time.
fn assert_no_half_files(original: &Path, copy: &Path) {
    let Ok(folders) = fs::read_dir(copy) else { return };
    for folder in folders.map(|folder| folder.unwrap()) {
        for file in fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap()) {
            if file.file_name().to_string_lossy().starts_with(".bailiwick-restore-") {
                continue;
            }
            let was = original.join(folder.file_name()).join(file.file_name());
            let content = |path: &Path| match fs::read_link(path) {
                Ok(target) => target.into_os_string().into_encoded_bytes(),
                Err(_) => fs::read(path).unwrap(),
            };
            assert!(content(&file.path()) == content(&was), "{}", was.display());
            let (is, was) = (file.metadata().unwrap(), fs::symlink_metadata(&was).unwrap());
            assert_eq!((is.mtime(), is.mtime_nsec()), (was.mtime(), was.mtime_nsec()));
        }
    }
}
