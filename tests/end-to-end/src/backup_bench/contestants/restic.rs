//! restic, as it comes.

use super::{Contestant, Store};
use crate::process::run;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Restic(pub(super) PathBuf);

impl Restic {
    fn command(&self, store: &Store, words: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.env("RESTIC_REPOSITORY", &store.repository).env("RESTIC_CACHE_DIR", &store.state);
        command.env("RESTIC_PASSWORD", "bench").args(words);
        command
    }
}

impl Contestant for Restic {
    fn name(&self) -> &str {
        "restic"
    }

    fn about(&self) -> Result<String> {
        Ok(format!("{}, backup --quiet", run(Command::new(&self.0).arg("version"))?.trim()))
    }

    fn create(&self, store: &Store) -> Command {
        self.command(store, &["init", "--quiet"])
    }

    fn back_up(&self, store: &Store, tree: &Path) -> Command {
        let mut command = self.command(store, &["backup", "--quiet", "--host", &store.client]);
        command.arg(tree);
        command
    }

    fn restore(&self, store: &Store, to: &Path) -> Command {
        let mut command = self.command(store, &["restore", "latest", "--quiet", "--host", &store.client, "--target"]);
        command.arg(to);
        command
    }
}
