//! The keeper alone: how much memory its index takes, and what collecting garbage costs. Measured by the vault's own bench.

use super::{Options, Report};
use crate::process::{root, run};
use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Command;

/// Chunks of which one in a hundred becomes garbage.
const SOME: f64 = 1e6;
/// Chunks of a large site.
const MANY: f64 = 1e7;

pub(super) const MEMORY: &str = "keeper with an index of 10 M chunks";
pub(super) const GARBAGE: &str = "collecting 1 % of 1 M chunks";

pub(super) fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let (some, many) = (keeper(options, SOME)?, keeper(options, MANY)?);
    let of = |results: &[Value], what: &str, field: &str| -> Result<f64> {
        let found = results.iter().find(|one| one["what"] == what).and_then(|one| one[field].as_f64());
        found.with_context(|| format!("the keeper's bench does not tell {field} of {what}"))
    };
    report.figure(format!("{MEMORY}, MiB"), of(&many, "open", "resident_kib")? / 1024.0);
    report.figure(format!("{GARBAGE} while a client backs up, CPU s"), of(&some, "collect", "cpu_seconds")?);
    report.figure("backups meanwhile", of(&some, "collect", "backups_meanwhile")?);
    Ok(())
}

fn keeper(options: &Options, chunks: f64) -> Result<Vec<Value>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--release", "--quiet", "--package", "vault", "--example", "bench-keeper", "--", "--json"]);
    cargo.arg(((chunks * options.scale) as u64).max(1000).to_string()).arg(&options.folder).current_dir(root());
    let printed = run(&mut cargo)?;
    printed.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))).collect()
}
