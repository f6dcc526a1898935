//! A job as every face sees it: its states, its target and the events it tells.

use crate::{Object, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Stored; nobody was told yet.
    Queued,
    /// Sent to the machine.
    Assigned,
    /// Journalled by the machine.
    Accepted,
    Running,
    /// Held up by a drive, a consent, a window.
    Waiting,
    Succeeded,
    Failed,
    /// Some of it succeeded.
    Incomplete,
    Cancelled,
    /// Never delivered before its time was over.
    Expired,
    /// The machine's own rules forbid it.
    Refused,
    /// Cut off, and it is not known how far it came.
    Unknown,
}

impl JobState {
    pub const ALL: [JobState; 12] = [
        JobState::Queued,
        JobState::Assigned,
        JobState::Accepted,
        JobState::Running,
        JobState::Waiting,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Incomplete,
        JobState::Cancelled,
        JobState::Expired,
        JobState::Refused,
        JobState::Unknown,
    ];

    /// Whether nothing can change any more.
    pub fn is_final(self) -> bool {
        use JobState::*;
        matches!(self, Succeeded | Failed | Incomplete | Cancelled | Expired | Refused | Unknown)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Assigned => "assigned",
            JobState::Accepted => "accepted",
            JobState::Running => "running",
            JobState::Waiting => "waiting",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Incomplete => "incomplete",
            JobState::Cancelled => "cancelled",
            JobState::Expired => "expired",
            JobState::Refused => "refused",
            JobState::Unknown => "unknown",
        }
    }

    /// The state with this wire name.
    pub fn parse(name: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Exit code of a command line that waited for a job ending in this state.
    pub fn exit_code(self) -> u8 {
        match self {
            JobState::Succeeded => 0,
            JobState::Cancelled => 6,
            JobState::Expired => 7,
            JobState::Refused => 4,
            JobState::Incomplete => 11,
            JobState::Unknown => 12,
            _ => 1,
        }
    }
}

/// What a job is to be run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobTarget {
    Machine(String),
    Machines(Vec<String>),
    Group(String),
    Administrator,
}

/// How far a job is. Latest value only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// 0 to 1; absent while the end cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// How much is done; who shows it makes rate and time left of two of them and their times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

/// How much of something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    pub done: u64,
    /// Absent while it cannot be told; it may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    pub unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Bytes,
    Items,
}

impl Amount {
    pub fn bytes(done: u64) -> Amount {
        Amount { done, total: None, unit: Unit::Bytes }
    }

    pub fn items(done: u64) -> Amount {
        Amount { done, total: None, unit: Unit::Items }
    }

    #[must_use]
    pub fn of(self, total: u64) -> Amount {
        Amount { total: Some(total), ..self }
    }

    /// 0 to 1, where the total is known.
    #[allow(clippy::cast_precision_loss)] // a share needs no more
    pub fn fraction(self) -> Option<f64> {
        match self.total {
            Some(0) => Some(1.0),
            Some(total) => Some((self.done as f64 / total as f64).min(1.0)),
            None => None,
        }
    }
}

/// One thing a job tells those who watch it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JobEvent {
    State {
        state: JobState,
    },
    Progress {
        progress: Progress,
    },
    Log {
        at: String,
        level: String,
        text: String,
    },
    /// A result of one machine of several.
    Partial {
        machine: String,
        state: JobState,
    },
    /// A person must agree before it goes on.
    Ask {
        question: Object,
    },
    Result {
        result: Value,
    },
    Problem {
        problem: Problem,
    },
}
