//! An event on a stored job: the new row, and its parent's, in one transaction.

use crate::{CancelRequest, Decision, Effect, Event, Job, JobId, Store, decide, derive};
use jiff::Timestamp;
use schema::{Cancel, Code, JobEvent, JobState, Problem};

/// What is to be done after the commit, job by job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// The jobs as they are now stored, each with its effects; the one the event was for comes first.
    pub jobs: Vec<(Job, Vec<Effect>)>,
}

/// Decides `event` for a stored job and stores what comes of it. A cancelled parent cancels its open children.
///
/// # Errors
/// `not_found` where there is no such job.
pub fn apply(store: &mut dyn Store, id: JobId, event: Event, now: Timestamp) -> Result<Applied, Problem> {
    let job = store.job(id)?.ok_or_else(|| Problem::not_found(format!("there is no job {id}.")))?;
    let mut applied = Applied::default();
    if !job.is_parent {
        apply_one(store, &job, event, now, &mut applied)?;
    } else if let Event::CancelRequested { by } = event {
        cancel_parent(store, job, by, now, &mut applied)?;
    }
    Ok(applied)
}

/// Whether an operator may cancel the job now.
///
/// # Errors
/// `conflict` where it has ended or its command cannot be cancelled.
pub fn check_cancel(job: &Job) -> Result<(), Problem> {
    if job.state.is_final() {
        return Err(Problem::new(Code::Conflict, format!("the job has ended: {}.", job.state.as_str())));
    }
    if job.cancel_policy == Cancel::No && job.state != JobState::Queued && !job.is_parent {
        return Err(Problem::new(Code::Conflict, "this command cannot be cancelled once it was sent."));
    }
    Ok(())
}

fn apply_one(
    store: &mut dyn Store,
    job: &Job,
    event: Event,
    now: Timestamp,
    applied: &mut Applied,
) -> Result<(), Problem> {
    let Decision { job: new, effects } = decide(job, event, now);
    if new != *job {
        store.update_job(&new, job.state)?;
    }
    let moved = new.state != job.state;
    let parent = new.parent.filter(|_| moved);
    let partial = JobEvent::Partial { machine: new.target_label.clone(), state: new.state };
    applied.jobs.push((new, effects));
    match parent {
        Some(parent) => update_parent(store, parent, partial, now, applied),
        None => Ok(()),
    }
}

fn update_parent(
    store: &mut dyn Store,
    id: JobId,
    partial: JobEvent,
    now: Timestamp,
    applied: &mut Applied,
) -> Result<(), Problem> {
    let Some(was) = store.job(id)? else { return Ok(()) };
    let tally = store.tally(id)?;
    let mut new = was.clone();
    new.state = derive(&tally);
    new.progress = tally.progress();
    if new.state != JobState::Queued {
        new.assigned_at.get_or_insert(now);
    }
    if tally.of(JobState::Running) + tally.ended() > 0 {
        new.started_at.get_or_insert(now);
    }
    if new.state.is_final() {
        new.ended_at.get_or_insert(now);
    }
    let mut effects = vec![Effect::Notify(partial)];
    if new.progress != was.progress {
        effects.push(Effect::Notify(JobEvent::Progress { progress: new.progress.clone() }));
    }
    if new.state != was.state {
        effects.push(Effect::Notify(JobEvent::State { state: new.state }));
    }
    if new != was {
        store.update_job(&new, was.state)?;
    }
    applied.jobs.push((new, effects));
    Ok(())
}

fn cancel_parent(
    store: &mut dyn Store,
    mut parent: Job,
    by: String,
    now: Timestamp,
    applied: &mut Applied,
) -> Result<(), Problem> {
    if parent.state.is_final() {
        return Ok(());
    }
    if parent.cancel.is_none() {
        parent.cancel = Some(CancelRequest { by: by.clone(), at: now, sent_at: now });
        store.update_job(&parent, parent.state)?;
    }
    for child in store.children(parent.id)?.iter().filter(|c| !c.state.is_final()) {
        apply_one(store, child, Event::CancelRequested { by: by.clone() }, now, applied)?;
    }
    Ok(())
}
