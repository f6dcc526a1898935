//! The administrator's own jobs, cut off by a crash of their plugin and by the end of the administrator.

use super::{line, runners};
use crate::jobs::own_plugin_is_ready;
use anyhow::{Result, ensure};
use end_to_end::effects::{effects, times};
use end_to_end::process::signal_to;
use end_to_end::{Case, Client, Site, Start};
use serde_json::json;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("crash::of_the_runner_under_the_administrators_own_jobs", of_the_runner),
        Case::new("crash::of_the_administrator_under_its_own_jobs", of_the_administrator),
    ]
}

fn of_the_runner() -> Result<()> {
    cut_off(|site| {
        let found = runners(site.running()?.id());
        ensure!(!found.is_empty(), "no runner was found");
        found.into_iter().try_for_each(|runner| signal_to(runner, "KILL"))
    })
}

fn of_the_administrator() -> Result<()> {
    cut_off(|site| {
        site.kill()?;
        site.start()
    })
}

/// One job of each promise runs when `cut` happens; each then ends as its command says.
fn cut_off(cut: impl FnOnce(&mut Site) -> Result<()>) -> Result<()> {
    let mut site = Site::with(Start { plugins: vec!["counter"], ..Start::default() })?;
    let manager = site.manager()?;
    own_plugin_is_ready(&manager)?;
    let state = site.state();
    let jobs = ["append-here", "append-again-here", "append-on-here"].map(|command| submit(&manager, command));
    let [reports, reruns, resumes] = jobs;
    let (reports, reruns, resumes) = (reports?, reruns?, resumes?);
    line(&state, "begin append-here")?;
    line(&state, "begin append-again-here")?;
    line(&state, "step-2 append-on-here")?;
    cut(&mut site)?;
    ensure!(times(&state, "end append-here") == 0, "it was too late to cut it off");
    let reported = manager.job_in(&reports, &["unknown"])?;
    ensure!(reported["problem"]["fix"].is_string(), "{reported}");
    manager.job_in(&reruns, &["succeeded"])?;
    manager.job_in(&resumes, &["succeeded"])?;
    let ran = |line: &str| times(&state, line);
    ensure!(ran("begin append-here") == 1 && ran("end append-here") == 0, "{:?}", effects(&state));
    ensure!(ran("begin append-again-here") == 2 && ran("end append-again-here") == 1, "{:?}", effects(&state));
    ensure!(ran("step-0 append-on-here") == 1, "it began anew: {:?}", effects(&state));
    ensure!((0..5).all(|step| ran(&format!("step-{step} append-on-here")) >= 1) && ran("end append-on-here") == 1);
    Ok(())
}

fn submit(manager: &Client, command: &str) -> Result<String> {
    manager.submit(&format!("counter.{command}"), &json!({"tag": command, "hold_ms": 3000}))
}
