//! The plugins of this machine: fetched from the administrator by hash, kept for times without it, loaded by the host.

mod exchanges;

pub(crate) use exchanges::Exchanges;

use crate::core::Core;
use crate::enrol::explain;
use hyper::Method;
use plugin_host::PluginStatus;
use protocol::{FromAgent, PluginOffer, PluginReport, PluginState};
use schema::{Code, Needs, Problem};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Name of the remembered list in the journal.
const REMEMBERED: &str = "plugins";
const RETRY: Duration = Duration::from_secs(30);
/// Largest library that is fetched.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Keeps the loaded plugins in step with the wanted ones, until it is dropped.
pub(crate) async fn keep(core: Arc<Core>) {
    let mut loaded: BTreeMap<String, Loaded> = BTreeMap::new();
    let mut wanted = core.wanted.subscribe();
    loop {
        let offers = wanted.borrow_and_update().clone();
        let complete = bring_in_step(&core, &offers, &mut loaded).await;
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if !complete => {}
        }
    }
}

/// What the administrator offered last time, so that the machine works without it.
pub(crate) fn remembered(core: &Core) -> Vec<PluginOffer> {
    core.journal.get(REMEMBERED).ok().flatten().unwrap_or_default()
}

/// Takes over a new list.
pub(crate) async fn want(core: &Arc<Core>, offers: Vec<PluginOffer>) {
    let list = offers.clone();
    if let Err(error) = core.with_journal(move |journal| journal.set(REMEMBERED, &list)).await {
        tracing::warn!(%error, "the list of plugins cannot be remembered");
    }
    // Also where nothing changed: what could not be fetched without the administrator can be now.
    core.wanted.send_replace(offers);
}

/// Tells the administrator how the plugins do, whenever that changes.
pub(crate) async fn report(core: Arc<Core>) {
    let mut statuses = core.host().watch();
    while statuses.changed().await.is_ok() {
        let plugins = reports(&statuses.borrow_and_update());
        core.outbox.say(FromAgent::PluginStatus { plugins });
    }
}

pub(crate) fn reports(statuses: &[PluginStatus]) -> Vec<PluginReport> {
    statuses.iter().map(report_of).collect()
}

fn report_of(status: &PluginStatus) -> PluginReport {
    let version = status.manifest.as_ref().map(|manifest| manifest.plugin.version.clone()).unwrap_or_default();
    PluginReport {
        name: status.name.clone(),
        version,
        state: match status.state {
            plugin_host::PluginState::Ok => PluginState::Ok,
            plugin_host::PluginState::Starting | plugin_host::PluginState::Restarting => PluginState::Restarting,
            plugin_host::PluginState::Failed => PluginState::Failed,
            plugin_host::PluginState::Quarantined => PluginState::Quarantined,
            plugin_host::PluginState::Disabled => PluginState::Disabled,
        },
        cause: status.cause_or_panic().unwrap_or_default(),
        remedy: status.remedy.clone().unwrap_or_default(),
        sandbox: status.sandbox.as_ref().map(plugin_host::Sandbox::lines).unwrap_or_default(),
    }
}

struct Loaded {
    blake3: String,
    granted: Needs,
    /// Name in the manifest, by which the host knows it.
    name: String,
}

/// False where something could not be fetched or loaded and is to be tried again.
async fn bring_in_step(core: &Arc<Core>, offers: &[PluginOffer], loaded: &mut BTreeMap<String, Loaded>) -> bool {
    let names: BTreeSet<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
    let gone: Vec<String> = loaded.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
    for name in gone {
        if let Some(old) = loaded.remove(&name) {
            let _under_way = core.exchanges.begin(&old.name);
            core.host().unload(&old.name).await;
        }
    }
    let mut complete = true;
    for offer in offers {
        if let Some(loaded) = loaded.get_mut(&offer.name).filter(|loaded| loaded.blake3 == offer.blake3) {
            grant(core, offer, loaded).await;
            continue;
        }
        match load(core, offer, loaded).await {
            Ok(()) => {}
            Err(problem) => {
                tracing::warn!(plugin = %offer.name, %problem, "a plugin cannot be loaded; it is tried again");
                complete = false;
            }
        }
    }
    if complete && !offers.is_empty() {
        let keep: Vec<String> = loaded.values().map(|loaded| loaded.name.clone()).collect();
        if let Err(error) = core.with_journal(move |journal| journal.keep_sections_of(&keep)).await {
            tracing::warn!(%error, "rows of plugins that are gone cannot be forgotten");
        }
    }
    complete
}

/// What the site grants a plugin here, unless the machine's own policy withholds it.
fn granted(core: &Core, offer: &PluginOffer) -> Needs {
    offer.granted.clone().filter(|_| core.policy.lets_grant(&offer.name)).unwrap_or_default()
}

/// Lets a plugin that is loaded go on with what it is granted now.
async fn grant(core: &Core, offer: &PluginOffer, loaded: &mut Loaded) {
    let granted = granted(core, offer);
    if granted != loaded.granted {
        core.host().grant(&offer.name, granted.clone());
        core.host().enable(&loaded.name).await;
        loaded.granted = granted;
    }
}

async fn load(core: &Arc<Core>, offer: &PluginOffer, loaded: &mut BTreeMap<String, Loaded>) -> Result<(), Problem> {
    let path = library(core, offer).await?;
    let before = loaded.get(&offer.name).map_or_else(|| offer.name.clone(), |old| old.name.clone());
    let _under_way = core.exchanges.begin(&before);
    let granted = granted(core, offer);
    core.host().grant(&offer.name, granted.clone());
    // The version before serves until the new one is known to be good, and goes on where it is not.
    let manifest = core.host().load_verified(&path, offer.size_bytes, &offer.blake3).await;
    let name = match &manifest {
        Ok(manifest) => manifest.plugin.name.clone(),
        Err(_) => before.clone(),
    };
    if name != before {
        core.host().unload(&before).await;
    }
    // A plugin that cannot be loaded is not fetched again and again: the host shows why, until there is another.
    loaded.insert(offer.name.clone(), Loaded { blake3: offer.blake3.clone(), granted, name });
    if let Err(problem) = manifest {
        tracing::warn!(plugin = %offer.name, %problem, "a plugin does not work here");
    }
    Ok(())
}

/// The library of an offer, fetched where it is not here yet.
async fn library(core: &Arc<Core>, offer: &PluginOffer) -> Result<PathBuf, Problem> {
    let is_hash = offer.blake3.len() == 64 && offer.blake3.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash || offer.size_bytes > MAX_BYTES {
        return Err(Problem::bad_request("The administrator offers a plugin of an impossible hash or size."));
    }
    let dir = core.state.dir().join("plugins");
    let path = dir.join(format!("{}.so", offer.blake3));
    if let Ok(metadata) = fs::metadata(&path)
        && metadata.len() == offer.size_bytes
    {
        return Ok(path);
    }
    fs::create_dir_all(&dir).map_err(|error| unwritable(&dir, &error))?;
    let fresh = dir.join(format!("{}.part", offer.blake3));
    let fetched = fetch(core, offer, &fresh).await;
    let result = fetched.and_then(|()| fs::rename(&fresh, &path).map_err(|error| unwritable(&path, &error)));
    if result.is_err() {
        // What was begun is of no use; it is written over next time where it cannot be removed.
        let _ = fs::remove_file(&fresh);
    }
    result.map(|()| path)
}

async fn fetch(core: &Arc<Core>, offer: &PluginOffer, fresh: &Path) -> Result<(), Problem> {
    let dialer = core.dialer()?;
    let mut file = fs::File::create(fresh).map_err(|error| unwritable(fresh, &error))?;
    let (mut hasher, mut length) = (blake3::Hasher::new(), 0u64);
    let path = format!("/plugins/{}", offer.blake3);
    let status = dialer
        .stream(Method::GET, &path, bytes::Bytes::new(), |chunk| {
            length += chunk.len() as u64;
            if length > offer.size_bytes {
                return Err(io::Error::other("the library is larger than announced"));
            }
            hasher.update(&chunk);
            file.write_all(&chunk)
        })
        .await
        .map_err(|error| Problem::new(Code::Unavailable, format!("{}.", explain(&error))))?;
    if !status.is_success() {
        return Err(Problem::new(Code::Unavailable, format!("The administrator answered {status}.")));
    }
    if length != offer.size_bytes || hasher.finalize().to_hex().as_str() != offer.blake3 {
        return Err(Problem::new(Code::Unavailable, "The library that came is not the one that was announced."));
    }
    file.sync_all().map_err(|error| unwritable(fresh, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(Code::Unavailable, format!("{} cannot be written: {error}.", path.display()))
        .fix("Make room on the machine's disk.")
}
