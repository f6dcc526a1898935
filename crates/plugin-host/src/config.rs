//! How a host runs its plugins, and what it can say about each.

use schema::{Manifest, Problem, Role};
use serde::Serialize;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How a host runs its plugins.
#[derive(Clone, Debug)]
pub struct HostConfig {
    pub role: Role,
    pub transport: Transport,
    /// The program that becomes a runner; needed by [`Transport::Runner`], and by a plugin built with
    /// `panic = "abort"` under either.
    pub runner: Option<RunnerProgram>,
    /// A directory of this host alone: copies of libraries, and a directory of files for each plugin.
    pub state_dir: PathBuf,
    /// Version of the host, told to plugins.
    pub version: String,
    /// Both roles run in this process, for whoever started it; told to plugins.
    pub standalone: bool,
    pub limits: Limits,
}

impl HostConfig {
    /// Runs plugins in runners, which are this very program with the argument `plugin-runner`.
    ///
    /// # Errors
    /// The path of this program cannot be told.
    pub fn runner(role: Role, state_dir: PathBuf) -> std::io::Result<HostConfig> {
        let program = RunnerProgram { program: std::env::current_exe()?, args: vec!["plugin-runner".into()] };
        Ok(HostConfig { runner: Some(program), ..HostConfig::in_process(role, state_dir) }
            .with_transport(Transport::Runner))
    }

    /// Runs plugins in this process.
    pub fn in_process(role: Role, state_dir: PathBuf) -> HostConfig {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let limits = Limits::default();
        HostConfig {
            role,
            transport: Transport::InProcess,
            runner: None,
            state_dir,
            version,
            standalone: false,
            limits,
        }
    }

    /// Runs plugins in this process, with both of their roles and without a site.
    pub fn standalone(role: Role, state_dir: PathBuf) -> HostConfig {
        HostConfig { standalone: true, ..HostConfig::in_process(role, state_dir) }
    }

    #[must_use]
    pub fn with_transport(mut self, transport: Transport) -> HostConfig {
        self.transport = transport;
        self
    }
}

/// Where a plugin's code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a child process of its own.
    Runner,
    /// In this process, which it can take down.
    InProcess,
}

/// A program whose `main` calls [`crate::runner_main`] for these arguments before it starts any thread.
#[derive(Clone, Debug)]
pub struct RunnerProgram {
    pub program: PathBuf,
    pub args: Vec<OsString>,
}

/// Times and sizes a plugin is held to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From `cancel` to the end by force.
    pub grace: Duration,
    /// A call of a method that has not returned after this is a hang.
    pub hang: Duration,
    /// A plugin that is not open after this has failed.
    pub open: Duration,
    /// How long a call waits for a plugin that is being started again.
    pub wait_for_start: Duration,
    /// First pause before a crashed plugin is started again; it doubles up to `longest_back_off`.
    pub first_back_off: Duration,
    pub longest_back_off: Duration,
    /// Crashes within `quarantine_window` after which the plugin is not started again by itself.
    pub quarantine_after: usize,
    pub quarantine_window: Duration,
    /// Operations of one plugin at a time.
    pub operations: usize,
    /// Host requests of one operation at a time.
    pub requests: usize,
    /// Streams of one operation.
    pub streams: usize,
    /// Address space of a runner in MiB where the manifest names none.
    pub memory_mib: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            grace: Duration::from_secs(5),
            hang: Duration::from_secs(5),
            open: Duration::from_secs(10),
            wait_for_start: Duration::from_secs(10),
            first_back_off: Duration::from_secs(1),
            longest_back_off: Duration::from_secs(60),
            quarantine_after: 5,
            quarantine_window: Duration::from_secs(600),
            operations: 4096,
            requests: 256,
            streams: 64,
            memory_mib: 2048,
        }
    }
}

/// What a host can say about a plugin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PluginStatus {
    /// Slug from the manifest; the file's stem while there is none.
    pub name: String,
    #[serde(skip)]
    pub manifest: Option<Manifest>,
    pub state: PluginState,
    /// What is wrong, in a line.
    pub cause: Option<String>,
    /// What to do about it, in a line.
    pub remedy: Option<String>,
    /// The text of the last panic, as the plugin gave it.
    pub last_panic: Option<String>,
    /// Process of the runner.
    pub pid: Option<u32>,
    /// What the runner was held to, as it was in effect.
    pub sandbox: Option<Sandbox>,
    /// Hash and length of the library's file.
    pub blake3: String,
    pub bytes: u64,
    pub crashes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    Starting,
    Ok,
    /// It could not be used at all.
    Failed,
    /// It crashed and is started again after a pause.
    Restarting,
    /// It crashed too often; only an operator starts it again.
    Quarantined,
    Disabled,
}

impl PluginState {
    pub fn as_str(self) -> &'static str {
        match self {
            PluginState::Starting => "starting",
            PluginState::Ok => "ok",
            PluginState::Failed => "failed",
            PluginState::Restarting => "restarting",
            PluginState::Quarantined => "quarantined",
            PluginState::Disabled => "disabled",
        }
    }
}

/// What holds a runner, in words for the operator. `missing` says what this system could not do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, serde::Deserialize)]
pub struct Sandbox {
    pub user: String,
    pub capabilities: Vec<String>,
    pub landlock: String,
    pub seccomp: String,
    pub limits: Vec<String>,
    #[serde(default)]
    pub missing: Vec<String>,
}

impl Sandbox {
    /// What is enforced, a line each, and what this system could not do.
    pub fn lines(&self) -> Vec<String> {
        let list =
            |what: &str, of: &[String]| if of.is_empty() { None } else { Some(format!("{what} {}", of.join(", "))) };
        let fixed =
            [format!("user {}", self.user), format!("landlock {}", self.landlock), format!("seccomp {}", self.seccomp)];
        let lists = [list("capabilities", &self.capabilities), list("limits", &self.limits)];
        let missing = self.missing.iter().map(|missing| format!("missing: {missing}"));
        fixed.into_iter().chain(lists.into_iter().flatten()).chain(missing).collect()
    }
}

impl PluginStatus {
    /// Why it does not run, else what it last panicked with, in a line.
    pub fn cause_or_panic(&self) -> Option<String> {
        let panic = || self.last_panic.as_ref().map(|panic| format!("its last panic: {panic}"));
        self.cause.clone().or_else(panic)
    }

    /// The problem a caller gets while the plugin is in this state.
    pub fn problem(&self) -> Problem {
        let code = match self.state {
            PluginState::Failed | PluginState::Quarantined => schema::Code::Crashed,
            _ => schema::Code::Unavailable,
        };
        let cause = self.cause.as_deref().unwrap_or("it is not running.");
        let mut problem = Problem::new(code, format!("the plugin {} is {}: {cause}", self.name, self.state.as_str()));
        problem.retryable = matches!(self.state, PluginState::Starting | PluginState::Restarting);
        problem.fix = self.remedy.clone();
        problem
    }
}
