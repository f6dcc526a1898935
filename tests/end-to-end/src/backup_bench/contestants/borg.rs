//! borg, with zstd at its level 3.

use super::{Contestant, Store};
use crate::process::run;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) struct Borg {
    program: PathBuf,
    name: String,
    /// How chunks are named and encrypted.
    encryption: &'static str,
}

impl Borg {
    pub(super) fn new(program: &Path, encryption: &'static str) -> Borg {
        Borg { program: program.to_path_buf(), name: format!("borg zstd,3 {encryption}"), encryption }
    }

    fn command(&self, store: &Store) -> Command {
        let mut command = Command::new(&self.program);
        command.env("BORG_REPO", &store.repository).env("BORG_BASE_DIR", &store.state);
        command.env("BORG_PASSPHRASE", "bench").env("BORG_HOST_ID", &store.client);
        command
    }
}

impl Contestant for Borg {
    fn name(&self) -> &str {
        &self.name
    }

    fn about(&self) -> Result<String> {
        let version = run(Command::new(&self.program).arg("--version"))?;
        Ok(format!("{}, init --encryption {}, create --compression zstd,3", version.trim(), self.encryption))
    }

    fn create(&self, store: &Store) -> Command {
        let mut command = self.command(store);
        command.args(["init", "--encryption", self.encryption]);
        command
    }

    fn back_up(&self, store: &Store, tree: &Path) -> Command {
        let mut command = self.command(store);
        command.args(["create", "--compression", "zstd,3"]).arg(format!("::{}-{}", store.client, store.number));
        command.arg(tree);
        command
    }

    fn restore(&self, store: &Store, to: &Path) -> Command {
        let mut command = self.command(store);
        command.arg("extract").arg(format!("::{}-{}", store.client, store.number - 1)).current_dir(to);
        command
    }
}
