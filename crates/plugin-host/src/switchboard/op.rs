//! One running operation on the host's side: its events in order, its streams and its credit.

use super::words::cut_off;
use super::{GRANT_STEP, MOST_CREDIT, Switchboard};
use crate::OpEvent;
use crate::duplex::{Credit, Sink};
use abi::{GONE, INITIAL_CREDIT, credit_arg, signal};
use bytes::Bytes;
use parking_lot::Mutex;
use schema::{CallMeta, Code, FRAME_COST, MAX_PAYLOAD, Problem, Progress};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Log records that wait for a slow caller.
const MOST_LOGS: usize = 256;

type Frames = mpsc::UnboundedReceiver<Result<Bytes, Problem>>;

pub(crate) struct Op {
    pub(crate) id: u64,
    pub(crate) call: CallMeta,
    /// Set once it has ended, whatever its caller has read of it.
    pub(crate) over: CancellationToken,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// What happened and what it is worth in credit, in order.
    queue: VecDeque<(OpEvent, usize)>,
    logs: usize,
    left: i64,
    taken: usize,
    /// Bytes of rows it answered with.
    rows: usize,
    streams: HashMap<u32, HostStream>,
    next_stream: u32,
    requests: usize,
    stopping: Option<Code>,
    over: bool,
}

/// How an operation ended.
pub(super) enum Ended {
    Done(Value),
    Part(Value, Problem),
    Fault(Problem),
}

/// A stream as the host keeps it.
pub(super) struct HostStream {
    /// What the plugin may still send.
    left: i64,
    frames: Option<mpsc::UnboundedSender<Result<Bytes, Problem>>>,
    /// What the host may still feed; closed once the plugin takes no more.
    input: Arc<Semaphore>,
    /// The host has read to the end, or reads no more.
    read: bool,
    /// The host feeds no more.
    fed: bool,
}

impl HostStream {
    pub(super) fn new() -> (HostStream, Arc<Semaphore>, Frames) {
        let (frames, received) = mpsc::unbounded_channel();
        let input = Arc::new(Semaphore::new(INITIAL_CREDIT as usize));
        let stream =
            HostStream { left: INITIAL_CREDIT, frames: Some(frames), input: input.clone(), read: false, fed: false };
        (stream, input, received)
    }

    /// Both directions have ended and nothing of it is kept anywhere.
    fn is_over(&self) -> bool {
        self.read && (self.fed || self.input.is_closed())
    }

    fn finish(&mut self, problem: Option<Problem>) {
        if let (Some(frames), Some(problem)) = (self.frames.take(), problem) {
            let _ = frames.send(Err(problem));
        }
    }
}

impl Op {
    pub(super) fn new(id: u64, call: CallMeta) -> Arc<Op> {
        let state = State {
            queue: VecDeque::new(),
            logs: 0,
            left: INITIAL_CREDIT,
            taken: 0,
            rows: 0,
            streams: HashMap::new(),
            next_stream: 2,
            requests: 0,
            stopping: None,
            over: false,
        };
        let (over, changed) = (CancellationToken::new(), Notify::new());
        Arc::new(Op { id, call, over, state: Mutex::new(state), changed })
    }

    /// The next event, and the credit that is to be granted for those that were read.
    pub(super) async fn next(&self) -> (OpEvent, Option<u32>) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.state.lock();
                if let Some((event, cost)) = state.queue.pop_front() {
                    state.logs -= usize::from(matches!(event, OpEvent::Log { .. }));
                    state.taken += cost;
                    let due = state.taken >= GRANT_STEP;
                    let grant = due.then(|| std::mem::take(&mut state.taken));
                    state.left += grant.unwrap_or(0) as i64;
                    return (event, grant.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX)));
                }
            }
            changed.await;
        }
    }

    pub(super) fn push(&self, event: OpEvent, cost: usize) {
        {
            let mut state = self.state.lock();
            if state.over {
                return;
            }
            state.queue.push_back((event, cost));
        }
        self.changed.notify_one();
    }

    /// Only the latest progress waits for a slow caller.
    pub(super) fn progress(&self, progress: Progress) -> i64 {
        let mut state = self.state.lock();
        if state.over {
            return GONE;
        }
        match state.queue.back_mut() {
            Some((OpEvent::Progress(last), _)) => *last = progress,
            _ => state.queue.push_back((OpEvent::Progress(progress), 0)),
        }
        let left = state.left.max(0);
        drop(state);
        self.changed.notify_one();
        left
    }

    pub(super) fn log(&self, event: OpEvent) {
        {
            let mut state = self.state.lock();
            if state.over || state.logs >= MOST_LOGS {
                return;
            }
            state.logs += 1;
            state.queue.push_back((event, 0));
        }
        self.changed.notify_one();
    }

    /// Takes credit for a message; nothing where there was none left.
    pub(super) fn spend(&self, cost: usize) -> Option<i64> {
        let mut state = self.state.lock();
        (state.left > 0).then(|| {
            state.left -= cost as i64;
            // Overdrawn is no credit; less than none means something else.
            state.left.max(0)
        })
    }

    #[cfg(test)]
    pub(super) fn has_credit(&self) -> bool {
        self.state.lock().left > 0
    }

    /// Counts rows of the answer, which is passed on as one message.
    pub(super) fn more_rows(&self, bytes: usize) -> Result<(), Problem> {
        let mut state = self.state.lock();
        state.rows += bytes;
        let text = || format!("an answer of more than {MAX_PAYLOAD} bytes of rows is too long.");
        if state.rows > MAX_PAYLOAD { Err(Problem::new(Code::Quota, text())) } else { Ok(()) }
    }

    /// Notes why it is asked to stop; false where it was asked before or has ended.
    pub(super) fn begin_stop(&self, code: Code) -> bool {
        let mut state = self.state.lock();
        if state.over || state.stopping.is_some() {
            return false;
        }
        state.stopping = Some(code);
        true
    }

    /// Ends it; false where it had ended.
    pub(super) fn end(&self, ended: Ended) -> bool {
        {
            let mut state = self.state.lock();
            if std::mem::replace(&mut state.over, true) {
                return false;
            }
            let event = match ended {
                Ended::Done(value) => OpEvent::Done(value),
                Ended::Part(value, problem) => OpEvent::Part(value, problem),
                Ended::Fault(mut problem) => {
                    // Its host knows why it was stopped; the plugin does not.
                    let why = match state.stopping {
                        Some(Code::Deadline) => Some(Problem::new(Code::Deadline, "it took longer than it may.")),
                        Some(Code::Unavailable) => Some(Problem::new(Code::Unavailable, "the plugin was stopped.")),
                        _ => None,
                    };
                    if let (Code::Cancelled, Some(why)) = (problem.code, why) {
                        problem = why;
                    }
                    OpEvent::Fault(problem)
                }
            };
            for stream in state.streams.values_mut() {
                stream.input.close();
                stream.finish(Some(match &event {
                    OpEvent::Fault(problem) => problem.clone(),
                    _ => cut_off(),
                }));
            }
            state.streams.clear();
            state.queue.push_back((event, 0));
        }
        self.over.cancel();
        self.changed.notify_one();
        true
    }

    pub(super) fn begin_request(&self, most: usize) -> bool {
        let mut state = self.state.lock();
        if state.requests >= most {
            return false;
        }
        state.requests += 1;
        true
    }

    pub(super) fn end_request(&self) {
        let mut state = self.state.lock();
        state.requests = state.requests.saturating_sub(1);
    }

    /// A number for a stream of the host's; those of the plugin are odd.
    pub(super) fn next_stream(&self) -> u32 {
        let mut state = self.state.lock();
        let id = state.next_stream;
        state.next_stream = id.wrapping_add(2);
        id
    }

    pub(super) fn add_stream(&self, id: u32, stream: HostStream, most: usize) -> bool {
        let mut state = self.state.lock();
        if state.over || state.streams.len() >= most || state.streams.contains_key(&id) {
            return false;
        }
        state.streams.insert(id, stream);
        true
    }

    pub(super) fn frame(&self, stream: u32, frame: Bytes) -> Result<i64, &'static str> {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(&stream) else { return Ok(GONE) };
        let Some(frames) = &stream.frames else { return Ok(GONE) };
        if stream.left <= 0 {
            return Err("it sent more than it was granted");
        }
        stream.left -= (frame.len() + FRAME_COST) as i64;
        if frames.send(Ok(frame)).is_err() {
            stream.frames = None;
            return Ok(GONE);
        }
        Ok(stream.left.max(0))
    }

    /// Changes a stream, and lets go of it where it is over then.
    fn with_stream<T>(&self, id: u32, change: impl FnOnce(&mut HostStream) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let stream = state.streams.get_mut(&id)?;
        let changed = change(stream);
        if stream.is_over() {
            state.streams.remove(&id);
        }
        Some(changed)
    }

    pub(super) fn end_of_stream(&self, stream: u32, problem: Option<Problem>) {
        self.with_stream(stream, |stream| stream.finish(problem));
    }

    /// The plugin took bytes off a stream; none means that it takes no more.
    pub(super) fn grant(&self, stream: u32, bytes: usize) -> Result<(), &'static str> {
        let granted = self.with_stream(stream, |stream| {
            if bytes == 0 {
                stream.input.close();
            } else if bytes > MOST_CREDIT || stream.input.available_permits() + bytes > MOST_CREDIT {
                return Err("it granted more than can be used");
            } else {
                stream.input.add_permits(bytes);
            }
            Ok(())
        });
        granted.unwrap_or(Ok(()))
    }
}

/// Feeds a stream of an operation.
pub(super) struct OpSink {
    pub(super) board: Arc<Switchboard>,
    pub(super) op: Arc<Op>,
    pub(super) id: u32,
}

impl Sink for OpSink {
    fn frame(&self, frame: Bytes) -> bool {
        if self.op.over.is_cancelled() {
            return false;
        }
        self.board.feed(self.op.id, self.id, frame);
        true
    }

    fn end(&self, problem: Option<Problem>) {
        self.op.with_stream(self.id, |stream| stream.fed = true);
        if !self.op.over.is_cancelled() {
            let data = problem.and_then(|problem| serde_json::to_vec(&problem).ok()).unwrap_or_default();
            self.board.signal(self.op.id, signal::END_INPUT, u64::from(self.id), &data);
        }
    }
}

/// Grants a plugin what its caller took off a stream.
pub(super) struct OpCredit {
    board: Arc<Switchboard>,
    op: Arc<Op>,
    id: u32,
    taken: AtomicUsize,
}

impl OpCredit {
    pub(super) fn new(board: Arc<Switchboard>, op: Arc<Op>, id: u32) -> OpCredit {
        OpCredit { board, op, id, taken: AtomicUsize::new(0) }
    }
}

impl Credit for OpCredit {
    fn taken(&self, bytes: usize) {
        if self.taken.fetch_add(bytes, Ordering::AcqRel) + bytes < GRANT_STEP {
            return;
        }
        let grant = self.taken.swap(0, Ordering::AcqRel);
        let wanted = self.op.with_stream(self.id, |stream| {
            stream.left += grant as i64;
            stream.frames.is_some()
        });
        // A plugin that has sent everything needs no more credit.
        if wanted == Some(true) {
            let bytes = u32::try_from(grant).unwrap_or(u32::MAX);
            self.board.signal(self.op.id, signal::CREDIT, credit_arg(self.id, bytes), &[]);
        }
    }

    fn closed(&self) {
        let wanted = self.op.with_stream(self.id, |stream| {
            stream.read = true;
            stream.frames.take().is_some()
        });
        if wanted == Some(true) && !self.op.over.is_cancelled() {
            self.board.signal(self.op.id, signal::CREDIT, credit_arg(self.id, 0), &[]);
        }
    }
}
