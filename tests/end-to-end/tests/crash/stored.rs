//! The phase a job is in, read from what is stored on both sides at that moment and from nothing else.

use agent::journal::{Journal, Phase as Journalled};
use anyhow::{Context, Result, ensure};
use end_to_end::effects::times;
use end_to_end::process::{root, run};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

/// How far a job had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// In the database, and given out to nobody.
    Stored,
    /// Given out, and not in the agent's journal.
    Sent,
    /// In the journal, and not begun.
    Taken,
    /// In the journal as begun; its last effect has not happened.
    Running,
    /// Its last effect has happened, and the journal does not have the end.
    Done,
    /// The journal has the end, and the database has not.
    Ended,
    /// Both have the end, and the agent does not know that the administrator has.
    Unacknowledged,
    Over,
}

/// Looks at the database, the journal and the effects of one job. Whoever writes them must be stopped or dead.
pub(super) fn phase(site: &Path, machine: &Path, id: &str, tag: &str) -> Result<Phase> {
    let row = row(site, id)?;
    let ended = times(machine, &format!("end {tag}")) > 0;
    let is_final = end_to_end::client::FINAL.contains(&row.as_str());
    Ok(match journalled(machine, id)? {
        None if row == "queued" => Phase::Stored,
        None => Phase::Sent,
        Some(Journalled::Accepted) => Phase::Taken,
        Some(Journalled::Running) if ended => Phase::Done,
        Some(Journalled::Running) => Phase::Running,
        Some(Journalled::Finished { .. }) if !is_final => Phase::Ended,
        Some(Journalled::Finished { acknowledged: false, .. }) => Phase::Unacknowledged,
        Some(Journalled::Finished { .. }) => Phase::Over,
    })
}

/// State of the job's row.
fn row(site: &Path, id: &str) -> Result<String> {
    Ok(ask(site, &["state", id])?.trim().to_owned())
}

/// States of all jobs that have not ended.
pub(super) fn open_jobs(site: &Path) -> Result<Vec<String>> {
    Ok(ask(site, &["open"])?.lines().filter(|state| !state.is_empty()).map(str::to_owned).collect())
}

fn ask(site: &Path, words: &[&str]) -> Result<String> {
    let script = root().join("tests/end-to-end/tests/tamper.py");
    run(Command::new("python3").arg(script).arg(site.join("bailiwick.db")).args(words))
}

/// What the journal says of the job; read from a copy, since opening it repairs it.
pub(super) fn journalled(machine: &Path, id: &str) -> Result<Option<Journalled>> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("journal");
    std::fs::copy(machine.join("journal.redb"), &copy).context("the journal cannot be copied")?;
    let job = id.parse().with_context(|| format!("{id} is no id"))?;
    Ok(Journal::open(&copy)?.job(job)?.map(|record| record.phase))
}

/// Which phases were really hit, and how often.
#[derive(Default)]
pub(super) struct Hit(BTreeMap<Phase, usize>);

impl Hit {
    /// # Errors
    /// It is another phase than was meant.
    pub(super) fn expect(&mut self, found: Phase, meant: Phase) -> Result<()> {
        ensure!(found == meant, "the job was to be killed when {meant:?}, and was {found:?}");
        self.note(found);
        Ok(())
    }

    pub(super) fn note(&mut self, found: Phase) {
        *self.0.entry(found).or_default() += 1;
    }

    pub(super) fn has(&self, phases: &[Phase]) -> bool {
        phases.iter().all(|phase| self.0.contains_key(phase))
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
