use super::*;
use crate::store::memory::Memory;
use serde_json::json;

fn chain(length: u64) -> Memory {
    let mut store = Memory::default();
    for n in 0..length {
        let at = Timestamp::from_microsecond(1_767_225_600_000_000 + n as i64).unwrap();
        let detail = json!({"b": n, "a": {"z": 1.5, "y": ["é", null, true]}}).as_object().unwrap().clone();
        let entry = Entry::of(ActorKind::Operator, "ada", "acme.greet").outcome(Outcome::Begun).detail(detail);
        let entry = if n % 2 == 0 { entry.on("m1").from("192.0.2.1").job("j1") } else { entry };
        append(&mut store, entry, at).unwrap();
    }
    store
}

fn verified(store: &Memory) -> Result<Verified, FirstBad> {
    verify_store(store, None).unwrap()
}

#[test]
fn a_sound_chain_is_counted() {
    let store = chain(2500);
    let sound = verified(&store).unwrap();
    assert_eq!(sound.count, 2500);
    assert_eq!(sound.head, store.audit_head().unwrap());
    assert_eq!(verified(&Memory::default()).unwrap().count, 0);
    assert_eq!(verify(store.audit.into_iter().map(Ok), sound.head).unwrap(), sound);
}

#[test]
fn every_change_of_any_part_is_noticed_at_its_record() {
    type Change = fn(&mut Record);
    let changes: Vec<(&str, Change)> = vec![
        ("at", |r| r.at += jiff::SignedDuration::from_micros(1)),
        ("actor", |r| r.entry.actor = "eve".into()),
        ("kind", |r| r.entry.actor_kind = ActorKind::System),
        ("action", |r| r.entry.action.push('x')),
        ("target", |r| r.entry.target = None),
        ("outcome", |r| r.entry.outcome = Outcome::Done),
        ("address", |r| r.entry.address = None),
        ("job", |r| r.entry.job = Some("j2".into())),
        ("detail", |r| r.entry.detail["a"]["y"][0] = json!("e")),
        ("prev", |r| r.prev.0[31] ^= 1),
        ("hash", |r| r.hash.0[0] ^= 1),
    ];
    for (what, change) in changes {
        let mut store = chain(9);
        change(&mut store.audit[4]);
        assert_eq!(verified(&store), Err(FirstBad { seq: 5, what: Fault::Altered }), "{what}");
    }
}

#[test]
fn deleting_inserting_reordering_and_rewriting_are_noticed() {
    let mut store = chain(9);
    store.audit.remove(4);
    assert_eq!(verified(&store), Err(FirstBad { seq: 6, what: Fault::Gap { expected: 5 } }));

    let mut store = chain(9);
    let copy = store.audit[4].clone();
    store.audit.insert(5, copy);
    assert!(verify(store.audit.into_iter().map(Ok), None).is_err_and(|bad| bad.seq == 5));

    let mut store = chain(9);
    store.audit.swap(3, 4);
    assert!(verify(store.audit.into_iter().map(Ok), None).is_err_and(|bad| bad.seq == 5));

    let mut store = chain(9);
    store.audit[4].entry.actor = "eve".into();
    store.audit[4].hash = hash(&store.audit[4]);
    assert_eq!(verified(&store), Err(FirstBad { seq: 6, what: Fault::Unlinked }));

    let mut store = chain(9);
    store.audit[0].seq = 0;
    assert!(verify(store.audit.into_iter().map(Ok), None).is_err());
    assert!(verify([Err(1)], None).is_err_and(|bad| bad == FirstBad { seq: 1, what: Fault::Unreadable }));
}

#[test]
fn a_chain_that_was_cut_or_replaced_does_not_fit_a_head_seen_before() {
    let mut store = chain(9);
    let seen = store.audit_head().unwrap();
    store.audit.truncate(6);
    assert_eq!(verify_store(&store, seen).unwrap(), Err(FirstBad { seq: 7, what: Fault::Truncated }));
    assert_eq!(verify_store(&chain(12), seen).unwrap().unwrap().count, 12);

    let mut forged = chain(9);
    let mut before = None;
    for record in &mut forged.audit {
        record.entry.actor = "eve".into();
        *record = next(before, record.entry.clone(), record.at);
        before = Some(Head { seq: record.seq, hash: record.hash });
    }
    assert!(verified(&forged).is_ok(), "by itself a forgery from the beginning is sound");
    assert_eq!(verify_store(&forged, seen).unwrap(), Err(FirstBad { seq: 9, what: Fault::Unlinked }));
}

#[test]
fn equal_details_hash_alike_however_they_were_stored() {
    let (mut one, mut two) = (String::new(), String::new());
    canonical(&json!({"b": 1, "a": [{"d": "\n\"", "c": null}]}), &mut one);
    canonical(&serde_json::from_str(r#"{ "a": [ {"c":null,"d":"\u000a\""} ], "b": 1 }"#).unwrap(), &mut two);
    assert_eq!(one, two);
    assert_eq!(one, r#"{"a":[{"c":null,"d":"\n\""}],"b":1}"#);
}

#[test]
fn secrets_never_reach_a_record() {
    let schema = InputSchema::read(&json!({"type": "object", "properties": {
        "name": {"type": "string"}, "password": {"type": "string", "x-type": "secret"},
        "keys": {"type": "array", "items": {"type": "string", "x-type": "secret"}},
        "login": {"type": "object", "properties": {"user": {"type": "string"}, "pin": {"type": "string", "x-type": "secret"}}}}}))
    .unwrap();
    let input = json!({"name": "x", "password": "hunter2hunter2", "keys": ["hunter3"], "extra": "hunter4",
        "login": {"user": "u", "pin": "hunter5", "more": "hunter6"}});
    let redacted = redact(input.as_object().unwrap(), &schema);
    let text = serde_json::to_string(&redacted).unwrap();
    assert!(!text.contains("hunter"), "{text}");
    assert_eq!(redacted["login"]["user"], "u");
}

#[test]
fn a_long_detail_is_cut() {
    let mut store = Memory::default();
    let detail = json!({"text": "é".repeat(5000)}).as_object().unwrap().clone();
    let entry = Entry::of(ActorKind::Agent, "x\u{1b}".repeat(5000), "x").detail(detail);
    let record = append(&mut store, entry, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(record.entry.detail["text"].as_str().unwrap().chars().count(), 513);
    assert!(record.entry.actor.len() < 1100 && !record.entry.actor.contains('\u{1b}'));
    assert!(verified(&store).is_ok());
}
