//! Damage is found, what it affects is named, and the next backup heals it.

use crate::kit::{Client, back_up, bytes, files, init, new_vault, open, options, restore, segment, way};
use std::ops::ControlFlow;
use std::sync::Arc;
use vault::storage::{Action, Lock, MemoryStorage, Object, Storage, StorageError, Unfinished};
use vault::{
    Access, DamageFault, DamagedPart, Draft, Fingerprint, OnDamage, PackFault, Part, Progress, Receiver, ScrubReport,
    SessionOptions, StreamRef, Trouble, Trust, Vault, VaultError, scrub_files,
};

fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn scrub(vault: &Arc<Vault>, on_damage: OnDamage) -> ScrubReport {
    vault.scrub(on_damage, &mut on).unwrap()
}

fn only_pack(storage: &MemoryStorage) -> String {
    let packs = storage.list("packs/").unwrap();
    assert_eq!(packs.len(), 1);
    packs[0].clone()
}

#[test]
fn a_vault_that_is_whole_is_found_so() {
    let (storage, vault) = new_vault();
    for seed in 0..3 {
        back_up(&vault, "a", &files(seed, 20)).unwrap();
    }
    let report = scrub(&vault, OnDamage::Report);
    assert!(report.is_clean() && report.files.strangers.is_empty());
    assert_eq!((report.files.packs, report.snapshots), (3, 3));
    assert!(report.chunks > 60 && report.files.segments > 10 && report.files.bytes == storage.bytes("packs/"));
    drop(vault);
    storage.put_new("packs/00/notes.txt", b"").unwrap();
    storage.put_new("diary", b"").unwrap();
    let report = scrub_files(&storage, &mut on).unwrap();
    assert!(report.damage.is_empty());
    assert_eq!(report.strangers, ["diary", "packs/00/notes.txt"]);
}

#[test]
fn without_a_key_every_flipped_bit_is_found_in_its_file() {
    let (storage, vault) = new_vault();
    back_up(&vault, "a", &vec![bytes(1, 300), bytes(2, 20)]).unwrap();
    drop(vault);
    for name in storage.list("").unwrap() {
        if name.ends_with(".json") {
            continue;
        }
        let length = storage.bytes(&name) as usize;
        for at in 0..length {
            // The mac of a pack is the key's to look at.
            if name.ends_with(".pack") && (length - 24..length - 8).contains(&at) {
                continue;
            }
            storage.alter(&name, |bytes| bytes[at] ^= 1 << (at % 8));
            let report = scrub_files(&storage, &mut on).unwrap();
            assert_eq!(report.damage.len(), 1, "{name} byte {at}");
            assert_eq!(report.damage[0].path, storage.path(&name));
            storage.alter(&name, |bytes| bytes[at] ^= 1 << (at % 8));
        }
        let cut = storage.copy();
        cut.alter(&name, |bytes| bytes.truncate(length / 2));
        assert_eq!(scrub_files(&cut, &mut on).unwrap().damage.len(), 1, "{name}");
    }
}

#[test]
fn with_the_key_forgery_is_found_too() {
    let (storage, vault) = new_vault();
    back_up(&vault, "a", &files(1, 5)).unwrap();
    drop(vault);
    let pack = only_pack(&storage);
    let length = storage.bytes(&pack) as usize;
    storage.alter(&pack, |bytes| bytes[length - 10] ^= 1);
    assert!(scrub_files(&storage, &mut on).unwrap().damage.is_empty());
    let report = scrub(&open(&storage), OnDamage::Report);
    let fault = &report.files.damage[0].fault;
    assert!(matches!(fault, DamageFault::Pack(PackFault::Forged)), "{fault}");
}

#[test]
fn a_chunk_that_is_not_what_it_is_called_is_found() {
    let (_, vault) = new_vault();
    let session = vault.begin(SessionOptions { trust: Trust::Own, ..options("a") }).unwrap();
    let mut lie = segment(&[bytes(1, 1000)]);
    lie.names = vec![Fingerprint::of(None, &bytes(2, 1000))];
    let names = StreamRef { chunks: vec![(lie.names[0].id, 1000)] };
    session.put(lie).unwrap();
    let snapshot = session.commit(Draft { names, ..Draft::default() }).unwrap().snapshot;
    let report = scrub(&vault, OnDamage::Report);
    assert!(matches!(report.files.damage[0].fault, DamageFault::Pack(PackFault::Content)));
    assert_eq!((report.affected[0].snapshot, report.affected[0].part), (snapshot, Part::Names));
}

#[test]
fn damage_is_traced_to_positions_and_healed_by_the_next_backup() {
    let (storage, vault) = new_vault();
    let wanted = files(1, 40);
    let first = back_up(&vault, "a", &wanted).unwrap().snapshot;
    let second = back_up(&vault, "b", &wanted[20..].to_vec()).unwrap().snapshot;
    back_up(&vault, "c", &files(2, 10)).unwrap();
    drop(vault);
    // The segment with the last file: 4 bytes into the end of what both share.
    let pack = storage.list("packs/").unwrap().into_iter().max_by_key(|name| storage.bytes(name)).unwrap();
    storage.alter(&pack, |bytes| bytes[250_000] ^= 4);
    let vault = open(&storage);
    let report = scrub(&vault, OnDamage::Report);
    assert_eq!(report.files.damage.len(), 1);
    assert!(matches!(report.files.damage[0].part, DamagedPart::Segment { chunks: 1.., .. }));
    for affected in &report.affected {
        let reader = vault.reader(affected.snapshot, None).unwrap();
        let damaged = |position| affected.positions.iter().any(|range| range.contains(&position));
        for position in 0..reader.count(Part::Files) {
            assert_eq!(reader.chunk(position).is_err(), damaged(position), "{affected:?} at {position}");
        }
    }
    assert!(report.affected.iter().all(|affected| affected.part == Part::Files));
    let affected: Vec<_> = report.affected.iter().map(|affected| affected.snapshot).collect();
    assert!(affected.contains(&first) && affected.iter().all(|id| [first, second].contains(id)));

    // Until it is marked, nobody is asked for it.
    assert_eq!(back_up(&vault, "a", &wanted).unwrap().stored_bytes, 0);
    scrub(&vault, OnDamage::Mark);
    drop(vault);
    let vault = open(&storage);
    let built_on = vault.begin(SessionOptions { basis: Some(first), ..options("a") }).err().unwrap();
    assert!(matches!(built_on, VaultError::DamagedBasis { snapshot } if snapshot == first), "{built_on}");
    let healing = back_up(&vault, "a", &wanted).unwrap();
    assert!(healing.stored_bytes > 0 && healing.stored_bytes < 100_000, "only what is damaged is sent");
    assert_eq!(restore(&vault, first).unwrap(), wanted);
    assert_eq!(restore(&vault, second).unwrap(), wanted[20..]);
    let report = scrub(&vault, OnDamage::Mark);
    assert!(report.affected.is_empty() && report.files.damage.len() == 1);
    vault.begin(SessionOptions { basis: Some(first), ..options("a") }).unwrap();

    // And a mark goes when the pack is whole again.
    storage.alter(&pack, |bytes| bytes[250_000] ^= 4);
    assert!(scrub(&vault, OnDamage::Mark).is_clean());
    assert!(storage.list("marks/").unwrap().is_empty());
}

#[test]
fn a_pack_that_cannot_be_read_at_all_is_healed_too() {
    for damage in ["end", "gone"] {
        let (storage, vault) = new_vault();
        let snapshot = back_up(&vault, "a", &files(1, 20)).unwrap().snapshot;
        drop(vault);
        let pack = only_pack(&storage);
        match damage {
            "end" => storage.alter(&pack, |bytes| bytes.truncate(bytes.len() - 1)),
            _ => storage.delete(&[pack]).unwrap(),
        }
        let vault = open(&storage);
        let report = scrub(&vault, OnDamage::Mark);
        let parts: Vec<Part> = report.affected.iter().map(|affected| affected.part).collect();
        assert_eq!(parts, [Part::Names, Part::Refs, Part::Files], "{damage}");
        back_up(&vault, "a", &files(1, 20)).unwrap();
        assert_eq!(restore(&vault, snapshot).unwrap(), files(1, 20), "{damage}");
        drop(vault);
        let vault = open(&storage);
        assert_eq!(restore(&vault, snapshot).unwrap(), files(1, 20), "{damage}");
        assert!(scrub(&vault, OnDamage::Report).affected.is_empty(), "{damage}");
    }
}

#[test]
fn a_record_that_is_damaged_is_named_and_hides_no_other() {
    let (storage, vault) = new_vault();
    back_up(&vault, "a", &files(1, 5)).unwrap();
    let other = back_up(&vault, "a", &files(2, 5)).unwrap().snapshot;
    drop(vault);
    let record = storage.list("snapshots/").unwrap()[0].clone();
    storage.alter(&record, |bytes| bytes[50] ^= 1);
    let vault = open(&storage);
    let listing = vault.snapshots().unwrap();
    assert_eq!((listing.snapshots.len(), listing.damaged.len()), (1, 1));
    assert_eq!(vault.latest("a", "site").unwrap().unwrap().id, other);
    let error = vault.snapshot(listing.damaged[0].0).unwrap_err().to_string();
    assert!(error.contains(&storage.path(&record)), "{error}");
    let report = scrub(&vault, OnDamage::Report);
    assert_eq!((report.files.damage.len(), report.snapshots), (1, 1));
    assert_eq!(report.files.damage[0].path, storage.path(&record));
}

#[test]
fn the_record_of_a_domain_is_written_anew_from_snapshots() {
    let (storage, vault) = new_vault();
    let snapshot = back_up(&vault, "a", &files(1, 5)).unwrap().snapshot;
    drop(vault);
    let record = storage.list("domains/").unwrap()[0].clone();
    storage.alter(&record, |bytes| bytes[30] ^= 1);
    let vault = open(&storage);
    let error = vault.begin(options("a")).err().unwrap().to_string();
    assert!(error.contains(&storage.path(&record)), "{error}");
    assert_eq!(restore(&vault, snapshot).unwrap(), files(1, 5), "reading needs none");
    scrub(&vault, OnDamage::Mark);
    assert!(scrub(&vault, OnDamage::Report).is_clean());
    assert_eq!(back_up(&vault, "a", &files(1, 5)).unwrap().stored_bytes, 0);
}

#[test]
fn a_damaged_index_is_found_and_made_anew() {
    let (storage, vault) = new_vault();
    let snapshots: Vec<_> = (0..4).map(|seed| back_up(&vault, "a", &files(seed, 30)).unwrap().snapshot).collect();
    drop(vault);
    let run = storage.list("index/").unwrap()[0].clone();
    let good = storage.copy();
    // Somewhere in an entry: chunks are found elsewhere, or not at all.
    storage.alter(&run, |bytes| bytes[8..].chunks_exact_mut(44).take(100).for_each(|entry| entry[28] ^= 1));
    let vault = open(&storage);
    assert!(restore(&vault, snapshots[0]).is_err());
    let report = scrub(&vault, OnDamage::Report);
    assert_eq!(report.files.damage[0].path, storage.path(&run));
    let session = vault.begin(options("b")).unwrap();
    let draft = Client::new(&session).upload(&files(9, 10)).unwrap();
    vault.rebuild_index(&mut on).unwrap();
    let snapshot = session.commit(draft).unwrap().snapshot;
    assert_eq!(restore(&vault, snapshot).unwrap(), files(9, 10));
    assert!(scrub(&vault, OnDamage::Report).is_clean());
    for (seed, snapshot) in (0..).zip(&snapshots) {
        assert_eq!(restore(&vault, *snapshot).unwrap(), files(seed, 30));
    }
    assert_eq!(back_up(&vault, "c", &files(2, 30)).unwrap().stored_bytes, 0);

    // One that cannot even be opened is replaced when the vault is.
    good.alter(&run, |bytes| bytes.truncate(100));
    let vault = open(&good);
    assert_eq!(vault.troubles().len(), 1);
    assert_eq!(restore(&vault, snapshots[3]).unwrap(), files(3, 30));
    drop(vault);
    assert!(open(&good).troubles().is_empty());
}

#[test]
fn a_rebuild_keeps_what_the_index_knew_of_packs_that_cannot_tell_it_any_more() {
    let (storage, vault) = new_vault();
    let one = back_up(&vault, "a", &files(1, 20)).unwrap().snapshot;
    drop(vault);
    let pack = only_pack(&storage);
    let vault = open(&storage);
    let other = back_up(&vault, "a", &files(2, 20)).unwrap().snapshot;
    let length = storage.bytes(&pack) as usize;
    storage.alter(&pack, |bytes| bytes[length - 70] ^= 1);
    vault.rebuild_index(&mut on).unwrap();
    assert!(vault.troubles().iter().any(|trouble| matches!(trouble, Trouble::Pack { .. })));
    let again = || -> Arc<Vault> {
        let vault = open(&storage);
        assert_eq!(restore(&vault, one).unwrap(), files(1, 20));
        assert_eq!(restore(&vault, other).unwrap(), files(2, 20));
        vault
    };
    assert_eq!(restore(&vault, one).unwrap(), files(1, 20));
    drop(vault);
    let vault = again();

    // Nobody begins to rely on such a pack, so its chunks are sent again, and these are what is found then.
    let healed = back_up(&vault, "b", &files(1, 20)).unwrap();
    assert!(healed.stored_bytes > 20 * 100, "{healed:?}");
    vault.rebuild_index(&mut on).unwrap();
    drop(vault);
    storage.delete(&[pack]).unwrap();
    again();
}

#[test]
fn a_scrub_and_a_rebuild_can_be_stopped() {
    let (storage, vault) = new_vault();
    for seed in 0..3 {
        back_up(&vault, "a", &files(seed, 5)).unwrap();
    }
    let stop = |progress: Progress| if progress.done == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    assert!(matches!(vault.scrub(OnDamage::Mark, &mut { stop }), Err(VaultError::Stopped)));
    assert!(matches!(vault.rebuild_index(&mut { stop }), Err(VaultError::Stopped)));
    assert!(scrub(&vault, OnDamage::Report).is_clean());
    drop(vault);
    assert!(scrub(&open(&storage), OnDamage::Report).is_clean());
}

/// Packs cannot be read, as on a disk that was pulled out.
#[derive(Clone)]
struct Unplugged(MemoryStorage);

impl Storage for Unplugged {
    fn create(&self, name: &str) -> Result<Box<dyn Unfinished>, StorageError> {
        self.0.create(name)
    }
    fn open(&self, name: &str) -> Result<Arc<dyn Object>, StorageError> {
        let source = std::io::Error::other("no such device");
        if name.starts_with("packs/") {
            return Err(StorageError::Failed { action: Action::Read, path: name.into(), source });
        }
        self.0.open(name)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        self.0.list(prefix)
    }
    fn top(&self) -> Result<Vec<String>, StorageError> {
        self.0.top()
    }
    fn delete(&self, names: &[String]) -> Result<(), StorageError> {
        self.0.delete(names)
    }
    fn lock(&self) -> Result<Lock, StorageError> {
        self.0.lock()
    }
    fn path(&self, name: &str) -> String {
        self.0.path(name)
    }
}

#[test]
fn a_disk_that_is_gone_marks_nothing() {
    let storage = MemoryStorage::default();
    let vault = init(&storage);
    for seed in 0..12 {
        back_up(&vault, "a", &files(seed, 2)).unwrap();
    }
    drop(vault);
    let unplugged: Arc<dyn Storage> = Arc::new(Unplugged(storage.clone()));
    let vault = Vault::open(unplugged.clone(), &way(), Access::Write).unwrap();
    let error = vault.scrub(OnDamage::Mark, &mut on).unwrap_err();
    assert!(matches!(error, VaultError::Unreadable { .. }), "{error}");
    assert!(matches!(scrub_files(&*unplugged, &mut on), Err(VaultError::Unreadable { .. })));
    assert!(storage.list("marks/").unwrap().is_empty());
}
