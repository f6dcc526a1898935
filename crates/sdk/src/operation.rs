//! What the SDK keeps of one running operation: requests that wait, streams, credit for messages.

use crate::credit::Credit;
use crate::left_out::LeftOut;
use crate::stream::{Direction, Stream, StreamState};
use crate::{Fault, Result, fault};
use abi::{HostObject, emit};
use schema::{Code, FRAME_COST, MAX_PAYLOAD, Reply};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) struct Operation {
    pub(crate) id: u64,
    pub(crate) host: HostObject,
    pub(crate) cancel: CancellationToken,
    pub(crate) left_out: LeftOut,
    control: Credit,
    inner: Mutex<Inner>,
    offered: Notify,
}

struct Inner {
    next_request: u64,
    waiting: HashMap<u64, oneshot::Sender<Vec<u8>>>,
    next_stream: u32,
    streams: HashMap<u32, Arc<StreamState>>,
    /// Streams that the host opened and nobody took yet.
    offered: VecDeque<(u32, Stream)>,
}

impl Operation {
    pub(crate) fn new(id: u64, host: HostObject, cancel: CancellationToken) -> Arc<Operation> {
        let inner = Inner {
            next_request: 1,
            waiting: HashMap::new(),
            next_stream: 1,
            streams: HashMap::new(),
            offered: VecDeque::new(),
        };
        Arc::new(Operation {
            id,
            host,
            cancel,
            left_out: LeftOut::default(),
            control: Credit::new(),
            inner: Mutex::new(inner),
            offered: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message that counts against the operation's own credit.
    pub(crate) async fn message(&self, kind: u32, stream: u32, message: Vec<u8>) -> Result<()> {
        if message.len() > MAX_PAYLOAD {
            let text = format!("a message of {} bytes is longer than {}.", message.len(), MAX_PAYLOAD);
            return Err(fault(Code::Quota, text));
        }
        let taken = tokio::select! {
            taken = self.control.take(message.len() + FRAME_COST) => taken,
            () = self.cancel.cancelled() => return Err(Fault::cancelled()),
        };
        if !taken {
            return Err(Fault::cancelled());
        }
        answered(self.host.emit(self.id, kind, stream, message))
    }

    /// Asks the host and waits for its answer.
    pub(crate) async fn request(&self, method: &str, payload: &Value) -> Result<Value> {
        let payload = serde_json::to_vec(payload)?;
        if payload.len() > MAX_PAYLOAD {
            let text = format!("a request of {} bytes is longer than {}.", payload.len(), MAX_PAYLOAD);
            return Err(fault(Code::Quota, text).fix("Send it in parts."));
        }
        let (answer, waiting) = oneshot::channel();
        let request = {
            let mut inner = self.lock();
            let request = inner.next_request;
            inner.next_request += 1;
            inner.waiting.insert(request, answer);
            request
        };
        self.host.request(self.id, request, method, &payload);
        // Read here and not where it arrives: an answer may be long, and that is a thread of the host's.
        let answer = waiting.await.map_err(|_| Fault::cancelled())?;
        match serde_json::from_slice(&answer) {
            Ok(Reply::Ok(value)) => Ok(value),
            Ok(Reply::Fault(problem)) => Err(Fault(problem)),
            Err(e) => Err(fault(Code::Internal, format!("the host's answer cannot be read: {e}."))),
        }
    }

    pub(crate) fn reply(&self, request: u64, data: &[u8]) {
        let Some(waiting) = self.lock().waiting.remove(&request) else { return };
        // Whoever asked may have stopped waiting.
        let _ = waiting.send(data.to_vec());
    }

    /// Opens a stream to whoever follows the operation.
    pub(crate) async fn open(self: &Arc<Operation>, name: &str, file: Option<&str>) -> Result<Stream> {
        let (id, stream) = {
            let mut inner = self.lock();
            let id = inner.next_stream;
            inner.next_stream = id.wrapping_add(2);
            let (state, stream) = Stream::new(self, id, name);
            inner.streams.insert(id, state);
            (id, stream)
        };
        let open = schema::OpenStream { name: name.to_owned(), file: file.map(str::to_owned) };
        self.message(emit::OPEN, id, serde_json::to_vec(&open)?).await?;
        Ok(stream)
    }

    pub(crate) fn opened_by_host(self: &Arc<Operation>, id: u32, data: &[u8]) {
        let name = serde_json::from_slice::<schema::OpenStream>(data).map(|open| open.name).unwrap_or_default();
        let (state, stream) = Stream::new(self, id, &name);
        {
            let mut inner = self.lock();
            inner.streams.insert(id, state);
            inner.offered.push_back((id, stream));
        }
        self.offered.notify_waiters();
    }

    /// The stream with this number that the host opened; the first one where no number is given.
    pub(crate) async fn take_offered(&self, id: Option<u32>) -> Result<Stream> {
        loop {
            let mut offered = std::pin::pin!(self.offered.notified());
            offered.as_mut().enable();
            {
                let mut inner = self.lock();
                let place = inner.offered.iter().position(|(one, _)| id.is_none_or(|id| id == *one));
                if let Some((_, stream)) = place.and_then(|place| inner.offered.remove(place)) {
                    return Ok(stream);
                }
            }
            tokio::select! {
                () = offered => {}
                () = self.cancel.cancelled() => return Err(Fault::cancelled()),
            }
        }
    }

    pub(crate) fn stream(&self, id: u32) -> Option<Arc<StreamState>> {
        self.lock().streams.get(&id).cloned()
    }

    pub(crate) fn grant(&self, id: u32, bytes: u32) {
        if id == 0 {
            return self.control.grant(bytes);
        }
        let Some(stream) = self.stream(id) else { return };
        if bytes == 0 {
            stream.credit.close();
            self.ended(id, &stream, Direction::Out);
        } else {
            stream.credit.grant(bytes);
        }
    }

    pub(crate) fn end_input(&self, id: u32, problem: Option<schema::Problem>) {
        let Some(stream) = self.stream(id) else { return };
        stream.end_input(problem);
        self.ended(id, &stream, Direction::In);
    }

    /// One direction of a stream has ended; the stream is let go of with the second.
    pub(crate) fn ended(&self, id: u32, stream: &StreamState, direction: Direction) {
        if stream.ended(direction) {
            self.lock().streams.remove(&id);
        }
    }

    /// Lets go of everything that waits; the operation has ended.
    pub(crate) fn close(&self) {
        self.control.close();
        let (waiting, streams, offered) = {
            let mut inner = self.lock();
            (std::mem::take(&mut inner.waiting), std::mem::take(&mut inner.streams), std::mem::take(&mut inner.offered))
        };
        streams.values().for_each(|stream| stream.close());
        drop((waiting, offered));
    }
}

/// What the host said to an `emit`.
pub(crate) fn answered(credit: i64) -> Result<()> {
    match credit {
        abi::GONE => Err(Fault::gone()),
        abi::REFUSED => Err(fault(Code::Internal, "the host refused a message as malformed.")),
        _ => Ok(()),
    }
}
