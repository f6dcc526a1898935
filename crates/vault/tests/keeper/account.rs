//! Accounts add up to the byte, and say what removing a source frees.

use crate::kit::{Files, back_up, files, new_vault, open};
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::sync::Arc;
use vault::storage::{MemoryStorage, Storage};
use vault::{Account, Accounts, CollectOptions, Progress, SnapshotId, Vault};

fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn accounts(storage: &MemoryStorage, vault: &Arc<Vault>) -> Accounts {
    let accounts = vault.accounts(&mut on).unwrap();
    assert_eq!(accounts.stored_bytes, storage.bytes("packs/"));
    let fair: u64 = accounts.sources.iter().map(|account| account.fair_bytes).sum();
    assert_eq!(fair + accounts.unneeded_bytes, accounts.stored_bytes, "to the byte");
    for account in &accounts.sources {
        assert!(account.unique_bytes <= account.fair_bytes);
    }
    accounts
}

#[test]
fn what_is_shared_is_divided_and_what_is_not_is_ones_own() {
    let (storage, vault) = new_vault();
    assert_eq!(accounts(&storage, &vault), Accounts::default());
    let (common, own) = (files(1, 40), files(2, 20));
    back_up(&vault, "a", &common).unwrap();
    back_up(&vault, "a", &common).unwrap();
    back_up(&vault, "b", &common).unwrap();
    back_up(&vault, "c", &own).unwrap();
    let found = accounts(&storage, &vault);
    let [a, b, c] = &found.sources[..] else { panic!("{found:?}") };
    assert_eq!((a.source.as_str(), b.source.as_str(), c.source.as_str()), ("a", "b", "c"));
    assert_eq!((a.snapshots, b.snapshots, c.snapshots), (2, 1, 1));
    let logical = |files: &Files| files.iter().map(|file| file.len() as u64).sum::<u64>();
    assert_eq!(
        (a.logical_bytes, b.logical_bytes, c.logical_bytes),
        (2 * logical(&common), logical(&common), logical(&own))
    );
    assert_eq!(a.distinct_bytes, b.distinct_bytes);
    assert!(a.distinct_bytes > logical(&common), "the streams count too");
    assert_eq!((a.unique_bytes, b.unique_bytes), (0, 0));
    assert!(a.fair_bytes.abs_diff(b.fair_bytes) <= 100, "{a:?} {b:?}");
    assert_eq!(c.unique_bytes, c.fair_bytes);
    assert_eq!(found.unneeded_bytes, 0);
}

#[test]
fn unique_bytes_are_what_removing_frees() {
    let (storage, vault) = new_vault();
    let (common, own) = (files(1, 30), files(2, 30));
    let removed = back_up(&vault, "a", &[own, common.clone()].concat()).unwrap().snapshot;
    back_up(&vault, "b", &common).unwrap();
    let before = accounts(&storage, &vault);
    let unique = before.sources[0].unique_bytes;
    vault.remove(&[removed], i64::MAX).unwrap();
    let after = accounts(&storage, &vault);
    assert_eq!(after.unneeded_bytes, unique);
    let options = CollectOptions { repack_below_percent: 100, ..CollectOptions::new(i64::MAX) };
    vault.collect(&options, &mut on).unwrap();
    let freed = before.stored_bytes - storage.bytes("packs/");
    assert!(freed.abs_diff(unique) < unique / 10, "{freed} were freed, {unique} were said to be");
    assert_eq!(accounts(&storage, &vault).unneeded_bytes, 0);
}

#[test]
fn damage_does_not_keep_the_rest_from_being_counted() {
    let (storage, vault) = new_vault();
    let damaged = back_up(&vault, "a", &files(1, 10)).unwrap().snapshot;
    let whole = back_up(&vault, "b", &files(2, 10)).unwrap().snapshot;
    drop(vault);
    storage.alter(&format!("snapshots/{damaged}.snap"), |bytes| bytes[40] ^= 1);
    let vault = open(&storage);
    let found = accounts(&storage, &vault);
    assert_eq!(found.damaged, [damaged]);
    assert!(found.sources.len() == 1 && found.unneeded_bytes > 0);
    // Without any pack nothing can be told but what the clients counted.
    storage.delete(&storage.list("packs/").unwrap()).unwrap();
    let vault = open(&storage.copy());
    let found = vault.accounts(&mut on).unwrap();
    assert_eq!(found.damaged, [damaged, whole]);
    assert!(found.sources[0].logical_bytes > 0 && found.stored_bytes == 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn accounts_add_up_whatever_is_shared(
        backups in proptest::collection::vec((0..4_u8, proptest::collection::vec(0..25_u64, 0..12)), 1..10),
        removed in 0..10_usize,
    ) {
        let (storage, vault) = new_vault();
        let mut ids: Vec<SnapshotId> = Vec::new();
        for (source, seeds) in &backups {
            let wanted: Files = seeds.iter().flat_map(|seed| files(*seed, 1 + *seed as usize % 3)).collect();
            ids.push(back_up(&vault, &format!("source {source}"), &wanted).unwrap().snapshot);
        }
        let before = accounts(&storage, &vault);
        prop_assert_eq!(before.unneeded_bytes, 0);
        if let Some(id) = ids.get(removed) {
            vault.remove(&[*id], 0).unwrap();
        }
        let after = accounts(&storage, &vault);
        vault.collect(&CollectOptions::new(i64::MAX), &mut on).unwrap();
        let last = accounts(&storage, &vault);
        prop_assert!(last.unneeded_bytes <= after.unneeded_bytes);
        let all = |accounts: &Accounts| accounts.sources.iter().map(|a: &Account| a.distinct_bytes).sum::<u64>();
        prop_assert_eq!(all(&last), all(&after), "collecting changes nothing for anybody");
    }
}
