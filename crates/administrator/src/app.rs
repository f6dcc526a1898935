//! What the parts of a running administrator share.

use crate::agents::{Agents, PluginFile};
use crate::dispatcher::Told;
use crate::local::Local;
use crate::modules::Modules;
use crate::once::{self, Once};
use crate::reach::Reach;
use crate::runtime::Runtime;
use crate::secrets::SecretsStore;
use database::Database;
use identity::{Passwords, SiteCa, Throttle};
use jobs::JobId;
use parking_lot::Mutex;
use plugin_host::Host;
use schema::{Code, Object, Problem};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, Semaphore, broadcast, watch};

/// Passwords hashed at a time: each takes a tenth of a second of a core and 19 MiB.
const HASHING_AT_ONCE: usize = 1;
/// Job events kept for a watcher that is slow; then it is sent the whole job again.
const TOLD: usize = 1024;

/// The running administrator. Everything in it may be used from any task.
pub(crate) struct App {
    pub(crate) runtime: Runtime,
    pub(crate) database: Database,
    pub(crate) authority: Arc<SiteCa>,
    pub(crate) modules: Modules,
    pub(crate) host: Host,
    pub(crate) agents: OnceLock<Agents>,
    /// Plugins that machines are to have.
    pub(crate) offers: watch::Sender<Arc<Vec<PluginFile>>>,
    pub(crate) local: Local,
    pub(crate) once: Once,
    pub(crate) secrets_store: SecretsStore,
    pub(crate) reach: Reach,
    /// What jobs tell, for those who watch them.
    pub(crate) told: broadcast::Sender<Told>,
    /// The reconciler has something to look at.
    pub(crate) due: Notify,
    /// Rights of some operator, session or token changed.
    pub(crate) grants_changed: watch::Sender<()>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) hashing: Arc<Semaphore>,
    pub(crate) throttle: Mutex<Throttle>,
    /// Whether the console is served over TLS, so that cookies are marked for it.
    pub(crate) secure: bool,
}

/// What an [`App`] is made of; the rest starts empty.
pub(crate) struct Parts {
    pub(crate) runtime: Runtime,
    pub(crate) database: Database,
    pub(crate) authority: Arc<SiteCa>,
    pub(crate) modules: Modules,
    pub(crate) host: Host,
    pub(crate) reach: Reach,
    pub(crate) secrets: SecretsStore,
    pub(crate) secure: bool,
}

impl App {
    pub(crate) fn new(parts: Parts) -> App {
        App {
            runtime: parts.runtime,
            database: parts.database,
            authority: parts.authority,
            modules: parts.modules,
            host: parts.host,
            agents: OnceLock::new(),
            offers: watch::Sender::default(),
            local: Local::default(),
            once: Once::default(),
            secrets_store: parts.secrets,
            reach: parts.reach,
            told: broadcast::Sender::new(TOLD),
            due: Notify::new(),
            grants_changed: watch::Sender::new(()),
            passwords: Arc::new(Passwords::new()),
            hashing: Arc::new(Semaphore::new(HASHING_AT_ONCE)),
            throttle: Mutex::default(),
            secure: parts.secure,
        }
    }

    /// The agents' port; started before anything that uses it.
    pub(crate) fn agents(&self) -> &Agents {
        self.agents.get().expect("the agents' port is started before requests are served")
    }

    /// Secret outputs of a command, by its manifest.
    pub(crate) fn secret_outputs(&self, command: &str) -> Vec<String> {
        let modules = self.modules.current();
        modules
            .command(command)
            .map(|(_, command)| once::secret_properties(command.output.as_ref()))
            .unwrap_or_default()
    }

    /// The secret arguments that were kept aside for a job.
    ///
    /// # Errors
    /// They are gone, since the administrator was restarted before the job could be given out.
    pub(crate) fn take_secrets(&self, job: JobId, command: &str) -> Result<Object, Problem> {
        self.secrets(job, command, Once::take_input)
    }

    /// As [`App::take_secrets`], for a job that may have to be given out again.
    pub(crate) fn copy_secrets(&self, job: JobId, command: &str) -> Result<Object, Problem> {
        self.secrets(job, command, Once::input)
    }

    fn secrets(&self, job: JobId, id: &str, get: fn(&Once, JobId) -> Option<Object>) -> Result<Object, Problem> {
        if let Some(secrets) = get(&self.once, job) {
            return Ok(secrets);
        }
        let modules = self.modules.current();
        let Ok((_, command)) = modules.command(id) else { return Ok(Object::new()) };
        let needed = once::secret_properties(Some(&command.input));
        let required = command.input.get("required").and_then(serde_json::Value::as_array);
        let missing =
            required.into_iter().flatten().any(|name| needed.iter().any(|n| Some(n.as_str()) == name.as_str()));
        if missing {
            let message = "its secret arguments are not stored, and were lost when the administrator was restarted.";
            return Err(Problem::new(Code::Unavailable, message).fix("Run it again."));
        }
        Ok(Object::new())
    }
}
