//! A store in memory that checks what no store may see: a state that goes back.

use jiff::Timestamp;
use jobs::{Job, JobId, LogLine, Lookup, Store, Tally};
use schema::{JobState, Problem};
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) jobs: BTreeMap<JobId, Job>,
}

impl Memory {
    fn all(&self, of: impl Fn(&Job) -> bool) -> Vec<Job> {
        self.jobs.values().filter(|job| of(job)).cloned().collect()
    }
}

impl Lookup for Memory {
    fn job(&self, id: JobId) -> Result<Option<Job>, Problem> {
        Ok(self.jobs.get(&id).cloned())
    }

    fn children(&self, parent: JobId) -> Result<Vec<Job>, Problem> {
        Ok(self.all(|job| job.parent == Some(parent)))
    }

    fn tally(&self, parent: JobId) -> Result<Tally, Problem> {
        Ok(self.jobs.values().filter(|job| job.parent == Some(parent)).map(|job| job.state).collect())
    }

    fn job_by_key(&self, operator: &str, key: &str) -> Result<Option<Job>, Problem> {
        let same = |job: &Job| job.operator.id == operator && job.idempotency_key.as_deref() == Some(key);
        Ok(self.all(same).pop())
    }

    fn open_jobs_of(&self, machine: Uuid) -> Result<Vec<Job>, Problem> {
        Ok(self.all(|job| job.machine == Some(machine) && !job.state.is_final()))
    }

    fn open_jobs_here(&self) -> Result<Vec<Job>, Problem> {
        Ok(self.all(|job| job.machine.is_none() && !job.is_parent && !job.state.is_final()))
    }

    fn queued_jobs(&self, reaches: &dyn Fn(Option<Uuid>) -> bool) -> Result<Vec<Job>, Problem> {
        Ok(self.all(|job| job.state == JobState::Queued && !job.is_parent && reaches(job.machine)))
    }

    fn due_jobs(&self, now: Timestamp) -> Result<Vec<Job>, Problem> {
        Ok(self.all(|job| jobs::due_at(job).is_some_and(|due| due <= now)))
    }

    fn log(&self, _: JobId) -> Result<Vec<LogLine>, Problem> {
        Ok(Vec::new())
    }
}

impl Store for Memory {
    fn insert_job(&mut self, job: &Job) -> Result<(), Problem> {
        assert!(self.jobs.insert(job.id, job.clone()).is_none());
        Ok(())
    }

    fn update_job(&mut self, job: &Job, was: JobState) -> Result<(), Problem> {
        let before = self.jobs.insert(job.id, job.clone()).unwrap();
        assert_eq!(before.state, was);
        assert!(!before.state.is_final() || before.state == job.state, "{before:?} did not stay");
        assert!(rank(before.state) <= rank(job.state), "{before:?} went back to {:?}", job.state);
        Ok(())
    }

    fn append_log(&mut self, _: JobId, _: &[LogLine]) -> Result<(), Problem> {
        Ok(())
    }
}

fn rank(state: JobState) -> u8 {
    match state {
        JobState::Queued => 0,
        JobState::Assigned => 1,
        JobState::Accepted => 2,
        JobState::Running | JobState::Waiting => 3,
        _ => 4,
    }
}
