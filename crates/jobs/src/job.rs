//! A job as it is stored.

use jiff::Timestamp;
use schema::{Cancel, JobState, JobTarget, Object, OnInterrupt, Problem, Progress};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// One run of a command: a UUID of version 7, so that later jobs sort later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

/// A text that is not the id of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the id of a job")]
pub struct WrongId(pub String);

/// A run of a command on one machine or on the administrator, or the parent of several such runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub parent: Option<JobId>,
    /// Full id, as in `hello.greet`.
    pub command: String,
    pub title: String,
    pub input: Object,
    /// What the operator asked for; of a child, its machine.
    pub target: JobTarget,
    /// Target in words: the machine's name, "3 machines", a group's name.
    pub target_label: String,
    /// Machine that runs it; absent where the administrator runs it and in a parent.
    pub machine: Option<Uuid>,
    /// It has children and runs nothing itself.
    pub is_parent: bool,
    pub state: JobState,
    pub progress: Progress,
    pub result: Option<Value>,
    pub problem: Option<Problem>,
    pub operator: OperatorRef,
    pub idempotency_key: Option<String>,
    pub on_interrupt: OnInterrupt,
    pub cancel_policy: Cancel,
    pub timeout_seconds: Option<u64>,
    pub created_at: Timestamp,
    /// Undelivered past this moment it never runs.
    pub expires_at: Timestamp,
    pub assigned_at: Option<Timestamp>,
    /// When it was last sent.
    pub sent_at: Option<Timestamp>,
    pub accepted_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// How often it was given out anew; a repeat of the same assignment does not count.
    pub attempt: u32,
    pub cancel: Option<CancelRequest>,
    /// What the command last recorded of how far it came; only where the administrator runs it, since an agent has a
    /// journal of its own.
    pub checkpoint: Option<Value>,
}

/// Who ordered it; the name as it was then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRef {
    pub id: String,
    pub name: String,
}

/// An operator wants it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    pub by: String,
    pub at: Timestamp,
    pub sent_at: Timestamp,
}

/// A line a job wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub at: Timestamp,
    pub level: String,
    pub text: String,
}

impl JobId {
    /// A fresh id.
    #[allow(clippy::new_without_default)] // a default would hide that every id differs
    pub fn new() -> JobId {
        JobId(Uuid::now_v7())
    }

    pub const fn from_uuid(id: Uuid) -> JobId {
        JobId(id)
    }

    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({})", self.0)
    }
}

impl FromStr for JobId {
    type Err = WrongId;

    fn from_str(text: &str) -> Result<JobId, WrongId> {
        Uuid::try_parse(text).map(JobId).map_err(|_| WrongId(text.chars().take(60).collect()))
    }
}
