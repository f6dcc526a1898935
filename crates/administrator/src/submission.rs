//! What is asked for becomes a job, whoever asks: job and audit record in one transaction, then the reconciler is woken.

use crate::app::App;
use crate::once;
use fleet::Lookup as _;
use identity::audit::{self, Entry};
use identity::{ActorKind, Outcome};
use jiff::Timestamp;
use jobs::{JobId, Lookup as _, OperatorRef, Submission, Submitted, TargetMachine};
use parking_lot::Mutex;
use schema::{
    CallMeta, Code, InputSchema, JobStarted, JobTarget, JobsGet, JobsStart, Object, Problem, Role, SeenJob, TargetKind,
};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long after a machine began a command on itself it may begin it again.
const PAUSE: Duration = Duration::from_secs(10);

/// Longest input of a job that a machine begins on itself, in bytes of JSON.
const MOST_INPUT: usize = 16 * 1024;

/// When each machine last began which command: one that begins jobs without end fills no disk.
#[derive(Default)]
pub(crate) struct Begun(Mutex<HashMap<(String, String), Instant>>);

impl Begun {
    fn again(&self, machine: &str, command: &str) -> Result<(), Problem> {
        let (mut begun, now) = (self.0.lock(), Instant::now());
        begun.retain(|_, at| now.duration_since(*at) < PAUSE);
        if begun.contains_key(&(machine.to_owned(), command.to_owned())) {
            let problem = Problem::new(Code::Busy, format!("{command} was begun a moment ago."));
            return Err(Problem { retry_after_ms: Some(PAUSE.as_millis() as u64), ..problem });
        }
        begun.insert((machine.to_owned(), command.to_owned()), now);
        Ok(())
    }
}

/// A job to be stored.
pub(crate) struct Asked {
    pub(crate) submission: Submission,
    /// Kept in memory only.
    pub(crate) secrets: Object,
    /// The input as the audit log shows it.
    pub(crate) redacted: Object,
    /// Who asks; the rest of the record is filled in.
    pub(crate) entry: Entry,
    /// Where the same command has still to end there, that job is told and no other is made.
    pub(crate) unless_open: bool,
}

/// Stores the job, with its secrets in memory before anyone can see it. Whoever asked may go away meanwhile: what is
/// asked for is stored and given out all the same.
pub(crate) async fn store(app: &Arc<App>, asked: Asked) -> Result<JobId, Problem> {
    let stored = app.runtime.detached(store_now(app.clone(), asked)).await;
    stored.unwrap_or_else(|| Err(Problem::internal("storing the job failed.")))
}

async fn store_now(app: Arc<App>, asked: Asked) -> Result<JobId, Problem> {
    let Asked { mut submission, secrets, redacted, mut entry, unless_open } = asked;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (own, keeping) = (app.clone(), kept.clone());
    let write = move |store: &mut database::Write<'_>| {
        (submission.machines, submission.group_name) = machines(store, &submission.target)?;
        if unless_open && let Some(open) = still_open(store, &submission)? {
            return Ok(open);
        }
        let target = submission.target.clone();
        let now = Timestamp::now();
        let Submitted { job, repeated } = jobs::submit(store, submission, now)?;
        let runs: Vec<JobId> = match store.children(job)? {
            children if children.is_empty() => vec![job],
            children => children.iter().map(|child| child.id).collect(),
        };
        if repeated {
            let same = runs.iter().all(|run| own.once.same_input(*run, &secrets));
            return if same { Ok(job) } else { Err(jobs::key_was_used().into()) };
        }
        for run in &runs {
            own.once.keep_input(*run, secrets.clone());
        }
        *keeping.lock() = runs;
        entry.outcome = Outcome::Begun;
        entry.job = Some(job.to_string());
        entry.target = serde_json::to_value(target).ok().map(|target| target.to_string());
        entry.detail = Object::from_iter([("job".to_owned(), json!(job)), ("input".to_owned(), redacted.into())]);
        audit::append(store, entry, now)?;
        Ok(job)
    };
    let stored = app.database.write(write).await;
    if stored.is_err() {
        kept.lock().iter().for_each(|run| app.once.forget_input(*run));
    }
    app.due.notify_one();
    Ok(stored?)
}

fn still_open(store: &database::Write<'_>, submission: &Submission) -> Result<Option<JobId>, Problem> {
    let open = match submission.machines.first() {
        Some(machine) => store.open_jobs_of(machine.id)?,
        None => store.open_jobs_here()?,
    };
    Ok(open.into_iter().find(|job| job.command == submission.command).map(|job| job.id))
}

fn machines(store: &database::Write<'_>, target: &JobTarget) -> Result<(Vec<TargetMachine>, Option<String>), Problem> {
    let found = |name: &String| {
        store.find_machine(name).map(|machine| TargetMachine { id: *machine.id.as_uuid(), name: machine.name })
    };
    match target {
        JobTarget::Administrator => Ok((Vec::new(), None)),
        JobTarget::Machine(name) => Ok((vec![found(name)?], None)),
        JobTarget::Machines(names) => {
            let mut machines = names.iter().map(found).collect::<Result<Vec<_>, _>>()?;
            machines.sort_by_key(|machine| machine.id);
            machines.dedup_by_key(|machine| machine.id);
            Ok((machines, None))
        }
        JobTarget::Group(name) => {
            let group = store.find_group(name)?;
            let members = store.members(group.id)?.into_iter().map(|id| found(&id.to_string()));
            Ok((members.collect::<Result<_, _>>()?, Some(group.name)))
        }
    }
}

/// A job that a plugin begins by itself: of a command of its own that may be put on a schedule; on a machine on that
/// machine alone.
pub(crate) async fn start(
    app: &Arc<App>,
    plugin: &str,
    role: Role,
    call: &CallMeta,
    asked: JobsStart,
) -> Result<JobStarted, Problem> {
    let JobsStart { command: id, input, machine, key } = asked;
    let modules = app.modules.current();
    let found = modules.module(plugin).and_then(|module| {
        let manifest = &module.manifest;
        let command = manifest.command(&id)?;
        Some((manifest.command_id(&command.id), command.clone(), manifest.plugin.title.clone()))
    });
    let Some((id, command, title)) = found else {
        let message = format!("{plugin} has no command {}.", schema::neutral_text(&id));
        return Err(Problem::new(Code::UnknownCommand, message).at("command"));
    };
    if !command.schedule {
        let message = format!("{id} is begun by operators only.");
        return Err(Problem::new(Code::PermissionDenied, message)
            .at("command")
            .fix("Its manifest has to say that it may be put on a schedule."));
    }
    let machine = match (role, command.target.on, machine) {
        (Role::Machine, TargetKind::Machine, None) => {
            Some(call.machine.clone().ok_or_else(|| Problem::internal("no machine is known for this call."))?)
        }
        (Role::Machine, ..) => {
            let message = "a machine begins jobs on itself only.";
            return Err(Problem::new(Code::PermissionDenied, message).at("machine"));
        }
        (Role::Administrator, TargetKind::Machine, None) => {
            return Err(Problem::bad_request("it is not said on which machine.").at("machine"));
        }
        (Role::Administrator, TargetKind::Machine, machine) => machine,
        (Role::Administrator, _, None) => None,
        (Role::Administrator, ..) => {
            return Err(Problem::bad_request(format!("{id} is not run on a machine.")).at("machine"));
        }
    };
    let mut input = surface::validate_input(&command, &input)?;
    if role == Role::Machine && serde_json::to_vec(&input).map_or(true, |bytes| bytes.len() > MOST_INPUT) {
        let message = format!("the input of a job that a machine begins has at most {MOST_INPUT} bytes.");
        return Err(Problem::new(Code::Quota, message).at("input"));
    }
    let schema = InputSchema::read(&command.input)?;
    let redacted = audit::redact(&input, &schema);
    let secrets = once::take_out(&schema.properties, &mut input);
    if let (Role::Machine, Some(machine)) = (role, &machine) {
        app.begun.again(machine, &id)?;
    }
    let operator = OperatorRef { id: format!("plugin:{plugin}"), name: title };
    let mut submission = Submission::new(&id, &command, input, operator);
    // A key of one machine is none of another's.
    submission.idempotency_key = key.map(|key| match (&role, &machine) {
        (Role::Machine, Some(machine)) => format!("{machine}:{key}"),
        _ => key,
    });
    submission.target = machine.map_or(JobTarget::Administrator, JobTarget::Machine);
    let entry = Entry::of(ActorKind::Plugin, plugin, id);
    let job = store(app, Asked { submission, secrets, redacted, entry, unless_open: true }).await?;
    Ok(JobStarted { job: job.to_string() })
}

/// A job of a plugin's own command, as it stands.
pub(crate) async fn seen(app: &App, plugin: &str, asked: JobsGet) -> Result<SeenJob, Problem> {
    let none = || Problem::not_found("there is no such job of this plugin.").at("job");
    let id: JobId = asked.job.parse().map_err(|_| none())?;
    let job = app.database.read(move |store| Ok(store.job(id)?)).await?.ok_or_else(none)?;
    let Some((owner, command)) = job.command.split_once('.') else { return Err(none()) };
    if owner != plugin {
        return Err(none());
    }
    let machine = job.machine.map(|machine| machine.to_string());
    Ok(SeenJob { command: command.to_owned(), machine, state: job.state, input: job.input.clone() })
}
