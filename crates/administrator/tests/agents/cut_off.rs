//! Everything a machine has open ends with its right to it, and none takes places that others need.

use crate::kit::{Event, Kit, SOON, rows};
use administrator::agents::Duplex;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleet::Status;
use futures::StreamExt;
use identity::{AgentIdentity, DeviceKey};
use jiff::SignedDuration;
use link::Socket;
use protocol::{FromAgent, ToAgent};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Longest time that a revocation may take.
const LIMIT: Duration = Duration::from_secs(5);

async fn ends(socket: &mut Socket) {
    let rest = async { while let Some(Ok(_)) = socket.next().await {} };
    tokio::time::timeout(LIMIT, rest).await.expect("the connection ends");
}

/// A machine with a session, a stream and a channel; the administrator's ends of the latter two.
struct Busy {
    session: crate::kit::Session,
    sockets: [Socket; 2],
    here: [Duplex; 2],
    machine: crate::kit::Machine,
}

async fn busy(kit: &mut Kit) -> Busy {
    let mut machine = kit.machine().await;
    let mut session = kit.connect(&mut machine).await;
    let (agents, id) = (kit.agents.clone(), machine.id);
    let opened = tokio::spawn(async move { agents.open_stream(id, Uuid::now_v7(), "out").await });
    let Some(ToAgent::OpenStream { ticket, .. }) = session.next().await else { panic!() };
    let stream = kit.dialer(&machine).websocket(&format!("/stream/{ticket}")).await.unwrap();
    let channel = kit.dialer(&machine).websocket("/channel/sample?key=61").await.unwrap();
    let (_, _, _, there) = tokio::time::timeout(SOON, kit.channels.recv()).await.unwrap().unwrap();
    Busy { session, sockets: [stream, channel], here: [opened.await.unwrap().unwrap(), there], machine }
}

async fn all_ended(busy: Busy) {
    for mut socket in busy.sockets {
        ends(&mut socket).await;
    }
    for here in busy.here {
        let (_keep, mut reader) = here.split();
        let told = tokio::time::timeout(LIMIT, reader.recv()).await.expect("the end is told here too");
        assert!(matches!(told, Some(Err(_))), "it looks like a regular end: {told:?}");
    }
}

#[tokio::test]
async fn revocation_ends_streams_and_channels_too() {
    let mut kit = Kit::start().await;
    let mut busy = busy(&mut kit).await;
    kit.stored_as_revoked(busy.machine.id);
    kit.agents.revoke(busy.machine.id, "An operator revoked it.");
    assert!(matches!(busy.session.next().await, Some(ToAgent::Revoked { .. })));
    all_ended(busy).await;
}

#[tokio::test]
async fn revocation_does_not_wait_for_an_agent_that_does_not_read() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let _session = kit.connect(&mut machine).await;
    kit.status(machine.id, Status::Online).await;
    let big = ToAgent::Event { plugin: "sample".into(), event: json!("x".repeat(2_000_000)) };
    while kit.agents.send(machine.id, big.clone()).is_ok() {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    kit.stored_as_revoked(machine.id);
    kit.agents.revoke(machine.id, "An operator revoked it.");
    kit.status(machine.id, Status::Offline).await;
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn nothing_outlives_the_certificate() {
    let mut kit = Kit::with_heartbeat(Duration::from_secs(1)).await;
    let mut busy = busy(&mut kit).await;
    kit.later(identity::ca::AGENT_LIFE + SignedDuration::from_secs(60));
    let Some(ToAgent::Goodbye(goodbye)) = busy.session.next().await else { panic!("the session lives on") };
    assert!(goodbye.problem.message.contains("expired"), "{}", goodbye.problem);
    all_ended(busy).await;
}

#[tokio::test]
async fn a_certificate_renewed_in_time_keeps_everything_open() {
    let mut kit = Kit::with_heartbeat(Duration::from_secs(1)).await;
    let mut busy = busy(&mut kit).await;
    let mut other = kit.machine().await;
    let mut neighbour = kit.connect(&mut other).await;
    let two_thirds = SignedDuration::from_hours(16);
    kit.later(two_thirds);
    busy.session.say(&FromAgent::Renew { csr: STANDARD.encode(busy.machine.key.request().unwrap()) }).await;
    let Some(ToAgent::Renewed { certificate }) = busy.session.next().await else { panic!("not renewed") };
    let renewed = AgentIdentity::from_der(&STANDARD.decode(&certificate).unwrap(), kit.ca.site()).unwrap();
    let old = AgentIdentity::from_der(&busy.machine.certificate, kit.ca.site()).unwrap();
    assert_eq!((renewed.machine, renewed.key), (old.machine, old.key));
    let gained = renewed.not_after.duration_since(old.not_after);
    assert_eq!(gained.as_hours(), two_thirds.as_hours());
    kit.later(two_thirds);
    assert!(matches!(neighbour.next().await, Some(ToAgent::Goodbye(_))), "the port has looked at its clock");
    busy.session.say(&rows(1)).await;
    assert_eq!(busy.session.next().await, Some(ToAgent::AckRows { seq: 1, held: false }));
    let [stream, channel] = &mut busy.sockets;
    for socket in [stream, channel] {
        let told = tokio::time::timeout(Duration::ZERO, socket.next()).await;
        assert!(told.is_err(), "a connection ended: {told:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_for_the_machines_own_key_only() {
    let mut kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let other = STANDARD.encode(DeviceKey::generate().unwrap().request().unwrap());
    let mut session = kit.connect(&mut machine).await;
    session.say(&FromAgent::Renew { csr: other.clone() }).await;
    let Some(ToAgent::Goodbye(goodbye)) = session.next().await else { panic!("a foreign key got a certificate") };
    assert!(goodbye.problem.message.contains("same key"), "{}", goodbye.problem);
    while !matches!(kit.event().await, Event::Suspicion(id, _) if id == machine.id) {}

    kit.later(identity::ca::AGENT_LIFE + SignedDuration::from_secs(60));
    let mut session = kit.connect(&mut machine).await;
    assert!(session.welcome.renew_only);
    session.say(&FromAgent::Renew { csr: other }).await;
    assert!(matches!(session.next().await, Some(ToAgent::Goodbye(_))), "nor does it with an expired one");
}

#[tokio::test]
async fn one_machine_has_a_bounded_number_of_connections() {
    let mut kit = Kit::start().await;
    let (machine, mut other) = (kit.machine().await, kit.machine().await);
    let mut open = Vec::new();
    while let Ok(socket) = kit.dialer(&machine).websocket("/channel/sample?key=61").await {
        let (_, _, _, here) = tokio::time::timeout(SOON, kit.channels.recv()).await.unwrap().unwrap();
        open.push((socket, here));
        assert!(open.len() < 200, "there is no end to it");
    }
    assert!(open.len() >= 32, "{} are too few", open.len());
    kit.connect(&mut other).await;
    drop(open);
    let back = async { while kit.dialer(&machine).websocket("/channel/sample?key=61").await.is_err() {} };
    tokio::time::timeout(SOON, back).await.expect("a place that was given back is taken again");
}

#[tokio::test]
async fn strangers_that_dawdle_keep_no_agent_out() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let mut slow = Vec::new();
    for _ in 0..80 {
        slow.push(kit.stranger().connect().await.unwrap());
    }
    let refused = kit.stranger().fetch(hyper::Method::GET, "/install", Default::default(), 100_000).await;
    assert!(refused.is_err(), "one address has every place there is");
    let _session = kit.connect(&mut machine).await;
    let fetched = kit.dialer(&machine).fetch(hyper::Method::GET, "/install", Default::default(), 100_000).await;
    assert_eq!(fetched.unwrap().status, 200);
    drop(slow);
}
