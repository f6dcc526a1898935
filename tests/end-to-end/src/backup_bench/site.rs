//! Through an administrator: real agents over mutual TLS, on loopback. What agents and administrator take is counted apart.

use super::corpus::{self, Corpus};
use super::measure::{Cost, Meter};
use super::report::Sample;
use super::rounds::{compare, find};
use super::{Part, Report};
use crate::client::FINAL;
use crate::process::{Running, program};
use crate::{Client, Site, Start, until};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(900);

/// An administrator and agents, all on this machine.
struct Crew {
    site: Site,
    manager: Client,
    agents: Vec<Agent>,
    folder: TempDir,
}

struct Agent {
    running: Running,
    machine: String,
}

/// Jobs of one kind on some agents: what came of them, and what both sides took.
struct Done {
    results: Vec<Value>,
    agents: Cost,
    administrator: Cost,
}

pub(super) fn run(corpus: &Corpus, scratch: &Path, report: &mut Report) -> Result<()> {
    let crew = Crew::gather(scratch, 1)?;
    let tree = crew.folder.path().join("tree");
    corpus::copy(&corpus.mixed_tree(), &tree)?;
    crew.back_up("first", &tree, report)?;
    crew.back_up("unchanged", &tree, report)?;
    corpus::mutate(&tree)?;
    crew.back_up("mutated", &tree, report)?;
    let to = crew.folder.path().join("back");
    let done = crew.run("backup.restore", &[(0, json!({"snapshot": "latest", "to": to}))])?;
    compare(&tree, &find(&to, &tree).context("nothing came back")?)?;
    done.report("restore", report);
    crew.back_up("small, first", &corpus.small_tree(), report)?;
    crew.back_up("small, unchanged", &corpus.small_tree(), report)?;
    drop(crew);
    for at_once in [false, true] {
        clients(corpus, scratch, at_once, report)?;
    }
    Ok(())
}

/// Ten agents back up trees that have four fifths in common, one after the other or all at once.
fn clients(corpus: &Corpus, scratch: &Path, at_once: bool, report: &mut Report) -> Result<()> {
    let crew = Crew::gather(scratch, corpus.clients)?;
    let job = |number: usize| (number, json!({"path": [corpus.clients_tree().join(number.to_string())]}));
    let jobs: Vec<_> = (0..corpus.clients).map(job).collect();
    let groups: Vec<&[(usize, Value)]> = if at_once { vec![&jobs[..]] } else { jobs.chunks(1).collect() };
    let mut all = Done { results: Vec::new(), agents: Cost::default(), administrator: Cost::default() };
    for group in groups {
        let done = crew.run("backup.run", group)?;
        all.results.extend(done.results);
        all.agents = all.agents.and(done.agents);
        all.administrator = all.administrator.and(done.administrator);
    }
    let (phase, sent) = match at_once {
        true => ("ten clients at once", "ten clients at once: bytes sent / unique compressed"),
        false => ("ten clients", "ten clients: bytes sent / unique compressed"),
    };
    let stored = crew.manager.run("backup.stats", &json!({}))?["result"]["physical_bytes"].as_f64();
    let ratio = all.sum("sent_bytes") / stored.context("the vault has a size")?;
    all.report(phase, report);
    report.figure(sent, ratio);
    Ok(())
}

impl Crew {
    fn gather(scratch: &Path, agents: usize) -> Result<Crew> {
        let folder = tempfile::tempdir_in(scratch)?;
        let site =
            Site::with(Start { plugins: vec!["backup"], folder: Some(folder.path().into()), ..Start::default() })?;
        let manager = site.manager()?;
        let mut crew = Crew { site, manager, agents: Vec::new(), folder };
        for _ in 0..agents {
            crew.join()?;
        }
        crew.ready("administrator", 1)?;
        crew.ready("machine", agents)?;
        Ok(crew)
    }

    /// All agents have the name of this machine, so a new one is known by its id.
    fn join(&mut self) -> Result<()> {
        let known: BTreeSet<String> = self.agents.iter().map(|agent| agent.machine.clone()).collect();
        let state = self.folder.path().join(format!("agent-{}", known.len()));
        let mut command = Command::new(program("bailiwick-agent"));
        command.args(["run", "--state"]).arg(state).args(["--join", &self.site.join_token(&self.manager)?]);
        let running = Running::start("an agent", &mut command)?;
        let machine = until("the agent is online", PATIENCE, || {
            let rows = self.manager.rows("fleet/machines")?;
            let online = rows.iter().filter(|row| row["status"] == "online").filter_map(|row| row["id"].as_str());
            Ok(online.map(str::to_owned).find(|id| !known.contains(id)))
        });
        let machine = machine.with_context(|| running.tail())?;
        self.agents.push(Agent { running, machine });
        Ok(())
    }

    fn ready(&self, role: &str, count: usize) -> Result<()> {
        until("the plugin runs everywhere", PATIENCE, || {
            let rows = self.manager.rows("fleet/plugins")?;
            let ready = rows.iter().filter(|row| row["role"] == role && row["state"] == "ok").count();
            Ok((ready == count).then_some(()))
        })
    }

    fn back_up(&self, phase: &'static str, tree: &Path, report: &mut Report) -> Result<()> {
        let done = self.run("backup.run", &[(0, json!({"path": [tree]}))])?;
        report.figure(format!("site, {phase}: MiB sent"), done.sum("sent_bytes") / f64::from(1 << 20));
        done.report(phase, report);
        Ok(())
    }

    /// Has agents do something at the same time, and waits until the last has done it.
    fn run(&self, command: &str, jobs: &[(usize, Value)]) -> Result<Done> {
        let administrator = Meter::start(self.site.running.as_ref().context("it runs")?.id());
        let agents: Vec<Meter> = jobs.iter().map(|(at, _)| Meter::start(self.agents[*at].running.id())).collect();
        let mut ids = Vec::new();
        for (at, input) in jobs {
            let mut input = input.clone();
            input["machine"] = json!(self.agents[*at].machine);
            ids.push(self.manager.submit(command, &input)?);
        }
        let mut results = Vec::new();
        for id in ids {
            let job = self.manager.job_within(&id, FINAL, PATIENCE)?;
            ensure!(job["state"] == "succeeded", "{command}: {job}");
            results.push(job["result"].clone());
        }
        let costs: Vec<Cost> = agents.into_iter().map(Meter::stop).collect();
        let wall = costs.iter().map(|cost| cost.wall).fold(0.0, f64::max);
        let agents = Cost { wall, ..costs.into_iter().fold(Cost::default(), Cost::and) };
        Ok(Done { results, agents, administrator: administrator.stop() })
    }
}

impl Done {
    fn sum(&self, field: &str) -> f64 {
        self.results.iter().filter_map(|result| result[field].as_f64()).sum()
    }

    fn report(self, phase: &'static str, report: &mut Report) {
        for (who, cost) in [("agent", self.agents), ("administrator", self.administrator)] {
            let who = who.to_owned();
            report.add(Sample { part: Part::Site, phase, who, is_ours: true, cost, size_mib: None });
        }
    }
}
