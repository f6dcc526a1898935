//! `cargo xtask bench backup`: what backups cost beside other programs; `-- --help` tells what can be chosen.

use clap::Parser;
use end_to_end::backup_bench::{Options, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(Some(report)) if options.json => println!("{}", report.json()),
        Ok(Some(report)) => print!("{report}"),
        Ok(None) => {}
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
