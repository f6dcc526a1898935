//! Trees for tests: one with everything that a file system can hold, and whether two are the same, by our own eyes and by
//! programs that others wrote. It knows nothing of backups.

#![allow(clippy::unwrap_used)] // whoever uses it is a test, which may stop at what it did not expect

pub mod compare;
mod nasty;

pub use nasty::{Nasty, chmod, noise, set_time};

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program of the system that has to be there, and gives back what it prints.
///
/// # Panics
/// It is not there, or fails.
#[track_caller]
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.env("LC_ALL", "C").output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{}\n{printed}", output.status, output.stdout.escape_ascii());
    output.stdout
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where `path` of the machine is below `restored`.
///
/// # Panics
/// The path is relative.
pub fn beneath(restored: &Path, path: &Path) -> PathBuf {
    restored.join(path.strip_prefix("/").unwrap())
}
