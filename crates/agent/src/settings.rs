//! Settings of plugins in force on this machine: the defaults, what operators set over them, and where the machine's own
//! file is stricter, that.

use crate::core::Core;
use crate::journal::JournalError;
use schema::{Object, Problem};

/// Where the settings of a plugin stand in the journal.
fn key(plugin: &str) -> String {
    format!("settings/{plugin}")
}

/// Keeps what operators set, so that it holds without the administrator too.
///
/// # Errors
/// It cannot be written.
pub(crate) async fn store(core: &Core, plugin: &str, values: Object) -> Result<(), JournalError> {
    let key = key(plugin);
    core.with_journal(move |journal| journal.set(&key, &values)).await
}

/// All settings of a plugin.
///
/// # Errors
/// The journal or the machine's own file cannot be read.
pub(crate) async fn in_force(core: &Core, plugin: &str) -> Result<Object, Problem> {
    let key = key(plugin);
    let set = core.with_journal(move |journal| journal.get::<Object>(&key)).await;
    let set = set.map_err(|error| Problem::internal(format!("{error}.")))?.unwrap_or_default();
    let plugins = core.host().plugins();
    let status = plugins.iter().find(|status| status.name == plugin);
    let Some(manifest) = status.and_then(|status| status.manifest.as_ref()) else { return Ok(set) };
    let mut settings = schema::effective_settings(&manifest.settings, &[&set]);
    let own = core.policy.settings(plugin)?;
    for problem in schema::tighten_settings(&manifest.settings, &mut settings, &own) {
        tracing::warn!(%plugin, %problem, "a setting in the machine's own file is not used");
    }
    Ok(settings)
}
