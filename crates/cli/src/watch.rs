//! Running a command as a person or a script sees it: questions before, progress meanwhile, the result at the end.

use crate::client::Client;
use crate::display::{Display, say};
use anyhow::{Context as _, Result, bail};
use schema::{Command, JobState, Object, Problem, neutral_text};
use serde_json::{Value, json};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;
use surface::cli::{CommandCall, Format, SecretPrompt};

/// How often a job is asked about while it runs.
const PERIOD: Duration = Duration::from_millis(200);

/// Columns of the terminal.
pub(crate) fn width() -> Option<usize> {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|width| *width > 0)
}

/// Asks for secrets and puts them where they belong: hidden on a terminal, else one line of input each.
pub(crate) fn ask_for_secrets(prompts: Vec<SecretPrompt>, values: &mut Object) -> Result<()> {
    for prompt in prompts {
        let value = secret(&prompt.title)?;
        let mut place = &mut *values;
        let (last, path) = prompt.path.split_last().context("a secret without a place")?;
        for name in path {
            let inner = place.entry(name.clone()).or_insert_with(|| json!({}));
            place = inner.as_object_mut().context("a secret inside something that is no object")?;
        }
        place.insert(last.clone(), Value::String(value));
    }
    Ok(())
}

fn secret(title: &str) -> Result<String> {
    let input = std::io::stdin();
    let terminal = input.is_terminal();
    let before = if terminal { rustix::termios::tcgetattr(&input).ok() } else { None };
    if let Some(before) = &before {
        eprint!("{}: ", neutral_text(title));
        let mut hidden = before.clone();
        hidden.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Now, &hidden)
            .context("the terminal cannot be kept from showing what is typed")?;
    }
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    if let Some(before) = &before {
        rustix::termios::tcsetattr(&input, rustix::termios::OptionalActions::Now, before)
            .context("the terminal cannot be set back")?;
        eprintln!();
    }
    read.with_context(|| format!("{title} cannot be read"))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks before something dangerous; without a terminal it must be agreed to beforehand, with `--yes`.
pub(crate) fn agreed(command: &Command, call: &CommandCall) -> Result<bool> {
    let Some(danger) = &command.danger else { return Ok(true) };
    let concerns = danger.when.as_ref().is_none_or(|when| when.holds(&call.input));
    if call.yes || call.dry_run || !concerns {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Problem::bad_request(format!("{}: {}", command.title, danger.text))
            .fix("Give --yes to go on without being asked.")
            .into());
    }
    eprint!("{}\n{}? [y/N] ", neutral_text(&danger.text), neutral_text(&command.title));
    std::io::stderr().flush().context("the question cannot be shown")?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("the answer cannot be read")?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Waits for the end of a job; its progress goes to stderr.
pub(crate) fn follow(client: &Client, job: &str) -> Result<Value> {
    let mut display = Display::new(JobState::Queued);
    loop {
        let now = client.get(&format!("/api/v1/jobs/{job}"))?;
        let state = state_of(&now)?;
        display.enter(state);
        if state.is_final() {
            drop(display);
            say(state.as_str());
            return Ok(now);
        }
        let progress = now.get("progress").filter(|progress| !progress.is_null());
        if let Some(progress) = progress.and_then(|progress| serde_json::from_value(progress.clone()).ok()) {
            display.tell(&progress);
        }
        display.draw();
        std::thread::sleep(PERIOD);
    }
}

/// Says what went wrong with a job, if anything; the exit code says it too.
pub(crate) fn say_end(job: &Value) -> Result<ExitCode> {
    for child in job.get("children").and_then(Value::as_array).into_iter().flatten() {
        complain_of(child);
    }
    complain_of(job);
    Ok(ExitCode::from(state_of(job)?.exit_code()))
}

fn state_of(job: &Value) -> Result<JobState> {
    job.get("state").and_then(Value::as_str).and_then(JobState::parse).context("a job without a state")
}

/// Prints what became of a job; the exit code says it too.
pub(crate) fn print_end(command: &Command, job: &Value, format: Format) -> Result<ExitCode> {
    let (state, code) = (state_of(job)?, say_end(job)?);
    let result = job.get("result").cloned().unwrap_or_default();
    let print = command.cli.as_ref().and_then(|hints| hints.print.as_deref());
    if format == Format::Table && print.is_none() && result.is_null() {
        return Ok(code);
    }
    match print {
        Some(field) if format == Format::Table && matches!(state, JobState::Succeeded | JobState::Incomplete) => {
            print_value(&result, Format::Table, Some(field))?
        }
        _ if format == Format::Table => print_value(&result, format, None)?,
        // A program gets the whole job: its state, result and problem.
        _ => print_value(job, format, None)?,
    }
    Ok(code)
}

fn complain_of(job: &Value) {
    let problem = job.get("problem").filter(|problem| !problem.is_null());
    if let Some(problem) = problem.and_then(|problem| serde_json::from_value::<Problem>(problem.clone()).ok()) {
        let machine = job.get("machine").and_then(|m| m.get("label")).and_then(Value::as_str).unwrap_or_default();
        complain(machine, &problem);
    }
}

/// Says what is wrong with `whom`, and why.
pub(crate) fn complain(whom: &str, problem: &Problem) {
    say(&format!("{}: {}", neutral_text(whom), neutral_text(&problem.to_string())));
    for cause in &problem.causes {
        say(&format!("  {}", neutral_text(&cause.to_string())));
    }
}

/// Prints one value: a field of it alone, or all of it.
pub(crate) fn print_value(value: &Value, format: Format, field: Option<&str>) -> Result<()> {
    let text = match (format, field.and_then(|field| value.get(field))) {
        (Format::Table | Format::Name, Some(Value::String(one))) => neutral_text(one),
        (Format::Table | Format::Name, Some(one)) => one.to_string(),
        (Format::Yaml, _) => serde_yaml_ng::to_string(value).context("the result cannot be shown as YAML")?,
        (Format::Table, None) => table(value),
        _ => serde_json::to_string_pretty(value).context("the result cannot be shown as JSON")?,
    };
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{}", text.trim_end())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        bail!("the output cannot be written: {error}");
    }
    Ok(())
}

fn table(value: &Value) -> String {
    let plain = |value: &Value| match value {
        Value::String(text) => neutral_text(text),
        other => neutral_text(&other.to_string()),
    };
    match value {
        Value::Object(fields) => {
            let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
            let line = |(name, value): (&String, &Value)| format!("{name:width$}  {}", plain(value));
            fields.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        other => plain(other),
    }
}
