//! Jobs of this machine: taken over durably, started once, and ended with a result that is repeated until the
//! administrator has it.

mod secrets;
mod streams;

pub(crate) use streams::Streams;

use crate::core::Core;
use crate::journal::{JobRecord, JournalError, Phase};
use crate::state::StateError;
use jiff::Timestamp;
use parking_lot::Mutex;
use plugin_host::{CallMeta, Method, OpEvent, Operation};
use protocol::{Assign, Frame, FrameError, FromAgent, JobReport};
use schema::{Code, JobState, OnInterrupt, Problem};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long a job waits for its plugin after the agent was started.
const PLUGIN_WAIT: Duration = Duration::from_secs(60);
/// How often a job is begun at most, where its command may be run again.
const MOST_ATTEMPTS: u32 = 5;
/// Pauses between attempts to store the end of a job.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a cancelled operation may take before its job is ended without it.
const CANCEL_GRACE: Duration = Duration::from_secs(8);

/// The jobs that run now.
#[derive(Default)]
pub(crate) struct Running {
    live: Mutex<HashMap<Uuid, Arc<Live>>>,
    /// Held from a look at the journal until what follows from it is done, so that a job is begun once.
    taking: tokio::sync::Mutex<()>,
}

/// One running job, for those who want something of it.
pub(crate) struct Live {
    cancel: CancellationToken,
    pub(crate) streams: Streams,
}

impl Running {
    pub(crate) fn get(&self, job: Uuid) -> Option<Arc<Live>> {
        self.live.lock().get(&job).cloned()
    }
}

/// Why a job was not taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    State(#[from] StateError),
}

/// How a run ended.
struct End {
    state: JobState,
    result: Option<Value>,
    problem: Option<Problem>,
}

impl End {
    fn problem(state: JobState, problem: Problem) -> End {
        End { state, result: None, problem: Some(problem) }
    }
}

/// Takes a job over, or says again how it stands. An error means that it was not taken over. Where it is dropped
/// halfway, the job may be in the journal without running, until it is assigned again or [`go_on`] finds it.
pub(crate) async fn assign(core: &Arc<Core>, assign: Assign) -> Result<(), NotTaken> {
    let job = assign.job;
    let _taking = core.running.taking.lock().await;
    // Looked at before the journal: what has ended meanwhile is not begun again.
    let live = core.running.get(job).is_some();
    let record = match core.with_journal(move |journal| journal.job(job)).await? {
        Some(known) => known,
        None => take_over(core, assign).await?,
    };
    if let Phase::Finished { .. } = record.phase {
        core.outbox.job(job, report(&record.phase));
        return Ok(());
    }
    core.outbox.job(job, JobReport::Accepted);
    if !live {
        start(core, job, record);
    } else if record.phase == Phase::Running {
        core.outbox.job(job, JobReport::Running);
    }
    Ok(())
}

async fn take_over(core: &Arc<Core>, mut assign: Assign) -> Result<JobRecord, NotTaken> {
    let (job, own) = (assign.job, Arc::clone(core));
    let refused = core.policy.allows(&assign.command).err();
    let (attempts, checkpoint, accepted_at) = (0, None, Timestamp::now());
    let write = tokio::task::spawn_blocking(move || {
        let (assign, phase) = match refused {
            Some(problem) => (None, finished(End::problem(JobState::Refused, problem))),
            None => {
                secrets::put_aside(&own, &mut assign)?;
                (Some(assign), Phase::Accepted)
            }
        };
        let record = JobRecord { assign, phase, attempts, checkpoint, accepted_at };
        own.journal.accept(job, &record)?;
        Ok(record)
    });
    write.await.expect("the journal does not panic")
}

/// Cancels a job. One that never came here will not run when it comes.
pub(crate) async fn cancel(core: &Arc<Core>, job: Uuid) -> Result<(), JournalError> {
    let _taking = core.running.taking.lock().await;
    if let Some(live) = core.running.get(job) {
        live.cancel.cancel();
        return Ok(());
    }
    let end = End::problem(JobState::Cancelled, Problem::new(Code::Cancelled, "It was cancelled before it began."));
    let (phase, accepted_at) = (finished(end), Timestamp::now());
    let record = JobRecord { assign: None, phase, attempts: 0, checkpoint: None, accepted_at };
    match core.with_journal(move |journal| journal.accept(job, &record)).await? {
        Some(known) if !matches!(known.phase, Phase::Finished { .. }) => start(core, job, known).cancel.cancel(),
        _ => core.outbox.results_due(),
    }
    Ok(())
}

/// Goes on with the jobs of the journal that do not run: those that an earlier life of the agent left.
pub(crate) async fn go_on(core: &Arc<Core>) -> Result<(), JournalError> {
    let _taking = core.running.taking.lock().await;
    let live: HashSet<Uuid> = core.running.live.lock().keys().copied().collect();
    let open = core.with_journal(super::journal::Journal::open_jobs).await?;
    secrets::sweep(core, &open.iter().copied().collect());
    for job in open {
        if live.contains(&job) {
            continue;
        }
        match core.with_journal(move |journal| journal.job(job)).await? {
            Some(record) if !matches!(record.phase, Phase::Finished { .. }) => drop(start(core, job, record)),
            _ => {}
        }
    }
    Ok(())
}

/// What is said of a job in this phase.
pub(crate) fn report(phase: &Phase) -> JobReport {
    match phase {
        Phase::Accepted => JobReport::Accepted,
        Phase::Running => JobReport::Running,
        Phase::Finished { state, result, problem, ended_at, .. } => JobReport::Finished {
            state: *state,
            result: result.clone(),
            problem: problem.clone(),
            ended_at: ended_at.to_string(),
        },
    }
}

fn cut_off(how: &str) -> End {
    let problem = Problem::new(Code::Crashed, format!("{how} It is not known how far the command came."))
        .fix("Look at the machine, then run it again if need be.");
    End::problem(JobState::Unknown, problem)
}

fn finished(end: End) -> Phase {
    let End { state, result, problem } = end;
    Phase::Finished { state, result, problem, ended_at: Timestamp::now(), acknowledged: false }
}

/// Ends a job that has an end which cannot be sent.
pub(crate) fn replace_end(core: &Arc<Core>, job: Uuid, problem: Problem) {
    let own = Arc::clone(core);
    core.spawn(async move { end(&own, job, End::problem(JobState::Failed, problem)).await });
}

/// What is said instead of something that does not fit into a message.
pub(crate) fn does_not_fit(what: &str, error: &FrameError) -> Problem {
    Problem::new(Code::Quota, format!("{what} cannot be sent: {error}."))
        .fix("Report it to the plugin's vendor: it should tell less at a time.")
}

async fn end(core: &Arc<Core>, job: Uuid, end: End) {
    let with_result = matches!(end.state, JobState::Succeeded | JobState::Incomplete);
    let state = if with_result { JobState::Failed } else { end.state };
    let mut phase = finished(end);
    if let Err(error) = Frame::check(&FromAgent::Job { job, report: report(&phase) }) {
        phase = finished(End::problem(state, does_not_fit("What the command ended with", &error)));
    }
    let report = report(&phase);
    let mut pause = FIRST_PAUSE;
    loop {
        let phase = phase.clone();
        let Err(error) = core.with_journal(move |journal| journal.end(job, phase)).await else {
            break;
        };
        // It is not told before it is stored: after a restart the job would count as cut off, and perhaps run again.
        tracing::error!(%job, %error, "the end of a job cannot be stored; it is tried again");
        core.outbox.job(job, log("error", format!("It has ended, but that cannot be stored here: {error}.")));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    secrets::forget(core, job);
    core.outbox.job(job, report);
}

fn start(core: &Arc<Core>, job: Uuid, record: JobRecord) -> Arc<Live> {
    let live = Arc::new(Live { cancel: CancellationToken::new(), streams: Streams::default() });
    core.running.live.lock().insert(job, Arc::clone(&live));
    let (own, running) = (Arc::clone(core), Arc::clone(&live));
    core.spawn(async move {
        let outcome = run(&own, job, record, &running).await;
        running.streams.close();
        if let Some(outcome) = outcome {
            end(&own, job, outcome).await;
        }
        own.running.live.lock().remove(&job);
    });
    live
}

/// Runs a job to its end; `None` where it must stay as the journal has it.
async fn run(core: &Arc<Core>, job: Uuid, mut record: JobRecord, live: &Live) -> Option<End> {
    let mut assign = record.assign.clone()?;
    if let Err(problem) = secrets::bring_back(core, &mut assign) {
        return Some(End::problem(JobState::Failed, problem));
    }
    if record.phase == Phase::Running {
        match assign.on_interrupt {
            OnInterrupt::Report => return Some(cut_off("The agent or the machine went down.")),
            OnInterrupt::Rerun => record.checkpoint = None,
            OnInterrupt::Resume => {}
        }
    }
    loop {
        if record.attempts >= MOST_ATTEMPTS {
            return Some(cut_off("The command was interrupted too often."));
        }
        let remaining = match remaining(&assign, record.accepted_at) {
            Ok(remaining) => remaining,
            Err(problem) => return Some(End::problem(JobState::Failed, problem)),
        };
        let plugin = assign.command.split('.').next().unwrap_or_default();
        tokio::select! {
            biased;
            () = live.cancel.cancelled() => return Some(cancelled()),
            ready = plugin_ready(core, plugin) => {
                if let Err(problem) = ready {
                    return Some(End::problem(JobState::Failed, problem));
                }
            }
        }
        let exchanges = core.exchanges.settled(plugin).await;
        record.attempts += 1;
        let attempts = record.attempts;
        let begun = core.with_journal(move |journal| {
            journal.update(job, |record| {
                (record.phase, record.attempts) = (Phase::Running, attempts);
            })
        });
        if let Err(error) = begun.await {
            let problem = Problem::new(Code::Unavailable, format!("The job cannot be written down: {error}."));
            return Some(End::problem(JobState::Failed, problem.fix("Make room on the machine's disk.")));
        }
        core.outbox.job(job, JobReport::Running);
        let meta = CallMeta {
            job: Some(job.to_string()),
            machine: Some(core.enrolment.read().machine.to_string()),
            operator: Some(assign.operator.clone()),
            timeout_ms: remaining.map(|remaining| u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX)),
            checkpoint: record.checkpoint.clone(),
            attempt: attempts - 1,
            trace_id: None,
        };
        let input = Value::Object(assign.input.clone());
        let outcome = match core.call(plugin, Method::Command(assign.command.clone()), meta, input).await {
            Ok(operation) => follow(core, job, operation, live).await,
            Err(problem) => return Some(End::problem(JobState::Failed, problem)),
        };
        let problem = match outcome {
            Ok(end) => return Some(end),
            Err(problem) => problem,
        };
        if live.cancel.is_cancelled() {
            return Some(End::problem(JobState::Cancelled, problem));
        }
        let stopped = matches!(problem.code, Code::Unavailable | Code::Cancelled);
        let how = match problem.code {
            Code::Crashed => "The plugin crashed.",
            _ if stopped && core.exchanges.begun(plugin) != exchanges => "The plugin was taken away while it ran.",
            _ => return Some(End::problem(JobState::Failed, problem)),
        };
        match assign.on_interrupt {
            OnInterrupt::Report => {
                let end = cut_off(how);
                return Some(End { problem: end.problem.map(|own| own.caused_by(problem)), ..end });
            }
            OnInterrupt::Rerun => record.checkpoint = None,
            OnInterrupt::Resume => {
                let known = core.with_journal(move |journal| journal.job(job)).await.ok().flatten();
                record.checkpoint = known.and_then(|known| known.checkpoint);
            }
        }
    }
}

fn cancelled() -> End {
    End::problem(JobState::Cancelled, Problem::new(Code::Cancelled, "It was cancelled."))
}

/// How long the job may still run.
fn remaining(assign: &Assign, accepted_at: Timestamp) -> Result<Option<Duration>, Problem> {
    let Some(seconds) = assign.timeout_seconds else { return Ok(None) };
    let spent = Timestamp::now().duration_since(accepted_at).as_secs().max(0).unsigned_abs();
    match seconds.checked_sub(spent) {
        Some(left) if left > 0 => Ok(Some(Duration::from_secs(left))),
        _ => Err(Problem::new(Code::Deadline, format!("It was not done within its {seconds} seconds."))),
    }
}

/// Waits for a plugin that is still being fetched or started.
async fn plugin_ready(core: &Core, plugin: &str) -> Result<(), Problem> {
    let mut statuses = core.host().watch();
    let loaded = async {
        loop {
            let known = statuses.borrow_and_update().iter().any(|status| status.name == plugin);
            if known || statuses.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PLUGIN_WAIT, loaded).await.map_err(|_| {
        Problem::new(Code::UnknownCommand, format!("This machine does not have the plugin {plugin}."))
            .fix("Look at the machine's plugins for the reason.")
    })
}

/// Passes on what an operation tells, until its end.
async fn follow(core: &Arc<Core>, job: Uuid, mut operation: Operation, live: &Live) -> Result<End, Problem> {
    let canceller = operation.canceller();
    let mut given_up = std::pin::pin!(async {
        live.cancel.cancelled().await;
        canceller.cancel();
        tokio::time::sleep(CANCEL_GRACE).await;
    });
    loop {
        let event = tokio::select! {
            event = operation.next() => event,
            () = &mut given_up => {
                return Err(Problem::new(Code::Cancelled, "It was cancelled, and abandoned since it did not end."));
            }
        };
        match event {
            Some(OpEvent::Progress(progress)) => core.outbox.progress(job, progress),
            Some(OpEvent::Checkpoint(value)) => {
                let stored =
                    core.with_journal(move |journal| journal.update(job, |record| record.checkpoint = Some(value)));
                if let Err(error) = stored.await {
                    tracing::error!(%job, %error, "a checkpoint cannot be stored");
                }
            }
            Some(OpEvent::Open { name, duplex, .. }) => live.streams.offer(name, duplex),
            Some(OpEvent::Warn(problem)) => core.outbox.job(job, log("warn", problem.to_string())),
            Some(OpEvent::Log { level, record, .. }) => {
                let text = record.get("message").and_then(Value::as_str).map(str::to_owned);
                core.outbox.job(job, log(level.as_str(), text.unwrap_or_else(|| record.to_string())));
            }
            Some(OpEvent::Rows(_)) => {}
            Some(OpEvent::Done(result)) => {
                return Ok(End { state: JobState::Succeeded, result: Some(result), problem: None });
            }
            Some(OpEvent::Part(result, problem)) => {
                return Ok(End { state: JobState::Incomplete, result: Some(result), problem: Some(problem) });
            }
            Some(OpEvent::Fault(problem)) => return Err(problem),
            None => return Err(Problem::new(Code::Crashed, "The operation ended without a word.")),
        }
    }
}

fn log(level: &str, text: String) -> JobReport {
    JobReport::Log { at: Timestamp::now().to_string(), level: level.to_owned(), text }
}

#[cfg(test)]
mod tests;
