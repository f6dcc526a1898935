//! What is to be said to the administrator, whether or not it is connected. Only what may be lost waits here; results
//! and rows are in the journal, and the outbox merely says that there is something in it.

use parking_lot::Mutex;
use protocol::{FromAgent, JobReport, Outcome};
use schema::{Code, Problem, Progress};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

/// Most messages that wait.
const MOST_WAITING: usize = 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The outgoing side of the agent.
#[derive(Default)]
pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    connected: bool,
    waiting: VecDeque<FromAgent>,
    /// Latest value only.
    progress: HashMap<Uuid, Progress>,
    calls: HashMap<u64, oneshot::Sender<Outcome>>,
    next_call: u64,
    spool_changed: bool,
    results_due: bool,
}

/// What to send next.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) messages: Vec<FromAgent>,
    /// The spool has something new.
    pub(crate) spool: bool,
    /// Results in the journal are to be sent (again).
    pub(crate) results: bool,
}

impl Outbox {
    /// A session begins: what an earlier one left is void, the journal has what counts.
    pub(crate) fn connected(&self) {
        let mut inner = self.inner.lock();
        inner.waiting.clear();
        (inner.connected, inner.spool_changed, inner.results_due) = (true, true, true);
        self.wake.notify_one();
    }

    /// The session is over: nobody will answer what was asked.
    pub(crate) fn disconnected(&self) {
        let mut inner = self.inner.lock();
        inner.connected = false;
        inner.calls.clear();
        inner.waiting.clear();
        inner.progress.clear();
    }

    /// Says something that is void when the connection ends.
    pub(crate) fn say(&self, message: FromAgent) {
        let mut inner = self.inner.lock();
        if !inner.connected {
            return;
        }
        if inner.make_room() {
            inner.waiting.push_back(message);
        }
        self.wake.notify_one();
    }

    pub(crate) fn job(&self, job: Uuid, report: JobReport) {
        if !matches!(report, JobReport::Log { .. }) {
            self.inner.lock().progress.remove(&job);
        }
        self.say(FromAgent::Job { job, report });
    }

    pub(crate) fn progress(&self, job: Uuid, progress: Progress) {
        let mut inner = self.inner.lock();
        if inner.connected {
            inner.progress.insert(job, progress);
            self.wake.notify_one();
        }
    }

    pub(crate) fn spool_changed(&self) {
        self.inner.lock().spool_changed = true;
        self.wake.notify_one();
    }

    pub(crate) fn results_due(&self) {
        self.inner.lock().results_due = true;
        self.wake.notify_one();
    }

    /// Asks the administrator for something and waits for the answer.
    pub(crate) async fn request(&self, plugin: &str, method: &str, payload: Value) -> Result<Value, Problem> {
        let (_asked, answer) = {
            let mut inner = self.inner.lock();
            if !inner.connected {
                return Err(not_connected());
            }
            if !inner.make_room() {
                return Err(Problem::new(Code::Busy, "Too much waits for the administrator already."));
            }
            inner.next_call += 1;
            let call = inner.next_call;
            let (sender, answer) = oneshot::channel();
            inner.calls.insert(call, sender);
            let (plugin, method) = (plugin.to_owned(), method.to_owned());
            inner.waiting.push_back(FromAgent::Request { call, plugin, method, payload });
            (Asked { outbox: self, call }, answer)
        };
        self.wake.notify_one();
        match tokio::time::timeout(REQUEST_TIMEOUT, answer).await {
            Ok(Ok(outcome)) => outcome.into(),
            Ok(Err(_)) => Err(not_connected()),
            Err(_) => Err(Problem::new(Code::Deadline, "The administrator did not answer in time.")),
        }
    }

    pub(crate) fn answer(&self, call: u64, outcome: Outcome) {
        if let Some(waiting) = self.inner.lock().calls.remove(&call) {
            // Who asked may have given up.
            let _ = waiting.send(outcome);
        }
    }

    /// Waits until there is something to send. May be dropped while it waits.
    pub(crate) async fn due(&self) -> Due {
        loop {
            if let Some(due) = self.take() {
                return due;
            }
            self.wake.notified().await;
        }
    }

    pub(crate) fn take(&self) -> Option<Due> {
        let mut inner = self.inner.lock();
        let mut messages: Vec<FromAgent> = inner.waiting.drain(..).collect();
        let progress = inner.progress.drain().map(|(job, progress)| (job, JobReport::Progress { progress }));
        messages.extend(progress.map(|(job, report)| FromAgent::Job { job, report }));
        let due = Due {
            messages,
            spool: std::mem::take(&mut inner.spool_changed),
            results: std::mem::take(&mut inner.results_due),
        };
        (!due.messages.is_empty() || due.spool || due.results).then_some(due)
    }
}

impl Inner {
    /// Room for one more message: the oldest line of a log goes, else the oldest report of a job, which the journal
    /// has. False where neither waits.
    fn make_room(&mut self) -> bool {
        if self.waiting.len() < MOST_WAITING {
            return true;
        }
        let is_log = |message: &FromAgent| {
            matches!(message, FromAgent::Log { .. } | FromAgent::Job { report: JobReport::Log { .. }, .. })
        };
        let is_job = |message: &FromAgent| matches!(message, FromAgent::Job { .. });
        let droppable = self.waiting.iter().position(is_log).or_else(|| self.waiting.iter().position(is_job));
        self.results_due = true;
        droppable.is_some_and(|at| self.waiting.remove(at).is_some())
    }
}

/// A request under way; dropped, nobody waits for its answer.
struct Asked<'a> {
    outbox: &'a Outbox,
    call: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.outbox.inner.lock().calls.remove(&self.call);
    }
}

fn not_connected() -> Problem {
    Problem::new(Code::Unavailable, "The administrator is not connected.")
}

#[cfg(test)]
mod tests;
