//! The daily backup: begun by each machine within its hours, and made up where it was missed.

use super::{grove, plant};
use anyhow::{Context, Result, ensure};
use end_to_end::{Case, process};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(super) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![Case::new("backup::daily_and_what_was_missed_is_made_up", daily).root(namespaces)]
}

/// The clock of the machines, as in `21:05`, so many minutes from now.
fn clock(minutes: u32) -> Result<String> {
    let printed = process::run(Command::new("date").args(["-d", &format!("+{minutes} minutes"), "+%H:%M"]))?;
    Ok(printed.trim().to_owned())
}

/// Whether a machine has taken in that it is to be backed up daily.
fn is_set(state: &Path) -> bool {
    let found = Command::new("find").arg(state).args(["-name", "daily.json"]).output();
    found.is_ok_and(|found| !found.stdout.is_empty())
}

fn daily() -> Result<()> {
    let mut grove = grove(&["larch", "rowan"])?;
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("tree");
    plant(&tree)?;
    for name in ["larch", "rowan"] {
        let row = grove.manager.row("fleet/machines", "name", name)?.context("a row")?;
        ensure!(row["backup_status"] == "never", "a machine that was never backed up has to be seen: {row}");
    }
    let never = r#"fleet/machines?where=%5B%7B%22field%22:%22backup_status%22,%22value%22:%22never%22%7D%5D"#;
    ensure!(grove.manager.rows(never)?.len() == 2, "they are found by that too");
    let set = |name: &str, value: &str| {
        let arguments = json!({"setting": format!("backup.{name}"), "value": value});
        grove.manager.run("fleet.change-setting", &arguments)
    };
    set("paths", &json!([tree]).to_string())?;
    let over = Instant::now() + Duration::from_secs(120);
    set("daily", &format!("{}-{}", clock(1)?, clock(2)?))?;
    let states: Vec<_> = grove.machines.iter().map(end_to_end::Machine::state).collect();
    end_to_end::soon("both machines know of it", || Ok(states.iter().all(|state| is_set(state)).then_some(())))?;
    grove.machines[1].stop()?;

    let backed_up = |name: &str| -> Result<Value> {
        end_to_end::until(&format!("{name} is backed up"), Duration::from_secs(240), || {
            let row = grove.manager.row("fleet/machines", "name", name)?;
            Ok(row.filter(|row| row["backup_status"] == "complete"))
        })
    };
    backed_up("larch")?;
    let jobs = grove.manager.rows("fleet/jobs")?;
    let begun: Vec<&Value> = jobs.iter().filter(|job| job["title"] == "Back up now").collect();
    ensure!(begun.len() == 1 && begun[0]["operator"] == "Backup", "{jobs:?}");

    std::thread::sleep(over.saturating_duration_since(Instant::now()));
    grove.machines[1].start()?;
    backed_up("rowan")?;
    let snapshots = grove.manager.rows("backup/snapshots")?;
    ensure!(snapshots.len() == 2, "each machine is backed up once: {snapshots:?}");
    Ok(())
}
