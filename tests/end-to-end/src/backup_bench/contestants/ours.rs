//! The module of this repository by itself: one process that reads, keeps and encrypts.

use super::{Contestant, Store};
use crate::process::{built, program, run};
use anyhow::{Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Ours {
    name: String,
    /// Of zstd.
    level: String,
    password_file: PathBuf,
}

/// The module's shared library.
fn library() -> PathBuf {
    built().join("libbackup.so")
}

impl Ours {
    pub(super) fn new(folder: &Path, level: u32) -> Result<Ours> {
        ensure!(library().exists(), "{} was not built", library().display());
        let password_file = folder.join("password");
        fs::create_dir_all(folder)?;
        fs::write(&password_file, "bench\n")?;
        Ok(Ours { name: format!("bailiwick zstd,{level}"), level: level.to_string(), password_file })
    }

    fn command(&self, store: &Store, words: &[&str]) -> Command {
        let mut command = Command::new(program("bailiwick"));
        command.args(["module", "run"]).arg(library()).args(words).env("BAILIWICK_STATE", &store.state);
        command.arg("--vault").arg(&store.repository).arg("--password-file").arg(&self.password_file);
        command.args(["--compression", &self.level, "-o", "json"]);
        command
    }
}

impl Contestant for Ours {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn about(&self) -> Result<String> {
        let version = run(Command::new(program("bailiwick")).arg("--version"))?;
        Ok(format!("{}, backup run --compression {}", version.trim(), self.level))
    }

    fn create(&self, store: &Store) -> Command {
        self.command(store, &["init"])
    }

    fn back_up(&self, store: &Store, tree: &Path) -> Command {
        let mut command = self.command(store, &["run", "--name", &store.client]);
        command.arg(tree);
        command
    }

    fn restore(&self, store: &Store, to: &Path) -> Command {
        let mut command = self.command(store, &["restore", "--name", &store.client]);
        command.arg("--to").arg(to);
        command
    }
}
