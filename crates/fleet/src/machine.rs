//! What the core knows of a machine by itself, of groups, of plugins and of rows it had to reject.

use crate::{GroupId, MachineId};
use jiff::Timestamp;
use schema::Problem;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One enrolled machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    pub id: MachineId,
    /// What an operator named it, else what it calls itself.
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub macs: Vec<String>,
    pub status: Status,
    pub last_seen: Option<Timestamp>,
    pub agent_version: String,
    pub enrolled_at: Timestamp,
    pub groups: Vec<GroupId>,
    /// Since when its agent is refused.
    pub revoked_at: Option<Timestamp>,
    /// Why its agent is refused although nobody revoked it: two machines may use its identity.
    pub held: Option<String>,
    /// SHA-256 of the public key that its certificates are for, in hex; empty where it is not known.
    pub device_key: String,
    /// Its certificates that were issued before are refused.
    pub certified_from: Option<Timestamp>,
}

impl Machine {
    /// Whether its agent is let in.
    pub fn is_allowed(&self) -> bool {
        self.revoked_at.is_none() && self.held.is_none()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Online,
    Offline,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Offline => "offline",
        }
    }
}

/// A machine at its enrolment.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMachine {
    pub id: MachineId,
    /// As in [`Machine::device_key`].
    pub device_key: String,
    pub facts: Facts,
}

/// What an agent says of its machine. Everything in it is believed for display only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub macs: Vec<String>,
    pub agent_version: String,
}

/// A change of presence, flushed in batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Presence {
    pub machine: MachineId,
    pub status: Status,
    pub seen_at: Timestamp,
}

/// A named set of machines that operators put together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub id: GroupId,
    pub name: String,
    pub description: String,
    pub machines: u64,
    pub created_at: Timestamp,
}

/// How one plugin does in one place: on the administrator (`machine` absent) or on a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginStatus {
    pub name: String,
    pub title: String,
    pub version: String,
    pub state: PluginState,
    /// Why it does not run, in a line.
    pub cause: String,
    /// What to do about it, in a line.
    pub remedy: String,
    /// What the kernel was made to enforce on its runner, in lines; empty where it has none.
    pub sandbox: Vec<String>,
    pub machine: Option<MachineId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Ok,
    Restarting,
    Failed,
    Quarantined,
    Disabled,
}

impl PluginState {
    pub fn as_str(self) -> &'static str {
        match self {
            PluginState::Ok => "ok",
            PluginState::Restarting => "restarting",
            PluginState::Failed => "failed",
            PluginState::Quarantined => "quarantined",
            PluginState::Disabled => "disabled",
        }
    }
}

/// Something a machine or plugin sent that was not taken over, for an operator to see. The same one again is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    pub machine: Option<MachineId>,
    pub plugin: String,
    /// What it was about, as in the id of a type.
    pub subject: String,
    pub problem: Problem,
    pub count: u64,
    pub at: Timestamp,
}
