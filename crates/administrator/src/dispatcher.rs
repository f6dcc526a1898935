//! Carries jobs forward: every event goes through `jobs::apply` in one transaction, and only what is stored has effects.
//!
//! Losing an effect does no harm. The reconciler gives out what is queued and looks at what is due, once a second and
//! whenever it is woken; an agent that connects says which jobs it knows, and the administrator itself looks through its
//! own jobs when it starts. Whoever stores a job only wakes the reconciler, and nothing is lost where that is missed.

use crate::app::App;
use crate::local;
use fleet::MachineId;
use identity::{Entry, audit};
use jiff::Timestamp;
use jobs::{Effect, Event, Job, JobId, Lookup as _};
use protocol::{Assign, ToAgent};
use schema::{JobEvent, Problem};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often open jobs are looked at without being told to.
const PERIOD: Duration = Duration::from_secs(1);
/// Most jobs of one transaction, so that others get their turn.
const BATCH: usize = 500;

/// Something a job told, for those who watch it.
pub(crate) type Told = (JobId, JobEvent);

impl App {
    /// Applies events to stored jobs and carries out what follows.
    ///
    /// # Errors
    /// Nothing was stored of the batch that failed.
    pub(crate) async fn job_events(self: &Arc<App>, events: Vec<(JobId, Event)>) -> Result<(), Problem> {
        self.apply_with(events, None).await
    }

    /// As [`App::job_events`], with an audit record in the transaction of the first batch.
    ///
    /// # Errors
    /// As for [`App::job_events`].
    pub(crate) async fn apply_with(
        self: &Arc<App>,
        events: Vec<(JobId, Event)>,
        mut record: Option<Entry>,
    ) -> Result<(), Problem> {
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let batch: Vec<(JobId, Event)> = events.by_ref().take(BATCH).collect();
            let (now, record) = (Timestamp::now(), record.take());
            let write = move |store: &mut database::Write<'_>| {
                let mut applied = Vec::new();
                for (id, event) in batch {
                    applied.extend(jobs::apply(store, id, event, now)?.jobs);
                }
                if let Some(record) = record {
                    audit::append(store, record, now)?;
                }
                Ok(applied)
            };
            for (job, effects) in self.database.write(write).await? {
                if job.state.is_final() {
                    self.once.forget_input(job.id);
                }
                for effect in effects {
                    self.carry_out(&job, effect);
                }
            }
        }
        Ok(())
    }

    fn carry_out(self: &Arc<App>, job: &Job, effect: Effect) {
        match effect {
            Effect::SendAssign => match job.machine {
                Some(machine) => self.assign(machine, job),
                None => local::start(self, job),
            },
            Effect::SendCancel { abandon } => match job.machine {
                Some(machine) => self.send(machine, ToAgent::Cancel { job: *job.id.as_uuid() }),
                None => local::cancel(self, job.id, abandon),
            },
            Effect::Ack => {
                if let Some(machine) = job.machine {
                    self.send(machine, ToAgent::AckResult { job: *job.id.as_uuid() });
                }
            }
            Effect::Wake { at } => self.wake_at(at),
            Effect::Notify(event) => {
                // Nobody may be watching.
                drop(self.told.send((job.id, event)));
            }
        }
    }

    fn assign(self: &Arc<App>, machine: Uuid, job: &Job) {
        let modules = self.modules.current();
        let effect = modules.command(&job.command).map(|(_, command)| command.effect).unwrap_or_default();
        let input = match self.whole_input(job) {
            Ok(input) => input,
            Err(problem) => return self.fail_later(job.id, problem),
        };
        let assign = Assign {
            job: *job.id.as_uuid(),
            command: job.command.clone(),
            input,
            operator: job.operator.name.clone(),
            timeout_seconds: job.timeout_seconds,
            on_interrupt: job.on_interrupt,
            effect,
        };
        self.send(machine, ToAgent::Assign(Box::new(assign)));
    }

    /// Ends a job that cannot be given out.
    fn fail_later(self: &Arc<App>, id: JobId, problem: Problem) {
        let app = self.clone();
        self.runtime.spawn(async move {
            let outcome = jobs::Outcome { state: schema::JobState::Failed, result: None, problem: Some(problem) };
            if let Err(problem) = app.job_events(vec![(id, Event::Finished(outcome))]).await {
                tracing::warn!(job = %id, %problem, "a job that cannot be given out could not be ended");
            }
        });
    }

    /// A machine that is not there gets it when it comes back: that is what the reconciler is for.
    fn send(&self, machine: Uuid, message: ToAgent) {
        if let Err(error) = self.agents().send(MachineId::from_uuid(machine), message) {
            tracing::debug!(%machine, %error, "not sent now");
        }
    }

    fn wake_at(self: &Arc<App>, at: Timestamp) {
        let app = self.clone();
        let wait = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        self.runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            app.due.notify_one();
        });
    }

    fn reaches(&self, machine: Option<Uuid>) -> bool {
        machine.is_none_or(|machine| self.agents().connected(MachineId::from_uuid(machine)))
    }

    /// A machine connected: what it knows and what is stored are brought together.
    pub(crate) async fn machine_online(self: &Arc<App>, machine: Uuid, known: Vec<Uuid>) -> Result<(), Problem> {
        let open = self.database.read(move |store| Ok(store.open_jobs_of(machine)?)).await?;
        let mut events: HashMap<JobId, Event> =
            known.iter().map(|job| (JobId::from_uuid(*job), Event::Online { known: true })).collect();
        for job in open {
            events.entry(job.id).or_insert(Event::Online { known: false });
        }
        let known = events.keys().copied().collect::<Vec<_>>();
        let stored = self.database.read(move |store| {
            let mut stored = Vec::new();
            for id in known {
                // A job of another machine is none of this one's business, whatever it claims.
                if store.job(id)?.is_some_and(|job| job.machine == Some(machine)) {
                    stored.push(id);
                }
            }
            Ok(stored)
        });
        let stored = stored.await?;
        let mut events: Vec<(JobId, Event)> = events.into_iter().filter(|(id, _)| stored.contains(id)).collect();
        events.sort_by_key(|(id, _)| *id);
        self.job_events(events).await
    }

    /// Gives out every queued job whose target is there, and looks at every open job that time may have moved.
    pub(crate) async fn reconcile(self: &Arc<App>) -> Result<(), Problem> {
        let (app, now) = (self.clone(), Timestamp::now());
        let read = move |store: &database::Read<'_>| {
            Ok((store.queued_jobs(&|machine| app.reaches(machine))?, store.due_jobs(now)?))
        };
        let (queued, due) = self.database.read(read).await?;
        let dispatched = queued.into_iter().map(|job| (job.id, Event::Dispatch));
        let ticks = due.into_iter().map(|job| (job.id, Event::Tick { online: self.reaches(job.machine) }));
        self.job_events(dispatched.chain(ticks).collect()).await
    }
}

/// Starts the reconciler, which first takes up what the administrator itself was doing when it went down.
pub(crate) fn start(app: &Arc<App>) {
    let app = app.clone();
    app.runtime.clone().spawn(async move {
        let own = app.database.read(|store| Ok(store.open_jobs_here()?)).await;
        let taken_up = match own {
            Ok(own) => app.job_events(own.iter().map(|job| (job.id, Event::Online { known: false })).collect()).await,
            Err(error) => Err(error.into()),
        };
        if let Err(problem) = taken_up {
            tracing::error!(%problem, "the administrator's own jobs could not be taken up");
        }
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => {}
                () = app.due.notified() => {}
            }
            if let Err(problem) = app.reconcile().await {
                tracing::warn!(%problem, "jobs could not be looked at");
            }
        }
    });
}
