//! Machines arrive, go, are cut off, and come back by themselves.

use anyhow::{Context, Result, ensure};
use end_to_end::{Case, Client, Machine, Network, Site, Socket, Start};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Less than the 35 s in which two missed heartbeats would tell it: a closed connection tells it, once what came before it is
/// stored, which takes its time on a disk that others write to.
const AT_ONCE: Duration = Duration::from_secs(25);

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("machines::three_machines_arrive_go_and_come_back", three_machines).root(namespaces),
        Case::new("machines::a_cut_cable_is_noticed", a_cut_cable_is_noticed).root(namespaces),
        Case::new("machines::an_agent_on_loopback_joins", an_agent_on_loopback_joins),
    ]
}

/// A site whose agents come over a network of its own, and that network.
pub(crate) fn site_with_network(start: Start) -> Result<(Network, Site)> {
    let network = Network::new()?;
    let site = Site::with(Start { agents: Some(network.gateway()), ..start })?;
    Ok((network, site))
}

/// Plugs in machines of these names and waits until each is on screen.
pub(crate) fn arrive(network: &Network, site: &Site, manager: &Client, names: &[&str]) -> Result<Vec<Machine>> {
    let mut machines = Vec::new();
    for name in names {
        let mut machine = network.machine(name)?;
        machine.join(&site.join_token(manager)?)?;
        machines.push(machine);
    }
    for machine in &mut machines {
        let arrived = site.machine(manager, &machine.name, "online", Duration::from_secs(20));
        if let Err(error) = arrived {
            return Err(error.context(machine.agent()?.tail()));
        }
    }
    Ok(machines)
}

/// Whether a live message, in either of its forms, mentions this text.
fn mentions(message: &Value, text: &str) -> bool {
    (message.get("rows").is_some() || message.get("patches").is_some()) && message.to_string().contains(text)
}

fn three_machines() -> Result<()> {
    let (network, mut site) = site_with_network(Start::default())?;
    let token = site.token("manager")?;
    let manager = site.stranger().bearer(&token);
    let mut live = Socket::open(&manager, "/api/v1/live")?.map_err(|status| anyhow::anyhow!("live: {status}"))?;
    live.send(&json!({"subscribe": 1, "name": "fleet", "view": "machines", "query": {}}))?;
    live.wait("the first rows are there", Duration::from_secs(5), |message| message.get("rows").is_some())?;
    let mut machines = Vec::new();
    for name in ["amber", "birch", "cedar"] {
        let mut machine = network.machine(name)?;
        let join = site.join_token(&manager)?;
        let begun = Instant::now();
        machine.join(&join)?;
        live.wait("the machine arrives live", Duration::from_secs(30), |message| mentions(message, name))
            .with_context(|| machine.agent().map(|agent| agent.tail()).unwrap_or_default())?;
        println!("{name} on screen after {:.2} s", begun.elapsed().as_secs_f64());
        let row = site.machine(&manager, name, "online", AT_ONCE)?;
        let addresses = row["addresses"].as_array().context("no addresses")?;
        ensure!(addresses.iter().any(|one| *one == json!(machine.address.to_string())), "{row}");
        machines.push(machine);
    }
    machines[0].stop()?;
    let begun = Instant::now();
    site.machine(&manager, "amber", "offline", AT_ONCE)?;
    machines[1].kill()?;
    site.machine(&manager, "birch", "offline", AT_ONCE)?;
    println!("stopped and killed agents offline after {:.2} s", begun.elapsed().as_secs_f64());
    site.machine(&manager, "cedar", "online", AT_ONCE)?;
    machines[0].start()?;
    machines[1].start()?;
    for name in ["amber", "birch"] {
        site.back(&manager, name)?;
    }
    comes_back_after(&mut site, &token, Site::stop)?;
    comes_back_after(&mut site, &token, Site::kill)
}

/// Ends the administrator one way, starts it again, and waits until everybody is back as who they were.
fn comes_back_after(site: &mut Site, token: &str, end: fn(&mut Site) -> Result<()>) -> Result<()> {
    let manager = site.stranger().bearer(token);
    let ids = |rows: Vec<Value>| -> Vec<Value> { rows.into_iter().map(|row| row["id"].clone()).collect() };
    let before = ids(manager.rows("fleet/machines")?);
    end(site)?;
    site.start()?;
    let begun = Instant::now();
    for name in ["amber", "birch", "cedar"] {
        site.back(&manager, name)?;
    }
    println!("all back {:.2} s after the start", begun.elapsed().as_secs_f64());
    ensure!(ids(manager.rows("fleet/machines")?) == before, "somebody came back as another machine");
    Ok(())
}

fn a_cut_cable_is_noticed() -> Result<()> {
    let (network, site) = site_with_network(Start::default())?;
    let manager = site.manager()?;
    let machines = arrive(&network, &site, &manager, &["dogwood"])?;
    machines[0].cut()?;
    let begun = Instant::now();
    site.machine(&manager, "dogwood", "offline", Duration::from_secs(45))?;
    println!("a cut cable noticed after {:.1} s", begun.elapsed().as_secs_f64());
    machines[0].heal()?;
    let begun = Instant::now();
    site.back(&manager, "dogwood")?;
    println!("back {:.1} s after the cable", begun.elapsed().as_secs_f64());
    Ok(())
}

fn an_agent_on_loopback_joins() -> Result<()> {
    let site = Site::new()?;
    let manager = site.manager()?;
    let state = tempfile::TempDir::new()?;
    let token = site.join_token(&manager)?;
    let mut command = std::process::Command::new(end_to_end::process::program("bailiwick-agent"));
    command.args(["run", "--state"]).arg(state.path().join("agent")).args(["--join", &token]);
    let agent = end_to_end::process::Running::start("the agent", &mut command)?;
    let online = end_to_end::until("a machine is online", Duration::from_secs(20), || {
        Ok(manager.rows("fleet/machines")?.into_iter().find(|row| row["status"] == "online"))
    });
    online.with_context(|| agent.tail())?;
    // Every account of the machine may read these words.
    let words = std::fs::read(format!("/proc/{}/cmdline", agent.id()))?;
    ensure!(!String::from_utf8_lossy(&words).contains(&token), "the join token is in the list of processes");
    Ok(())
}
