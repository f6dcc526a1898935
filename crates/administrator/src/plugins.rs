//! Loads the folder of plugins, keeps the list of modules true, and offers the libraries to agents.

use crate::agents::PluginFile;
use crate::app::App;
use crate::modules::{Module, ModuleState};
use crate::settings;
use anyhow::{Context as _, Result};
use fleet::Store as _;
use plugin_host::{Grants, Host, PluginState, PluginStatus};
use protocol::PluginOffer;
use schema::{Mode, Needs, Role};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The libraries of a folder, in order.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("the folder of plugins {} cannot be read", folder.display());
    let mut libraries = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "so") {
            libraries.push(fs::canonicalize(&path).unwrap_or(path));
        }
    }
    libraries.sort();
    Ok(libraries)
}

/// Libraries, and what came with them as granted.
pub(crate) struct Shipped {
    libraries: Vec<PathBuf>,
    grants: Grants,
}

/// Loads libraries; one that cannot be used stays in the list with its cause. Grants that do not count are told: what needs
/// them says so itself.
pub(crate) async fn load(host: &Host, libraries: Vec<PathBuf>) -> Shipped {
    let folders: BTreeSet<&Path> = libraries.iter().filter_map(|library| library.parent()).collect();
    let mut grants = Grants::default();
    for folder in folders {
        match Grants::beside(folder) {
            Ok(more) => grants.add(more),
            Err(problem) => tracing::error!(%problem, "what is granted to plugins is left out"),
        }
    }
    for name in grants.plugins() {
        host.grant(name, grants.of(name, Role::Administrator));
    }
    for library in &libraries {
        if let Err(problem) = host.load(library).await {
            tracing::error!(library = %library.display(), %problem, "a plugin cannot be used");
        }
    }
    Shipped { libraries, grants }
}

/// The core's own module and that of every plugin whose manifest is known.
pub(crate) fn modules(statuses: &[PluginStatus]) -> Vec<Module> {
    let core = Module { manifest: fleet::manifest(), state: ModuleState::ok() };
    let mut modules: Vec<Module> = statuses
        .iter()
        .filter_map(|status| {
            let manifest = status.manifest.clone()?.in_mode(Mode::Managed);
            // A plugin that is just being opened is not worth a mark.
            let state = if status.state == PluginState::Starting { PluginState::Ok } else { status.state };
            let state = ModuleState {
                state: state.as_str().to_owned(),
                cause: status.cause.clone(),
                remedy: status.remedy.clone(),
            };
            Some(Module { manifest, state })
        })
        .collect();
    modules.sort_by(|a, b| {
        let (a, b) = (&a.manifest.plugin, &b.manifest.plugin);
        (a.order, &a.title, &a.name).cmp(&(b.order, &b.title, &b.name))
    });
    modules.insert(0, core);
    modules
}

/// The libraries that machines are to have, each copied under its hash so that what is offered never changes.
///
/// # Errors
/// A library cannot be copied.
pub(crate) fn offers(host: &Host, shipped: &Shipped, folder: &Path) -> Result<Vec<PluginFile>> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let statuses = host.plugins();
    let mut offers = Vec::new();
    for library in &shipped.libraries {
        let bytes = fs::read(library).with_context(|| format!("{} cannot be read", library.display()))?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        let known = statuses.iter().find(|status| status.blake3 == hash);
        let Some(manifest) = known.and_then(|status| status.manifest.as_ref()) else { continue };
        if !manifest.runs_in(Role::Machine) {
            continue;
        }
        let path = folder.join(&hash);
        if !path.exists() {
            let new = folder.join(format!("{hash}.new"));
            fs::write(&new, &bytes).and_then(|()| fs::rename(&new, &path)).context("a plugin cannot be offered")?;
        }
        let offer = PluginOffer {
            name: manifest.plugin.name.clone(),
            version: manifest.plugin.version.clone(),
            blake3: hash,
            size_bytes: bytes.len() as u64,
            granted: Some(shipped.grants.of(&manifest.plugin.name, Role::Machine)).filter(|n| *n != Needs::default()),
        };
        offers.push(PluginFile { offer, path });
    }
    Ok(offers)
}

/// Follows what becomes of plugins: the list of modules, and the rows that operators see.
pub(crate) fn follow(app: &Arc<App>) {
    let app = app.clone();
    let mut changes = app.host.watch();
    app.runtime.clone().spawn(async move {
        loop {
            let statuses = changes.borrow_and_update().clone();
            app.modules.replace(modules(&statuses));
            if let Err(error) = settings::declare(&app).await {
                tracing::warn!(%error, "the settings of plugins could not be stored");
            }
            if let Err(error) = store(&app, &statuses).await {
                tracing::warn!(%error, "the state of plugins could not be stored");
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    });
}

async fn store(app: &App, statuses: &[PluginStatus]) -> Result<(), database::Error> {
    let rows: Vec<fleet::PluginStatus> = statuses
        .iter()
        .map(|status| {
            let info = status.manifest.as_ref().map(|manifest| &manifest.plugin);
            fleet::PluginStatus {
                name: status.name.clone(),
                title: info.map_or_else(|| status.name.clone(), |info| info.title.clone()),
                version: info.map(|info| info.version.clone()).unwrap_or_default(),
                state: match status.state {
                    PluginState::Starting | PluginState::Ok => fleet::PluginState::Ok,
                    PluginState::Failed => fleet::PluginState::Failed,
                    PluginState::Restarting => fleet::PluginState::Restarting,
                    PluginState::Quarantined => fleet::PluginState::Quarantined,
                    PluginState::Disabled => fleet::PluginState::Disabled,
                },
                cause: status.cause_or_panic().unwrap_or_default(),
                remedy: status.remedy.clone().unwrap_or_default(),
                sandbox: status.sandbox.as_ref().map(plugin_host::Sandbox::lines).unwrap_or_default(),
                machine: None,
            }
        })
        .collect();
    let write = move |store: &mut database::Write<'_>| {
        let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
        store.keep_plugins(None, &names)?;
        for row in &rows {
            store.set_plugin_status(row)?;
        }
        Ok(())
    };
    app.database.write(write).await
}
