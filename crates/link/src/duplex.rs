//! A byte stream both ways over a socket of its own, with credits: a sender never has more under way than the receiver
//! granted, so a slow consumer slows its producer down and nothing piles up between them.

use crate::Socket;
use crate::session::{LinkError, binary};
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use protocol::{MAX_STREAM_CHUNK, STREAM_WINDOW, StreamFrame};
use schema::{Code, Problem};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

/// What a frame costs beside its data, so that many small ones are bounded too.
const FRAME_COST: u32 = schema::FRAME_COST as u32;
/// Consumed bytes that are worth a message.
const GRANT_AT: u32 = STREAM_WINDOW / 4;
/// How long the other side may take to answer the end of a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Both halves of a stream.
pub struct Duplex {
    pub sender: StreamSender,
    pub receiver: StreamReceiver,
}

/// Dropped without [`StreamSender::end`], it tells the other side that the stream was cut off.
pub struct StreamSender {
    outgoing: mpsc::Sender<StreamFrame>,
    credit: Arc<Semaphore>,
    ended: bool,
}

pub struct StreamReceiver {
    incoming: mpsc::UnboundedReceiver<Incoming>,
    consumed: Arc<Consumed>,
    over: bool,
}

/// What comes out of a stream.
#[derive(Debug)]
pub enum Incoming {
    Data(Bytes),
    /// The other side has nothing more to say.
    End,
    Failed(Problem),
}

/// Bytes that the receiver holds, and those it took and has not granted again.
#[derive(Default)]
struct Consumed {
    held: AtomicU32,
    taken: AtomicU32,
    due: Notify,
}

impl Consumed {
    /// Notes data that came; false where it is more than was granted.
    fn hold(&self, data: usize) -> bool {
        self.held.fetch_add(cost(data), Ordering::AcqRel) + cost(data) <= STREAM_WINDOW
    }

    fn add(&self, data: usize) {
        if self.taken.fetch_add(cost(data), Ordering::AcqRel) + cost(data) >= GRANT_AT {
            self.due.notify_one();
        }
    }

    /// What is to be granted now.
    fn take(&self) -> u32 {
        let taken = self.taken.swap(0, Ordering::AcqRel);
        self.held.fetch_sub(taken, Ordering::AcqRel);
        taken
    }
}

fn cost(data: usize) -> u32 {
    u32::try_from(data).unwrap_or(u32::MAX / 2) + FRAME_COST
}

fn cut_off() -> Problem {
    Problem::new(Code::Unavailable, "The connection of the stream was lost.")
}

impl Duplex {
    /// A stream over `socket`, and the future that moves its bytes and ends when both halves are done or dropped.
    pub fn over(socket: Socket) -> (Duplex, impl Future<Output = ()> + Send + 'static) {
        let (ends, near) = wiring();
        let driver = async move {
            let (mut sink, mut stream) = socket.split();
            let Wiring { outgoing, credit, incoming, consumed } = near;
            let (open_directions, over) = (AtomicU32::new(2), CancellationToken::new());
            let shared = Shared { credit, consumed, open_directions, over };
            let write = async {
                if write(&mut sink, outgoing, &shared).await.is_err() {
                    shared.over.cancel();
                }
            };
            tokio::join!(read(&mut stream, incoming, &shared), write);
            close(sink, stream).await;
        };
        (ends, driver)
    }

    /// Two ends that are joined in memory, and the future that joins them.
    pub fn pair() -> (Duplex, Duplex, impl Future<Output = ()> + Send + 'static) {
        let (left, left_wiring) = wiring();
        let (right, right_wiring) = wiring();
        let driver = async move {
            let Wiring { outgoing: left_out, credit: left_credit, incoming: left_in, consumed: left_consumed } =
                left_wiring;
            let Wiring { outgoing: right_out, credit: right_credit, incoming: right_in, consumed: right_consumed } =
                right_wiring;
            tokio::join!(
                carry(left_out, right_in, right_consumed, left_credit),
                carry(right_out, left_in, left_consumed, right_credit)
            );
        };
        (left, right, driver)
    }
}

struct Wiring {
    outgoing: mpsc::Receiver<StreamFrame>,
    credit: Arc<Semaphore>,
    incoming: mpsc::UnboundedSender<Incoming>,
    consumed: Arc<Consumed>,
}

fn wiring() -> (Duplex, Wiring) {
    let (outgoing_sender, outgoing) = mpsc::channel(8);
    let (incoming, incoming_receiver) = mpsc::unbounded_channel();
    let credit = Arc::new(Semaphore::new(STREAM_WINDOW as usize));
    let consumed = Arc::new(Consumed::default());
    let sender = StreamSender { outgoing: outgoing_sender, credit: Arc::clone(&credit), ended: false };
    let receiver = StreamReceiver { incoming: incoming_receiver, consumed: Arc::clone(&consumed), over: false };
    (Duplex { sender, receiver }, Wiring { outgoing, credit, incoming, consumed })
}

async fn carry(
    mut outgoing: mpsc::Receiver<StreamFrame>,
    incoming: mpsc::UnboundedSender<Incoming>,
    consumed: Arc<Consumed>,
    credit: Arc<Semaphore>,
) {
    loop {
        tokio::select! {
            frame = outgoing.recv() => {
                let (message, last) = match frame {
                    Some(StreamFrame::Data(data)) => {
                        consumed.hold(data.len());
                        (Incoming::Data(data), false)
                    }
                    Some(StreamFrame::End) => (Incoming::End, true),
                    Some(StreamFrame::Error(problem)) => (Incoming::Failed(problem), true),
                    Some(StreamFrame::Credit(_)) => continue,
                    None => (Incoming::Failed(cut_off()), true),
                };
                if incoming.send(message).is_err() || last {
                    break;
                }
            }
            () = consumed.due.notified() => credit.add_permits(consumed.take() as usize),
        }
    }
    credit.close();
}

impl StreamSender {
    /// Waits for credit and sends; cuts large data into pieces.
    ///
    /// # Errors
    /// The stream is over: the other side failed it or the connection is lost.
    pub async fn send(&mut self, mut data: Bytes) -> Result<(), Problem> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(MAX_STREAM_CHUNK));
            let permits = self.credit.acquire_many(cost(piece.len())).await.map_err(|_| cut_off())?;
            permits.forget();
            self.outgoing.send(StreamFrame::Data(piece)).await.map_err(|_| cut_off())?;
        }
        Ok(())
    }

    /// Bytes that may be sent now without waiting.
    pub fn credit(&self) -> usize {
        self.credit.available_permits().saturating_sub(FRAME_COST as usize)
    }

    /// Nothing more comes from here.
    pub async fn end(mut self) {
        self.ended = true;
        // A stream that is over already needs no end.
        let _ = self.outgoing.send(StreamFrame::End).await;
    }

    /// The stream failed, both ways.
    pub async fn fail(mut self, problem: Problem) {
        self.ended = true;
        // As above.
        let _ = self.outgoing.send(StreamFrame::Error(problem)).await;
    }
}

impl Drop for StreamSender {
    fn drop(&mut self) {
        if !self.ended {
            // A full queue is closed by the drop itself, which the driver tells the other side too.
            let _ = self.outgoing.try_send(StreamFrame::Error(cut_off()));
        }
    }
}

impl StreamReceiver {
    /// The next thing that came; taking data grants the sender as much again. After `End` or `Failed`: `End`.
    pub async fn next(&mut self) -> Incoming {
        if self.over {
            return Incoming::End;
        }
        let incoming = self.incoming.recv().await.unwrap_or_else(|| Incoming::Failed(cut_off()));
        match &incoming {
            Incoming::Data(data) => self.consumed.add(data.len()),
            Incoming::End | Incoming::Failed(_) => self.over = true,
        }
        incoming
    }
}

/// What the two directions of one socket know of each other.
struct Shared {
    credit: Arc<Semaphore>,
    consumed: Arc<Consumed>,
    open_directions: AtomicU32,
    over: CancellationToken,
}

impl Shared {
    fn direction_ended(&self) {
        if self.open_directions.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.over.cancel();
        }
    }
}

/// Moves what comes to the receiver until both directions have ended or the stream failed.
async fn read(stream: &mut SplitStream<Socket>, incoming: mpsc::UnboundedSender<Incoming>, shared: &Shared) {
    let mut ended = false;
    let problem = loop {
        let frame = tokio::select! {
            frame = binary(stream) => frame.and_then(|bytes| Ok(StreamFrame::decode(bytes)?)),
            () = shared.over.cancelled() => break None,
        };
        match frame {
            Ok(StreamFrame::Data(data)) if !ended => {
                if !shared.consumed.hold(data.len()) {
                    break Some(Problem::bad_request("The other side sent more than it was granted."));
                }
                let length = data.len();
                if incoming.send(Incoming::Data(data)).is_err() {
                    // Nobody wants it; it still counts as consumed, so that the end of the stream can come.
                    shared.consumed.add(length);
                }
            }
            Ok(StreamFrame::Credit(bytes)) => {
                if shared.credit.available_permits() + bytes as usize > STREAM_WINDOW as usize {
                    break Some(Problem::bad_request("The other side granted more than the window."));
                }
                shared.credit.add_permits(bytes as usize);
            }
            Ok(StreamFrame::End) if !ended => {
                ended = true;
                // Nobody listens any more where this fails.
                let _ = incoming.send(Incoming::End);
                shared.direction_ended();
            }
            Ok(StreamFrame::Error(problem)) => break Some(problem),
            Ok(StreamFrame::Data(_) | StreamFrame::End) => {
                break Some(Problem::bad_request("The other side went on after its end."));
            }
            Err(LinkError::Closed | LinkError::Transport(_)) => break Some(cut_off()),
            Err(error) => break Some(Problem::bad_request(error.to_string())),
        }
    };
    shared.credit.close();
    shared.over.cancel();
    if let (Some(problem), false) = (problem, ended) {
        // Nobody listens any more where this fails.
        let _ = incoming.send(Incoming::Failed(problem));
    }
}

/// Moves what the sender has, and grants, until both directions have ended or the stream failed.
async fn write(
    sink: &mut SplitSink<Socket, Message>,
    mut outgoing: mpsc::Receiver<StreamFrame>,
    shared: &Shared,
) -> Result<(), tungstenite::Error> {
    let mut ended = false;
    loop {
        let frame = tokio::select! {
            biased;
            () = shared.over.cancelled() => return Ok(()),
            () = shared.consumed.due.notified() => StreamFrame::Credit(shared.consumed.take()),
            frame = outgoing.recv(), if !ended => frame.unwrap_or_else(|| StreamFrame::Error(cut_off())),
        };
        sink.send(Message::Binary(frame.encode())).await?;
        match frame {
            StreamFrame::End => {
                ended = true;
                shared.direction_ended();
            }
            StreamFrame::Error(_) => {
                shared.over.cancel();
                return Ok(());
            }
            StreamFrame::Data(_) | StreamFrame::Credit(_) => {}
        }
    }
}

/// Closes in an order that loses nothing: a socket dropped with unread bytes would reset the connection.
async fn close(mut sink: SplitSink<Socket, Message>, mut stream: SplitStream<Socket>) {
    let goodbye = async {
        if sink.close().await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    };
    // A peer that does not answer is left alone.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
}
