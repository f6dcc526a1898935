//! Machines, groups and the core's own module `fleet`: their rules, their types and what the console shows of them.
//!
//! Nothing here stores or sends anything: storage is behind [`Lookup`] and [`Store`], which `database` implements.

mod event;
mod ids;
mod machine;
mod manifest;
mod setting;
mod store;

pub use event::{Event, EventStore};
pub use ids::{GroupId, MachineId, WrongId};
pub use machine::{Facts, Group, Machine, NewMachine, PluginState, PluginStatus, Presence, Status, Warning};
pub use manifest::manifest;
pub use setting::{Place, SettingChange, SettingLookup, SettingStore, SettingValues};
pub use store::{Lookup, Store, check_name};
