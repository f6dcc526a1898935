//! What one machine does is its own harm: its room is used up for nobody else, and what happens to its files is told.

use super::{grove, noise, plant};
use anyhow::{Context, Result, ensure};
use end_to_end::client::FINAL;
use end_to_end::{Case, soon};
use serde_json::json;
use std::fs;

pub(super) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("backup::a_machine_that_has_no_room_left_hurts_itself", no_room).root(namespaces),
        Case::new("backup::files_that_are_encrypted_at_once_are_told", encrypted).root(namespaces),
    ]
}

fn no_room() -> Result<()> {
    let grove = grove(&["larch", "rowan"])?;
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    plant(&tree)?;
    let machine = grove.manager.row("fleet/machines", "name", "larch")?.context("a row")?;
    let quota = json!({"setting": "backup.quota", "value": "2MiB", "machine": machine["id"]});
    grove.manager.run("fleet.change-setting", &quota)?;
    let ran = |machine: &str, path: &std::path::Path| {
        let job = grove.manager.submit("backup.run", &json!({"machine": machine, "path": [path]}))?;
        grove.manager.job_in(&job, FINAL)
    };
    let full = ran("larch", &tree)?;
    ensure!(full["state"] == "failed" && full["problem"]["code"] == "quota", "{full}");
    ensure!(full.to_string().contains("may keep 2.0 MiB"), "{full}");
    soon("it is seen that larch was not backed up", || {
        let row = grove.manager.row("fleet/machines", "name", "larch")?;
        Ok(row.filter(|row| row["backup_status"] == "failed"))
    })?;
    let small = ran("larch", &tree.join("docs/hello.txt"))?;
    ensure!(small["state"] == "succeeded", "what fits is backed up: {small}");
    let other = ran("rowan", &tree)?;
    ensure!(other["state"] == "succeeded", "{other}");
    Ok(())
}

fn encrypted() -> Result<()> {
    let grove = grove(&["larch"])?;
    let folder = tempfile::tempdir()?;
    for number in 0..40_u64 {
        let text = format!("line {number} of what people write\n").repeat(50_000);
        fs::write(folder.path().join(format!("{number}.txt")), text)?;
    }
    let run = || grove.manager.run("backup.run", &json!({"machine": "larch", "path": [folder.path()]}));
    let events = || grove.manager.rows("fleet/events");
    run()?;
    fs::write(folder.path().join("0.txt"), "one that a person changed")?;
    run()?;
    ensure!(events()?.iter().all(|event| event["title"] != "Many files changed at once"), "that is no alarm");
    for number in 0..40_u64 {
        fs::write(folder.path().join(format!("{number}.txt")), noise(number, 1 << 20))?;
    }
    run()?;
    let event =
        soon("it is told", || Ok(events()?.into_iter().find(|event| event["title"] == "Many files changed at once")))?;
    ensure!(event["machine"]["label"] == "larch", "{event}");
    Ok(())
}
