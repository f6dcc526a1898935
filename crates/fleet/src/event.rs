//! What plugins tell has happened, kept for operators to read.

use crate::MachineId;
use jiff::Timestamp;
use schema::{Object, Problem, Tone};

/// One thing that a plugin told, of a kind that its manifest declares.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub at: Timestamp,
    pub module: String,
    /// Short id of the kind.
    pub event: String,
    pub title: String,
    pub tone: Tone,
    pub machine: Option<MachineId>,
    pub data: Object,
}

/// What keeps events; the oldest go when there are too many.
pub trait EventStore {
    fn add_event(&mut self, event: &Event) -> Result<(), Problem>;
}
