//! The host's half of the verbs: operations by number, everything a plugin says checked, host services answered.
//!
//! Both transports end here, so that a plugin looks the same to its callers wherever it runs. Nothing here blocks.

mod op;

pub(crate) use op::Op;

use crate::duplex::{Receiver, Sender};
use crate::{Duplex, Level, Limits, Method, OpEvent, Operation, Services};
use abi::{Buffer, GONE, HostVerbs, INITIAL_CREDIT, MAX_FRAME, MAX_MESSAGE, REFUSED, credit_arg, emit, signal};
use bytes::Bytes;
use op::{HostStream, OpCredit, OpSink};
use parking_lot::Mutex;
use schema::{
    CallMeta, ChannelOpen, ChannelOpened, Code, FilesDir, FilesPath, HostRequest, Object, OpenStream, Problem, Reply,
    Start, neutral_text,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Grants are gathered up to this many bytes.
const GRANT_STEP: usize = 64 * 1024;
/// Most bytes a plugin may grant beyond what is used up.
const MOST_CREDIT: usize = 64 * INITIAL_CREDIT as usize;
/// Longest log record in bytes.
const LONGEST_RECORD: usize = 64 * 1024;

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
    link: OnceLock<Arc<dyn Link>>,
    operations: Mutex<HashMap<u64, Arc<Op>>>,
    next: AtomicU64,
    /// What whoever runs the plugin should know.
    notes: mpsc::UnboundedSender<Note>,
    /// The instance is about to be ended by force; a new one comes.
    doomed: std::sync::atomic::AtomicBool,
    force_ends_all: bool,
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
            link: OnceLock::new(),
            operations: Mutex::default(),
            next: AtomicU64::new(1),
            notes,
            doomed: false.into(),
            force_ends_all,
        })
    }

    /// Joins the instance that answers. Once.
    pub(crate) fn join(&self, link: Arc<dyn Link>) {
        // A second link would be a second instance, which gets a switchboard of its own.
        let _ = self.link.set(link);
    }

    /// Begins an operation.
    pub(crate) fn begin(&self, method: &Method, call: CallMeta, payload: &Value) -> Result<Operation, Problem> {
        let board = self.me.upgrade().ok_or_else(|| Problem::internal("the plugin is gone."))?;
        let link = self.link.get().ok_or_else(|| Problem::new(Code::Unavailable, "the plugin is not open yet."))?;
        let payload = serde_json::to_vec(payload).map_err(|e| Problem::internal(e.to_string()))?;
        let (wire, name) = method.wire();
        let meta = serde_json::to_vec(&Start { name: name.to_owned(), call: call.clone() })
            .map_err(|e| Problem::internal(e.to_string()))?;
        if payload.len() + meta.len() > MAX_MESSAGE {
            return Err(Problem::new(Code::Quota, format!("an input of {} bytes is too long.", payload.len())));
        }
        let op = Op::new(self.next.fetch_add(1, Ordering::Relaxed), call);
        {
            let mut operations = self.operations.lock();
            if operations.len() >= self.limits.operations {
                return Err(Problem::new(Code::Busy, "the plugin has too many operations at a time."));
            }
            operations.insert(op.id, op.clone());
        }
        link.start(op.id, wire, meta, payload);
        if let Some(timeout) = op.call.timeout_ms {
            self.end_later(&op, Duration::from_millis(timeout), Code::Deadline);
        }
        Ok(Operation { op, board, ended: false })
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
        if self.end(op, Err(Problem::new(code, &text))) {
            // Nobody listens once the plugin is stopped anyway.
            let text = format!("an operation did not stop within {} s", grace.as_secs_f64());
            let _ = self.notes.send(Note::Stuck(text));
        }
    }

    /// Ends every operation with this problem; the instance is gone.
    pub(crate) fn fail_all(&self, problem: &Problem) {
        let operations: Vec<_> = self.operations.lock().values().cloned().collect();
        for op in operations {
            self.end(&op, Err(problem.clone()));
        }
    }

    /// Asks every operation to stop and the plugin to end.
    pub(crate) fn shut_down(&self) {
        self.signal(0, signal::SHUTDOWN, 0, &[]);
    }

    fn end(&self, op: &Arc<Op>, result: Result<Value, Problem>) -> bool {
        self.operations.lock().remove(&op.id);
        op.end(result)
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
        let open = serde_json::to_vec(&OpenStream { name: name.to_owned() }).unwrap_or_default();
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
        if let Some(link) = self.link.get() {
            link.signal(op, kind, arg, data);
        }
    }

    pub(crate) fn feed(&self, op: u64, stream: u32, frame: Bytes) {
        if let Some(link) = self.link.get() {
            link.feed(op, stream, frame);
        }
    }

    /// Something of a plugin's that breaks the rules: the operation ends, the plugin is told, the host goes on.
    fn breach(&self, op: &Arc<Op>, what: &str) -> i64 {
        let problem = Problem::internal(format!("the plugin broke the contract: {what}."))
            .fix("Report it to the plugin's vendor.");
        if self.end(op, Err(problem)) {
            self.signal(op.id, signal::CANCEL, 0, &[]);
        }
        REFUSED
    }

    /// `emit` of a plugin, on whichever way it came.
    pub(crate) fn emitted(&self, op: u64, kind: u32, stream: u32, data: Bytes) -> i64 {
        let Some(op) = self.operations.lock().get(&op).cloned() else { return GONE };
        if data.len() > MAX_MESSAGE {
            return self.breach(&op, "a message is too long");
        }
        match kind {
            emit::FRAME if data.len() > MAX_FRAME => self.breach(&op, "a frame is too long"),
            emit::FRAME => match op.frame(stream, data) {
                Ok(left) => left,
                Err(what) => self.breach(&op, what),
            },
            emit::END => {
                let problem = if data.is_empty() { None } else { read(&data).or_else(|| Some(cut_off())) };
                op.end_of_stream(stream, problem);
                0
            }
            emit::CREDIT => self.granted(&op, stream, &data),
            emit::PROGRESS => match read(&data) {
                Some(progress) => op.progress(progress),
                None => self.breach(&op, "its progress cannot be read"),
            },
            emit::DONE => self.done(&op, &data),
            emit::FAULT => {
                let problem = read::<Problem>(&data).map(plain);
                let unread = || Problem::internal("the plugin failed and its problem cannot be read.");
                self.end(&op, Err(problem.unwrap_or_else(unread)));
                0
            }
            _ => self.message(&op, kind, stream, &data),
        }
    }

    fn done(&self, op: &Arc<Op>, data: &[u8]) -> i64 {
        match read::<Value>(data) {
            Some(value) => {
                self.end(op, Ok(value));
                0
            }
            None => self.breach(op, "its result is not JSON"),
        }
    }

    /// Messages that count against the operation's own credit.
    fn message(&self, op: &Arc<Op>, kind: u32, stream: u32, data: &[u8]) -> i64 {
        let cost = data.len() + 64;
        let Some(left) = op.spend(cost) else { return self.breach(op, "it sent more than it was granted") };
        let event = match kind {
            emit::ROWS => read::<Vec<Object>>(data).map(OpEvent::Rows),
            emit::WARN => read::<Problem>(data).map(|problem| OpEvent::Warn(plain(problem))),
            emit::CHECKPOINT => read(data).map(OpEvent::Checkpoint),
            emit::OPEN => return self.opened(op, stream, data, cost, left),
            _ => return self.breach(op, "it sent a message of an unknown kind"),
        };
        match event {
            Some(event) => {
                op.push(event, cost);
                left
            }
            None => self.breach(op, "a message cannot be read"),
        }
    }

    fn opened(&self, op: &Arc<Op>, stream: u32, data: &[u8], cost: usize, left: i64) -> i64 {
        let Some(open) = read::<OpenStream>(data) else { return self.breach(op, "a message cannot be read") };
        if stream.is_multiple_of(2) {
            return self.breach(op, "it opened a stream with a number of the host's");
        }
        let Some(duplex) = self.add_stream(op, stream) else { return self.breach(op, "it opened too many streams") };
        op.push(OpEvent::Open { name: neutral_text(&open.name), duplex }, cost);
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

    /// `request` of a plugin, on whichever way it came.
    pub(crate) fn requested(&self, op: u64, request: u64, method: &str, payload: &[u8]) {
        let Some(op) = self.operations.lock().get(&op).cloned() else {
            return self.reply(op, request, Err(Problem::new(Code::Cancelled, "the operation has ended.")));
        };
        if payload.len() > MAX_MESSAGE {
            return self.reply(op.id, request, Err(Problem::new(Code::Quota, "the request is too long.")));
        }
        let payload = match read::<Value>(payload) {
            Some(payload) if method.len() <= 100 => payload,
            _ => return self.reply(op.id, request, Err(Problem::bad_request("the request cannot be read."))),
        };
        if !op.begin_request(self.limits.requests) {
            let busy = Problem::new(Code::Busy, "the operation has too many requests at a time.");
            return self.reply(op.id, request, Err(busy));
        }
        let (Some(board), method) = (self.me.upgrade(), method.to_owned()) else { return };
        self.tasks.spawn_on(
            async move {
                let answer = tokio::select! {
                    answer = board.answer(&op, &method, payload) => answer,
                    () = op.over.cancelled() => Err(Problem::new(Code::Cancelled, "the operation has ended.")),
                };
                op.end_request();
                board.reply(op.id, request, answer);
            },
            &self.runtime,
        );
    }

    async fn answer(&self, op: &Arc<Op>, method: &str, payload: Value) -> Result<Value, Problem> {
        match method {
            FilesDir::METHOD => {
                FilesDir::read(payload)?;
                FilesDir::reply(&FilesPath { path: self.files.clone() })
            }
            ChannelOpen::METHOD => {
                let open = ChannelOpen::read(payload)?;
                let other = self.services.open_channel(&self.plugin, &op.call, &open.key).await?;
                let (stream, duplex) = self.open_numbered(op, "channel")?;
                self.tasks.spawn_on(duplex.carry_until(other, op.over.clone()), &self.runtime);
                ChannelOpen::reply(&ChannelOpened { stream })
            }
            _ => self.services.request(&self.plugin, &op.call, method, payload).await,
        }
    }

    fn reply(&self, op: u64, request: u64, answer: Result<Value, Problem>) {
        let reply = match answer {
            Ok(value) => Reply::Ok(value),
            Err(problem) => Reply::Fault(problem),
        };
        let data = serde_json::to_vec(&reply).unwrap_or_default();
        self.signal(op, signal::REPLY, request, &data);
    }

    /// `log` of a plugin, on whichever way it came.
    pub(crate) fn logged(&self, level: u8, target: &str, json: &[u8]) {
        if json.len() > LONGEST_RECORD || target.len() > 200 {
            return;
        }
        let Some(record @ Value::Object(_)) = read::<Value>(json) else { return };
        let level = Level::from_wire(level);
        if record.get("panic") == Some(&Value::Bool(true)) {
            let text = record.get("message").and_then(Value::as_str).unwrap_or_default();
            // Nobody listens once the plugin is stopped.
            let _ = self.notes.send(Note::Panicked(one_line(text)));
        }
        let op = record.get("op").and_then(Value::as_u64);
        if let Some(op) = op.and_then(|op| self.operations.lock().get(&op).cloned()) {
            op.log(OpEvent::Log { level, target: target.to_owned(), record: record.clone() });
        }
        self.services.log(&self.plugin, level, target, record);
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

fn read<T: DeserializeOwned>(data: &[u8]) -> Option<T> {
    serde_json::from_slice(data).ok()
}

fn cut_off() -> Problem {
    Problem::new(Code::Unavailable, "the stream was cut off.")
}

/// A plugin's problem without what could steer a terminal or fill a screen.
fn plain(mut problem: Problem) -> Problem {
    problem.message = one_line(&problem.message);
    problem.fix = problem.fix.map(|fix| one_line(&fix));
    problem.causes.truncate(16);
    problem
}

/// The first line of a text, neutral and of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let mut short: String = line.chars().take(500).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    neutral_text(&short)
}
