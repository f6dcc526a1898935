//! The host services: what a plugin may ask of its host, each request and reply as one type for everyone who speaks
//! them. The SDK, the hosts of both roles and every host of a test use these, so that two sides cannot disagree.
//!
//! Requests are strict. Replies are not: a plugin of today is to understand a host of tomorrow that says more.

use crate::{Code, JobState, Object, Problem, Publish, Published, Query, RowPage, neutral_text};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request to the host, which knows its method and what is answered.
pub trait HostRequest: Serialize + DeserializeOwned {
    const METHOD: &'static str;
    type Reply: Serialize + DeserializeOwned;

    /// # Errors
    /// The payload does not fit.
    fn read(payload: Value) -> Result<Self, Problem> {
        serde_json::from_value(payload).map_err(|e| Problem::bad_request(format!("{e}.")).at("payload"))
    }

    /// The reply as the host sends it.
    ///
    /// # Errors
    /// It is not JSON.
    fn reply(reply: &Self::Reply) -> Result<Value, Problem> {
        serde_json::to_value(reply).map_err(|e| Problem::internal(format!("a reply cannot be written: {e}.")))
    }
}

/// Every host service once: its name in [`HostCall`], its method, its request and its reply.
macro_rules! host_calls {
    ($($name:ident: $method:literal, $request:ty => $reply:ty;)*) => {
        /// A request that a host has read.
        #[derive(Clone, Debug, PartialEq)]
        pub enum HostCall {
            $($name($request),)*
        }

        $(impl HostRequest for $request {
            const METHOD: &'static str = $method;
            type Reply = $reply;
        })*

        impl HostCall {
            /// The methods of all host services.
            pub const METHODS: &'static [&'static str] = &[$($method),*];

            /// Reads a request by its method.
            ///
            /// # Errors
            /// There is no such service, or the payload does not fit it.
            pub fn read(method: &str, payload: Value) -> Result<HostCall, Problem> {
                match method {
                    $(<$request>::METHOD => <$request>::read(payload).map(HostCall::$name),)*
                    _ => Err(HostCall::not_offered(method)),
                }
            }

            pub fn method(&self) -> &'static str {
                match self {
                    $(HostCall::$name(_) => $method,)*
                }
            }
        }
    };
}

host_calls! {
    RowsPublish: "rows.publish", Publish => Published;
    RowsQuery: "rows.query", RowsQuery => RowPage;
    SettingsGet: "settings.get", SettingsGet => Object;
    SecretsGet: "secrets.get", SecretsGet => Secret;
    SecretsSet: "secrets.set", SecretsSet => ();
    SecretsDelete: "secrets.delete", SecretsDelete => ();
    EventsEmit: "events.emit", EventsEmit => ();
    PeerCall: "peer.call", PeerCall => Value;
    MachinesList: "machines.list", MachinesList => Vec<ListedMachine>;
    FilesDir: "files.dir", FilesDir => FilesPath;
    ChannelOpen: "channel.open", ChannelOpen => ChannelOpened;
    JobsStart: "jobs.start", JobsStart => JobStarted;
    JobsGet: "jobs.get", JobsGet => SeenJob;
}

impl HostCall {
    /// What a role answers to a service that it does not have.
    pub fn not_offered(method: &str) -> Problem {
        let shown: String = method.chars().take(100).collect();
        let message = format!("the host service {} is not offered here.", neutral_text(&shown));
        Problem::new(Code::UnsupportedByHost, message)
    }
}

/// Rows of one of the plugin's own types; on a machine those of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowsQuery {
    /// Short name or full id of the type.
    #[serde(rename = "type")]
    pub type_name: String,
    #[serde(default)]
    pub query: Query,
}

/// All settings in force, by name; for the administrator role also those of one machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsGet {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretsGet {
    pub name: String,
}

/// A kept secret; no value where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Secret {
    #[serde(default)]
    pub value: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretsSet {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretsDelete {
    pub name: String,
}

/// Something happened of a kind that the manifest declares. What a machine tells is of that machine; the administrator
/// role may name one, which is told too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsEmit {
    pub event: String,
    #[serde(default)]
    pub data: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

/// A message to the same plugin in its other role; to which machine, where it comes from the administrator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerCall {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    pub payload: Value,
}

/// The machines of the site, for the administrator role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachinesList {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListedMachine {
    pub id: String,
    pub name: String,
    pub status: String,
}

/// The directory of the plugin's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesDir {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FilesPath {
    pub path: String,
}

/// A channel to the same plugin in its other role, which is told the key; on which machine, where it comes from the
/// administrator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelOpen {
    pub key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelOpened {
    /// Number of the stream that carries it, of the operation that asked.
    pub stream: u32,
}

/// Has a command of the plugin's own run as a job, which operators see as one that the plugin began. The command says
/// that it may be put on a schedule. A machine starts jobs on itself only; the administrator role names the machine
/// where the command is run on one.
///
/// Where the same command has still to end there, no other is begun and the job of that one is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobsStart {
    /// Short name or full id.
    pub command: String,
    #[serde(default)]
    pub input: Object,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// What was begun under this key before is told again, and not begun again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A job of one of the plugin's own commands, for the administrator role: what a machine says it was told to do can be held
/// against what an operator asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobsGet {
    pub job: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeenJob {
    /// Short name.
    pub command: String,
    /// Id of the machine that runs it.
    #[serde(default)]
    pub machine: Option<String>,
    pub state: JobState,
    /// Without what is secret.
    #[serde(default)]
    pub input: Object,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobStarted {
    pub job: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_service_is_read_by_its_method_and_refuses_what_it_does_not_know() {
        let requests = [
            json!({"type": "note", "mode": "replace", "rows": []}),
            json!({"type": "note", "query": {}}),
            json!({}),
            json!({"name": "key"}),
            json!({"name": "key", "value": "s3cret"}),
            json!({"name": "key"}),
            json!({"event": "happened", "data": {"n": 1}}),
            json!({"machine": "m1", "payload": [1]}),
            json!({}),
            json!({}),
            json!({"key": "receive"}),
            json!({"command": "scan", "key": "2026-01-31"}),
            json!({"job": "0190f3a0-0000-7000-8000-000000000000"}),
        ];
        assert_eq!(requests.len(), HostCall::METHODS.len());
        for (method, mut payload) in HostCall::METHODS.iter().zip(requests) {
            let call = HostCall::read(method, payload.clone()).unwrap();
            assert_eq!(call.method(), *method);
            payload["surplus"] = json!(1);
            assert_eq!(HostCall::read(method, payload).unwrap_err().code, Code::BadRequest, "{method}");
        }
        let unknown = HostCall::read("no.\u{1b}such", json!({})).unwrap_err();
        assert_eq!((unknown.code, unknown.message.contains('\u{1b}')), (Code::UnsupportedByHost, false));
    }

    #[test]
    fn a_reply_reads_back_as_what_the_host_meant() {
        let wire = SecretsGet::reply(&Secret { value: Some("s3cret".to_owned()) }).unwrap();
        assert_eq!(wire, json!({"value": "s3cret"}));
        assert_eq!(serde_json::from_value::<Secret>(wire).unwrap().value.as_deref(), Some("s3cret"));
        assert_eq!(SecretsSet::reply(&()).unwrap(), Value::Null);
    }
}
