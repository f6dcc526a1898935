//! The host of all plugins of one role: load, call, watch, shut down.

use crate::{Duplex, HostConfig, Method, Operation, PluginStatus, Services};
use schema::{CallMeta, Code, Manifest, Problem};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Runs the plugins of one role. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    statuses: watch::Sender<Arc<Vec<PluginStatus>>>,
}

impl Host {
    /// Starts an empty host. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The state directory cannot be made, or a runner is asked for without a program.
    pub async fn start(config: HostConfig, services: Arc<dyn Services>) -> Result<Host, Problem> {
        let _ = (config, services);
        Ok(Host { statuses: watch::Sender::new(Arc::new(Vec::new())) })
    }

    /// Loads the library at `path`, whatever it holds, and starts its service. It returns once the manifest is read;
    /// a plugin that cannot be used is listed as failed, with cause and remedy.
    ///
    /// # Errors
    /// Cause and remedy in a line each.
    pub async fn load(&self, path: &Path) -> Result<Manifest, Problem> {
        let _ = path;
        Err(Problem::new(Code::Unavailable, "no plugin can be loaded yet."))
    }

    /// Loads the library at `path` if it has this length and blake3 hash.
    ///
    /// # Errors
    /// It has not, or as for [`Host::load`].
    pub async fn load_verified(&self, path: &Path, bytes: u64, blake3: &str) -> Result<Manifest, Problem> {
        let _ = (bytes, blake3);
        self.load(path).await
    }

    /// Ends the plugin and forgets it.
    pub async fn unload(&self, plugin: &str) {
        let _ = plugin;
    }

    /// Ends the plugin until it is enabled again.
    pub async fn disable(&self, plugin: &str) {
        let _ = plugin;
    }

    /// Starts a disabled, failed or quarantined plugin again.
    pub async fn enable(&self, plugin: &str) {
        let _ = plugin;
    }

    /// All plugins, by name.
    pub fn plugins(&self) -> Arc<Vec<PluginStatus>> {
        self.statuses.borrow().clone()
    }

    /// Changes of [`Host::plugins`].
    pub fn watch(&self) -> watch::Receiver<Arc<Vec<PluginStatus>>> {
        self.statuses.subscribe()
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
        let _ = (plugin, method, meta, payload);
        Err(Problem::new(Code::Unavailable, "no plugin can be called yet."))
    }

    /// Hands the plugin a channel that its other role opened, and carries it until both directions have ended.
    ///
    /// # Errors
    /// As for [`Host::call`]. Later faults end the streams of `duplex`.
    pub async fn accept_channel(&self, plugin: &str, key: &str, meta: CallMeta, duplex: Duplex) -> Result<(), Problem> {
        let _ = duplex;
        self.call(plugin, Method::Channel { key: key.to_owned() }, meta, Value::Null).await.map(|_| ())
    }

    /// Ends every plugin: a request to stop, then force after `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        let _ = deadline;
    }
}
