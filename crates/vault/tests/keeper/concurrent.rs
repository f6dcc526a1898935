//! Many sessions at once.

use crate::kit::{Client, Files, back_up, bytes, files, new_vault, options, restore, segment};
use std::sync::Barrier;
use std::thread;
use vault::storage::Storage;
use vault::{Draft, Receiver};

#[test]
fn sessions_from_many_threads_share_and_all_is_read_back() {
    let (storage, vault) = new_vault();
    let common = files(1, 60);
    let own = |n: u64| -> Files { [common.clone(), files(100 + n, 15)].concat() };
    thread::scope(|scope| {
        for n in 0..8 {
            let (vault, own) = (&vault, &own);
            scope.spawn(move || {
                for _ in 0..3 {
                    let received = back_up(vault, &format!("source {n}"), &own(n)).unwrap();
                    assert_eq!(restore(vault, received.snapshot).unwrap(), own(n));
                }
            });
        }
    });
    assert_eq!(vault.snapshots().unwrap().snapshots.len(), 24);
    let stored = storage.bytes("packs/");
    let (_, alone) = new_vault();
    let once: u64 = (0..8).map(|n| back_up(&alone, "a", &own(n)).unwrap().stored_bytes).sum();
    assert!(stored < 2 * once, "racing sessions may store a chunk twice, but seldom: {stored} against {once}");
    let ids = vault.snapshot_ids().unwrap();
    assert!(ids.is_sorted());
}

#[test]
fn two_sessions_that_put_the_same_chunk_both_may_refer_to_it() {
    let (storage, vault) = new_vault();
    let chunk = bytes(1, 10_000);
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for n in 0..4 {
            let (vault, barrier, chunk) = (&vault, &barrier, &chunk);
            scope.spawn(move || {
                let session = vault.begin(options(&format!("source {n}"))).unwrap();
                barrier.wait();
                session.put(segment(std::slice::from_ref(chunk))).unwrap();
                let draft = Client::new(&session).upload(&vec![chunk.clone()]).unwrap();
                session.commit(draft).unwrap();
            });
        }
    });
    assert!(storage.bytes("packs/") < 2 * 10_000, "it is stored once");
    for id in vault.snapshot_ids().unwrap() {
        assert_eq!(restore(&vault, id).unwrap(), std::slice::from_ref(&chunk));
    }
}

#[test]
fn what_one_session_put_is_committed_by_another_that_was_told_of_it() {
    let (storage, vault) = new_vault();
    let (one, two) = (vault.begin(options("a")).unwrap(), vault.begin(options("b")).unwrap());
    Client::new(&one).upload(&files(1, 5)).unwrap();
    assert!(storage.list("packs/").unwrap().is_empty());
    let mut client = Client::new(&two);
    let draft = client.upload(&files(1, 5)).unwrap();
    assert_eq!(client.sent, 0);
    let received = two.commit(draft).unwrap();
    assert_eq!(storage.list("packs/").unwrap().len(), 1, "the shared pack is sealed");
    assert_eq!(restore(&vault, received.snapshot).unwrap(), files(1, 5));
    // And the first one goes on.
    let draft = Client::new(&one).upload(&files(1, 6)).unwrap();
    let received = one.commit(draft).unwrap();
    assert_eq!(restore(&vault, received.snapshot).unwrap(), files(1, 6));
}

#[test]
fn sessions_that_commit_together_share_a_pack() {
    let (storage, vault) = new_vault();
    let sessions: Vec<_> = (0..6).map(|n| vault.begin(options(&format!("source {n}"))).unwrap()).collect();
    let drafts: Vec<Draft> =
        (0..6).zip(&sessions).map(|(n, session)| Client::new(session).upload(&files(n, 5)).unwrap()).collect();
    let barrier = Barrier::new(6);
    thread::scope(|scope| {
        for (session, draft) in sessions.iter().zip(drafts) {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                session.commit(draft).unwrap();
            });
        }
    });
    assert_eq!(storage.list("packs/").unwrap().len(), 1);
    assert_eq!(vault.snapshot_ids().unwrap().len(), 6);
}

#[test]
fn one_session_is_used_by_many_threads() {
    let (_, vault) = new_vault();
    let session = vault.begin(options("a")).unwrap();
    let parts: Vec<Files> = (0..6).map(|n| files(n, 20)).collect();
    let drafts: Vec<Draft> = thread::scope(|scope| {
        let uploads: Vec<_> =
            parts.iter().map(|part| scope.spawn(|| Client::new(&session).upload(part).unwrap())).collect();
        uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    let draft = Draft {
        refs: vault::StreamRef { chunks: drafts.iter().flat_map(|draft| draft.refs.chunks.clone()).collect() },
        names: vault::StreamRef { chunks: drafts.iter().flat_map(|draft| draft.names.chunks.clone()).collect() },
        ..Draft::default()
    };
    let received = session.commit(draft).unwrap();
    assert_eq!(restore(&vault, received.snapshot).unwrap(), parts.concat());
}
