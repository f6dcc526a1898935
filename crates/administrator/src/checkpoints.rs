//! Remembers outside the database how far the audit chain has come, signed by the site's authority.

use crate::app::App;
use database::Database;
use identity::audit::Head;
use identity::{ReadStore as _, SiteCa, checkpoint};
use jiff::Timestamp;
use parking_lot::Mutex;
use schema::{Code, Problem};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Name of the file in the state directory.
pub const CHECKPOINT_FILE: &str = "audit-checkpoint";
/// How often the end of the chain is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Records, or looks, after which a chain that grew is remembered.
const RECORDS: u64 = 64;
const LOOKS: u32 = 10;

/// The file, and what stands in it.
pub(crate) struct Checkpoints {
    path: PathBuf,
    kept: Mutex<Option<Head>>,
}

impl Checkpoints {
    /// # Errors
    /// The file is not one that this site signed: it is never overwritten, since it is what remains of the truth.
    pub(crate) fn open(state: &Path, authority: &SiteCa) -> Result<Checkpoints, Problem> {
        let path = state.join(CHECKPOINT_FILE);
        let kept = match fs::read_to_string(&path) {
            Ok(text) => Some(checkpoint::read(&text, authority.certificate()).map_err(|error| {
                Problem::internal(format!("{} cannot be believed: {error}.", path.display()))
                    .fix("Put it back from a backup of the state directory, or move it away to begin anew.")
            })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Problem::internal(format!("{} cannot be read: {error}.", path.display()))),
        };
        Ok(Checkpoints { path, kept: Mutex::new(kept) })
    }

    /// Remembers the end of the chain where it has grown by `least` records.
    ///
    /// # Errors
    /// The chain is not a continuation of what was remembered, or the file cannot be written.
    pub(crate) async fn keep(&self, database: &Database, authority: &SiteCa, least: u64) -> Result<(), Problem> {
        let kept = *self.kept.lock();
        let read = move |store: &database::Read<'_>| {
            let record = kept.map(|kept| store.audit_records(kept.seq, 1)).transpose()?;
            Ok((store.audit_head()?, record.and_then(|mut records| records.pop())))
        };
        let (head, record) = database.read(read).await?;
        if let Some(kept) = kept
            && !record.is_some_and(|record| record.is_ok_and(|record| record.hash == kept.hash))
        {
            let message =
                format!("the audit log is not the one that was here: record {} is gone or changed.", kept.seq);
            return Err(Problem::new(Code::Conflict, message)
                .fix("Keep a copy of the state directory, and run `bailiwick audit verify` to see where it breaks."));
        }
        let Some(head) = head.filter(|head| head.seq >= kept.map_or(1, |kept| kept.seq + least)) else { return Ok(()) };
        let text = checkpoint::write(authority, head).map_err(|e| Problem::internal(format!("{e}.")))?;
        self.replace(&text).map_err(|e| {
            Problem::internal(format!("{} cannot be written: {e}.", self.path.display()))
                .fix("Make room on the disk, and give this account write permission there.")
        })?;
        *self.kept.lock() = Some(head);
        Ok(())
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all())
    }
}

impl App {
    /// Remembers whatever is in the chain now.
    pub(crate) async fn keep_checkpoint(&self) {
        if let Err(problem) = self.checkpoints.keep(&self.database, &self.authority, 1).await {
            tracing::error!(%problem, "the end of the audit log could not be remembered");
        }
    }
}

/// Looks at the chain from time to time. A chain that is not the one that was here is a warning on screen.
pub(crate) fn start(app: &Arc<App>) {
    let own = app.clone();
    app.runtime.spawn(async move {
        let mut period = tokio::time::interval(PERIOD);
        let (mut looks, mut told) = (0, false);
        loop {
            period.tick().await;
            looks += 1;
            let least = if looks % LOOKS == 0 { 1 } else { RECORDS };
            let kept = own.checkpoints.keep(&own.database, &own.authority, least).await;
            let Err(problem) = kept else { continue };
            if !std::mem::replace(&mut told, true) {
                tracing::error!(%problem, "the end of the audit log could not be remembered");
                warn(&own, problem).await;
            }
        }
    });
}

async fn warn(app: &App, problem: Problem) {
    let (plugin, subject) = (crate::core::NAME.to_owned(), "audit".to_owned());
    let warning = fleet::Warning { machine: None, plugin, subject, problem, count: 1, at: Timestamp::now() };
    let write = move |store: &mut database::Write<'_>| Ok(fleet::Store::warn(store, &warning)?);
    if let Err(error) = app.database.write(write).await {
        tracing::error!(%error, "a warning could not be stored");
    }
}
