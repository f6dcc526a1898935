//! What was done here cannot be rewritten unnoticed.

use anyhow::{Context, Result, ensure};
use end_to_end::process::program;
use end_to_end::{Case, Site};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("audit::every_mutation_leaves_a_record", every_mutation_leaves_a_record),
        Case::new("audit::a_changed_record_is_named", a_changed_record_is_named),
        Case::new("audit::what_was_refused_is_recorded_and_cannot_fill_the_log", refusals_are_recorded),
        Case::new("audit::a_cut_or_new_chain_is_noticed", a_cut_or_new_chain_is_noticed),
        Case::new("audit::verifying_changes_nothing", verifying_changes_nothing),
    ]
}

/// The view of all records with everything that is in them.
const WHOLE: &str = "fleet/audit?limit=1000&fields=number,operator,action,outcome,address,job";

fn verify(site: &Site) -> Result<Output> {
    let mut command = Command::new(program("bailiwick"));
    Ok(command.args(["audit", "verify", "--state"]).arg(site.state()).output()?)
}

fn every_mutation_leaves_a_record() -> Result<()> {
    let site = Site::new()?;
    let manager = site.manager()?;
    manager.run("fleet.create-group", &json!({"name": "watched"}))?;
    let refused = site.client("auditor")?;
    refused.post("/api/v1/commands/fleet.create-group", &json!({"name": "denied"}))?.refusal(403)?;
    let records = manager.rows(WHOLE)?;
    let of = |action: &str| {
        records.iter().filter(|record| record["action"].as_str().is_some_and(|a| a.contains(action))).count()
    };
    ensure!(of("fleet.create-group") >= 1, "{records:?}");
    let with = |outcome: &str| records.iter().any(|r| r["action"] == "fleet.create-group" && r["outcome"] == outcome);
    ensure!(with("begun") && with("done"), "{records:?}");
    let begun = records.iter().find(|r| r["action"] == "fleet.create-group" && r["outcome"] == "begun");
    ensure!(begun.is_some_and(|record| record["address"] == "127.0.0.1"), "no address: {records:?}");
    let again = manager.submit("fleet.create-group", &json!({"name": "watched"}))?;
    manager.job_in(&again, &["failed"])?;
    let records = manager.rows(WHOLE)?;
    ensure!(records.iter().any(|r| r["outcome"] == "failed" && r["job"]["id"] == *again), "{records:?}");
    let output = verify(&site)?;
    ensure!(output.status.success(), "{output:?}");
    Ok(())
}

fn refusals_are_recorded() -> Result<()> {
    let site = Site::new()?;
    let (manager, auditor) = (site.manager()?, site.client("auditor")?);
    for _ in 0..50 {
        auditor.post("/api/v1/commands/fleet.create-group", &json!({"name": "denied"}))?.refusal(403)?;
    }
    site.client("operator")?.get("/api/v1/fleet/audit")?.refusal(403)?;
    let stranger = site.stranger().with("origin", &site.url);
    stranger.post("/api/v1/session", &json!({"name": "mallory", "password": "a wrong password"}))?.refusal(401)?;
    let denied = |action: &str, actor: &str| -> Result<usize> {
        let rows = manager.rows(WHOLE)?;
        let fits = |row: &&serde_json::Value| {
            row["outcome"] == "denied"
                && row["action"] == action
                && row["address"] == "127.0.0.1"
                && row["operator"].as_str().is_some_and(|name| name.starts_with(actor))
        };
        Ok(rows.iter().filter(fits).count())
    };
    end_to_end::soon("what was refused is recorded", || {
        let all = denied("fleet.create-group", "test-")? == 1
            && denied("/api/v1/fleet/audit", "test-")? == 1
            && denied("session.open", "mallory")? == 1;
        Ok(all.then_some(()))
    })
}

fn a_cut_or_new_chain_is_noticed() -> Result<()> {
    for how in ["cut-audit", "new-audit"] {
        let mut site = Site::new()?;
        let manager = site.manager()?;
        for name in ["one", "two"] {
            manager.run("fleet.create-group", &json!({"name": name}))?;
        }
        site.stop()?;
        ensure!(verify(&site)?.status.success(), "the untouched chain does not hold");
        crate::tamper(&site, how)?;
        let output = verify(&site)?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && text.contains("record"), "{how} was not noticed: {output:?}");
        ensure!(text.contains("backup"), "no way out: {text}");
        // An administrator that starts on it says so, and does not sign what is there now.
        site.start()?;
        let token = site.token("manager")?;
        let manager = site.stranger().bearer(&token);
        end_to_end::soon("a warning is on screen", || {
            Ok(manager.rows("fleet/warnings")?.iter().any(|row| row["subject"] == "audit").then_some(()))
        })?;
        site.stop()?;
        ensure!(!verify(&site)?.status.success(), "{how}: the changed chain was signed");
    }
    Ok(())
}

fn verifying_changes_nothing() -> Result<()> {
    let mut site = Site::new()?;
    site.stop()?;
    crate::tamper(&site, "older")?;
    let file = site.state().join("bailiwick.db");
    let before = fs::read(&file)?;
    let output = verify(&site)?;
    ensure!(output.status.success(), "{output:?}");
    ensure!(fs::read(&file)? == before, "the database was changed");
    let copies = fs::read_dir(site.state())?.flatten().filter(|e| e.file_name().to_string_lossy().contains("schema-"));
    ensure!(copies.count() == 0, "it was migrated");
    Ok(())
}

fn a_changed_record_is_named() -> Result<()> {
    let mut site = Site::new()?;
    let manager = site.manager()?;
    manager.run("fleet.create-group", &json!({"name": "before"}))?;
    let witness = site.manager()?;
    let name = witness.get("/api/v1/session")?.ok()?["operator"]["name"].as_str().context("no name")?.to_owned();
    witness.run("fleet.create-group", &json!({"name": "changed"}))?;
    manager.run("fleet.create-group", &json!({"name": "after"}))?;
    let records = manager.rows("fleet/audit")?;
    let numbers =
        records.iter().filter(|record| record.to_string().contains(&name)).filter_map(|one| one["number"].as_u64());
    let first = numbers.min().with_context(|| format!("no record names {name}: {records:?}"))?;
    site.stop()?;
    ensure!(verify(&site)?.status.success(), "the untouched chain does not hold");
    crate::tamper(&site, "settle")?;
    let other = format!("{}x", &name[..name.len() - 1]);
    let changed = replace_everywhere(&site.state(), name.as_bytes(), other.as_bytes())?;
    ensure!(changed > 0, "the text was not found in any file");
    let output = verify(&site)?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(!output.status.success(), "the change was not noticed: {text}");
    ensure!(text.contains(&format!("record {first}")), "record {first} is not named: {text}");
    Ok(())
}

/// Replaces a text by one of the same length in every file of a folder.
fn replace_everywhere(folder: &Path, from: &[u8], to: &[u8]) -> Result<usize> {
    assert_eq!(from.len(), to.len());
    let mut changed = 0;
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| entry.path().is_file()) {
        let mut bytes = fs::read(entry.path())?;
        let places: Vec<usize> =
            bytes.windows(from.len()).enumerate().filter(|(_, part)| *part == from).map(|(at, _)| at).collect();
        for at in &places {
            bytes[*at..at + to.len()].copy_from_slice(to);
        }
        if !places.is_empty() {
            fs::write(entry.path(), bytes)?;
            changed += places.len();
        }
    }
    Ok(changed)
}
