//! The one place from which the administrator spawns tasks, and the one way it ends them.

use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest time tasks get to end by themselves.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Spawns tasks that all end together. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Runtime {
    /// Runs `task` until it ends or the administrator stops; it is dropped where it stands then.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Runs `task` to its end, also while the administrator stops; the task watches [`Runtime::stopping`] itself.
    pub fn spawn_to_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Runs `work` in a task of its own and waits for what it says: whoever stops waiting does not stop the work.
    /// `None` where the work panicked.
    pub async fn detached<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        // Nobody may be waiting any more.
        self.spawn_to_end(async move { drop(answer.send(work.await)) });
        answered.await.ok()
    }

    /// Fires when the administrator stops.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Tells every task to end and waits for them, at most the shutdown time.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "some tasks did not end in time");
        }
    }
}
