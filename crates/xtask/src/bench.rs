//! `cargo xtask bench NAME`: runs a bench that a crate or a plugin brings as an example or program `bench-NAME`.

use crate::workspace::{self, Package};
use crate::{build, console, process};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::process::Command;

/// Runs one bench in the release profile, or lists them.
pub(crate) fn run(name: Option<&str>, json: bool, arguments: &[String]) -> Result<()> {
    let benches = discover(&workspace::packages()?);
    let Some(name) = name else {
        for (name, bench) in &benches {
            println!("{name:20} {}", bench.package);
        }
        return Ok(());
    };
    let Some(bench) = benches.get(name) else {
        let known = benches.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        bail!("There is no bench {name}. There are: {known}.");
    };
    console::require()?;
    let release = build::release()?;
    let dist = release.program.parent().context("the program lies in a folder")?.to_path_buf();
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--release", "--quiet", "--package", &bench.package, bench.switch, &format!("bench-{name}")]);
    cargo.arg("--").args(json.then_some("--json")).args(arguments);
    process::run(cargo.env("BAILIWICK_DIST", dist).env("CONSOLE_REQUIRED", "1").current_dir(workspace::root()))
}

struct Bench {
    package: String,
    switch: &'static str,
}

fn discover(packages: &[Package]) -> BTreeMap<String, Bench> {
    let mut benches = BTreeMap::new();
    for package in packages {
        for target in &package.targets {
            let switch = match target.kind.first().map(String::as_str) {
                Some("bin") => "--bin",
                Some("example") => "--example",
                _ => continue,
            };
            if let Some(name) = target.name.strip_prefix("bench-") {
                benches.insert(name.to_owned(), Bench { package: package.name.clone(), switch });
            }
        }
    }
    benches
}
