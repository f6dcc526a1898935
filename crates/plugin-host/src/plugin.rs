//! Keeps one plugin running: starts it, starts its service, starts it again after a crash with growing pauses, and
//! puts it into quarantine when it crashes too often.

mod instance;

use crate::accounts::Accounts;
use crate::child::Spawner;
use crate::store::{Stored, keep_details};
use crate::switchboard::Switchboard;
use crate::wire::Failed;
use crate::{HostConfig, PluginState, PluginStatus, Services, Transport};
use parking_lot::Mutex;
use schema::{Manifest, Needs, Problem};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// What all plugins of a host share.
pub(crate) struct Shared {
    pub(crate) config: HostConfig,
    pub(crate) services: Arc<dyn Services>,
    pub(crate) spawner: Spawner,
    pub(crate) accounts: Accounts,
    pub(crate) tasks: TaskTracker,
    pub(crate) statuses: watch::Sender<Arc<Vec<PluginStatus>>>,
    /// What came with each plugin as granted.
    pub(crate) granted: Mutex<BTreeMap<String, Needs>>,
}

impl Shared {
    /// Changes what is said of the plugin with this name.
    pub(crate) fn update(&self, name: &str, change: impl FnOnce(&mut PluginStatus)) {
        self.statuses.send_modify(|all| {
            if let Some(status) = Arc::make_mut(all).iter_mut().find(|status| status.name == name) {
                change(status);
            }
        });
    }

    /// Adds a plugin, or takes the place of the one with its name.
    pub(crate) fn put(&self, status: PluginStatus) {
        self.statuses.send_modify(|all| {
            let all = Arc::make_mut(all);
            all.retain(|other| other.name != status.name);
            all.push(status);
            all.sort_by(|a, b| a.name.cmp(&b.name));
        });
    }
}

/// What an operator wants of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Desired {
    /// To run; the number grows with each wish to try again.
    Run(u32),
    Disabled,
    Gone,
}

/// A loaded plugin as the host holds it.
#[derive(Clone)]
pub(crate) struct Plugin {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) stored: Stored,
    desired: watch::Sender<Desired>,
    board: watch::Receiver<Option<Arc<Switchboard>>>,
}

/// A plugin as it was found, to be kept running.
pub(crate) struct Found {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) json: String,
    pub(crate) stored: Stored,
    pub(crate) panic_unwind: bool,
}

impl Plugin {
    /// Starts it, in a task of the host's.
    pub(crate) fn start(found: Found, shared: &Arc<Shared>) -> Plugin {
        let (desired, wanted) = watch::channel(Desired::Run(0));
        let (boards, board) = watch::channel(None);
        let plugin = Plugin { manifest: found.manifest.clone(), stored: found.stored.clone(), desired, board };
        let current = Desired::Run(0);
        let supervisor =
            Supervisor { found, shared: shared.clone(), wanted, current, boards, crashes: VecDeque::new() };
        shared.tasks.spawn(supervisor.run());
        plugin
    }

    /// The running instance; waits a while for one that is being started.
    pub(crate) async fn board(
        &self,
        wait: Duration,
        status: impl Fn() -> Option<PluginStatus>,
    ) -> Result<Arc<Switchboard>, Problem> {
        let mut board = self.board.clone();
        let usable = |board: &Option<Arc<Switchboard>>| board.as_ref().is_some_and(|board| !board.is_doomed());
        let now = board.borrow().clone();
        match now {
            Some(board) if !board.is_doomed() => return Ok(board),
            _ => {}
        }
        let doomed = now.is_some();
        let not_running = || status().map_or_else(|| Problem::internal("the plugin is gone."), |s| s.problem());
        if !doomed && !status().is_some_and(|s| matches!(s.state, PluginState::Starting | PluginState::Restarting)) {
            return Err(not_running());
        }
        let running = tokio::time::timeout(wait, board.wait_for(usable)).await;
        match running {
            Ok(Ok(board)) => board.clone().ok_or_else(not_running),
            _ => Err(not_running()),
        }
    }

    /// Waits until this instance is no longer the one that is called.
    pub(crate) async fn passed(&self, board: &Arc<Switchboard>) {
        let mut current = self.board.clone();
        let other = |now: &Option<Arc<Switchboard>>| !now.as_ref().is_some_and(|now| Arc::ptr_eq(now, board));
        // A supervisor that is gone has passed too.
        let _ = current.wait_for(other).await;
    }

    pub(crate) fn want(&self, change: impl FnOnce(Desired) -> Desired) {
        self.desired.send_modify(|desired| *desired = change(*desired));
    }

    /// Waits until it has ended for good.
    pub(crate) async fn gone(&self) {
        let mut board = self.board.clone();
        // The supervisor drops its end when it returns.
        while board.changed().await.is_ok() {}
    }
}

/// How one instance ended.
enum End {
    /// It was asked to.
    Stopped,
    /// It cannot be used; trying again would not help.
    Failed(Failed),
    /// In a line.
    Crashed(String),
}

struct Supervisor {
    found: Found,
    shared: Arc<Shared>,
    wanted: watch::Receiver<Desired>,
    /// The wish that is being fulfilled.
    current: Desired,
    boards: watch::Sender<Option<Arc<Switchboard>>>,
    /// When it crashed, oldest first, within the window of the quarantine.
    crashes: VecDeque<Instant>,
}

impl Supervisor {
    async fn run(mut self) {
        loop {
            self.current = *self.wanted.borrow_and_update();
            match self.current {
                Desired::Gone => return,
                Desired::Disabled => {
                    self.say(PluginState::Disabled, Some("An operator disabled it."), Some("Enable it."));
                    self.until_wanted_otherwise().await;
                    continue;
                }
                Desired::Run(_) => {}
            }
            let end = self.instance().await;
            self.shared.update(self.name(), |status| (status.pid, status.sandbox) = (None, None));
            match end {
                End::Stopped => {}
                End::Failed(failed) => self.failed(failed).await,
                End::Crashed(cause) => self.crashed(&cause).await,
            }
        }
    }

    fn name(&self) -> &str {
        &self.found.manifest.plugin.name
    }

    fn say(&self, state: PluginState, cause: Option<&str>, remedy: Option<&str>) {
        self.shared.update(self.name(), |status| {
            status.state = state;
            status.cause = cause.map(str::to_owned);
            status.remedy = remedy.map(str::to_owned);
        });
    }

    async fn until_wanted_otherwise(&mut self) {
        // An error means that the host is gone, which the next look at `wanted` would not show.
        if self.wanted.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn failed(&mut self, failed: Failed) {
        let remedy = explain(&failed, &self.found.stored);
        self.say(PluginState::Failed, Some(&failed.cause), Some(&remedy));
        self.until_wanted_otherwise().await;
    }

    async fn crashed(&mut self, cause: &str) {
        let (now, limits) = (Instant::now(), self.shared.config.limits.clone());
        self.crashes.push_back(now);
        self.crashes.retain(|at| now.duration_since(*at) < limits.quarantine_window);
        self.shared.update(self.name(), |status| status.crashes += 1);
        if self.crashes.len() >= limits.quarantine_after {
            let remedy = "Install a mended version, or enable the plugin to try it again.";
            self.say(PluginState::Quarantined, Some(cause), Some(remedy));
            self.until_wanted_otherwise().await;
            self.crashes.clear();
            return;
        }
        let doublings = u32::try_from(self.crashes.len() - 1).unwrap_or(u32::MAX).min(16);
        let pause = limits.first_back_off.saturating_mul(2_u32.saturating_pow(doublings)).min(limits.longest_back_off);
        let remedy = format!("Nothing: it is started again in {} s.", pause.as_secs_f64());
        self.say(PluginState::Restarting, Some(cause), Some(&remedy));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.until_wanted_otherwise() => {}
        }
    }

    /// Whether this instance belongs into a runner.
    fn needs_runner(&self) -> bool {
        self.shared.config.transport == Transport::Runner || !self.found.panic_unwind
    }
}

/// A plugin that would take this process with it.
pub(crate) fn aborts() -> Failed {
    Failed {
        cause: "The plugin is built to abort on a panic and would end this program with it.".to_owned(),
        remedy: "Let it run in a runner, or build it with panic = \"unwind\".".to_owned(),
        details: None,
    }
}

/// The remedy, with the place of the long text where there is one.
pub(crate) fn explain(failed: &Failed, stored: &Stored) -> String {
    let kept = failed.details.as_deref().and_then(|details| keep_details(stored, details));
    match kept {
        Some(path) => format!("{} Details: {}", failed.remedy, path.display()),
        None => failed.remedy.clone(),
    }
}
