//! `bailiwick-agent`: the service on every managed machine.

use agent::state::State;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The Bailiwick agent: the service on every managed machine.
#[derive(Parser)]
#[command(version)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the agent until it is told to stop.
    Run {
        #[command(flatten)]
        place: Place,
        /// Join token (one word), for a machine that belongs to no administrator, to another one, or was taken out.
        #[arg(long, value_name = "TOKEN", env = "BAILIWICK_JOIN", hide_env_values = true)]
        join: Option<String>,
        /// Run plugins in this process instead of a runner each.
        #[arg(long)]
        plugins_in_process: bool,
        /// End when the program that started this one ends, however it ends.
        #[arg(long)]
        with_parent: bool,
    },
    /// Join this machine to its administrator without running the agent.
    Enrol {
        #[command(flatten)]
        place: Place,
        /// Join token (one word).
        #[arg(long, value_name = "TOKEN", env = "BAILIWICK_JOIN", hide_env_values = true)]
        join: String,
    },
    /// Hold one plugin; started by the agent itself.
    #[command(hide = true)]
    PluginRunner,
}

#[derive(Args)]
struct Place {
    /// Directory of the agent's key, journal and plugins.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bailiwick-agent")]
    state: PathBuf,
}

fn main() -> ExitCode {
    // Before any thread exists: a runner gives up its rights first.
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "plugin-runner") {
        return plugin_host::runner_main();
    }
    let line = Line::parse();
    if let Err(error) = hide_token() {
        eprintln!("bailiwick-agent: the join token stays readable in the list of processes: {error}");
    }
    let filter = EnvFilter::try_from_env("BAILIWICK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    if let Verb::Run { with_parent: true, .. } = &line.verb
        && let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
    {
        tracing::warn!(%error, "this agent will not notice the end of the program that started it");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(perform(line.verb)),
        Err(error) => Err(format!("the agent cannot be started: {error}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bailiwick-agent: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Every account can read the words a program was started with, and nobody else its environment: a join token among the
/// words moves there by starting anew.
fn hide_token() -> std::io::Result<()> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let Some((words, token)) = without_token(&words) else { return Ok(()) };
    let program = std::env::current_exe()?;
    Err(Command::new(program).args(&words[1..]).env("BAILIWICK_JOIN", token).exec())
}

/// The words without `--join TOKEN`, and the token.
fn without_token(words: &[OsString]) -> Option<(Vec<OsString>, OsString)> {
    let at = words.iter().position(|word| word == "--join" || word.as_encoded_bytes().starts_with(b"--join="))?;
    let mut rest = words.to_vec();
    let word = rest.remove(at);
    let token = match word.to_str()?.strip_prefix("--join=") {
        Some(token) => token.into(),
        None if at < rest.len() => rest.remove(at),
        None => return None,
    };
    Some((rest, token))
}

async fn perform(verb: Verb) -> Result<(), String> {
    match verb {
        Verb::Run { place, join, plugins_in_process, with_parent: _ } => {
            let options = agent::Options { state: place.state, join, plugins_in_process, runner: None };
            let stop = CancellationToken::new();
            let running = agent::run(options, stop.clone());
            tokio::pin!(running);
            let outcome = tokio::select! {
                outcome = &mut running => outcome,
                () = told_to_stop() => {
                    stop.cancel();
                    running.await
                }
            };
            outcome.map_err(|error| error.to_string())
        }
        Verb::Enrol { place, join } => {
            let joined = async {
                let state = State::open(&place.state)?;
                agent::join(&state, Some(&join)).await
            };
            let enrolment = joined.await.map_err(|error: agent::RunError| error.to_string())?;
            println!("This machine belongs to the site {} now.", enrolment.site);
            Ok(())
        }
        Verb::PluginRunner => Err("a plugin's runner is started by the agent itself".to_owned()),
    }
}

async fn told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_out_of_the_words_in_either_form() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let expected = Some((words("agent run --state s"), OsString::from("T")));
        for form in ["agent run --join T --state s", "agent run --state s --join T", "agent run --join=T --state s"] {
            assert_eq!(without_token(&words(form)), expected, "{form}");
        }
        for form in ["agent run --state s", "agent run --join"] {
            assert_eq!(without_token(&words(form)), None, "{form}");
        }
    }
}
