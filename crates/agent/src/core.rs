//! What the parts of a running agent share.

use crate::jobs::Running;
use crate::journal::{Journal, JournalError};
use crate::outbox::Outbox;
use crate::policy::Policy;
use crate::state::{Enrolment, State};
use link::Dialer;
use parking_lot::{Mutex, RwLock};
use plugin_host::Host;
use protocol::{PluginOffer, PluginReport};
use schema::Problem;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The agent while it runs.
pub struct Core {
    pub state: State,
    pub journal: Arc<Journal>,
    pub policy: Policy,
    pub outbox: Outbox,
    pub running: Running,
    pub enrolment: RwLock<Enrolment>,
    /// Set once, right after the host was started with this core as its services.
    pub host: OnceLock<Host>,
    /// The way to the administrator that worked last.
    pub dialer: Mutex<Option<Dialer>>,
    /// Plugins the machine is to have.
    pub wanted: watch::Sender<Vec<PluginOffer>>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

impl Core {
    /// The plugin host.
    pub fn host(&self) -> &Host {
        self.host.get().expect("the host is started before anything asks for it")
    }

    /// Runs `task` until it ends or the agent stops.
    pub fn spawn(self: &Arc<Core>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Uses the journal where waiting for the disk does no harm.
    pub async fn with_journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = Arc::clone(&self.journal);
        let work = tokio::task::spawn_blocking(move || work(&journal));
        work.await.expect("the journal does not panic")
    }

    /// The way to the administrator that is connected.
    pub fn dialer(&self) -> Result<Dialer, Problem> {
        let dialer = self.dialer.lock().clone();
        dialer.ok_or_else(|| Problem::new(schema::Code::Unavailable, "The administrator is not connected."))
    }

    /// How every plugin does.
    pub fn plugin_reports(&self) -> Vec<PluginReport> {
        self.host.get().map(|host| crate::plugins::reports(&host.plugins())).unwrap_or_default()
    }
}
