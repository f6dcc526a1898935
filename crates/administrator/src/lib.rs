//! administrator

pub mod agents;
pub mod runtime;
