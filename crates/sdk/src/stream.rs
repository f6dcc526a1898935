//! Two-way streams of bytes: an operator's terminal, a file, a channel to the plugin's other role.

use crate::credit::{Credit, Taken};
use crate::operation::{Operation, answered};
use crate::{Fault, Result};
use abi::{Buffer, MAX_FRAME, emit};
use schema::{FRAME_COST, Problem};
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Bytes of one frame, as they came.
pub struct Frame(Buffer);

impl Frame {
    pub fn into_vec(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

fn cost(bytes: usize) -> usize {
    bytes + FRAME_COST
}

/// A two-way stream. What is sent waits until the other end has room; frames keep their order, not their borders.
pub struct Stream {
    pub sender: StreamSender,
    pub receiver: StreamReceiver,
    name: String,
}

/// The sending half. Dropped without [`StreamSender::finish`] it tells the other end that it was cut off.
pub struct StreamSender {
    op: Arc<Operation>,
    id: u32,
    state: Arc<StreamState>,
    ended: bool,
}

/// The receiving half. Dropping it tells the other end that nobody reads any more.
pub struct StreamReceiver {
    op: Arc<Operation>,
    id: u32,
    state: Arc<StreamState>,
    frames: mpsc::UnboundedReceiver<Result<Buffer, Fault>>,
    taken: Taken,
    rest: VecDeque<u8>,
    ended: bool,
}

pub(crate) struct StreamState {
    /// What may be sent.
    pub(crate) credit: Credit,
    /// What the host may still feed.
    input: AtomicI64,
    frames: Mutex<Option<mpsc::UnboundedSender<Result<Buffer, Fault>>>>,
    /// Directions that have ended.
    ended: AtomicU8,
}

/// One way of a stream, as the plugin sees it.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    In = 1,
    Out = 2,
}

impl StreamState {
    /// Notes the end of one direction; true where both have ended.
    pub(crate) fn ended(&self, direction: Direction) -> bool {
        let bit = direction as u8;
        self.ended.fetch_or(bit, Ordering::AcqRel) | bit == Direction::In as u8 | Direction::Out as u8
    }

    pub(crate) fn feed(&self, frame: Buffer) -> i64 {
        let bytes = cost(frame.len()) as i64;
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        match frames.as_ref() {
            Some(frames) if frames.send(Ok(frame)).is_ok() => {
                // Overdrawn is no credit; less than none means something else.
                (self.input.fetch_sub(bytes, Ordering::AcqRel) - bytes).max(0)
            }
            _ => abi::GONE,
        }
    }

    /// No more comes from the host.
    pub(crate) fn end_input(&self, problem: Option<Problem>) {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(frames), Some(problem)) = (frames, problem) {
            let _ = frames.send(Err(Fault(problem)));
        }
    }

    pub(crate) fn close(&self) {
        self.credit.close();
        self.end_input(Some(Fault::cancelled().0));
    }
}

impl Stream {
    pub(crate) fn new(op: &Arc<Operation>, id: u32, name: &str) -> (Arc<StreamState>, Stream) {
        let (sender, frames) = mpsc::unbounded_channel();
        let state = Arc::new(StreamState {
            credit: Credit::new(),
            input: AtomicI64::new(abi::INITIAL_CREDIT),
            frames: Mutex::new(Some(sender)),
            ended: AtomicU8::new(0),
        });
        let receiver = StreamReceiver {
            op: op.clone(),
            id,
            state: state.clone(),
            frames,
            taken: Taken::default(),
            rest: VecDeque::new(),
            ended: false,
        };
        let sender = StreamSender { op: op.clone(), id, state: state.clone(), ended: false };
        (state, Stream { sender, receiver, name: name.to_owned() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn split(self) -> (StreamSender, StreamReceiver) {
        (self.sender, self.receiver)
    }

    /// See [`StreamSender::send`].
    ///
    /// # Errors
    /// The other end is gone or the operation was cancelled.
    pub async fn send(&mut self, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.sender.send(bytes).await
    }

    /// See [`StreamReceiver::recv`].
    ///
    /// # Errors
    /// What the other end failed with.
    pub async fn recv(&mut self) -> Result<Option<Frame>> {
        self.receiver.recv().await
    }

    /// See [`StreamSender::finish`].
    pub fn finish(&mut self) {
        self.sender.finish();
    }
}

impl StreamSender {
    /// Sends bytes; waits until the other end has room for them.
    ///
    /// # Errors
    /// The other end is gone, takes no more, or the operation was cancelled.
    pub async fn send(&mut self, bytes: impl Into<Vec<u8>>) -> Result<()> {
        let bytes = bytes.into();
        if bytes.len() <= MAX_FRAME {
            return self.frame(bytes).await;
        }
        for part in bytes.chunks(MAX_FRAME) {
            self.frame(part.to_vec()).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, frame: Vec<u8>) -> Result<()> {
        if self.ended {
            return Err(Fault::gone());
        }
        let taken = tokio::select! {
            taken = self.state.credit.take(cost(frame.len())) => taken,
            () = self.op.cancel.cancelled() => return Err(Fault::cancelled()),
        };
        if !taken {
            return Err(Fault::gone());
        }
        answered(self.op.host.emit(self.op.id, emit::FRAME, self.id, frame))
    }

    /// Ends this direction: everything was sent.
    pub fn finish(&mut self) {
        self.end(Vec::new());
    }

    /// Ends this direction with what went wrong.
    pub fn fail(&mut self, fault: &Fault) {
        self.end(serde_json::to_vec(&fault.0).unwrap_or_default());
    }

    fn end(&mut self, data: Vec<u8>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.op.host.emit(self.op.id, emit::END, self.id, data);
            self.op.ended(self.id, &self.state, Direction::Out);
        }
    }
}

impl Drop for StreamSender {
    fn drop(&mut self) {
        if !self.ended {
            self.fail(&crate::fault(schema::Code::Unavailable, "the stream was cut off."));
        }
    }
}

impl StreamReceiver {
    /// The next bytes; `None` after the other end finished.
    ///
    /// # Errors
    /// What the other end failed with, or the operation was cancelled.
    pub async fn recv(&mut self) -> Result<Option<Frame>> {
        if self.ended {
            return Ok(None);
        }
        match self.frames.recv().await {
            Some(Ok(frame)) => {
                if let Some(grant) = self.taken.add(cost(frame.len())) {
                    self.state.input.fetch_add(i64::from(grant), Ordering::AcqRel);
                    self.op.host.emit(self.op.id, emit::CREDIT, self.id, u64::from(grant).to_le_bytes().to_vec());
                }
                Ok(Some(Frame(frame)))
            }
            Some(Err(fault)) => {
                self.ended = true;
                Err(fault)
            }
            None => {
                self.ended = true;
                Ok(None)
            }
        }
    }

    /// Bytes up to and with the next line feed; the rest where the stream ends without one.
    ///
    /// # Errors
    /// As for [`StreamReceiver::recv`], and a line longer than a frame.
    pub async fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                return Ok(Some(self.rest.drain(..=end).collect()));
            }
            if self.rest.len() > MAX_FRAME {
                return Err(crate::fault(schema::Code::BadRequest, "a line is too long."));
            }
            match self.recv().await? {
                Some(frame) => self.rest.extend(frame.iter()),
                None if self.rest.is_empty() => return Ok(None),
                None => return Ok(Some(self.rest.drain(..).collect())),
            }
        }
    }
}

impl Drop for StreamReceiver {
    fn drop(&mut self) {
        if !self.ended {
            self.state.end_input(None);
            // No bytes granted means that nobody reads any more.
            self.op.host.emit(self.op.id, emit::CREDIT, self.id, 0_u64.to_le_bytes().to_vec());
            self.op.ended(self.id, &self.state, Direction::In);
        }
    }
}
