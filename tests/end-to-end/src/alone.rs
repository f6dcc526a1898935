//! A module by itself, as a person starts it: a program of its name, with its library beside it.

use crate::plugins;
use crate::process::program;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A folder with the program `bailiwick-<module>`, its state and a place to work in.
pub struct Alone {
    folder: TempDir,
    module: String,
}

impl Alone {
    pub fn new(module: &str) -> Result<Alone> {
        let folder = TempDir::new()?;
        let alone = Alone { folder, module: module.to_owned() };
        std::fs::create_dir(alone.path("plugins"))?;
        std::fs::create_dir(alone.work())?;
        plugins::put(module, &alone.path("plugins"))?;
        for (name, link) in
            [("bailiwick", format!("bailiwick-{module}")), ("bailiwick-agent", "bailiwick-agent".into())]
        {
            std::fs::copy(program(name), alone.path(&link)).with_context(|| format!("{name} was not built"))?;
        }
        Ok(alone)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where it is started.
    pub fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// Where the module keeps everything.
    pub fn state(&self) -> PathBuf {
        self.path("state").join(&self.module)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.path(&format!("bailiwick-{}", self.module)));
        command.args(words).current_dir(self.work()).env("BAILIWICK_STATE", self.path("state")).stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &[&str]) -> Result<Output> {
        ended(&mut self.command(words))
    }

    /// What it prints as JSON where it succeeds.
    pub fn json(&self, words: &[&str]) -> Result<Value> {
        json_of(&mut self.command(&[words, &["-o", "json"]].concat()))
    }
}

pub fn ended(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("{command:?} cannot be started"))
}

pub fn json_of(command: &mut Command) -> Result<Value> {
    let output = ended(command)?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("no JSON: {output:?}"))
}

/// Fails unless the program ended with this code; what it said on stderr.
pub fn code(output: &Output, code: i32) -> Result<String> {
    ensure!(output.status.code() == Some(code), "expected {code}: {output:?}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Whether only its owner may use a file.
pub fn is_private(path: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 == 0)
}
