//! Writes files of a snapshot back to the machine it runs on.

use crate::files::restore::{
    Action, Conflict, Destination, RestoreError, RestoreOptions, Restored, Watch, WriteProblem, restore as write,
};
use crate::files::{Excludes, OwnerNames, Owners, Selection, Severity, Shown};
use crate::remote::{Reading, Windows};
use crate::run::host_name;
use crate::settings::Running;
use crate::wire::unhex;
use parking_lot::Mutex;
use sdk::prelude::*;
use sdk::schema::{Code, Problem};
use sdk::schemars::JsonSchema;
use sdk::serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vault::{Cancel, Description, TreeReader};

const TELL: Duration = Duration::from_millis(500);
/// Problems, or things that would be done, that are kept one by one.
const MOST: usize = 10_000;
/// Bytes that the lists of a report may take: a result is one message.
const LISTED_BYTES: usize = 2 << 20;

/// What becomes of something that has the name already.
#[derive(Args, Clone, Copy)]
pub(crate) enum Existing {
    /// Leave it alone and say so
    Refuse,
    /// Put what is restored in its place
    Overwrite,
    /// Leave it alone
    Keep,
    /// Leave it alone where it is newer
    KeepNewer,
    /// Leave it alone and restore under another name beside it
    Rename,
}

#[derive(Args)]
pub(crate) struct Restore {
    /// Id of the snapshot, the beginning of one, or latest
    #[arg(title = "Snapshot", default = "latest", options = "snapshots")]
    snapshot: String,
    /// Restore where the files were
    #[arg(title = "Restore to", default = false)]
    in_place: bool,
    /// Folder to restore into, each file with its whole path
    #[arg(title = "Folder", type = "path")]
    to: Option<String>,
    /// Only this and what is below it; may be given several times
    #[arg(type = "path", default = Vec::new())]
    path: Vec<String>,
    /// Leave out what matches, as in a .gitignore file
    #[arg(default = Vec::new(), advanced)]
    exclude: Vec<String>,
    /// What to do where something has the name already
    #[arg(title = "What is there already", default = Existing::Refuse)]
    existing: Existing,
    /// Give files to the users of the same name, not of the same number
    #[arg(default = false, advanced)]
    owners_by_name: bool,
    /// Name of the set of files
    #[arg(advanced)]
    name: Option<String>,
}

/// What a restore did.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Report {
    /// Id of the snapshot
    snapshot: String,
    files: u64,
    directories: u64,
    links: u64,
    /// Devices, pipes, sockets and symbolic links
    others: u64,
    /// Bytes of content written
    bytes: Bytes,
    /// Were right already
    unchanged: u64,
    /// Left as they were, as asked
    kept: u64,
    /// How many things could not be restored
    problems: u64,
    /// How many were restored, but not quite as they were
    doubtful: u64,
    /// Everything that could not be restored, or not quite as it was
    #[schemars(title = "Not as it was")]
    left: Vec<Left>,
    /// What would be done, where it was only asked
    planned: Vec<Planned>,
    /// More of either than are listed one by one
    unlisted: u64,
}

/// Something that is not on the disk as it is in the snapshot.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Left {
    #[schemars(extend("x-type" = "path"))]
    path: String,
    /// Whether anything of it was restored
    restored: bool,
    why: String,
}

/// Something that would be done.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Planned {
    #[schemars(extend("x-type" = "path"))]
    path: String,
    what: String,
}

/// Collects what the threads tell.
struct Told {
    problems: Mutex<Vec<WriteProblem>>,
    planned: Mutex<Vec<Planned>>,
    /// Told, but not kept.
    beyond: AtomicU64,
    bytes: AtomicU64,
    cancel: Cancel,
}

impl Watch for Told {
    fn problem(&self, problem: WriteProblem) {
        let mut problems = self.problems.lock();
        if problems.len() < MOST {
            problems.push(problem);
        } else if problem.what.severity() != Severity::Note {
            self.beyond.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn planned(&self, path: &[u8], action: Action) {
        let mut planned = self.planned.lock();
        if planned.len() < MOST {
            planned.push(Planned { path: Shown(path).to_string(), what: said(action).to_owned() });
        } else {
            self.beyond.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wrote(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

pub(crate) async fn restore(ctx: Ctx, args: Restore) -> Result<Report> {
    run(ctx, args, false).await
}

/// What a restore would do.
pub(crate) async fn preview(ctx: Ctx, args: Restore) -> Result<Report> {
    run(ctx, args, true).await
}

async fn run(ctx: Ctx, args: Restore, only_look: bool) -> Result<Report> {
    let settings: Running = ctx.settings().await?;
    if !settings.restore_allowed {
        return Err(fault(Code::PermissionDenied, "Nothing may be restored to this machine.")
            .fix("Its owner or a setting decides that: look at “Let operators restore”."));
    }
    let to = match (&args.to, args.in_place) {
        (Some(folder), false) => Destination::Beneath(PathBuf::from(folder)),
        (None, true) => Destination::Original,
        (Some(_), true) => return Err(Problem::bad_request("A restore has one destination.").at("in_place").into()),
        (None, false) => {
            return Err(Problem::bad_request("It is not said where to restore to.")
                .at("to")
                .fix("Name a folder with --to, or restore where the files were with --in-place.")
                .into());
        }
    };
    let name = args.name.clone().or_else(|| (ctx.is_standalone() && args.snapshot == "latest").then(host_name));
    let reading = Reading::open(&ctx, &args.snapshot, name.as_deref()).await?;
    let opened = reading.opened().clone();
    let said = Description::decode(&unhex(&opened.description)?, None)?;
    let what = if args.path.is_empty() { Selection::all() } else { Selection::of_names(&args.path) };
    let options = RestoreOptions {
        what,
        except: Excludes::new(&args.exclude).map_err(|error| Problem::bad_request(error.to_string()).at("exclude"))?,
        conflict: args.existing.into(),
        owners: if args.owners_by_name { Owners::ByName } else { Owners::ByNumber },
        owner_names: OwnerNames { users: said.users, groups: said.groups },
        only_look,
        ..RestoreOptions::new(to)
    };
    let told = Arc::new(Told {
        problems: Mutex::default(),
        planned: Mutex::default(),
        beyond: AtomicU64::default(),
        bytes: AtomicU64::new(0),
        cancel: Cancel::default(),
    });
    let watch = told.clone();
    let total = args.path.is_empty().then_some(opened.counts.logical_bytes);
    let working = ctx.blocking(move || {
        let tree = TreeReader::new(reading.clone(), opened.root, opened.root_refs);
        let restored = write(&tree, &Windows::new(reading), &options, &*watch).map_err(restore_fault)?;
        Ok((opened.snapshot, restored))
    });
    let (snapshot, restored) = told_meanwhile(&ctx, working, &told, total).await?;
    Ok(report(&ctx, snapshot, restored, &told))
}

async fn told_meanwhile<T>(
    ctx: &Ctx,
    working: impl Future<Output = Result<T>>,
    told: &Told,
    total: Option<u64>,
) -> Result<T> {
    let mut ticks = sdk::tokio::time::interval(TELL);
    let mut working = std::pin::pin!(working);
    loop {
        sdk::tokio::select! {
            result = &mut working => return result,
            () = ctx.cancelled(), if !told.is_cancelled() => told.cancel.cancel(),
            _ = ticks.tick(), if !told.is_cancelled() => {
                let amount = Amount::bytes(told.bytes.load(Ordering::Relaxed));
                ctx.amount(total.map_or(amount, |total| amount.of(total)), "restoring").ok();
            }
        }
    }
}

fn report(ctx: &Ctx, snapshot: String, restored: Restored, told: &Told) -> Report {
    let mut left = Vec::new();
    for problem in told.problems.lock().iter() {
        let severity = problem.what.severity();
        if severity == Severity::Note {
            sdk::tracing::info!("{problem}");
            continue;
        }
        ctx.in_part(fault(Code::Unavailable, problem.to_string()));
        left.push(Left {
            path: Shown(&problem.path).to_string(),
            restored: severity == Severity::Doubt,
            why: problem.what.to_string(),
        });
    }
    let mut planned = std::mem::take(&mut *told.planned.lock());
    // Threads tell in any order.
    left.sort_unstable();
    planned.sort_unstable();
    let cut = cut(&mut left, |left| left.path.len() + left.why.len())
        + cut(&mut planned, |planned| planned.path.len() + planned.what.len());
    Report {
        snapshot,
        files: restored.files,
        directories: restored.folders,
        links: restored.links,
        others: restored.others,
        bytes: restored.bytes.into(),
        unchanged: restored.right,
        kept: restored.kept,
        problems: restored.lost,
        doubtful: restored.doubtful,
        left,
        planned,
        unlisted: told.beyond.load(Ordering::Relaxed) + cut,
    }
}

/// Takes off what does not fit into a message; how many that are.
fn cut<T>(list: &mut Vec<T>, bytes: impl Fn(&T) -> usize) -> u64 {
    let (mut taken, all) = (0, list.len());
    let fits = |one: &T| {
        taken += bytes(one) + 64;
        taken <= LISTED_BYTES / 2
    };
    let kept = list.iter().map(fits).take_while(|fits| *fits).count();
    list.truncate(kept);
    (all - kept) as u64
}

/// What an action is called.
fn said(action: Action) -> &'static str {
    match action {
        Action::Create => "Create",
        Action::Replace => "Replace",
        Action::Mend => "Set owner, permissions and times",
        Action::Right => "Leave: it is right already",
        Action::Keep => "Leave, as asked",
        Action::Refuse => "Leave, and say so",
        Action::Beside => "Create under another name",
        Action::Blocked => "Nothing: a folder is in the way",
    }
}

fn restore_fault(error: RestoreError) -> sdk::Fault {
    match error {
        RestoreError::Cancelled => fault(Code::Cancelled, "it was cancelled."),
        RestoreError::Nothing | RestoreError::SameName { .. } => {
            Problem::bad_request(format!("{error}.")).at("path").into()
        }
        RestoreError::Destination { .. } => {
            fault(Code::Unavailable, format!("{error}.")).fix("Name another folder with --to.")
        }
        other => other.into(),
    }
}

impl From<Existing> for Conflict {
    fn from(existing: Existing) -> Conflict {
        match existing {
            Existing::Refuse => Conflict::Refuse,
            Existing::Overwrite => Conflict::Overwrite,
            Existing::Keep => Conflict::Keep,
            Existing::KeepNewer => Conflict::KeepNewer,
            Existing::Rename => Conflict::Rename,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_for_a_message_is_cut_and_counted() {
        let long = |n: usize| Planned { path: format!("/{n:0>4000}"), what: "Create".to_owned() };
        let mut list: Vec<Planned> = (0..1000).map(long).collect();
        let gone = cut(&mut list, |one| one.path.len() + one.what.len());
        assert!((200..300).contains(&list.len()), "{}", list.len());
        assert_eq!(list.len() as u64 + gone, 1000);
        assert_eq!(cut(&mut list, |one| one.path.len()), 0);
    }
}
