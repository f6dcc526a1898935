//! rustic, as it comes.

use super::{Contestant, Store};
use crate::process::run;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Rustic(pub(super) PathBuf);

impl Rustic {
    fn command(&self, store: &Store, words: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.env("RUSTIC_REPOSITORY", &store.repository).env("RUSTIC_CACHE_DIR", &store.state);
        command.env("RUSTIC_PASSWORD", "bench").env("RUSTIC_NO_PROGRESS", "true").args(words);
        command
    }
}

impl Contestant for Rustic {
    fn name(&self) -> &str {
        "rustic"
    }

    fn about(&self) -> Result<String> {
        Ok(format!("{}, backup", run(Command::new(&self.0).arg("--version"))?.trim()))
    }

    fn create(&self, store: &Store) -> Command {
        self.command(store, &["init"])
    }

    fn back_up(&self, store: &Store, tree: &Path) -> Command {
        let mut command = self.command(store, &["backup", "--host", &store.client]);
        command.arg(tree);
        command
    }

    fn restore(&self, store: &Store, to: &Path) -> Command {
        let mut command = self.command(store, &["restore", "--filter-host", &store.client, "latest"]);
        command.arg(to);
        command
    }
}
