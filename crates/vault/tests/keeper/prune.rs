//! Garbage goes, and nothing that anybody needs goes with it.

use crate::kit::{
    Client, Files, back_up, bytes, files, files_of, init, is_long, new_vault, open, options, private, restore, segment,
    way,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use vault::storage::{Fault, FaultyStorage, MemoryStorage, Storage};
use vault::{
    Access, CollectOptions, CollectReport, DomainSecret, Draft, Fingerprint, Hold, OnDamage, Progress, Receiver,
    SessionOptions, SnapshotId, StreamRef, Vault, VaultError,
};

/// Long after anything in these tests.
const LATER: i64 = 1_900_000_000_000;

fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn collect(vault: &Arc<Vault>) -> CollectReport {
    vault.collect(&CollectOptions::new(LATER), &mut on).unwrap()
}

fn remove(vault: &Arc<Vault>, id: SnapshotId) {
    assert_eq!(vault.remove(&[id], LATER).unwrap(), 1);
}

#[test]
fn what_only_a_removed_snapshot_needed_goes() {
    let (storage, vault) = new_vault();
    let (common, own) = (files(1, 30), files(2, 60));
    let one = back_up(&vault, "a", &[common.clone(), own].concat()).unwrap().snapshot;
    let two = back_up(&vault, "b", &common).unwrap().snapshot;
    let before = storage.bytes("packs/");
    let report = collect(&vault);
    assert_eq!((report.packs_deleted, report.chunks_unneeded, report.snapshots), (0, 0, 2));

    remove(&vault, one);
    assert!(matches!(vault.snapshot(one), Err(VaultError::NoSnapshot { .. })));
    assert_eq!(vault.remove(&[one], LATER).unwrap(), 0, "removing again is no error");
    let report = collect(&vault);
    assert!(report.packs_repacked == 1 && report.chunks_unneeded > 60, "{report:?}");
    let after = storage.bytes("packs/");
    assert_eq!(after, before - report.bytes_deleted + report.bytes_written);
    assert!(after * 2 < before);
    assert_eq!(restore(&vault, two).unwrap(), common);
    let again = collect(&vault);
    assert_eq!((again.chunks_unneeded, again.packs_deleted), (0, 0), "{again:?}");

    for without_index in [false, true] {
        let copy = storage.copy();
        if without_index {
            copy.delete(&copy.list("index/").unwrap()).unwrap();
        }
        let vault = open(&copy);
        assert_eq!(restore(&vault, two).unwrap(), common);
        assert!(vault.scrub(OnDamage::Report, &mut on).unwrap().is_clean());
    }
    remove(&vault, two);
    collect(&vault);
    assert_eq!(storage.bytes("packs/"), 0);
    assert_eq!(collect(&vault), CollectReport::default());
    let back = back_up(&vault, "a", &common).unwrap().snapshot;
    assert_eq!(restore(&vault, back).unwrap(), common);
}

#[test]
fn a_pack_that_is_mostly_needed_stays_as_it_is() {
    let (_, vault) = new_vault();
    let all = files(1, 60);
    let one = back_up(&vault, "a", &all).unwrap().snapshot;
    back_up(&vault, "b", &all[..52].to_vec()).unwrap();
    remove(&vault, one);
    let report = collect(&vault);
    assert!(report.chunks_unneeded > 0 && report.packs_deleted == 0, "{report:?}");
    let strict = CollectOptions { repack_below_percent: 99, ..CollectOptions::new(LATER) };
    assert_eq!(vault.collect(&strict, &mut on).unwrap().packs_repacked, 1);
}

#[test]
fn what_an_interrupted_backup_sent_has_a_days_grace() {
    let (storage, vault) = new_vault();
    let session = vault.begin(options("a")).unwrap();
    Client::new(&session).upload(&files(1, 10)).unwrap();
    let began = options("a").now_ms;
    drop(session);
    let soon = CollectOptions::new(began + 23 * 3_600_000);
    assert_eq!(vault.collect(&soon, &mut on).unwrap().packs_deleted, 0);
    let late = CollectOptions::new(began + 25 * 3_600_000);
    assert_eq!(vault.collect(&late, &mut on).unwrap().packs_deleted, 1);
    assert_eq!(storage.bytes("packs/"), 0);
}

#[test]
fn a_held_snapshot_is_not_removed() {
    let (_, vault) = new_vault();
    let [one, two] = [1, 2].map(|seed| back_up(&vault, "a", &files(seed, 3)).unwrap().snapshot);
    let hold = |until_ms| Hold { reason: "case 4711".into(), until_ms };
    vault.hold(one, &hold(None)).unwrap();
    let error = vault.remove(&[two, one], LATER).unwrap_err();
    assert_eq!(error.to_string(), format!("snapshot {one} is held (case 4711); release it first"));
    assert_eq!(vault.snapshot_ids().unwrap(), [one, two], "none of them was");
    vault.hold(one, &hold(Some(1000))).unwrap();
    assert_eq!(vault.held(one).unwrap(), Some(hold(Some(1000))));
    assert!(matches!(vault.remove(&[one], 999), Err(VaultError::Held { .. })));
    assert_eq!(vault.remove(&[one], 1000).unwrap(), 1);
    vault.hold(two, &hold(None)).unwrap();
    vault.release(two).unwrap();
    remove(&vault, two);
    assert!(matches!(vault.hold(two, &hold(None)), Err(VaultError::NoSnapshot { .. })));
}

#[test]
fn a_hold_that_cannot_be_read_holds() {
    let (storage, vault) = new_vault();
    let one = back_up(&vault, "a", &files(1, 3)).unwrap().snapshot;
    vault.hold(one, &Hold { reason: "why".into(), until_ms: Some(0) }).unwrap();
    storage.alter(&format!("holds/{one}.json"), |bytes| bytes.truncate(5));
    let error = vault.remove(&[one], LATER).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[test]
fn what_a_running_session_was_told_of_stays() {
    let (_, vault) = new_vault();
    let wanted = files(1, 40);
    let old = back_up(&vault, "a", &wanted).unwrap().snapshot;
    remove(&vault, old);
    let (told, basing) = (vault.begin(options("b")).unwrap(), vault.begin(options("c")).unwrap());
    let mut client = Client::new(&told);
    let draft = client.upload(&wanted[..5].to_vec()).unwrap();
    assert_eq!(client.sent, 2, "the streams");
    let report = collect(&vault);
    assert!(report.packs_repacked == 1 && report.chunks_unneeded > 40, "{report:?}");
    let kept = told.commit(draft).unwrap().snapshot;
    assert_eq!(restore(&vault, kept).unwrap(), wanted[..5]);
    // Everybody else is asked for the rest again.
    let mut client = Client::new(&basing);
    let draft = client.upload(&wanted).unwrap();
    assert!(client.sent > 40);
    let whole = basing.commit(draft).unwrap().snapshot;
    assert_eq!(restore(&vault, whole).unwrap(), wanted);
}

#[test]
fn what_a_session_builds_on_or_somebody_reads_stays_though_it_is_removed() {
    let (_, vault) = new_vault();
    let (based, read) = (files(1, 20), files(2, 20));
    let basis = back_up(&vault, "a", &based).unwrap().snapshot;
    let snapshot = back_up(&vault, "b", &read).unwrap().snapshot;
    let draft = {
        let session = vault.begin(options("a")).unwrap();
        Client::new(&session).upload(&based).unwrap()
    };
    let session = vault.begin(SessionOptions { basis: Some(basis), ..options("a") }).unwrap();
    let reader = vault.reader(snapshot, None).unwrap();
    assert_eq!(vault.remove(&[basis, snapshot], LATER).unwrap(), 2);
    assert_eq!(collect(&vault).packs_deleted, 0);
    let again = session.commit(draft).unwrap().snapshot;
    drop(session);
    assert_eq!(files_of(&reader).unwrap(), read);
    drop(reader);
    collect(&vault);
    assert_eq!(restore(&vault, again).unwrap(), based);
}

#[test]
fn many_small_packs_become_few() {
    let (storage, vault) = new_vault();
    let all: Vec<(SnapshotId, Files)> =
        (0..12).map(|seed| (back_up(&vault, "a", &files(seed, 3)).unwrap().snapshot, files(seed, 3))).collect();
    assert_eq!(storage.list("packs/").unwrap().len(), 12);
    collect(&vault);
    assert_eq!(storage.list("packs/").unwrap().len(), 1);
    for (snapshot, files) in &all {
        assert_eq!(restore(&vault, *snapshot).unwrap(), *files);
    }
    assert_eq!(collect(&vault).packs_deleted, 0);
}

#[test]
fn sealed_segments_are_moved_as_they_are() {
    let (_, vault) = new_vault();
    let secret = || DomainSecret([5; 32]);
    let back_up = |source: &str, wanted: &Files| {
        let session = vault.begin(private(source)).unwrap();
        let draft = Client::sealing(&session, secret()).upload(wanted).unwrap();
        session.commit(draft).unwrap().snapshot
    };
    let wanted = files(1, 60);
    let one = back_up("a", &wanted);
    let two = back_up("b", &wanted[..10].to_vec());
    remove(&vault, one);
    let report = collect(&vault);
    assert_eq!(report.packs_repacked, 1);
    let reader = vault.reader(two, None).unwrap().with_secret(secret());
    assert_eq!(files_of(&reader).unwrap(), wanted[..10]);
    assert!(vault.scrub(OnDamage::Report, &mut on).unwrap().is_clean());
}

/// A chunk may be part of *names* in one snapshot and part of *refs* in another.
#[test]
fn a_chunk_with_two_meanings_is_looked_at_as_both() {
    let (_, vault) = new_vault();
    let file = bytes(1, 3000);
    let session = vault.begin(options("a")).unwrap();
    let id = Fingerprint::of(None, &file).id;
    let refs = id.0.to_vec();
    session.put(segment(&[file.clone(), refs.clone()])).unwrap();
    let stream = StreamRef { chunks: vec![(Fingerprint::of(None, &refs).id, 32)] };
    session.commit(Draft { names: stream.clone(), ..Draft::default() }).unwrap();
    drop(session);
    let session = vault.begin(options("a")).unwrap();
    session.put(segment(&[file.clone(), refs])).unwrap();
    let both = session.commit(Draft { refs: stream, ..Draft::default() }).unwrap().snapshot;
    drop(session);
    assert_eq!(collect(&vault).chunks_unneeded, 0);
    assert_eq!(&*vault.reader(both, None).unwrap().chunk(0).unwrap(), &file[..]);
}

#[test]
fn what_cannot_be_told_is_not_collected() {
    let (storage, vault) = new_vault();
    let one = back_up(&vault, "a", &files(1, 20)).unwrap().snapshot;
    back_up(&vault, "a", &files(2, 20)).unwrap();
    drop(vault);
    let record = format!("snapshots/{one}.snap");
    storage.alter(&record, |bytes| bytes[60] ^= 1);
    let vault = open(&storage);
    let error = vault.collect(&CollectOptions::new(LATER), &mut on).unwrap_err().to_string();
    assert!(error.contains(&record), "{error}");
    remove(&vault, one);
    assert_eq!(collect(&vault).packs_deleted, 1);
}

/// Which packs are gone is forgotten with what they held, but not that something is missing.
#[test]
fn what_is_missing_is_not_built_on_after_collecting_either() {
    let (storage, vault) = new_vault();
    let basis = back_up(&vault, "a", &files(1, 20)).unwrap().snapshot;
    drop(vault);
    // The streams are there, so that it can be told what is needed: only files are missing.
    let vault = open(&storage);
    let first = storage.list("packs/").unwrap();
    let lost = bytes(77, 5000);
    let other = back_up(&vault, "b", &vec![lost.clone()]).unwrap().snapshot;
    let second: Vec<String> =
        storage.list("packs/").unwrap().into_iter().filter(|pack| !first.contains(pack)).collect();
    let session = vault.begin(options("b")).unwrap();
    let draft = Client::new(&session).upload(&vec![lost.clone(), bytes(78, 10)]).unwrap();
    let more = session.commit(draft).unwrap().snapshot;
    drop((session, vault));
    storage.delete(&second).unwrap();
    let begin = |vault: &Arc<Vault>, basis, source: &str| {
        vault.begin(SessionOptions { basis: Some(basis), ..options(source) }).map(drop)
    };
    let vault = open(&storage);
    assert!(matches!(begin(&vault, more, "b"), Err(VaultError::DamagedBasis { .. })));
    vault.remove(&[other], LATER).unwrap();
    assert_eq!(collect(&vault).chunks_missing, 1);
    assert_eq!(vault.troubles().len(), 1);
    drop(vault);
    let vault = open(&storage);
    assert_eq!(collect(&vault).chunks_missing, 1);
    assert!(matches!(begin(&vault, more, "b"), Err(VaultError::DamagedBasis { .. })));
    begin(&vault, basis, "a").unwrap();
    assert_eq!(vault.scrub(OnDamage::Mark, &mut on).unwrap().affected.len(), 1);
    drop(vault);
    let vault = open(&storage);
    assert!(matches!(begin(&vault, more, "b"), Err(VaultError::DamagedBasis { .. })));
    back_up(&vault, "b", &vec![lost]).unwrap();
    assert!(vault.scrub(OnDamage::Mark, &mut on).unwrap().is_clean());
    begin(&vault, more, "b").unwrap();
    assert!(storage.list("marks/").unwrap().is_empty());
}

#[test]
fn a_damaged_pack_stays_until_it_is_healed() {
    let (storage, vault) = new_vault();
    let wanted = files(1, 40);
    let one = back_up(&vault, "a", &wanted).unwrap().snapshot;
    let two = back_up(&vault, "b", &wanted[..8].to_vec()).unwrap().snapshot;
    drop(vault);
    let pack = storage.list("packs/").unwrap().into_iter().max_by_key(|name| storage.bytes(name)).unwrap();
    storage.alter(&pack, |bytes| bytes[60] ^= 1);
    let vault = open(&storage);
    vault.scrub(OnDamage::Mark, &mut on).unwrap();
    remove(&vault, one);
    let report = collect(&vault);
    assert_eq!((report.packs_damaged, report.packs_deleted), (1, 0), "{report:?}");
    assert_eq!(vault.troubles().len(), 1);
    back_up(&vault, "b", &wanted[..8].to_vec()).unwrap();
    assert_eq!(restore(&vault, two).unwrap(), wanted[..8]);
    let report = collect(&vault);
    assert_eq!((report.packs_damaged, report.packs_repacked), (0, 1), "{report:?}");
    assert!(vault.scrub(OnDamage::Mark, &mut on).unwrap().is_clean());
    assert!(storage.list("marks/").unwrap().is_empty());
    assert_eq!(restore(&vault, two).unwrap(), wanted[..8]);
}

/// What was removed, and what is needed still, each in a pack of its own, in a shared one and in many small ones.
fn littered() -> (MemoryStorage, Vec<(SnapshotId, Files)>) {
    let storage = MemoryStorage::default();
    let vault = init(&storage);
    let shared = files(1, 8);
    let gone = back_up(&vault, "a", &shared).unwrap().snapshot;
    let kept: Vec<Files> =
        [shared[..2].to_vec(), files(2, 3)].into_iter().chain((3..12).map(|seed| files(seed, 1))).collect();
    let kept = kept.into_iter().map(|files| (back_up(&vault, "b", &files).unwrap().snapshot, files)).collect();
    let also = back_up(&vault, "c", &files(50, 3)).unwrap().snapshot;
    vault.remove(&[gone, also], LATER).unwrap();
    (storage, kept)
}

/// At every fourth one, unless there is time for more.
#[test]
fn collecting_fails_at_any_operation() {
    let (fresh, kept) = littered();
    let clean = {
        let storage = fresh.copy();
        collect(&open(&storage));
        storage.bytes("packs/")
    };
    assert!(clean < fresh.bytes("packs/"));
    let every = if is_long() { 1 } else { 4 };
    for (first, fault) in (0..).zip([Fault::Full, Fault::Broken, Fault::KilledBefore, Fault::KilledAfter]) {
        for at in (first..).step_by(every) {
            let storage = fresh.copy();
            let faulty = FaultyStorage::new(Arc::new(storage.clone()), at, fault);
            let check = |vault: &Arc<Vault>| {
                for (snapshot, files) in &kept {
                    let found = restore(vault, *snapshot);
                    assert!(found.as_ref().is_ok_and(|found| found == files), "{fault:?} at {at}: {:?}", found.err());
                }
            };
            let opened = Vault::open(Arc::new(faulty.clone()), &way(), Access::Write);
            if let Ok(vault) = &opened {
                let result = vault.collect(&CollectOptions::new(LATER), &mut on);
                assert!(result.is_ok() || faulty.has_failed());
                if matches!(fault, Fault::Full | Fault::Broken) && faulty.has_failed() {
                    check(vault);
                }
            }
            drop(opened);
            let vault = open(&storage.copy());
            check(&vault);
            assert!(vault.scrub(OnDamage::Report, &mut on).unwrap().is_clean(), "{fault:?} at {at}");
            let storage = storage.copy();
            let vault = open(&storage);
            // What was written twice is found to be so, and goes.
            collect(&vault);
            collect(&vault);
            check(&vault);
            let left = storage.bytes("packs/");
            assert!(left <= clean + clean / 10, "{fault:?} at {at}: {left} bytes are left, and {clean} is enough");
            if !faulty.has_failed() {
                break;
            }
        }
    }
}

#[test]
fn backups_removals_and_collections_go_on_at_once() {
    let (storage, vault) = new_vault();
    let is_over = AtomicBool::new(false);
    let strict = CollectOptions { grace_ms: 0, repack_below_percent: 90, ..CollectOptions::new(LATER) };
    thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut deleted = 0;
            while !is_over.load(Ordering::Acquire) {
                deleted += vault.collect(&strict, &mut on).unwrap().packs_deleted;
            }
            deleted
        });
        let sources: Vec<_> = (0..4_u64)
            .map(|source| {
                let vault = &vault;
                scope.spawn(move || {
                    let name = format!("source {source}");
                    let mut last: Option<(SnapshotId, Files)> = None;
                    for round in 0..12_u64 {
                        // Comes back to what was removed before, and shares with the others.
                        let wanted = [files(round % 3, 8), files(100 + source * 10 + round % 4, 6)].concat();
                        let basis = last.as_ref().filter(|_| round % 2 == 0).map(|(id, _)| *id);
                        let session = vault.begin(SessionOptions { basis, ..options(&name) }).unwrap();
                        if let Some((id, files)) = last.take() {
                            assert_eq!(restore(vault, id).unwrap(), files);
                            remove(vault, id);
                        }
                        let draft = Client::new(&session).upload(&wanted).unwrap();
                        let received = session.commit(draft).unwrap();
                        drop(session);
                        assert_eq!(restore(vault, received.snapshot).unwrap(), wanted, "{name} in round {round}");
                        last = Some((received.snapshot, wanted));
                    }
                })
            })
            .collect();
        let results: Vec<_> = sources.into_iter().map(|source| source.join()).collect();
        is_over.store(true, Ordering::Release);
        assert!(collector.join().unwrap() > 10, "something was collected meanwhile");
        results.into_iter().for_each(|result| result.unwrap());
    });
    assert_eq!(vault.snapshot_ids().unwrap().len(), 4);
    assert!(vault.scrub(OnDamage::Report, &mut on).unwrap().is_clean());
    drop(vault);
    assert!(open(&storage).scrub(OnDamage::Report, &mut on).unwrap().is_clean());
}

#[test]
fn a_full_disk_is_made_room_on() {
    let (storage, vault) = new_vault();
    let kept = files(1, 20);
    let keeps = back_up(&vault, "a", &kept).unwrap().snapshot;
    let goes = back_up(&vault, "a", &[kept[..5].to_vec(), files(2, 30)].concat()).unwrap().snapshot;
    drop(vault);
    let vault = open(&storage);
    back_up(&vault, "b", &files(3, 2)).unwrap();
    // Not one byte is left.
    storage.limit(storage.bytes(""));
    let full = back_up(&vault, "a", &files(4, 10)).unwrap_err();
    assert!(full.to_string().contains("the disk is full"), "{full}");
    assert_eq!(vault.troubles().len(), 1, "what was sent could not be stored");
    vault.remove(&[goes], LATER).unwrap();
    let report = collect(&vault);
    assert!(report.packs_deleted > 0 && report.bytes_written == 0, "{report:?}");
    assert_eq!(vault.troubles().len(), 1, "the index could not be merged before");
    let snapshot = back_up(&vault, "a", &files(4, 10)).unwrap().snapshot;
    for vault in [vault, open(&storage.copy())] {
        assert_eq!(restore(&vault, keeps).unwrap(), kept);
        assert_eq!(restore(&vault, snapshot).unwrap(), files(4, 10));
        assert!(vault.scrub(OnDamage::Report, &mut on).unwrap().is_clean());
    }
}

#[test]
fn collecting_can_be_stopped() {
    let (storage, kept) = littered();
    let vault = open(&storage);
    for stop_at in 0..20 {
        let mut seen = 0;
        let mut watch = |_: Progress| {
            seen += 1;
            if seen > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match vault.collect(&CollectOptions::new(LATER), &mut watch) {
            Err(VaultError::Stopped) | Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
        for (snapshot, files) in &kept {
            assert_eq!(restore(&vault, *snapshot).unwrap(), *files);
        }
    }
}
