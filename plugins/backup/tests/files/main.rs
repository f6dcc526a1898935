//! Files of this machine through a real vault and back: with everything that belongs to them, from hostile snapshots, and while
//! others write.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

mod conflicts;
mod crafted;
mod hostile;
mod kit;
mod mounts;
mod nasty;
mod property;
mod selection;
