//! `kill -9` of every part in every phase of a job, and disks that do not keep what they are given.

mod disk;
mod late;
mod own_jobs;
mod phases;
mod random;
mod stored;

use anyhow::Result;
use end_to_end::effects::times;
use end_to_end::process::children;
use end_to_end::{Case, Client, Machine, Site};
use serde_json::json;
use std::path::Path;

pub(crate) fn cases() -> Vec<Case> {
    [phases::cases(), random::cases(), disk::cases(), own_jobs::cases(), late::cases()].into_iter().flatten().collect()
}

/// Waits until a line of the counter's file is there.
fn line(machine: &Path, line: &str) -> Result<()> {
    end_to_end::soon(&format!("`{line}` was written"), || Ok((times(machine, line) > 0).then_some(())))
}

/// The runners below a process.
fn runners(of: u32) -> Vec<u32> {
    children(of).into_iter().filter(|(_, words)| words.contains("plugin-runner")).map(|(id, _)| id).collect()
}

fn submit(manager: &Client, command: &str, tag: &str, hold_ms: u64) -> Result<String> {
    manager.submit(&format!("counter.{command}"), &json!({"tag": tag, "hold_ms": hold_ms, "machine": "maple"}))
}

/// Starts the agent again and waits until its plugin runs.
fn again(site: &Site, manager: &Client, machine: &mut Machine) -> Result<()> {
    machine.start()?;
    site.back(manager, &machine.name)?;
    Ok(())
}
