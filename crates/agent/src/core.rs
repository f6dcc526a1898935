//! What the parts of a running agent share.

use crate::jobs::Running;
use crate::journal::{Journal, JournalError};
use crate::outbox::Outbox;
use crate::plugins::Exchanges;
use crate::policy::Policy;
use crate::state::{Enrolment, State};
use link::Dialer;
use parking_lot::{Mutex, RwLock};
use plugin_host::{CallMeta, Host, Method, Operation};
use protocol::{PluginOffer, PluginReport};
use schema::Problem;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The agent while it runs.
pub(crate) struct Core {
    pub(crate) state: State,
    pub(crate) journal: Arc<Journal>,
    pub(crate) policy: Policy,
    pub(crate) outbox: Outbox,
    pub(crate) running: Running,
    pub(crate) enrolment: RwLock<Enrolment>,
    /// Set once, right after the host was started with this core as its services.
    pub(crate) host: OnceLock<Host>,
    /// The way to the administrator that worked last.
    pub(crate) dialer: Mutex<Option<Dialer>>,
    /// Plugins the machine is to have.
    pub(crate) wanted: watch::Sender<Vec<PluginOffer>>,
    pub(crate) exchanges: Exchanges,
    /// What was last said of settings of the machine's own file that do not count, by plugin.
    pub(crate) ignored_settings: Mutex<BTreeMap<String, String>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Core {
    /// An agent that does nothing yet.
    pub(crate) fn new(state: State, journal: Journal, enrolment: Enrolment, stop: CancellationToken) -> Arc<Core> {
        Arc::new(Core {
            policy: Policy::new(state.dir()),
            state,
            journal: Arc::new(journal),
            outbox: Outbox::default(),
            running: Running::default(),
            enrolment: RwLock::new(enrolment),
            host: OnceLock::new(),
            dialer: Mutex::new(None),
            wanted: watch::Sender::new(Vec::new()),
            exchanges: Exchanges::default(),
            ignored_settings: Mutex::default(),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// The plugin host.
    pub(crate) fn host(&self) -> &Host {
        self.host.get().expect("the host is started before anything asks for it")
    }

    /// Begins an operation of a plugin; waits where it is just being exchanged for another version.
    pub(crate) async fn call(
        &self,
        plugin: &str,
        method: Method,
        meta: CallMeta,
        payload: Value,
    ) -> Result<Operation, Problem> {
        loop {
            let exchanges = self.exchanges.settled(plugin).await;
            let outcome = self.host().call(plugin, method.clone(), meta.clone(), payload.clone()).await;
            if outcome.is_ok() || self.exchanges.begun(plugin) == exchanges {
                return outcome;
            }
        }
    }

    /// Runs `task` until it ends or the agent stops.
    pub(crate) fn spawn(self: &Arc<Core>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Runs `task` to its end, also where nobody waits for it any more; `None` where the agent stops first.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        self: &Arc<Core>,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let stop = self.stop.clone();
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => None,
                outcome = task => Some(outcome),
            }
        });
        task.await.ok().flatten()
    }

    /// Uses the journal where waiting for the disk does no harm.
    pub(crate) async fn with_journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = Arc::clone(&self.journal);
        let work = tokio::task::spawn_blocking(move || work(&journal));
        work.await.expect("the journal does not panic")
    }

    /// The way to the administrator that is connected.
    pub(crate) fn dialer(&self) -> Result<Dialer, Problem> {
        let dialer = self.dialer.lock().clone();
        dialer.ok_or_else(|| Problem::new(schema::Code::Unavailable, "The administrator is not connected."))
    }

    /// How every plugin does.
    pub(crate) fn plugin_reports(&self) -> Vec<PluginReport> {
        self.host.get().map(|host| crate::plugins::reports(&host.plugins())).unwrap_or_default()
    }
}
