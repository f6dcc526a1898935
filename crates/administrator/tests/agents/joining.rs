//! A machine that is enrolled and gets a join token: the way to another site, the way back after it was taken out, and
//! the token that says nothing new.

use crate::kit::Kit;
use crate::whole::{hello_of, start};
use jiff::SignedDuration;
use std::fs;
use std::path::Path;

fn token(kit: &Kit) -> Option<String> {
    Some(kit.token(SignedDuration::from_hours(1)).to_word().unwrap())
}

fn old_site(state: &Path) -> Option<String> {
    let text = fs::read_to_string(state.join("enrolment.old.json")).ok()?;
    let old: serde_json::Value = serde_json::from_str(&text).unwrap();
    Some(old["site"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_of_another_site_moves_the_machine_there() {
    let (mut first, mut second) = (Kit::start().await, Kit::start().await);
    let state = tempfile::tempdir().unwrap();
    let agent = start(state.path(), token(&first));
    hello_of(&mut first).await;
    agent.stop().await;
    let key = fs::read(state.path().join("device.key")).unwrap();
    let agent = start(state.path(), token(&second));
    hello_of(&mut second).await;
    agent.stop().await;
    assert_eq!(fs::read(state.path().join("device.key")).unwrap(), key);
    assert_eq!(old_site(state.path()), Some(first.ca.site().to_string()));
    assert!(state.path().join("journal.old.redb").exists(), "the one site's jobs are not told to the other");
}

#[tokio::test]
async fn a_machine_that_was_taken_out_comes_back_with_a_new_token() {
    let mut kit = Kit::start().await;
    let state = tempfile::tempdir().unwrap();
    let agent = start(state.path(), token(&kit));
    let machine = hello_of(&mut kit).await;
    kit.stored_as_revoked(machine);
    kit.agents.revoke(machine, "An operator revoked it.");
    agent.stop().await;
    let back = kit.token_for(Some(machine), SignedDuration::from_hours(1)).to_word().unwrap();
    let agent = start(state.path(), Some(back));
    assert_eq!(hello_of(&mut kit).await, machine);
    agent.stop().await;
    assert!(old_site(state.path()).is_some() && !state.path().join("journal.old.redb").exists());
}

#[tokio::test]
async fn a_token_that_says_nothing_new_changes_nothing() {
    let mut kit = Kit::start().await;
    let state = tempfile::tempdir().unwrap();
    let first = token(&kit);
    let agent = start(state.path(), first.clone());
    let machine = hello_of(&mut kit).await;
    agent.stop().await;
    let unreachable = {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut token = Kit::start().await.token(SignedDuration::from_hours(1));
        token.addresses = vec![nobody.to_string().parse().unwrap()];
        Some(token.to_word().unwrap())
    };
    for again in [first, token(&kit), Some(" ".to_owned()), Some("nonsense!".to_owned()), unreachable] {
        let agent = start(state.path(), again);
        assert_eq!(hello_of(&mut kit).await, machine);
        agent.stop().await;
        let enrolment = fs::read_to_string(state.path().join("enrolment.json")).unwrap();
        assert!(enrolment.contains(&kit.ca.site().to_string()));
    }
}
