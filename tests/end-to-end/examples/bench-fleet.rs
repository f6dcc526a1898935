//! `cargo xtask bench fleet`: a real administrator with its real database and one real agent, loaded by simulated agents
//! in a process of their own. Prints a table, JSON with `--json`; `-- --agents N` for another number than 10,000.
//!
//! All of it shares the cores of one machine, so times say what they are here, and CPU seconds say more.

use anyhow::{Context, Result, bail, ensure};
use end_to_end::client::FINAL;
use end_to_end::process::{self, Running, program};
use end_to_end::{Client, Site, Start};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const AGENTS: usize = 10_000;
/// Agents that answer in the interval for 99 of 100.
const MOST: f64 = 0.99;
/// How long heartbeats alone are watched.
const IDLE: Duration = Duration::from_secs(45);
/// Longest wait for any one phase.
const PATIENCE: Duration = Duration::from_secs(600);
/// Requests under way at a time where tokens are made.
const HANDS: usize = 16;

struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
    goal: &'static str,
    peers: &'static str,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let agents = arguments.iter().position(|a| a == "--agents").and_then(|at| arguments.get(at + 1)?.parse().ok());
    match run(agents.unwrap_or(AGENTS)) {
        Ok(figures) => {
            print(&figures, arguments.iter().any(|a| a == "--json"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(agents: usize) -> Result<Vec<Figure>> {
    let mut site = Site::with(Start { local_agent: true, ..Start::default() })?;
    let token = site.token("manager")?;
    let manager = site.stranger().bearer(&token);
    online(&manager, 1)?;
    let mut figures = vec![figure("agents", agents as f64, "", "10,000 by default", "Tactical ~750; Wazuh 14,000")];
    let tokens = tempfile::NamedTempFile::new()?;
    let begun = Instant::now();
    join_tokens(&site, &manager, agents, &mut tokens.reopen()?)?;
    figures.push(figure("join token, durable and audited", ms(begun) / agents as f64, "ms each", "", ""));

    let before = Usage::of(site.running()?.id())?;
    let fleet = Fleet::start(tokens.path())?;
    let begun = Instant::now();
    fleet.connected(agents)?;
    figures.push(figure("enrolled and connected", begun.elapsed().as_secs_f64(), "s", "", ""));
    let after = Usage::of(site.running()?.id())?;
    let each = |seconds: f64| seconds * 1000.0 / agents as f64;
    figures.push(figure("CPU per enrolment", each(after.cpu - before.cpu), "ms", "", ""));
    let memory = (after.kib - before.kib) / agents as f64;
    figures.push(figure("memory per agent", memory, "KiB", "<= 24", "MeshCentral 65-85"));
    figures.extend(heartbeats(&mut site, &fleet)?);
    figures.extend(fan_out(&manager, agents)?);

    let begun = Instant::now();
    site.kill()?;
    site.start()?;
    let id = site.running()?.id();
    let (most, all) = fleet.back(agents, begun)?;
    figures.push(figure("99 % back after kill -9", most, "s", "<= 8", "Salt: 80 % fail at 600"));
    figures.push(figure("all back after kill -9", all, "s", "<= 15", "Teleport advises minutes"));
    let connect = each(Usage::of(id)?.cpu);
    figures.push(figure("CPU per connect, start included", connect, "ms", "<= 0.5", "MeshCentral 7.2"));
    online(&manager, agents + 1)?;
    Ok(figures)
}

fn figure(what: &'static str, value: f64, unit: &'static str, goal: &'static str, peers: &'static str) -> Figure {
    Figure { what, value, unit, goal, peers }
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// Waits until so many machines are online, the real one among them.
fn online(manager: &Client, machines: usize) -> Result<()> {
    end_to_end::until(&format!("{machines} machines are online"), PATIENCE, || {
        let count = manager.get("/api/v1/fleet/machines/count?status=online")?.ok()?;
        Ok((count["count"].as_u64() == Some(machines as u64)).then_some(()))
    })
}

fn join_tokens(site: &Site, manager: &Client, agents: usize, file: &mut fs::File) -> Result<()> {
    let (left, words) = (Mutex::new(agents), Mutex::new(Vec::new()));
    let hand = || -> Result<()> {
        loop {
            {
                let mut left = left.lock().map_err(|_| anyhow::anyhow!("another hand failed"))?;
                if *left == 0 {
                    return Ok(());
                }
                *left -= 1;
            }
            let word = site.join_token(manager)?;
            words.lock().map_err(|_| anyhow::anyhow!("another hand failed"))?.push(word);
        }
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
        hands.into_iter().try_for_each(|hand| hand.join().unwrap_or_else(|_| bail!("a hand failed")))
    })?;
    let words = words.into_inner().map_err(|_| anyhow::anyhow!("a hand failed"))?;
    Ok(file.write_all(words.join("\n").as_bytes())?)
}

fn heartbeats(site: &mut Site, fleet: &Fleet) -> Result<Vec<Figure>> {
    let (before, beats, begun) = (Usage::of(site.running()?.id())?, fleet.last("heartbeats")?, Instant::now());
    std::thread::sleep(IDLE);
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = (Usage::of(site.running()?.id())?.cpu - before.cpu) / seconds * 100.0;
    let rate = (fleet.last("heartbeats")? - beats) as f64 / seconds;
    Ok(vec![
        figure("heartbeats, every 15 s", rate, "/s", "", ""),
        figure("CPU while only heartbeats come", cpu, "% of a core", "<= 3 (every 30 s)", ""),
    ])
}

/// One command to everybody: how long after it was submitted each machine's result was stored.
fn fan_out(manager: &Client, agents: usize) -> Result<Vec<Figure>> {
    let ids = manager.get("/api/v1/fleet/machines?format=csv&fields=id&status=online")?;
    let ids: Vec<&str> = ids
        .text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').map(|cell| cell.trim_matches('"')).find(|cell| cell.len() == 36))
        .collect();
    ensure!(ids.len() == agents + 1, "{} machines are online", ids.len());
    manager.run("fleet.create-group", &json!({"name": "everybody"}))?;
    for some in ids.chunks(500) {
        manager.run("fleet.add-to-group", &json!({"group": "everybody", "machines": some}))?;
    }
    let begun = Instant::now();
    let job = manager.submit("hello.greet", &json!({"group": "everybody"}))?;
    let accepted = ms(begun);
    let done = manager.job_within(&job, FINAL, PATIENCE)?;
    if done["state"] != "succeeded" {
        let parts = manager.rows(&format!("fleet/job-parts?parent={job}&limit=1000"))?;
        let first = parts.iter().find(|part| part["state"] != "succeeded");
        bail!("the command ended as {}; the first that did not succeed: {first:?}", done["state"]);
    }
    let created: jiff::Timestamp = done["created_at"].as_str().context("a job has a time")?.parse()?;
    let parts = manager.get(&format!("/api/v1/fleet/job-parts?format=csv&fields=ended_at&parent={job}"))?;
    let times = parts
        .text
        .lines()
        .filter_map(|line| line.split(',').find_map(|cell| cell.trim_matches('"').parse::<jiff::Timestamp>().ok()));
    let mut latencies: Vec<f64> = times.map(|ended| ended.duration_since(created).as_secs_f64() * 1000.0).collect();
    latencies.sort_by(f64::total_cmp);
    ensure!(latencies.len() == agents + 1, "{} results", latencies.len());
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    let last = at(1.0);
    Ok(vec![
        figure("a command to all, answered 202", accepted, "ms", "", ""),
        figure("durable round trip, p50", at(0.5), "ms", "<= 300", "Choria ~16 s for 50,000"),
        figure("durable round trip, p99", at(MOST), "ms", "<= 1000", ""),
        figure("durable results", (agents + 1) as f64 / last * 1000.0, "/s", ">= 15,000", ""),
    ])
}

/// CPU seconds and resident memory of a process.
struct Usage {
    cpu: f64,
    kib: f64,
}

impl Usage {
    fn of(id: u32) -> Result<Usage> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The name of the program stands in brackets and may hold anything, so read on from the last bracket.
        let fields: Vec<&str> = stat[stat.rfind(')').context("no name")? + 1..].split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no memory")?;
        let kib = resident.trim().trim_end_matches(" kB").parse()?;
        Ok(Usage { cpu: ticks / 100.0, kib })
    }
}

/// The simulated agents; they end when their standard input closes.
struct Fleet {
    running: Running,
    _input: ChildStdin,
}

impl Fleet {
    fn start(tokens: &std::path::Path) -> Result<Fleet> {
        let mut command = Command::new(program("bench-agents"));
        let result = json!({"who": "world", "at": "2026-01-01T00:00:00Z", "count": 1});
        command.arg("--tokens").arg(tokens).arg("--result").arg(result.to_string());
        let (running, input) = Running::start_with_input("the simulated agents", &mut command, Stdio::piped())?;
        Ok(Fleet { running, _input: input.context("a pipe was asked for")? })
    }

    /// What it last said of one of its counters.
    fn last(&self, counter: &str) -> Result<u64> {
        let lines = self.running.lines();
        let last = lines.iter().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(last.and_then(|line| line[counter].as_u64()).unwrap_or_default())
    }

    fn connected(&self, agents: usize) -> Result<()> {
        end_to_end::until(&format!("{agents} agents are connected"), PATIENCE, || {
            let lost = self.running.lines().into_iter().find(|line| line.starts_with("bench-agents:"));
            ensure!(lost.is_none(), "{}", lost.unwrap_or_default());
            Ok((self.last("connected")? >= agents as u64).then_some(()))
        })
    }

    /// Seconds since `begun` until most and all are connected again. Told every fifth of a second.
    fn back(&self, agents: usize, begun: Instant) -> Result<(f64, f64)> {
        let mut most = None;
        let share = (agents as f64 * MOST) as u64;
        let all = end_to_end::until("everybody is back", PATIENCE, || {
            let connected = self.last("connected")?;
            if connected >= share {
                most.get_or_insert(begun.elapsed().as_secs_f64());
            }
            Ok((connected >= agents as u64).then(|| begun.elapsed().as_secs_f64()))
        })?;
        Ok((most.unwrap_or(all), all))
    }
}

fn print(figures: &[Figure], as_json: bool) {
    if as_json {
        let rows = figures
            .iter()
            .map(|f| json!({"what": f.what, "value": f.value, "unit": f.unit, "goal": f.goal, "peers": f.peers}));
        println!("{}", Value::from(rows.collect::<Vec<_>>()));
        return;
    }
    let kernel = process::run(Command::new("uname").arg("-r")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("release build, {cores} cores, kernel {}; peers as published or measured elsewhere\n", kernel.trim());
    println!("{:36} {:>12} {:14} {:20} peers", "", "measured", "", "goal");
    for f in figures {
        println!("{:36} {:>12.2} {:14} {:20} {}", f.what, f.value, f.unit, f.goal, f.peers);
    }
}
