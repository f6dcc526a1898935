//! Malformed, oversized, nested and slow input, older TLS and none.

use crate::kit::{Event, Kit, SOON, greet, hello, rows};
use bytes::Bytes;
use fleet::MachineId;
use futures::{SinkExt, StreamExt};
use identity::{DeviceKey, JoinSecret, JoinToken};
use jiff::SignedDuration;
use link::Socket;
use protocol::{Frame, FromAgent, Header, Kind, Outcome, ToAgent};
use rustls::pki_types::ServerName;
use schema::{Problem, Query};
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

async fn ends(socket: &mut Socket) -> bool {
    tokio::time::timeout(SOON * 2, async { while let Some(Ok(_)) = socket.next().await {} }).await.is_ok()
}

fn header(kind: Kind, seq: u32) -> Header {
    Header { kind, epoch: 1, seq, ack: 0 }
}

#[tokio::test]
async fn a_first_frame_that_is_not_hello_ends_the_connection() {
    let kit = Kit::start().await;
    let machine = kit.machine().await;
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut unknown_field = serde_json::to_value(hello(1)).unwrap();
    unknown_field["machine"] = "another".into();
    let frames: Vec<Bytes> = vec![
        Bytes::from_static(b""),
        Bytes::from_static(b"GET / HTTP/1.1"),
        Bytes::from(vec![0xff; 5000]),
        Frame::encode(header(Kind::Message, 1), &rows(1), 100_000).unwrap(),
        Frame::encode(header(Kind::Hello, 2), &hello(1), 100_000).unwrap(),
        Frame::encode(Header { epoch: 9, ..header(Kind::Hello, 1) }, &hello(1), 100_000).unwrap(),
        Frame::encode(header(Kind::Hello, 1), &unknown_field, 100_000).unwrap(),
        Frame::encode(header(Kind::Hello, 1), &nested, 1_000_000).unwrap(),
        Frame::encode(header(Kind::Hello, 1), &"x".repeat(1_000_000), 2_000_000).unwrap(),
    ];
    for (number, frame) in frames.into_iter().enumerate() {
        let mut socket = kit.dialer(&machine).websocket("/link").await.unwrap();
        socket.send(Message::Binary(frame)).await.unwrap();
        assert!(ends(&mut socket).await, "frame {number} kept the connection open");
        assert!(!kit.agents.connected(machine.id), "frame {number} was believed");
    }
}

#[tokio::test]
async fn a_message_too_large_for_memory_is_never_read() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    machine.epoch += 1;
    let mut socket = kit.dialer(&machine).websocket("/link").await.unwrap();
    let frame = Frame::encode(header(Kind::Hello, 1), &hello(1), 100_000).unwrap();
    socket.send(Message::Binary(frame)).await.unwrap();
    socket.next().await.unwrap().unwrap();
    // The sender may learn of it while it still writes.
    let _ = socket.send(Message::Binary(vec![0u8; protocol::MAX_FRAME_BYTES + 1].into())).await;
    assert!(ends(&mut socket).await);
}

#[tokio::test]
async fn a_replayed_or_skipped_frame_ends_the_session() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    for seq in [1u32, 3] {
        machine.epoch += 1;
        let epoch = machine.epoch;
        let mut socket = kit.dialer(&machine).websocket("/link").await.unwrap();
        let first = Header { epoch, ..header(Kind::Hello, 1) };
        socket.send(Message::Binary(Frame::encode(first, &hello(epoch), 100_000).unwrap())).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let second = Header { epoch, ..header(Kind::Message, seq) };
        let beat = FromAgent::Heartbeat { policy_hash: String::new() };
        socket.send(Message::Binary(Frame::encode(second, &beat, 100_000).unwrap())).await.unwrap();
        assert!(ends(&mut socket).await, "frame {seq} was taken");
    }
}

#[tokio::test]
async fn an_agent_cannot_name_another_machine() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let mut session = kit.connect(&mut machine).await;
    let mut message = serde_json::to_value(rows(1)).unwrap();
    message["rows"]["machine"] = uuid::Uuid::now_v7().to_string().into();
    session.sender.send(Kind::Message, &message).await.unwrap();
    assert!(session.next().await.is_none());
}

/// Waits until something this machine did was noted.
async fn noted(kit: &mut Kit, machine: MachineId) -> Problem {
    loop {
        if let Event::Suspicion(id, problem) = kit.event().await {
            assert_eq!(id, machine);
            return problem;
        }
    }
}

#[tokio::test]
async fn an_agent_answers_for_no_other_machine() {
    let mut kit = Kit::start().await;
    let (mut honest, mut hostile) = (kit.machine().await, kit.machine().await);
    let (mut session, mut other) = (kit.connect(&mut honest).await, kit.connect(&mut hostile).await);
    let (agents, id) = (kit.agents.clone(), honest.id);
    let asked = tokio::spawn(async move { agents.peer_call(id, "sample", json!({})).await });
    let Some(ToAgent::PeerCall { call, .. }) = session.next().await else { panic!() };
    other.say(&FromAgent::PeerReply { call, outcome: Outcome::Done(json!("forged")) }).await;
    assert!(noted(&mut kit, hostile.id).await.message.contains("never made"));
    session.say(&FromAgent::PeerReply { call, outcome: Outcome::Done(json!("true")) }).await;
    assert_eq!(asked.await.unwrap().unwrap(), json!("true"));

    let agents = kit.agents.clone();
    let asked = tokio::spawn(async move { agents.query(id, "sample", "thing", Query::default()).await });
    let Some(ToAgent::Query { call, .. }) = session.next().await else { panic!() };
    let page = |row: &str| Outcome::Done(json!({"rows": [{"id": row}]}));
    other.say(&FromAgent::QueryReply { call, outcome: page("forged") }).await;
    noted(&mut kit, hostile.id).await;
    session.say(&FromAgent::QueryReply { call, outcome: page("true") }).await;
    assert_eq!(asked.await.unwrap().unwrap().rows[0]["id"], "true");
}

#[tokio::test]
async fn a_ticket_is_no_use_to_another_machine_and_that_is_noted() {
    let mut kit = Kit::start().await;
    let (mut honest, hostile) = (kit.machine().await, kit.machine().await);
    let mut session = kit.connect(&mut honest).await;
    let (agents, id) = (kit.agents.clone(), honest.id);
    let _opened = tokio::spawn(async move { agents.open_stream(id, uuid::Uuid::now_v7(), "out").await });
    let Some(ToAgent::OpenStream { ticket, .. }) = session.next().await else { panic!() };
    assert!(kit.dialer(&hostile).websocket(&format!("/stream/{ticket}")).await.is_err());
    assert!(noted(&mut kit, hostile.id).await.message.contains("ticket"));
    kit.dialer(&honest).websocket(&format!("/stream/{ticket}")).await.unwrap();
}

#[tokio::test]
async fn a_channel_is_that_of_the_machine_that_opens_it_whatever_it_says() {
    let mut kit = Kit::start().await;
    let (honest, hostile) = (kit.machine().await, kit.machine().await);
    let key = hex::encode(honest.id.to_string());
    let _socket = kit.dialer(&hostile).websocket(&format!("/channel/sample?key={key}")).await.unwrap();
    let (from, _, asked, _) = tokio::time::timeout(SOON, kit.channels.recv()).await.unwrap().unwrap();
    assert_eq!((from, asked), (hostile.id, honest.id.to_string()));
}

#[tokio::test]
async fn refused_enrolments_are_told_with_their_address() {
    let mut kit = Kit::start().await;
    let used = kit.token(SignedDuration::from_hours(1));
    kit.arrive_with(&used).await;
    for token in [used, kit.token(SignedDuration::from_secs(-1)), unknown(&kit)] {
        kit.enrol_with(&token, &DeviceKey::generate().unwrap()).await.unwrap_err();
        let Event::RefusedJoin(from, problem) = kit.event().await else { panic!("it was not noted") };
        assert!(from.is_loopback());
        assert!(problem.message.contains("join token"), "{problem}");
    }
}

fn unknown(kit: &Kit) -> JoinToken {
    JoinToken { secret: JoinSecret::generate(), ..kit.token(SignedDuration::from_hours(1)) }
}

#[tokio::test]
async fn an_agent_of_another_time_is_told_which_versions_are_spoken() {
    let kit = Kit::start().await;
    let machine = kit.machine().await;
    let socket = kit.dialer(&machine).websocket("/link").await.unwrap();
    let (mut sender, mut receiver) = link::session(socket, Some(1));
    let future = protocol::Hello { version: 9, oldest_version: 8, ..hello(1) };
    sender.send(Kind::Hello, &future).await.unwrap();
    let refused: protocol::Refused = receiver.next().await.unwrap().message().unwrap();
    assert!(refused.problem.message.contains("8 to 9"), "{}", refused.problem);
}

#[tokio::test]
async fn newer_features_are_not_used_with_an_older_side() {
    let kit = Kit::start().await;
    let machine = kit.machine().await;
    let socket = kit.dialer(&machine).websocket("/link").await.unwrap();
    let session = greet(socket, 1).await.unwrap();
    assert_eq!(session.welcome.features, ["streams"]);
}

#[tokio::test]
async fn plaintext_is_refused() {
    let kit = Kit::start().await;
    let mut tcp = TcpStream::connect(kit.address()).await.unwrap();
    tcp.write_all(b"GET /install HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(SOON, tcp.read_to_end(&mut answer)).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"));
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let kit = Kit::start().await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(kit.ca.certificate().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(kit.address()).await.unwrap();
    let name = ServerName::try_from("administrator.bailiwick.internal").unwrap();
    let error = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap_err();
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
}

#[tokio::test]
async fn slow_and_huge_requests_are_ended() {
    let kit = Kit::start().await;
    let mut slow = kit.stranger().connect().await.unwrap();
    slow.write_all(b"GET /install HTTP/1.1\r\nX-Slow: ").await.unwrap();
    let mut huge = kit.stranger().connect().await.unwrap();
    let _ = huge.write_all(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)).as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(SOON, huge.read_to_end(&mut answer)).await.expect("a huge head is refused at once");
    answer.clear();
    let _ = tokio::time::timeout(SOON * 2, slow.read_to_end(&mut answer)).await.expect("a slow head is given up");

    let body = vec![b' '; protocol::MAX_ENROLMENT_BYTES + 1];
    match kit.stranger().fetch(hyper::Method::POST, "/enrol", body.into(), 1000).await {
        Ok(reply) => assert_eq!(reply.status, 400),
        Err(link::DialError::Broken { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn paths_that_are_not_routes_do_not_exist() {
    let kit = Kit::start().await;
    for path in ["/", "/agent/", "/plugins/../ca.pem", "/install/../agent", "/enrol", "/%2e%2e/ca.pem"] {
        let reply = kit.stranger().fetch(hyper::Method::GET, path, Bytes::new(), 1000).await.unwrap();
        assert!(matches!(reply.status.as_u16(), 401 | 404), "{path}: {}", reply.status);
    }
}
