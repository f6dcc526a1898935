//! The keeper's side of a vault through its public face: what is committed is there, whoever lies, fails, races or dies.
#![allow(clippy::unwrap_used)] // a test fails where it stands

#[path = "keeper/account.rs"]
mod account;
#[path = "keeper/any_verbs.rs"]
mod any_verbs;
#[path = "keeper/basics.rs"]
mod basics;
#[path = "keeper/beside.rs"]
mod beside;
#[path = "keeper/concurrent.rs"]
mod concurrent;
#[path = "keeper/faults.rs"]
mod faults;
#[path = "keeper/frozen.rs"]
mod frozen;
#[path = "keeper/hostile.rs"]
mod hostile;
#[path = "keeper/kit.rs"]
mod kit;
#[path = "keeper/private.rs"]
mod private;
#[path = "keeper/prune.rs"]
mod prune;
#[path = "keeper/reading.rs"]
mod reading;
#[path = "keeper/scrub.rs"]
mod scrub;
