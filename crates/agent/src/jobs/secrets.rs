//! Secret arguments of jobs: in a file of their own beside the journal, which goes when the job has ended. In the journal
//! they would outlast it, since a page of it that was given up keeps what it held.

use crate::core::Core;
use crate::state::{StateError, write_private};
use protocol::Assign;
use schema::{FieldType, InputSchema, Object, Problem};
use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use uuid::Uuid;

fn directory(core: &Core) -> PathBuf {
    core.state.dir().join("secrets")
}

fn file(core: &Core, job: Uuid) -> PathBuf {
    directory(core).join(job.to_string())
}

/// Takes the secret arguments out of `assign` into the job's file; all of a command that is not known here yet.
pub(super) fn put_aside(core: &Core, assign: &mut Assign) -> Result<(), StateError> {
    let secrets = match secret_names(core, &assign.command) {
        Some(names) => names.into_iter().filter_map(|name| assign.input.shift_remove_entry(&name)).collect(),
        None => std::mem::take(&mut assign.input),
    };
    if secrets.is_empty() {
        return Ok(());
    }
    let directory = directory(core);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.map_err(|source| StateError::Io { path: directory, source })?;
    let bytes = serde_json::to_vec(&secrets).expect("arguments are plain data");
    write_private(&file(core, assign.job), &bytes)
}

/// Puts the secret arguments back in for the command.
pub(super) fn bring_back(core: &Core, assign: &mut Assign) -> Result<(), Problem> {
    let path = file(core, assign.job);
    let unreadable =
        |error: io::Error| Problem::internal(format!("The arguments in {} cannot be read: {error}.", path.display()));
    match fs::read(&path) {
        Ok(bytes) => {
            let secrets: Object = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.into()))?;
            assign.input.extend(secrets);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unreadable(error)),
    }
}

/// The job has ended.
pub(super) fn forget(core: &Core, job: Uuid) {
    remove(&file(core, job));
}

/// Removes what a crash left of jobs that are not open.
pub(super) fn sweep(core: &Core, open: &HashSet<Uuid>) {
    for entry in fs::read_dir(directory(core)).into_iter().flatten().flatten() {
        let job = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if job.is_none_or(|job| !open.contains(&job)) {
            remove(&entry.path());
        }
    }
}

fn remove(path: &std::path::Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::error!(%error, "the secret arguments in {} cannot be removed", path.display());
        }
        _ => {}
    }
}

/// Names of the secret arguments of a command; `None` where the plugin is not known.
fn secret_names(core: &Core, command: &str) -> Option<Vec<String>> {
    let plugin = command.split('.').next().unwrap_or_default();
    let manifest = core.host().plugin(plugin)?.manifest?;
    let input = InputSchema::read(&manifest.command(command)?.input).ok()?;
    let secret = |kind: Option<FieldType>| kind == Some(FieldType::Secret);
    let marked = input.properties.into_iter().filter(|(_, property)| {
        let inner = property.properties.values().chain(property.items.as_deref());
        secret(property.domain) || inner.into_iter().any(|property| secret(property.domain))
    });
    Some(marked.map(|(name, _)| name).collect())
}
