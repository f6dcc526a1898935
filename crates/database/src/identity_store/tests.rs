use crate::Database;
use identity::audit::{self, Entry, Fault, FirstBad, verify_store};
use identity::{JoinSecret, ReadStore, Role, Session, Store, StoredJoin, join};
use jiff::{SignedDuration, Timestamp};
use schema::Problem;
use std::path::PathBuf;
use uuid::Uuid;

fn database() -> (tempfile::TempDir, PathBuf, Database) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bailiwick.db");
    let database = Database::open(&path).unwrap();
    (dir, path, database)
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00.123456Z".parse().unwrap()
}

/// What must succeed inside a transaction.
fn fine<T, E: std::fmt::Debug>(result: Result<Result<T, E>, Problem>) -> T {
    result.unwrap().unwrap()
}

#[test]
fn operators_sessions_links_and_tokens_come_back_as_they_were() {
    let (_dir, _path, database) = database();
    database
        .write_blocking(|w| {
            let first = identity::first_operator(w, now())?.unwrap();
            let ada = fine(identity::set_up(w, first.id, "Ada", "$argon2id$x".into()));
            assert_eq!(w.operators()?, std::slice::from_ref(&ada));
            assert_eq!(w.operator_by_name("ada")?, Some(ada.clone()));

            let link = identity::sign_in_link(w, ada.id, now())?;
            let (session, who) = identity::use_link(w, link.reveal(), now())?.unwrap();
            assert_eq!(who, ada);
            assert!(identity::use_link(w, link.reveal(), now())?.is_none());
            let later = now() + SignedDuration::from_hours(1);
            w.touch_session(&session.hash(), later)?;
            let (kept, _) = identity::resume_session(w, session.reveal(), later)?.unwrap();
            let expires_at = now() + identity::SESSION_LIFE;
            let expected =
                Session { secret: session.hash(), operator: ada.id, created_at: now(), seen_at: later, expires_at };
            assert_eq!(kept, expected);

            let bob = fine(identity::create_operator(w, "Bob", Role::Operator, None, now()));
            assert!(identity::create_operator(w, "bob", Role::Operator, None, now())?.is_err());
            let (word, mut token) =
                fine(identity::create_token(w, "ci", Role::Operator, Some(&bob), Some(later), now()));
            w.touch_api_token(token.id, now())?;
            token.used_at = Some(now());
            let (read, actor) = identity::use_token(w, word.reveal(), now())?.unwrap();
            assert_eq!((read, actor.maker_role), (token.clone(), Some(Role::Operator)));
            assert_eq!(w.api_tokens()?, [token]);

            fine(identity::change_password(w, ada.id, "$argon2id$y".into()));
            assert!(identity::resume_session(w, session.reveal(), later)?.is_none());
            fine(identity::remove_operator(w, bob.id));
            assert!(identity::use_token(w, word.reveal(), now())?.is_none());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_join_token_is_used_by_one_machine_only() {
    let (_dir, _path, database) = database();
    let secret = JoinSecret::generate();
    let stored = StoredJoin {
        id: Uuid::now_v7(),
        machine: None,
        secret: secret.hash(),
        created_by: "ada".into(),
        created_at: now(),
        expires_at: now() + SignedDuration::from_hours(1),
        used: None,
    };
    let machine = Uuid::now_v7();
    let outcome = database
        .write_blocking(move |w| {
            w.insert_join(&stored)?;
            assert_eq!(w.join_by_secret(&secret.hash())?, Some(stored.clone()));
            fine(join::redeem(w, &secret, machine, now()));
            let used = w.join_by_secret(&secret.hash())?.unwrap().used;
            assert_eq!(used, Some((now(), machine)));
            Ok(join::redeem(w, &secret, Uuid::now_v7(), now())?)
        })
        .unwrap();
    assert_eq!(outcome, Err(join::Refused::Used));
}

fn record(database: &Database, action: &'static str) {
    let detail = serde_json::json!({"b": [1, 2.5, null], "a": "ü"}).as_object().unwrap().clone();
    let entry = Entry::system(action).on("m1").from("::1").job("j").detail(detail);
    database.write_blocking(move |w| Ok(audit::append(w, entry, now()).map(|_| ())?)).unwrap();
}

#[test]
fn two_programs_on_one_database_write_one_chain() {
    let (_dir, path, one) = database();
    let other = Database::open(&path).unwrap();
    std::thread::scope(|scope| {
        for database in [&one, &other] {
            scope.spawn(|| (0..50).for_each(|_| record(database, "a")));
        }
    });
    let verified = one.read_blocking(|r| Ok(verify_store(r, None)?)).unwrap().unwrap();
    assert_eq!(verified.count, 100);
}

#[test]
fn a_record_is_undone_with_what_it_records() {
    let (_dir, _path, database) = database();
    record(&database, "a");
    let failed: Result<(), _> = database.write_blocking(|w| {
        audit::append(w, Entry::system("b"), now())?;
        Err(Problem::bad_request("no").into())
    });
    assert!(failed.is_err());
    record(&database, "c");
    let verified = database.read_blocking(|r| Ok(verify_store(r, None)?)).unwrap().unwrap();
    assert_eq!(verified.count, 2);
}

#[test]
fn a_hand_in_the_file_is_noticed_and_the_record_named() {
    let (_dir, path, database) = database();
    (0..5).for_each(|_| record(&database, "a"));
    let outside = rusqlite::Connection::open(&path).unwrap();
    let update = "UPDATE fleet_audit SET operator = 'eve' WHERE number = 3";
    let refused = outside.execute(update, []).unwrap_err().to_string();
    assert!(refused.contains("never changed"), "{refused}");
    assert!(outside.execute("DELETE FROM fleet_audit", []).is_err());
    outside.execute_batch("DROP TRIGGER fleet_audit_is_never_changed").unwrap();
    outside.execute(update, []).unwrap();
    let verify = || database.read_blocking(|r| Ok(verify_store(r, None)?)).unwrap();
    assert_eq!(verify(), Err(FirstBad { seq: 3, what: Fault::Altered }));
    outside.execute("UPDATE fleet_audit SET operator = 'system', detail = '{' WHERE number = 3", []).unwrap();
    assert_eq!(verify(), Err(FirstBad { seq: 3, what: Fault::Unreadable }));
}

#[test]
fn only_hashes_of_secrets_are_in_the_file() {
    let (_dir, path, database) = database();
    let words = database
        .write_blocking(|w| {
            let first = identity::first_operator(w, now())?.unwrap();
            let (token, _) = fine(identity::create_token(w, "t", Role::Manager, None, None, now()));
            Ok([identity::open_session(w, first.id, now())?, identity::sign_in_link(w, first.id, now())?, token])
        })
        .unwrap();
    drop(database);
    let bytes: Vec<u8> = ["", "-wal"]
        .iter()
        .filter_map(|end| std::fs::read(format!("{}{end}", path.display())).ok())
        .flatten()
        .collect();
    for word in words {
        let word = word.reveal().as_bytes();
        assert!(!bytes.windows(word.len()).any(|part| part == word));
    }
    assert!(bytes.windows(5).any(|part| part == b"manag"), "the file was not looked at");
}
