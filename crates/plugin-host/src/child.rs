//! The host's end of a runner: starts it, reads what its plugin says, writes what its callers want.

mod outbox;

use crate::switchboard::{Link, Switchboard, one_line};
use crate::wire::{Failed, Frame, Hello, Malformed, Setup};
use crate::{RunnerProgram, Sandbox};
use bytes::{Bytes, BytesMut};
use outbox::Outbox;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::os::unix::net::UnixStream as StdStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Bytes asked for in one read.
const READ: usize = 256 * 1024;
/// How long a runner that has nothing more to do may take to be gone.
const EXIT: Duration = Duration::from_secs(1);
/// Last lines of a runner's error output that are kept.
const LINES: usize = 20;

/// Starts children from one thread that lives as long as the host: the kernel ends a runner with the *thread* that
/// started it, and threads of the runtime come and go.
#[derive(Clone)]
pub(crate) struct Spawner(std::sync::mpsc::Sender<Box<dyn FnOnce() + Send>>);

impl Spawner {
    /// # Errors
    /// No thread can be started.
    pub(crate) fn new() -> std::io::Result<Spawner> {
        let (work, received) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let thread = std::thread::Builder::new().name("plugin runners".to_owned());
        thread.spawn(move || received.iter().for_each(|work| work()))?;
        Ok(Spawner(work))
    }

    async fn spawn(&self, program: &RunnerProgram, socket: StdStream) -> std::io::Result<Child> {
        let mut command = tokio::process::Command::new(&program.program);
        command.args(&program.args).env_clear().kill_on_drop(true).process_group(0);
        command.envs(
            ["PATH", "LANG", "TZ", "RUST_BACKTRACE"]
                .into_iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket))).stdout(Stdio::null()).stderr(Stdio::piped());
        let (answer, child) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let work = Box::new(move || {
            let _runtime = runtime.enter();
            // Whoever asked may be gone; the child then ends with this result.
            drop(answer.send(command.spawn()));
        });
        self.0.send(work).map_err(|_| std::io::Error::other("the thread that starts runners is gone"))?;
        child.await.map_err(|_| std::io::Error::other("the thread that starts runners is gone"))?
    }
}

/// A runner that was started.
pub(crate) struct Runner {
    pub(crate) pid: u32,
    child: Child,
    group: Group,
    outbox: Arc<Outbox>,
    pings: Arc<Pings>,
    reader: Reader,
    errors: Arc<Mutex<VecDeque<String>>>,
    /// Ends when nobody can write to the error output any more.
    last_words: Option<JoinHandle<()>>,
}

/// The processes of a runner: the plugin's own and those it starts, which cannot leave the group.
struct Group(Option<rustix::process::Pid>);

impl Group {
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // It may have ended by itself in the meantime.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Why a runner is not served any longer.
enum Why {
    /// It was asked to end.
    Asked,
    /// It closed its end of the socket.
    Closed,
    /// The process has ended.
    Gone,
    /// It has to be ended, for this cause.
    Fault(String),
}

/// Why a runner could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotStarted {
    #[error("the runner could not be started: {0}")]
    Io(#[from] std::io::Error),
    #[error("{}", .0.cause)]
    Failed(Failed),
    #[error("{0}")]
    Ended(String),
}

/// How a runner ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What happened, in a line.
    pub(crate) cause: String,
    /// It was not asked to.
    pub(crate) crashed: bool,
}

impl Runner {
    /// Starts a runner and waits until it has said what it holds. Ended by dropping it.
    pub(crate) async fn start(
        spawner: &Spawner,
        program: &RunnerProgram,
        setup: &Setup,
        tasks: &TaskTracker,
    ) -> Result<(Runner, Sandbox, Hello), NotStarted> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut child = spawner.spawn(program, theirs).await?;
        let pid = child.id().unwrap_or(0);
        let errors = Arc::new(Mutex::new(VecDeque::new()));
        let group = Group(i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw));
        let last_words = child.stderr.take().map(|stderr| tasks.spawn(keep_last_lines(stderr, errors.clone())));
        let outbox = Arc::new(Outbox::new(ours.try_clone()?)?);
        tasks.spawn(outbox.clone().write_out());
        let reader = Reader { socket: UnixStream::from_std(ours)?, buffer: BytesMut::new() };
        let mut runner = Runner { pid, child, group, outbox, pings: Arc::default(), reader, errors, last_words };
        let setup = serde_json::to_vec(setup).map_err(std::io::Error::other)?;
        runner.outbox.send(Frame::Setup(setup.into()));
        let unread = |e: serde_json::Error| NotStarted::Ended(format!("the runner's message cannot be read: {e}"));
        let sandbox = match runner.reader.next().await {
            Ok(Some(Frame::Confined(json))) => serde_json::from_slice(&json).map_err(unread)?,
            other => return Err(runner.not_started(other).await),
        };
        match runner.reader.next().await {
            Ok(Some(Frame::Hello(json))) => Ok((runner, sandbox, serde_json::from_slice(&json).map_err(unread)?)),
            other => Err(runner.not_started(other).await),
        }
    }

    /// Waits until the plugin is open.
    pub(crate) async fn ready(&mut self) -> Result<(), NotStarted> {
        loop {
            match self.reader.next().await {
                Ok(Some(Frame::Ready)) => return Ok(()),
                Ok(Some(Frame::Log { .. })) => {}
                other => return Err(self.not_started(other).await),
            }
        }
    }

    async fn not_started(&mut self, read: Result<Option<Frame>, Malformed>) -> NotStarted {
        match read {
            Ok(Some(Frame::Failed(json))) => match serde_json::from_slice::<Failed>(&json) {
                // It may be the plugin that says so.
                Ok(failed) => NotStarted::Failed(Failed {
                    cause: one_line(&failed.cause),
                    remedy: one_line(&failed.remedy),
                    details: failed.details,
                }),
                Err(e) => NotStarted::Ended(format!("the runner's message cannot be read: {e}")),
            },
            Err(malformed) => NotStarted::Ended(format!("the runner sent {malformed}")),
            Ok(Some(_)) => NotStarted::Ended("the runner spoke before it was asked".to_owned()),
            Ok(None) => {
                let ended = tokio::time::timeout(EXIT, self.child.wait()).await;
                self.group.kill();
                let status = ended.ok().and_then(Result::ok);
                NotStarted::Ended(self.post_mortem(status.as_ref()).await)
            }
        }
    }

    pub(crate) fn link(&self) -> Arc<RunnerLink> {
        Arc::new(RunnerLink { outbox: self.outbox.clone(), pings: self.pings.clone() })
    }

    /// Carries what the plugin says to `board` until the runner ends, hangs, or is told to `stop`. Afterwards nothing of
    /// it runs any more.
    pub(crate) async fn serve(
        &mut self,
        board: &Arc<Switchboard>,
        hang: Duration,
        mut stop: watch::Receiver<Option<String>>,
    ) -> Ended {
        let (reader, child, outbox, pings) = (&mut self.reader, &mut self.child, &self.outbox, &*self.pings);
        let why = tokio::select! {
            malformed = reader.carry(board, pings) => match malformed {
                Some(malformed) => Why::Fault(format!("the plugin sent {malformed}")),
                None => Why::Closed,
            },
            // It is the process that ends, whoever else may hold the socket.
            _ = child.wait() => Why::Gone,
            () = pings.hung(outbox, hang) => {
                Why::Fault(format!("the plugin did not return from a call for {} s", hang.as_secs_f64()))
            }
            () = outbox.overfull() => Why::Fault("the plugin does not take what it is sent".to_owned()),
            reason = async { stop.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone()) } => {
                reason.filter(|reason| !reason.is_empty()).map_or(Why::Asked, Why::Fault)
            }
        };
        outbox.finish();
        let by_itself =
            matches!(why, Why::Closed | Why::Asked) && tokio::time::timeout(EXIT, child.wait()).await.is_ok();
        self.group.kill();
        let status = child.wait().await;
        if matches!(why, Why::Gone) {
            // What it had written is still in the socket; one that escaped and holds it is not waited for.
            let _ = tokio::time::timeout(EXIT, reader.carry(board, pings)).await;
        }
        let cause = match &why {
            Why::Fault(cause) => cause.clone(),
            Why::Closed if !by_itself => "the plugin closed its connection to the host and went on".to_owned(),
            _ => self.post_mortem(status.as_ref().ok()).await,
        };
        self.outbox.close();
        Ended { cause, crashed: !matches!(why, Why::Asked) }
    }

    /// What the exit status and the last words say, in a line.
    async fn post_mortem(&mut self, status: Option<&ExitStatus>) -> String {
        let how = match status.map(|status| (status.signal(), status.code())) {
            Some((Some(signal), _)) => format!("the plugin crashed with {}", signal_name(signal)),
            Some((_, Some(0))) => "the plugin ended the runner".to_owned(),
            Some((_, Some(code))) => format!("the plugin ended the runner with exit code {code}"),
            _ => "the runner is gone".to_owned(),
        };
        if let Some(last_words) = self.last_words.take() {
            // Nothing of it is left that could write more, or it escaped and is not waited for.
            let _ = tokio::time::timeout(EXIT, last_words).await;
        }
        let lines = self.errors.lock();
        let panic = lines.iter().rev().find(|line| line.contains("panicked at") || line.contains("allocation"));
        panic.or(lines.back()).map_or(how.clone(), |line| format!("{how}: {line}"))
    }
}

fn signal_name(signal: i32) -> String {
    match signal {
        libc::SIGSEGV => "SIGSEGV".to_owned(),
        libc::SIGABRT => "SIGABRT".to_owned(),
        libc::SIGBUS => "SIGBUS".to_owned(),
        libc::SIGILL => "SIGILL".to_owned(),
        libc::SIGFPE => "SIGFPE".to_owned(),
        libc::SIGKILL => "SIGKILL".to_owned(),
        libc::SIGSYS => "SIGSYS".to_owned(),
        other => format!("signal {other}"),
    }
}

async fn keep_last_lines(stderr: ChildStderr, kept: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without an end is cut, so that it cannot fill the memory.
        match (&mut lines).take(4096).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = one_line(&String::from_utf8_lossy(&line));
        if !text.is_empty() && !text.starts_with("note:") {
            let mut kept = kept.lock();
            kept.push_back(text);
            if kept.len() > LINES {
                // What a panic said is followed by where it came from, which may be long.
                let least = kept.iter().position(|line| !line.contains("panicked at")).unwrap_or(0);
                kept.remove(least);
            }
        }
    }
}

struct Reader {
    socket: UnixStream,
    buffer: BytesMut,
}

impl Reader {
    /// The next frame; nothing where the runner closed its end.
    async fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(READ);
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    /// Carries frames until the runner ends, or sends what is none.
    async fn carry(&mut self, board: &Switchboard, pings: &Pings) -> Option<Malformed> {
        loop {
            match self.next().await {
                Ok(Some(frame)) => carry_one(frame, board, pings),
                Ok(None) => return None,
                Err(malformed) => return Some(malformed),
            }
        }
    }
}

fn carry_one(frame: Frame, board: &Switchboard, pings: &Pings) {
    match frame {
        Frame::Emit { op, kind, stream, data } => {
            // The plugin was answered by its runner; a breach ends the operation here.
            board.emitted(op, kind, stream, data);
        }
        Frame::Request { op, request, method, payload } => board.requested(op, request, &method, &payload),
        Frame::Log { level, target, json } => board.logged(level, &target, &json),
        Frame::Pong(n) => pings.answered(n),
        // What only a host sends has no meaning here.
        _ => {}
    }
}

/// How verbs reach a plugin in a runner.
pub(crate) struct RunnerLink {
    outbox: Arc<Outbox>,
    pings: Arc<Pings>,
}

impl RunnerLink {
    fn send(&self, frame: Frame) {
        self.outbox.send(frame);
        self.pings.called();
    }
}

impl Link for RunnerLink {
    fn start(&self, op: u64, method: &str, meta: Vec<u8>, payload: Vec<u8>) {
        self.send(Frame::Start { op, method: method.to_owned(), meta: meta.into(), payload: payload.into() });
    }

    fn signal(&self, op: u64, kind: u32, arg: u64, data: &[u8]) {
        self.send(Frame::Signal { op, kind, arg, data: Bytes::copy_from_slice(data) });
    }

    fn feed(&self, op: u64, stream: u32, frame: Bytes) {
        self.send(Frame::Feed { op, stream, frame });
    }
}

/// Notices a plugin that does not return from a call: a ping is answered only after the calls before it. Nothing is
/// sent while nothing is called, so an idle plugin is never woken.
#[derive(Default)]
struct Pings {
    waiting: AtomicBool,
    unanswered: AtomicBool,
    wake: Notify,
    sent: AtomicU64,
    answered: AtomicU64,
    pong: Notify,
}

impl Pings {
    fn called(&self) {
        self.unanswered.store(true, Ordering::Release);
        if self.waiting.load(Ordering::Acquire) {
            self.wake.notify_one();
        }
    }

    fn answered(&self, n: u64) {
        // An answer to what was never asked would be one to everything that follows.
        if n <= self.sent.load(Ordering::Acquire) {
            self.answered.fetch_max(n, Ordering::AcqRel);
            self.pong.notify_one();
        }
    }

    /// Returns once a ping was not answered for `hang`.
    async fn hung(&self, outbox: &Outbox, hang: Duration) {
        loop {
            self.waiting.store(true, Ordering::Release);
            if !self.unanswered.swap(false, Ordering::AcqRel) {
                self.wake.notified().await;
            }
            self.waiting.store(false, Ordering::Release);
            tokio::time::sleep(hang / 4).await;
            self.unanswered.store(false, Ordering::Release);
            let n = self.sent.fetch_add(1, Ordering::AcqRel) + 1;
            outbox.send(Frame::Ping(n));
            let answered = async {
                while self.answered.load(Ordering::Acquire) < n {
                    self.pong.notified().await;
                }
            };
            if tokio::time::timeout(hang, answered).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_to_no_question_is_none() {
        let (ours, _theirs) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let outbox = Outbox::new(ours).unwrap();
        let pings = Pings::default();
        pings.called();
        pings.answered(u64::MAX);
        let hung = pings.hung(&outbox, Duration::from_millis(20));
        tokio::time::timeout(Duration::from_secs(20), hung).await.unwrap();
    }

    #[tokio::test]
    async fn a_runner_that_reads_nothing_is_noticed_before_it_fills_the_memory() {
        let (ours, _theirs) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let outbox = Outbox::new(ours).unwrap();
        let piece = Bytes::from(vec![0; 1024 * 1024]);
        for _ in 0..outbox::MOST_WAITING / piece.len() + 4 {
            outbox.send(Frame::Feed { op: 1, stream: 1, frame: piece.clone() });
        }
        tokio::time::timeout(Duration::from_secs(20), outbox.overfull()).await.unwrap();
        assert!(outbox.waiting() <= outbox::MOST_WAITING + 2 * piece.len());
    }
}
