//! What is left when everything else is lost: the vault's folder and a code on paper.

use super::{Alone, beneath, grove, plant, same};
use anyhow::{Context, Result, ensure};
use end_to_end::client::FINAL;
use end_to_end::{Case, process, soon};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

pub(super) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![Case::new("backup::the_sheet_and_the_folder_restore_everything", recovery).root(namespaces)]
}

/// Whether any file below a folder holds this text.
fn holds(folder: &Path, text: &str) -> Result<bool> {
    let found = Command::new("grep").args(["-raqF", "-e", text]).arg(folder).status()?;
    Ok(found.success())
}

fn recovery() -> Result<()> {
    let grove = grove(&["larch"])?;
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    plant(&tree)?;
    let canary = "a sentence that nobody but larch should ever read";
    fs::write(tree.join("docs/secret.txt"), canary)?;
    let ran = grove.manager.run("backup.run", &json!({"machine": "larch", "path": [tree]}))?;
    let snapshot = ran["result"]["snapshot"].as_str().context("a snapshot")?;

    let state = |wanted: &str| {
        soon(&format!("the vault is {wanted}"), || {
            let vaults = grove.manager.rows("backup/vaults")?;
            Ok(vaults.into_iter().find(|vault| vault["state"] == wanted))
        })
    };
    let vault = state("no_sheet")?;
    let made = grove.manager.run("backup.sheet", &json!({}))?;
    let sheet = made["result"]["recovery_sheet"].as_str().context("a sheet, once")?.to_owned();
    ensure!(sheet.split(' ').count() == 8, "eight groups: {sheet}");
    let again = grove.manager.job(made["id"].as_str().context("an id")?)?;
    ensure!(again["result"]["recovery_sheet"].is_null(), "it is told once: {again}");
    state("ready")?;

    for text in [sheet.as_str(), sheet.split(' ').next().unwrap_or_default(), canary] {
        ensure!(!holds(&grove.site.state(), text)?, "{text:?} stands in a file of the administrator");
    }
    ensure!(holds(&tree, canary)?, "the search finds what is there");

    let tried = |sheet: &str| {
        let job = grove.manager.submit("backup.drill", &json!({"sheet": sheet}))?;
        grove.manager.job_in(&job, FINAL)
    };
    let drilled = tried(&sheet)?;
    ensure!(drilled["state"] == "succeeded" && drilled["result"]["files"].as_u64() > Some(5), "{drilled}");
    ensure!(state("ready")?["last_drill"].is_string());
    let typo = tried(&sheet.replacen(&sheet[..1], if sheet.starts_with('0') { "1" } else { "0" }, 1))?;
    ensure!(typo["problem"]["code"] == "bad_request" && typo.to_string().contains("group 1"), "{typo}");
    let other = "0000000 ".repeat(8);
    ensure!(tried(&other)?["state"] == "failed");
    ensure!(grove.manager.rows("backup/recovery-drills")?.len() == 1, "what never was a code is no drill");

    // All that is left: the folder, and the code in the first line of a file.
    let alone = Alone::new()?;
    let copied = vault["folder"].as_str().context("a folder")?;
    process::run(Command::new("cp").args(["-a", copied]).arg(alone.path("vault")))?;
    drop(grove);
    fs::write(alone.path("password"), sheet + "\n")?;
    let to = alone.path("back");
    let back = alone.run(&["restore", "--snapshot", snapshot, "--to", &to.display().to_string()])?;
    ensure!(back["problems"] == 0, "{back}");
    same(&tree, &beneath(&to, &tree))
}
