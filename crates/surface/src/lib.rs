//! Manifests as a command line, an OpenAPI document and checked inputs.
//!
//! Pure functions: no I/O, no clock, no state. Every face is derived from the same manifests, so that none knows a
//! command, a flag or a column that the others do not.

pub mod cli;
mod input;
pub mod openapi;
mod output;
mod shape;
mod typed;

pub use input::validate_input;
pub use output::validate_output;
pub use shape::{Column, Shape};
pub use typed::setting_value;
