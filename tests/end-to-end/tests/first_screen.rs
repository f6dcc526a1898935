//! What a person sees first: one click on the link, and this machine.

use anyhow::{Result, ensure};
use end_to_end::{Case, Site, process};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("first_screen::the_link_signs_in_once", the_link_signs_in_once),
        Case::new("first_screen::this_machine_is_listed_at_once", this_machine_is_listed_at_once),
        Case::new("first_screen::the_person_at_a_machine_is_seen_and_remembered", the_person_is_seen)
            .root("a person of its own needs an account of its own"),
    ]
}

fn the_link_signs_in_once() -> Result<()> {
    let site = Site::new()?;
    let person = site.signed_in()?;
    let session = person.get("/api/v1/session")?.ok()?;
    ensure!(session["operator"]["setup"] == true && session["operator"]["role"] == "manager", "{session}");
    let token = site.sign_in.rsplit('/').next().unwrap_or_default();
    let again = site.stranger().with("origin", &site.url).post("/api/v1/session/link", &json!({"token": token}))?;
    again.refusal(401)?;
    site.stranger().get("/api/v1/session")?.refusal(401)?;
    Ok(())
}

fn this_machine_is_listed_at_once() -> Result<()> {
    let site = Site::with_local_agent()?;
    let manager = site.manager()?;
    let name = process::run(&mut Command::new("hostname"))?.trim().to_owned();
    let row = site.machine(&manager, &name, "online", Duration::from_secs(5))?;
    ensure!(row["agent_version"].is_string() && row["last_seen"].is_string(), "{row}");
    // A network namespace of tests has loopback only; anywhere else there is an address.
    ensure!(row["addresses"].is_array(), "{row}");
    let full = end_to_end::until("inventory has reported", Duration::from_secs(15), || {
        let row = manager.row("fleet/machines", "name", &name)?;
        Ok(row.filter(|row| row["os"].as_str().is_some_and(|os| !os.is_empty())))
    })?;
    for field in ["person", "os"] {
        ensure!(full.get(field).is_some(), "no {field} in {full}");
    }
    ensure!(
        full["os"].as_str() == Some(&*os()?) || full["os"].as_str().is_some_and(|os| os.contains("inux")),
        "{full}"
    );
    let cli = site.token("auditor")?;
    let printed = process::run(&mut site.cli(&cli, &["fleet", "machines", "-o", "json"]))?;
    let rows: Value = serde_json::from_str(&printed)?;
    for field in ["id", "name", "addresses", "person", "os", "status", "last_seen"] {
        ensure!(rows[0].get(field).is_some(), "no {field} in {rows}");
    }
    Ok(())
}

/// The system's own name for itself.
fn os() -> Result<String> {
    let text = std::fs::read_to_string("/etc/os-release")?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    Ok(line.trim_matches('"').to_owned())
}

/// Somebody sits down at a terminal: their name is on screen. They go: they are who was there last.
fn the_person_is_seen() -> Result<()> {
    let accounts = tempfile::NamedTempFile::new()?;
    let known = std::fs::read_to_string("/etc/passwd")?;
    std::fs::write(accounts.path(), format!("{known}ada:x:4242:4242:Ada Lovelace,,,:/:/bin/sh\n"))?;
    process::run(Command::new("chmod").arg("644").arg(accounts.path()))?;
    // Seen by this test's own mount namespace only.
    process::run(Command::new("mount").arg("--bind").arg(accounts.path()).arg("/etc/passwd"))?;
    let site = Site::with_local_agent()?;
    let manager = site.manager()?;
    let seen = |state: &str| {
        end_to_end::until(&format!("the person is seen, {state}"), Duration::from_secs(60), || {
            let rows = manager.rows("fleet/machines?fields=name,person,person_state,account,person_from")?;
            let there = |row: &&Value| row["person"] == "Ada Lovelace" && row["person_state"] == state;
            Ok(rows.iter().find(there).cloned())
        })
    };
    let mut session = Command::new("setpriv");
    session.args(["--reuid", "4242", "--regid", "4242", "--clear-groups", "script", "-qfc", "sleep 600", "/dev/null"]);
    let mut session = process::Running::start("the session of a person", &mut session)?;
    let row = seen("now")?;
    ensure!(row["account"] == "ada", "{row}");
    let typed = "/api/v1/fleet/machines?q=lovelace&fields=name";
    ensure!(
        manager.get(typed)?.ok()?.as_array().is_some_and(|rows| rows.len() == 1),
        "who it is cannot be searched for"
    );
    session.kill();
    let left = seen("last");
    process::run(Command::new("umount").arg("/etc/passwd"))?;
    left.map(|_| ())
}
