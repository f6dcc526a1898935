//! Making a job of what an operator asked for, in the transaction that also audits it.

use crate::{Job, JobId, OperatorRef, Store, Tally};
use jiff::{SignedDuration, Timestamp};
use schema::{Cancel, Code, Command, JobState, JobTarget, Object, OnInterrupt, Problem};
use uuid::Uuid;

/// How long an undelivered job waits when its command does not say.
const DEFAULT_EXPIRY: SignedDuration = SignedDuration::from_hours(7 * 24);
const LONGEST_EXPIRY: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Longest idempotency key in bytes.
const MAX_KEY: usize = 200;

/// What an operator asked for, checked and authorized.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// Full id, as in `hello.greet`.
    pub command: String,
    pub title: String,
    /// Stored with the job: what is secret must be taken out before.
    pub input: Object,
    /// As it was asked for; a repeat with the same idempotency key must ask for the same.
    pub target: JobTarget,
    /// What `target` came to; empty where the administrator runs it.
    pub machines: Vec<TargetMachine>,
    /// Name of the group where a group was asked for.
    pub group_name: Option<String>,
    pub operator: OperatorRef,
    pub idempotency_key: Option<String>,
    pub on_interrupt: OnInterrupt,
    pub cancel: Cancel,
    pub timeout_seconds: Option<u64>,
    pub expires_seconds: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetMachine {
    pub id: Uuid,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    pub job: JobId,
    /// The same was asked for before; nothing new was stored.
    pub repeated: bool,
}

impl Submission {
    /// What `command` says of its own runs; target, machines and key are added by the caller.
    pub fn new(command_id: &str, command: &Command, input: Object, operator: OperatorRef) -> Submission {
        Submission {
            command: command_id.to_owned(),
            title: command.title.clone(),
            input,
            target: JobTarget::Administrator,
            machines: Vec::new(),
            group_name: None,
            operator,
            idempotency_key: None,
            on_interrupt: command.on_interrupt,
            cancel: command.cancel,
            timeout_seconds: command.timeout_seconds,
            expires_seconds: command.expires_seconds,
        }
    }
}

/// Stores a job, with a child for each machine where several were asked for.
///
/// # Errors
/// `conflict` where the operator used the key for something else; `bad_request` for a group without machines.
pub fn submit(store: &mut dyn Store, submission: Submission, now: Timestamp) -> Result<Submitted, Problem> {
    if let Some(key) = &submission.idempotency_key {
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(Problem::bad_request("an Idempotency-Key has 1 to 200 bytes.").at("Idempotency-Key"));
        }
        if let Some(before) = store.job_by_key(&submission.operator.id, key)? {
            return repeated(&before, &submission);
        }
    }
    if submission.machines.is_empty() && submission.target != JobTarget::Administrator {
        return Err(Problem::bad_request("there is no machine to run this on.")
            .at("machines")
            .fix("Name at least one machine, or a group that has some."));
    }
    let job = new_job(&submission, now);
    store.insert_job(&job)?;
    if job.is_parent {
        for machine in &submission.machines {
            store.insert_job(&child_of(&job, machine))?;
        }
    }
    Ok(Submitted { job: job.id, repeated: false })
}

fn repeated(before: &Job, submission: &Submission) -> Result<Submitted, Problem> {
    let same =
        before.command == submission.command && before.input == submission.input && before.target == submission.target;
    if same {
        return Ok(Submitted { job: before.id, repeated: true });
    }
    Err(key_was_used())
}

/// The refusal of a key that stands for something else.
pub fn key_was_used() -> Problem {
    Problem::new(Code::Conflict, "this Idempotency-Key was used for another command or other arguments.")
        .at("Idempotency-Key")
        .fix("Use a new key for a new request.")
}

fn new_job(submission: &Submission, now: Timestamp) -> Job {
    let one_machine = match (&submission.target, submission.machines.as_slice()) {
        (JobTarget::Group(_) | JobTarget::Administrator, _) => None,
        (_, [one]) => Some(one),
        _ => None,
    };
    let is_parent = one_machine.is_none() && submission.target != JobTarget::Administrator;
    let target_label = match (&submission.target, one_machine, &submission.group_name) {
        (_, Some(machine), _) => machine.name.clone(),
        (JobTarget::Administrator, ..) => "administrator".to_owned(),
        (_, _, Some(group)) => group.clone(),
        _ => format!("{} machines", submission.machines.len()),
    };
    let machines = submission.machines.len() as u64;
    let progress = if is_parent {
        let mut tally = Tally::default();
        tally.add(JobState::Queued, machines);
        tally.progress()
    } else {
        schema::Progress::default()
    };
    Job {
        id: JobId::new(),
        parent: None,
        command: submission.command.clone(),
        title: submission.title.clone(),
        input: submission.input.clone(),
        target: submission.target.clone(),
        target_label,
        machine: one_machine.map(|m| m.id),
        is_parent,
        state: JobState::Queued,
        progress,
        result: None,
        problem: None,
        operator: submission.operator.clone(),
        idempotency_key: submission.idempotency_key.clone(),
        on_interrupt: submission.on_interrupt,
        cancel_policy: submission.cancel,
        timeout_seconds: submission.timeout_seconds,
        created_at: now,
        expires_at: expiry(submission.expires_seconds, now),
        assigned_at: None,
        sent_at: None,
        accepted_at: None,
        started_at: None,
        ended_at: None,
        attempt: 0,
        cancel: None,
        checkpoint: None,
    }
}

fn child_of(parent: &Job, machine: &TargetMachine) -> Job {
    Job {
        id: JobId::new(),
        parent: Some(parent.id),
        target: JobTarget::Machine(machine.id.to_string()),
        target_label: machine.name.clone(),
        machine: Some(machine.id),
        is_parent: false,
        progress: schema::Progress::default(),
        idempotency_key: None,
        ..parent.clone()
    }
}

fn expiry(seconds: Option<u64>, now: Timestamp) -> Timestamp {
    let asked = seconds.map(|s| SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX)));
    now + asked.unwrap_or(DEFAULT_EXPIRY).min(LONGEST_EXPIRY)
}
