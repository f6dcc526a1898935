//! Looks for a name in every snapshot of a machine, the newest first, by walking their trees. It is bounded and says
//! where it stopped.

use crate::browse::machine_id;
use crate::files::Shown;
use crate::keeper::{DOMAIN, fault_of, machine_and_name, reading};
use crate::look::time_of;
use sdk::prelude::*;
use sdk::schema::{Code, Problem};
use sdk::schemars::JsonSchema;
use sdk::serde::Serialize;
use sdk::tokio_util::sync::CancellationToken;
use sdk::{Reference, Time};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vault::{Entry, Kind, Summary, TreeReader, Vault};

/// Versions of files that are listed.
const MOST_FOUND: usize = 2_000;
/// Bytes of their paths: an answer is one message.
const MOST_LISTED: usize = 2 << 20;
/// Entries that are looked at.
const MOST_ENTRIES: u64 = 50_000_000;
/// Entries between two looks at whether it was cancelled.
const STEP: u64 = 4096;
const TELL: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(crate) struct Search {
    /// Name of a file or folder, or a part of it; * and ? stand for any letters
    #[arg(title = "Name", positional)]
    name: String,
    /// Only what was on this machine
    #[arg(title = "Machine", options = "fleet.machines")]
    machine: Option<String>,
}

/// What has such a name.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Results {
    /// Each version of each file, those backed up last first
    found: Vec<Version>,
    #[schemars(title = "Snapshots searched")]
    snapshots: u64,
    #[schemars(title = "Names looked at")]
    entries: u64,
}

/// A file as it was in some snapshots that follow one another.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
struct Version {
    #[schemars(extend("x-type" = "path"))]
    path: String,
    size: Option<Bytes>,
    modified: Option<Time>,
    /// When the newest snapshot that holds it was taken
    #[schemars(title = "Last backed up")]
    last: Time,
    /// How many snapshots hold it
    snapshots: u64,
    /// The newest of them
    #[schemars(extend("x-type" = "ref", "x-ref" = "backup.snapshot"))]
    snapshot: Reference,
}

/// How far it is, for whoever tells it.
#[derive(Default)]
struct Told {
    snapshots: AtomicU64,
    of: AtomicU64,
}

pub(crate) async fn search(ctx: Ctx, args: Search) -> Result<Results> {
    let pattern = Pattern::new(&args.name)?;
    let machine = match args.machine.filter(|machine| !machine.is_empty()) {
        Some(machine) => Some(machine_id(&ctx, machine).await?),
        None => None,
    };
    let vault = reading(&ctx).await?;
    let (told, cancel) = (Arc::new(Told::default()), ctx.cancellation());
    let telling = told.clone();
    let working = ctx.blocking(move || Walking::new(&vault, pattern, &telling, cancel).all(machine.as_deref()));
    let mut working = std::pin::pin!(working);
    let mut ticks = sdk::tokio::time::interval(TELL);
    let (results, cut) = loop {
        sdk::tokio::select! {
            ended = &mut working => break ended?,
            _ = ticks.tick() => {
                let amount = Amount::items(told.snapshots.load(Ordering::Relaxed));
                ctx.amount(amount.of(told.of.load(Ordering::Relaxed)), "searching snapshots").ok();
            }
        }
    };
    if let Some(why) = cut {
        ctx.in_part(fault(Code::Quota, why).fix("Look for more of the name, or on one machine."));
    }
    Ok(results)
}

struct Walking<'a> {
    vault: &'a Arc<Vault>,
    pattern: Pattern,
    told: &'a Told,
    cancel: CancellationToken,
    found: Vec<Version>,
    /// Versions by what they are.
    known: HashMap<(String, Vec<u8>, u64, i64, u32), usize>,
    entries: u64,
    /// Bytes of paths that were found.
    listed: usize,
}

impl<'a> Walking<'a> {
    fn new(vault: &'a Arc<Vault>, pattern: Pattern, told: &'a Told, cancel: CancellationToken) -> Walking<'a> {
        Walking { vault, pattern, told, cancel, found: Vec::new(), known: HashMap::new(), entries: 0, listed: 0 }
    }

    /// What was found, and why that is not all.
    fn all(mut self, machine: Option<&str>) -> Result<(Results, Option<String>)> {
        let mut listed = self.vault.snapshots().map_err(fault_of)?.snapshots;
        listed.retain(|one| one.domain == DOMAIN && machine.is_none_or(|id| machine_and_name(&one.source).0 == id));
        self.told.of.store(listed.len() as u64, Ordering::Relaxed);
        let mut cut = None;
        let (mut searched, mut damaged) = (0, 0_u64);
        for summary in listed.iter().rev() {
            match self.one(summary) {
                Ok(true) => {
                    searched += 1;
                    self.told.snapshots.store(searched, Ordering::Relaxed);
                    continue;
                }
                Ok(false) => {}
                Err(fault) if fault.0.code == Code::Cancelled => return Err(fault),
                // One machine's snapshot, as it wrote it, keeps nobody from looking into those of others.
                Err(fault) => {
                    sdk::tracing::warn!("snapshot {} was not searched to its end: {}", summary.id, fault.0);
                    damaged += 1;
                    continue;
                }
            }
            let left = listed.len() as u64 - searched;
            cut = Some(format!(
                "{left} of {} snapshots were not searched to their end: there is too much.",
                listed.len()
            ));
            break;
        }
        if damaged > 0 && cut.is_none() {
            let of = listed.len();
            cut = Some(format!("{damaged} of {of} snapshots are damaged and were not searched to their end."));
        }
        Ok((Results { found: self.found, snapshots: searched, entries: self.entries }, cut))
    }

    /// Whether all of the snapshot was searched.
    fn one(&mut self, summary: &Summary) -> Result<bool> {
        let reader = self.vault.reader(summary.id, None).map_err(fault_of)?;
        let (root, root_refs) = (reader.snapshot().root, reader.snapshot().root_refs);
        let tree = TreeReader::new(reader, root, root_refs);
        for entry in tree.walk(tree.root())? {
            let (path, entry) = entry?;
            self.entries += 1;
            if self.entries.is_multiple_of(STEP) && self.cancel.is_cancelled() {
                return Err(fault(Code::Cancelled, "it was cancelled."));
            }
            if self.entries > MOST_ENTRIES {
                return Ok(false);
            }
            if self.pattern.matches(&entry.name) && !self.add(summary, path, &entry) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there was room for it.
    fn add(&mut self, summary: &Summary, path: Vec<u8>, entry: &Entry) -> bool {
        let size = match &entry.kind {
            Kind::File(content) => Some(content.size),
            _ => None,
        };
        // A folder is one whatever happens in it.
        let modified = size.map_or((0, 0), |_| (entry.modified.seconds, entry.modified.nanoseconds));
        let shown = format!("/{}", Shown(&path));
        let key = (summary.source.clone(), path, size.unwrap_or_default(), modified.0, modified.1);
        if let Some(at) = self.known.get(&key) {
            self.found[*at].snapshots += 1;
            return true;
        }
        self.listed += shown.len();
        if self.found.len() == MOST_FOUND || self.listed > MOST_LISTED {
            return false;
        }
        let at = jiff::Timestamp::new(entry.modified.seconds, entry.modified.nanoseconds as i32).ok();
        self.known.insert(key, self.found.len());
        self.found.push(Version {
            path: shown,
            size: size.map(Bytes),
            modified: at.map(Time),
            last: time_of(summary.time_ms),
            snapshots: 1,
            snapshot: Reference { label: summary.id.to_string()[..12].to_owned(), id: summary.id.to_string() },
        });
        true
    }
}

/// A part of a name, or a whole one with `*` and `?` in it. Large and small letters are the same.
struct Pattern {
    letters: Vec<char>,
    whole: bool,
}

impl Pattern {
    fn new(text: &str) -> Result<Pattern> {
        let letters: Vec<char> = text.trim().to_lowercase().chars().collect();
        if letters.iter().all(|letter| *letter == '*') {
            return Err(Problem::bad_request("It is not said what to look for.").at("name").into());
        }
        let whole = letters.iter().any(|letter| matches!(letter, '*' | '?'));
        Ok(Pattern { letters, whole })
    }

    fn matches(&self, name: &[u8]) -> bool {
        let name: Vec<char> = String::from_utf8_lossy(name).to_lowercase().chars().collect();
        if !self.whole {
            return name.windows(self.letters.len()).any(|part| part == self.letters);
        }
        // Where the last star stands, and where in the name it was tried up to.
        let (mut at, mut of, mut star) = (0, 0, None);
        while at < name.len() {
            match self.letters.get(of) {
                Some('*') => {
                    star = Some((of, at));
                    of += 1;
                }
                Some(letter) if *letter == '?' || *letter == name[at] => {
                    at += 1;
                    of += 1;
                }
                _ => {
                    let Some((stars, tried)) = star else { return false };
                    star = Some((stars, tried + 1));
                    (of, at) = (stars + 1, tried + 1);
                }
            }
        }
        self.letters[of..].iter().all(|letter| *letter == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_a_part_of_it_or_by_its_shape() {
        let found = |pattern: &str, name: &str| Pattern::new(pattern).unwrap().matches(name.as_bytes());
        assert!(
            found("budget", "Budget 2026.ods") && found("2026", "Budget 2026.ods") && !found("2027", "Budget 2026.ods")
        );
        assert!(found("*.ods", "Budget.ODS") && !found("*.ods", "Budget.ods.bak") && !found("ods*", "Budget.ods"));
        assert!(found("b?dget*.o?s", "budget final.ods") && !found("b?dget", "bdget"));
        assert!(found("*a*b*", "xxaxxbxx") && !found("*a*b*", "xxbxxa") && found("größe", "GRÖSSE größe"));
        assert!(Pattern::new("").is_err() && Pattern::new(" ** ").is_err());
        let long = "a".repeat(255);
        assert!(!found("*a*a*a*a*a*a*b", &long), "and it ends");
    }
}
