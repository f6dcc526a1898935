//! Backs up the machine it runs on.

use crate::files::walk::{MachineFile, WalkError, WalkOptions, Walked, walk};
use crate::files::{Excludes, ReadProblem, Severity};
use crate::remote::{Remote, reading_basis};
use crate::settings::Running;
use crate::wire::{Begun, minute_of_day};
use sdk::prelude::*;
use sdk::schema::{Code, Problem};
use sdk::schemars::JsonSchema;
use sdk::serde::Serialize;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vault::{
    BasisFile, BasisFileWriter, Cancel, Description, FileTime, Finished, SnapshotWriter, UploadOptions, UploadProgress,
    WriteError,
};

/// How often is told how far it is.
const TELL: Duration = Duration::from_millis(500);
/// Name of the copy of the last snapshot's streams in the plugin's own directory.
const BASIS: &str = "basis";

#[derive(Args)]
pub(crate) struct Run {
    /// What to back up; what the settings say where nothing is named
    #[arg(type = "path", default = Vec::new())]
    path: Vec<String>,
    /// Name of this set of files; of the machine where it runs alone
    name: Option<String>,
}

/// What a run made.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Ran {
    /// Id of the snapshot
    snapshot: String,
    /// `complete` or `incomplete`
    status: String,
    files: u64,
    directories: u64,
    /// Files that were read, since they are new or changed
    files_read: u64,
    /// Bytes of all files
    logical_bytes: u64,
    /// Bytes that this run added to the vault
    new_bytes: u64,
    /// Bytes sent to the administrator
    sent_bytes: u64,
    /// What could not be read whole
    problems: u64,
    /// Files that changed while they were read, or were gone
    changed: u64,
}

/// What the thread that walks brings back.
struct Outcome {
    finished: Finished,
    walked: Walked,
    problems: Vec<ReadProblem>,
}

pub(crate) async fn run(ctx: Ctx, args: Run) -> Result<Ran> {
    let settings: Running = ctx.settings().await?;
    may_begin(&settings)?;
    let paths = chosen(&args.path, &settings)?;
    let name = match (args.name, ctx.is_standalone()) {
        (Some(name), _) => name,
        (None, true) => host_name(),
        (None, false) => String::new(),
    };
    let files = ctx.files_dir().await?;
    ctx.doing("connecting to the vault")?;
    let (remote, begun) = Remote::begin(&ctx, &name, settings.limit()).await?;
    let options = WalkOptions {
        paths: paths.iter().map(PathBuf::from).collect(),
        base: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        within: within(&args.path, &settings),
        excludes: Excludes::new(&settings.exclude)
            .map_err(|error| Problem::bad_request(error.to_string()).at("exclude"))?,
        one_file_system: false,
        skip_caches: false,
        leave_out: begun.leave_out.iter().map(PathBuf::from).collect(),
        scratch: files.clone(),
    };
    let description = Description {
        machine: host_name(),
        program: concat!("bailiwick-backup ", env!("CARGO_PKG_VERSION")).to_owned(),
        began: now(),
        paths: paths.iter().map(|path| path.as_bytes().to_vec()).collect(),
        ..Description::default()
    };
    let basis = files.join(format!("{BASIS}-{}", file_name(&name)));
    let total = begun.basis.as_ref().map(|basis| basis.counts.logical_bytes);
    let (progress, cancel) = (Arc::new(UploadProgress::default()), Cancel::default());
    let upload = UploadOptions {
        level: begun.compression_level,
        names: begun.names_trusted,
        cancel: cancel.clone(),
        progress: progress.clone(),
        ..UploadOptions::default()
    };
    let work = Work { remote: remote.clone(), begun, options, description, basis, upload };
    let working = on_its_own(&ctx, settings.gentle, move || work.run());
    let outcome = told_meanwhile(&ctx, working, &progress, total, &cancel).await?;
    let sent_bytes = remote.sent_bytes();
    remote.finish().await;
    Ok(report(&ctx, outcome, sent_bytes))
}

const WHO_DECIDES: &str = "Its owner or a setting decides that: look at “Back up”.";

fn chosen(named: &[String], settings: &Running) -> Result<Vec<String>> {
    let paths = if named.is_empty() { settings.paths.clone() } else { named.to_vec() };
    if paths.is_empty() {
        return Err(fault(Code::BadRequest, "There is nothing to back up.").fix("Name a path, or set what to back up."));
    }
    match named.iter().find(|path| !is_within(Path::new(path), &settings.paths)) {
        Some(path) => {
            let allowed = settings.paths.join(", ");
            let text = format!("{path} is not among what may be backed up of this machine, which is {allowed}.");
            Err(fault(Code::PermissionDenied, text).fix(WHO_DECIDES))
        }
        None => Ok(paths),
    }
}

/// Where what was named has to lie, as it is on the disk. What the settings say may lead anywhere.
fn within(named: &[String], settings: &Running) -> Vec<PathBuf> {
    if named.is_empty() {
        return Vec::new();
    }
    let real = |path: &String| std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    settings.paths.iter().map(real).collect()
}

/// Whether a path, wherever links lead from it, is one of these or below one.
fn is_within(path: &Path, allowed: &[String]) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    let Ok(path) = real(path) else { return false };
    // What is not there is told by the walk; `..` in it leads nowhere.
    let is_plain = !path.components().any(|part| part == Component::ParentDir);
    is_plain && allowed.iter().any(|allowed| real(Path::new(allowed)).is_ok_and(|allowed| path.starts_with(allowed)))
}

/// # Errors
/// This is no hour of backups.
fn may_begin(settings: &Running) -> Result<()> {
    let hours = settings.allowed_hours();
    if hours.is_some_and(|hours| hours.contains(minute_of_day())) {
        return Ok(());
    }
    let text = match hours {
        Some(hours) => format!("A backup of this machine may begin at {hours} only."),
        None => "No backup of this machine may begin.".to_owned(),
    };
    Err(fault(Code::PermissionDenied, text).fix("Its owner or a setting decides that: look at “Hours of backups”."))
}

/// How much a gentle backup gives way, 0 to 19.
const GIVES_WAY: i32 = 15;

/// Runs the work, and the threads that it starts, on a thread that ends with it: one that gives way does so for good.
async fn on_its_own<T: Send + 'static>(
    ctx: &Ctx,
    gentle: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let thread = move || {
        if gentle && let Err(error) = rustix::process::setpriority_process(None, GIVES_WAY) {
            sdk::tracing::warn!(%error, "the backup cannot give way to other programs");
        }
        work()
    };
    let thread = std::thread::Builder::new().name("backup".to_owned()).spawn(thread)?;
    ctx.blocking(move || thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).await
}

/// Tells how far the work is until it is done; a cancellation reaches it.
async fn told_meanwhile<T>(
    ctx: &Ctx,
    working: impl Future<Output = Result<T>>,
    progress: &UploadProgress,
    total: Option<u64>,
    cancel: &Cancel,
) -> Result<T> {
    let mut ticks = sdk::tokio::time::interval(TELL);
    let mut working = std::pin::pin!(working);
    loop {
        sdk::tokio::select! {
            result = &mut working => return result,
            () = ctx.cancelled(), if !cancel.is_cancelled() => cancel.cancel(),
            _ = ticks.tick(), if !cancel.is_cancelled() => {
                let (bytes, files) = (progress.bytes.load(Ordering::Relaxed), progress.files.load(Ordering::Relaxed));
                let amount = Amount::bytes(bytes);
                // The total is that of last time: where it has grown, the end cannot be told.
                let amount = total.filter(|total| bytes <= *total).map_or(amount, |total| amount.of(total));
                ctx.amount(amount, format!("{files} files")).ok();
            }
        }
    }
}

/// What the thread that walks takes with it.
struct Work {
    remote: Remote,
    begun: Begun,
    options: WalkOptions,
    description: Description,
    basis: PathBuf,
    upload: UploadOptions,
}

impl Work {
    fn run(self) -> Result<Outcome> {
        let Work { remote, begun, options, mut description, basis, upload } = self;
        let before = match &begun.basis {
            Some(opened) => match BasisFile::open(&basis) {
                Ok(Some(file)) if file.snapshot().to_string() == opened.snapshot => Some(file.into_basis()),
                // What is not here is with the keeper.
                Ok(_) | Err(_) => Some(reading_basis(&remote, opened.clone())),
            },
            None => None,
        };
        let mut writer = SnapshotWriter::<Remote, MachineFile>::new(Arc::new(remote), upload, before);
        match BasisFileWriter::create(&basis) {
            Ok(file) => writer.keep_basis(file),
            Err(error) => sdk::tracing::warn!(%error, "the next run has to ask the administrator for this one"),
        }
        let mut problems = Vec::new();
        let walked =
            walk(&mut writer, &options, &mut |problem: ReadProblem| problems.push(problem)).map_err(walk_fault)?;
        description.users = walked.owners.users.clone();
        description.groups = walked.owners.groups.clone();
        for problem in problems.iter().filter(|problem| problem.what.severity() > Severity::Note) {
            description.add_problem(&problem.path, &problem.what.to_string());
        }
        let finished = writer.finish(&description, !walked.is_whole()).map_err(write_fault)?;
        if let Some(error) = &finished.basis_lost {
            sdk::tracing::warn!(%error, "the next run has to ask the administrator for this one");
        }
        Ok(Outcome { finished, walked, problems })
    }
}

fn report(ctx: &Ctx, outcome: Outcome, sent_bytes: u64) -> Ran {
    let Outcome { finished, walked, problems } = outcome;
    for problem in &problems {
        match problem.what.severity() {
            Severity::Loss | Severity::Doubt => ctx.in_part(fault(Code::Unavailable, problem.to_string())),
            Severity::Note => sdk::tracing::info!("{problem}"),
        }
    }
    let counts = finished.counts;
    Ran {
        snapshot: finished.received.snapshot.to_string(),
        status: if walked.is_whole() { "complete" } else { "incomplete" }.to_owned(),
        files: counts.files,
        directories: counts.directories,
        files_read: counts.files_read,
        logical_bytes: counts.logical_bytes,
        new_bytes: finished.received.stored_bytes,
        sent_bytes,
        problems: walked.lost,
        changed: walked.doubtful,
    }
}

fn walk_fault<E: std::error::Error + Into<Problem> + 'static>(error: WalkError<E>) -> sdk::Fault {
    match error {
        WalkError::Write(error) => write_fault(error),
        WalkError::Outside(_) => fault(Code::PermissionDenied, format!("{error}.")).fix(WHO_DECIDES),
        WalkError::Nothing => fault(Code::NotFound, format!("{error}.")).fix("Name a path that is there."),
        WalkError::Root(_) => fault(Code::Unavailable, format!("{error}.")),
    }
}

/// What the keeper said is told as it said it.
fn write_fault<E: std::error::Error + Into<Problem> + 'static>(error: WriteError<E>) -> sdk::Fault {
    match error {
        WriteError::Upload(vault::UploadError::Receiver(said)) => sdk::Fault(said.into()),
        WriteError::Upload(vault::UploadError::Cancelled) => fault(Code::Cancelled, "it was cancelled."),
        other => other.into(),
    }
}

/// By this machine's clock.
fn now() -> FileTime {
    let now = jiff::Timestamp::now();
    FileTime { seconds: now.as_second(), nanoseconds: now.subsec_nanosecond().unsigned_abs() }
}

pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A name of a file for any name of a set.
fn file_name(name: &str) -> String {
    vault::DomainId::of(name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_is_backed_up_wherever_links_lead() {
        let folder = tempfile::tempdir().unwrap();
        let (mine, other) = (folder.path().join("mine"), folder.path().join("other"));
        std::fs::create_dir_all(mine.join("deep")).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, mine.join("link")).unwrap();
        let allowed = [mine.display().to_string()];
        let within = |path: PathBuf| is_within(&path, &allowed);
        assert!(within(mine.clone()) && within(mine.join("deep")) && within(mine.join("no-such-file")));
        assert!(!within(other.clone()) && !within(mine.join("link")) && !within(mine.join("../other")));
        assert!(!within(mine.join("no-such/../../other")) && !within(folder.path().join("mine-too")));
        assert!(is_within(&other, &["/".to_owned()]));
    }
}
