//! Malformed, oversized, nested and slow input, older TLS and none.

use crate::kit::{Kit, SOON, greet, hello, rows};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use link::Socket;
use protocol::{Frame, FromAgent, Header, Kind};
use rustls::pki_types::ServerName;
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
