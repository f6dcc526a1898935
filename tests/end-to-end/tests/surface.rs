//! The command line and the API as programs use them.

use anyhow::{Context, Result, ensure};
use end_to_end::process::{built, run};
use end_to_end::{Case, Site};
use serde_json::Value;
use std::process::Command;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("surface::the_command_line_knows_every_plugin", the_command_line_knows_every_plugin),
        Case::new("surface::tables_in_every_format", tables_in_every_format),
        Case::new("surface::exit_codes_tell_what_happened", exit_codes_tell_what_happened),
        Case::new("surface::open_api_describes_every_command", open_api_describes_every_command),
        Case::new("surface::no_request_makes_the_server_fail", no_request_makes_the_server_fail),
    ]
}

fn the_command_line_knows_every_plugin() -> Result<()> {
    let site = Site::new()?;
    let token = site.token("manager")?;
    let manifests = site.stranger().bearer(&token).get("/api/v1/manifests")?.ok()?;
    for manifest in manifests.as_array().context("no manifests")? {
        let name = manifest["plugin"]["name"].as_str().context("no name")?;
        let of_plugin = run(&mut site.cli(&token, &[name, "--help"]))?;
        for command in manifest["commands"].as_array().into_iter().flatten() {
            let id = command["id"].as_str().context("no id")?;
            ensure!(of_plugin.contains(id), "{name} {id} is not in the help:\n{of_plugin}");
            run(&mut site.cli(&token, &[name, id, "--help"]))?;
        }
    }
    Ok(())
}

fn tables_in_every_format() -> Result<()> {
    let site = Site::with_local_agent()?;
    let token = site.token("manager")?;
    let manager = site.stranger().bearer(&token);
    crate::greet_each(
        &site,
        &manager,
        &["=cmd|' /C calc'!A0", "plain", "\u{1b}[31mred\u{7}", "<script>alert(1)</script>"],
    )?;
    let print = |format: &str| run(&mut site.cli(&token, &["hello", "greetings", "-o", format]));
    let rows: Value = serde_json::from_str(&print("json")?)?;
    ensure!(rows.as_array().is_some_and(|rows| rows.len() == 4), "{rows}");
    let csv = print("csv")?;
    ensure!(csv.lines().count() == 5, "{csv}");
    ensure!(!csv.contains("\n=cmd") && !csv.contains(",=cmd") && !csv.contains("\"=cmd"), "a formula in {csv}");
    ensure!(print("yaml")?.contains("plain"));
    ensure!(print("name")?.lines().count() >= 4);
    for format in ["csv", "name", "table"] {
        let text = print(format)?;
        ensure!(
            !text.contains('\u{1b}') && !text.contains('\u{7}'),
            "{format} lets an escape sequence through: {text:?}"
        );
    }
    let one = manager.get("/api/v1/hello/greetings?format=csv&fields=count,who")?;
    ensure!(one.text.lines().next() == Some("\"count\",\"who\""), "{}", one.text);
    let export = manager.get("/api/v1/hello/greetings?format=csv")?;
    ensure!(
        export.status == 200 && !export.text.contains('\u{1b}') && !export.text.contains(",=cmd"),
        "{}",
        export.text
    );
    Ok(())
}

fn exit_codes_tell_what_happened() -> Result<()> {
    let site = Site::new()?;
    let (manager, auditor) = (site.token("manager")?, site.token("auditor")?);
    let code = |token: &str, words: &[&str]| -> Result<i32> {
        let output = site.cli(token, words).output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(!text.contains("panicked"), "{words:?}: {text}");
        ensure!(output.status.success() || !text.trim().is_empty(), "{words:?} failed without a word");
        output.status.code().context("ended by a signal")
    };
    ensure!(code(&manager, &["fleet", "machines"])? == 0);
    ensure!(code(&manager, &["fleet", "create-group", "x"])? == 0);
    ensure!(code(&auditor, &["fleet", "create-group", "y"])? == 4);
    ensure!(code("bw_nonsense", &["fleet", "machines"])? == 4);
    ensure!(code(&manager, &["fleet", "no-such-command"])? == 2);
    ensure!(code(&manager, &["fleet", "create-group"])? == 2);
    let mut lonely = site.cli(&manager, &["fleet", "machines"]);
    let output = lonely.env("BAILIWICK_URL", "http://127.0.0.1:9").output()?;
    ensure!(output.status.code() == Some(8), "{output:?}");
    Ok(())
}

fn open_api_describes_every_command() -> Result<()> {
    let site = Site::new()?;
    let document = site.stranger().get("/openapi.json")?.ok()?;
    ensure!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    let manifests = site.manager()?.get("/api/v1/manifests")?.ok()?;
    for manifest in manifests.as_array().context("no manifests")? {
        let name = manifest["plugin"]["name"].as_str().context("no name")?;
        for command in manifest["commands"].as_array().into_iter().flatten() {
            let path = format!("/api/v1/commands/{name}.{}", command["id"].as_str().unwrap_or_default());
            ensure!(document["paths"].get(&path).is_some(), "{path} is missing");
        }
        for view in manifest["views"].as_array().into_iter().flatten().filter(|view| view.get("of").is_some()) {
            let path = format!("/api/v1/{name}/{}", view["id"].as_str().unwrap_or_default());
            ensure!(document["paths"].get(&path).is_some(), "{path} is missing");
        }
    }
    Ok(())
}

fn no_request_makes_the_server_fail() -> Result<()> {
    let fuzzer = built().parent().context("no target folder")?.join("xtask/python/bin/schemathesis");
    ensure!(fuzzer.is_file(), "the API fuzzer is missing; `cargo xtask test` installs it");
    let site = Site::with_local_agent()?;
    let token = site.token("manager")?;
    let examples = if std::env::var_os("BAILIWICK_LONG").is_some() { "100" } else { "8" };
    let folder = tempfile::TempDir::new()?;
    let mut command = Command::new(fuzzer);
    command.current_dir(folder.path()).args(["run", &format!("{}/openapi.json", site.url)]);
    command.args(["--header", &format!("Authorization: Bearer {token}"), "--checks", "not_a_server_error"]);
    // One worker: its threads trip over each other in this Python's own parser, whatever the server does.
    command.args(["--max-examples", examples, "--workers", "1", "--request-timeout", "20", "--no-color"]);
    // The token in use must outlive the run.
    command.args(["--exclude-path", "/api/v1/commands/fleet.revoke-token"]);
    run(&mut command)?;
    ensure!(site.stranger().bearer(&token).get("/api/v1/session")?.status == 200);
    Ok(())
}
