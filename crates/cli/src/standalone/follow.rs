//! Follows a command of a module that runs alone to its end, and lets the person in front of it cut that short.

use crate::display::{Display, say};
use crate::streams::Streams;
use crate::watch;
use anyhow::{Context as _, Result};
use plugin_host::{OpEvent, Operation};
use schema::{Command, JobState, Problem};
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;
use surface::cli::Format;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// How often the line of progress is looked at while nothing is told.
const TICK: Duration = Duration::from_millis(250);

/// How a command ended.
pub(super) enum Ended {
    Done(Value),
    Part(Value, Problem),
    Failed(Problem),
}

impl Ended {
    /// Prints what became of it: a result alone, as there is no job it would belong to. With `quiet`, stdout carries
    /// something else.
    pub(super) fn print(self, command: &Command, format: Format, quiet: bool) -> Result<ExitCode> {
        let (result, state) = match self {
            Ended::Done(result) => (result, JobState::Succeeded),
            Ended::Part(result, problem) => {
                watch::complain("done in part", &problem);
                (result, JobState::Incomplete)
            }
            Ended::Failed(problem) => return Err(problem.into()),
        };
        let print = command.cli.as_ref().and_then(|hints| hints.print.as_deref());
        let says_something = format != Format::Table || print.is_some() || !result.is_null();
        if says_something && !quiet {
            watch::print_value(&result, format, print)?;
        }
        Ok(ExitCode::from(state.exit_code()))
    }
}

/// Shows what `operation` tells, carries its streams, and waits for its end. An interruption cancels it; a second one
/// ends this program at once.
pub(super) async fn follow(mut operation: Operation, mut streams: Streams) -> Result<Ended> {
    let mut interrupted = signal(SignalKind::interrupt()).context("signals cannot be caught")?;
    let mut terminated = signal(SignalKind::terminate()).context("signals cannot be caught")?;
    let (mut tick, mut display) = (tokio::time::interval(TICK), Display::new(JobState::Running));
    let (mut carried, mut ended, mut stopping) = (JoinSet::new(), None, false);
    loop {
        tokio::select! {
            event = operation.next(), if ended.is_none() => match event {
                Some(OpEvent::Done(result)) => ended = Some(Ended::Done(result)),
                Some(OpEvent::Part(result, problem)) => ended = Some(Ended::Part(result, problem)),
                Some(OpEvent::Fault(problem)) => ended = Some(Ended::Failed(problem)),
                None => ended = Some(Ended::Failed(Problem::internal("the command ended without a word."))),
                Some(OpEvent::Progress(progress)) => display.tell(&progress),
                Some(OpEvent::Warn(problem)) => say(&schema::neutral_text(&problem.to_string())),
                Some(OpEvent::Open { name, duplex, .. }) => {
                    if let Some(binding) = streams.take(&name) {
                        carried.spawn(binding.carry_here(duplex));
                    }
                }
                // Log lines are shown where all of them arrive; nobody resumes a command that runs alone.
                Some(OpEvent::Log { .. } | OpEvent::Checkpoint(_) | OpEvent::Rows(_)) => {}
            },
            Some(told) = carried.join_next() => {
                if let Ok(Err(error)) = told {
                    say(&schema::neutral_text(&format!("{error:#}")));
                }
            }
            _ = interrupted.recv() => stop(&operation, &mut stopping),
            _ = terminated.recv() => stop(&operation, &mut stopping),
            _ = tick.tick() => {}
        }
        display.draw();
        match ended {
            // What a stream still holds is written out before the end.
            Some(ended) if carried.is_empty() => return Ok(ended),
            _ => {}
        }
    }
}

fn stop(operation: &Operation, stopping: &mut bool) {
    if std::mem::replace(stopping, true) {
        say("Ended. It is not known how far it came.");
        std::process::exit(i32::from(JobState::Unknown.exit_code()));
    }
    say("Cancelling. Once more ends it at once.");
    operation.cancel();
}
