//! The benches at a size that takes seconds, so that they cannot rot.

use anyhow::{Context, Result, ensure};
use end_to_end::Case;
use end_to_end::backup_bench::{Options, run};

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("bench::backups_are_measured_at_any_size", backups)]
}

fn backups() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let report = run(&Options::tiny(folder.path()))?.context("something was to be measured")?;
    let told = report.json();
    let rows = told["rows"].as_array().context("rows")?;
    let has = |part: &str, phase: &str, who: &str| {
        let mut found = rows.iter().filter(|row| row["part"] == part && row["phase"] == phase && row["who"] == who);
        found.any(|row| row["cpu_seconds"].as_f64() > Some(0.0) && row["peak_mib"].as_f64() > Some(1.0))
    };
    for phase in ["first", "unchanged", "mutated", "restore"] {
        ensure!(has("mixed", phase, "bailiwick zstd,1"), "{phase} is missing in {told}");
        ensure!(has("site", phase, "agent") && has("site", phase, "administrator"), "{phase} is missing in {told}");
    }
    ensure!(has("clients", "ten clients", "bailiwick zstd,3") && has("site", "ten clients", "agent"), "{told}");
    ensure!(told["trees"].as_array().is_some_and(|trees| trees.len() == 3), "{told}");
    ensure!(report.to_string().contains("goal: "), "{report}");
    Ok(())
}
