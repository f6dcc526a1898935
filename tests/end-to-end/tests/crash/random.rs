//! Parts killed at random under a stream of commands.

use super::runners;
use super::stored::open_jobs;
use crate::jobs::counting;
use anyhow::{Context, Result, ensure};
use end_to_end::client::FINAL;
use end_to_end::effects::{effects, times};
use end_to_end::process::signal_to;
use end_to_end::site::BACK;
use end_to_end::{Case, Client};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![Case::new("crash::at_random_under_a_stream_of_commands", at_random).root(namespaces)]
}

/// Between two commands.
const PACE: Duration = Duration::from_millis(60);

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
    let rounds = if long { 100 } else { 9 };
    let over = Arc::new(AtomicBool::new(false));
    let stream = {
        let (manager, over) = (manager.clone(), over.clone());
        std::thread::spawn(move || -> Result<Vec<(String, String, String)>> {
            let kinds = ["append", "append-again", "append-on"];
            let one = |number: usize| {
                std::thread::sleep(PACE);
                let (kind, tag) = (kinds[number % 3], format!("stream-{number}"));
                Ok((kind.to_owned(), tag.clone(), insist(&manager, kind, &tag)?))
            };
            (0..).take_while(|_| !over.load(Ordering::Relaxed)).map(one).collect()
        })
    };
    let mut killed = BTreeMap::new();
    let mut phases: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..rounds {
        // All parts are up and at work again.
        let before = effects(&state).len();
        end_to_end::until("commands run", BACK, || Ok((effects(&state).len() > before).then_some(())))?;
        std::thread::sleep(Duration::from_millis(rand::random::<u64>() % 400));
        let victim = ["agent", "administrator", "runner"][round % 3];
        let process = match victim {
            "agent" => machine.agent()?.id(),
            "administrator" => site.running()?.id(),
            // The agent was killed a moment ago: its next runner comes up first.
            _ => {
                let agent = machine.agent()?.id();
                end_to_end::until("a runner is up again", BACK, || Ok(runners(agent).first().copied()))?
            }
        };
        // Stopped first, so that what is stored now is what it leaves behind.
        signal_to(process, "STOP")?;
        for state in open_jobs(&site.state())? {
            *phases.entry(format!("{victim} {state}")).or_default() += 1;
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
            _ => signal_to(process, "KILL")?,
        }
    }
    over.store(true, Ordering::Relaxed);
    let jobs = stream.join().expect("the stream of commands does not panic")?;
    check_stream(&manager, &state, &jobs, killed["agent"] + killed["runner"])?;
    let cut = |victim: &str| phases.keys().any(|phase| phase.starts_with(victim));
    ensure!(
        ["agent", "administrator", "runner"].into_iter().all(cut),
        "some part was never killed under a job: {phases:?}"
    );
    println!(
        "killed {killed:?}; stored states of open jobs at those moments {phases:?}; {} commands, none lost",
        jobs.len()
    );
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
