//! What a run of the bench is asked for.

use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};

/// Backs up trees from fixed seeds with the release of this repository and with borg, restic and (with --long) rustic, all
/// in one run, and prints what that took beside the goals.
///
/// The rivals are fetched into the folder; nothing is installed. Contestants take turns, and figures are medians over
/// the rounds. CPU seconds are what to compare where the machine has other work to do.
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo xtask bench backup --")]
pub struct Options {
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// How often everything is done
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub rounds: usize,
    /// Size of all trees, 1 for those that the goals are meant for
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub scale: f64,
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    pub only: Vec<Part>,
    /// Leave out the rivals
    #[arg(long, conflicts_with = "rivals_only")]
    pub ours_only: bool,
    /// Leave out what is built here
    #[arg(long)]
    pub rivals_only: bool,
    /// Folder for trees, rivals and repositories, on a disk; 15 GiB at scale 1
    #[arg(long, default_value = "target/bench-backup", value_name = "DIR")]
    pub folder: PathBuf,
    /// Fetch the rivals and make the trees, and measure nothing
    #[arg(long)]
    pub prepare: bool,
    /// Make up the packages rather than fetch real ones
    #[arg(long)]
    pub made_up: bool,
    /// Also rustic, which is built from source first
    #[arg(long)]
    pub long: bool,
}

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A mixed tree: first backup, unchanged, mutated, restore
    Mixed,
    /// 100,000 small files: first backup, unchanged
    Small,
    /// Ten clients that share four fifths of their data
    Clients,
    /// The same through an administrator, with real agents
    Site,
    /// The keeper's index and its garbage
    Keeper,
}

impl Options {
    /// A run that takes seconds and fetches nothing.
    pub fn tiny(folder: &Path) -> Options {
        let scale = 0.004.to_string();
        let words =
            ["bench", "--rounds", "1", "--made-up", "--ours-only", "--only", "mixed,small,clients,site", "--scale"];
        let mut options = Options::parse_from(words.into_iter().chain([scale.as_str()]));
        options.folder = folder.to_path_buf();
        options
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
