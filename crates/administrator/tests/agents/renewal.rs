//! A certificate that is renewed while the session goes on.

use crate::kit::{Event, Kit, SOON};
use crate::upgrades::version;
use crate::whole::{assign, hello_of, start};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::DeviceKey;
use identity::ca::AGENT_LIFE;
use jiff::{SignedDuration, Timestamp};
use protocol::ToAgent;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn channels_open_after_the_certificate_a_session_began_with_has_ended() {
    let (mut kit, versions) = (Kit::with_heartbeat(Duration::from_secs(1)).await, tempfile::tempdir().unwrap());
    kit.plugins.send_replace(version(&versions, 1));
    let state = tempfile::tempdir().unwrap();
    let agent = start(state.path(), Some(kit.token(SignedDuration::from_hours(1)).to_word().unwrap()));
    let machine = hello_of(&mut kit).await;
    kit.agents.peer_call(machine, "echo", json!("is it there?")).await.ok();
    agent.stop().await;

    let key = DeviceKey::from_pem(&fs::read_to_string(state.path().join("device.key")).unwrap()).unwrap();
    let ends = Timestamp::now() + SignedDuration::from_secs(8);
    let short = kit.ca.issue_agent(machine.into(), &key.request().unwrap(), ends - AGENT_LIFE).unwrap();
    let file = state.path().join("enrolment.json");
    let mut enrolment: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    enrolment["certificate"] = STANDARD.encode(&short.der).into();
    fs::write(&file, enrolment.to_string()).unwrap();

    let agent = start(state.path(), None);
    assert_eq!(hello_of(&mut kit).await, machine);
    while Timestamp::now() <= ends {
        // The plugin may still be starting.
        let _ = kit.agents.peer_call(machine, "echo", json!("still there?")).await;
    }
    let ToAgent::Assign(mut run) = assign(Uuid::now_v7(), "echo.channel") else { unreachable!() };
    run.input = serde_json::from_value(json!({"bytes": 1})).unwrap();
    kit.agents.send(machine, ToAgent::Assign(run)).unwrap();
    let opened = tokio::time::timeout(SOON, kit.channels.recv()).await.expect("the channel opens").unwrap();
    assert_eq!((opened.0, opened.1.as_str()), (machine, "echo"));
    while let Ok(event) = kit.events.try_recv() {
        assert!(!matches!(event, Event::Hello(..)), "the session was interrupted");
    }
    agent.stop().await;
}
