//! The plugin contract from end to end: real libraries, both transports, every known trap.

#![allow(clippy::unwrap_used)] // a test that cannot go on ends

mod bed;
mod confinement;
mod conformance;
mod crashes;
mod endings;
mod loading;
mod traps;
mod verbs;
