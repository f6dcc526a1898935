//! Vaults are made, opened, written to and read.

use crate::kit::{Client, back_up, files, init, new_vault, open, options, restore, way};
use std::sync::Arc;
use vault::storage::{Directory, MemoryStorage, Storage, StorageError};
use vault::{
    Access, Cost, Draft, KeyError, Mode, Receiver, RecoverySheet, SessionOptions, Trust, Vault, VaultError, WayIn,
};

#[test]
fn what_is_committed_is_read_back_also_after_opening() {
    let (storage, vault) = new_vault();
    let (first, second) = (files(1, 30), [files(1, 25), files(2, 10)].concat());
    let one = back_up(&vault, "a", &first).unwrap();
    let two = back_up(&vault, "b", &second).unwrap();
    assert!(one.snapshot < two.snapshot && one.stored_bytes > two.stored_bytes);
    let check = |vault: &Arc<Vault>| {
        assert_eq!(restore(vault, one.snapshot).unwrap(), first);
        assert_eq!(restore(vault, two.snapshot).unwrap(), second);
        let listing = vault.snapshots().unwrap();
        let sources: Vec<&str> = listing.snapshots.iter().map(|summary| summary.source.as_str()).collect();
        assert_eq!(sources, ["a", "b"]);
        assert_eq!(listing.snapshots[0].counts.files, 30);
        assert_eq!(vault.latest("a", "site").unwrap().unwrap().id, one.snapshot);
        assert_eq!(vault.latest("a", "other").unwrap(), None);
        assert!(vault.troubles().is_empty());
    };
    check(&vault);
    drop(vault);
    let vault = open(&storage);
    check(&vault);
    // The same again costs a snapshot's record and nothing else.
    let three = back_up(&vault, "a", &first).unwrap();
    assert_eq!(three.stored_bytes, 0);
    assert_eq!(restore(&vault, three.snapshot).unwrap(), first);
}

#[test]
fn what_the_basis_has_needs_no_asking() {
    let (_, vault) = new_vault();
    let old = files(1, 200);
    let basis = back_up(&vault, "a", &old).unwrap().snapshot;
    let mut new = old.clone();
    new[100] = b"changed".to_vec();
    new.remove(150);
    // A client that reads only what changed: the ids of the rest come from the basis.
    let draft = {
        let session = vault.begin(options("b")).unwrap();
        Client::new(&session).upload(&new).unwrap()
    };
    let session = vault.begin(SessionOptions { basis: Some(basis), ..options("a") }).unwrap();
    assert_eq!(session.basis().unwrap().summary.id, basis);
    let mut client = Client::new(&session);
    client.send(&[b"changed".to_vec()], false).unwrap();
    let streams = [&draft.refs, &draft.names];
    let old_streams: Vec<_> = {
        let basis = session.basis().unwrap();
        basis.refs.chunks.iter().chain(&basis.names.chunks).copied().collect()
    };
    let new_chunks = streams.iter().flat_map(|stream| &stream.chunks).filter(|chunk| !old_streams.contains(chunk));
    assert!(new_chunks.count() < 6, "most of refs stays as it is");
    // The changed chunks of the streams were put by nobody in this session.
    assert!(matches!(session.commit(draft.clone()), Err(VaultError::Refused(_))));
    let again = client.upload(&new).unwrap();
    assert_eq!(again, draft);
    let received = session.commit(draft).unwrap();
    drop(session);
    assert_eq!(restore(&vault, received.snapshot).unwrap(), new);
}

#[test]
fn a_session_that_is_dropped_leaves_what_it_sent_to_the_next() {
    let (storage, vault) = new_vault();
    let wanted = files(3, 40);
    let session = vault.begin(options("a")).unwrap();
    let mut client = Client::new(&session);
    client.upload(&wanted).unwrap();
    let sent = client.sent;
    assert!(sent > 40);
    drop(session);
    drop(vault);
    let vault = open(&storage);
    let session = vault.begin(options("a")).unwrap();
    let mut client = Client::new(&session);
    let draft = client.upload(&wanted).unwrap();
    assert_eq!(client.sent, 0);
    let received = session.commit(draft).unwrap();
    assert_eq!(restore(&vault, received.snapshot).unwrap(), wanted);
    assert!(matches!(session.commit(Draft::default()), Err(VaultError::Ended)));
}

#[test]
fn an_empty_snapshot_is_one_too() {
    let (_, vault) = new_vault();
    let received = back_up(&vault, "a", &vec![]).unwrap();
    assert!(restore(&vault, received.snapshot).unwrap().is_empty());
    assert_eq!(vault.snapshot(received.snapshot).unwrap().description, b"words");
}

#[test]
fn every_way_in_opens_the_vault() {
    let (storage, vault) = new_vault();
    let received = back_up(&vault, "a", &files(1, 5)).unwrap();
    let sheet = RecoverySheet::generate();
    let cheap = Cost { memory_kib: 64, passes: 1 };
    vault.add_way_in("sheet", &WayIn::Sheet(sheet.clone()), cheap).unwrap();
    vault.add_way_in("typed", &WayIn::password("a password"), cheap).unwrap();
    vault.remove_way_in("host").unwrap();
    drop(vault);
    let storage: Arc<dyn Storage> = Arc::new(storage);
    for way in [WayIn::Sheet(sheet.print().parse().unwrap()), WayIn::password("a password")] {
        let vault = Vault::open(storage.clone(), &way, Access::Write).unwrap();
        assert_eq!(restore(&vault, received.snapshot).unwrap(), files(1, 5));
        assert_eq!(vault.ways_in().unwrap().len(), 2);
    }
    let wrong = Vault::open(storage.clone(), &WayIn::password("another"), Access::Write).err().unwrap();
    assert_eq!(wrong.to_string(), "the password does not open this vault");
    let none = Vault::open(storage, &way(), Access::Write).err().unwrap();
    assert!(matches!(none, VaultError::Key(KeyError::NoWay { .. })), "{none}");
}

#[test]
fn a_domain_keeps_its_mode() {
    let (storage, vault) = new_vault();
    drop(vault.begin(options("a")).unwrap());
    let other = SessionOptions { mode: Mode::Private, ..options("a") };
    let check = |vault: &Arc<Vault>| {
        let error = vault.begin(other.clone()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "domain site is managed for good and cannot be used as private; use another domain"
        );
    };
    check(&vault);
    drop(vault);
    check(&open(&storage));
}

#[test]
fn a_folder_that_cannot_be_used_says_why() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("v");
    let storage = || -> Arc<dyn Storage> { Arc::new(Directory::create(&path).unwrap()) };
    let init = || Vault::init(storage(), "host", &way(), Cost::NORMAL);
    let open = |access| Vault::open(storage(), &way(), access);

    let none = open(Access::Write).err().unwrap().to_string();
    assert!(none.contains("v/vault.json is not there") && none.contains("mounted"), "{none}");
    std::fs::write(path.join("diary.txt"), "mine").unwrap();
    let other = init().err().unwrap().to_string();
    assert!(other.contains("/v") && other.contains("diary.txt"), "{other}");
    std::fs::remove_file(path.join("diary.txt")).unwrap();

    let vault = init().unwrap();
    let received = back_up(&vault, "a", &files(1, 5)).unwrap();
    let pid = std::process::id();
    let locked = open(Access::Write).err().unwrap();
    assert!(matches!(&locked, VaultError::Storage(StorageError::Locked { pid: p, .. }) if *p == pid), "{locked}");
    // Reading needs no lock.
    let reading = open(Access::Read).unwrap();
    assert_eq!(restore(&reading, received.snapshot).unwrap(), files(1, 5));
    assert!(matches!(reading.begin(options("a")), Err(VaultError::ReadOnly)));
    drop(vault);
    assert!(matches!(init(), Err(VaultError::Exists { .. })));
    open(Access::Write).unwrap();

    let header = std::fs::read_to_string(path.join("vault.json")).unwrap();
    let change = |from: &str, to: &str| std::fs::write(path.join("vault.json"), header.replace(from, to)).unwrap();
    change("\"compatible\": []", "\"compatible\": [\"new\"]");
    open(Access::Write).unwrap();
    change("\"read_only\": []", "\"read_only\": [\"new\"]");
    let newer = open(Access::Write).err().unwrap().to_string();
    assert!(newer.contains("vault.json was written by a newer version (new)"), "{newer}");
    open(Access::Read).unwrap();
    change("\"incompatible\": []", "\"incompatible\": [\"new\"]");
    assert!(matches!(open(Access::Read), Err(VaultError::Newer { .. })));
    change("\"version\": 1", "\"version\": 9");
    assert!(open(Access::Read).err().unwrap().to_string().contains("version 9"));
    change("bailiwick-vault", "other-vault");
    assert!(matches!(open(Access::Read), Err(VaultError::Header { .. })));
    std::fs::remove_file(path.join("vault.json")).unwrap();
    let headless = init().err().unwrap();
    assert!(matches!(headless, VaultError::Headless { .. }), "{headless}");
}

#[test]
fn what_was_begun_to_be_made_can_be_made_again() {
    let storage = MemoryStorage::default();
    let vault = init(&storage);
    drop(vault);
    storage.delete(&["vault.json".into()]).unwrap();
    let vault = init(&storage);
    assert_eq!(vault.ways_in().unwrap().len(), 1);
}

#[test]
fn a_basis_is_a_snapshot_of_the_same_source_and_domain() {
    let (_, vault) = new_vault();
    let basis = Some(back_up(&vault, "a", &files(1, 3)).unwrap().snapshot);
    let begin = |options| vault.begin(options).err().unwrap();
    let other = begin(SessionOptions { basis, ..options("b") });
    assert!(matches!(other, VaultError::OtherSource { .. }), "{other}");
    let other = begin(SessionOptions { basis, domain: "two".into(), ..options("a") });
    assert!(matches!(other, VaultError::OtherDomain { .. }), "{other}");
    let missing = begin(SessionOptions { basis: Some(vault::SnapshotId([1; 16])), ..options("a") });
    assert!(matches!(missing, VaultError::NoSnapshot { .. }), "{missing}");
    let name = begin(SessionOptions { source: "a\nb".into(), ..options("a") });
    assert!(matches!(name, VaultError::Name { .. }), "{name}");
}

#[test]
fn the_own_process_is_believed() {
    let (_, vault) = new_vault();
    let session = vault.begin(SessionOptions { trust: Trust::Own, ..options("a") }).unwrap();
    let draft = Client::new(&session).upload(&files(1, 10)).unwrap();
    let received = session.commit(draft).unwrap();
    assert_eq!(restore(&vault, received.snapshot).unwrap(), files(1, 10));
}
