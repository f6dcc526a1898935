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
    ]
}

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
    let records = manager.rows("fleet/audit")?;
    let of = |action: &str| {
        records.iter().filter(|record| record["action"].as_str().is_some_and(|a| a.contains(action))).count()
    };
    ensure!(of("fleet.create-group") >= 1, "{records:?}");
    let output = verify(&site)?;
    ensure!(output.status.success(), "{output:?}");
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
