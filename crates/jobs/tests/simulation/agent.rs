//! An agent as the protocol asks for one: it journals before it starts, answers repeats from its journal, and forgets a
//! result only when its end was acknowledged.

use jobs::JobId;
use schema::{JobState, OnInterrupt};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ToAgent {
    Assign { job: JobId, on_interrupt: OnInterrupt },
    Cancel { job: JobId },
    Ack { job: JobId },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FromAgent {
    Accepted,
    Started,
    Progress,
    Finished(JobState),
    /// The answer to a cancellation of what never arrived.
    CancelledUnknown,
}

#[derive(Clone, Debug)]
struct Entry {
    stage: Stage,
    on_interrupt: OnInterrupt,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Accepted,
    /// Journalled before the effect.
    Running,
    Ended(JobState),
    NeverArrived,
}

#[derive(Default)]
pub(crate) struct Agent {
    /// On disk.
    journal: BTreeMap<JobId, Entry>,
    /// Ids that must not start although their result may be forgotten; on a link that reorders, for the session.
    done: BTreeSet<JobId>,
    /// In memory: what really runs.
    running: BTreeSet<JobId>,
}

/// What the world has to hear of an agent's step.
#[derive(Default)]
pub(crate) struct Step {
    pub(crate) says: Vec<(JobId, FromAgent)>,
    /// The visible effect of a command happened.
    pub(crate) ran: Option<JobId>,
    pub(crate) acknowledged: Option<(JobId, JobState)>,
}

impl Agent {
    pub(crate) fn knows(&self, job: JobId) -> bool {
        self.journal.contains_key(&job)
    }

    /// What nobody acknowledged is said again at the beginning of a session, and now and then.
    pub(crate) fn unacknowledged(&self) -> Vec<(JobId, FromAgent)> {
        self.journal.iter().map(|(job, entry)| (*job, report(entry.stage))).collect()
    }

    pub(crate) fn session_ended(&mut self) {
        self.done.clear();
    }

    pub(crate) fn receive(&mut self, message: ToAgent) -> Step {
        let mut step = Step::default();
        match message {
            ToAgent::Assign { job, on_interrupt } => {
                if let Some(entry) = self.journal.get(&job) {
                    step.says.push((job, report(entry.stage)));
                } else if !self.done.contains(&job) {
                    self.journal.insert(job, Entry { stage: Stage::Accepted, on_interrupt });
                    step.says.push((job, FromAgent::Accepted));
                }
            }
            ToAgent::Cancel { job } if self.done.contains(&job) && !self.knows(job) => {}
            ToAgent::Cancel { job } => {
                let unknown = Entry { stage: Stage::NeverArrived, on_interrupt: OnInterrupt::Report };
                let entry = self.journal.entry(job).or_insert(unknown);
                if matches!(entry.stage, Stage::Accepted | Stage::Running) {
                    entry.stage = Stage::Ended(JobState::Cancelled);
                    self.running.remove(&job);
                }
                step.says.push((job, report(entry.stage)));
            }
            ToAgent::Ack { job } => {
                if let Some(Entry { stage: Stage::Ended(state), .. }) = self.journal.get(&job) {
                    step.acknowledged = Some((job, *state));
                }
                if self.journal.get(&job).is_some_and(|e| matches!(e.stage, Stage::Ended(_) | Stage::NeverArrived)) {
                    self.journal.remove(&job);
                }
                self.done.insert(job);
            }
        }
        step
    }

    /// Starts the oldest job that waits.
    pub(crate) fn start(&mut self) -> Step {
        let next = self.journal.iter_mut().find(|(_, entry)| entry.stage == Stage::Accepted);
        let Some((job, entry)) = next else { return Step::default() };
        entry.stage = Stage::Running;
        self.running.insert(*job);
        Step {
            says: vec![(*job, FromAgent::Started), (*job, FromAgent::Progress)],
            ran: Some(*job),
            acknowledged: None,
        }
    }

    /// Ends the oldest job that runs.
    pub(crate) fn finish(&mut self, state: JobState) -> Step {
        let Some(job) = self.running.pop_first() else { return Step::default() };
        self.journal.get_mut(&job).expect("what runs is journalled").stage = Stage::Ended(state);
        Step { says: vec![(job, FromAgent::Finished(state))], ..Step::default() }
    }

    /// Everything in memory is gone; returns what was cut off while it ran.
    pub(crate) fn crash(&mut self) -> Vec<JobId> {
        self.done.clear();
        let mut cut_off = Vec::new();
        for job in std::mem::take(&mut self.running) {
            let entry = self.journal.get_mut(&job).expect("what runs is journalled");
            entry.stage = match entry.on_interrupt {
                OnInterrupt::Rerun => Stage::Accepted,
                OnInterrupt::Resume | OnInterrupt::Report => Stage::Ended(JobState::Unknown),
            };
            cut_off.push(job);
        }
        cut_off
    }
}

fn report(stage: Stage) -> FromAgent {
    match stage {
        Stage::Accepted => FromAgent::Accepted,
        Stage::Running => FromAgent::Started,
        Stage::Ended(state) => FromAgent::Finished(state),
        Stage::NeverArrived => FromAgent::CancelledUnknown,
    }
}
