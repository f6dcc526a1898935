//! Words of modules: read from the administrator's manifests, run over its interface.

use crate::client::Client;
use crate::streams::Streams;
use crate::watch;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::ArgMatches;
use jiff::Timestamp;
use schema::{JobState, Manifest, Object, Problem};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;
use surface::Shape;
use surface::cli::{self, CommandCall, Format, Invocation, Page, ViewCall};

/// Rows asked for at a time when all are wanted.
const PAGE: u32 = 1000;

/// Runs the words of a module.
pub(crate) fn run(own: clap::Command, arguments: &[String]) -> Result<ExitCode> {
    let client = Client::from_environment()?;
    let manifests = manifests(&client)?;
    let command = own.subcommands(manifests.iter().map(cli::plugin_command));
    let matches: ArgMatches = command.get_matches_from(arguments);
    match cli::parse(&manifests, &matches)? {
        Some(Invocation::View(call)) => view(&client, &manifests, &call),
        Some(Invocation::Command(call)) => run_command(&client, &manifests, call),
        None => bail!("there is nothing to do"),
    }
}

fn manifests(client: &Client) -> Result<Vec<Manifest>> {
    let Value::Array(list) = client.get("/api/v1/manifests")? else { bail!("the administrator sent no manifests") };
    let read = list.into_iter().map(|mut manifest| {
        if let Some(fields) = manifest.as_object_mut() {
            fields.shift_remove("state");
        }
        serde_json::from_value(manifest).context("a manifest of this administrator cannot be read: is it a newer one?")
    });
    read.collect()
}

fn view(client: &Client, manifests: &[Manifest], call: &ViewCall) -> Result<ExitCode> {
    let mut shape = shape(manifests, &call.plugin, &call.view)?;
    if let Some(fields) = &call.query.fields {
        shape = shape.only(fields);
    }
    loop {
        let rows = rows(client, call)?;
        if call.watch && std::io::stdout().is_terminal() {
            print!("\x1b[H\x1b[2J");
        }
        print(&rows, &shape, call.output, call.key.is_some())?;
        if !call.watch {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn shape(manifests: &[Manifest], plugin: &str, view: &str) -> Result<Shape> {
    let manifest = manifests.iter().find(|m| m.plugin.name == plugin).context("the module is gone")?;
    let view = manifest.view(view).context("the view is gone")?;
    Shape::of(manifests, manifest, view).context("the type of this view is not here")
}

fn rows(client: &Client, call: &ViewCall) -> Result<Vec<Object>> {
    let mut page = client.rows(&address(call))?;
    let mut rows = page.rows;
    while let (true, Some(next)) = (call.all, page.next.as_ref()) {
        page = client.rows(next)?;
        rows.append(&mut page.rows);
    }
    if let (Some(key), true) = (&call.key, rows.is_empty()) {
        return Err(Problem::not_found(format!("there is no {key} in {} {}.", call.plugin, call.view)).into());
    }
    if !call.all && page.next.is_some() {
        eprintln!("There are more; give --all for the rest.");
    }
    Ok(rows)
}

fn address(call: &ViewCall) -> String {
    let query = &call.query;
    let mut address = url::form_urlencoded::Serializer::new(format!("/api/v1/{}/{}?", call.plugin, call.view));
    let limit = if call.all { Some(PAGE) } else { query.page.limit };
    let texts =
        [("q", query.q.clone()), ("at", query.at.clone()), ("group", query.group.clone()), ("key", call.key.clone())];
    texts.iter().for_each(|(name, value)| {
        if let Some(value) = value {
            address.append_pair(name, value);
        }
    });
    if !query.filters.is_empty() {
        address.append_pair("where", &json!(query.filters).to_string());
    }
    if !query.sort.is_empty() {
        address.append_pair("sort", &query.sort.join(","));
    }
    if let Some(fields) = &query.fields {
        address.append_pair("fields", &fields.join(","));
    }
    if !query.params.is_empty() {
        address.append_pair("params", &json!(query.params).to_string());
    }
    if let Some(limit) = limit {
        address.append_pair("limit", &limit.to_string());
    }
    address.finish().replacen("?&", "?", 1)
}

pub(crate) fn print(rows: &[Object], shape: &Shape, format: Format, detail: bool) -> Result<()> {
    let width = std::io::stdout().is_terminal().then(watch::width).flatten();
    let text = cli::render(rows, shape, format, Page { width, now: Timestamp::now(), detail });
    let mut out = std::io::stdout().lock();
    // A reader that closed the pipe has seen enough.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("the output cannot be written"),
    }
}

fn run_command(client: &Client, manifests: &[Manifest], mut call: CommandCall) -> Result<ExitCode> {
    watch::ask_for_secrets(std::mem::take(&mut call.prompts), &mut call.input)?;
    let manifest = manifests.iter().find(|m| m.plugin.name == call.plugin).context("the module is gone")?;
    let command = manifest.command(&call.command).context("the command is gone")?;
    if !watch::agreed(command, &call)? {
        return Ok(ExitCode::from(JobState::Cancelled.exit_code()));
    }
    let streams = Streams::bind(command, &call.streams)?;
    let mut body = call.input.clone();
    match (call.machines.as_slice(), &call.group) {
        ([], None) => {}
        (_, Some(group)) => drop(body.insert("group".into(), group.as_str().into())),
        ([one], _) => drop(body.insert("machine".into(), one.as_str().into())),
        (many, _) => drop(body.insert("machines".into(), json!(many))),
    }
    let key = call.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let address = format!("/api/v1/commands/{}.{}", call.plugin, call.command);
    let answer = client.post(&address, &Value::Object(body), Some(&key))?;
    let job = answer.get("job").and_then(Value::as_str).context("the administrator named no job")?.to_owned();
    // What the administrator does by itself is over at once, and its result is what was asked for.
    let waits = call.wait || command.target.on != schema::TargetKind::Machine;
    if !waits {
        watch::print_value(&json!({"job": job}), call.output, Some("job"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let takes_stdout = streams.takes_stdout;
    let carried = streams.carry(client, &job)?;
    let ended = watch::follow(client, &job)?;
    carried.join().map_err(|_| anyhow!("carrying the streams failed"))?;
    if takes_stdout { watch::say_end(&ended) } else { watch::print_end(command, &ended, call.output) }
}
