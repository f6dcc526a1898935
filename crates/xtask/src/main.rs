//! `cargo xtask`: everything that is done with this repository, each as one command.
//!
//! It names no plugin: plugins are the folders in `plugins/` that build a shared library.

mod bench;
mod build;
mod console;
mod packages;
mod prepare;
mod process;
mod test;
mod tidy;
mod up;
mod workspace;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Builds, starts, checks and measures Bailiwick")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything, start it on this machine and print a sign-in link
    Up {
        /// Folder that keeps all state
        #[arg(long, default_value = "state")]
        state: PathBuf,
        /// Port of the console on 127.0.0.1
        #[arg(long, default_value_t = 8640)]
        port: u16,
    },
    /// Run everything that guards the project
    Test {
        /// Also the soak, crash and fuzz runs
        #[arg(long)]
        long: bool,
        /// Only the step of this name, or only tests whose name has this text
        filter: Option<String>,
    },
    /// Build the release into dist/
    Build,
    /// Build the console only
    Console,
    /// Check the rules of the repository
    Tidy,
    /// Print a table of measurements
    Bench {
        /// Name of the bench; without it the names are listed
        name: Option<String>,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
        /// Arguments of the bench itself
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let done = match task {
        Task::Up { state, port } => up::run(&state, port),
        Task::Test { long, filter } => test::run(long, filter.as_deref()),
        Task::Build => build::release().map(|_| ()),
        Task::Console => console::require().and_then(|()| console::build()),
        Task::Tidy => tidy::run(),
        Task::Bench { name, json, arguments } => bench::run(name.as_deref(), json, &arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
