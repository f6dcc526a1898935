use super::*;
use crate::storage::{MemoryStorage, Storage};

const CHEAP: Cost = Cost { memory_kib: 64, passes: 1 };
const VAULT: [u8; 16] = [3; 16];

fn slots() -> (MemoryStorage, VaultKey, RecoverySheet) {
    let (storage, key, sheet) = (MemoryStorage::default(), VaultKey::generate(), RecoverySheet::generate());
    let ways = [
        ("typed", WayIn::password("correct horse")),
        ("paper", WayIn::Sheet(sheet.clone())),
        ("host", WayIn::host([9; 32])),
    ];
    for (name, way) in ways {
        add_slot(&storage, &VAULT, name, &key, &way, CHEAP).unwrap();
    }
    (storage, key, sheet)
}

#[test]
fn every_way_in_opens_and_wrong_ones_say_so() {
    let (storage, key, sheet) = slots();
    for way in [WayIn::password("correct horse"), WayIn::Sheet(sheet), WayIn::host([9; 32])] {
        assert_eq!(*open_slots(&storage, &VAULT, &way).unwrap().0, *key.0, "{way:?}");
        assert!(open_slots(&storage, &[4; 16], &way).is_err(), "a slot belongs to one vault");
    }
    for way in [WayIn::password("wrong horse"), WayIn::Sheet(RecoverySheet::generate()), WayIn::host([8; 32])] {
        let error = open_slots(&storage, &VAULT, &way).err().unwrap();
        assert!(matches!(error, KeyError::Wrong { kind } if kind == way.kind()), "{error}");
    }
    // The same 32 bytes as another kind of way in are another secret.
    let error = open_slots(&storage, &VAULT, &WayIn::Sheet(RecoverySheet(Zeroizing::new([9; 32])))).err().unwrap();
    assert_eq!(error.to_string(), "the recovery sheet does not open this vault");
}

#[test]
fn ways_in_are_added_and_removed_but_the_last() {
    let (storage, key, _) = slots();
    let again = add_slot(&storage, &VAULT, "host", &key, &WayIn::host([1; 32]), CHEAP);
    assert!(matches!(again, Err(KeyError::Taken { .. })), "{again:?}");
    for name in ["", "../x", "Host", "a b"] {
        let result = add_slot(&storage, &VAULT, name, &key, &WayIn::host([1; 32]), CHEAP);
        assert!(matches!(result, Err(KeyError::Name { .. })), "{name}");
    }
    let names: Vec<String> = list_slots(&storage).unwrap().into_iter().map(|slot| slot.name).collect();
    assert_eq!(names, ["host", "paper", "typed"]);
    remove_slot(&storage, "typed").unwrap();
    let gone = open_slots(&storage, &VAULT, &WayIn::password("correct horse")).err().unwrap();
    assert!(matches!(gone, KeyError::NoWay { kind: WayKind::Password, .. }), "{gone}");
    assert!(matches!(remove_slot(&storage, "typed"), Err(KeyError::Unknown { .. })));
    remove_slot(&storage, "paper").unwrap();
    assert!(matches!(remove_slot(&storage, "host"), Err(KeyError::Last { .. })));
}

#[test]
fn a_slot_that_is_damaged_newer_or_greedy_is_named() {
    for (from, to, expected) in [
        ("\"version\": 1", "\"version\": 2", "newer version"),
        ("\"version\": 1", "\"version\": 1, \"more\": 0", "is damaged"),
        ("\"memory_kib\": 64", "\"memory_kib\": 4000000000", "more memory"),
        ("{", "", "is damaged"),
    ] {
        let (storage, _, sheet) = slots();
        storage.alter("keys/typed.json", |bytes| {
            *bytes = String::from_utf8(bytes.clone()).unwrap().replacen(from, to, 1).into_bytes();
        });
        let error = open_slots(&storage, &VAULT, &WayIn::password("correct horse")).err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains("keys/typed.json"), "{error}");
        open_slots(&storage, &VAULT, &WayIn::Sheet(sheet)).unwrap();
    }
}

#[test]
fn every_flipped_bit_of_a_sealed_key_is_found() {
    let (storage, _, _) = slots();
    let text = String::from_utf8(storage.read("keys/host.json", 1 << 20).unwrap()).unwrap();
    let start = text.find("\"sealed\": \"").unwrap() + 11;
    for at in start..start + 96 {
        let altered = MemoryStorage::default();
        let mut text = text.clone().into_bytes();
        text[at] = if text[at] == b'0' { b'1' } else { b'0' };
        altered.put_new("keys/host.json", &text).unwrap();
        assert!(open_slots(&altered, &VAULT, &WayIn::host([9; 32])).is_err());
    }
}

#[test]
fn what_was_sealed_opens_with_its_number_only() {
    let aead = VaultKey::generate().record("snapshot", &[1; 16]);
    let mut bytes = b"text".to_vec();
    aead.seal(5, &mut bytes);
    assert_eq!(bytes.len(), 4 + SEAL);
    assert_eq!(aead.open(6, &mut bytes.clone()), Err(Unopened));
    assert_eq!(aead.open(5, &mut Vec::new()), Err(Unopened));
    aead.open(5, &mut bytes).unwrap();
    assert_eq!(bytes, b"text");
}
