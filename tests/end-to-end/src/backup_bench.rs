//! `cargo xtask bench backup`: what backups cost beside borg, restic and rustic, alone and through an administrator.
//!
//! Every program is started as a person would start it and measured from outside. It is never part of the tests, but a
//! tiny run of ours alone is, so that it cannot rot.

mod contestants;
mod corpus;
mod goals;
mod keeper;
mod measure;
mod options;
mod report;
mod rounds;
mod site;

pub use options::{Options, Part};
pub use report::Report;

use anyhow::{Context, Result, ensure};
use contestants::Contestant;
use corpus::Corpus;
use std::fs;

/// Runs what was asked for. Nothing was measured where it was only to prepare.
pub fn run(options: &Options) -> Result<Option<Report>> {
    ensure!(options.rounds > 0 && options.scale > 0.0, "--rounds and --scale begin above 0");
    fs::create_dir_all(&options.folder).with_context(|| format!("{} cannot be made", options.folder.display()))?;
    let options = &Options { folder: fs::canonicalize(&options.folder)?, ..options.clone() };
    let (contestants, missing) = contestants::gather(options)?;
    let corpus = Corpus::prepare(options)?;
    if options.prepare {
        missing.iter().for_each(|line| eprintln!("{line}"));
        return Ok(None);
    }
    let mut report = Report { notes: missing, ..Report::default() };
    let busy = load();
    describe(options, &contestants, &corpus, &mut report)?;
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        let scratch = tempfile::tempdir_in(&options.folder)?;
        rounds::run(options, &contestants, &corpus, round, scratch.path(), &mut report)?;
        if options.has(Part::Site) && !options.rivals_only {
            site::run(&corpus, scratch.path(), &mut report)?;
        }
    }
    if options.has(Part::Keeper) && !options.rivals_only {
        keeper::measure(options, &mut report)?;
    }
    report.notes.push(format!("load of this machine {busy} at the beginning, {} at the end", load()));
    goals::judge(&mut report);
    Ok(Some(report))
}

/// How many tasks wanted a processor in the last minute: above the number of cores, CPU seconds grow and wall times say little.
fn load() -> String {
    let told = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    told.split(' ').next().unwrap_or_default().to_owned()
}

/// Says who and what is measured.
fn describe(options: &Options, all: &[Box<dyn Contestant>], corpus: &Corpus, report: &mut Report) -> Result<()> {
    for one in all {
        report.contestants.push((one.name().to_owned(), one.about()?));
    }
    if !corpus.is_real {
        report.notes.push("the packages are made up, not real ones".to_owned());
    }
    if options.scale < 1.0 {
        report.notes.push(format!("trees at {} of their size: the goals are meant for whole ones", options.scale));
    }
    let trees = [("mixed", corpus.mixed_tree()), ("small", corpus.small_tree()), ("clients", corpus.clients_tree())];
    for (name, tree) in trees {
        let corpus::Extent { files, bytes, hash } = corpus::extent(&tree)?;
        report.trees.push((name, files, bytes, hash));
    }
    Ok(())
}
