//! Private domains: the keeper stores what it cannot look into.

use crate::kit::{Client, back_up, files, files_of, new_vault, private};
use std::sync::Arc;
use vault::storage::Storage;
use vault::{DomainSecret, Draft, Opener, Part, Received, Receiver, Refusal, Unpacker, Vault, VaultError};

fn back_up_private(vault: &Arc<Vault>, source: &str, seed: u64, secret: [u8; 32]) -> (Received, usize) {
    let session = vault.begin(private(source)).unwrap();
    let mut client = Client::sealing(&session, DomainSecret(secret));
    let draft = client.upload(&files(seed, 30)).unwrap();
    (session.commit(draft).unwrap(), client.sent)
}

#[test]
fn only_who_has_the_secret_reads() {
    let (_, vault) = new_vault();
    let (received, _) = back_up_private(&vault, "a", 1, [5; 32]);
    let reader = || vault.reader(received.snapshot, Some("a")).unwrap();
    let keeper = files_of(&reader()).unwrap_err();
    assert!(matches!(keeper, VaultError::NeedsSecret { .. }), "{keeper}");
    assert!(files_of(&reader().with_secret(DomainSecret([6; 32]))).is_err());
    assert_eq!(files_of(&reader().with_secret(DomainSecret([5; 32]))).unwrap(), files(1, 30));
    assert_eq!(reader().ids(0..5).unwrap().len(), 5, "refs are the keeper's to read");
}

#[test]
fn members_share_and_others_do_not() {
    let (_, vault) = new_vault();
    let (_, sent) = back_up_private(&vault, "a", 1, [5; 32]);
    let (again, nothing) = back_up_private(&vault, "b", 1, [5; 32]);
    assert!(sent > 30 && nothing == 0 && again.stored_bytes == 0);
    let managed = back_up(&vault, "c", &files(1, 30)).unwrap();
    assert!(managed.stored_bytes > 0, "no domain shares with another");
    let (other, _) = back_up_private(&vault, "d", 1, [9; 32]);
    assert!(other.stored_bytes > 0, "another secret gives other names");
}

#[test]
fn segments_are_sent_as_they_were_sealed() {
    let (_, vault) = new_vault();
    let (received, _) = back_up_private(&vault, "a", 1, [5; 32]);
    let reader = vault.reader(received.snapshot, Some("a")).unwrap();
    let count = reader.count(Part::Files);
    let mut seen = vec![None; count as usize];
    for batch in reader.batches(Part::Files, 0..count).unwrap() {
        let batch = batch.unwrap();
        let (kind, bytes) = Opener::new(DomainSecret([5; 32])).open(&batch.bytes).unwrap();
        let end = batch.pieces.iter().map(|piece| piece.start + piece.length).max().unwrap();
        let plain = match Unpacker::new(vault::Limits::SEGMENT).unpack(kind, &[end], &bytes) {
            Ok(plain) => plain.to_vec(),
            Err(error) => panic!("{error}"),
        };
        for piece in batch.pieces {
            let chunk = plain[piece.start as usize..][..piece.length as usize].to_vec();
            assert!(seen[piece.position as usize].replace(chunk).is_none());
        }
    }
    let chunks: Vec<Vec<u8>> = seen.into_iter().map(Option::unwrap).collect();
    assert_eq!(chunks.concat(), files(1, 30).concat());
}

#[test]
fn refs_that_are_sealed_are_refused() {
    let (_, vault) = new_vault();
    let session = vault.begin(private("a")).unwrap();
    let mut client = Client::sealing(&session, DomainSecret([5; 32]));
    let names = client.send(&[vec![7; 64]], false).unwrap();
    let refs = vault::StreamRef { chunks: vec![(names[0].id, 64)] };
    let error = session.commit(Draft { refs, ..Draft::default() }).unwrap_err();
    assert!(matches!(error, VaultError::Refused(Refusal::Refs { .. })), "{error}");
}

#[test]
fn nothing_on_the_disk_tells_what_is_stored() {
    let (storage, vault) = new_vault();
    let known = vec![b"a very well known file ".repeat(200)];
    back_up(&vault, "the accountant", &known).unwrap();
    drop(vault);
    let id = vault::Fingerprint::of(None, &known[0]);
    for name in storage.list("").unwrap() {
        let bytes = storage.read(&name, 1 << 30).unwrap();
        let contains = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        assert!(!contains(b"very well known") && !contains(b"accountant") && !contains(b"site"), "{name}");
        assert!(!contains(&id.id.0[..8]) && !contains(&id.tag.0[..8]), "{name}");
    }
}
