//! Runs plugins: in a runner child each (the default) or in this process, behind the same six verbs.
//!
//! A crash, a hang, a panic or a malformed message of a plugin becomes a [`schema::Problem`] and a [`PluginStatus`];
//! the host goes on. It knows nothing of jobs, machines or rows: those are [`Services`] of the role it runs in.

mod config;
mod duplex;
mod host;
mod operation;
mod services;
mod switchboard;

pub use config::{HostConfig, Limits, PluginState, PluginStatus, RunnerProgram, Sandbox, Transport};
pub use duplex::{Closed, Duplex, Receiver, Sender};
pub use host::Host;
pub use operation::{Canceller, Method, OpEvent, Operation};
pub use schema::CallMeta;
pub use services::{Level, Services};

use std::process::ExitCode;

/// A runner: what `<program> plugin-runner` becomes. Call it before anything else starts a thread.
pub fn runner_main() -> ExitCode {
    ExitCode::FAILURE
}
