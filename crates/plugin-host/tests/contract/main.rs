//! The plugin contract from end to end: real libraries, both transports, every known trap.

mod bed;
mod conformance;
mod crashes;
mod loading;
mod traps;
mod verbs;
