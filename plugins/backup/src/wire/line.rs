//! One end of a channel: messages out, messages in, and on the client's side answers brought to whoever asked.

use super::pace::{Limit, PIECE, Pace};
use super::{HEADER, Kind, MAX_MESSAGE, Message, broken};
use parking_lot::Mutex;
use sdk::schema::{Code, Problem};
use sdk::serde::Serialize;
use sdk::serde::de::DeserializeOwned;
use sdk::tokio::runtime::Handle;
use sdk::tokio::sync::{Mutex as AsyncMutex, mpsc};
use sdk::{Fault, Result, Stream, StreamReceiver, StreamSender, fault, serde_json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Answers that wait to be read: a keeper that sends more of them than anyone takes is held back.
const ANSWERS: usize = 8;

/// The way out. Several may write: a message is never torn.
pub(crate) struct Outgoing {
    sender: AsyncMutex<StreamSender>,
    bytes: AtomicU64,
    pace: Option<Pace>,
}

/// The way in.
pub(crate) struct Incoming {
    receiver: StreamReceiver,
    buffer: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn new(sender: StreamSender) -> Outgoing {
        Outgoing { sender: AsyncMutex::new(sender), bytes: AtomicU64::new(0), pace: None }
    }

    /// # Errors
    /// The other end is gone.
    pub(crate) async fn send(&self, kind: Kind, number: u32, payload: &[u8]) -> Result<()> {
        if payload.len() > MAX_MESSAGE {
            return Err(fault(Code::Internal, "a message to the other role is too long."));
        }
        let mut message = Vec::with_capacity(HEADER + payload.len());
        message.push(kind as u8);
        message.extend(number.to_le_bytes());
        message.extend((payload.len() as u32).to_le_bytes());
        message.extend(payload);
        self.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        let mut sender = self.sender.lock().await;
        let Some(pace) = &self.pace else { return sender.send(message).await };
        for piece in message.chunks(PIECE) {
            pace.wait(piece.len()).await;
            sender.send(piece.to_vec()).await?;
        }
        Ok(())
    }

    /// # Errors
    /// The other end is gone.
    pub(crate) async fn send_json(&self, kind: Kind, number: u32, value: &impl Serialize) -> Result<()> {
        self.send(kind, number, &serde_json::to_vec(value)?).await
    }

    pub(crate) async fn finish(&self) {
        self.sender.lock().await.finish();
    }

    /// Bytes sent so far, headers included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Incoming {
    pub(crate) fn new(receiver: StreamReceiver) -> Incoming {
        Incoming { receiver, buffer: Vec::new() }
    }

    /// The next message; `None` where the other end has finished between two of them.
    ///
    /// # Errors
    /// The other end failed, stopped in the middle of a message, or says what is none.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>> {
        if !self.fill(HEADER).await? {
            return Ok(None);
        }
        let word = |at: usize| {
            let bytes = &self.buffer[at..at + 4];
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let kind = Kind::read(self.buffer[0]).ok_or_else(|| broken("a message of an unknown kind came."))?;
        let (number, length) = (word(1), word(5) as usize);
        if length > MAX_MESSAGE {
            return Err(broken(format!("a message of {length} bytes came; {MAX_MESSAGE} are the most.")));
        }
        if !self.fill(HEADER + length).await? {
            return Err(broken("a message was cut short."));
        }
        let rest = self.buffer.split_off(HEADER + length);
        let mut payload = std::mem::replace(&mut self.buffer, rest);
        payload.drain(..HEADER);
        Ok(Some(Message { kind, number, payload }))
    }

    /// Whether there are that many bytes; `false` where the stream ended before the first.
    async fn fill(&mut self, bytes: usize) -> Result<bool> {
        while self.buffer.len() < bytes {
            match self.receiver.recv().await? {
                Some(frame) => self.buffer.extend_from_slice(&frame),
                None if self.buffer.is_empty() => return Ok(false),
                None => return Err(broken("a message was cut short.")),
            }
        }
        Ok(true)
    }
}

impl Message {
    /// Its payload as JSON.
    ///
    /// # Errors
    /// It is not what it should be.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| broken(format!("the message {:?} cannot be read: {error}.", self.kind)))
    }
}

/// The client's end: any number of threads ask, each gets its own answer.
#[derive(Clone)]
pub(crate) struct Line {
    out: Arc<Outgoing>,
    waiting: Arc<Mutex<Waiting>>,
    next: Arc<AtomicU32>,
    handle: Handle,
}

enum Waiting {
    Open(HashMap<u32, mpsc::Sender<Message>>),
    Over(Fault),
}

/// Answers to one question, as they come.
pub(crate) struct Answers {
    line: Line,
    number: u32,
    receiver: mpsc::Receiver<Message>,
}

impl Line {
    /// Takes over a channel. Called within the plugin's runtime.
    pub(crate) fn start(stream: Stream, limit: Option<Limit>) -> Line {
        let (sender, receiver) = stream.split();
        let line = Line {
            out: Arc::new(Outgoing { pace: limit.map(Pace::new), ..Outgoing::new(sender) }),
            waiting: Arc::new(Mutex::new(Waiting::Open(HashMap::new()))),
            next: Arc::new(AtomicU32::new(1)),
            handle: Handle::current(),
        };
        let waiting = line.waiting.clone();
        sdk::tokio::spawn(async move {
            let over = match deliver(Incoming::new(receiver), &waiting).await {
                Ok(()) => fault(Code::Unavailable, "the keeper of the vault ended the connection."),
                Err(fault) => fault,
            };
            *waiting.lock() = Waiting::Over(over);
        });
        line
    }

    /// Asks something and waits for its answer. Not to be called on a thread of the runtime.
    ///
    /// # Errors
    /// The keeper refuses or is gone.
    pub(crate) fn ask(&self, kind: Kind, payload: &[u8]) -> Result<Message> {
        self.handle.block_on(self.ask_async(kind, payload))
    }

    /// As [`Line::ask`], where waiting is done otherwise.
    ///
    /// # Errors
    /// As for [`Line::ask`].
    pub(crate) async fn ask_async(&self, kind: Kind, payload: &[u8]) -> Result<Message> {
        let mut answers = self.question(kind, payload).await?;
        answers.next_async().await
    }

    /// Asks something that is answered in parts.
    ///
    /// # Errors
    /// As for [`Line::ask`].
    pub(crate) fn ask_for_many(&self, kind: Kind, payload: &[u8]) -> Result<Answers> {
        self.handle.block_on(self.question(kind, payload))
    }

    /// Says something that is answered only where it fails; the failure comes out of what is asked later.
    ///
    /// # Errors
    /// Something said before failed, or the keeper is gone.
    pub(crate) fn tell(&self, kind: Kind, payload: &[u8]) -> Result<()> {
        if let Waiting::Over(fault) = &*self.waiting.lock() {
            return Err(fault.clone());
        }
        let sent = self.handle.block_on(self.out.send(kind, 0, payload));
        sent.map_err(|fault| self.reason(fault))
    }

    /// Bytes sent so far.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.out.bytes()
    }

    pub(crate) async fn finish(&self) {
        self.out.finish().await;
    }

    async fn question(&self, kind: Kind, payload: &[u8]) -> Result<Answers> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(ANSWERS);
        match &mut *self.waiting.lock() {
            Waiting::Open(waiting) => drop(waiting.insert(number, sender)),
            Waiting::Over(fault) => return Err(fault.clone()),
        }
        let answers = Answers { line: self.clone(), number, receiver };
        self.out.send(kind, number, payload).await.map_err(|fault| self.reason(fault))?;
        Ok(answers)
    }

    /// What ended the connection tells more than that it has ended.
    fn reason(&self, fault: Fault) -> Fault {
        match &*self.waiting.lock() {
            Waiting::Over(reason) => reason.clone(),
            Waiting::Open(_) => fault,
        }
    }
}

impl Answers {
    /// The next part of the answer. Not to be called on a thread of the runtime.
    ///
    /// # Errors
    /// The keeper refuses or is gone.
    pub(crate) fn next(&mut self) -> Result<Message> {
        let handle = self.line.handle.clone();
        handle.block_on(self.next_async())
    }

    async fn next_async(&mut self) -> Result<Message> {
        let Some(message) = self.receiver.recv().await else {
            return Err(self.line.reason(fault(Code::Unavailable, "the keeper of the vault is gone.")));
        };
        match message.kind {
            Kind::Problem => Err(Fault(message.json::<Problem>()?)),
            _ => Ok(message),
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if let Waiting::Open(waiting) = &mut *self.line.waiting.lock() {
            waiting.remove(&self.number);
        }
    }
}

/// Brings messages to those who asked; what nobody asked for is a failure of what was only told.
async fn deliver(mut incoming: Incoming, waiting: &Mutex<Waiting>) -> Result<()> {
    while let Some(message) = incoming.next().await? {
        let asked = match &*waiting.lock() {
            Waiting::Open(waiting) => waiting.get(&message.number).cloned(),
            Waiting::Over(_) => None,
        };
        match asked {
            // Who no longer listens has dropped the answers.
            Some(asked) => drop(asked.send(message).await),
            None if message.kind == Kind::Problem && message.number == 0 => {
                return Err(Fault(message.json::<Problem>()?));
            }
            None => {}
        }
    }
    Ok(())
}
