use super::*;
use crate::storage::MemoryStorage;
use proptest::prelude::*;
use proptest::strategy::ValueTree;

fn stream() -> impl Strategy<Value = StreamRef> {
    proptest::collection::vec((any::<[u8; 32]>().prop_map(ChunkId), any::<u32>()), 0..20)
        .prop_map(|chunks| StreamRef { chunks })
}

fn summary() -> impl Strategy<Value = Summary> {
    let texts = (".{0,40}", ".{0,40}", prop_oneof![Just(Mode::Managed), Just(Mode::Private)]);
    let numbers = (any::<[u8; 16]>(), any::<[i64; 2]>(), any::<bool>(), any::<[u64; 6]>());
    (texts, numbers).prop_map(|((source, domain, mode), (id, [began_ms, time_ms], incomplete, n))| {
        let counts = Counts { files: n[0], directories: n[1], logical_bytes: n[2], files_read: n[3], problems: n[4] };
        let (id, stored_bytes) = (SnapshotId(id), n[5]);
        Summary { id, source, domain, mode, began_ms, time_ms, incomplete, counts, stored_bytes }
    })
}

prop_compose! {
    fn snapshot()(summary in summary(), names in stream(), refs in stream(), root: u64, root_refs: u64, description: Vec<u8>)
        -> Snapshot {
        Snapshot { summary, names, refs, root, root_refs, description }
    }
}

proptest! {
    #[test]
    fn a_record_comes_back(snapshot in snapshot()) {
        let (storage, key) = (MemoryStorage::default(), VaultKey::generate());
        write(&storage, &key, &snapshot).unwrap();
        let id = snapshot.summary.id;
        prop_assert_eq!(list(&storage).unwrap(), vec![id]);
        prop_assert_eq!(&read(&storage, &key, id).unwrap(), &snapshot);
        prop_assert_eq!(&read_summary(&storage, &key, id).unwrap(), &snapshot.summary);
        verify(&storage, id).unwrap();
        prop_assert!(matches!(read(&storage, &VaultKey::generate(), id), Err(RecordFault::Sealed)));
    }

    #[test]
    fn any_plain_bytes_are_read_or_refused(bytes: Vec<u8>, summary in summary()) {
        let _ = decode_head(&bytes, summary.id);
        if let Ok(snapshot) = decode_body(summary.clone(), &bytes) {
            prop_assert_eq!(decode_body(summary, &encode_body(&snapshot)).unwrap(), snapshot);
        }
    }

    #[test]
    fn any_stored_bytes_are_refused(bytes: Vec<u8>) {
        let (storage, key) = (MemoryStorage::default(), VaultKey::generate());
        storage.put_new(&path(SnapshotId([1; 16])), &bytes).unwrap();
        prop_assert!(read(&storage, &key, SnapshotId([1; 16])).is_err());
        prop_assert!(read_summary(&storage, &key, SnapshotId([1; 16])).is_err());
        prop_assert!(verify(&storage, SnapshotId([1; 16])).is_err());
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let (storage, key) = (MemoryStorage::default(), VaultKey::generate());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let snapshot = snapshot().new_tree(&mut runner).unwrap().current();
    let id = snapshot.summary.id;
    write(&storage, &key, &snapshot).unwrap();
    let length = storage.bytes("snapshots/") as usize;
    for bit in 0..length * 8 {
        storage.alter(&path(id), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        assert!(verify(&storage, id).is_err(), "bit {bit}");
        assert!(read(&storage, &key, id).is_err(), "bit {bit}");
        storage.alter(&path(id), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }
    for end in 0..length {
        let cut = storage.copy();
        cut.alter(&path(id), |bytes| bytes.truncate(end));
        assert!(verify(&cut, id).is_err() && read(&cut, &key, id).is_err(), "cut off at {end}");
    }
}

#[test]
fn ids_keep_their_order_though_the_clock_goes_back() {
    let mut order = Order::after(&[SnapshotId(stamp::new(5_000))]);
    let ids = [order.next(4_000), order.next(4_000), order.next(9_000), order.next(1)];
    assert!(ids.is_sorted() && stamp::milliseconds(&ids[0].0) == 5_001, "{ids:?}");
    assert_eq!(stamp::milliseconds(&ids[2].0), 9_000);
}
