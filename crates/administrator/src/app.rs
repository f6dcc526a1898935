//! What the parts of a running administrator share.

use crate::agents::{Agents, PluginFile};
use crate::checkpoints::Checkpoints;
use crate::denials::Denials;
use crate::dispatcher::Told;
use crate::local::Local;
use crate::modules::Modules;
use crate::once::Once;
use crate::reach::Reach;
use crate::runtime::Runtime;
use crate::secrets::SecretsStore;
use crate::submission::Begun;
use database::Database;
use identity::{Passwords, SiteCa, Throttle};
use jobs::Job;
use parking_lot::Mutex;
use plugin_host::Host;
use schema::{Object, Problem};
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
    pub(crate) begun: Begun,
    pub(crate) secrets_store: SecretsStore,
    pub(crate) reach: Reach,
    /// What jobs tell, for those who watch them.
    pub(crate) told: broadcast::Sender<Told>,
    /// The reconciler has something to look at.
    pub(crate) due: Notify,
    /// Rights of some operator, session or token changed.
    pub(crate) grants_changed: watch::Sender<()>,
    /// An operator changed a setting, or who is in a group.
    pub(crate) settings_changed: watch::Sender<()>,
    pub(crate) passwords: Arc<Passwords>,
    pub(crate) hashing: Arc<Semaphore>,
    pub(crate) throttle: Mutex<Throttle>,
    pub(crate) denials: Denials,
    pub(crate) checkpoints: Checkpoints,
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
    pub(crate) checkpoints: Checkpoints,
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
            begun: Begun::default(),
            secrets_store: parts.secrets,
            reach: parts.reach,
            told: broadcast::Sender::new(TOLD),
            due: Notify::new(),
            grants_changed: watch::Sender::new(()),
            settings_changed: watch::Sender::new(()),
            passwords: Arc::new(Passwords::new()),
            hashing: Arc::new(Semaphore::new(HASHING_AT_ONCE)),
            throttle: Mutex::default(),
            denials: Denials::default(),
            checkpoints: parts.checkpoints,
            secure: parts.secure,
        }
    }

    /// The agents' port; started before anything that uses it.
    pub(crate) fn agents(&self) -> &Agents {
        self.agents.get().expect("the agents' port is started before requests are served")
    }

    /// The input of a job as its command is to see it, with the secrets that were kept aside.
    ///
    /// # Errors
    /// They are gone, since the administrator was restarted meanwhile.
    pub(crate) fn whole_input(&self, job: &Job) -> Result<Object, Problem> {
        let modules = self.modules.current();
        self.once.whole_input(job, modules.command(&job.command).ok().map(|(_, command)| command))
    }
}
