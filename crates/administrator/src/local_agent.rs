//! The agent of the administrator's own machine, as a child process that goes when the administrator goes.

use crate::app::App;
use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// How long the agent gets to end by itself.
const STOP: Duration = Duration::from_secs(4);
/// Pause before an agent that ended is started again; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The running agent of this machine.
pub(crate) struct LocalAgent {
    stop: CancellationToken,
    ended: CancellationToken,
}

/// The agent's program: beside this one.
pub(crate) fn program() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.join("bailiwick-agent");
    beside.is_file().then_some(beside)
}

/// Starts the agent and keeps it running. A machine that joins for the first time gets a token of its own.
pub(crate) async fn start(app: &Arc<App>, state: &Path) -> Result<Option<LocalAgent>> {
    let Some(program) = program() else {
        tracing::warn!("there is no bailiwick-agent beside this program: this machine itself is not looked after");
        return Ok(None);
    };
    let directory = state.join("agent");
    let stop = CancellationToken::new();
    let ended = CancellationToken::new();
    let ended_tell = ended.clone();
    let mut child = spawn(app, &program, &directory).await?;
    let (app, watched) = (app.clone(), stop.clone());
    app.runtime.clone().spawn_to_end(async move {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                () = watched.cancelled() => {
                    end(child).await;
                    break;
                }
                status = child.wait() => {
                    tracing::warn!(?status, "the agent of this machine ended and is started again");
                    tokio::select! {
                        () = watched.cancelled() => break,
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    }
                    match spawn(&app, &program, &directory).await {
                        Ok(next) => child = next,
                        Err(error) => {
                            tracing::error!(%error, "the agent of this machine cannot be started");
                            break;
                        }
                    }
                }
            }
        }
        ended_tell.cancel();
    });
    Ok(Some(LocalAgent { stop, ended }))
}

async fn spawn(app: &App, program: &Path, directory: &Path) -> Result<Child> {
    let mut command = Command::new(program);
    command.arg("run").arg("--state").arg(directory);
    // A state directory without an identity was never enrolled; one that has it needs no token.
    let address = vec![app.reach.for_this_machine()];
    let expires = Timestamp::now() + SignedDuration::from_mins(10);
    command.arg("--join").arg(app.new_join_token(address, expires, "administrator").await?);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    // The agent asks the kernel to be ended with its parent, should this process be killed.
    command.arg("--with-parent");
    command.spawn().with_context(|| format!("{} cannot be started", program.display()))
}

async fn end(mut child: Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself a moment ago.
        if let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM) {
            tracing::debug!(%error, "the agent of this machine had ended");
        }
    }
    if tokio::time::timeout(STOP, child.wait()).await.is_err()
        && let Err(error) = child.kill().await
    {
        tracing::warn!(%error, "the agent of this machine could not be ended");
    }
}

impl LocalAgent {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }
}
