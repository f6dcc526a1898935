//! Machines, groups and the core's own module `fleet`: their rules, their types and what the console shows of them.
//!
//! Nothing here stores or sends anything: storage is behind [`Lookup`] and [`Store`], which `database` implements.

mod ids;
mod machine;
mod manifest;
mod store;

pub use ids::{GroupId, MachineId, WrongId};
pub use machine::{Facts, Group, Machine, NewMachine, PluginState, PluginStatus, Presence, Status, Warning};
pub use manifest::manifest;
pub use store::{Lookup, Store, check_name};
