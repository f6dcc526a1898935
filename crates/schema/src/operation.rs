//! The JSON that goes beside an operation through the binary boundary: what is called, for whom, and the answers.

use crate::{Object, Problem, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// For whom and within what an operation runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CallMeta {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Id of the machine it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Name of the operator who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Time it may take; then it is cancelled with the code `deadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What the plugin last recorded with `checkpoint`, for a command that resumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Value>,
    /// How often the command was begun before.
    #[serde(default)]
    pub attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// The `meta` of `start`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// Short name of the command or type, id of the event, key of the channel; empty where the method needs none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(flatten)]
    pub call: CallMeta,
}

/// The `config` of `open`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenConfig {
    pub role: Role,
    /// Version of the host.
    pub host: String,
    /// Host services and features that may be relied on.
    #[serde(default)]
    pub features: Vec<String>,
    /// Settings in force, by name.
    #[serde(default)]
    pub settings: Object,
    /// A directory of the plugin's own, as the plugin has to write it.
    #[serde(default)]
    pub files: String,
    /// Both roles run in one process, for whoever started it: there is no site, and the other role is no stranger.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standalone: bool,
}

/// The data of PART: a result, and why it is not all that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InPart {
    pub result: Value,
    pub problem: Problem,
}

/// The data of OPEN in either direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenStream {
    pub name: String,
    /// Name of the file that the stream is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// The data of REPLY.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Ok(Value),
    Fault(Problem),
}

/// How many rows of a publication were taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    pub accepted: u64,
    /// One problem for each row that was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Problem>,
    /// The whole is held back until a second collection agrees.
    #[serde(default)]
    pub held: bool,
}

/// Rows that answer a query, and where the next page begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowPage {
    pub rows: Vec<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
