//! Each part killed in each phase of a job.

use super::stored::journalled;
use super::{again, line, runners, submit};
use crate::jobs::{counting, plugin_is_ready};
use agent::journal::Phase as Journalled;
use anyhow::{Result, ensure};
use end_to_end::client::FINAL;
use end_to_end::effects::{effects, times};
use end_to_end::process::signal_to;
use end_to_end::{Case, Site};
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("crash::of_the_agent_in_each_phase", of_the_agent_in_each_phase).root(namespaces),
        Case::new("crash::of_the_administrator_in_each_phase", of_the_administrator_in_each_phase).root(namespaces),
        Case::new("crash::of_the_runner_while_it_runs", of_the_runner_while_it_runs).root(namespaces),
    ]
}

fn of_the_agent_in_each_phase() -> Result<()> {
    let (_network, site, manager, mut machines) = counting(&["maple"])?;
    let machine = &mut machines[0];
    let state = machine.state();

    // Sent, not taken: a stopped process reads nothing.
    machine.agent()?.signal("STOP")?;
    let sent = submit(&manager, "append", "sent", 0)?;
    manager.job_in(&sent, &["assigned"])?;
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
    end_to_end::soon("the journal has the end", || {
        Ok(matches!(journalled(&state, &ended)?, Some(Journalled::Finished { .. })).then_some(()))
    })?;
    machine.kill()?;
    site.running()?.signal("CONT")?;
    again(&site, &manager, machine)?;
    let job = manager.job_in(&ended, &["succeeded"])?;
    ensure!(times(&state, "end ended") == 1 && job["result"] == 300, "{job}");
    Ok(())
}

fn of_the_administrator_in_each_phase() -> Result<()> {
    let (_network, mut site, manager, mut machines) = counting(&["maple"])?;
    let machine = &mut machines[0];
    let state = machine.state();
    let revive = |site: &mut Site| -> Result<()> {
        site.kill()?;
        site.start()?;
        site.back(&manager, "maple").map(|_| ())
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
    manager.job_in(&sent, &["assigned"])?;
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
    Ok(())
}
