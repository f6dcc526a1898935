//! Two-way streams of byte frames with credits: a sender waits until the other end has taken what it was sent.

use abi::{INITIAL_CREDIT, MAX_FRAME};
use bytes::Bytes;
use schema::{Code, FRAME_COST, Problem};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// One end of a two-way stream.
pub struct Duplex {
    pub sender: Sender,
    pub receiver: Receiver,
}

/// The sending half. Dropping it without [`Sender::finish`] tells the other end that it was cut off.
pub struct Sender {
    credit: Arc<Semaphore>,
    sink: Box<dyn Sink>,
    ended: bool,
}

/// The receiving half. Dropping it tells the sender, whose `send` then fails.
pub struct Receiver {
    frames: mpsc::UnboundedReceiver<Result<Bytes, Problem>>,
    credit: Box<dyn Credit>,
    failed: bool,
}

/// Where a sender's frames go.
pub(crate) trait Sink: Send + Sync {
    /// Hands over one frame for which there was credit; false where nobody takes it any more.
    fn frame(&self, frame: Bytes) -> bool;
    /// No more frames come.
    fn end(&self, problem: Option<Problem>);
}

/// Whom a receiver tells what it took.
pub(crate) trait Credit: Send + Sync {
    fn taken(&self, bytes: usize);
    /// It takes no more, or everything was taken. Told more than once.
    fn closed(&self);
}

/// The other end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other end of the stream is gone")]
pub struct Closed;

impl std::fmt::Debug for Duplex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Duplex")
    }
}

impl Duplex {
    /// Two ends that are joined in this process.
    pub fn pair() -> (Duplex, Duplex) {
        let (to_b, from_a) = pipe();
        let (to_a, from_b) = pipe();
        (Duplex { sender: to_b, receiver: from_b }, Duplex { sender: to_a, receiver: from_a })
    }

    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Carries frames both ways between two streams until both directions have ended.
    pub async fn join(self, other: Duplex) {
        self.carry_until(other, CancellationToken::new()).await;
    }

    /// As [`Duplex::join`], where this end goes away with `over` and takes no more from then on.
    pub(crate) async fn carry_until(self, other: Duplex, over: CancellationToken) {
        let ((mut to_a, mut from_a), (mut to_b, mut from_b)) = (self.split(), other.split());
        let back = async move {
            tokio::select! {
                () = carry(&mut from_b, &mut to_a) => {}
                () = over.cancelled() => {}
            }
        };
        tokio::join!(carry(&mut from_a, &mut to_b), back);
    }
}

async fn carry(from: &mut Receiver, to: &mut Sender) {
    loop {
        match from.recv().await {
            Some(Ok(frame)) => {
                if to.send(frame).await.is_err() {
                    from.close();
                    return;
                }
            }
            Some(Err(problem)) => return to.fail(problem),
            None => return to.finish(),
        }
    }
}

impl Sender {
    pub(crate) fn new(credit: Arc<Semaphore>, sink: Box<dyn Sink>) -> Sender {
        Sender { credit, sink, ended: false }
    }

    /// Sends bytes, as several frames where they are many; waits until the other end has room.
    ///
    /// # Errors
    /// The other end is gone, or the stream was ended before.
    pub async fn send(&mut self, mut bytes: Bytes) -> Result<(), Closed> {
        while !bytes.is_empty() {
            let frame = bytes.split_to(bytes.len().min(MAX_FRAME));
            let permits = self.credit.acquire_many(cost(frame.len()) as u32).await.map_err(|_| Closed)?;
            permits.forget();
            if self.ended || !self.sink.frame(frame) {
                return Err(Closed);
            }
        }
        Ok(())
    }

    /// Whether `bytes` could be sent without waiting.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.credit.available_permits() >= cost(bytes)
    }

    /// Ends this direction; the other stays.
    pub fn finish(&mut self) {
        self.end(None);
    }

    /// Ends this direction with what went wrong.
    pub fn fail(&mut self, problem: Problem) {
        self.end(Some(problem));
    }

    fn end(&mut self, problem: Option<Problem>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.sink.end(problem);
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.end(Some(Problem::new(Code::Unavailable, "the stream was cut off.")));
    }
}

impl Receiver {
    pub(crate) fn new(frames: mpsc::UnboundedReceiver<Result<Bytes, Problem>>, credit: Box<dyn Credit>) -> Receiver {
        Receiver { frames, credit, failed: false }
    }

    /// The next frame; `None` after the other end finished, a problem where it failed or was cut off.
    pub async fn recv(&mut self) -> Option<Result<Bytes, Problem>> {
        if self.failed {
            return None;
        }
        match self.frames.recv().await {
            Some(Ok(frame)) => {
                self.credit.taken(cost(frame.len()));
                Some(Ok(frame))
            }
            Some(Err(problem)) => {
                self.failed = true;
                self.credit.closed();
                Some(Err(problem))
            }
            None => {
                self.credit.closed();
                None
            }
        }
    }

    /// Takes no more.
    pub fn close(&mut self) {
        self.credit.closed();
        self.frames.close();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.credit.closed();
    }
}

/// What a frame is worth in credit.
fn cost(bytes: usize) -> usize {
    bytes + FRAME_COST
}

struct Pipe {
    frames: std::sync::Mutex<Option<mpsc::UnboundedSender<Result<Bytes, Problem>>>>,
}

impl Pipe {
    fn with<T>(&self, otherwise: T, f: impl FnOnce(&mpsc::UnboundedSender<Result<Bytes, Problem>>) -> T) -> T {
        let frames = self.frames.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        frames.as_ref().map_or(otherwise, f)
    }
}

impl Sink for Pipe {
    fn frame(&self, frame: Bytes) -> bool {
        self.with(false, |frames| frames.send(Ok(frame)).is_ok())
    }

    fn end(&self, problem: Option<Problem>) {
        if let Some(problem) = problem {
            self.with((), |frames| drop(frames.send(Err(problem))));
        }
        *self.frames.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }
}

struct PipeCredit(Arc<Semaphore>);

impl Credit for PipeCredit {
    fn taken(&self, bytes: usize) {
        self.0.add_permits(bytes);
    }

    fn closed(&self) {
        self.0.close();
    }
}

fn pipe() -> (Sender, Receiver) {
    let credit = Arc::new(Semaphore::new(INITIAL_CREDIT as usize));
    let (frames, received) = mpsc::unbounded_channel();
    let sink = Pipe { frames: std::sync::Mutex::new(Some(frames)) };
    (Sender::new(credit.clone(), Box::new(sink)), Receiver::new(received, Box::new(PipeCredit(credit))))
}
