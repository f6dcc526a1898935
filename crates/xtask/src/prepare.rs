//! What the tests need beside the product: programs, a browser driver, an API fuzzer. Fetched once, kept in `target/`
//! and `node_modules/`, so that the tests themselves run without a network.

use crate::{console, packages, process, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The API fuzzer and its version.
const FUZZER: &str = "schemathesis==4.32.5";

/// Installs everything that is missing.
pub(crate) fn everything() -> Result<()> {
    packages::require(packages::BUILD)?;
    packages::require(packages::TEST)?;
    console::install(&console::folder())?;
    console::install(&browser())?;
    fuzzer()
}

/// Folder of the browser tests.
pub(crate) fn browser() -> PathBuf {
    workspace::root().join("tests/browser")
}

/// Folder of the Python environment that holds the API fuzzer.
fn environment() -> PathBuf {
    workspace::target_folder().join("xtask/python")
}

fn fuzzer() -> Result<()> {
    let environment = environment();
    let stamp = environment.join(".installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == FUZZER) {
        return Ok(());
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
        .context("no Python environment for the API fuzzer")?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", FUZZER]);
    process::run(&mut pip).context("the API fuzzer is not installed")?;
    fs::write(&stamp, FUZZER).with_context(|| format!("{} cannot be written", stamp.display()))
}
