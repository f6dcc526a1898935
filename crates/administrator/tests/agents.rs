//! The agents' port over real TLS on loopback: who gets in, what is stored before it is acknowledged, and what a hostile
//! or broken agent cannot do.

#[path = "agents/certificates.rs"]
mod certificates;
#[path = "agents/hostile.rs"]
mod hostile;
#[path = "agents/kit.rs"]
mod kit;
#[path = "agents/sessions.rs"]
mod sessions;
#[path = "agents/streams.rs"]
mod streams;
#[path = "agents/whole.rs"]
mod whole;
