//! Disks that do not keep what they are given.

use super::{again, submit};
use crate::jobs::plugin_is_ready;
use crate::machines::{arrive, site_with_network};
use anyhow::{Result, ensure};
use end_to_end::client::FINAL;
use end_to_end::effects::times;
use end_to_end::process::Running;
use end_to_end::wait::soon;
use end_to_end::{Case, Start};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("crash::nothing_is_acknowledged_without_fsync", without_fsync).root("traces another program"),
        Case::new("crash::a_result_is_acknowledged_when_it_is_on_disk", result_without_fsync)
            .root("traces another program"),
        Case::new("crash::an_end_is_told_when_it_is_on_disk", end_without_disk).root("traces another program"),
    ]
}

/// What fails, and how.
const NO_SYNC: (&str, &str) = ("fsync,fdatasync,sync_file_range", "EIO");
const FULL: (&str, &str) = ("pwrite64,ftruncate,fallocate", "ENOSPC");

/// A tracer that lets calls of a process to its disk fail.
struct FailingDisk {
    tracer: Running,
    log: tempfile::NamedTempFile,
}

impl FailingDisk {
    fn of(process: u32, (calls, error): (&str, &str)) -> Result<FailingDisk> {
        let log = tempfile::NamedTempFile::new()?;
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &process.to_string(), "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:error={error}"), "-o"]).arg(log.path());
        let mut tracer = Running::start("strace", &mut strace)?;
        tracer.line(Duration::from_secs(10), |line| line.contains("attached"))?;
        // It attaches to one thread after another, in an order of its own.
        std::thread::sleep(Duration::from_millis(300));
        Ok(FailingDisk { tracer, log })
    }

    fn failed(&self) -> usize {
        std::fs::read_to_string(self.log.path()).unwrap_or_default().matches("INJECTED").count()
    }

    fn heal(mut self) -> Result<()> {
        self.tracer.signal("INT")?;
        self.tracer.wait(Duration::from_secs(10)).map(|_| ())
    }
}

fn without_fsync() -> Result<()> {
    let (network, mut site) = site_with_network(Start { plugins: vec!["counter"], ..Start::default() })?;
    let token = site.token("manager")?;
    let manager = site.stranger().bearer(&token);
    let mut machines = arrive(&network, &site, &manager, &["maple"])?;
    plugin_is_ready(&manager, "maple")?;
    let state = machines[0].state();

    let disk = FailingDisk::of(site.running()?.id(), NO_SYNC)?;
    let reply = manager.post("/api/v1/commands/fleet.create-group", &json!({"name": "unsafe"}))?;
    ensure!(reply.status >= 500, "the administrator acknowledged without fsync: {} {}", reply.status, reply.text);
    let failed = disk.failed();
    ensure!(failed > 0, "the administrator asked for no fsync");
    disk.heal()?;
    println!("administrator: {failed} failed fsyncs, answered {}", reply.status);
    site.kill()?;
    site.start()?;
    site.back(&manager, "maple")?;
    manager.run("fleet.create-group", &json!({"name": "safe"}))?;

    let disk = FailingDisk::of(machines[0].agent()?.id(), NO_SYNC)?;
    let id = submit(&manager, "append", "unsafe", 0)?;
    let limit = Instant::now() + Duration::from_secs(4);
    let mut seen: Value = json!(null);
    while Instant::now() < limit {
        seen = manager.job(&id)?["state"].clone();
        ensure!(
            !["accepted", "running", "succeeded"].iter().any(|state| seen == *state),
            "the agent took {seen} without fsync"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    ensure!(times(&state, "begin unsafe") == 0, "the command was begun before it was journalled");
    let failed = disk.failed();
    ensure!(failed > 0, "the agent asked for no fsync");
    disk.heal()?;
    println!("agent: {failed} failed fsyncs, the job was {seen}");
    machines[0].kill()?;
    again(&site, &manager, &mut machines[0])?;
    let job = manager.job_in(&id, FINAL)?;
    ensure!(times(&state, "end unsafe") <= 1, "{job}");
    Ok(())
}

/// The command ends while the agent's disk takes nothing: nobody hears of its end, it is not run again, and it counts when
/// the disk is back, in the same life of the agent.
fn end_without_disk() -> Result<()> {
    let (network, site) = site_with_network(Start { plugins: vec!["counter"], ..Start::default() })?;
    let token = site.token("manager")?;
    let manager = site.stranger().bearer(&token);
    let mut machines = arrive(&network, &site, &manager, &["maple"])?;
    plugin_is_ready(&manager, "maple")?;
    let (state, agent) = (machines[0].state(), machines[0].agent()?.id());
    for (tag, fault) in [("unsynced", NO_SYNC), ("full", FULL)] {
        let id = submit(&manager, "append-again", tag, 4000)?;
        manager.job_in(&id, &["running"])?;
        let disk = FailingDisk::of(agent, fault)?;
        soon("the command ends", || Ok((times(&state, &format!("end {tag}")) == 1).then_some(())))?;
        let limit = Instant::now() + Duration::from_secs(3);
        while Instant::now() < limit {
            let job = manager.job(&id)?;
            ensure!(job["state"] == "running", "its end was told before it was on the disk: {job}");
            std::thread::sleep(Duration::from_millis(100));
        }
        let failed = disk.failed();
        ensure!(failed > 0, "the agent asked nothing of its disk");
        disk.heal()?;
        let job = manager.job_within(&id, FINAL, Duration::from_secs(60))?;
        println!("{tag}: {failed} failed calls, then {}", job["state"]);
        ensure!(job["state"] == "succeeded", "{job}");
        ensure!(times(&state, &format!("begin {tag}")) == 1, "it was run again");
    }
    Ok(())
}

/// The administrator's disk takes nothing while a result comes: it is not acknowledged, so that the machine has it still
/// when the administrator comes back, and nothing is run again.
fn result_without_fsync() -> Result<()> {
    let (network, mut site) = site_with_network(Start { plugins: vec!["counter"], ..Start::default() })?;
    let token = site.token("manager")?;
    let manager = site.stranger().bearer(&token);
    let machines = arrive(&network, &site, &manager, &["maple"])?;
    plugin_is_ready(&manager, "maple")?;
    let state = machines[0].state();
    let id = submit(&manager, "append-again", "unstored", 4000)?;
    manager.job_in(&id, &["running"])?;
    let disk = FailingDisk::of(site.running()?.id(), NO_SYNC)?;
    soon("the command ends", || Ok((times(&state, "end unstored") == 1).then_some(())))?;
    let limit = Instant::now() + Duration::from_secs(3);
    while Instant::now() < limit {
        let job = manager.job(&id)?;
        ensure!(job["state"] == "running", "a result that is not on the disk was told: {job}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let failed = disk.failed();
    ensure!(failed > 0, "the administrator asked for no fsync");
    site.kill()?;
    // Its tracer ends with it.
    drop(disk);
    site.start()?;
    let job = manager.job_within(&id, FINAL, Duration::from_secs(60))?;
    println!("administrator: {failed} failed fsyncs under a result, then {}", job["state"]);
    ensure!(job["state"] == "succeeded", "{job}");
    ensure!(times(&state, "begin unstored") == 1, "it was run again");
    Ok(())
}
