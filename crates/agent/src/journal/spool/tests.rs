use super::*;
use serde_json::json;

fn publish(mode: PublishMode, section: &str, rows: serde_json::Value) -> Publish {
    serde_json::from_value(json!({"type": "thing", "mode": mode, "section": section, "rows": rows})).unwrap()
}

fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&dir.path().join("journal.redb")).unwrap();
    (dir, journal)
}

#[test]
fn only_a_change_of_a_section_travels() {
    let (_dir, journal) = journal();
    let first = publish(PublishMode::Replace, "a", json!([{"id": 1}]));
    assert!(journal.publish("p", first.clone()).unwrap());
    assert!(!journal.publish("p", first.clone()).unwrap(), "it waits already");
    let sent = journal.outgoing(0, usize::MAX).unwrap();
    assert_eq!(sent.len(), 1);
    journal.stored_up_to(sent[0].seq, false).unwrap();
    assert!(!journal.publish("p", first).unwrap(), "the administrator has it");
    assert!(journal.outgoing(0, usize::MAX).unwrap().is_empty());
    assert!(journal.publish("p", publish(PublishMode::Replace, "a", json!([]))).unwrap());
}

#[test]
fn an_older_form_of_a_section_is_not_sent_any_more() {
    let (_dir, journal) = journal();
    for id in 0..5 {
        journal.publish("p", publish(PublishMode::Replace, "a", json!([{"id": id}]))).unwrap();
        journal.publish("p", publish(PublishMode::Append, "", json!([{"id": id}]))).unwrap();
    }
    let sent = journal.outgoing(0, usize::MAX).unwrap();
    let replaced: Vec<_> = sent.iter().filter(|entry| entry.publish.mode == PublishMode::Replace).collect();
    assert_eq!(replaced.len(), 1);
    assert_eq!(replaced[0].publish.rows[0]["id"], 4);
    assert_eq!(sent.len(), 6, "events are all sent");
    assert!(sent.is_sorted_by_key(|entry| entry.seq));
}

#[test]
fn an_acknowledgement_of_an_older_form_does_not_count_for_the_newer() {
    let (_dir, journal) = journal();
    journal.publish("p", publish(PublishMode::Replace, "a", json!([{"id": 1}]))).unwrap();
    let old = journal.outgoing(0, usize::MAX).unwrap()[0].seq;
    journal.publish("p", publish(PublishMode::Replace, "a", json!([{"id": 2}]))).unwrap();
    journal.stored_up_to(old, false).unwrap();
    let rest = journal.outgoing(0, usize::MAX).unwrap();
    assert_eq!(rest[0].publish.rows[0]["id"], 2);
}

#[test]
fn a_new_administrator_gets_everything_again() {
    let (_dir, journal) = journal();
    journal.publish("p", publish(PublishMode::Replace, "a", json!([{"id": 1}]))).unwrap();
    journal.publish("q", publish(PublishMode::Replace, "a", json!([{"id": 2}]))).unwrap();
    journal.stored_up_to(2, false).unwrap();
    assert_eq!(journal.section_hashes().unwrap().len(), 2);
    journal.send_again(None).unwrap();
    journal.send_again(None).unwrap();
    assert_eq!(journal.outgoing(0, usize::MAX).unwrap().len(), 2);
}

#[test]
fn the_spool_is_bounded_and_takes_again_when_it_was_emptied() {
    let (_dir, journal) = journal();
    let big = publish(PublishMode::Append, "", json!([{"text": "x".repeat(3 * 1024 * 1024)}]));
    let mut taken = 0;
    let error = loop {
        match journal.publish("p", big.clone()) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 30, "64 MiB are never full");
    };
    assert!(matches!(error, JournalError::Full));
    assert_eq!(taken, 21);
    let first = journal.outgoing(0, 1).unwrap();
    assert_eq!(first.len(), 1);
    journal.stored_up_to(first[0].seq, false).unwrap();
    journal.publish("p", big).unwrap();
}

#[test]
fn what_was_taken_over_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.redb");
    let journal = Journal::open(&path).unwrap();
    journal.publish("p", publish(PublishMode::Append, "", json!([{"id": 1}]))).unwrap();
    assert_eq!(journal.next_epoch().unwrap(), 1);
    drop(journal);
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.outgoing(0, usize::MAX).unwrap().len(), 1);
    assert_eq!(journal.next_epoch().unwrap(), 2);
}

#[test]
fn what_is_held_back_travels_again_though_it_is_the_same() {
    let (_dir, journal) = journal();
    let few = || publish(PublishMode::Replace, "all", json!([{"id": 1}]));
    assert!(journal.publish("p", few()).unwrap());
    let sent = journal.outgoing(0, usize::MAX).unwrap();
    journal.stored_up_to(sent[0].seq, true).unwrap();
    assert!(journal.section_hashes().unwrap().is_empty(), "the administrator has something else");
    assert!(journal.publish("p", few()).unwrap(), "the second collection is the one that is waited for");
    let sent = journal.outgoing(0, usize::MAX).unwrap();
    journal.stored_up_to(sent[0].seq, false).unwrap();
    assert!(!journal.publish("p", few()).unwrap());
}
