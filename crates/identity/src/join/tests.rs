use super::*;
use crate::store::memory::Memory;
use jiff::SignedDuration;
use proptest::prelude::*;

fn sample() -> JoinToken {
    JoinToken {
        addresses: ["10.1.2.3:8444", "[fe80::1]:8444", "admin.example:8444"].map(|a| a.parse().unwrap()).to_vec(),
        secret: JoinSecret::generate(),
        authority: Fingerprint::of(b"a certificate"),
    }
}

#[test]
fn a_token_is_one_url_safe_word_and_comes_back_whole() {
    let token = sample();
    let word = token.to_word().unwrap();
    assert!(word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{word}");
    assert!(word.starts_with('A'), "never taken for an option");
    assert_eq!(word.parse::<JoinToken>().unwrap(), token);
    assert_eq!(format!("  {word}\n").parse::<JoinToken>().unwrap(), token);
    assert!(!format!("{token:?}").contains(&token.secret.to_string()));
}

#[test]
fn what_is_wrong_with_a_word_is_said() {
    let word = sample().to_word().unwrap();
    let error = |word: &str| word.parse::<JoinToken>().unwrap_err();
    assert_eq!(error(" "), ParseError::Empty);
    assert_eq!(error("ab cd"), ParseError::Character { position: 3, character: ' ' });
    assert_eq!(error(&format!("{word}=")), ParseError::Character { position: word.len() + 1, character: '=' });
    assert_eq!(error("CQAAAA"), ParseError::Version { version: 9 });
    assert_eq!(error(&"A".repeat(5000)), ParseError::TooLong { length: 5000 });
    let swapped = format!("{}{}", &word[..20], word[20..].chars().rev().collect::<String>());
    assert_eq!(error(&swapped), ParseError::Incomplete);
    for cut in 2..word.len() {
        assert_eq!(error(&word[..cut]), ParseError::Incomplete, "cut at {cut}");
    }
    let none = JoinToken { addresses: vec![], ..sample() };
    assert_eq!(none.to_word(), Err(ParseError::Addresses { count: 0 }));
}

#[test]
fn an_address_needs_a_host_and_a_port() {
    for bad in ["10.0.0.1", "host", "host:99999", ":80", "ho st:80", "a/b:80", "fe80::1:80:"] {
        assert!(bad.parse::<Address>().is_err(), "{bad}");
    }
    assert_eq!("[::1]:80".parse::<Address>().unwrap().to_string(), "[::1]:80");
}

proptest! {
    #[test]
    fn no_word_makes_the_parser_panic(word in "[A-Za-z0-9_-]{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        prop_assert!(word.parse::<JoinToken>().is_err());
        let mut body = vec![VERSION];
        body.extend(&bytes);
        let sum = check(&body);
        body.extend(sum);
        if let Ok(token) = URL_SAFE_NO_PAD.encode(&body).parse::<JoinToken>() {
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(&body), token.to_word().unwrap());
        }
    }
}

#[test]
fn a_token_enrols_one_machine_while_its_time_lasts() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (secret, other) = (JoinSecret::generate(), JoinSecret::generate());
    let stored = |secret: &JoinSecret| StoredJoin {
        id: Uuid::now_v7(),
        machine: None,
        secret: secret.hash(),
        created_by: "ada".into(),
        created_at: now,
        expires_at: now + SignedDuration::from_mins(15),
        used: None,
    };
    let mut store = Memory::default();
    store.insert_join(&stored(&secret)).unwrap();
    store.insert_join(&stored(&other)).unwrap();
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());

    assert_eq!(redeem(&mut store, &JoinSecret::generate(), first, now).unwrap(), Err(Refused::Unknown));
    assert!(redeem(&mut store, &secret, first, now).unwrap().is_ok());
    assert!(redeem(&mut store, &secret, first, now).unwrap().is_ok(), "a lost answer is asked for again");
    assert_eq!(redeem(&mut store, &secret, second, now).unwrap(), Err(Refused::Used));
    let late = now + SignedDuration::from_mins(15);
    assert_eq!(redeem(&mut store, &other, second, late).unwrap(), Err(Refused::Expired));
    assert_eq!(redeem(&mut store, &secret, first, late).unwrap(), Err(Refused::Expired));
}
