//! `kill -9` of every part in every phase of a job, and disks that do not keep what they are given.

use crate::jobs::{counting, plugin_is_ready};
use crate::machines::{arrive, site_with_network};
use anyhow::{Context, Result, ensure};
use end_to_end::client::FINAL;
use end_to_end::effects::{effects, times};
use end_to_end::process::{Running, children, signal_to};
use end_to_end::{Case, Client, Machine, Site, Start};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("crash::of_the_agent_in_each_phase", of_the_agent_in_each_phase).root(namespaces),
        Case::new("crash::of_the_administrator_in_each_phase", of_the_administrator_in_each_phase).root(namespaces),
        Case::new("crash::of_the_runner_while_it_runs", of_the_runner_while_it_runs).root(namespaces),
        Case::new("crash::at_random_under_a_stream_of_commands", at_random).root(namespaces),
        Case::new("crash::nothing_is_acknowledged_without_fsync", without_fsync).root("traces another program"),
    ]
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
    site.machine(manager, &machine.name, "online", Duration::from_secs(30))?;
    Ok(())
}

fn of_the_agent_in_each_phase() -> Result<()> {
    let (_network, site, manager, mut machines) = counting(&["maple"])?;
    let machine = &mut machines[0];
    let state = machine.state();

    // Sent, not taken: a stopped process reads nothing.
    machine.agent()?.signal("STOP")?;
    let sent = submit(&manager, "append", "sent", 0)?;
    manager.job_in(&sent, &["assigned", "queued"])?;
    machine.kill()?;
    again(&site, &manager, machine)?;
    manager.job_in(&sent, &["succeeded"])?;
    ensure!(times(&state, "begin sent") == 1 && times(&state, "end sent") == 1, "{:?}", effects(&state));

    // Taken, not begun: the runner is stopped before it can write.
    let mut taken = Vec::new();
    for runner in runners(machine.agent()?.id()) {
        signal_to(runner, "STOP")?;
    }
    for command in ["append", "append-again"] {
        taken.push((command, submit(&manager, command, &format!("taken-{command}"), 0)?));
    }
    for (_, id) in &taken {
        manager.job_in(id, &["accepted", "running"])?;
    }
    machine.kill()?;
    again(&site, &manager, machine)?;
    let reported = manager.job_in(&taken[0].1, FINAL)?;
    let begun = times(&state, "begin taken-append");
    ensure!(begun <= 1, "a command that is to be reported ran {begun} times");
    ensure!(reported["state"] == "unknown" || (reported["state"] == "succeeded" && begun == 1), "{reported}");
    manager.job_in(&taken[1].1, &["succeeded"])?;
    ensure!(times(&state, "end taken-append-again") == 1, "{:?}", effects(&state));

    // Begun, not ended.
    let running: Vec<(&str, String)> = ["append", "append-again", "append-on"]
        .into_iter()
        .map(|command| Ok((command, submit(&manager, command, &format!("running-{command}"), 3000)?)))
        .collect::<Result<_>>()?;
    line(&state, "begin running-append")?;
    line(&state, "begin running-append-again")?;
    line(&state, "step-2 running-append-on")?;
    machine.kill()?;
    ensure!(times(&state, "end running-append") == 0, "it was too late to cut it off");
    again(&site, &manager, machine)?;
    manager.job_in(&running[0].1, &["unknown"])?;
    ensure!(times(&state, "begin running-append") == 1 && times(&state, "end running-append") == 0);
    manager.job_in(&running[1].1, &["succeeded"])?;
    ensure!(times(&state, "begin running-append-again") == 2 && times(&state, "end running-append-again") == 1);
    manager.job_in(&running[2].1, &["succeeded"])?;
    ensure!(times(&state, "step-0 running-append-on") == 1, "it began anew: {:?}", effects(&state));
    ensure!((0..5).all(|step| times(&state, &format!("step-{step} running-append-on")) >= 1));

    // Ended, not acknowledged: the administrator is stopped meanwhile.
    let mut site = site;
    let ended = submit(&manager, "append", "ended", 300)?;
    line(&state, "begin ended")?;
    site.running()?.signal("STOP")?;
    line(&state, "end ended")?;
    // The agent journals the result within this time; if it does not, the job is reported as unknown.
    std::thread::sleep(Duration::from_millis(500));
    machine.kill()?;
    site.running()?.signal("CONT")?;
    again(&site, &manager, machine)?;
    let job = manager.job_in(&ended, &["succeeded"])?;
    ensure!(times(&state, "end ended") == 1 && job["result"] == 300, "{job}");
    println!("agent killed: 1 sent, 2 taken, 3 running, 1 ended and not acknowledged");
    Ok(())
}

fn of_the_administrator_in_each_phase() -> Result<()> {
    let (_network, mut site, manager, mut machines) = counting(&["maple"])?;
    let machine = &mut machines[0];
    let state = machine.state();
    let revive = |site: &mut Site| -> Result<()> {
        site.kill()?;
        site.start()?;
        site.machine(&manager, "maple", "online", Duration::from_secs(45)).map(|_| ())
    };

    // Stored, not sent.
    machine.stop()?;
    let stored = submit(&manager, "append", "stored", 0)?;
    site.kill()?;
    site.start()?;
    again(&site, &manager, machine)?;
    manager.job_in(&stored, &["succeeded"])?;
    ensure!(times(&state, "end stored") == 1);

    // Sent, not taken.
    machine.agent()?.signal("STOP")?;
    let sent = submit(&manager, "append", "sent", 0)?;
    manager.job_in(&sent, &["assigned", "queued"])?;
    site.kill()?;
    machine.agent()?.signal("CONT")?;
    site.start()?;
    manager.job_in(&sent, &["succeeded"])?;
    ensure!(times(&state, "begin sent") == 1 && times(&state, "end sent") == 1);

    // Running; the agent works on and reports later.
    let running = submit(&manager, "append", "running", 1500)?;
    line(&state, "begin running")?;
    revive(&mut site)?;
    manager.job_in(&running, &["succeeded"])?;
    ensure!(times(&state, "begin running") == 1 && times(&state, "end running") == 1);

    // Ended, not acknowledged.
    let ended = submit(&manager, "append", "ended", 300)?;
    line(&state, "begin ended")?;
    site.running()?.signal("STOP")?;
    line(&state, "end ended")?;
    revive(&mut site)?;
    manager.job_in(&ended, &["succeeded"])?;
    ensure!(times(&state, "begin ended") == 1 && times(&state, "end ended") == 1);

    // Cancelled, and the order not yet delivered.
    let cancelled = submit(&manager, "append", "cancelled", 60_000)?;
    line(&state, "begin cancelled")?;
    machine.agent()?.signal("STOP")?;
    ensure!(manager.post(&format!("/api/v1/jobs/{cancelled}/cancel"), &json!({}))?.status == 202);
    site.kill()?;
    machine.agent()?.signal("CONT")?;
    site.start()?;
    manager.job_in(&cancelled, &["cancelled"])?;
    ensure!(times(&state, "end cancelled") == 0);
    println!("administrator killed: 1 stored, 1 sent, 1 running, 1 ended and not acknowledged, 1 cancelling");
    Ok(())
}

fn of_the_runner_while_it_runs() -> Result<()> {
    let (_network, _site, manager, mut machines) = counting(&["maple"])?;
    let machine = &mut machines[0];
    let state = machine.state();
    let jobs: Vec<String> = ["append", "append-again", "append-on"]
        .into_iter()
        .map(|command| submit(&manager, command, &format!("run-{command}"), 2500))
        .collect::<Result<_>>()?;
    line(&state, "begin run-append")?;
    line(&state, "begin run-append-again")?;
    line(&state, "step-2 run-append-on")?;
    let killed = runners(machine.agent()?.id());
    ensure!(!killed.is_empty(), "no runner was found");
    for runner in &killed {
        signal_to(*runner, "KILL")?;
    }
    let reported = manager.job_in(&jobs[0], FINAL)?;
    ensure!(reported["state"] == "unknown" || reported["state"] == "failed", "{reported}");
    ensure!(times(&state, "begin run-append") == 1 && times(&state, "end run-append") == 0);
    manager.job_in(&jobs[1], &["succeeded"])?;
    ensure!(times(&state, "begin run-append-again") == 2 && times(&state, "end run-append-again") == 1);
    manager.job_in(&jobs[2], &["succeeded"])?;
    ensure!(times(&state, "step-0 run-append-on") == 1, "it began anew: {:?}", effects(&state));
    plugin_is_ready(&manager, "maple")?;
    println!("runner killed: 3 running, {} runners", killed.len());
    Ok(())
}

/// Submits until the administrator says yes, however often it dies meanwhile; a key makes that safe.
fn insist(manager: &Client, command: &str, tag: &str) -> Result<String> {
    let arguments = json!({"tag": tag, "hold_ms": 20, "machine": "maple"});
    end_to_end::until("the command is acknowledged", Duration::from_secs(60), || {
        Ok(manager.submit_once(&format!("counter.{command}"), &arguments, tag).ok())
    })
}

fn at_random() -> Result<()> {
    let (_network, mut site, manager, mut machines) = counting(&["maple"])?;
    let machine = &mut machines[0];
    let state = machine.state();
    let long = std::env::var_os("BAILIWICK_LONG").is_some();
    let (commands, rounds) = if long { (1000, 100) } else { (90, 9) };
    let stream = {
        let manager = manager.clone();
        std::thread::spawn(move || -> Result<Vec<(String, String, String)>> {
            let kinds = ["append", "append-again", "append-on"];
            let one = |number: usize| {
                let (kind, tag) = (kinds[number % 3], format!("stream-{number}"));
                Ok((kind.to_owned(), tag.clone(), insist(&manager, kind, &tag)?))
            };
            (0..commands).map(one).collect()
        })
    };
    let mut killed = BTreeMap::new();
    let mut phases: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(150 + rand::random::<u64>() % 400));
        let victim = ["agent", "administrator", "runner"][round % 3];
        for job in manager.rows("fleet/jobs?limit=1000").unwrap_or_default() {
            *phases.entry(job["state"].as_str().unwrap_or("?").to_owned()).or_default() += 1;
        }
        *killed.entry(victim).or_insert(0) += 1;
        match victim {
            "agent" => {
                machine.kill()?;
                machine.start()?;
            }
            "administrator" => {
                site.kill()?;
                site.start()?;
            }
            _ => {
                let found = runners(machine.agent()?.id());
                if let Some(runner) = found.first() {
                    signal_to(*runner, "KILL")?;
                }
            }
        }
    }
    let jobs = stream.join().expect("the stream of commands does not panic")?;
    check_stream(&manager, &state, &jobs, killed["agent"] + killed["runner"])?;
    println!("killed {killed:?}; states of jobs at those moments {phases:?}; {} commands, none lost", jobs.len());
    Ok(())
}

/// Every acknowledged command came to an end that fits what it promises.
fn check_stream(manager: &Client, state: &Path, jobs: &[(String, String, String)], cuts: usize) -> Result<()> {
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for (kind, tag, id) in jobs {
        let job = manager.job_within(id, FINAL, Duration::from_secs(180)).with_context(|| format!("{kind} {tag}"))?;
        let (begun, ended) = (times(state, &format!("begin {tag}")), times(state, &format!("end {tag}")));
        let succeeded = job["state"] == "succeeded";
        *ends.entry(format!("{kind} {}", job["state"].as_str().unwrap_or("?"))).or_default() += 1;
        ensure!(!succeeded || ended >= 1, "{tag} is said to have succeeded, and has no effect: {job}");
        match kind.as_str() {
            "append" => {
                ensure!(begun <= 1 && ended <= 1, "{tag} ran {begun} times: {job}");
                ensure!(succeeded || job["state"] == "unknown" || job["state"] == "failed", "{tag}: {job}");
            }
            "append-again" => {
                ensure!(succeeded, "{tag}: {job}");
                ensure!(begun <= 1 + cuts, "{tag} ran {begun} times");
            }
            _ => {
                ensure!(succeeded, "{tag}: {job}");
                ensure!((0..5).all(|step| times(state, &format!("step-{step} {tag}")) >= 1), "{tag} left a step out");
            }
        }
    }
    println!("{ends:?}");
    Ok(())
}

/// A tracer that lets every fsync of a process fail.
struct FailingDisk {
    tracer: Running,
    log: tempfile::NamedTempFile,
}

impl FailingDisk {
    fn of(process: u32) -> Result<FailingDisk> {
        let log = tempfile::NamedTempFile::new()?;
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &process.to_string(), "-e", "trace=fsync,fdatasync,sync_file_range"]);
        strace.args(["-e", "inject=fsync,fdatasync,sync_file_range:error=EIO", "-o"]).arg(log.path());
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

    let disk = FailingDisk::of(site.running()?.id())?;
    let reply = manager.post("/api/v1/commands/fleet.create-group", &json!({"name": "unsafe"}))?;
    ensure!(reply.status >= 500, "the administrator acknowledged without fsync: {} {}", reply.status, reply.text);
    let failed = disk.failed();
    ensure!(failed > 0, "the administrator asked for no fsync");
    disk.heal()?;
    println!("administrator: {failed} failed fsyncs, answered {}", reply.status);
    site.kill()?;
    site.start()?;
    site.machine(&manager, "maple", "online", Duration::from_secs(45))?;
    manager.run("fleet.create-group", &json!({"name": "safe"}))?;

    let disk = FailingDisk::of(machines[0].agent()?.id())?;
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
