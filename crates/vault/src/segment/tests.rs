use super::*;
use crate::Fingerprint;
use proptest::prelude::*;
use std::convert::Infallible;
use std::sync::Arc;

/// Bytes that do not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

fn pack(packing: Packing, chunks: &[Vec<u8>]) -> Vec<Segment> {
    let (mut packer, mut segments) = (Packer::new(packing), Vec::new());
    let mut out = |segment| {
        segments.push(segment);
        Ok::<_, Infallible>(())
    };
    for chunk in chunks {
        packer.add(Fingerprint::of(None, chunk), chunk, &mut out).unwrap();
    }
    packer.flush(&mut out).unwrap();
    segments
}

const OPEN: Packing = Packing { level: 1, names: true, sealer: None };

fn unpack(segments: &[Segment]) -> Vec<Vec<u8>> {
    let mut unpacker = Unpacker::new(Limits::SEGMENT);
    let mut out = Vec::new();
    for segment in segments {
        out.extend(segment.unpack(&mut unpacker).unwrap().map(<[u8]>::to_vec));
    }
    out
}

fn sorted(mut chunks: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    chunks.sort();
    chunks
}

proptest! {
    #[test]
    fn what_is_packed_comes_out(
        sizes in proptest::collection::vec((1_usize..200_000, any::<bool>(), any::<u64>()), 1..30),
        level in 1..=3_i32,
    ) {
        let make = |&(size, text, seed): &(usize, bool, u64)| {
            if text { noise(seed, 97).repeat(size / 97 + 1)[..size].to_vec() } else { noise(seed, size) }
        };
        let chunks: Vec<Vec<u8>> = sizes.iter().map(make).collect();
        let segments = pack(Packing { level, ..OPEN }, &chunks);
        for segment in &segments {
            let plain: u32 = segment.lengths.iter().sum();
            prop_assert!(segment.lengths.len() == 1 || plain as usize <= 512 << 10);
            let names: Vec<_> = unpack(std::slice::from_ref(segment)).iter().map(|c| Fingerprint::of(None, c)).collect();
            prop_assert_eq!(&segment.names, &names);
        }
        prop_assert_eq!(sorted(unpack(&segments)), sorted(chunks));
    }

    #[test]
    fn any_bytes_unpack_or_are_refused(
        kind in 0_u8..3,
        lengths in proptest::collection::vec(0_u32..3_000_000, 0..6),
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut unpacker = Unpacker::new(Limits::SEGMENT);
        if let Ok(plain) = unpacker.unpack(SegmentKind::try_from(kind).unwrap(), &lengths, &bytes) {
            prop_assert_eq!(plain.len(), lengths.iter().sum::<u32>() as usize);
        }
    }
}

#[test]
fn noise_is_stored_and_text_beside_it_compressed() {
    let text = b"all work and no play ".repeat(3000);
    let chunks = [noise(1, 100_000), text.clone(), noise(2, 100_000), text];
    let segments = pack(OPEN, &chunks);
    let kinds: Vec<_> = segments.iter().map(|segment| (segment.kind, segment.lengths.len())).collect();
    assert_eq!(kinds, [(SegmentKind::Zstd, 2), (SegmentKind::Plain, 2)]);
    assert!(segments[0].bytes.len() < 1000, "{}", segments[0].bytes.len());
}

#[test]
fn a_bomb_and_lengths_that_lie_are_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let mut unpacker = Unpacker::new(Limits::SEGMENT);
    let mut refuse = |lengths: &[u32], bytes: &[u8]| unpacker.unpack(SegmentKind::Zstd, lengths, bytes).unwrap_err();
    assert!(matches!(refuse(&[1000], &bomb), UnpackError::Damaged(_)));
    assert!(matches!(refuse(&[64 << 20], &bomb), UnpackError::ChunkLength { .. }));
    assert!(matches!(refuse(&[1 << 20; 5], &bomb), UnpackError::Bytes { .. }));
    assert!(matches!(refuse(&[1; 20_000], &bomb), UnpackError::Chunks { .. }));
    assert!(matches!(refuse(&[1, 0], &bomb), UnpackError::ChunkLength { found: 0, .. }));
    let small = zstd::bulk::compress(&[7; 100], 1).unwrap();
    assert!(matches!(refuse(&[101], &small), UnpackError::WrongLength { said: 101, found: 100 }));
    let names = vec![Fingerprint::of(None, b"x"); 2];
    let lying = Segment { lengths: vec![100], names, kind: SegmentKind::Zstd, bytes: small };
    assert!(matches!(lying.unpack(&mut unpacker).err(), Some(UnpackError::Names { names: 2, chunks: 1 })));
}

#[test]
fn what_is_sealed_opens_with_the_secret_alone() {
    let secret = DomainSecret([5; 32]);
    let sealer = Arc::new(Sealer::new(&secret, [9; 16]));
    let text = b"nobody but us ".repeat(500);
    let segments = pack(Packing { sealer: Some(sealer), ..OPEN }, &[text.clone(), text.clone()]);
    let [segment] = &segments[..] else { panic!("one segment") };
    assert_eq!(segment.kind, SegmentKind::Sealed);
    let mut unpacker = Unpacker::new(Limits::SEGMENT);
    assert!(matches!(segment.unpack(&mut unpacker).err(), Some(UnpackError::Sealed)));

    let (kind, bytes) = Opener::new(secret.clone()).open(&segment.bytes).unwrap();
    let opened = Segment { kind, bytes, ..segment.clone() };
    assert_eq!(unpack(&[opened]), [text.clone(), text]);

    let mut stranger = Opener::new(DomainSecret([6; 32]));
    assert_eq!(stranger.open(&segment.bytes), Err(OpenError::Refused));
    let mut opener = Opener::new(secret);
    assert_eq!(opener.open(&segment.bytes[..20]), Err(OpenError::Short));
    for bit in 0..segment.bytes.len() * 8 {
        let mut bytes = segment.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opener.open(&bytes), Err(OpenError::Refused), "bit {bit}");
    }
}

#[test]
fn equal_bytes_are_sealed_differently() {
    let sealer = Sealer::new(&DomainSecret([5; 32]), [9; 16]);
    let [one, two] = [(); 2].map(|()| sealer.seal(SegmentKind::Plain, b"the same"));
    assert_ne!(one, two);
    let mut opener = Opener::new(DomainSecret([5; 32]));
    assert_eq!(opener.open(&one), opener.open(&two));
}
