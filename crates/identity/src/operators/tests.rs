use super::*;
use crate::sessions::{IDLE_LIFE, LINK_LIFE, SESSION_LIFE};
use crate::store::memory::Memory;
use crate::{
    ReadStore, close_session, create_token, open_session, resume_session, revoke_token, sign_in_link, use_link,
    use_token,
};
use jiff::SignedDuration;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn passwords() -> Passwords {
    Passwords::with_costs(8, 1)
}

/// A store with one manager who is set up.
fn site() -> (Memory, Operator) {
    let mut store = Memory::default();
    let first = first_operator(&mut store, now()).unwrap().unwrap();
    let hash = passwords().hash("Ada", "correct horse").unwrap();
    let ada = set_up(&mut store, first.id, " Ada ", hash).unwrap().unwrap();
    (store, ada)
}

#[test]
fn set_up_happens_once_and_there_are_no_default_credentials() {
    let mut store = Memory::default();
    let first = first_operator(&mut store, now()).unwrap().unwrap();
    assert_eq!(first_operator(&mut store, now()).unwrap().unwrap().id, first.id, "no second one is made");
    for password in ["", "admin", "password"] {
        assert!(check_sign_in(&passwords(), Some(&first), password).is_err());
    }
    let ada = set_up(&mut store, first.id, "Ada", "hash".into()).unwrap().unwrap();
    assert_eq!((ada.name.as_str(), ada.role), ("Ada", Role::Manager));
    assert_eq!(set_up(&mut store, first.id, "Eve", "hash".into()).unwrap(), Err(OperatorError::AlreadySetUp));
    assert_eq!(first_operator(&mut store, now()).unwrap(), None);
}

#[test]
fn a_manager_with_a_name_ends_the_set_up() {
    let mut store = Memory::default();
    let first = first_operator(&mut store, now()).unwrap().unwrap();
    assert_eq!(first.actor().name, "first operator");
    let secret = open_session(&mut store, first.id, now()).unwrap();
    let link = sign_in_link(&mut store, first.id, now()).unwrap();
    let ben = create_operator(&mut store, "Ben", Role::Operator, None, now()).unwrap().unwrap();
    assert!(first_operator(&mut store, now()).unwrap().is_some(), "nobody could manage the site");
    assert!(create_operator(&mut store, "First Operator", Role::Auditor, None, now()).unwrap().is_err());
    set_role(&mut store, ben.id, Role::Manager).unwrap().unwrap();
    assert_eq!(first_operator(&mut store, now()).unwrap(), None);
    assert!(resume_session(&store, secret.reveal(), now()).unwrap().is_none());
    assert!(use_link(&mut store, link.reveal(), now()).unwrap().is_none());
    assert!(set_up(&mut store, first.id, "Eve", "hash".into()).unwrap().is_err());
    assert_eq!(remove_operator(&mut store, ben.id).unwrap(), Err(OperatorError::LastManager));
}

#[test]
fn a_name_is_one_persons_however_it_is_written() {
    let (mut store, _) = site();
    let taken = create_operator(&mut store, "ADA ", Role::Auditor, None, now()).unwrap();
    assert_eq!(taken, Err(OperatorError::Taken("ADA".into())));
    for bad in ["", "   ", "a\u{202e}b", "a\nb", &"x".repeat(65)] {
        let refused = create_operator(&mut store, bad, Role::Auditor, None, now()).unwrap();
        assert_eq!(refused, Err(OperatorError::Name), "{bad:?}");
    }
}

#[test]
fn a_session_ends_by_time_log_out_password_role_and_removal() {
    let (mut store, ada) = site();
    let alive =
        |store: &Memory, secret: &crate::Secret, at| resume_session(store, secret.reveal(), at).unwrap().is_some();

    let one = open_session(&mut store, ada.id, now()).unwrap();
    let other = open_session(&mut store, ada.id, now()).unwrap();
    assert!(alive(&store, &one, now()) && alive(&store, &other, now()));
    assert!(!alive(&store, &one, now() + IDLE_LIFE));
    close_session(&mut store, one.reveal()).unwrap();
    assert!(!alive(&store, &one, now()) && alive(&store, &other, now()));

    change_password(&mut store, ada.id, "new hash".into()).unwrap().unwrap();
    assert!(!alive(&store, &other, now()));

    let bob = create_operator(&mut store, "Bob", Role::Manager, None, now()).unwrap().unwrap();
    let bobs = open_session(&mut store, bob.id, now()).unwrap();
    set_role(&mut store, bob.id, Role::Auditor).unwrap().unwrap();
    assert!(!alive(&store, &bobs, now()));

    let bobs = open_session(&mut store, bob.id, now()).unwrap();
    remove_operator(&mut store, bob.id).unwrap().unwrap();
    assert!(!alive(&store, &bobs, now()));

    let long = open_session(&mut store, ada.id, now()).unwrap();
    let mut at = now();
    while at < now() + SESSION_LIFE - SignedDuration::from_hours(10) {
        at += SignedDuration::from_hours(10);
        assert!(alive(&store, &long, at));
        crate::Store::touch_session(&mut store, &long.hash(), at).unwrap();
    }
    assert!(!alive(&store, &long, now() + SESSION_LIFE), "use alone keeps a session for ever");
}

#[test]
fn a_sign_in_link_works_once_and_not_for_long() {
    let (mut store, ada) = site();
    let link = sign_in_link(&mut store, ada.id, now()).unwrap();
    let late = sign_in_link(&mut store, ada.id, now()).unwrap();
    let (session, who) = use_link(&mut store, link.reveal(), now()).unwrap().unwrap();
    assert_eq!(who.id, ada.id);
    assert!(resume_session(&store, session.reveal(), now()).unwrap().is_some());
    assert!(use_link(&mut store, link.reveal(), now()).unwrap().is_none());
    assert!(use_link(&mut store, late.reveal(), now() + LINK_LIFE).unwrap().is_none());
    assert!(resume_session(&store, link.reveal(), now()).unwrap().is_none(), "a link passes for a session");

    let forgotten = sign_in_link(&mut store, ada.id, now()).unwrap();
    change_password(&mut store, ada.id, "hash".into()).unwrap().unwrap();
    assert!(use_link(&mut store, forgotten.reveal(), now()).unwrap().is_none());
}

#[test]
fn the_last_manager_stays() {
    let (mut store, ada) = site();
    assert_eq!(set_role(&mut store, ada.id, Role::Operator).unwrap(), Err(OperatorError::LastManager));
    assert_eq!(remove_operator(&mut store, ada.id).unwrap(), Err(OperatorError::LastManager));
    create_operator(&mut store, "Bob", Role::Manager, None, now()).unwrap().unwrap();
    assert_eq!(set_role(&mut store, ada.id, Role::Operator).unwrap(), Ok(()));
}

#[test]
fn a_token_follows_its_maker() {
    let (mut store, ada) = site();
    let bob = create_operator(&mut store, "Bob", Role::Operator, None, now()).unwrap().unwrap();
    let refused = create_token(&mut store, "t", Role::Manager, Some(&bob), None, now()).unwrap();
    assert_eq!(refused.err(), Some(OperatorError::ExceedsMaker(Role::Operator)));
    let sideways = create_token(&mut store, "t", Role::Auditor, Some(&bob), None, now()).unwrap();
    assert!(sideways.is_err(), "an auditor reads what an operator may not");

    let end = now() + SignedDuration::from_hours(1);
    let (word, token) = create_token(&mut store, "t", Role::Operator, Some(&bob), Some(end), now()).unwrap().unwrap();
    assert!(word.reveal().starts_with("bw_"));
    let actor = |store: &Memory, at| use_token(store, word.reveal(), at).unwrap().map(|(_, actor)| actor);
    assert_eq!(actor(&store, now()).unwrap().id, token.id);
    assert!(actor(&store, end).is_none());
    set_role(&mut store, bob.id, Role::Auditor).unwrap().unwrap();
    assert_eq!(actor(&store, now()).unwrap().maker_role, Some(Role::Auditor));
    remove_operator(&mut store, bob.id).unwrap().unwrap();
    assert!(actor(&store, now()).is_none());

    let (word, token) = create_token(&mut store, "cli", Role::Manager, None, None, now()).unwrap().unwrap();
    assert!(use_token(&store, word.reveal(), now()).unwrap().is_some());
    assert!(use_token(&store, &word.reveal()[3..], now()).unwrap().is_none());
    assert!(revoke_token(&mut store, token.id).unwrap() && !revoke_token(&mut store, token.id).unwrap());
    assert!(use_token(&store, word.reveal(), now()).unwrap().is_none());
    assert_eq!(store.operators().unwrap(), [ada]);
}
