//! Machines that were revoked, removed or held, and the one way back.

use crate::kit::{Event, Kit, Machine, greet};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleet::MachineId;
use jiff::{SignedDuration, Timestamp};
use link::DialError;
use protocol::ToAgent;
use schema::{Code, Problem};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What a machine is told that may not connect.
async fn turned_away(kit: &Kit, machine: &Machine) -> Problem {
    match kit.dialer(machine).websocket("/link").await {
        Err(DialError::Refused(problem)) => problem,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let in"),
    }
}

/// Two devices with one identity: the copy is noticed, and nobody is the machine any more.
async fn cloned(kit: &mut Kit) -> Machine {
    let mut machine = kit.machine().await;
    let mut session = kit.connect(&mut machine).await;
    assert!(matches!(kit.event().await, Event::Hello(..)));
    let socket = kit.dialer(&machine).websocket("/link").await.unwrap();
    let Err(problem) = greet(socket, machine.epoch).await else { panic!("the copy came in") };
    assert_eq!(problem.code, Code::Conflict);
    assert!(matches!(session.next().await, Some(ToAgent::Revoked { .. })), "the first is cut off too");
    assert!(matches!(kit.event().await, Event::Suspicion(id, _) if id == machine.id));
    machine
}

#[tokio::test]
async fn a_used_join_token_brings_nobody_back() {
    let kit = Kit::start().await;
    let token = kit.token(HOUR);
    let mut machine = kit.arrive_with(&token).await;
    kit.connect(&mut machine).await;
    kit.enrol_with(&token, &machine.key).await.expect("an answer that was lost is given again");

    kit.stored_as_revoked(machine.id);
    let refused = kit.enrol_with(&token, &machine.key).await.unwrap_err();
    assert!(refused.code == Code::PermissionDenied && refused.to_string().contains("rebind"), "{refused}");
    assert!(kit.stored(machine.id).revoked_at.is_some());
    assert!(turned_away(&kit, &machine).await.to_string().contains("rebind"));

    kit.removed(machine.id);
    assert_eq!(kit.enrol_with(&token, &machine.key).await.unwrap_err().code, Code::PermissionDenied);
    assert!(!kit.is_known(machine.id));
    assert!(turned_away(&kit, &machine).await.to_string().contains("new join token"));
}

#[tokio::test]
async fn a_token_that_was_made_for_nobody_undoes_no_revocation() {
    let mut kit = Kit::start().await;
    let revoked = kit.machine().await;
    kit.stored_as_revoked(revoked.id);
    let held = cloned(&mut kit).await;
    for machine in [&revoked, &held] {
        let refused = kit.enrol_with(&kit.token(HOUR), &machine.key).await.unwrap_err();
        assert!(refused.to_string().contains("rebind"), "{refused}");
        assert!(!kit.stored(machine.id).is_allowed());
    }
    let removed = kit.machine().await;
    kit.removed(removed.id);
    let again = kit.enrol_with(&kit.token(HOUR), &removed.key).await.expect("what was removed may come anew");
    assert!(kit.stored(MachineId::from_uuid(again.machine)).is_allowed());
}

#[tokio::test]
async fn a_clone_is_held_and_stays_so_after_a_restart() {
    let mut kit = Kit::start().await;
    let machine = cloned(&mut kit).await;
    for _ in 0..2 {
        assert!(turned_away(&kit, &machine).await.to_string().contains("rebind"));
        assert!(kit.stored(machine.id).held.is_some());
        kit.restart().await;
    }
}

#[tokio::test]
async fn a_device_with_the_machines_own_token_is_that_machine_again() {
    let mut kit = Kit::start().await;
    let old = cloned(&mut kit).await;
    let token = kit.token_for(Some(old.id), HOUR);
    assert!(!kit.stored(old.id).is_allowed(), "a token alone lets nobody in");
    let mut new = kit.arrive_with(&token).await;
    assert_eq!(new.id, old.id);
    assert!(kit.stored(old.id).is_allowed());
    let _session = kit.connect(&mut new).await;
    assert!(turned_away(&kit, &old).await.message.contains("Another device"), "the copy has no place any more");
    let late = kit.enrol_with(&token, &old.key).await.unwrap_err();
    assert!(late.message.contains("Another device"), "{late}");
    assert!(kit.agents.connected(new.id));
}

#[tokio::test]
async fn the_copy_of_a_device_that_came_back_with_its_old_key_stays_out() {
    let mut kit = Kit::start().await;
    let mut right = cloned(&mut kit).await;
    // What the copy holds was issued some time before the right device comes back.
    let before = Timestamp::now() - SignedDuration::from_secs(10);
    let issued = kit.ca.issue_agent(right.id.into(), &right.key.request().unwrap(), before).unwrap();
    let copied = issued.der.to_vec();
    right.certificate = copied.clone();
    let token = kit.token_for(Some(right.id), HOUR);
    let reply = kit.enrol_with(&token, &right.key).await.unwrap();
    assert!(turned_away(&kit, &right).await.message.contains("Another device"), "with what it held before");
    right.certificate = STANDARD.decode(&reply.certificate).unwrap();
    let _session = kit.connect(&mut right).await;
    let Err(DialError::Refused(problem)) = kit.dialer_with(copied, &right.key).websocket("/link").await else {
        panic!()
    };
    assert!(problem.message.contains("Another device"), "{problem}");
    assert!(kit.agents.connected(right.id) && kit.stored(right.id).is_allowed());
}

#[tokio::test]
async fn who_lost_its_place_is_cut_off_at_once() {
    let kit = Kit::start().await;
    let mut old = kit.machine().await;
    let mut session = kit.connect(&mut old).await;
    let new = kit.arrive_with(&kit.token_for(Some(old.id), HOUR)).await;
    assert_eq!(new.id, old.id);
    assert!(matches!(session.next().await, Some(ToAgent::Revoked { .. })));
    assert!(session.next().await.is_none());
}

#[tokio::test]
async fn a_device_that_takes_a_place_leaves_its_own() {
    let kit = Kit::start().await;
    let (gone, spare) = (kit.machine().await, kit.machine().await);
    let reply = kit.enrol_with(&kit.token_for(Some(gone.id), HOUR), &spare.key).await.unwrap();
    assert_eq!(reply.machine, *gone.id.as_uuid());
    assert!(turned_away(&kit, &spare).await.message.contains("Another device"));
}

#[tokio::test]
async fn a_token_for_a_machine_that_was_removed_makes_none() {
    let kit = Kit::start().await;
    let machine = kit.machine().await;
    let token = kit.token_for(Some(machine.id), HOUR);
    kit.removed(machine.id);
    assert!(kit.enrol_with(&token, &machine.key).await.unwrap_err().message.contains("removed"));
    assert!(!kit.is_known(machine.id));
}
