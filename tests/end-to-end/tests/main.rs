//! The product from outside: every line of the promise that a person could check by hand, checked with real programs.

mod audit;
mod backup;
mod bad_backups;
mod bad_input;
mod bench;
mod browser;
mod contract;
mod crash;
mod first_screen;
mod install;
mod jobs;
mod machines;
mod mount;
mod operators;
mod plugins;
mod rivals;
mod standalone;
mod streams;
mod surface;
mod trust;

use end_to_end::{Case, Client, Site, process};
use serde_json::json;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let cases: Vec<Case> = [
        install::cases(),
        first_screen::cases(),
        machines::cases(),
        trust::cases(),
        plugins::cases(),
        contract::cases(),
        jobs::cases(),
        crash::cases(),
        streams::cases(),
        surface::cases(),
        standalone::cases(),
        backup::cases(),
        mount::cases(),
        rivals::cases(),
        bad_backups::cases(),
        audit::cases(),
        operators::cases(),
        bad_input::cases(),
        browser::cases(),
        bench::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    end_to_end::inside::main(cases)
}

/// Changes the database of an administrator that does not run, in one of the ways of `tamper.py`.
fn tamper(site: &Site, how: &str) -> anyhow::Result<PathBuf> {
    let file = site.state().join("bailiwick.db");
    let script = process::root().join("tests/end-to-end/tests/tamper.py");
    process::run(Command::new("python3").arg(script).arg(&file).arg(how))?;
    Ok(file)
}

/// Has this machine report a row with each of these texts in it.
fn greet_each(site: &Site, manager: &Client, texts: &[&str]) -> anyhow::Result<()> {
    let machine = end_to_end::soon("this machine is online", || {
        Ok(manager.rows("fleet/machines")?.into_iter().find(|row| row["status"] == "online"))
    })?;
    for text in texts {
        manager.run("hello.greet", &json!({"to": text, "machine": machine["id"]}))?;
    }
    end_to_end::soon(&format!("the rows are at {}", site.url), || {
        Ok((manager.rows("hello/greetings")?.len() == texts.len()).then_some(()))
    })
}
