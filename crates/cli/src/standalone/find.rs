//! Looks for the library of a module: a library says itself which name it goes by.

use super::STOP;
use anyhow::{Context as _, Result};
use futures::future::{BoxFuture, FutureExt as _};
use plugin_host::{Duplex, Host, HostConfig, Level, Services};
use schema::{CallMeta, ChannelOpen, Code, Manifest, Mode, Problem, Role};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A module that was found.
pub(super) struct Found {
    /// What of it there is where it runs alone.
    pub(super) manifest: Manifest,
    pub(super) library: PathBuf,
    /// Where it keeps everything.
    pub(super) directory: PathBuf,
}

/// Looks for the library whose manifest has the name; a library is loaded to be asked, and nothing of it is started.
pub(super) async fn find(module: &str, library: Option<&Path>) -> Result<Found> {
    let home = state_directory()?;
    let host = Host::start(HostConfig::in_process(Role::Machine, home.join("manifests")), Arc::new(Nothing)).await?;
    let candidates = match library {
        Some(library) => {
            vec![std::fs::canonicalize(library).with_context(|| format!("{} cannot be read", library.display()))?]
        }
        None => candidates(module)?,
    };
    let mut known = Vec::new();
    let mut found = None;
    for candidate in candidates {
        match host.manifest_of(&candidate).await {
            Ok(manifest) if library.is_some() || manifest.plugin.name == module => {
                let directory = home.join(&manifest.plugin.name);
                found = Some(Found { manifest: manifest.in_mode(Mode::Standalone), library: candidate, directory });
                break;
            }
            Ok(manifest) => known.push(manifest.plugin.name),
            Err(problem) if library.is_some() => return Err(problem.into()),
            Err(_) => {}
        }
    }
    host.shutdown(STOP).await;
    found.ok_or_else(|| {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Problem::not_found(format!("there is no module {module}."))
            .fix(format!("The plugins beside this program are: {known}."))
            .into()
    })
}

fn candidates(module: &str) -> Result<Vec<PathBuf>> {
    let program = std::env::current_exe().context("the path of this program cannot be told")?;
    let folder = program.parent().unwrap_or(Path::new("/")).join("plugins");
    let entries = std::fs::read_dir(&folder)
        .with_context(|| format!("the folder of plugins {} cannot be read", folder.display()))?;
    let mut libraries: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .collect();
    // The one that is most likely meant comes first, so that the others need not be loaded.
    libraries.sort_by_key(|path| {
        (!path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains(module)), path.clone())
    });
    Ok(libraries)
}

fn state_directory() -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os("BAILIWICK_STATE").filter(|directory| !directory.is_empty()) {
        return std::path::absolute(directory).context("the state directory in BAILIWICK_STATE cannot be found");
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/bailiwick/standalone"));
    }
    let home = std::env::var_os("HOME").context("there is no HOME: name a state directory in BAILIWICK_STATE")?;
    Ok(PathBuf::from(home).join(".local/share/bailiwick"))
}

/// A host that only reads manifests offers nothing.
struct Nothing;

impl Services for Nothing {
    fn request(&self, _: &str, _: &CallMeta, _: &str, _: Value) -> BoxFuture<'static, Result<Value, Problem>> {
        futures::future::ready(Err(Problem::new(Code::UnsupportedByHost, "only the manifest is read."))).boxed()
    }

    fn open_channel(&self, _: &str, _: &CallMeta, _: ChannelOpen) -> BoxFuture<'static, Result<Duplex, Problem>> {
        futures::future::ready(Err(Problem::new(Code::UnsupportedByHost, "only the manifest is read."))).boxed()
    }

    fn log(&self, _: &str, _: Level, _: &str, _: Value) {}
}
