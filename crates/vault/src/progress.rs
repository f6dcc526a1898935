//! How far long work is, and stopping it.

use crate::error::VaultError;
use std::ops::ControlFlow;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Packs are read.
    Packs,
    /// It is looked at what snapshots need.
    Snapshots,
    /// What is needed is copied out of packs that are mostly garbage.
    Repacking,
    /// Packs that nothing needs are deleted.
    Deleting,
}

/// How far a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub phase: Phase,
    pub done: u64,
    pub total: u64,
}

/// Is told of progress, and says whether to go on. Stopping leaves everything as good as before.
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

pub(crate) fn tell(watch: &mut Watch<'_>, phase: Phase, done: u64, total: u64) -> Result<(), VaultError> {
    match watch(Progress { phase, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(VaultError::Stopped),
    }
}
