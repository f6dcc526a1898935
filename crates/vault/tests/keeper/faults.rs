//! Whatever operation on the disk fails: nothing that was acknowledged is lost, and every snapshot that is listed is read back.

use crate::kit::{Files, back_up, files, init, open, restore, way};
use std::sync::{Arc, LazyLock};
use vault::storage::{Fault, FaultyStorage, MemoryStorage};
use vault::{Access, SnapshotId, Vault, VaultError};

const ALL: [Fault; 4] = [Fault::Full, Fault::Broken, Fault::KilledBefore, Fault::KilledAfter];

static CONTENTS: LazyLock<[Files; 3]> =
    LazyLock::new(|| [files(1, 6), [files(1, 4), files(2, 3)].concat(), [files(2, 3), files(3, 4)].concat()]);

/// Backs up until something fails. Says what was acknowledged, and whether anything failed.
fn run(storage: &FaultyStorage, acknowledged: &mut Vec<(SnapshotId, usize)>) -> Result<(), VaultError> {
    let vault = Vault::open(Arc::new(storage.clone()), &way(), Access::Write)?;
    let mut last = Ok(());
    for (number, wanted) in CONTENTS.iter().enumerate() {
        // A disk that failed once may work again: the keeper goes on, as it does when one client had bad luck.
        match back_up(&vault, &format!("source {number}"), wanted) {
            Ok(received) => acknowledged.push((received.snapshot, number)),
            Err(error) => last = Err(error),
        }
    }
    last
}

fn check(storage: &MemoryStorage, acknowledged: &[(SnapshotId, usize)], what: &str) {
    let vault = open(storage);
    let listing = vault.snapshots().unwrap();
    assert!(listing.damaged.is_empty(), "{what}");
    for (snapshot, _) in acknowledged {
        assert!(listing.snapshots.iter().any(|summary| summary.id == *snapshot), "{what}: {snapshot} was lost");
    }
    for summary in &listing.snapshots {
        let number: usize = summary.source["source ".len()..].parse().unwrap();
        let found = restore(&vault, summary.id).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(found == CONTENTS[number], "{what}");
    }
    assert!(vault.troubles().is_empty(), "{what}");
    // And it is used as if nothing had been.
    let received = back_up(&vault, "source 0", &CONTENTS[0]).unwrap();
    assert_eq!(restore(&vault, received.snapshot).unwrap(), CONTENTS[0]);
}

#[test]
fn every_operation_fails_in_turn() {
    let fresh = MemoryStorage::default();
    drop(init(&fresh));
    for fault in ALL {
        let mut failures = 0;
        for at in 0.. {
            let storage = fresh.copy();
            let faulty = FaultyStorage::new(Arc::new(storage.clone()), at, fault);
            let mut acknowledged = Vec::new();
            let result = run(&faulty, &mut acknowledged);
            check(&storage.copy(), &acknowledged, &format!("{fault:?} at {at}"));
            if !faulty.has_failed() {
                result.unwrap();
                break;
            }
            failures += 1;
            let is_silent = result.is_ok() && acknowledged.len() < 3;
            assert!(!is_silent, "{fault:?} at {at}: a failure that nobody was told of");
        }
        assert!(failures > 20, "{fault:?}: {failures} operations failed");
    }
}

#[test]
fn making_a_vault_fails_at_every_operation_in_turn() {
    for fault in ALL {
        for at in 0.. {
            let storage = MemoryStorage::default();
            let faulty = FaultyStorage::new(Arc::new(storage.clone()), at, fault);
            let result = Vault::init(Arc::new(faulty.clone()), "host", &way(), vault::Cost::NORMAL);
            if !faulty.has_failed() {
                result.unwrap();
                break;
            }
            drop(result);
            let storage = storage.copy();
            match Vault::open(Arc::new(storage.clone()), &way(), Access::Write) {
                Ok(_) => {}
                Err(VaultError::NoVault { .. }) => drop(init(&storage)),
                Err(error) => panic!("{fault:?} at {at}: {error}"),
            }
        }
    }
}
