//! The messages of a session, one closed enum each way.

use crate::PluginOffer;
use schema::{JobState, Object, OnInterrupt, Problem, Progress, Publish, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// From the administrator to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToAgent {
    /// Run a job. Sent again until `Accepted`; the agent starts it once whatever happens.
    Assign(Box<Assign>),
    Cancel {
        job: Uuid,
    },
    /// The end of the job is stored; the agent may forget it.
    AckResult {
        job: Uuid,
    },
    /// All rows up to this one of the spool are stored; or these are held back until a second collection agrees, which
    /// then travels though it is the same.
    AckRows {
        seq: u64,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        held: bool,
    },
    /// These sections are to be sent in full.
    SendSections {
        sections: Vec<SectionName>,
    },
    /// Dial back to `/stream/<ticket>` and join it to a stream of a running job.
    OpenStream {
        ticket: String,
        job: Uuid,
        stream: String,
    },
    /// Dial back to `/stream/<ticket>` and join it to a channel that this plugin accepts.
    OpenChannel {
        ticket: String,
        plugin: String,
        key: String,
    },
    /// A small message from the administrator role of a plugin to its machine role.
    PeerCall {
        call: u64,
        plugin: String,
        payload: Value,
    },
    /// A page of a computed type that the machine answers.
    Query {
        call: u64,
        plugin: String,
        #[serde(rename = "type")]
        type_name: String,
        query: Box<Query>,
    },
    /// Nobody waits for the answer to this call any more.
    CallCancelled {
        call: u64,
    },
    /// Answer to a `Request`.
    Response {
        call: u64,
        outcome: Outcome,
    },
    /// All settings of a plugin on this machine.
    Settings {
        plugin: String,
        values: Object,
    },
    /// An event that the plugin subscribed to.
    Event {
        plugin: String,
        event: Value,
    },
    /// A fresh client certificate (DER in base64).
    Renewed {
        certificate: String,
    },
    /// The plugins that the machine is to have from now on.
    Plugins {
        plugins: Vec<PluginOffer>,
    },
    /// This identity is no longer valid; the connection closes after it.
    Revoked {
        reason: String,
    },
    /// The connection closes after it.
    Goodbye(crate::Refused),
    /// Answer to a heartbeat.
    Heartbeat {
        time: String,
    },
}

/// One job for one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    pub job: Uuid,
    /// `<plugin>.<command>`.
    pub command: String,
    pub input: Object,
    /// Name of the operator who asked for it; for the plugin's own records.
    pub operator: String,
    /// Seconds that remain to run it; without a limit where absent. Relative, since the machine's clock may be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    pub on_interrupt: OnInterrupt,
    /// Whether running it twice, or half, destroys something.
    #[serde(default)]
    pub effect: schema::Effect,
}

/// From an agent to the administrator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromAgent {
    /// What became of a job.
    Job {
        job: Uuid,
        report: JobReport,
    },
    /// Rows of a stored type, by their place in the spool; repeated until acknowledged.
    Rows {
        seq: u64,
        plugin: String,
        publish: Publish,
    },
    /// Hashes of the sections the agent holds as acknowledged. The answer asks for those that differ.
    Sections {
        sections: Vec<SectionHash>,
    },
    /// Request for a fresh certificate of the same identity (DER in base64); the only message an expired one may send.
    Renew {
        csr: String,
    },
    Heartbeat {
        policy_hash: String,
    },
    /// Answer to a `PeerCall`.
    PeerReply {
        call: u64,
        outcome: Outcome,
    },
    /// Answer to a `Query`.
    QueryReply {
        call: u64,
        outcome: Outcome,
    },
    /// A host service that only the administrator has (`peer.call`, `events.emit`, `secrets.get`, …).
    Request {
        call: u64,
        plugin: String,
        method: String,
        payload: Value,
    },
    PluginStatus {
        plugins: Vec<PluginReport>,
    },
    Facts(crate::Facts),
    /// A line of a plugin's or the agent's own log that an operator should see.
    Log {
        plugin: String,
        level: String,
        text: String,
    },
}

impl FromAgent {
    /// The message as an administrator with these features understands it: one that is older refuses what it does not
    /// know.
    #[must_use]
    pub fn for_features(mut self, features: &[String]) -> FromAgent {
        if let FromAgent::Job { report: JobReport::Progress { progress }, .. } = &mut self
            && !features.iter().any(|feature| feature == crate::PROGRESS_AMOUNTS)
        {
            progress.amount = None;
        }
        self
    }
}

/// One thing that happened to a job on its machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JobReport {
    /// It is in the machine's journal: it will not be lost, and not start twice.
    Accepted,
    Running,
    /// It waits for a person, a device, a window.
    Waiting {
        text: String,
    },
    Progress {
        progress: Progress,
    },
    Log {
        at: String,
        level: String,
        text: String,
    },
    /// Its end; repeated until acknowledged.
    Finished {
        state: JobState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
        /// By the machine's clock.
        ended_at: String,
    },
}

/// Answer to a call either way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    Done(Value),
    Problem(Problem),
}

impl From<Result<Value, Problem>> for Outcome {
    fn from(result: Result<Value, Problem>) -> Outcome {
        match result {
            Ok(value) => Outcome::Done(value),
            Err(problem) => Outcome::Problem(problem),
        }
    }
}

impl From<Outcome> for Result<Value, Problem> {
    fn from(outcome: Outcome) -> Result<Value, Problem> {
        match outcome {
            Outcome::Done(value) => Ok(value),
            Outcome::Problem(problem) => Err(problem),
        }
    }
}

/// A section of a stored type of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionName {
    pub plugin: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub section: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionHash {
    pub name: SectionName,
    /// Of the rows as the agent last sent them, see [`section_hash`].
    pub hash: String,
}

/// blake3 of the rows of a section, lower-case hex: both sides make it of the same bytes.
///
/// # Errors
/// Rows that are no JSON.
pub fn section_hash(rows: &[Object]) -> Result<String, serde_json::Error> {
    Ok(blake3::hash(&serde_json::to_vec(rows)?).to_hex().to_string())
}

/// How a plugin does on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginReport {
    pub name: String,
    pub version: String,
    pub state: PluginState,
    /// What is wrong, and what to do about it, in a line each; empty where nothing is.
    pub cause: String,
    pub remedy: String,
    /// What the kernel was actually made to enforce on its runner.
    #[serde(default)]
    pub sandbox: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Ok,
    Failed,
    Restarting,
    Quarantined,
    Disabled,
}
