//! A vault that is open for reading while its keeper, another process, goes on.

use crate::kit::{back_up, files, files_of, new_vault, restore, way};
use std::ops::ControlFlow;
use std::sync::Arc;
use vault::storage::MemoryStorage;
use vault::{Access, CollectOptions, SnapshotId, Vault, VaultError};

/// Long after anything in these tests.
const LATER: i64 = 1_900_000_000_000;

fn beside(storage: &MemoryStorage) -> Arc<Vault> {
    Vault::open(Arc::new(storage.clone()), &way(), Access::Read).unwrap()
}

fn remove_and_collect(keeper: &Arc<Vault>, id: SnapshotId) -> u64 {
    keeper.remove(&[id], LATER).unwrap();
    keeper.collect(&CollectOptions::new(LATER), &mut |_| ControlFlow::Continue(())).unwrap().packs_deleted
}

#[test]
fn what_was_backed_up_since_is_read() {
    let (storage, keeper) = new_vault();
    let one = back_up(&keeper, "a", &files(1, 20)).unwrap().snapshot;
    let reading = beside(&storage);
    assert_eq!(restore(&reading, one).unwrap(), files(1, 20));
    for seed in 2..5 {
        let next = back_up(&keeper, "a", &files(seed, 20)).unwrap().snapshot;
        assert_eq!(restore(&reading, next).unwrap(), files(seed, 20));
    }
}

#[test]
fn what_the_keeper_moves_is_found_again() {
    let (storage, keeper) = new_vault();
    let (kept, gone) = (files(1, 20), files(2, 60));
    let gone = back_up(&keeper, "a", &[kept.clone(), gone].concat()).unwrap().snapshot;
    let stays = back_up(&keeper, "a", &kept).unwrap().snapshot;
    let reading = beside(&storage);
    let reader = reading.reader(stays, None).unwrap();
    assert!(remove_and_collect(&keeper, gone) > 0);
    assert_eq!(files_of(&reader).unwrap(), kept);
    assert_eq!(restore(&reading, stays).unwrap(), kept);
}

#[test]
fn a_snapshot_that_is_removed_meanwhile_is_told_as_gone() {
    let (storage, keeper) = new_vault();
    let gone = back_up(&keeper, "a", &files(1, 40)).unwrap().snapshot;
    back_up(&keeper, "a", &files(2, 4)).unwrap();
    let reading = beside(&storage);
    let reader = reading.reader(gone, None).unwrap();
    assert!(remove_and_collect(&keeper, gone) > 0);
    let read = files_of(&reader);
    assert!(matches!(read, Err(VaultError::MissingChunk { .. } | VaultError::DamagedChunk { .. })), "{read:?}");
    assert!(matches!(reading.summary(gone), Err(VaultError::NoSnapshot { .. })));
}
