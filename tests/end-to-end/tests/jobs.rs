//! Commands on machines: one, several, a group; watched, cancelled, delivered late, and never twice.

use crate::machines::{arrive, site_with_network};
use anyhow::{Result, anyhow, ensure};
use end_to_end::client::FINAL;
use end_to_end::effects::times;
use end_to_end::{Case, Client, Machine, Network, Site, Socket, Start, process};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("jobs::on_one_several_and_a_group", on_one_several_and_a_group).root(namespaces),
        Case::new("jobs::progress_is_seen_and_cancel_is_quick", progress_and_cancel).root(namespaces),
        Case::new("jobs::an_absent_machine_gets_it_on_return", an_absent_machine_gets_it_on_return).root(namespaces),
        Case::new("jobs::the_same_key_is_the_same_job", the_same_key_is_the_same_job).root(namespaces),
        Case::new("jobs::what_is_stored_needs_nobody_to_give_it_out", what_is_stored_needs_nobody).root(namespaces),
        Case::new("jobs::a_client_that_leaves_at_once_is_served_all_the_same", a_client_that_leaves_at_once),
        Case::new("jobs::a_result_is_what_its_command_declares", a_result_is_what_was_declared).root(namespaces),
    ]
}

/// A site with the counter plugin and machines of these names.
pub(crate) fn counting(names: &[&str]) -> Result<(Network, Site, Client, Vec<Machine>)> {
    let (network, site) = site_with_network(Start { plugins: vec!["counter"], ..Start::default() })?;
    let manager = site.manager()?;
    let machines = arrive(&network, &site, &manager, names)?;
    for machine in &machines {
        plugin_is_ready(&manager, &machine.name)?;
    }
    Ok((network, site, manager, machines))
}

/// Waits until a machine reports that its plugins run. Of ten that arrive at once one now and then takes more than half a minute,
/// for a reason that is not yet known.
pub(crate) fn plugin_is_ready(manager: &Client, machine: &str) -> Result<()> {
    end_to_end::until(&format!("the plugin runs on {machine}"), Duration::from_secs(120), || {
        let rows = manager.rows("fleet/plugins")?;
        let on_machine = |row: &&Value| row["role"] == "machine" && row["machine"]["label"] == machine;
        Ok(rows.iter().filter(on_machine).any(|row| row["state"] == "ok").then_some(()))
    })
}

/// Waits until the plugins of the administrator itself run.
pub(crate) fn own_plugin_is_ready(manager: &Client) -> Result<()> {
    end_to_end::soon("the plugin runs on the administrator", || {
        let rows = manager.rows("fleet/plugins")?;
        Ok(rows.iter().any(|row| row["role"] == "administrator" && row["state"] == "ok").then_some(()))
    })
}

fn on_one_several_and_a_group() -> Result<()> {
    let (_network, _site, manager, machines) = counting(&["oak", "pine", "rowan"])?;
    let job = manager.run("counter.append", &json!({"tag": "one", "machine": "oak"}))?;
    ensure!(job["machine"]["label"] == "oak" && job["result"] == 0, "{job}");
    let job = manager.run("counter.append", &json!({"tag": "two", "machines": ["oak", "pine"]}))?;
    ensure!(job["children"].as_array().is_some_and(|children| children.len() == 2), "{job}");
    let group = manager.run("fleet.create-group", &json!({"name": "trees"}))?["result"]["id"].clone();
    let ids: Vec<Value> = manager.rows("fleet/machines")?.into_iter().map(|row| row["id"].clone()).collect();
    manager.run("fleet.add-to-group", &json!({"group": group, "machines": ids}))?;
    let job = manager.run("counter.append", &json!({"tag": "three", "group": "trees"}))?;
    ensure!(job["children"].as_array().is_some_and(|children| children.len() == 3), "{job}");
    let counts =
        |tag: &str| -> Vec<usize> { machines.iter().map(|one| times(&one.state(), &format!("end {tag}"))).collect() };
    ensure!(counts("one") == [1, 0, 0] && counts("two") == [1, 1, 0] && counts("three") == [1, 1, 1]);
    manager
        .post("/api/v1/commands/counter.append", &json!({"tag": "x", "machine": "no-such-machine"}))?
        .refusal(404)?;
    manager.post("/api/v1/commands/counter.append", &json!({"tag": "x", "group": "no-such-group"}))?.refusal(404)?;
    manager.post("/api/v1/commands/counter.append", &json!({"tag": "x"}))?.refusal(400)?;
    Ok(())
}

fn progress_and_cancel() -> Result<()> {
    let (_network, _site, manager, machines) = counting(&["sorrel", "thyme"])?;
    let submitted = Instant::now();
    let id = manager.submit("counter.append", &json!({"tag": "long", "hold_ms": 60_000, "machine": "sorrel"}))?;
    let mut events =
        Socket::open(&manager, &format!("/api/v1/jobs/{id}/events"))?.map_err(|status| anyhow!("{status}"))?;
    events.wait("progress is told", Duration::from_secs(5), |event| {
        event.pointer("/progress/text").is_some_and(|text| text == "between the beginning and the end")
    })?;
    println!("first progress after {:.3} s", submitted.elapsed().as_secs_f64());
    let begun = Instant::now();
    ensure!(manager.post(&format!("/api/v1/jobs/{id}/cancel"), &json!({}))?.status == 202);
    manager.job_within(&id, &["cancelled"], Duration::from_secs(1))?;
    println!("cancelled after {:.3} s", begun.elapsed().as_secs_f64());
    events.wait("the end is told", Duration::from_secs(2), |event| event["state"] == "cancelled")?;
    ensure!(times(&machines[0].state(), "end long") == 0);
    let both = json!({"tag": "both", "hold_ms": 60_000, "machines": ["sorrel", "thyme"]});
    let id = manager.submit("counter.append", &both)?;
    manager.job_in(&id, &["running"])?;
    end_to_end::soon("both have begun", || {
        Ok(machines.iter().all(|one| times(&one.state(), "begin both") == 1).then_some(()))
    })?;
    let begun = Instant::now();
    manager.post(&format!("/api/v1/jobs/{id}/cancel"), &json!({}))?;
    let job = manager.job_within(&id, &["cancelled"], Duration::from_secs(1))?;
    println!("both cancelled after {:.3} s", begun.elapsed().as_secs_f64());
    ensure!(job["children"].as_array().is_some_and(|all| all.iter().all(|one| one["state"] == "cancelled")), "{job}");
    // A cancelled job stays cancelled.
    let again = manager.post(&format!("/api/v1/jobs/{id}/cancel"), &json!({}))?;
    ensure!(again.status == 202 || again.status == 409, "{}", again.status);
    Ok(())
}

fn an_absent_machine_gets_it_on_return() -> Result<()> {
    let (_network, site, manager, mut machines) = counting(&["ulmus"])?;
    let machine = &mut machines[0];
    machine.stop()?;
    site.machine(&manager, "ulmus", "offline", Duration::from_secs(5))?;
    let late = manager.submit("counter.append", &json!({"tag": "late", "machine": "ulmus"}))?;
    let soon = manager.submit("counter.append-soon", &json!({"tag": "soon", "machine": "ulmus"}))?;
    let dropped = manager.submit("counter.append", &json!({"tag": "dropped", "machine": "ulmus"}))?;
    ensure!(manager.job(&late)?["state"] == "queued");
    manager.post(&format!("/api/v1/jobs/{dropped}/cancel"), &json!({}))?;
    manager.job_within(&dropped, &["cancelled"], Duration::from_secs(1))?;
    manager.job_within(&soon, &["expired"], Duration::from_secs(20))?;
    machine.start()?;
    manager.job_in(&late, &["succeeded"])?;
    ensure!(times(&machine.state(), "end late") == 1);
    ensure!(times(&machine.state(), "begin soon") == 0 && times(&machine.state(), "begin dropped") == 0);
    Ok(())
}

fn the_same_key_is_the_same_job() -> Result<()> {
    let (_network, site, manager, machines) = counting(&["vitis"])?;
    let arguments = json!({"tag": "key", "machine": "vitis"});
    let first = manager.submit_once("counter.append", &arguments, "key-1")?;
    ensure!(manager.submit_once("counter.append", &arguments, "key-1")? == first);
    manager.job_in(&first, FINAL)?;
    ensure!(manager.submit_once("counter.append", &arguments, "key-1")? == first, "the key was forgotten at the end");
    ensure!(manager.submit_once("counter.append", &arguments, "key-2")? != first);
    let other = site.manager()?;
    ensure!(other.submit_once("counter.append", &arguments, "key-1")? != first, "keys of two operators are mixed up");
    end_to_end::soon("three runs have ended", || Ok((times(&machines[0].state(), "end key") == 3).then_some(())))
}

/// Stores a job once more behind the administrator's back, so that no handler can give it out.
fn queue_again(site: &Site, of: &str) -> Result<String> {
    let id = format!("0190{:04x}-0000-7000-8000-{:012x}", rand::random::<u16>(), rand::random::<u32>());
    let script = process::root().join("tests/end-to-end/tests/tamper.py");
    let file = site.state().join("bailiwick.db");
    process::run(Command::new("python3").arg(script).arg(file).args(["queue-again", of, &id]))?;
    Ok(id)
}

fn what_is_stored_needs_nobody() -> Result<()> {
    let (_network, site, manager, machines) = counting(&["aspen"])?;
    let there = manager.run("counter.append", &json!({"tag": "there", "machine": "aspen"}))?;
    let here = manager.run("counter.append-here", &json!({"tag": "here"}))?;
    for job in [there, here] {
        let again = queue_again(&site, job["id"].as_str().unwrap_or_default())?;
        manager.job_within(&again, &["succeeded"], Duration::from_secs(10))?;
    }
    ensure!(times(&machines[0].state(), "end there") == 2 && times(&site.state(), "end here") == 2);
    Ok(())
}

fn a_client_that_leaves_at_once() -> Result<()> {
    let site = Site::new()?;
    let token = site.token("manager")?;
    let manager = site.stranger().bearer(&token);
    let address = site.url.trim_start_matches("http://");
    for number in 0..40 {
        let body = json!({"name": format!("left-{number}")}).to_string();
        let request = format!(
            "POST /api/v1/commands/fleet.create-group HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        // Closed without reading a byte of the answer.
        TcpStream::connect(address)?.write_all(request.as_bytes())?;
    }
    end_to_end::soon("every job that was stored has ended", || {
        let jobs = manager.rows("fleet/jobs?limit=1000")?;
        let ended = jobs.iter().filter(|job| job["state"] == "succeeded").count();
        Ok((ended == jobs.len() && manager.rows("fleet/groups?limit=1000")?.len() == ended).then_some(()))
    })
}

fn a_result_is_what_was_declared() -> Result<()> {
    let (_network, _site, manager, _machines) = counting(&["alder"])?;
    for (command, arguments) in [("misfit", json!({"machine": "alder"})), ("misfit-here", json!({}))] {
        let id = manager.submit(&format!("counter.{command}"), &arguments)?;
        let job = manager.job_in(&id, FINAL)?;
        ensure!(job["state"] == "failed" && job["result"].is_null(), "{job}");
        ensure!(job["problem"]["field"] == "count" && job["problem"]["fix"].is_string(), "{job}");
    }
    Ok(())
}
