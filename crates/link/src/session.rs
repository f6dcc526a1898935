//! A control channel: numbered frames of one epoch over a WebSocket.

use crate::Socket;
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use protocol::{Frame, FrameError, Header, Kind};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_tungstenite::tungstenite::{self, Message};

/// Longest time one frame may take to leave; a receiver slower than that is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the other side closed the connection")]
    Closed,
    #[error("the connection was lost")]
    Transport(#[source] Box<tungstenite::Error>),
    #[error("the other side does not read what it is sent")]
    Stalled,
    #[error("the other side sent something that is not a frame of this protocol")]
    Frame(#[from] FrameError),
    #[error("frame {got} came where {expected} was due")]
    Order { expected: u32, got: u32 },
    #[error("a frame of epoch {got} came in epoch {expected}")]
    Epoch { expected: u64, got: u64 },
    #[error("the other side acknowledged what was never sent")]
    Acknowledged,
    #[error("a frame came that has no place here")]
    Unexpected,
}

impl From<tungstenite::Error> for LinkError {
    fn from(error: tungstenite::Error) -> LinkError {
        match error {
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => LinkError::Closed,
            other => LinkError::Transport(Box::new(other)),
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU32,
    received: AtomicU32,
}

/// The half that sends.
pub struct Sender {
    sink: SplitSink<Socket, Message>,
    counters: Arc<Counters>,
    epoch: u64,
}

/// The half that receives.
pub struct Receiver {
    stream: SplitStream<Socket>,
    counters: Arc<Counters>,
    /// None until the first frame of a server's session tells it.
    epoch: Option<u64>,
    limit: usize,
}

/// Splits a socket into the two halves of a session. An agent knows its epoch, a server learns it from the `Hello`.
pub fn session(socket: Socket, epoch: Option<u64>) -> (Sender, Receiver) {
    let counters = Arc::new(Counters::default());
    let (sink, stream) = socket.split();
    let sender = Sender { sink, counters: Arc::clone(&counters), epoch: epoch.unwrap_or(0) };
    (sender, Receiver { stream, counters, epoch, limit: protocol::MAX_HELLO_BYTES })
}

impl Sender {
    pub async fn send<T: Serialize>(&mut self, kind: Kind, message: &T) -> Result<(), LinkError> {
        let header = Header {
            kind,
            epoch: self.epoch,
            seq: self.counters.sent.load(Ordering::Relaxed).wrapping_add(1),
            ack: self.counters.received.load(Ordering::Acquire),
        };
        let bytes = Frame::encode(header, message, protocol::MAX_FRAME_BYTES)?;
        self.counters.sent.store(header.seq, Ordering::Release);
        match tokio::time::timeout(SEND_TIMEOUT, self.sink.send(Message::Binary(bytes))).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(LinkError::Stalled),
        }
    }

    /// Takes over the epoch that the other side's `Hello` named.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Says goodbye to the carrier; the other side sees a closed connection at once.
    pub async fn close(mut self) {
        // The connection is over either way.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.sink.close()).await;
    }
}

impl Receiver {
    /// The next frame. May be dropped while it waits without losing one.
    pub async fn next(&mut self) -> Result<Frame, LinkError> {
        let bytes = binary(&mut self.stream).await?;
        let frame = Frame::decode(bytes, self.limit)?;
        let header = frame.header;
        let expected = self.counters.received.load(Ordering::Relaxed).wrapping_add(1);
        if header.seq != expected {
            return Err(LinkError::Order { expected, got: header.seq });
        }
        match self.epoch {
            None => self.epoch = Some(header.epoch),
            Some(epoch) if epoch == header.epoch => {}
            Some(expected) => return Err(LinkError::Epoch { expected, got: header.epoch }),
        }
        let unseen = self.counters.sent.load(Ordering::Acquire).wrapping_sub(header.ack);
        if unseen > u32::MAX / 2 {
            return Err(LinkError::Acknowledged);
        }
        self.counters.received.store(header.seq, Ordering::Release);
        Ok(frame)
    }

    /// The handshake is done: frames of full size may come.
    pub fn established(&mut self) {
        self.limit = protocol::MAX_FRAME_BYTES;
    }
}

/// The next binary message; control messages of the carrier are answered by it and skipped.
pub(crate) async fn binary(stream: &mut SplitStream<Socket>) -> Result<Bytes, LinkError> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Err(LinkError::Closed),
            Some(Ok(Message::Text(_) | Message::Frame(_))) => return Err(LinkError::Unexpected),
            Some(Err(error)) => return Err(error.into()),
        }
    }
}
