//! Dial-back streams with their tickets, and channels with end-to-end back-pressure.

use crate::kit::{Kit, SOON};
use administrator::agents::Duplex;
use bytes::Bytes;
use protocol::ToAgent;
use uuid::Uuid;

#[tokio::test]
async fn a_stream_is_dialled_back_with_a_ticket_that_is_good_once_for_one_machine() {
    let kit = Kit::start().await;
    let (mut machine, other) = (kit.machine().await, kit.machine().await);
    let mut session = kit.connect(&mut machine).await;
    let (agents, id, job) = (kit.agents.clone(), machine.id, Uuid::now_v7());
    let opened = tokio::spawn(async move { agents.open_stream(id, job, "out").await });
    let Some(ToAgent::OpenStream { ticket, job: asked, stream }) = session.next().await else { panic!() };
    assert_eq!((asked, stream.as_str()), (job, "out"));
    let path = format!("/stream/{ticket}");
    assert!(kit.dialer(&other).websocket(&path).await.is_err(), "another machine has no use for it");

    let socket = kit.dialer(&machine).websocket(&path).await.unwrap();
    let (near, far) = Duplex::pair();
    let carried = tokio::spawn(link::carry(socket, far));
    let (mut to_server, mut from_server) = near.split();
    let (mut to_agent, mut from_agent) = opened.await.unwrap().unwrap().split();
    assert!(kit.dialer(&machine).websocket(&path).await.is_err(), "a ticket is good once");

    to_server.send(Bytes::from_static(b"from the machine")).await.unwrap();
    assert_eq!(from_agent.recv().await.unwrap().unwrap(), "from the machine");
    to_agent.send(Bytes::from_static(b"from the operator")).await.unwrap();
    assert_eq!(from_server.recv().await.unwrap().unwrap(), "from the operator");
    to_server.finish();
    assert!(from_agent.recv().await.is_none(), "one direction ended");
    to_agent.send(Bytes::from_static(b"more")).await.unwrap();
    assert_eq!(from_server.recv().await.unwrap().unwrap(), "more");
    to_agent.finish();
    assert!(from_server.recv().await.is_none());
    tokio::time::timeout(SOON, carried).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_slow_reader_slows_the_writer_at_the_other_end() {
    let mut kit = Kit::start().await;
    let machine = kit.machine().await;
    let socket = kit.dialer(&machine).websocket("/channel/sample?key=6b6579").await.unwrap();
    let (near, far) = Duplex::pair();
    tokio::spawn(link::carry(socket, far));
    let (id, plugin, key, server) = tokio::time::timeout(SOON, kit.channels.recv()).await.unwrap().unwrap();
    assert_eq!((id, plugin.as_str(), key.as_str()), (machine.id, "sample", "key"));

    let (mut sender, _receiver) = near.split();
    let chunk = Bytes::from(vec![7u8; 64 * 1024]);
    let mut sent = 0usize;
    // Nobody reads: what can be sent is bounded by the windows on the way.
    while tokio::time::timeout(std::time::Duration::from_millis(500), sender.send(chunk.clone())).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 16 * 1024 * 1024, "nothing slows the writer");
    }
    let (_keep, mut reader) = server.split();
    let rest = tokio::spawn(async move {
        sender.send(Bytes::from(vec![8u8; 4 * 1024 * 1024])).await.unwrap();
        sender.finish();
    });
    let mut eights = 0;
    while let Some(frame) = reader.recv().await {
        eights += frame.unwrap().iter().filter(|byte| **byte == 8).count();
    }
    assert_eq!(eights, 4 * 1024 * 1024);
    rest.await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_is_told_to_both_ends() {
    let mut kit = Kit::start().await;
    let machine = kit.machine().await;
    let socket = kit.dialer(&machine).websocket("/channel/sample?key=").await.unwrap();
    let (_, _, _, server) = tokio::time::timeout(SOON, kit.channels.recv()).await.unwrap().unwrap();
    drop(socket);
    let (_keep, mut reader) = server.split();
    assert!(reader.recv().await.unwrap().is_err());
}
