//! A plugin that ends again and again takes nobody with it, and the screen says so.

use crate::jobs::plugin_is_ready;
use crate::machines::{arrive, site_with_network};
use anyhow::{Context, Result, ensure};
use end_to_end::client::FINAL;
use end_to_end::{Case, Client, Site, Start};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("plugins::a_crash_leaves_the_rest_serving", a_crash_leaves_the_rest_serving).root(namespaces),
        Case::new("plugins::a_kept_secret_comes_back", a_kept_secret_comes_back).root(namespaces),
        Case::new("plugins::a_broken_library_is_named_with_a_way_out", a_broken_library),
        Case::new("plugins::a_second_plugin_of_one_name_is_refused", a_second_plugin_of_one_name),
    ]
}

/// The state of a plugin as the administrator's manifests tell it.
fn state_of(client: &Client, name: &str) -> Result<Value> {
    let manifests = client.get("/api/v1/manifests")?.ok()?;
    let found = manifests.as_array().into_iter().flatten().find(|one| one["plugin"]["name"] == name);
    Ok(found.with_context(|| format!("{name} is not listed"))?["state"].clone())
}

fn a_crash_leaves_the_rest_serving() -> Result<()> {
    let plugins = vec!["counter", "hello"];
    let (network, site) = site_with_network(Start { plugins, ..Start::default() })?;
    let manager = site.manager()?;
    let mut machines = arrive(&network, &site, &manager, &["walnut"])?;
    plugin_is_ready(&manager, "walnut")?;
    let agent = machines[0].agent()?.id();
    for round in 1..=5 {
        let id = manager.submit("counter.crash", &json!({"machine": "walnut"}))?;
        let job = manager.job_in(&id, FINAL)?;
        ensure!(job["state"] != "succeeded", "{job}");
        ensure!(job["problem"]["message"].as_str().is_some_and(|text| !text.is_empty()), "no cause in {job}");
        // The other plugin of the same machine answers between all of it.
        let reply = manager.run("hello.greet", &json!({"to": "Ada", "machine": "walnut"}))?;
        ensure!(reply["state"] == "succeeded", "round {round}: {reply}");
    }
    let row = end_to_end::until("it is quarantined", Duration::from_secs(30), || {
        let rows = manager.rows("fleet/plugins")?;
        Ok(rows
            .into_iter()
            .find(|row| row["name"] == "counter" && row["role"] == "machine" && row["state"] == "quarantined"))
    })?;
    for field in ["cause", "remedy"] {
        ensure!(row[field].as_str().is_some_and(|text| !text.is_empty() && !text.contains('\n')), "{field} in {row}");
    }
    ensure!(machines[0].agent()?.running() && machines[0].agent()?.id() == agent, "the agent was taken along");
    ensure!(state_of(&manager, "counter")?["state"] == "ok", "the administrator's own instance is another one");
    manager.run("hello.greet", &json!({"to": "Ada", "machine": "walnut"}))?;
    Ok(())
}

fn a_kept_secret_comes_back() -> Result<()> {
    let plugins = vec!["counter", "hello"];
    let (network, site) = site_with_network(Start { plugins, ..Start::default() })?;
    let manager = site.manager()?;
    let _machines = arrive(&network, &site, &manager, &["walnut"])?;
    plugin_is_ready(&manager, "walnut")?;
    for (command, input) in [
        ("counter.keep-here", json!({"value": "s3cret"})),
        ("counter.keep", json!({"value": "s3cret", "machine": "walnut"})),
    ] {
        let job = manager.run(command, &input)?;
        ensure!(job["result"] == json!({"kept": "s3cret", "gone": null}), "{command}: {job}");
    }
    Ok(())
}

fn a_broken_library() -> Result<()> {
    let mut site = Site::new()?;
    site.stop()?;
    std::fs::write(site.plugins().join("libtruncated.so"), {
        let whole = std::fs::read(site.plugins().join("libhello.so"))?;
        whole[..whole.len() / 3].to_vec()
    })?;
    std::fs::write(site.plugins().join("libtext.so"), "this is no library")?;
    site.start()?;
    let manager = site.manager()?;
    let rows = manager.rows("fleet/plugins")?;
    let bad: Vec<&Value> = rows.iter().filter(|row| row["state"] != "ok").collect();
    ensure!(bad.len() == 2, "{rows:?}");
    for row in bad {
        ensure!(row["cause"].as_str().is_some_and(|text| !text.is_empty() && text.len() < 400), "{row}");
        ensure!(row["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{row}");
    }
    ensure!(state_of(&manager, "hello")?["state"] == "ok");
    Ok(())
}

fn a_second_plugin_of_one_name() -> Result<()> {
    let mut site = Site::new()?;
    site.stop()?;
    // The same plugin of another vendor: the global id differs, the name does not.
    let mut other = std::fs::read(site.plugins().join("libhello.so"))?;
    let (id, foreign) = (b"org.bailiwick.hello", b"com.otherhill.hello");
    let places: Vec<usize> =
        other.windows(id.len()).enumerate().filter(|(_, part)| part == id).map(|(at, _)| at).collect();
    for at in places {
        other[at..at + id.len()].copy_from_slice(foreign);
    }
    std::fs::write(site.plugins().join("libzz_other.so"), other)?;
    site.start()?;
    let manager = site.manager()?;
    let bad: Vec<Value> = manager.rows("fleet/plugins")?.into_iter().filter(|row| row["state"] != "ok").collect();
    ensure!(bad.len() == 1 && bad[0]["cause"].as_str().is_some_and(|text| text.contains("hello")), "{bad:?}");
    Ok(())
}
