use super::*;
use crate::storage::MemoryStorage;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn key(number: u64) -> Key {
    Key(*blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap())
}

fn found(pack: u8, offset: u32) -> Found {
    let place = Place { pack: PackId([pack; 16]), span: Span { offset, stored: 100 }, start: offset + 1, length: 7 };
    Found { proof: [pack; 8], place }
}

fn packs(ids: impl IntoIterator<Item = u8>) -> HashSet<PackId> {
    ids.into_iter().map(|id| PackId([id; 16])).collect()
}

fn open(storage: &MemoryStorage, there: &HashSet<PackId>) -> (Index, Vec<PackId>) {
    let (index, uncovered, damaged) = Index::open(Arc::new(storage.clone()), there).unwrap();
    assert!(damaged.is_empty());
    (index, uncovered)
}

fn put(index: &Index, pack: u8, numbers: std::ops::Range<u64>) {
    index.insert(numbers.map(|number| (key(number), found(pack, number as u32))));
    index.sealed(PackId([pack; 16]));
}

#[test]
fn what_was_put_is_found_in_memory_in_runs_and_after_opening() {
    let storage = MemoryStorage::default();
    let (index, _) = open(&storage, &packs([]));
    for pack in 0..6 {
        let first = u64::from(pack) * 1000;
        put(&index, pack, first..first + 1000);
        if pack < 5 {
            index.flush().unwrap();
        }
    }
    let check = |index: &Index, end: u64| {
        let keys: Vec<Key> = (0..7000).rev().map(key).collect();
        let results = index.find(&keys, Want::Whole).unwrap();
        for (number, result) in (0..7000).rev().zip(results) {
            let expected = (number < end).then(|| found((number / 1000) as u8, number as u32));
            assert_eq!(result, expected, "{number}");
        }
    };
    check(&index, 6000);
    assert!(index.run_count() < 5, "runs of like size are merged");
    let (again, uncovered) = open(&storage, &packs(0..6));
    assert_eq!(uncovered, [PackId([5; 16])]);
    check(&again, 5000);
    let run = index.flush_to_one().unwrap().unwrap();
    assert_eq!((run.entries, run.packs), (6000, 6));
    assert_eq!(index.run_count(), 1);
    assert_eq!(storage.list("index/").unwrap(), std::slice::from_ref(&run.name));
    check(&index, 6000);
}

#[test]
fn what_is_hidden_is_absent() {
    let storage = MemoryStorage::default();
    let (index, _) = open(&storage, &packs([]));
    put(&index, 1, 0..10);
    index.flush().unwrap();
    put(&index, 2, 10..20);
    let has = |number| index.find_one(key(number), Want::Whole).unwrap().is_some();
    let any = |number| index.find_one(key(number), Want::Any).unwrap().map(|found| found.place.pack.0[0]);
    assert!(has(3) && has(13));

    index.hide(|hidden| {
        hidden.bad.insert(PackId([1; 16]), Bad::Segments([3].into()));
        hidden.bad.insert(PackId([2; 16]), Bad::Whole);
    });
    assert!(!has(3) && has(4) && !has(13));
    assert_eq!((any(3), any(13)), (Some(1), Some(2)));
    // A new copy takes the place of a damaged one, also when runs are merged.
    put(&index, 3, 3..5);
    assert_eq!((any(3), has(3)), (Some(3), true));
    index.flush_to_one().unwrap();
    assert_eq!((any(3), has(3), any(13)), (Some(3), true, Some(2)));

    index.hide(|hidden| {
        hidden.condemned.insert(PackId([1; 16]), Arc::new([key(5)].into()));
    });
    assert!(has(5) && !has(6) && any(6) == Some(1));
    index.replace(&[PackId([4; 16])], [(key(5), found(4, 0))]);
    index.hide(|hidden| {
        hidden.condemned.clear();
        hidden.gone.extend(packs([1]));
    });
    assert_eq!((any(5), any(6), any(3)), (Some(4), None, Some(3)));
    let run = index.flush_to_one().unwrap().unwrap();
    assert_eq!(run.entries, 3 + 10, "what is gone is not written again");
    assert!(index.hidden().gone.is_empty());
}

#[test]
fn a_pack_that_was_not_written_takes_its_chunks_along() {
    let (index, _) = open(&MemoryStorage::default(), &packs([]));
    index.insert((0..10).map(|number| (key(number), found(1, 0))));
    put(&index, 2, 5..15);
    index.flush().unwrap();
    assert_eq!(index.find_one(key(3), Want::Any).unwrap(), Some(found(1, 0)), "an open pack stays in memory");
    index.forget(PackId([1; 16]));
    let known: Vec<u64> = (0..20).filter(|n| index.find_one(key(*n), Want::Any).unwrap().is_some()).collect();
    assert_eq!(known, (10..15).collect::<Vec<u64>>());
}

/// Few reads for each key, though nothing of a run is held in memory.
#[test]
fn a_look_reads_two_pages() {
    let storage = MemoryStorage::default();
    let (index, _) = open(&storage, &packs([]));
    put(&index, 1, 0..200_000);
    index.flush().unwrap();
    let counting = crate::storage::FaultyStorage::new(Arc::new(storage), u64::MAX, crate::storage::Fault::Broken);
    let run = Run::open(&counting, 1).unwrap();
    let before = counting.operations();
    for number in (0..400_000).step_by(40) {
        let hit = run.find(&key(number), &mut Window::new()).unwrap();
        assert_eq!(hit.is_some(), number < 200_000);
    }
    let looks = (counting.operations() - before) as f64 / 10_000.0;
    assert!(looks < 2.6, "{looks} reads for each key");
}

#[test]
fn every_flipped_bit_of_a_run_is_found_and_none_harms() {
    let storage = MemoryStorage::default();
    let (index, _) = open(&storage, &packs([]));
    put(&index, 1, 0..20);
    index.flush().unwrap();
    let name = run::name(1);
    let length = storage.bytes("index/") as usize;
    for bit in 0..length * 8 {
        storage.alter(&name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        if let Ok(run) = Run::open(&storage, 1) {
            assert!(run.scan().any(|entry| entry.is_err()), "bit {bit}");
            for number in 0..40 {
                if let Some((_, entry)) = run.find(&key(number), &mut Window::new()).unwrap() {
                    run.resolve(&entry).unwrap();
                }
            }
        }
        storage.alter(&name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }
    for end in 0..length {
        let cut = storage.copy();
        cut.alter(&name, |bytes| bytes.truncate(end));
        assert!(Run::open(&cut, 1).is_err(), "cut off at {end}");
    }
    storage.alter(&name, |bytes| bytes.truncate(length - 1));
    let (_, uncovered, damaged) = Index::open(Arc::new(storage), &packs([1])).unwrap();
    assert_eq!((uncovered.len(), damaged.len()), (1, 1));
}

#[derive(Clone, Debug)]
enum Step {
    Put { pack: u8, numbers: Vec<u64> },
    Flush,
    ToOne,
    Lose { pack: u8 },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (0..50_u8, proptest::collection::vec(0..60_u64, 0..30));
    proptest::collection::vec(
        prop_oneof![
            4 => put.prop_map(|(pack, numbers)| Step::Put { pack, numbers }),
            2 => Just(Step::Flush),
            1 => Just(Step::ToOne),
            1 => (0..50_u8).prop_map(|pack| Step::Lose { pack }),
            1 => Just(Step::Reopen),
        ],
        0..40,
    )
}

proptest! {
    /// Whatever happens, a key is found in a pack that is there and has it, if there is one that the index was told of.
    #[test]
    fn the_index_agrees_with_the_packs(steps in steps()) {
        let storage = MemoryStorage::default();
        let mut there: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
        let (mut index, _) = open(&storage, &packs([]));
        for step in steps {
            match step {
                Step::Put { pack, numbers } if !there.contains_key(&pack) => {
                    index.hide(|hidden| { hidden.gone.remove(&PackId([pack; 16])); });
                    index.replace(&[PackId([pack; 16])], numbers.iter().map(|n| (key(*n), found(pack, 1))));
                    there.insert(pack, numbers);
                }
                Step::Put { .. } => {}
                Step::Flush => index.flush().unwrap(),
                Step::ToOne => drop(index.flush_to_one().unwrap()),
                Step::Lose { pack } => {
                    // As clearing away does: what only this pack has goes, the rest is told anew.
                    index.flush_to_one().unwrap();
                    if there.remove(&pack).is_some() {
                        index.hide(|hidden| { hidden.gone.insert(PackId([pack; 16])); });
                        for (other, numbers) in &there {
                            index.replace(&[PackId([*other; 16])], numbers.iter().map(|n| (key(*n), found(*other, 1))));
                        }
                        index.flush_to_one().unwrap();
                    }
                }
                Step::Reopen => {
                    let (again, uncovered) = open(&storage, &packs(there.keys().copied()));
                    for pack in uncovered {
                        let numbers = &there[&pack.0[0]];
                        again.replace(&[pack], numbers.iter().map(|n| (key(*n), found(pack.0[0], 1))));
                    }
                    index = again;
                }
            }
            let keys: Vec<Key> = (0..60).map(key).collect();
            for (number, found) in (0..60).zip(index.find(&keys, Want::Whole).unwrap()) {
                let holders: Vec<u8> =
                    there.iter().filter(|(_, numbers)| numbers.contains(&number)).map(|(pack, _)| *pack).collect();
                match found {
                    Some(found) => prop_assert!(holders.contains(&found.place.pack.0[0]), "{number}"),
                    None => prop_assert!(holders.is_empty(), "{number} is in {holders:?}"),
                }
            }
        }
    }
}
