//! The agents' port over real TLS on loopback: who gets in, what is stored before it is acknowledged, and what a hostile
//! or broken agent cannot do.
#![allow(clippy::unwrap_used)] // a test fails where it stands
#![allow(unreachable_pub)] // the kit is a crate's worth of helpers in one test
#![allow(dead_code)] // what is told is kept whole, for the next test to look at

#[path = "agents/certificates.rs"]
mod certificates;
#[path = "agents/cut_off.rs"]
mod cut_off;
#[path = "agents/hostile.rs"]
mod hostile;
#[path = "agents/installation.rs"]
mod installation;
#[path = "agents/joining.rs"]
mod joining;
#[path = "agents/kit.rs"]
mod kit;
#[path = "agents/renewal.rs"]
mod renewal;
#[path = "agents/returns.rs"]
mod returns;
#[path = "agents/sessions.rs"]
mod sessions;
#[path = "agents/streams.rs"]
mod streams;
#[path = "agents/upgrades.rs"]
mod upgrades;
#[path = "agents/whole.rs"]
mod whole;
