//! The host of all plugins of one role: load, call, watch, shut down.

use crate::accounts::Accounts;
use crate::child::{NotStarted, Runner, Spawner};
use crate::in_process::{NoAnswer, apart};
use crate::plugin::{Desired, Found, Plugin, Shared, aborts, explain};
use crate::runner::not_loaded;
use crate::store::{Stored, store};
use crate::wire::{Failed, Setup};
use crate::{Duplex, HostConfig, Method, Operation, PluginState, PluginStatus, Services, Transport};
use abi::Library;
use parking_lot::Mutex;
use schema::{CallMeta, Code, Manifest, Needs, Problem};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Runs the plugins of one role. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
    plugins: Arc<Mutex<BTreeMap<String, Plugin>>>,
    /// Loading is one after the other, so that two files with one name cannot both be first.
    loading: Arc<tokio::sync::Mutex<()>>,
}

impl Host {
    /// Starts an empty host. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The state directory cannot be made, or a runner is asked for without a program.
    pub async fn start(mut config: HostConfig, services: Arc<dyn Services>) -> Result<Host, Problem> {
        if config.transport == Transport::Runner && config.runner.is_none() {
            return Err(Problem::internal("a host with runners needs a program that becomes one."));
        }
        let state = &config.state_dir;
        let made = std::fs::create_dir_all(state).and_then(|()| std::path::absolute(state));
        config.state_dir = made.map_err(|e| {
            Problem::internal(format!("the directory {} cannot be made: {e}.", state.display()))
                .fix("Look at its owner and file system.")
        })?;
        let spawner = Spawner::new().map_err(|e| Problem::internal(format!("no thread can be started: {e}.")))?;
        let statuses = watch::Sender::new(Arc::new(Vec::new()));
        let accounts = Accounts::new(&config.state_dir, config.role);
        let (tasks, granted) = (TaskTracker::new(), Mutex::default());
        let shared = Arc::new(Shared { config, services, spawner, accounts, tasks, statuses, granted });
        Ok(Host { shared, plugins: Arc::default(), loading: Arc::default() })
    }

    /// Loads the library at `path`, whatever it holds, and starts it. It returns once the manifest is read; a plugin
    /// that cannot be used is listed as failed, with cause and remedy. One with the id of a plugin that runs takes
    /// its place.
    ///
    /// # Errors
    /// Cause and remedy in a line each.
    pub async fn load(&self, path: &Path) -> Result<Manifest, Problem> {
        self.load_file(path, None).await
    }

    /// What the plugin of this name is granted besides what the operator of this machine has written down; it counts from
    /// its next start on.
    pub fn grant(&self, plugin: &str, granted: Needs) {
        self.shared.granted.lock().insert(plugin.to_owned(), granted);
    }

    /// Loads the library at `path` if it has this length and blake3 hash.
    ///
    /// # Errors
    /// It has not, or as for [`Host::load`].
    pub async fn load_verified(&self, path: &Path, bytes: u64, blake3: &str) -> Result<Manifest, Problem> {
        self.load_file(path, Some((bytes, blake3.to_owned()))).await
    }

    /// Reads the manifest of the library at `path` and starts nothing.
    ///
    /// # Errors
    /// As for [`Host::load`].
    pub async fn manifest_of(&self, path: &Path) -> Result<Manifest, Problem> {
        let stored = self.store(path, None).await?;
        let found = self.probe(&stored).await.map_err(|failed| refused(failed, &stored))?;
        Ok((*found.manifest).clone())
    }

    /// A verified copy of the library.
    async fn store(&self, path: &Path, expected: Option<(u64, String)>) -> Result<Stored, Problem> {
        let (from, directory) = (path.to_owned(), self.shared.config.state_dir.join("libraries"));
        let storing = tokio::task::spawn_blocking(move || {
            store(&from, expected.as_ref().map(|(bytes, hash)| (*bytes, hash.as_str())), &directory)
        });
        storing.await.map_err(|e| Problem::internal(e.to_string())).and_then(|stored| stored)
    }

    async fn load_file(&self, path: &Path, expected: Option<(u64, String)>) -> Result<Manifest, Problem> {
        let _loading = self.loading.lock().await;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let stored = self.store(path, expected).await;
        let stored = stored.inspect_err(|problem| self.list_failed(&stem, None, problem))?;
        if let Some(running) = self.find_same(&stored) {
            return Ok((*running.manifest).clone());
        }
        let found = self.probe(&stored).await.map_err(|failed| refused(failed, &stored));
        let found = found.and_then(|found| self.check_name(found));
        let found = found.inspect_err(|problem| self.list_failed(&stem, Some(&stored), problem))?;
        let manifest = found.manifest.clone();
        self.start_plugin(found).await;
        Ok((*manifest).clone())
    }

    fn find_same(&self, stored: &Stored) -> Option<Plugin> {
        self.plugins.lock().values().find(|plugin| plugin.stored.blake3 == stored.blake3).cloned()
    }

    fn check_name(&self, found: Found) -> Result<Found, Problem> {
        let info = &found.manifest.plugin;
        let other = self.plugins.lock().get(&info.name).map(|plugin| plugin.manifest.plugin.id.clone());
        match other {
            Some(id) if id != info.id => {
                Err(Problem::new(Code::Conflict, format!("the name {} belongs to the plugin {id}.", info.name))
                    .fix("Remove one of the two plugins."))
            }
            _ => Ok(found),
        }
    }

    fn list_failed(&self, stem: &str, stored: Option<&Stored>, problem: &Problem) {
        let name = if self.plugins.lock().contains_key(stem) { format!("{stem}.so") } else { stem.to_owned() };
        self.shared.put(PluginStatus {
            name,
            manifest: None,
            state: PluginState::Failed,
            cause: Some(problem.message.clone()),
            remedy: problem.fix.clone(),
            last_panic: None,
            pid: None,
            sandbox: None,
            blake3: stored.map(|s| s.blake3.clone()).unwrap_or_default(),
            bytes: stored.map(|s| s.bytes).unwrap_or_default(),
            crashes: 0,
        });
    }

    async fn start_plugin(&self, found: Found) {
        let (manifest, runs) = (found.manifest.clone(), found.manifest.runs_in(self.shared.config.role));
        let name = manifest.plugin.name.clone();
        let before = self.plugins.lock().remove(&name);
        if let Some(before) = before {
            before.want(|_| Desired::Gone);
            before.gone().await;
        }
        self.shared.put(PluginStatus {
            name: name.clone(),
            manifest: Some((*manifest).clone()),
            // A plugin of the other role only is known and does nothing here.
            state: if runs { PluginState::Starting } else { PluginState::Ok },
            cause: None,
            remedy: None,
            last_panic: None,
            pid: None,
            sandbox: None,
            blake3: found.stored.blake3.clone(),
            bytes: found.stored.bytes,
            crashes: 0,
        });
        if runs {
            let plugin = Plugin::start(found, &self.shared);
            self.plugins.lock().insert(name, plugin);
        }
    }

    /// Reads the manifest: in a runner that may do nothing, where runners are used.
    async fn probe(&self, stored: &Stored) -> Result<Found, Failed> {
        let (json, panic_unwind) = match self.shared.config.transport {
            Transport::Runner => self.probe_in_runner(stored).await?,
            Transport::InProcess => match probe_here(stored, self.shared.config.limits.open).await? {
                Some(json) => (json, true),
                None => self.probe_in_runner(stored).await?,
            },
        };
        let manifest = Manifest::parse(json.as_bytes()).map_err(|faults| Failed {
            cause: match (json.is_empty(), faults.first()) {
                (false, Some(fault)) => format!("The plugin's manifest is wrong: {fault}."),
                _ => "The plugin panicked while it made its manifest.".to_owned(),
            },
            remedy: "Report it to the plugin's vendor.".to_owned(),
            details: Some(faults.iter().map(|fault| format!("{fault}\n")).collect()),
        })?;
        Ok(Found { manifest: Arc::new(manifest), json, stored: stored.clone(), panic_unwind })
    }

    async fn probe_in_runner(&self, stored: &Stored) -> Result<(String, bool), Failed> {
        let (config, vendor) = (&self.shared.config, "Report it to the plugin's vendor.");
        let program = config.runner.as_ref().ok_or_else(aborts)?;
        let setup = Setup {
            library: stored.path.clone(),
            plugin: stored.blake3.clone(),
            needs: schema::Needs::default(),
            account: Some(self.shared.accounts.for_probing()),
            files: None,
            memory_mib: config.limits.memory_mib,
            host_pid: std::process::id(),
            open: None,
        };
        let probing = Runner::start(&self.shared.spawner, program, &setup, &self.shared.tasks);
        match tokio::time::timeout(config.limits.open, probing).await {
            Ok(Ok((_, _, hello))) => Ok((hello.manifest, hello.panic_unwind)),
            Ok(Err(NotStarted::Failed(failed))) => Err(failed),
            Ok(Err(other)) => Err(Failed { cause: format!("{other}."), remedy: vendor.to_owned(), details: None }),
            Err(_) => Err(Failed {
                cause: "The plugin did not give its manifest in time.".to_owned(),
                remedy: vendor.to_owned(),
                details: None,
            }),
        }
    }

    /// Ends the plugin and forgets it.
    pub async fn unload(&self, plugin: &str) {
        let known = self.plugins.lock().remove(plugin);
        if let Some(known) = known {
            known.want(|_| Desired::Gone);
            known.gone().await;
        }
        self.shared.statuses.send_modify(|all| Arc::make_mut(all).retain(|status| status.name != plugin));
    }

    /// Ends the plugin until it is enabled again.
    pub async fn disable(&self, plugin: &str) {
        if let Some(known) = self.plugins.lock().get(plugin) {
            known.want(|_| Desired::Disabled);
        }
    }

    /// Starts a disabled, failed or quarantined plugin again; restarts one that runs.
    pub async fn enable(&self, plugin: &str) {
        if let Some(known) = self.plugins.lock().get(plugin) {
            known.want(Desired::again);
        }
    }

    /// All plugins, by name.
    pub fn plugins(&self) -> Arc<Vec<PluginStatus>> {
        self.shared.statuses.borrow().clone()
    }

    /// The plugin with this name.
    pub fn plugin(&self, name: &str) -> Option<PluginStatus> {
        self.shared.statuses.borrow().iter().find(|status| status.name == name).cloned()
    }

    /// Changes of [`Host::plugins`].
    pub fn watch(&self) -> watch::Receiver<Arc<Vec<PluginStatus>>> {
        self.shared.statuses.subscribe()
    }

    /// Begins an operation. Waits a while for a plugin that is just being started again.
    ///
    /// # Errors
    /// There is no such plugin or command, it is not running, or it has too many operations.
    pub async fn call(
        &self,
        plugin: &str,
        method: Method,
        meta: CallMeta,
        payload: Value,
    ) -> Result<Operation, Problem> {
        let known = self.plugins.lock().get(plugin).cloned();
        let Some(known) = known else { return Err(self.unknown(plugin)) };
        match &method {
            Method::Command(id) if known.manifest.command(id).is_none() => {
                return Err(Problem::new(Code::UnknownCommand, format!("the plugin {plugin} has no command {id}.")));
            }
            Method::Query(id) if known.manifest.type_of(id).is_none_or(|kind| kind.computed.is_none()) => {
                return Err(Problem::not_found(format!("the plugin {plugin} answers no queries of {id}.")));
            }
            Method::Channel { .. } if !known.manifest.plugin.channels => {
                return Err(Problem::not_found(format!("the plugin {plugin} takes no channels.")));
            }
            _ => {}
        }
        loop {
            let board = known.board(self.shared.config.limits.wait_for_start, || self.plugin(plugin)).await?;
            // An instance that ended meanwhile is waited for once more: another one comes, or a problem.
            if let Some(operation) = board.begin(&method, meta.clone(), &payload)? {
                return Ok(operation);
            }
            known.passed(&board).await;
        }
    }

    fn unknown(&self, plugin: &str) -> Problem {
        match self.plugin(plugin) {
            Some(status) if status.manifest.is_some() => Problem::new(
                Code::UnsupportedByHost,
                format!("the plugin {plugin} does not run as {}.", self.shared.config.role.as_str()),
            ),
            Some(status) => status.problem(),
            None => Problem::not_found(format!("there is no plugin {plugin}.")),
        }
    }

    /// Hands the plugin a channel that its other role opened, and carries it until both directions have ended.
    ///
    /// # Errors
    /// As for [`Host::call`]. Later faults end the streams of `duplex`.
    pub async fn accept_channel(&self, plugin: &str, key: &str, meta: CallMeta, duplex: Duplex) -> Result<(), Problem> {
        let mut operation = self.call(plugin, Method::Channel { key: key.to_owned() }, meta, Value::Null).await?;
        let (ours, over) = (operation.open_stream("channel")?, operation.op.over.clone());
        self.shared.tasks.spawn(async move {
            let ended = async { while operation.next().await.is_some() {} };
            tokio::join!(ended, ours.carry_until(duplex, over));
        });
        Ok(())
    }

    /// Ends every plugin: a request to stop, then force after `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        let plugins: Vec<Plugin> = std::mem::take(&mut *self.plugins.lock()).into_values().collect();
        for plugin in &plugins {
            plugin.want(|_| Desired::Gone);
        }
        let all = futures::future::join_all(plugins.iter().map(Plugin::gone));
        // What is left after the deadline dies with this process.
        let _ = tokio::time::timeout(deadline, all).await;
        self.shared.tasks.close();
    }
}

fn refused(failed: Failed, stored: &Stored) -> Problem {
    let remedy = explain(&failed, stored);
    Problem::new(Code::BadRequest, failed.cause).fix(remedy)
}

/// Reads the manifest in this process, which trusts the plugin; nothing where it aborts on a panic.
async fn probe_here(stored: &Stored, limit: Duration) -> Result<Option<String>, Failed> {
    let path = stored.path.clone();
    let reading = apart(limit, move || {
        let library = Library::load(&path).map_err(|e| not_loaded(&e))?;
        // A panic while it makes its manifest would end this process.
        let unwinds = library.info().panic_unwind;
        Ok(unwinds.then(|| String::from_utf8_lossy(&library.manifest()).into_owned()))
    });
    let vendor = || "Report it to the plugin's vendor.".to_owned();
    match reading.await {
        Ok(read) => read,
        Err(NoAnswer::Panicked) => Err(Failed {
            cause: "The plugin panicked while it was loaded.".to_owned(),
            remedy: vendor(),
            details: None,
        }),
        Err(NoAnswer::Late) => Err(Failed {
            cause: "The plugin did not give its manifest in time.".to_owned(),
            remedy: vendor(),
            details: None,
        }),
    }
}
