//! The host's half of the verbs: operations by number, everything a plugin says checked, host services answered.
//!
//! Both transports end here, so that a plugin looks the same to its callers wherever it runs. Nothing here blocks.

mod op;
mod requests;
mod words;

pub(crate) use op::Op;
pub(crate) use words::one_line;

use crate::duplex::{Receiver, Sender};
use crate::{Duplex, Limits, Method, OpEvent, Operation, Services};
use abi::{Buffer, GONE, HostVerbs, INITIAL_CREDIT, MAX_FRAME, REFUSED, credit_arg, emit, signal};
use bytes::Bytes;
use op::{Ended, HostStream, OpCredit, OpSink};
use parking_lot::{Mutex, RwLock};
use schema::{CallMeta, Code, FRAME_COST, InPart, MAX_PAYLOAD, OpenStream, Problem, Start, read_payload};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;
use words::{cut_off, plain, plain_progress};

/// Grants are gathered up to this many bytes.
const GRANT_STEP: usize = 64 * 1024;
/// Most bytes a plugin may grant beyond what is used up.
const MOST_CREDIT: usize = 64 * INITIAL_CREDIT as usize;

/// How verbs reach the plugin. No method blocks.
pub(crate) trait Link: Send + Sync {
    fn start(&self, op: u64, method: &str, meta: Vec<u8>, payload: Vec<u8>);
    fn signal(&self, op: u64, kind: u32, arg: u64, data: &[u8]);
    fn feed(&self, op: u64, stream: u32, frame: Bytes);
}

/// Everything between one running instance of a plugin and its callers.
pub(crate) struct Switchboard {
    me: Weak<Switchboard>,
    plugin: String,
    services: Arc<dyn Services>,
    pub(crate) limits: Limits,
    /// The plugin's directory, as the plugin has to write it.
    files: String,
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
    /// The instance that answers; none before it is open and after it has ended.
    link: RwLock<Option<Arc<dyn Link>>>,
    operations: Mutex<Operations>,
    /// The last operation has ended.
    idle: Notify,
    next: AtomicU64,
    /// What whoever runs the plugin should know.
    notes: mpsc::UnboundedSender<Note>,
    /// The instance is about to be ended by force; a new one comes.
    doomed: std::sync::atomic::AtomicBool,
    force_ends_all: bool,
}

/// Operations by number.
#[derive(Default)]
struct Operations {
    running: HashMap<u64, Arc<Op>>,
    /// The instance ends, so that nothing may begin any more.
    closed: bool,
}

/// What a switchboard is made of.
pub(crate) struct Parts {
    pub(crate) plugin: String,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) limits: Limits,
    pub(crate) files: String,
    pub(crate) tasks: TaskTracker,
    pub(crate) notes: mpsc::UnboundedSender<Note>,
    /// An operation that has to be ended by force ends the whole instance.
    pub(crate) force_ends_all: bool,
}

/// What a switchboard tells whoever runs the plugin.
#[derive(Debug)]
pub(crate) enum Note {
    /// An operation had to be ended by force; what happened, in a line.
    Stuck(String),
    /// The plugin panicked, with this text, and caught it.
    Panicked(String),
}

impl Switchboard {
    pub(crate) fn new(parts: Parts) -> Arc<Switchboard> {
        let Parts { plugin, services, limits, files, tasks, notes, force_ends_all } = parts;
        Arc::new_cyclic(|me| Switchboard {
            me: me.clone(),
            plugin,
            services,
            limits,
            files,
            tasks,
            runtime: tokio::runtime::Handle::current(),
            link: RwLock::default(),
            operations: Mutex::default(),
            idle: Notify::new(),
            next: AtomicU64::new(1),
            notes,
            doomed: false.into(),
            force_ends_all,
        })
    }

    /// Joins the instance that answers. Once.
    pub(crate) fn join(&self, link: Arc<dyn Link>) {
        *self.link.write() = Some(link);
    }

    /// Begins an operation; nothing where the instance is ending.
    pub(crate) fn begin(&self, method: &Method, call: CallMeta, payload: &Value) -> Result<Option<Operation>, Problem> {
        let board = self.me.upgrade().ok_or_else(|| Problem::internal("the plugin is gone."))?;
        let payload = serde_json::to_vec(payload).map_err(|e| Problem::internal(e.to_string()))?;
        let (wire, name) = method.wire();
        let meta = serde_json::to_vec(&Start { name: name.to_owned(), call: call.clone() })
            .map_err(|e| Problem::internal(e.to_string()))?;
        if payload.len() + meta.len() > MAX_PAYLOAD {
            return Err(Problem::new(Code::Quota, format!("an input of {} bytes is too long.", payload.len())));
        }
        let op = Op::new(self.next.fetch_add(1, Ordering::Relaxed), call);
        {
            let mut operations = self.operations.lock();
            if operations.closed {
                return Ok(None);
            }
            if operations.running.len() >= self.limits.operations {
                return Err(Problem::new(Code::Busy, "the plugin has too many operations at a time."));
            }
            operations.running.insert(op.id, op.clone());
        }
        if let Some(link) = self.link() {
            link.start(op.id, wire, meta, payload);
        }
        if let Some(timeout) = op.call.timeout_ms {
            self.end_later(&op, Duration::from_millis(timeout), Code::Deadline);
        }
        Ok(Some(Operation { op, board, ended: false }))
    }

    fn link(&self) -> Option<Arc<dyn Link>> {
        self.link.read().clone()
    }

    fn operation(&self, op: u64) -> Option<Arc<Op>> {
        self.operations.lock().running.get(&op).cloned()
    }

    fn end_later(&self, op: &Arc<Op>, after: Duration, code: Code) {
        let (Some(board), op) = (self.me.upgrade(), op.clone()) else { return };
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = tokio::time::sleep(after) => board.cancel(&op, code),
                    () = op.over.cancelled() => {}
                }
            },
            &self.runtime,
        );
    }

    /// Asks an operation to stop, and ends it by force where it does not within the grace.
    pub(crate) fn cancel(&self, op: &Arc<Op>, code: Code) {
        if !op.begin_stop(code) {
            return;
        }
        self.signal(op.id, signal::CANCEL, 0, &[]);
        let (Some(board), op, grace) = (self.me.upgrade(), op.clone(), self.limits.grace) else { return };
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = tokio::time::sleep(grace) => board.force(&op, code, grace),
                    () = op.over.cancelled() => {}
                }
            },
            &self.runtime,
        );
    }

    /// Whether calls should wait for the next instance.
    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }

    fn force(&self, op: &Arc<Op>, code: Code, grace: Duration) {
        if self.force_ends_all && !op.over.is_cancelled() {
            self.doomed.store(true, Ordering::Release);
        }
        let text = format!("it did not stop within {} s and was ended by force.", grace.as_secs_f64());
        if self.end(op, Ended::Fault(Problem::new(code, &text))) {
            // Nobody listens once the plugin is stopped anyway.
            let text = format!("an operation did not stop within {} s", grace.as_secs_f64());
            let _ = self.notes.send(Note::Stuck(text));
        }
    }

    /// Ends every operation with this problem and begins none any more; the instance is gone.
    pub(crate) fn close(&self, problem: &Problem) {
        for op in self.begin_no_more() {
            self.end(&op, Ended::Fault(problem.clone()));
        }
        // The plugin holds this switchboard; without this neither would ever be let go.
        *self.link.write() = None;
    }

    /// Asks every operation to stop and the plugin to end, and waits until they have, at most for `limit`.
    pub(crate) async fn wind_down(&self, limit: Duration) {
        for op in self.begin_no_more() {
            op.begin_stop(Code::Unavailable);
        }
        self.signal(0, signal::SHUTDOWN, 0, &[]);
        let idle = async {
            loop {
                let mut idle = std::pin::pin!(self.idle.notified());
                idle.as_mut().enable();
                if self.operations.lock().running.is_empty() {
                    return;
                }
                idle.await;
            }
        };
        // What has not ended by then ends with the instance.
        let _ = tokio::time::timeout(limit, idle).await;
    }

    fn begin_no_more(&self) -> Vec<Arc<Op>> {
        let mut operations = self.operations.lock();
        operations.closed = true;
        operations.running.values().cloned().collect()
    }

    fn end(&self, op: &Arc<Op>, ended: Ended) -> bool {
        let ended = op.end(ended);
        let idle = {
            let mut operations = self.operations.lock();
            operations.running.remove(&op.id);
            operations.running.is_empty()
        };
        if idle {
            self.idle.notify_waiters();
        }
        ended
    }

    pub(crate) async fn next_event(&self, op: &Op) -> OpEvent {
        let (event, grant) = op.next().await;
        if let Some(bytes) = grant {
            self.signal(op.id, signal::CREDIT, credit_arg(0, bytes), &[]);
        }
        event
    }

    pub(crate) fn open_stream(&self, op: &Arc<Op>, name: &str) -> Result<Duplex, Problem> {
        self.open_numbered(op, name).map(|(_, duplex)| duplex)
    }

    fn open_numbered(&self, op: &Arc<Op>, name: &str) -> Result<(u32, Duplex), Problem> {
        let id = op.next_stream();
        let duplex = self
            .add_stream(op, id)
            .ok_or_else(|| Problem::new(Code::Conflict, "the operation has ended, or has too many streams."))?;
        let open = serde_json::to_vec(&OpenStream { name: name.to_owned(), file: None }).unwrap_or_default();
        self.signal(op.id, signal::OPEN, u64::from(id), &open);
        Ok((id, duplex))
    }

    fn add_stream(&self, op: &Arc<Op>, id: u32) -> Option<Duplex> {
        let board = self.me.upgrade()?;
        let (stream, credit, frames) = HostStream::new();
        if !op.add_stream(id, stream, self.limits.streams) {
            return None;
        }
        let sender = Sender::new(credit, Box::new(OpSink { board: board.clone(), op: op.clone(), id }));
        let receiver = Receiver::new(frames, Box::new(OpCredit::new(board, op.clone(), id)));
        Some(Duplex { sender, receiver })
    }

    pub(crate) fn signal(&self, op: u64, kind: u32, arg: u64, data: &[u8]) {
        if let Some(link) = self.link() {
            link.signal(op, kind, arg, data);
        }
    }

    pub(crate) fn feed(&self, op: u64, stream: u32, frame: Bytes) {
        if let Some(link) = self.link() {
            link.feed(op, stream, frame);
        }
    }

    /// Something of a plugin's that breaks the rules: the operation ends, the plugin is told, the host goes on.
    fn breach(&self, op: &Arc<Op>, what: &str) -> i64 {
        self.refuse(op, Problem::internal(format!("the plugin broke the contract: {what}.")))
    }

    /// A message that cannot be taken: too much of it is a quota, anything else a breach.
    fn unread(&self, op: &Arc<Op>, what: &str, problem: &Problem) -> i64 {
        match problem.code {
            Code::Quota => {
                let text = format!("the plugin said too much: {what} is not passed on, {}", problem.message);
                self.refuse(op, Problem::new(Code::Quota, text))
            }
            _ => self.breach(op, &format!("{what} cannot be read")),
        }
    }

    fn refuse(&self, op: &Arc<Op>, problem: Problem) -> i64 {
        if self.end(op, Ended::Fault(problem.fix("Report it to the plugin's vendor."))) {
            self.signal(op.id, signal::CANCEL, 0, &[]);
        }
        REFUSED
    }

    /// `emit` of a plugin, on whichever way it came.
    pub(crate) fn emitted(&self, op: u64, kind: u32, stream: u32, data: Bytes) -> i64 {
        let Some(op) = self.operation(op) else { return GONE };
        match kind {
            emit::FRAME if data.len() > MAX_FRAME => self.breach(&op, "a frame is too long"),
            emit::FRAME => match op.frame(stream, data) {
                Ok(left) => left,
                Err(what) => self.breach(&op, what),
            },
            emit::END => {
                let read = |data: &[u8]| read_payload::<Problem>(data).map_or_else(|_| cut_off(), plain);
                let problem = (!data.is_empty()).then(|| read(&data));
                op.end_of_stream(stream, problem);
                0
            }
            emit::CREDIT => self.granted(&op, stream, &data),
            emit::PROGRESS => match read_payload(&data) {
                Ok(progress) => op.progress(plain_progress(progress)),
                Err(problem) => self.unread(&op, "its progress", &problem),
            },
            emit::DONE => self.done(&op, &data),
            emit::PART => self.part(&op, &data),
            emit::FAULT => match read_payload(&data) {
                Ok(problem) => self.over(&op, Ended::Fault(plain(problem))),
                Err(problem) => self.unread(&op, "its problem", &problem),
            },
            _ => self.message(&op, kind, stream, &data),
        }
    }

    fn done(&self, op: &Arc<Op>, data: &[u8]) -> i64 {
        match read_payload(data) {
            Ok(value) => self.over(op, Ended::Done(value)),
            Err(problem) => self.unread(op, "its result", &problem),
        }
    }

    fn part(&self, op: &Arc<Op>, data: &[u8]) -> i64 {
        match read_payload(data) {
            Ok(InPart { result, problem }) => self.over(op, Ended::Part(result, plain(problem))),
            Err(problem) => self.unread(op, "its result", &problem),
        }
    }

    fn over(&self, op: &Arc<Op>, ended: Ended) -> i64 {
        self.end(op, ended);
        0
    }

    /// Messages that count against the operation's own credit.
    fn message(&self, op: &Arc<Op>, kind: u32, stream: u32, data: &[u8]) -> i64 {
        let cost = data.len() + FRAME_COST;
        let Some(left) = op.spend(cost) else { return self.breach(op, "it sent more than it was granted") };
        let event = match kind {
            emit::ROWS => op.more_rows(data.len()).and_then(|()| read_payload(data)).map(OpEvent::Rows),
            emit::WARN => read_payload(data).map(|problem| OpEvent::Warn(plain(problem))),
            emit::CHECKPOINT => read_payload(data).map(OpEvent::Checkpoint),
            emit::OPEN => return self.opened(op, stream, data, cost, left),
            _ => return self.breach(op, "it sent a message of an unknown kind"),
        };
        match event {
            Ok(event) => {
                op.push(event, cost);
                left
            }
            Err(problem) => self.unread(op, "a message", &problem),
        }
    }

    fn opened(&self, op: &Arc<Op>, stream: u32, data: &[u8], cost: usize, left: i64) -> i64 {
        let open: OpenStream = match read_payload(data) {
            Ok(open) => open,
            Err(problem) => return self.unread(op, "a message", &problem),
        };
        if stream.is_multiple_of(2) {
            return self.breach(op, "it opened a stream with a number of the host's");
        }
        let Some(duplex) = self.add_stream(op, stream) else { return self.breach(op, "it opened too many streams") };
        let file = open.file.as_deref().map(one_line);
        op.push(OpEvent::Open { name: one_line(&open.name), file, duplex }, cost);
        left
    }

    fn granted(&self, op: &Arc<Op>, stream: u32, data: &[u8]) -> i64 {
        let Ok(bytes) = <[u8; 8]>::try_from(data).map(u64::from_le_bytes) else {
            return self.breach(op, "a grant cannot be read");
        };
        match op.grant(stream, usize::try_from(bytes).unwrap_or(usize::MAX)) {
            Ok(()) => 0,
            Err(what) => self.breach(op, what),
        }
    }
}

impl HostVerbs for Switchboard {
    fn emit(&self, op: u64, kind: u32, stream: u32, data: Buffer) -> i64 {
        self.emitted(op, kind, stream, Bytes::from_owner(data))
    }

    fn request(&self, op: u64, request: u64, method: &str, payload: &[u8]) {
        self.requested(op, request, method, payload);
    }

    fn log(&self, level: u8, target: &str, json: &[u8]) {
        self.logged(level, target, json);
    }
}

#[cfg(test)]
mod tests;
