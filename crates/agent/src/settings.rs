//! Settings of plugins in force on this machine: the defaults, what operators set over them, and where the machine's own
//! file is stricter, that.

use crate::core::Core;
use crate::journal::JournalError;
use indexmap::IndexMap;
use protocol::FromAgent;
use schema::{Object, Problem, Setting};

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
    overlaid(core, plugin, &manifest.settings, &set)
}

fn overlaid(core: &Core, plugin: &str, declared: &IndexMap<String, Setting>, set: &Object) -> Result<Object, Problem> {
    let mut settings = schema::effective_settings(declared, &[set]);
    let own = core.policy.settings(plugin)?;
    let ignored = schema::tighten_settings(declared, &mut settings, &own);
    warn(core, plugin, &ignored);
    Ok(settings)
}

/// Says what the machine's own file says in vain, once for each time it changes.
fn warn(core: &Core, plugin: &str, ignored: &[Problem]) {
    let lines: Vec<String> = ignored.iter().map(|problem| problem.message.clone()).collect();
    let text = lines.join(" ");
    let before = core.ignored_settings.lock().insert(plugin.to_owned(), text.clone());
    if text.is_empty() || before.as_ref() == Some(&text) {
        return;
    }
    let text = format!("Settings of the machine's own policy.toml are not used: {text}");
    tracing::warn!(plugin, "{text}");
    core.outbox.say(FromAgent::Log { plugin: plugin.to_owned(), level: "warn".to_owned(), text });
}

#[cfg(test)]
mod tests;
