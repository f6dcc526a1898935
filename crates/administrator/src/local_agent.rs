//! The agent of the administrator's own machine, as a child process that goes when the administrator goes.

use crate::app::App;
use crate::core::machines::Invitation;
use crate::records;
use anyhow::{Context as _, Result};
use identity::{Outcome, audit};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
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

/// The agent's state directory, in the administrator's.
const DIRECTORY: &str = "agent";
/// What the agent keeps of its enrolment, in its state directory.
const ENROLMENT: &str = "enrolment.json";
/// Where the agent looks for a join token besides its arguments.
const JOIN: &str = "BAILIWICK_JOIN";

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

/// Where the agent's host of plugins keeps what it is granted, below the administrator's state.
pub(crate) fn host_state(state: &Path) -> PathBuf {
    state.join(DIRECTORY).join("host")
}

/// Starts the agent and keeps it running. A machine that joins for the first time gets a token of its own.
pub(crate) async fn start(app: &Arc<App>, state: &Path) -> Result<Option<LocalAgent>> {
    let Some(program) = program() else {
        tracing::warn!("there is no bailiwick-agent beside this program: this machine itself is not looked after");
        return Ok(None);
    };
    let directory = state.join(DIRECTORY);
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
                    match again(&app, &program, &directory, &watched).await {
                        Some(next) => child = next,
                        None => break,
                    }
                }
            }
        }
        ended_tell.cancel();
    });
    Ok(Some(LocalAgent { stop, ended }))
}

/// Tries until it is started; nothing where it is not wanted any more.
async fn again(app: &App, program: &Path, directory: &Path, stop: &CancellationToken) -> Option<Child> {
    loop {
        match spawn(app, program, directory).await {
            Ok(child) => return Some(child),
            Err(error) => tracing::error!(%error, "the agent of this machine cannot be started; it is tried again"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(LONGEST_PAUSE) => {}
        }
    }
}

async fn spawn(app: &App, program: &Path, directory: &Path) -> Result<Child> {
    let is_enrolled = directory.join(ENROLMENT).exists();
    let join = if is_enrolled { None } else { Some(invite(app).await?) };
    command(program, directory, join).spawn().with_context(|| format!("{} cannot be started", program.display()))
}

/// A join token for this machine, on record.
async fn invite(app: &App) -> Result<String> {
    let expires_at = Timestamp::now() + SignedDuration::from_mins(10);
    let detail = json!({"expires_at": expires_at.to_string(), "for": "this machine"});
    let entry = records::system("fleet.join-token", None, Outcome::Done, detail);
    app.database.write(move |store| Ok(audit::append(store, entry, Timestamp::now())?)).await?;
    let invitation = Invitation { machine: None, expires_at, operator: "administrator".to_owned() };
    Ok(app.new_join_token(vec![app.reach.for_this_machine()], invitation).await?)
}

fn command(program: &Path, directory: &Path, join: Option<String>) -> Command {
    let mut command = Command::new(program);
    // The agent asks the kernel to be ended with its parent, should this process be killed.
    command.arg("run").arg("--with-parent").arg("--state").arg(directory);
    command.env_remove(JOIN);
    if let Some(join) = join {
        // Every user of the machine may read the arguments of a process, only its own its environment.
        command.env(JOIN, join);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    command
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_is_not_among_the_arguments_that_every_user_may_read() {
        let with = command(Path::new("/agent"), Path::new("/state"), Some("secret-word".to_owned()));
        let arguments: Vec<_> = with.as_std().get_args().collect();
        assert!(!arguments.iter().any(|argument| argument.to_string_lossy().contains("secret-word")));
        let given =
            |command: &Command| command.as_std().get_envs().any(|(name, value)| name == JOIN && value.is_some());
        assert!(given(&with));
        assert!(!given(&command(Path::new("/agent"), Path::new("/state"), None)));
    }
}
