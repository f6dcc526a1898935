//! What every storage promises, and what a folder does beyond.

use super::*;
use std::path::Path;

fn names(storage: &dyn Storage, prefix: &str) -> Vec<String> {
    storage.list(prefix).unwrap()
}

fn keeps_its_promises(storage: &dyn Storage) {
    assert_eq!(storage.top().unwrap(), [""; 0]);
    assert!(names(storage, "packs/").is_empty());
    storage.put_new("packs/0a/one.pack", b"first").unwrap();
    storage.put_new("packs/0b/two.pack", b"second").unwrap();
    storage.put_new("vault.json", b"{}").unwrap();
    let taken = storage.put_new("vault.json", b"other").unwrap_err();
    assert!(matches!(taken, StorageError::Exists { .. }), "{taken}");
    assert_eq!(storage.read("vault.json", 100).unwrap(), b"{}");
    assert!(matches!(storage.read("vault.json", 1), Err(StorageError::TooLong { length: 2, limit: 1, .. })));
    assert_eq!(names(storage, "packs/"), ["packs/0a/one.pack", "packs/0b/two.pack"]);

    let mut unfinished = storage.create("packs/0a/three.pack").unwrap();
    unfinished.append(b"never").unwrap();
    unfinished.append(b" seen").unwrap();
    assert_eq!(names(storage, "packs/").len(), 2);
    drop(unfinished);
    assert!(storage.open("packs/0a/three.pack").err().unwrap().is_not_found());

    let object = storage.open("packs/0a/one.pack").unwrap();
    let mut buffer = [0; 3];
    object.read_at(2, &mut buffer).unwrap();
    assert_eq!((&buffer, object.length().unwrap()), (b"rst", 5));
    let cut = object.read_at(3, &mut buffer).unwrap_err();
    assert!(matches!(cut, StorageError::CutOff { length: 5, end: 6, .. }), "{cut}");
    assert!(object.read_at(u64::MAX / 2, &mut buffer).is_err());

    storage.delete(&["packs/0a/one.pack".into(), "packs/0a/never-there".into()]).unwrap();
    assert_eq!(names(storage, "packs/"), ["packs/0b/two.pack"]);
    object.read_at(0, &mut buffer).unwrap();

    let lock = storage.lock().unwrap();
    assert!(matches!(storage.lock(), Err(StorageError::Locked { pid, .. }) if pid == std::process::id()));
    drop(lock);
    storage.lock().unwrap();
}

#[test]
fn memory_keeps_its_promises() {
    keeps_its_promises(&MemoryStorage::default());
}

#[test]
fn a_folder_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    keeps_its_promises(&Directory::create(&folder.path().join("a/b")).unwrap());
}

#[test]
fn a_folder_is_made_for_its_owner_alone_and_what_a_killed_keeper_left_is_swept() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault");
    let storage = Directory::create(&path).unwrap();
    storage.put_new("keys/a.json", b"x").unwrap();
    for (name, mode) in [("", 0o700), ("keys", 0o700), ("keys/a.json", 0o600)] {
        assert_eq!(std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    let mut unfinished = storage.create("packs/00/x.pack").unwrap();
    unfinished.append(b"half").unwrap();
    std::mem::forget(unfinished);
    let left = || std::fs::read_dir(path.join("tmp")).unwrap().count();
    assert_eq!(left(), 1);
    drop(storage.lock().unwrap());
    assert_eq!(left(), 0);
    assert_eq!(storage.top().unwrap(), ["keys/", "lock", "tmp/"]);
}

#[test]
fn what_is_wrong_names_the_path_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Directory::open(&folder.path().join("nowhere")).err().unwrap();
    assert!(missing.is_not_found() && missing.to_string().contains("nowhere"), "{missing}");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let file = Directory::open(&folder.path().join("file")).err().unwrap();
    assert!(file.to_string().contains("file"), "{file}");
    let storage = Directory::open(folder.path()).unwrap();
    let gone = storage.open("packs/00/x.pack").err().unwrap().to_string();
    assert_eq!(gone, format!("{} is not there", folder.path().join("packs/00/x.pack").display()));
}

/// A disk that is full by itself: every write to this device fails so.
#[test]
fn a_full_disk_says_so() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let error = std::fs::write("/dev/full", "x").unwrap_err();
    let error = StorageError::from_io(Action::Write, "/v/packs/x".into(), error);
    assert!(matches!(error, StorageError::Full { .. }));
    assert_eq!(
        error.to_string(),
        "cannot write /v/packs/x: the disk is full; free some space on it, or move the vault to a larger one"
    );
}

#[test]
fn faults_come_when_they_were_ordered() {
    for fault in [Fault::Full, Fault::Broken, Fault::KilledBefore, Fault::KilledAfter] {
        let memory = MemoryStorage::default();
        let storage = FaultyStorage::new(Arc::new(memory.clone()), 5, fault);
        storage.put_new("a", b"1").unwrap();
        assert!(storage.open("a").is_ok() && !storage.has_failed());
        let mut object = storage.create("b").unwrap();
        assert!(object.append(b"1234").is_err() && storage.has_failed(), "{fault:?}");
        let is_dead = matches!(fault, Fault::KilledBefore | Fault::KilledAfter);
        assert_eq!(storage.open("a").is_err(), is_dead);
        assert_eq!(object.finish().is_err(), is_dead);
        assert_eq!(memory.bytes("b"), if is_dead { 0 } else { 2 }, "half of what was to be written");
    }
}

#[test]
fn a_folder_is_shown_with_its_whole_path_and_without_detours() {
    let folder = tempfile::tempdir().unwrap();
    let shown = Directory::create(&folder.path().join("./vault")).unwrap().path("vault.json");
    assert_eq!(shown, folder.path().join("vault/vault.json").display().to_string());
    let here = Directory::open(Path::new(".")).unwrap().path("vault.json");
    assert_eq!(here, std::env::current_dir().unwrap().join("vault.json").display().to_string());
}
