//! Whose machine it is, decides what may be backed up of it and written to it: operators can only ask for less.

use super::{grove, plant};
use anyhow::{Result, ensure};
use end_to_end::Case;
use end_to_end::client::FINAL;
use serde_json::{Value, json};
use std::fs;

pub(super) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![Case::new("backup::the_owner_of_a_machine_has_the_last_word", owner).root(namespaces)]
}

fn owner() -> Result<()> {
    let grove = grove(&["larch"])?;
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    plant(&tree)?;
    let rules = grove.machines[0].state().join("policy.toml");
    let ran = |command: &str, arguments: Value| -> Result<Value> {
        let job = grove.manager.submit(command, &arguments)?;
        grove.manager.job_in(&job, FINAL)
    };
    let denied = |job: &Value| job["state"] == "failed" && job["problem"]["code"] == "permission_denied";

    fs::write(&rules, format!("[settings.backup]\npaths = [{:?}]\nrestore_allowed = false\n", tree.join("docs")))?;
    let outside = ran("backup.run", json!({"machine": "larch", "path": [tree]}))?;
    ensure!(denied(&outside), "{outside}");
    std::os::unix::fs::symlink("/etc", tree.join("docs/etc"))?;
    let around = ran("backup.run", json!({"machine": "larch", "path": [tree.join("docs/etc")]}))?;
    ensure!(denied(&around), "{around}");
    let within = ran("backup.run", json!({"machine": "larch", "path": [tree.join("docs/deep")]}))?;
    ensure!(within["state"] == "succeeded", "{within}");
    let back = ran("backup.restore", json!({"machine": "larch", "to": folder.path().join("back")}))?;
    ensure!(denied(&back) && !folder.path().join("back").exists(), "{back}");

    // An hour that is not now.
    let now = jiff::Zoned::now().hour();
    let hours = format!("{:02}:00-{:02}:00", (now + 10) % 24, (now + 11) % 24);
    fs::write(&rules, format!("[settings.backup]\nallowed_hours = {hours:?}\n"))?;
    let early = ran("backup.run", json!({"machine": "larch", "path": [tree]}))?;
    ensure!(denied(&early) && early.to_string().contains(&hours), "{early}");
    Ok(())
}
