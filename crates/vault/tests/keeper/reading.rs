//! Reading: by position, exactly what is one's own, and what is damaged is named.

use crate::kit::{back_up, bytes, files, new_vault, open, restore};
use vault::storage::{MemoryStorage, Storage};
use vault::{Batch, Fingerprint, Limits, Part, Reader, SegmentKind, Unpacker, VaultError};

fn unpack(batch: &Batch) -> Vec<u8> {
    let mut pieces = batch.pieces.clone();
    pieces.sort_by_key(|piece| piece.start);
    pieces.dedup_by_key(|piece| piece.start);
    let lengths: Vec<u32> = pieces.iter().map(|piece| piece.length).collect();
    // Every byte is one of a piece: there is nothing else in a batch.
    let plain = Unpacker::new(Limits::SEGMENT).unpack(batch.kind, &lengths, &batch.bytes).unwrap().to_vec();
    assert_eq!(plain.len() as u32, pieces.iter().map(|piece| piece.length).sum::<u32>());
    plain
}

fn fetch(reader: &Reader, part: Part, positions: std::ops::Range<u64>) -> (Vec<u8>, Vec<Batch>) {
    let batches: Vec<Batch> = reader.batches(part, positions.clone()).unwrap().map(Result::unwrap).collect();
    let mut chunks = vec![None; (positions.end - positions.start) as usize];
    for batch in &batches {
        let plain = unpack(batch);
        for piece in &batch.pieces {
            let chunk = plain[piece.start as usize..][..piece.length as usize].to_vec();
            let place = &mut chunks[(piece.position - positions.start) as usize];
            assert!(place.replace(chunk).is_none(), "each position comes once");
        }
    }
    (chunks.into_iter().map(Option::unwrap).collect::<Vec<_>>().concat(), batches)
}

#[test]
fn batches_hold_what_was_asked_for_and_nothing_else() {
    let (_, vault) = new_vault();
    let mut wanted = files(1, 60);
    wanted.push(wanted[3].clone());
    let snapshot = back_up(&vault, "a", &wanted).unwrap().snapshot;
    let reader = vault.reader(snapshot, None).unwrap();
    let count = reader.count(Part::Files);
    let (all, batches) = fetch(&reader, Part::Files, 0..count);
    assert_eq!(all, wanted.concat());
    assert!(batches.iter().any(|batch| batch.kind == SegmentKind::Zstd));
    for positions in [0..1, 5..9, count - 1..count, 7..7] {
        let (some, _) = fetch(&reader, Part::Files, positions.clone());
        let expected: Vec<u8> = positions.flat_map(|position| reader.chunk(position).unwrap().to_vec()).collect();
        assert_eq!(some, expected);
    }
    assert!(matches!(reader.batches(Part::Files, 0..count + 1), Err(VaultError::Position { .. })));
    let mut names = vec![0; reader.snapshot().names.length() as usize];
    reader.read_names(0, &mut names).unwrap();
    assert_eq!(fetch(&reader, Part::Names, 0..reader.count(Part::Names)).0, names);
    assert_eq!(fetch(&reader, Part::Refs, 0..reader.count(Part::Refs)).0.len() as u64, count * 32);
}

/// Two sources whose chunks lie in one segment: each is sent its own.
#[test]
fn a_shared_segment_is_never_sent_whole() {
    let (_, vault) = new_vault();
    let (common, own) = (bytes(1, 900), bytes(2, 900));
    back_up(&vault, "a", &vec![[common.clone(), own.clone()].concat(), own.clone()]).unwrap();
    let files = vec![own.clone()];
    let snapshot = back_up(&vault, "b", &files).unwrap().snapshot;
    let reader = vault.reader(snapshot, Some("b")).unwrap();
    assert_eq!(fetch(&reader, Part::Files, 0..1).0, own);
}

#[test]
fn streams_are_read_from_any_byte() {
    let (_, vault) = new_vault();
    let snapshot = back_up(&vault, "a", &files(1, 3000)).unwrap().snapshot;
    let reader = vault.reader(snapshot, None).unwrap();
    let length = reader.snapshot().names.length() as usize;
    assert!(reader.count(Part::Names) > 2);
    let mut all = vec![0; length];
    reader.read_names(0, &mut all).unwrap();
    for (at, count) in [(0, 0), (1, 5000), (4095, 2), (length - 1, 1), (4096, 4096), (length, 0)] {
        let mut buffer = vec![0; count];
        reader.read_names(at as u64, &mut buffer).unwrap();
        assert_eq!(buffer, all[at..at + count]);
    }
    let past = reader.read_names(length as u64, &mut [0]);
    assert!(matches!(past, Err(VaultError::Position { .. })));
    assert!(matches!(reader.chunk(reader.count(Part::Files)), Err(VaultError::Position { .. })));
}

#[test]
fn a_damaged_chunk_is_named_with_its_pack() {
    let (storage, vault) = new_vault();
    let wanted = files(1, 10);
    let snapshot = back_up(&vault, "a", &wanted).unwrap().snapshot;
    drop(vault);
    let pack = storage.list("packs/").unwrap().remove(0);
    storage.alter(&pack, |bytes| bytes[60] ^= 1);
    let error = restore(&open(&storage), snapshot).unwrap_err();
    let VaultError::DamagedChunk { chunk, pack: named, .. } = &error else { panic!("{error}") };
    assert_eq!(*chunk, Fingerprint::of(None, &wanted[0]).id);
    assert!(pack.contains(&named.to_string()) && error.to_string().contains(&named.to_string()), "{error}");
}

#[test]
fn a_pack_that_vanished_takes_its_chunks_along_and_the_next_backup_brings_them_back() {
    let (storage, vault) = new_vault();
    let snapshot = back_up(&vault, "a", &files(1, 10)).unwrap().snapshot;
    drop(vault);
    storage.delete(&storage.list("packs/").unwrap()).unwrap();
    let vault = open(&storage);
    assert!(matches!(restore(&vault, snapshot), Err(VaultError::MissingChunk { .. })));
    let again = back_up(&vault, "a", &files(1, 10)).unwrap();
    assert!(again.stored_bytes > 0);
    assert_eq!(restore(&vault, snapshot).unwrap(), files(1, 10), "the old snapshot is whole again too");
}

#[test]
fn without_an_index_packs_tell_everything() {
    let (storage, vault) = new_vault();
    let snapshot = back_up(&vault, "a", &files(1, 50)).unwrap().snapshot;
    drop(vault);
    let without: MemoryStorage = storage.copy();
    assert_eq!(without.list("index/").unwrap().len(), 1);
    without.delete(&without.list("index/").unwrap()).unwrap();
    let vault = open(&without);
    assert_eq!(restore(&vault, snapshot).unwrap(), files(1, 50));
    assert_eq!(back_up(&vault, "a", &files(1, 50)).unwrap().stored_bytes, 0);
}
