//! Runs the jobs of the administrator itself: commands of the core and of plugins in their administrator role.
//!
//! The job row is the journal: a job is stored as running before it starts, and its end before anyone is told.

use crate::app::App;
use crate::core;
use jiff::Timestamp;
use jobs::{Event, Job, JobId, LogLine, Outcome, Store as _};
use parking_lot::Mutex;
use plugin_host::{Duplex, Method, OpEvent, Operation};
use schema::{CallMeta, Code, JobEvent, JobState, Problem, Progress};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Shortest time between two stored values of a job's progress; watchers get every one.
const PROGRESS_PACE: Duration = Duration::from_millis(250);

/// The administrator's own running jobs.
#[derive(Default)]
pub(crate) struct Local {
    running: Mutex<HashMap<JobId, Running>>,
    /// A stream was opened, or a job ended.
    streams_changed: Notify,
}

struct Running {
    cancel: CancellationToken,
    abandon: CancellationToken,
    /// Opened by the command and not yet taken by an operator's client.
    streams: HashMap<String, Duplex>,
}

/// Starts a job unless it runs already.
pub(crate) fn start(app: &Arc<App>, job: &Job) {
    let (cancel, abandon) = (CancellationToken::new(), CancellationToken::new());
    {
        let mut running = app.local.running.lock();
        if running.contains_key(&job.id) {
            return;
        }
        let entry = Running { cancel: cancel.clone(), abandon: abandon.clone(), streams: HashMap::new() };
        running.insert(job.id, entry);
    }
    let (app, job) = (app.clone(), job.clone());
    app.runtime.clone().spawn(async move {
        let id = job.id;
        if let Err(problem) = run(&app, job, cancel, abandon).await {
            tracing::error!(job = %id, %problem, "the end of a job could not be stored; it is taken up at the next start");
        }
        app.local.running.lock().remove(&id);
        app.local.streams_changed.notify_waiters();
    });
}

/// Asks a running job to end; with `abandon` its end is not waited for.
pub(crate) fn cancel(app: &Arc<App>, id: JobId, abandon: bool) {
    let running = app.local.running.lock();
    if let Some(job) = running.get(&id) {
        job.cancel.cancel();
        if abandon {
            job.abandon.cancel();
        }
    }
}

/// Takes a stream that a running job opened, waiting for it until the job ends.
///
/// # Errors
/// `not_found` where the job ended, or its stream is taken.
pub(crate) async fn take_stream(app: &App, id: JobId, name: &str) -> Result<Duplex, Problem> {
    loop {
        let changed = app.local.streams_changed.notified();
        {
            let mut running = app.local.running.lock();
            let Some(job) = running.get_mut(&id) else {
                return Err(Problem::not_found("the job does not run any more, and its streams are gone with it."));
            };
            if let Some(stream) = job.streams.remove(name) {
                return Ok(stream);
            }
        }
        changed.await;
    }
}

async fn run(app: &Arc<App>, job: Job, cancel: CancellationToken, abandon: CancellationToken) -> Result<(), Problem> {
    app.job_events(vec![(job.id, Event::Accepted), (job.id, Event::Started)]).await?;
    let ended = tokio::select! {
        ended = carry_out(app, &job, &cancel) => ended,
        () = abandon.cancelled() => Err(Problem::new(Code::Cancelled, "it did not end by itself and was abandoned.")),
    };
    let outcome = match ended {
        Ok(result) => Outcome { state: JobState::Succeeded, result: Some(result), problem: None },
        Err(problem) => Outcome { state: state_of(&problem), result: None, problem: Some(problem) },
    };
    app.job_finished(job.id, &job.command, outcome).await
}

fn state_of(problem: &Problem) -> JobState {
    if problem.code == Code::Cancelled { JobState::Cancelled } else { JobState::Failed }
}

async fn carry_out(app: &Arc<App>, job: &Job, cancel: &CancellationToken) -> Result<Value, Problem> {
    let mut input = job.input.clone();
    input.extend(app.take_secrets(job.id, &job.command)?);
    if job.command.split_once('.').is_some_and(|(name, _)| name == core::NAME) {
        return core::run(app, job, input).await;
    }
    let meta = CallMeta {
        job: Some(job.id.to_string()),
        operator: Some(job.operator.name.clone()),
        timeout_ms: job.timeout_seconds.map(|seconds| seconds.saturating_mul(1000)),
        ..CallMeta::default()
    };
    let name = job.command.split('.').next().unwrap_or_default();
    let operation = app.host.call(name, Method::Command(job.command.clone()), meta, Value::Object(input)).await?;
    follow(app, job.id, operation, cancel).await
}

async fn follow(
    app: &Arc<App>,
    id: JobId,
    mut operation: Operation,
    cancel: &CancellationToken,
) -> Result<Value, Problem> {
    let mut stored_at: Option<Instant> = None;
    let mut cancelled = false;
    loop {
        let event = tokio::select! {
            event = operation.next() => event,
            () = cancel.cancelled(), if !cancelled => {
                cancelled = true;
                operation.cancel();
                continue;
            }
        };
        match event {
            None => return Err(Problem::internal("the command ended without a result.")),
            Some(OpEvent::Done(value)) => return Ok(value),
            Some(OpEvent::Fault(problem)) => return Err(problem),
            Some(OpEvent::Progress(progress)) => report(app, id, progress, &mut stored_at).await?,
            Some(OpEvent::Log { level, record, .. }) => {
                let text =
                    record.get("message").and_then(Value::as_str).map_or_else(|| record.to_string(), str::to_owned);
                log(app, id, level.as_str(), text).await?;
            }
            Some(OpEvent::Warn(problem)) => log(app, id, "warn", problem.to_string()).await?,
            Some(OpEvent::Open { name, duplex }) => {
                if let Some(job) = app.local.running.lock().get_mut(&id) {
                    job.streams.insert(name, duplex);
                }
                app.local.streams_changed.notify_waiters();
            }
            Some(OpEvent::Rows(_) | OpEvent::Checkpoint(_)) => {}
        }
    }
}

async fn report(app: &Arc<App>, id: JobId, progress: Progress, stored_at: &mut Option<Instant>) -> Result<(), Problem> {
    if stored_at.is_some_and(|at| at.elapsed() < PROGRESS_PACE) {
        drop(app.told.send((id, JobEvent::Progress { progress })));
        return Ok(());
    }
    *stored_at = Some(Instant::now());
    app.job_events(vec![(id, Event::Progress(progress))]).await
}

async fn log(app: &Arc<App>, id: JobId, level: &str, text: String) -> Result<(), Problem> {
    app.job_log(id, LogLine { at: Timestamp::now(), level: level.to_owned(), text }).await
}

impl App {
    /// Appends a line to the log of a job and tells those who watch.
    pub(crate) async fn job_log(&self, id: JobId, line: LogLine) -> Result<(), Problem> {
        let event = JobEvent::Log { at: line.at.to_string(), level: line.level.clone(), text: line.text.clone() };
        self.database.write(move |store| Ok(store.append_log(id, &[line])?)).await?;
        drop(self.told.send((id, event)));
        Ok(())
    }

    /// Stores the end of a job; what is secret in its result is kept for the operator who asked, once, and not stored.
    pub(crate) async fn job_finished(
        self: &Arc<App>,
        id: JobId,
        command: &str,
        mut outcome: Outcome,
    ) -> Result<(), Problem> {
        if let Some(result) = &mut outcome.result {
            self.once.keep(id, self.secret_outputs(command), result);
        }
        self.job_events(vec![(id, Event::Finished(outcome))]).await
    }
}
