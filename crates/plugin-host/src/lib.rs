//! Runs plugins: in a runner child each (the default) or in this process, behind the same six verbs.
//!
//! A crash, a hang, a panic or a malformed message of a plugin becomes a [`schema::Problem`] and a [`PluginStatus`];
//! the host goes on. It knows nothing of jobs, machines or rows: those are [`Services`] of the role it runs in.

#![allow(unsafe_code)] // changing accounts, reading into spare capacity

mod accounts;
mod child;
mod config;
mod duplex;
mod grants;
mod host;
mod in_process;
mod operation;
mod plugin;
mod runner;
mod services;
mod store;
mod switchboard;
mod wire;

pub use config::{HostConfig, Limits, PluginState, PluginStatus, RunnerProgram, Sandbox, Transport};
pub use duplex::{Closed, Duplex, Receiver, Sender};
pub use grants::{Grants, grant};
pub use host::Host;
pub use operation::{Canceller, Method, OpEvent, Operation};
pub use runner::runner_main;
pub use schema::CallMeta;
pub use services::{Level, Services};
