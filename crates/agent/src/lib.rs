//! The agent: enrols once, keeps one outbound connection, runs jobs and plugins of its machine and forgets nothing that
//! it took over. It listens on nothing, and the machine's own rules come before the administrator's.

mod core;
pub mod enrol;
pub mod facts;
mod jobs;
pub mod journal;
mod outbox;
mod plugins;
pub mod policy;
mod run;
mod services;
mod settings;
pub mod state;
#[cfg(test)]
mod testing;
mod uplink;

pub use run::{Options, RunError, join, run};
