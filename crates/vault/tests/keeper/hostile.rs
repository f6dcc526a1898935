//! A client that lies gets nothing that is not its own, and harms nobody.

use crate::kit::{Client, back_up, bytes, files, new_vault, options, restore, segment};
use std::sync::Arc;
use vault::{
    ChunkId, Draft, Fingerprint, Mode, Receiver, Refusal, Segment, SegmentKind, Session, SessionOptions, StreamRef,
    Tag, Vault, VaultError,
};

fn session(vault: &Arc<Vault>, source: &str) -> Session {
    vault.begin(options(source)).unwrap()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, VaultError>) -> Refusal {
    match result {
        Err(VaultError::Refused(refusal)) => refusal,
        other => panic!("was not refused: {other:?}"),
    }
}

/// A draft whose *refs* holds these ids.
fn draft_of(session: &Session, ids: &[ChunkId]) -> Draft {
    let refs: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
    let chunk = (Fingerprint::of(None, &refs).id, refs.len() as u32);
    session.put(segment(&[refs])).unwrap();
    Draft { refs: StreamRef { chunks: vec![chunk] }, ..Draft::default() }
}

#[test]
fn garbage_under_a_real_name_is_stored_under_its_own() {
    let (_, vault) = new_vault();
    let real = bytes(1, 5000);
    let name = Fingerprint::of(None, &real);
    let attacker = session(&vault, "attacker");
    let mut lie = segment(&[bytes(2, 5000)]);
    lie.names = vec![name];
    attacker.put(lie).unwrap();
    assert_eq!(attacker.have(&[name]).unwrap(), [false]);
    let unproven = refusal(attacker.commit(draft_of(&attacker, &[name.id])));
    assert!(matches!(unproven, Refusal::Unproven { chunk } if chunk == name.id), "{unproven}");
    let received = back_up(&vault, "victim", &vec![real.clone()]).unwrap();
    assert_eq!(restore(&vault, received.snapshot).unwrap(), [real]);
}

#[test]
fn a_name_without_its_tag_claims_nothing() {
    let (_, vault) = new_vault();
    let secret = bytes(1, 5000);
    let id = Fingerprint::of(None, &secret).id;
    back_up(&vault, "victim", &vec![secret]).unwrap();
    let attacker = session(&vault, "attacker");
    for tag in [Tag([0; 16]), Fingerprint::of(None, b"other").tag] {
        assert_eq!(attacker.have(&[Fingerprint { id, tag }]).unwrap(), [false]);
    }
    assert!(matches!(refusal(attacker.commit(draft_of(&attacker, &[id]))), Refusal::Unproven { .. }));
    // Neither by naming it as a chunk of a stream.
    for length in [5000, 32] {
        let stream = StreamRef { chunks: vec![(id, length)] };
        let draft = Draft { names: stream.clone(), ..Draft::default() };
        assert!(matches!(refusal(attacker.commit(draft)), Refusal::Unproven { .. }));
        let draft = Draft { refs: stream, ..Draft::default() };
        assert!(matches!(refusal(attacker.commit(draft)), Refusal::Unproven { .. } | Refusal::Refs { .. }));
    }
}

#[test]
fn what_one_session_proved_is_no_proof_in_another() {
    let (_, vault) = new_vault();
    let one = session(&vault, "a");
    let draft = Client::new(&one).upload(&files(1, 5)).unwrap();
    let other = session(&vault, "a");
    assert!(matches!(refusal(other.commit(draft.clone())), Refusal::Unproven { .. }));
    one.commit(draft).unwrap();
}

#[test]
fn the_basis_proves_what_is_in_it_and_nothing_else() {
    let (_, vault) = new_vault();
    let basis = back_up(&vault, "a", &files(1, 20)).unwrap().snapshot;
    let foreign = bytes(99, 3000);
    back_up(&vault, "b", &vec![foreign.clone()]).unwrap();
    let own = Fingerprint::of(None, &files(1, 20)[7][..]).id;
    let session = vault.begin(SessionOptions { basis: Some(basis), ..options("a") }).unwrap();
    let stolen = Fingerprint::of(None, &foreign).id;
    let refused = refusal(session.commit(draft_of(&session, &[own, stolen, own])));
    assert!(matches!(refused, Refusal::Unproven { chunk } if chunk == stolen), "{refused}");
    session.commit(draft_of(&session, &[own, own])).unwrap();
}

#[test]
fn lengths_that_lie_are_refused() {
    let (_, vault) = new_vault();
    let session = session(&vault, "a");
    let good = segment(&[bytes(1, 1000), bytes(2, 1000)]);
    let with = |lengths: &[u32]| Segment { lengths: lengths.to_vec(), ..good.clone() };
    for lengths in [&[1000][..], &[1000, 1001], &[0, 2000], &[2000, 0], &[u32::MAX, 2001], &[1 << 21, 1000]] {
        let mut lie = with(lengths);
        lie.names.truncate(lengths.len());
        assert!(matches!(refusal(session.put(lie)), Refusal::Unpack(_)), "{lengths:?}");
    }
    assert!(matches!(refusal(session.put(with(&[]))), Refusal::Empty));
    let mut many = with(&vec![1; 1 << 20]);
    many.names.clear();
    assert!(matches!(refusal(session.put(many)), Refusal::Unpack(_)));
    let long = Segment { kind: SegmentKind::Plain, bytes: vec![0; 8 << 20], ..good.clone() };
    assert!(matches!(refusal(session.put(long)), Refusal::TooLong { .. }));

    session.put(good).unwrap();
    let id = Fingerprint::of(None, &bytes(1, 1000)).id;
    let names = StreamRef { chunks: vec![(id, 999)] };
    let lie = refusal(session.commit(Draft { names, ..Draft::default() }));
    assert!(matches!(lie, Refusal::Length { said: 999, is: 1000, .. }), "{lie}");
    let names = StreamRef { chunks: vec![(id, 1000)] };
    for (root, root_refs) in [(1000, 0), (u64::MAX, 0), (0, 1), (0, u64::MAX)] {
        let lie = Draft { names: names.clone(), root, root_refs, ..Draft::default() };
        assert!(matches!(refusal(session.commit(lie)), Refusal::Root), "{root} {root_refs}");
    }
}

#[test]
fn a_bomb_is_refused_in_little_memory() {
    let (storage, vault) = new_vault();
    let session = session(&vault, "a");
    for bomb in [vec![0; 64 << 20], vec![0; (4 << 20) + 1]] {
        let bytes = zstd::bulk::compress(&bomb, 1).unwrap();
        for lengths in [vec![1000], vec![1 << 20; 4]] {
            let bomb = Segment { lengths, names: vec![], kind: SegmentKind::Zstd, bytes: bytes.clone() };
            assert!(matches!(refusal(session.put(bomb)), Refusal::Unpack(_)));
        }
    }
    let garbage = Segment { lengths: vec![100], names: vec![], kind: SegmentKind::Zstd, bytes: bytes(1, 50) };
    assert!(matches!(refusal(session.put(garbage)), Refusal::Unpack(_)));
    assert_eq!(storage.bytes("packs/"), 0, "nothing that was refused is stored");
}

#[test]
fn refs_that_nobody_could_read_are_refused() {
    let (_, vault) = new_vault();
    let session = session(&vault, "a");
    let odd = bytes(1, 33);
    session.put(segment(std::slice::from_ref(&odd))).unwrap();
    let chunk = Fingerprint::of(None, &odd).id;
    let draft = Draft { refs: StreamRef { chunks: vec![(chunk, 33)] }, ..Draft::default() };
    assert!(matches!(refusal(session.commit(draft)), Refusal::Refs { .. }));
}

#[test]
fn a_sealed_segment_stays_out_of_a_managed_domain() {
    let (_, vault) = new_vault();
    let sealed = Segment { kind: SegmentKind::Sealed, ..segment(&[bytes(1, 10)]) };
    let refused = refusal(session(&vault, "a").put(sealed));
    assert!(matches!(refused, Refusal::Kind { mode: Mode::Managed, .. }), "{refused}");
}

#[test]
fn too_much_at_once_is_refused() {
    let (_, vault) = new_vault();
    let session = session(&vault, "a");
    let names = vec![Fingerprint::of(None, b"x"); Session::BATCH + 1];
    assert!(matches!(refusal(session.have(&names)), Refusal::TooMany { .. }));
    assert_eq!(session.have(&names[1..]).unwrap().len(), Session::BATCH);
    let words = Draft { description: vec![0; (16 << 20) + 1], ..Draft::default() };
    assert!(matches!(refusal(session.commit(words)), Refusal::Description { .. }));
}

#[test]
fn another_sources_snapshot_is_not_read() {
    let (_, vault) = new_vault();
    let snapshot = back_up(&vault, "a", &files(1, 3)).unwrap().snapshot;
    assert!(vault.reader(snapshot, Some("a")).is_ok());
    assert!(matches!(vault.reader(snapshot, Some("b")), Err(VaultError::OtherSource { .. })));
}
