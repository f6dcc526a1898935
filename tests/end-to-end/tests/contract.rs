//! What the contract offers a plugin, seen through the real administrator and a real agent, under a name nobody knows.

use crate::jobs::plugin_is_ready;
use anyhow::{Context, Result, ensure};
use end_to_end::process::{self, program};
use end_to_end::{Case, Client, Site, Start, plugins};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("contract::a_plugin_of_any_name_is_on_every_face", a_plugin_of_any_name_is_on_every_face),
        Case::new("contract::services_of_both_roles_are_real", services_of_both_roles_are_real),
        Case::new("contract::channels_open_from_either_role", channels_open_from_either_role),
        Case::new("contract::the_narrower_setting_reaches_the_machine", the_narrower_setting_reaches_the_machine),
    ]
}

/// A site with the agent of this machine and the echo plugin under a name of six random letters.
struct Named {
    site: Site,
    manager: Client,
    machine: Value,
    name: String,
}

impl Named {
    fn new() -> Result<Named> {
        let name: String = (0..6).map(|_| char::from(b'a' + rand::random::<u8>() % 26)).collect();
        let folder = tempfile::TempDir::new()?;
        plugins::put_named("echo", &name, folder.path())?;
        let site = Site::with_folder(Start { local_agent: true, ..Start::default() }, folder)?;
        let manager = site.manager()?;
        let machine = end_to_end::soon("this machine is online", || {
            Ok(manager.rows("fleet/machines")?.into_iter().find(|row| row["status"] == "online"))
        })?;
        plugin_is_ready(&manager, machine["name"].as_str().unwrap_or_default())?;
        Ok(Named { site, manager, machine, name })
    }

    fn command(&self, short: &str) -> String {
        format!("{}.{short}", self.name)
    }

    /// Runs a command of the plugin on this machine.
    fn on_machine(&self, short: &str, mut arguments: Value) -> Result<Value> {
        arguments["machine"] = self.machine["id"].clone();
        Ok(self.manager.run(&self.command(short), &arguments)?["result"].clone())
    }
}

fn a_plugin_of_any_name_is_on_every_face() -> Result<()> {
    let named = Named::new()?;
    let result = named.on_machine("echo", json!({"text": "hello"}))?;
    ensure!(result["text"] == "hello" && result["role"] == "machine", "{result}");
    let manifests = named.manager.get("/api/v1/manifests")?.ok()?;
    let listed = manifests.as_array().is_some_and(|all| all.iter().any(|m| m["plugin"]["name"] == named.name.as_str()));
    ensure!(listed, "the console is not told of it");
    let document = named.site.stranger().get("/openapi.json")?.ok()?;
    let path = format!("/api/v1/commands/{}", named.command("echo"));
    ensure!(document["paths"].get(&path).is_some(), "no {path} in the OpenAPI document");
    let token = named.site.token("operator")?;
    let machine = named.machine["name"].as_str().context("a machine has a name")?;
    let words = [&named.name, "echo", "over the command line", "--machine", machine, "--wait", "-o", "json"];
    let printed: Value = serde_json::from_str(&process::run(&mut named.site.cli(&token, &words))?)?;
    ensure!(printed.to_string().contains("over the command line"), "{printed}");
    let help = process::run(&mut named.site.cli(&token, &[&named.name, "--help"]))?;
    ensure!(help.contains("Say something back"), "{help}");
    let library = named.site.plugins().join("libecho.so");
    let own = process::run(Command::new(program("bailiwick")).args(["module", "name"]).arg(library))?;
    ensure!(own.trim() == named.name, "{own}");
    Ok(())
}

fn services_of_both_roles_are_real() -> Result<()> {
    let named = Named::new()?;
    let found = named.on_machine("services", json!({}))?;
    ensure!(found["secrets"] == json!(["s3cret", null]) && found["note"] == "kept", "{found}");
    ensure!(
        found["refused"] == json!(["unsupported_by_host"]) && found["machines"] == "unsupported_by_host",
        "{found}"
    );
    ensure!(found["settings"]["loudness"] == 3, "{found}");
    let answer = named.on_machine("peer", json!({"message": "hi"}))?;
    ensure!(answer["role"] == "administrator" && answer["heard"]["message"] == "hi", "{answer}");
    let event = end_to_end::soon("the event is listed", || Ok(named.manager.rows("fleet/events")?.pop()))?;
    ensure!(event["title"] == "Something happened" && event["data"] == json!({"what": "echo"}), "{event}");
    ensure!(event["machine"]["id"] == named.machine["id"] && event["module"] == named.name.as_str(), "{event}");
    ensure!(!fs::read(named.site.state().join("bailiwick.db"))?.windows(6).any(|bytes| bytes == b"s3cret"));
    Ok(())
}

fn channels_open_from_either_role() -> Result<()> {
    let named = Named::new()?;
    let bytes = 8 << 20;
    let all = json!({"sent": bytes, "received": bytes, "right": true});
    let up = named.on_machine("channel", json!({"bytes": bytes}))?;
    ensure!(up == all, "{up}");
    let down = json!({"bytes": bytes, "machine_id": named.machine["id"]});
    let down = named.manager.run(&named.command("channel-down"), &down)?["result"].clone();
    ensure!(down == all, "{down}");
    // Neither a refusal nor a machine that is not there leaves anybody waiting.
    for (arguments, fault) in [
        (json!({"key": "refuse", "machine_id": named.machine["id"]}), "this key is refused"),
        (json!({"machine_id": "no-such-machine"}), "there is no machine"),
        (json!({}), "to which machine"),
    ] {
        let job = named.manager.submit(&named.command("channel-down"), &arguments)?;
        let job = named.manager.job_in(&job, end_to_end::client::FINAL)?;
        ensure!(job["state"] == "failed", "{fault}: {job}");
        let told = job["problem"]["message"].as_str().unwrap_or_default();
        ensure!(arguments["key"] == "refuse" || told.contains(fault), "{told}");
    }
    Ok(())
}

fn the_narrower_setting_reaches_the_machine() -> Result<()> {
    let named = Named::new()?;
    let setting = named.command("loudness");
    let on_machine = |wanted: i64| -> Result<()> {
        end_to_end::until(&format!("the machine has {wanted}"), Duration::from_secs(20), || {
            let found = named.on_machine("services", json!({}))?;
            Ok((found["settings"]["loudness"] == wanted).then_some(()))
        })
    };
    let change = |value: i64, place: Value| -> Result<()> {
        let mut arguments = json!({"setting": setting, "value": value.to_string()});
        for (name, id) in place.as_object().into_iter().flatten() {
            arguments[name] = id.clone();
        }
        named.manager.run("fleet.change-setting", &arguments).map(|_| ())
    };
    on_machine(3)?;
    change(5, json!({}))?;
    on_machine(5)?;
    for (group, value) in [("quiet", 7), ("loud", 9)] {
        let id = named.manager.run("fleet.create-group", &json!({"name": group}))?["result"]["id"].clone();
        named.manager.run("fleet.add-to-group", &json!({"group": id, "machines": [named.machine["id"]]}))?;
        change(value, json!({"group": id}))?;
    }
    // The manifest asks for the largest of several groups' values.
    on_machine(9)?;
    change(1, json!({"machine": named.machine["id"]}))?;
    on_machine(1)?;
    let row = named.manager.row("fleet/settings", "id", &setting)?.context("the site's row")?;
    ensure!(row["value"] == 5 && row["default"] == 3 && row["changed_by"].is_string(), "{row}");
    named.manager.run("fleet.reset-setting", &json!({"setting": setting, "machine": named.machine["id"]}))?;
    on_machine(9)?;
    named.manager.run("fleet.delete-group", &json!({"group": "loud"}))?;
    on_machine(7)?;
    // The machine's own file counts at once where it is stricter, here lower, and not where it is not.
    let own = named.site.state().join("agent/policy.toml");
    for (value, wanted) in [(2, 2), (100, 7)] {
        fs::write(&own, format!("[settings.{}]\nloudness = {value}\n", named.name))?;
        on_machine(wanted)?;
    }
    fs::remove_file(&own)?;
    let wrong = json!({"setting": setting, "value": "very"});
    let job = named.manager.submit("fleet.change-setting", &wrong)?;
    let job = named.manager.job_in(&job, end_to_end::client::FINAL)?;
    ensure!(job["state"] == "failed" && job["problem"]["field"] == "value", "{job}");
    let nowhere = named.manager.submit("fleet.change-setting", &json!({"setting": "no.such", "value": "1"}))?;
    let job = named.manager.job_in(&nowhere, end_to_end::client::FINAL)?;
    ensure!(job["problem"]["fix"].as_str().is_some_and(|fix| fix.contains(&setting)), "{job}");
    Ok(())
}
