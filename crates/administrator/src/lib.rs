//! The administrator: the server behind console, command line and programs, and behind every agent.
//!
//! It wires the engine together and knows HTTP; rules live in the crates below (`jobs`, `identity`, `fleet`), SQL in
//! `database`, and nothing here names a plugin. What a screen or command is comes from manifests alone.

pub mod agents;
mod app;
mod checkpoints;
mod core;
mod denials;
mod dispatcher;
mod local;
mod local_agent;
mod modules;
mod once;
mod plugins;
mod reach;
mod records;
pub mod runtime;
mod secrets;
mod serve;
mod services;
mod settings;
mod sink;
mod submission;
mod suspicions;
mod web;

pub use checkpoints::CHECKPOINT_FILE;
pub use secrets::SecretsStore;
pub use serve::{Administrator, Only, Plugins, ServeConfig};
