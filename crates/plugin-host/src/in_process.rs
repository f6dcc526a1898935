//! The transport inside this process: a thread that calls the plugin, so that one that blocks blocks nobody else.

use crate::switchboard::Link;
use abi::PluginObject;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A plugin in this process.
pub(crate) struct InProcess {
    verbs: Sender<Verb>,
    watch: Arc<Watch>,
}

#[derive(Default)]
struct Watch {
    /// When the call that is running began.
    busy: Mutex<Option<Instant>>,
    called: Notify,
}

enum Verb {
    Start { op: u64, method: String, meta: Vec<u8>, payload: Vec<u8> },
    Signal { op: u64, kind: u32, arg: u64, data: Vec<u8> },
    Feed { op: u64, stream: u32, frame: Bytes },
}

impl InProcess {
    /// # Errors
    /// No thread can be started.
    pub(crate) fn new(name: &str, plugin: PluginObject) -> std::io::Result<InProcess> {
        let (verbs, received) = channel();
        let watch = Arc::new(Watch::default());
        let thread = std::thread::Builder::new().name(format!("plugin {name}"));
        let seen = watch.clone();
        thread.spawn(move || carry(&received, &plugin, &seen))?;
        Ok(InProcess { verbs, watch })
    }

    /// Returns once a call has not come back for `hang`.
    pub(crate) async fn hung(&self, hang: Duration) {
        loop {
            self.watch.called.notified().await;
            loop {
                tokio::time::sleep(hang / 4).await;
                match *self.watch.busy.lock() {
                    Some(since) if since.elapsed() >= hang => return,
                    Some(_) => {}
                    None => break,
                }
            }
        }
    }

    fn send(&self, verb: Verb) {
        // The thread ends only with this sender.
        let _ = self.verbs.send(verb);
        self.watch.called.notify_one();
    }
}

impl Link for InProcess {
    fn start(&self, op: u64, method: &str, meta: Vec<u8>, payload: Vec<u8>) {
        self.send(Verb::Start { op, method: method.to_owned(), meta, payload });
    }

    fn signal(&self, op: u64, kind: u32, arg: u64, data: &[u8]) {
        self.send(Verb::Signal { op, kind, arg, data: data.to_vec() });
    }

    fn feed(&self, op: u64, stream: u32, frame: Bytes) {
        self.send(Verb::Feed { op, stream, frame });
    }
}

/// Runs code of a plugin on a thread of its own, so that one that never comes back blocks neither the runtime nor its
/// end. The answer is lost where the code panics.
pub(crate) async fn apart<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    let (answer, waiting) = tokio::sync::oneshot::channel();
    // Whoever waits may have stopped waiting.
    let work = move || drop(answer.send(work()));
    std::thread::Builder::new().name("plugin opening".to_owned()).spawn(work).map_err(|_| NoAnswer::Panicked)?;
    match tokio::time::timeout(limit, waiting).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(_)) => Err(NoAnswer::Panicked),
        Err(_) => Err(NoAnswer::Late),
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Late,
    Panicked,
}

fn carry(verbs: &Receiver<Verb>, plugin: &PluginObject, watch: &Watch) {
    while let Ok(verb) = verbs.recv() {
        *watch.busy.lock() = Some(Instant::now());
        match verb {
            Verb::Start { op, method, meta, payload } => plugin.start(op, &method, &meta, &payload),
            Verb::Signal { op, kind, arg, data } => plugin.signal(op, kind, arg, &data),
            Verb::Feed { op, stream, frame } => {
                // A stream that is over needs no answer: its end is on the way.
                plugin.feed(op, stream, Vec::from(frame));
            }
        }
        *watch.busy.lock() = None;
    }
}
