//! The first exchange of a connection. Neither side believes it is connected before it.

use schema::{JobState, Problem};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

/// First frame, from the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Newest and oldest version of the messages that the agent speaks.
    pub version: u16,
    pub oldest_version: u16,
    pub features: Vec<String>,
    pub agent_version: String,
    /// Changes with every start of the machine; how a reboot command is known to be done.
    pub boot_id: String,
    /// Counted up durably by the agent before every connection; two machines with one identity diverge here.
    pub epoch: u64,
    /// Jobs in the agent's journal whose end is not yet acknowledged.
    pub known_jobs: Vec<KnownJob>,
    pub evidence: Evidence,
    /// Hash of the machine's own policy file.
    pub policy_hash: String,
    /// Plugins that are loaded.
    pub plugins: Vec<crate::PluginReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownJob {
    pub job: Uuid,
    pub state: JobState,
}

/// What tells one machine from another, beside its certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The operating system's own id of this installation; empty where there is none.
    pub machine_id: String,
    pub facts: Facts,
}

/// What the core itself shows of a machine; everything else comes from plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub macs: Vec<String>,
    pub agent_version: String,
}

/// Answer to a [`Hello`] that is accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// Version of the messages from here on.
    pub version: u16,
    pub features: Vec<String>,
    /// The administrator's time (RFC 3339): the one that counts.
    pub time: String,
    pub heartbeat_seconds: u32,
    /// Id of the database that the administrator writes to. Where it is a new one, the agent sends everything again.
    pub store: String,
    /// Plugins the machine is to have.
    pub plugins: Vec<PluginOffer>,
    /// All addresses of the agents' port, for the next time.
    pub addresses: Vec<String>,
    /// The certificate has expired: nothing but `Renew` is listened to.
    pub renew_only: bool,
}

/// A plugin library that the agent can fetch by its hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginOffer {
    pub name: String,
    pub version: String,
    /// Lower-case hex.
    pub blake3: String,
    pub size_bytes: u64,
    /// What the site grants it on machines, beyond what any plugin may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<schema::Needs>,
}

/// Answer to a [`Hello`] that is not accepted, and last frame of a session that the administrator ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub problem: Problem,
    /// When to come again; by the agent's own measure where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// The version and the features that both sides speak.
///
/// # Errors
/// An `unsupported_by_host` problem that names both ranges.
pub fn negotiate(hello: &Hello) -> Result<(u16, Vec<String>), Problem> {
    let version = hello.version.min(crate::VERSION);
    if version < hello.oldest_version.max(crate::OLDEST_VERSION) {
        return Err(Problem::new(
            schema::Code::UnsupportedByHost,
            format!(
                "The agent speaks versions {} to {} of the protocol, this administrator {} to {}.",
                hello.oldest_version,
                hello.version,
                crate::OLDEST_VERSION,
                crate::VERSION
            ),
        )
        .fix("Upgrade the older of the two."));
    }
    let features = crate::FEATURES.iter().map(|name| (*name).to_owned()).filter(|name| hello.features.contains(name));
    Ok((version, features.collect()))
}
