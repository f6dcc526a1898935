//! Starting and ending the administrator, and every state directory it must not take.

use anyhow::{Context, Result, ensure};
use end_to_end::process::{Running, run};
use end_to_end::{Case, Site};
use serde_json::json;
use std::fs;
use std::process::Command;
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("install::it_prints_a_link_and_ends_cleanly", it_prints_a_link_and_ends_cleanly),
        Case::new("install::a_second_start_finds_all_state", a_second_start_finds_all_state),
        Case::new("install::a_port_in_use_is_said_so", a_port_in_use_is_said_so),
        Case::new("install::a_second_administrator_on_the_same_state", a_second_administrator),
        Case::new("install::a_foreign_state_is_left_alone", a_foreign_state_is_left_alone),
        Case::new("install::a_folder_of_something_else_is_left_alone", a_folder_of_something_else_is_left_alone),
        Case::new("install::a_newer_state_is_left_alone", a_newer_state_is_left_alone),
        Case::new("install::a_read_only_state_is_said_so", a_read_only_state_is_said_so)
            .root("mounts a folder read-only"),
        Case::new("install::nothing_is_lost_on_a_full_disk", nothing_is_lost_on_a_full_disk)
            .root("mounts a small disk"),
    ]
}

fn it_prints_a_link_and_ends_cleanly() -> Result<()> {
    let mut site = Site::new()?;
    ensure!(site.sign_in.starts_with(&format!("{}/", site.url)), "the link {} is not below {}", site.sign_in, site.url);
    ensure!(site.stranger().get("/")?.status == 200);
    site.stop()?;
    ensure!(site.stranger().get("/").is_err(), "something still listens");
    Ok(())
}

fn a_second_start_finds_all_state() -> Result<()> {
    let mut site = Site::new()?;
    let token = site.token("manager")?;
    site.stranger().bearer(&token).run("fleet.create-group", &json!({"name": "kept"}))?;
    site.stop()?;
    site.start()?;
    let groups = site.stranger().bearer(&token).rows("fleet/groups")?;
    ensure!(groups.iter().any(|group| group["name"] == "kept"), "{groups:?}");
    site.kill()?;
    site.start()?;
    ensure!(site.stranger().bearer(&token).row("fleet/groups", "name", "kept")?.is_some());
    Ok(())
}

/// What an administrator that refuses to start tells the person who started it.
fn refusal(command: &mut Command) -> Result<String> {
    let mut running = Running::start("the refused administrator", command)?;
    let status = running.wait(Duration::from_secs(30))?;
    let text = running.lines().join("\n");
    ensure!(!status.success(), "it ended with success:\n{text}");
    ensure!(status.code().is_some(), "it was ended by a signal:\n{text}");
    for sign in ["panicked", "RUST_BACKTRACE", "Error {", "Err(", "Some("] {
        ensure!(!text.contains(sign), "`{sign}` is no sentence for a person:\n{text}");
    }
    ensure!(text.trim().len() > 40, "too short to help: {text}");
    Ok(text)
}

fn a_port_in_use_is_said_so() -> Result<()> {
    let first = Site::new()?;
    let second = Site::new()?;
    let port = first.url.rsplit(':').next().context("no port")?;
    let other = tempfile::TempDir::new()?;
    let mut command = Command::new(end_to_end::process::program("bailiwick"));
    command.arg("serve").arg("--state").arg(other.path().join("s")).args(["--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--agents-listen", "127.0.0.1:0", "--no-local-agent"]);
    let text = refusal(&mut command)?;
    ensure!(text.contains(port), "the port is not named:\n{text}");
    let agents_port = second.agents.port().to_string();
    let mut command = Command::new(end_to_end::process::program("bailiwick"));
    command.arg("serve").arg("--state").arg(other.path().join("t")).args(["--listen", "127.0.0.1:0"]);
    command.args(["--agents-listen", &second.agents.to_string(), "--no-local-agent"]);
    let text = refusal(&mut command)?;
    ensure!(text.contains(&agents_port), "the port is not named:\n{text}");
    Ok(())
}

fn a_second_administrator() -> Result<()> {
    let site = Site::new()?;
    let mut command = Command::new(end_to_end::process::program("bailiwick"));
    command.arg("serve").arg("--state").arg(site.state()).args(["--listen", "127.0.0.1:0"]);
    command.args(["--agents-listen", "127.0.0.1:0", "--no-local-agent"]);
    let text = refusal(&mut command)?;
    ensure!(text.contains(&*site.state().to_string_lossy()), "the state is not named:\n{text}");
    ensure!(site.stranger().get("/")?.status == 200, "the first one was disturbed");
    Ok(())
}

/// Changes the database while nothing runs, and expects a refusal that changes nothing.
fn refused_when(tampered: &str, word: &str) -> Result<()> {
    let mut site = Site::new()?;
    site.stop()?;
    let file = crate::tamper(&site, tampered)?;
    let before = fs::read(&file)?;
    let text = refusal(&mut site.command())?;
    ensure!(text.to_lowercase().contains(word), "`{word}` is not said:\n{text}");
    ensure!(fs::read(&file)? == before, "the file was changed");
    Ok(())
}

fn a_foreign_state_is_left_alone() -> Result<()> {
    refused_when("foreign", "not")
}

/// Neither somebody's own folder nor a folder of plugins that is not there is taken for what it is not.
fn a_folder_of_something_else_is_left_alone() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    fs::write(folder.path().join("holiday.txt"), "hi")?;
    let serve = |more: &[&str]| {
        let mut command = Command::new(end_to_end::process::program("bailiwick"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--agents-listen", "127.0.0.1:0", "--no-local-agent"]);
        command.args(more);
        refusal(&mut command)
    };
    let state = folder.path().to_str().context("a path of letters")?;
    let text = serve(&["--state", state])?;
    ensure!(text.contains("something else") && text.contains("--state"), "{text}");
    ensure!(fs::read_dir(folder.path())?.count() == 1, "something was put beside it");
    let fresh = folder.path().join("fresh");
    let text = serve(&["--state", fresh.to_str().context("a path of letters")?, "--plugins", "/no/such/folder"])?;
    ensure!(text.contains("/no/such/folder") && text.contains("--plugins"), "{text}");
    Ok(())
}

fn a_newer_state_is_left_alone() -> Result<()> {
    refused_when("newer", "newer")
}

fn a_read_only_state_is_said_so() -> Result<()> {
    let mut site = Site::new()?;
    site.stop()?;
    let state = site.state();
    run(Command::new("mount").arg("--bind").args([&state, &state]))?;
    run(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&state))?;
    let text = refusal(&mut site.command());
    run(Command::new("umount").arg(&state))?;
    let text = text?;
    ensure!(text.contains(&*state.to_string_lossy()), "the folder is not named:\n{text}");
    site.start()
}

fn nothing_is_lost_on_a_full_disk() -> Result<()> {
    let mut site = Site::new()?;
    site.stop()?;
    let (state, kept) = (site.state(), tempfile::TempDir::new()?);
    run(Command::new("cp").arg("-a").arg(format!("{}/.", state.display())).arg(kept.path()))?;
    let used: u64 =
        run(Command::new("du").args(["-sk"]).arg(&state))?.split_whitespace().next().unwrap_or("0").parse()?;
    let size = format!("size={}k", used + 24 * 1024);
    run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "bailiwick-small"]).arg(&state))?;
    run(Command::new("cp").arg("-a").arg(format!("{}/.", kept.path().display())).arg(&state))?;
    let outcome = on_a_full_disk(&mut site);
    site.running = None;
    run(Command::new("umount").arg(&state))?;
    outcome
}

fn on_a_full_disk(site: &mut Site) -> Result<()> {
    site.start()?;
    let manager = site.manager()?;
    let filler = site.state().join("filler");
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    // `dd` ends with an error when the disk is full, which is the point.
    Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", filler.display())).output()?;
    for number in 0..200 {
        let reply = manager
            .with("idempotency-key", &format!("full-{number}"))
            .post("/api/v1/commands/fleet.create-group", &json!({"name": format!("full-{number}")}))?;
        match reply.status {
            202 => acknowledged.push(reply.json()?["job"].as_str().context("no job")?.to_owned()),
            status => {
                refused += 1;
                ensure!(status == 503 || status == 507 || status == 500 || status == 429, "{status} {}", reply.text);
                reply.refusal(status)?;
            }
        }
    }
    println!("full disk: {} commands acknowledged, {refused} refused", acknowledged.len());
    ensure!(refused > 0, "the disk was not full");
    fs::remove_file(&filler)?;
    manager.run("fleet.create-group", &json!({"name": "room again"}))?;
    site.kill()?;
    site.start()?;
    let manager = site.manager()?;
    for job in acknowledged {
        manager.job(&job).context("an acknowledged job is lost")?;
    }
    Ok(())
}
