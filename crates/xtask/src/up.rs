//! `cargo xtask up`: from a fresh clone to the sign-in line.

use crate::build;
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Builds what is needed and becomes the administrator: Ctrl-C reaches it alone, and its exit code is this program's.
pub(crate) fn run(state: &Path, port: u16) -> Result<()> {
    let release = build::quick()?;
    let mut serve = Command::new(&release.program);
    serve.arg("serve").arg("--state").arg(state);
    serve.args(["--listen", &format!("127.0.0.1:{port}")]).arg("--plugins").arg(&release.plugins);
    Err(serve.exec()).with_context(|| format!("{} cannot be started", release.program.display()))
}
