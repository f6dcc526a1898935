//! Each part killed in each phase of a job, and the phase proved by what was stored at that moment.

use super::stored::{Hit, Phase, journalled, phase};
use super::{again, line, runners, submit};
use crate::jobs::counting;
use agent::journal::Phase as Journalled;
use anyhow::{Result, ensure};
use end_to_end::client::FINAL;
use end_to_end::effects::{effects, times};
use end_to_end::process::signal_to;
use end_to_end::{Case, Client, Machine, Site};

pub(super) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("crash::of_the_agent_in_each_stored_phase", of_the_agent).root(namespaces),
        Case::new("crash::of_the_administrator_in_each_stored_phase", of_the_administrator).root(namespaces),
    ]
}

const PHASES: [Phase; 6] =
    [Phase::Sent, Phase::Taken, Phase::Running, Phase::Done, Phase::Ended, Phase::Unacknowledged];

/// Brings a new job into a phase. Whoever has to wait for that is left stopped.
fn bring(site: &mut Site, manager: &Client, machine: &mut Machine, wanted: Phase, tag: &str) -> Result<String> {
    let state = machine.state();
    let agent = machine.agent()?.id();
    let stop = |id: u32| signal_to(id, "STOP");
    let ended = |id: &str| {
        end_to_end::soon("the journal has the end", || {
            Ok(matches!(journalled(&state, id)?, Some(Journalled::Finished { .. })).then_some(()))
        })
    };
    match wanted {
        Phase::Sent => {
            stop(agent)?;
            let id = submit(manager, "append", tag, 0)?;
            manager.job_in(&id, &["assigned"])?;
            Ok(id)
        }
        // The plugin is not there to begin it: its runner was killed, and the agent stops before the next one is up.
        Phase::Taken => {
            runners(agent).into_iter().try_for_each(|runner| signal_to(runner, "KILL"))?;
            let id = submit(manager, "append", tag, 0)?;
            manager.job_in(&id, &["accepted", "running", "succeeded"])?;
            stop(agent)?;
            Ok(id)
        }
        Phase::Running => {
            let id = submit(manager, "append", tag, 60_000)?;
            line(&state, &format!("begin {tag}"))?;
            stop(agent)?;
            Ok(id)
        }
        // The plugin goes on while its agent cannot write the end down.
        Phase::Done => {
            let id = submit(manager, "append", tag, 400)?;
            line(&state, &format!("begin {tag}"))?;
            stop(agent)?;
            line(&state, &format!("end {tag}"))?;
            Ok(id)
        }
        _ => {
            let id = submit(manager, "append", tag, 400)?;
            line(&state, &format!("begin {tag}"))?;
            site.running()?.signal("STOP")?;
            ended(&id)?;
            if wanted == Phase::Unacknowledged {
                // The end is on the wire, its acknowledgement reaches nobody.
                stop(agent)?;
                site.running()?.signal("CONT")?;
                manager.job_in(&id, FINAL)?;
            }
            Ok(id)
        }
    }
}

/// What a command that is only reported promises, whatever was killed when.
fn holds(manager: &Client, machine: &Machine, id: &str, tag: &str, was: Phase) -> Result<()> {
    let job = manager.job_in(id, FINAL)?;
    let state = machine.state();
    let (begun, ended) = (times(&state, &format!("begin {tag}")), times(&state, &format!("end {tag}")));
    ensure!(begun <= 1 && ended <= 1, "{was:?}: it ran twice: {:?}", effects(&state));
    ensure!(job["state"] != "succeeded" || ended == 1, "{was:?}: it is said to have succeeded: {job}");
    let fits: &[&str] = match was {
        Phase::Running | Phase::Done => &["unknown"],
        Phase::Taken => &["succeeded", "unknown", "failed"],
        _ => &["succeeded"],
    };
    ensure!(fits.iter().any(|state| job["state"] == *state), "{was:?}: {job}");
    Ok(())
}

fn of_the_agent() -> Result<()> {
    let (_network, mut site, manager, mut machines) = counting(&["maple"])?;
    let machine = &mut machines[0];
    let mut hit = Hit::default();
    for wanted in PHASES {
        // The window of one that was taken is short: it may take a few.
        for attempt in 0..20 {
            let tag = format!("agent-{wanted:?}-{attempt}");
            let id = bring(&mut site, &manager, machine, wanted, &tag)?;
            machine.agent()?.signal("STOP")?;
            let found = phase(&site.state(), &machine.state(), &id, &tag)?;
            machine.kill()?;
            site.running()?.signal("CONT")?;
            again(&site, &manager, machine)?;
            hit.note(found);
            holds(&manager, machine, &id, &tag, found)?;
            if found == wanted {
                break;
            }
        }
        ensure!(hit.has(&[wanted]), "no kill hit {wanted:?}: {hit}");
    }
    println!("agent killed: {hit}");
    Ok(())
}

fn of_the_administrator() -> Result<()> {
    let (_network, mut site, manager, mut machines) = counting(&["maple"])?;
    let machine = &mut machines[0];
    let mut hit = Hit::default();
    machine.stop()?;
    let stored = submit(&manager, "append", "stored", 0)?;
    hit.expect(phase(&site.state(), &machine.state(), &stored, "stored")?, Phase::Stored)?;
    site.kill()?;
    site.start()?;
    again(&site, &manager, machine)?;
    manager.job_in(&stored, &["succeeded"])?;
    for wanted in [Phase::Sent, Phase::Running, Phase::Done, Phase::Ended, Phase::Unacknowledged] {
        let tag = format!("administrator-{wanted:?}");
        let id = bring(&mut site, &manager, machine, wanted, &tag)?;
        site.running()?.signal("STOP")?;
        hit.expect(phase(&site.state(), &machine.state(), &id, &tag)?, wanted)?;
        site.kill()?;
        machine.agent()?.signal("CONT")?;
        site.start()?;
        site.back(&manager, "maple")?;
        if wanted == Phase::Running {
            manager.post(&format!("/api/v1/jobs/{id}/cancel"), &serde_json::json!({}))?;
            manager.job_in(&id, &["cancelled"])?;
            continue;
        }
        // The agent lived on, and so did the run.
        let job = manager.job_in(&id, FINAL)?;
        ensure!(
            job["state"] == "succeeded" && times(&machine.state(), &format!("end {tag}")) == 1,
            "{wanted:?}: {job}"
        );
    }
    println!("administrator killed: {hit}");
    Ok(())
}
