//! Starting and stopping of the agent.

use crate::core::Core;
use crate::enrol::{self, EnrolError};
use crate::journal::{Journal, JournalError};
use crate::services::MachineServices;
use crate::state::{Enrolment, OLD_ENROLMENT, State, StateError};
use crate::{facts, jobs, plugins, uplink};
use plugin_host::{Host, HostConfig};
use protocol::FromAgent;
use schema::{Problem, Role};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest time that plugins and tasks get to end by themselves.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// Attempts to enrol when nobody answers, for an administrator that is just being started.
const ENROL_ATTEMPTS: u32 = 4;

/// Tenths of a second that files may be held by an agent before this one.
const PATIENCE: u32 = 20;

/// How an agent is run.
#[derive(Clone, Debug)]
pub struct Options {
    pub state: PathBuf,
    /// Join token; used where the machine belongs to no site, to another one, or was taken out of this one.
    pub join: Option<String>,
    pub plugins_in_process: bool,
    /// Program and arguments that become a plugin's runner; this very program where absent.
    pub runner: Option<plugin_host::RunnerProgram>,
}

/// Why an agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(
        "this machine belongs to no administrator yet. Make a join token with: bailiwick fleet join-token, and start the agent with: --join TOKEN"
    )]
    NotEnrolled,
    #[error("plugins cannot be run: {0}")]
    Plugins(Problem),
    #[error("the agent's own program cannot be found: {0}")]
    Program(std::io::Error),
}

/// Enrols, if that is not done yet, or the token leads elsewhere, or this machine was taken out of its site. The device
/// key stays the same, and so does the journal where the site does.
pub async fn join(state: &State, token: Option<&str>) -> Result<Enrolment, RunError> {
    let known = state.enrolment()?;
    let (known, token) = match (known, token.filter(|token| !token.trim().is_empty())) {
        (Some(known), None) => return Ok(known),
        (None, None) => return Err(RunError::NotEnrolled),
        (known, Some(token)) => (known, token),
    };
    if let Some(known) = &known {
        if !enrol::is_for_another_life(known, token, &state.device_key()?).await? {
            tracing::info!(site = %known.site, "this machine belongs to its site already, so the join token is not used");
            return Ok(known.clone());
        }
        state.keep_old(known)?;
    }
    let mut attempt = 1;
    let fresh = loop {
        match enrol::enrol(state, token).await {
            Err(EnrolError::Unreachable(_)) if attempt < ENROL_ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(500 * u64::from(attempt))).await;
                attempt += 1;
            }
            outcome => break outcome?,
        }
    };
    if let Some(known) = known {
        let (old, new) = (known.site, fresh.site);
        if old != new {
            state.put_journal_aside()?;
        }
        tracing::warn!(
            "this machine left the site {old} and belongs to the site {new} now; its former enrolment is kept in {}",
            state.dir().join(OLD_ENROLMENT).display()
        );
    }
    Ok(fresh)
}

/// The enrolment to run with: a machine that belongs to a site goes on there where it cannot join another.
async fn enrolled(state: &State, token: Option<&str>) -> Result<Enrolment, RunError> {
    match (join(state, token).await, state.enrolment()) {
        (Err(error), Ok(Some(known))) => {
            tracing::error!("{error}\nThis machine stays with the site {} meanwhile.", known.site);
            Ok(known)
        }
        (outcome, _) => outcome,
    }
}

/// Runs until `stop`.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), RunError> {
    let state = patiently(|| State::open(&options.state)).await?;
    let enrolment = tokio::select! {
        enrolment = enrolled(&state, options.join.as_deref()) => enrolment?,
        () = stop.cancelled() => return Ok(()),
    };
    tracing::info!(machine = %enrolment.machine, "the agent starts");
    let path = state.dir().join("journal.redb");
    let journal = patiently(|| Journal::open(&path)).await?;
    let config = host_config(&options, &state)?;
    let core = Core::new(state, journal, enrolment, stop.clone());
    let services = Arc::new(MachineServices(Arc::downgrade(&core)));
    let host = Host::start(config, services).await.map_err(RunError::Plugins)?;
    core.host.set(host).ok().expect("the host is set once");
    core.wanted.send_replace(plugins::remembered(&core));
    core.spawn(plugins::keep(Arc::clone(&core)));
    core.spawn(plugins::report(Arc::clone(&core)));
    jobs::go_on(&core).await?;
    core.spawn(uplink::keep(Arc::clone(&core)));
    let telling = Arc::clone(&core);
    core.spawn(facts::watch(stop.clone(), move |facts| telling.outbox.say(FromAgent::Facts(facts))));

    stop.cancelled().await;
    tracing::info!("the agent stops");
    core.tasks.close();
    // A plugin that does not end in time is ended by force; its jobs are then as their journal says.
    if tokio::time::timeout(SHUTDOWN, core.tasks.wait()).await.is_err() {
        tracing::warn!(left = core.tasks.len(), "some tasks did not end in time");
    }
    core.host().shutdown(SHUTDOWN).await;
    Ok(())
}

/// Tries again for a moment: an agent that is just ending, or a child it just started, may still hold the files.
async fn patiently<T, E>(mut open: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 0..PATIENCE {
        if let Ok(opened) = open() {
            return Ok(opened);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    open()
}

fn host_config(options: &Options, state: &State) -> Result<HostConfig, RunError> {
    let dir = state.dir().join("host");
    let mut config = if options.plugins_in_process {
        HostConfig::in_process(Role::Machine, dir)
    } else {
        HostConfig::runner(Role::Machine, dir).map_err(RunError::Program)?
    };
    if let Some(runner) = &options.runner {
        config.runner = Some(runner.clone());
    }
    config.version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(config)
}
