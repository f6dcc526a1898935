//! A vault that was written when the formats were settled is read by every later version.
//!
//! `cargo test -p vault --test keeper -- --ignored write_a_vault` writes one for a new version of the formats.

use crate::kit::{Client, back_up, bytes, files_of, open, options, private, restore};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vault::storage::{Directory, MemoryStorage, Storage};
use vault::{
    Access, Cost, DomainSecret, Hold, OnDamage, Progress, Receiver, RecoverySheet, SessionOptions, Vault, WayIn,
    scrub_files,
};

const SHEET: &str = "sheet.txt";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/1")
}

fn contents() -> [Vec<Vec<u8>>; 2] {
    [vec![bytes(1, 900), bytes(2, 20_000), Vec::new()], vec![bytes(2, 20_000), b"text".to_vec()]]
}

fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Where `BAILIWICK_FREEZE` names a folder, the vault stays there: for a new version of the formats.
#[test]
fn a_vault_of_today_can_be_frozen() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("BAILIWICK_FREEZE").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    write_a_vault(&folder);
    let storage: Arc<dyn Storage> = Arc::new(Directory::open(&folder.join("vault")).unwrap());
    let vault = Vault::open(storage, &WayIn::password("frozen"), Access::Read).unwrap();
    assert_eq!(vault.snapshots().unwrap().snapshots.len(), 2);
}

fn write_a_vault(folder: &Path) {
    let storage: Arc<dyn Storage> = Arc::new(Directory::create(&folder.join("vault")).unwrap());
    let vault = Vault::init(storage, "host", &crate::kit::way(), Cost::NORMAL).unwrap();
    let cheap = Cost { memory_kib: 64, passes: 1 };
    let sheet = RecoverySheet::generate();
    fs::write(folder.join(SHEET), sheet.print().as_bytes()).unwrap();
    vault.add_way_in("sheet", &WayIn::Sheet(sheet), cheap).unwrap();
    vault.add_way_in("typed", &WayIn::password("frozen"), cheap).unwrap();
    let [managed, sealed] = contents();
    let held = back_up(&vault, "managed", &managed).unwrap().snapshot;
    vault.hold(held, &Hold { reason: "frozen".into(), until_ms: Some(5) }).unwrap();
    let session = vault.begin(private("private")).unwrap();
    let draft = Client::sealing(&session, DomainSecret([5; 32])).upload(&sealed).unwrap();
    session.commit(draft).unwrap();
}

/// The frozen vault, where it can be written to.
fn thawed() -> MemoryStorage {
    let frozen = Directory::open(&folder().join("vault")).unwrap();
    let storage = MemoryStorage::default();
    for name in frozen.list("").unwrap() {
        storage.put_new(&name, &frozen.read(&name, 1 << 20).unwrap()).unwrap();
    }
    storage
}

#[test]
fn a_frozen_vault_is_opened_in_every_way_and_read() {
    let storage = thawed();
    let sheet = fs::read_to_string(folder().join(SHEET)).unwrap();
    let ways = [WayIn::Sheet(sheet.parse().unwrap()), WayIn::password("frozen"), crate::kit::way()];
    for way in &ways {
        Vault::open(Arc::new(storage.clone()), way, vault::Access::Read).unwrap();
    }
    assert!(scrub_files(&storage, &mut on).unwrap().damage.is_empty());
    let vault = open(&storage);
    let summaries = vault.snapshots().unwrap().snapshots;
    let sources: Vec<&str> = summaries.iter().map(|summary| summary.source.as_str()).collect();
    assert_eq!(sources, ["managed", "private"]);
    let [managed, sealed] = contents();
    assert_eq!(restore(&vault, summaries[0].id).unwrap(), managed);
    let reader = vault.reader(summaries[1].id, None).unwrap().with_secret(DomainSecret([5; 32]));
    assert_eq!(files_of(&reader).unwrap(), sealed);
    assert_eq!(vault.held(summaries[0].id).unwrap().unwrap().until_ms, Some(5));
    assert!(vault.scrub(OnDamage::Report, &mut on).unwrap().is_clean());
    assert!(vault.troubles().is_empty());
}

#[test]
fn a_frozen_vault_is_gone_on_with() {
    let storage = thawed();
    let vault = open(&storage);
    let [managed, _] = contents();
    let basis = vault.latest("managed", "site").unwrap().map(|summary| summary.id);
    let session = vault.begin(SessionOptions { basis, ..options("managed") }).unwrap();
    let mut client = Client::new(&session);
    let draft = client.upload(&managed).unwrap();
    assert_eq!(client.sent, 0, "names of chunks are what they were");
    session.commit(draft).unwrap();
    vault.rebuild_index(&mut on).unwrap();
    assert!(vault.scrub(OnDamage::Report, &mut on).unwrap().is_clean());
}
