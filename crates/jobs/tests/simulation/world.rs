//! One history: a seed decides what happens next until the faults end, and then everything must come to its end.

use crate::agent::{Agent, FromAgent, Step, ToAgent};
use crate::memory::Memory;
use jiff::{SignedDuration, Timestamp};
use jobs::{Effect, Event, Job, JobId, Lookup as _, OperatorRef, Outcome, Submission, TargetMachine, apply, submit};
use schema::{Cancel, JobState, JobTarget, OnInterrupt, Problem, Progress};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const AGENTS: usize = 3;
const STEPS: usize = 80;

#[derive(Default)]
pub(crate) struct World {
    pub(crate) store: Memory,
    /// How often the visible effect of a job happened.
    pub(crate) runs: BTreeMap<JobId, u64>,
    /// How often it was cut off while it ran.
    pub(crate) cut_off: BTreeMap<JobId, u64>,
    pub(crate) cancelled: BTreeSet<JobId>,
    /// Ends that an agent was told are stored.
    pub(crate) acknowledged: BTreeMap<JobId, JobState>,
    pub(crate) submitted: usize,
    pub(crate) agent_crashes: u64,
    pub(crate) administrator_crashes: u64,
    pub(crate) repeats: u64,
    agents: Vec<Agent>,
    links: Vec<Link>,
    /// Jobs the administrator runs itself: gone when it crashes.
    running_here: BTreeSet<JobId>,
    now: Timestamp,
    random: Random,
    calm: bool,
}

/// The session of one agent: messages on their way, in any order. A new session begins empty.
#[derive(Default)]
struct Link {
    up: bool,
    down_wire: Vec<ToAgent>,
    up_wire: Vec<(JobId, FromAgent)>,
}

#[derive(Default)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

impl World {
    /// The whole history of `seed`.
    pub(crate) fn lived(seed: u64) -> World {
        let mut world = World {
            random: Random(seed),
            now: Timestamp::constant(1_800_000_000, 0),
            agents: (0..AGENTS).map(|_| Agent::default()).collect(),
            links: (0..AGENTS).map(|_| Link::default()).collect(),
            ..World::default()
        };
        for _ in 0..STEPS {
            world.anything();
        }
        world.calm = true;
        // Longer than any resending and expiry here; every wait in it is bounded.
        for _ in 0..60 {
            if world.store.jobs.values().all(|job| job.state.is_final()) {
                break;
            }
            world.settle();
        }
        world
    }

    fn anything(&mut self) {
        let n = self.random.below(AGENTS);
        match self.random.below(24) {
            0..=2 => self.submit_something(),
            3..=5 => self.connect(n),
            6 => self.disconnect(n),
            7..=10 => self.deliver_down(n),
            11..=14 => self.deliver_up(n),
            15..=16 => self.agent_step(n, |agent| agent.start()),
            17 => {
                let state = match self.random.below(10) {
                    0..=1 => JobState::Failed,
                    2 => JobState::Incomplete,
                    _ => JobState::Succeeded,
                };
                self.agent_step(n, move |agent| agent.finish(state));
            }
            18 => self.run_here(),
            19 => self.crash_agent(n),
            20 => self.crash_administrator(),
            21 => self.cancel_something(),
            _ => {
                let seconds = [1, 4, 11, 40][self.random.below(4)];
                self.now += SignedDuration::from_secs(seconds);
                self.tick();
            }
        }
    }

    /// No more faults: everybody is there, messages arrive, time goes by.
    fn settle(&mut self) {
        for n in 0..AGENTS {
            self.connect(n);
            while !self.links[n].down_wire.is_empty() || !self.links[n].up_wire.is_empty() {
                self.deliver_down(n);
                self.deliver_up(n);
            }
            self.agent_step(n, |agent| agent.start());
            self.agent_step(n, |agent| agent.finish(JobState::Succeeded));
        }
        self.run_here();
        self.now += SignedDuration::from_secs(11);
        self.tick();
    }

    fn submit_something(&mut self) {
        let on_interrupt = [OnInterrupt::Report, OnInterrupt::Rerun, OnInterrupt::Resume][self.random.below(3)];
        let machine = |n: usize| TargetMachine { id: machine_id(n), name: format!("m{n}") };
        let (target, machines) = match self.random.below(5) {
            0 => (JobTarget::Administrator, vec![]),
            1 => (JobTarget::Group("all".into()), (0..AGENTS).map(machine).collect()),
            _ => {
                let n = self.random.below(AGENTS);
                (JobTarget::Machine(format!("m{n}")), vec![machine(n)])
            }
        };
        let submission = Submission {
            command: "a.b".into(),
            title: "B".into(),
            input: schema::Object::new(),
            target,
            machines,
            group_name: Some("all".into()),
            operator: OperatorRef { id: "o".into(), name: "o".into() },
            idempotency_key: Some(format!("key {}", self.submitted)),
            on_interrupt,
            cancel: if self.random.once_in(4) { Cancel::No } else { Cancel::Safe },
            timeout_seconds: None,
            expires_seconds: Some(if self.random.once_in(2) { 20 } else { 100_000 }),
        };
        let first = submit(&mut self.store, submission.clone(), self.now).unwrap();
        if self.random.once_in(3) {
            // The answer was lost and the operator's program asks again.
            let again = submit(&mut self.store, submission, self.now).unwrap();
            assert_eq!((again.job, again.repeated), (first.job, true));
            self.repeats += 1;
        }
        self.submitted += 1;
        // Whoever stored it may have gone before it could wake the reconciler.
        if self.random.once_in(2) {
            self.dispatch();
        }
    }

    fn dispatch(&mut self) {
        for job in self.store.queued_jobs(&|machine| self.can_reach(machine)).unwrap() {
            // What happened to another one may have ended the connection.
            if self.can_reach(job.machine) {
                self.happens(job.id, Event::Dispatch);
            }
        }
    }

    fn can_reach(&self, machine: Option<uuid::Uuid>) -> bool {
        machine.is_none_or(|machine| self.links[agent_of(machine)].up)
    }

    fn cancel_something(&mut self) {
        let open: Vec<JobId> = self.store.jobs.values().filter(|j| !j.state.is_final()).map(|j| j.id).collect();
        if open.is_empty() {
            return;
        }
        let job = open[self.random.below(open.len())];
        let children = self.store.children(job).unwrap();
        self.cancelled.extend(children.iter().map(|c| c.id).chain([job]));
        self.happens(job, Event::CancelRequested { by: "o".into() });
    }

    fn tick(&mut self) {
        for job in self.store.due_jobs(self.now).unwrap() {
            let online = self.can_reach(job.machine);
            self.happens(job.id, Event::Tick { online });
        }
        for n in 0..AGENTS {
            if self.links[n].up {
                let said = self.agents[n].unacknowledged();
                self.links[n].up_wire.extend(said);
            }
        }
        self.dispatch();
    }

    /// An event at the administrator, which may crash before the commit or before the effects.
    fn happens(&mut self, id: JobId, event: Event) {
        let mishap = if self.calm { 1000 } else { self.random.below(60) };
        if mishap == 0 {
            return self.crash_administrator();
        }
        let applied = apply(&mut self.store, id, event, self.now).unwrap();
        if mishap == 1 {
            return self.crash_administrator();
        }
        for (job, effects) in applied.jobs {
            for effect in effects {
                let first_time = effect == Effect::SendAssign && job.state == JobState::Assigned;
                assert!(!first_time || self.now < job.expires_at, "sent past its expiry: {job:?}");
                match job.machine {
                    Some(machine) => self.send(agent_of(machine), &job, &effect),
                    None => self.carry_out_here(&job, &effect),
                }
            }
        }
    }

    fn send(&mut self, n: usize, job: &Job, effect: &Effect) {
        let message = match effect {
            Effect::SendAssign => ToAgent::Assign { job: job.id, on_interrupt: job.on_interrupt },
            Effect::SendCancel { .. } => {
                // Too late and never answered: taken back without being asked.
                self.cancelled.extend((job.cancel.is_none() && !job.state.is_final()).then_some(job.id));
                ToAgent::Cancel { job: job.id }
            }
            Effect::Ack => ToAgent::Ack { job: job.id },
            Effect::Wake { .. } | Effect::Notify(_) => return,
        };
        if self.links[n].up {
            self.links[n].down_wire.push(message);
        }
    }

    fn carry_out_here(&mut self, job: &Job, effect: &Effect) {
        match effect {
            // Stored as accepted before it starts: a crash in between leaves a job that may have run.
            Effect::SendAssign if !self.running_here.contains(&job.id) => {
                self.happens(job.id, Event::Accepted);
                if self.store.jobs[&job.id].state == JobState::Accepted || job.attempt > 1 {
                    self.running_here.insert(job.id);
                }
            }
            Effect::SendCancel { .. } if self.running_here.remove(&job.id) => {
                let outcome = Outcome { state: JobState::Cancelled, result: None, problem: None };
                self.happens(job.id, Event::Finished(outcome));
            }
            _ => {}
        }
    }

    fn run_here(&mut self) {
        let Some(job) = self.running_here.first().copied() else { return };
        *self.runs.entry(job).or_default() += 1;
        self.happens(job, Event::Started);
        if self.running_here.remove(&job) {
            let outcome = Outcome { state: JobState::Succeeded, result: None, problem: None };
            let before = self.administrator_crashes;
            self.happens(job, Event::Finished(outcome));
            if self.administrator_crashes > before && !self.store.jobs[&job].state.is_final() {
                *self.cut_off.entry(job).or_default() += 1;
            }
        }
    }

    fn crash_administrator(&mut self) {
        self.administrator_crashes += 1;
        for n in 0..AGENTS {
            self.disconnect(n);
        }
        for job in std::mem::take(&mut self.running_here) {
            *self.cut_off.entry(job).or_default() += 1;
        }
        let was_calm = std::mem::replace(&mut self.calm, true);
        for job in self.store.open_jobs_here().unwrap() {
            if matches!(job.state, JobState::Accepted | JobState::Running) {
                self.cut_off.entry(job.id).or_insert(1);
            }
            self.happens(job.id, Event::Online { known: false });
        }
        self.calm = was_calm;
    }

    fn crash_agent(&mut self, n: usize) {
        self.agent_crashes += 1;
        self.disconnect(n);
        for job in self.agents[n].crash() {
            *self.cut_off.entry(job).or_default() += 1;
        }
    }

    fn disconnect(&mut self, n: usize) {
        self.links[n] = Link::default();
        self.agents[n].session_ended();
    }

    fn connect(&mut self, n: usize) {
        if self.links[n].up {
            return;
        }
        self.links[n].up = true;
        for job in self.store.open_jobs_of(machine_id(n)).unwrap() {
            let known = self.agents[n].knows(job.id);
            self.happens(job.id, Event::Online { known });
            if !self.links[n].up {
                return;
            }
        }
        let said = self.agents[n].unacknowledged();
        self.links[n].up_wire.extend(said);
    }

    fn deliver_down(&mut self, n: usize) {
        let Some(message) = pick(&mut self.links[n].down_wire, &mut self.random, self.calm) else { return };
        self.agent_step(n, |agent| agent.receive(message));
    }

    fn deliver_up(&mut self, n: usize) {
        let Some((job, said)) = pick(&mut self.links[n].up_wire, &mut self.random, self.calm) else { return };
        let event = match said {
            FromAgent::Accepted => Event::Accepted,
            FromAgent::Started => Event::Started,
            FromAgent::Progress => Event::Progress(Progress { fraction: Some(0.5), ..Progress::default() }),
            FromAgent::Finished(state) => Event::Finished(Outcome { state, result: None, problem: None }),
            FromAgent::CancelledUnknown => {
                let problem = Some(Problem::not_found("it never arrived."));
                Event::Finished(Outcome { state: JobState::Cancelled, result: None, problem })
            }
        };
        self.happens(job, event);
    }

    fn agent_step(&mut self, n: usize, step: impl FnOnce(&mut Agent) -> Step) {
        let step = step(&mut self.agents[n]);
        if let Some(job) = step.ran {
            *self.runs.entry(job).or_default() += 1;
        }
        self.acknowledged.extend(step.acknowledged);
        if self.links[n].up {
            self.links[n].up_wire.extend(step.says);
        }
    }
}

/// Any message on its way: one in eight is lost, one in eight comes again later.
fn pick<T: Clone>(wire: &mut Vec<T>, random: &mut Random, calm: bool) -> Option<T> {
    if wire.is_empty() {
        return None;
    }
    let message = wire.swap_remove(random.below(wire.len()));
    if !calm && random.once_in(8) {
        return None;
    }
    if !calm && random.once_in(8) {
        wire.push(message.clone());
    }
    Some(message)
}

fn machine_id(n: usize) -> Uuid {
    Uuid::from_u128(n as u128)
}

fn agent_of(machine: Uuid) -> usize {
    machine.as_u128() as usize
}
