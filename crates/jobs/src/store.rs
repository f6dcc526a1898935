//! Storage that jobs need, as traits: one closure over a store is one transaction.

use crate::{Job, JobId, LogLine, Tally};
use jiff::Timestamp;
use schema::{JobState, Problem};
use uuid::Uuid;

/// Lines kept of one job; after them a last one says that more were dropped.
pub const MAX_LOG_LINES: u64 = 1000;

/// What can be looked up in a snapshot or inside a transaction.
pub trait Lookup {
    fn job(&self, id: JobId) -> Result<Option<Job>, Problem>;

    /// In the order they were made.
    fn children(&self, parent: JobId) -> Result<Vec<Job>, Problem>;

    /// How many children of a parent are in each state.
    fn tally(&self, parent: JobId) -> Result<Tally, Problem>;

    /// The job an operator made with this idempotency key.
    fn job_by_key(&self, operator: &str, key: &str) -> Result<Option<Job>, Problem>;

    /// Jobs a machine has still to end, oldest first.
    fn open_jobs_of(&self, machine: Uuid) -> Result<Vec<Job>, Problem>;

    /// Jobs the administrator itself has still to end, oldest first; no parents.
    fn open_jobs_here(&self) -> Result<Vec<Job>, Problem>;

    /// Queued jobs, no parents, of the targets that `reaches` says can be reached now; `None` is the administrator.
    fn queued_jobs(&self, reaches: &dyn Fn(Option<Uuid>) -> bool) -> Result<Vec<Job>, Problem>;

    /// Open jobs, no parents, whose expiry, deadline, resending or cancelling may be due at `now`.
    fn due_jobs(&self, now: Timestamp) -> Result<Vec<Job>, Problem>;

    fn log(&self, id: JobId) -> Result<Vec<LogLine>, Problem>;
}

/// What changes jobs.
pub trait Store: Lookup {
    fn insert_job(&mut self, job: &Job) -> Result<(), Problem>;

    /// Stores a job again; `was` is the state it had, for the tally of its parent.
    fn update_job(&mut self, job: &Job, was: JobState) -> Result<(), Problem>;

    /// Appends lines up to [`MAX_LOG_LINES`] in all.
    fn append_log(&mut self, id: JobId, lines: &[LogLine]) -> Result<(), Problem>;
}
