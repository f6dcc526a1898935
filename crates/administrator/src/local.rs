//! Runs the jobs of the administrator itself: commands of the core and of plugins in their administrator role.
//!
//! The job row is the journal: a job is stored as running before it starts, and its end before anyone is told.

use crate::app::App;
use crate::{core, once, records};
use jiff::Timestamp;
use jobs::{Event, Job, JobId, LogLine, Outcome, Store as _};
use parking_lot::Mutex;
use plugin_host::{Duplex, Method, OpEvent, Operation};
use schema::{CallMeta, Code, JobEvent, JobState, OnInterrupt, Problem, Progress};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Shortest time between two stored values of a job's progress; watchers get every one.
const PROGRESS_PACE: Duration = Duration::from_millis(250);

/// How long a file that was sent whole waits for whoever is to save it.
const FETCHED: Duration = Duration::from_secs(60);

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
    streams: HashMap<String, Opened>,
}

/// A stream that a command opened.
pub(crate) struct Opened {
    pub(crate) duplex: Duplex,
    /// Name of the file that it is, where the command said one.
    pub(crate) file: Option<String>,
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
        let ended = run(&app, &job, &cancel, &abandon).await;
        app.local.running.lock().remove(&job.id);
        app.local.streams_changed.notify_waiters();
        // Only now, since what comes of it may start the job again.
        if let Err(problem) = tell(&app, &job, ended).await {
            let id = job.id;
            tracing::error!(job = %id, %problem, "the end of a job could not be stored; it is taken up at the next start");
        }
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
pub(crate) async fn take_stream(app: &App, id: JobId, name: &str) -> Result<Opened, Problem> {
    loop {
        let changed = app.local.streams_changed.notified();
        {
            let mut running = app.local.running.lock();
            let Some(job) = running.get_mut(&id) else {
                return Err(Problem::not_found("the job does not run any more, and its streams are gone with it."));
            };
            if let Some(stream) = job.streams.remove(name) {
                app.local.streams_changed.notify_waiters();
                return Ok(stream);
            }
        }
        changed.await;
    }
}

/// Why a run has no result.
enum Fault {
    Failed(Problem),
    /// The plugin went down under it: what becomes of it, its command says.
    CutOff(Problem),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Fault {
        Fault::Failed(problem)
    }
}

async fn run(
    app: &Arc<App>,
    job: &Job,
    cancel: &CancellationToken,
    abandon: &CancellationToken,
) -> Result<Outcome, Fault> {
    app.job_events(vec![(job.id, Event::Accepted), (job.id, Event::Started)]).await?;
    tokio::select! {
        ended = carry_out(app, job, cancel) => match ended {
            Err(Fault::CutOff(problem)) if cancel.is_cancelled() => {
                Err(Problem::new(Code::Cancelled, "it was cancelled, and its plugin went down.").caused_by(problem).into())
            }
            ended => ended,
        },
        () = abandon.cancelled() => {
            Err(Problem::new(Code::Cancelled, "it did not end by itself and was abandoned.").into())
        }
    }
}

async fn tell(app: &Arc<App>, job: &Job, ended: Result<Outcome, Fault>) -> Result<(), Problem> {
    let outcome = match ended {
        Ok(outcome) => outcome,
        Err(Fault::Failed(problem)) => Outcome { state: state_of(&problem), result: None, problem: Some(problem) },
        Err(Fault::CutOff(problem)) if job.on_interrupt == OnInterrupt::Report => {
            let cut = Problem::new(Code::Crashed, "The plugin crashed. It is not known how far the command came.")
                .fix("Look at what it left behind before you run it again.");
            Outcome { state: JobState::Unknown, result: None, problem: Some(cut.caused_by(problem)) }
        }
        Err(Fault::CutOff(_)) => return app.job_events(vec![(job.id, Event::Lost)]).await,
    };
    app.job_finished(job.id, &job.command, outcome).await
}

/// Milliseconds the job may still run.
fn remaining_ms(job: &Job, now: Timestamp) -> Result<Option<u64>, Problem> {
    let Some(seconds) = job.timeout_seconds else { return Ok(None) };
    let spent = job.accepted_at.map_or(0, |at| now.duration_since(at).as_secs().max(0).unsigned_abs());
    match seconds.checked_sub(spent) {
        Some(left) if left > 0 => Ok(Some(left.saturating_mul(1000))),
        _ => Err(Problem::new(Code::Deadline, format!("It was not done within its {seconds} seconds."))),
    }
}

fn state_of(problem: &Problem) -> JobState {
    if problem.code == Code::Cancelled { JobState::Cancelled } else { JobState::Failed }
}

async fn carry_out(app: &Arc<App>, job: &Job, cancel: &CancellationToken) -> Result<Outcome, Fault> {
    let input = app.whole_input(job)?;
    if job.command.split_once('.').is_some_and(|(name, _)| name == core::NAME) {
        return Ok(succeeded(core::run(app, job, input).await?));
    }
    let meta = CallMeta {
        job: Some(job.id.to_string()),
        operator: Some(job.operator.name.clone()),
        timeout_ms: remaining_ms(job, Timestamp::now())?,
        checkpoint: job.checkpoint.clone(),
        attempt: job.attempt.saturating_sub(1),
        ..CallMeta::default()
    };
    let name = job.command.split('.').next().unwrap_or_default();
    let operation = app.host.call(name, Method::Command(job.command.clone()), meta, Value::Object(input)).await?;
    follow(app, job.id, operation, cancel).await.map_err(|problem| match problem.code {
        Code::Crashed => Fault::CutOff(problem),
        _ => Fault::Failed(problem),
    })
}

fn succeeded(result: Value) -> Outcome {
    Outcome { state: JobState::Succeeded, result: Some(result), problem: None }
}

async fn follow(
    app: &Arc<App>,
    id: JobId,
    mut operation: Operation,
    cancel: &CancellationToken,
) -> Result<Outcome, Problem> {
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
            None => return Err(Problem::new(Code::Crashed, "the command ended without a word.")),
            Some(OpEvent::Done(result)) => {
                fetched(app, id, cancel).await;
                return Ok(succeeded(result));
            }
            Some(OpEvent::Part(result, problem)) => {
                fetched(app, id, cancel).await;
                return Ok(Outcome { state: JobState::Incomplete, result: Some(result), problem: Some(problem) });
            }
            Some(OpEvent::Fault(problem)) => return Err(problem),
            Some(OpEvent::Progress(progress)) => report(app, id, progress, &mut stored_at).await?,
            Some(OpEvent::Log { level, record, .. }) => {
                let text =
                    record.get("message").and_then(Value::as_str).map_or_else(|| record.to_string(), str::to_owned);
                log(app, id, level.as_str(), text).await?;
            }
            Some(OpEvent::Warn(problem)) => log(app, id, "warn", problem.to_string()).await?,
            Some(OpEvent::Open { name, file, duplex }) => {
                if let Some(job) = app.local.running.lock().get_mut(&id) {
                    job.streams.insert(name, Opened { duplex, file });
                }
                app.local.streams_changed.notify_waiters();
            }
            Some(OpEvent::Checkpoint(value)) => app.job_events(vec![(id, Event::Checkpoint(value))]).await?,
            Some(OpEvent::Rows(_)) => {}
        }
    }
}

/// Waits until the files that a command sent are taken: it may have sent all of one before anybody could come for it.
async fn fetched(app: &App, id: JobId, cancel: &CancellationToken) {
    let all_taken = async {
        loop {
            let changed = app.local.streams_changed.notified();
            let waits = |job: &Running| job.streams.values().any(|stream| stream.file.is_some());
            if !app.local.running.lock().get(&id).is_some_and(waits) {
                return;
            }
            changed.await;
        }
    };
    tokio::select! {
        () = all_taken => {}
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(FETCHED) => {}
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

    /// Stores the end of a job. A result that is not what its command declares is none; what is secret in one is kept
    /// for the operator who asked, once, and not stored.
    pub(crate) async fn job_finished(
        self: &Arc<App>,
        id: JobId,
        command: &str,
        mut outcome: Outcome,
    ) -> Result<(), Problem> {
        if let (Ok((_, command)), Some(result)) = (self.modules.current().command(command), &mut outcome.result) {
            match surface::validate_output(command, result) {
                Ok(()) => self.once.keep(id, once::secret_properties(command.output.as_ref()), result),
                Err(misfit) => {
                    let problem = Some(outcome.problem.take().into_iter().fold(misfit, Problem::caused_by));
                    outcome = Outcome { state: JobState::Failed, result: None, problem };
                }
            }
        }
        let of_core = command.split_once('.').is_some_and(|(name, _)| name == core::NAME);
        let record = of_core.then(|| records::ended(id, command, &outcome));
        self.apply_with(vec![(id, Event::Finished(outcome))], record).await
    }
}
