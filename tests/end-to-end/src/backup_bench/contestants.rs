//! Who is measured, and the words each is started with.

mod borg;
mod fetch;
mod ours;
mod restic;
mod rustic;

use super::Options;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

use ours::Ours;

/// A program that backs up.
pub(super) trait Contestant {
    fn name(&self) -> &str;

    fn is_ours(&self) -> bool {
        false
    }

    /// Its version, and the words that say how it works.
    fn about(&self) -> Result<String>;

    fn create(&self, store: &Store) -> Command;

    fn back_up(&self, store: &Store, tree: &Path) -> Command;

    /// Brings the last backup back, below a folder that is there.
    fn restore(&self, store: &Store, to: &Path) -> Command;
}

/// A repository and what one client of it keeps beside.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) repository: PathBuf,
    /// Of the client.
    pub(super) state: PathBuf,
    /// What the client is called.
    pub(super) client: String,
    /// How many backups were made before.
    pub(super) number: u32,
}

impl Store {
    pub(super) fn new(folder: &Path) -> Store {
        let (repository, client) = (folder.join("repository"), "larch".to_owned());
        Store { repository, state: folder.join("state"), client, number: 0 }
    }

    /// The same repository, for another client.
    pub(super) fn of_client(&self, number: usize) -> Store {
        let client = format!("client-{number}");
        Store { state: self.state.with_added_extension(&client), client, ..self.clone() }
    }
}

/// All who are measured.
pub(super) type Contestants = Vec<Box<dyn Contestant>>;

/// Fetches the rivals that can be had. What cannot is told in a line.
pub(super) fn gather(options: &Options) -> Result<(Contestants, Vec<String>)> {
    let (mut all, mut missing) = (Contestants::new(), Vec::new());
    if !options.rivals_only {
        all.push(Box::new(Ours::new(&options.folder, 1)?));
        all.push(Box::new(Ours::new(&options.folder, 3)?));
    }
    if options.ours_only {
        return Ok((all, missing));
    }
    let folder = options.folder.join("rivals");
    match fetch::borg(&folder) {
        Ok(program) => {
            all.push(Box::new(borg::Borg::new(&program, "repokey-blake2")));
            all.push(Box::new(borg::Borg::new(&program, "repokey")));
        }
        Err(error) => missing.push(format!("borg cannot be had here: {error:#}")),
    }
    match fetch::restic(&folder) {
        Ok(program) => all.push(Box::new(restic::Restic(program))),
        Err(error) => missing.push(format!("restic cannot be had here: {error:#}")),
    }
    if options.long {
        match fetch::rustic(&folder) {
            Ok(program) => all.push(Box::new(rustic::Rustic(program))),
            Err(error) => missing.push(format!("rustic cannot be had here: {error:#}")),
        }
    }
    Ok((all, missing))
}
