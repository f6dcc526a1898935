//! One round: every contestant does the same, one after the other, and another one begins each time.

use super::contestants::{Contestant, Store};
use super::corpus::{self, Corpus};
use super::measure::{self, Cost};
use super::report::Sample;
use super::{Options, Part, Report};
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Round<'a> {
    entrants: Vec<(&'a dyn Contestant, Store)>,
    scratch: &'a Path,
    part: Part,
}

pub(super) fn run(
    options: &Options,
    contestants: &[Box<dyn Contestant>],
    corpus: &Corpus,
    number: usize,
    scratch: &Path,
    report: &mut Report,
) -> Result<()> {
    let mut order: Vec<&dyn Contestant> = contestants.iter().map(AsRef::as_ref).collect();
    if !order.is_empty() {
        let first = number % order.len();
        order.rotate_left(first);
    }
    for part in [Part::Mixed, Part::Small, Part::Clients] {
        if !options.has(part) {
            continue;
        }
        let folder = tempfile::tempdir_in(scratch)?;
        let mut round = Round { entrants: Vec::new(), scratch: folder.path(), part };
        for (at, one) in order.iter().enumerate() {
            let place = folder.path().join(at.to_string());
            fs::create_dir(&place)?;
            let store = Store::new(&place);
            measure::run(&mut one.create(&store), folder.path())?;
            round.entrants.push((*one, store));
        }
        match part {
            Part::Mixed => round.mixed(corpus, report)?,
            Part::Small => round.small(corpus, report)?,
            _ => round.clients(corpus, report)?,
        }
    }
    Ok(())
}

impl Round<'_> {
    fn mixed(&mut self, corpus: &Corpus, report: &mut Report) -> Result<()> {
        let tree = self.scratch.join("tree");
        corpus::copy(&corpus.mixed_tree(), &tree)?;
        self.back_up("first", &tree, report)?;
        self.back_up("unchanged", &tree, report)?;
        corpus::mutate(&tree)?;
        self.back_up("mutated", &tree, report)?;
        self.restore(&tree, report)
    }

    fn small(&mut self, corpus: &Corpus, report: &mut Report) -> Result<()> {
        self.back_up("first", &corpus.small_tree(), report)?;
        self.back_up("unchanged", &corpus.small_tree(), report)
    }

    /// Ten clients, each with a cache of its own, back up into one repository, one after the other.
    fn clients(&mut self, corpus: &Corpus, report: &mut Report) -> Result<()> {
        for (one, store) in &self.entrants {
            let mut cost = Cost::default();
            for number in 0..corpus.clients {
                let tree = corpus.clients_tree().join(number.to_string());
                cost = cost.and(measure::run(&mut one.back_up(&store.of_client(number), &tree), self.scratch)?.0);
            }
            report.add(self.sample("ten clients", *one, cost, Some(&store.repository))?);
        }
        Ok(())
    }

    fn back_up(&mut self, phase: &'static str, tree: &Path, report: &mut Report) -> Result<()> {
        for at in 0..self.entrants.len() {
            let (one, store) = &mut self.entrants[at];
            let (cost, _) = measure::run(&mut one.back_up(store, tree), self.scratch)?;
            store.number += 1;
            let (one, repository) = (*one, store.repository.clone());
            report.add(self.sample(phase, one, cost, Some(&repository))?);
        }
        Ok(())
    }

    /// What comes back has to be what was there.
    fn restore(&mut self, tree: &Path, report: &mut Report) -> Result<()> {
        for (one, store) in &self.entrants {
            let to = self.scratch.join("back");
            fs::create_dir(&to)?;
            let (cost, _) = measure::run(&mut one.restore(store, &to), self.scratch)?;
            let found = find(&to, tree).with_context(|| format!("{} brought nothing back", one.name()))?;
            compare(tree, &found).with_context(|| format!("{} brought something else back", one.name()))?;
            fs::remove_dir_all(&to)?;
            report.add(self.sample("restore", *one, cost, None)?);
        }
        Ok(())
    }

    fn sample(
        &self,
        phase: &'static str,
        one: &dyn Contestant,
        cost: Cost,
        repository: Option<&Path>,
    ) -> Result<Sample> {
        let bytes = repository.map(corpus::disk_usage).transpose()?;
        let size_mib = bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
        Ok(Sample { part: self.part, phase, who: one.name().to_owned(), is_ours: one.is_ours(), cost, size_mib })
    }
}

/// Where a tree came back below a folder: under its whole path, the last part of it, or at once.
pub(super) fn find(to: &Path, tree: &Path) -> Option<PathBuf> {
    let whole = to.join(tree.strip_prefix("/").unwrap_or(tree));
    [whole, to.join(tree.file_name()?), to.to_path_buf()].into_iter().find(|place| place.join("packages").exists())
}

/// Whether two trees are the same to `diff`, which follows no links.
pub(super) fn compare(tree: &Path, back: &Path) -> Result<()> {
    process::run(Command::new("diff").args(["-rq", "--no-dereference"]).arg(tree).arg(back)).map(drop)
}
