use super::*;
use crate::storage::MemoryStorage;
use proptest::prelude::*;

fn listed(key: u8, length: u32) -> Listed {
    Listed { key: Key([key; 16]), proof: [key; 8], length }
}

type Wanted = Vec<(SegmentKind, Vec<u8>, Vec<Listed>)>;

fn write(segments: &Wanted) -> (MemoryStorage, VaultKey, PackId, Vec<Span>) {
    let (storage, key) = (MemoryStorage::default(), VaultKey::generate());
    let domain = DomainId::of("d");
    let mut pack = PackWriter::create(&storage, domain, &key.domain(domain), 7).unwrap();
    let id = pack.id;
    let spans = segments.iter().map(|(kind, bytes, chunks)| pack.append(*kind, bytes, chunks).unwrap()).collect();
    let length = pack.finish(&key).unwrap();
    assert_eq!(storage.bytes("packs/"), length);
    (storage, key, id, spans)
}

fn footer(storage: &MemoryStorage, id: PackId, key: Option<&VaultKey>) -> Result<Footer, PackFault> {
    Footer::read(&*storage.open(&id.path())?, id, key)
}

fn some_segments() -> Wanted {
    vec![
        (SegmentKind::Plain, b"hello world".to_vec(), vec![listed(1, 5), listed(2, 6)]),
        (SegmentKind::Zstd, zstd::bulk::compress(&[7; 1000], 1).unwrap(), vec![listed(3, 1000)]),
        (SegmentKind::Sealed, vec![1, 2, 3], vec![listed(4, 900)]),
    ]
}

fn segments() -> impl Strategy<Value = Wanted> {
    let kind = prop_oneof![Just(SegmentKind::Plain), Just(SegmentKind::Zstd), Just(SegmentKind::Sealed)];
    let chunks = proptest::collection::vec((any::<u8>(), 1..1000_u32), 1..20);
    let segment = (kind, proptest::collection::vec(any::<u8>(), 0..300), chunks).prop_map(|(kind, bytes, chunks)| {
        (kind, bytes, chunks.into_iter().map(|(key, length)| listed(key, length)).collect())
    });
    proptest::collection::vec(segment, 0..8)
}

proptest! {
    #[test]
    fn what_was_written_is_read(segments in segments()) {
        let (storage, key, id, spans) = write(&segments);
        let found = footer(&storage, id, Some(&key)).unwrap();
        let object = storage.open(&id.path()).unwrap();
        let aead = key.domain(DomainId::of("d")).pack(&id.0);
        prop_assert_eq!(found.segments.len(), segments.len());
        for (((segment, chunks), (kind, bytes, wanted)), span) in found.parts().zip(&segments).zip(&spans) {
            prop_assert_eq!(chunks, &wanted[..]);
            prop_assert_eq!(segment.span, *span);
            prop_assert_eq!(read_segment(&*object, &aead, *span).unwrap(), (*kind, bytes.clone()));
        }
        prop_assert!(PackId::of_path(&id.path()) == Some(id));
    }

    #[test]
    fn any_bytes_are_no_pack(bytes: Vec<u8>, footer_length: u32) {
        let (storage, id) = (MemoryStorage::default(), PackId([1; 16]));
        let mut whole = [&MAGIC[..], &id.0, &[0; 16], &bytes, &footer_length.to_le_bytes(), &[0; 48], END].concat();
        storage.put_new(&id.path(), &whole).unwrap();
        prop_assert!(footer(&storage, id, None).is_err());
        // The hash is right now, so what is refused is refused by the parser.
        let at = whole.len() - 60;
        let size = (bytes.len() as u32).to_le_bytes();
        whole[at..at + 4].copy_from_slice(&size);
        let hash = *blake3::Hasher::new().update(&whole[..40]).update(&bytes).update(&size).finalize().as_bytes();
        whole[at + 4..at + 36].copy_from_slice(&hash);
        storage.alter(&id.path(), |old| *old = whole);
        if let Ok(footer) = footer(&storage, id, None) {
            prop_assert!(footer.segments.is_empty());
        }
    }
}

/// Every bit of a pack counts: without the key by its hashes, with it by the seal too.
#[test]
fn every_flipped_bit_is_found() {
    let (storage, key, id, _) = write(&some_segments());
    let aead = key.domain(DomainId::of("d")).pack(&id.0);
    let check = |storage: &MemoryStorage, key: Option<&VaultKey>| -> Result<(), PackFault> {
        let footer = footer(storage, id, key)?;
        let object = storage.open(&id.path())?;
        for (segment, _) in footer.parts() {
            let mut bytes = vec![0; segment.span.stored as usize];
            object.read_at(u64::from(segment.span.offset), &mut bytes)?;
            if blake3::hash(&bytes).as_bytes()[..16] != segment.hash {
                return Err(PackFault::Segment);
            }
            if key.is_some() {
                open_segment(&aead, segment.span, bytes)?;
            }
        }
        Ok(())
    };
    check(&storage, Some(&key)).unwrap();
    let length = storage.bytes("packs/") as usize;
    for bit in 0..length * 8 {
        storage.alter(&id.path(), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        assert!(check(&storage, Some(&key)).is_err(), "bit {bit}");
        // Only the mac itself needs the key to be looked at.
        let in_mac = (length - 24..length - 8).contains(&(bit / 8));
        assert_eq!(check(&storage, None).is_err(), !in_mac, "bit {bit}");
        storage.alter(&id.path(), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }
    for end in 0..length {
        let cut = storage.copy();
        cut.alter(&id.path(), |bytes| bytes.truncate(end));
        assert!(check(&cut, None).is_err(), "cut off at {end}");
    }
    assert!(matches!(check(&storage, Some(&VaultKey::generate())), Err(PackFault::Forged)));
}

#[test]
fn a_bomb_and_lengths_that_lie_are_bounded() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    assert!(matches!(unpack_segment(SegmentKind::Zstd, bomb), Err(PackFault::Content)));
    assert!(matches!(unpack_segment(SegmentKind::Sealed, vec![0]), Err(PackFault::Private)));
    let (storage, key, id, spans) = write(&some_segments());
    let object = storage.open(&id.path()).unwrap();
    let aead = key.domain(DomainId::of("d")).pack(&id.0);
    for stored in [0, 16, u32::MAX] {
        let span = Span { stored, ..spans[0] };
        assert!(matches!(read_segment(&*object, &aead, span), Err(PackFault::Content)));
    }
}
