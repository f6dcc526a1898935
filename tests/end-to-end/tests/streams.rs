//! Byte streams of a running command, through agent and administrator to a client and back, and types that a plugin
//! computes when it is asked.

use crate::jobs::{own_plugin_is_ready, plugin_is_ready};
use crate::machines::{arrive, site_with_network};
use anyhow::{Context, Result, anyhow, ensure};
use end_to_end::{Case, Client, Machine, Network, Site, Socket, Start};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};
use tungstenite::Message;

/// What goes each way.
const BYTES: usize = 32 * 1024 * 1024;
/// Bytes of a piece that the plugin sends.
const PIECE: usize = 65_536;

pub(crate) fn cases() -> Vec<Case> {
    let namespaces = "machines of their own live in network namespaces";
    vec![
        Case::new("streams::come_through_to_the_terminal_byte_for_byte", to_the_terminal).root(namespaces),
        Case::new("streams::come_through_to_a_program_byte_for_byte", to_a_program).root(namespaces),
        Case::new("streams::a_slow_reader_costs_no_memory", a_slow_reader).root(namespaces),
        Case::new("streams::types_are_computed_by_either_role", computed_types).root(namespaces),
    ]
}

struct Echo {
    _network: Network,
    site: Site,
    token: String,
    manager: Client,
    machines: Vec<Machine>,
}

fn echo() -> Result<Echo> {
    let (network, site) = site_with_network(Start { plugins: vec!["echo"], ..Start::default() })?;
    let token = site.token("manager")?;
    let manager = site.stranger().bearer(&token);
    let machines = arrive(&network, &site, &manager, &["larch"])?;
    plugin_is_ready(&manager, "larch")?;
    own_plugin_is_ready(&manager)?;
    Ok(Echo { _network: network, site, token, manager, machines })
}

/// What the plugin sends: the same piece again and again.
fn sent(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n % PIECE % 251) as u8).collect()
}

fn cli(echo: &Echo, words: &[&str], input: &[u8]) -> Result<Output> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(input)?;
    let mut command = echo.site.cli(&echo.token, words);
    Ok(command.stdin(Stdio::from(File::open(file.path())?)).output()?)
}

fn to_the_terminal() -> Result<()> {
    let echo = echo()?;
    let bytes = BYTES.to_string();
    let words = ["echo", "send", "--bytes", &bytes, "--machine", "larch", "--wait"];
    let output = cli(&echo, &words, b"")?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    ensure!(output.stdout == sent(BYTES), "{} bytes came, or other ones", output.stdout.len());

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("out");
    let named = format!("out={}", file.display());
    let output = cli(&echo, &[&words[..], &["--stream", &named]].concat(), b"")?;
    ensure!(output.status.success() && std::fs::read(&file)? == sent(BYTES), "{output:?}");
    ensure!(String::from_utf8_lossy(&output.stdout).trim() == bytes, "the result is not printed: {output:?}");

    let input: Vec<u8> = (0..BYTES).map(|n| b'a' + (n % 26) as u8).collect();
    let output = cli(&echo, &["echo", "swallow", "--machine", "larch", "--wait"], &input)?;
    ensure!(String::from_utf8_lossy(&output.stdout).trim() == bytes, "{output:?}");
    let output = cli(&echo, &["echo", "shout", "--machine", "larch", "--wait"], &input)?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    ensure!(output.stdout == input.to_ascii_uppercase(), "{} bytes came back", output.stdout.len());
    Ok(())
}

fn open(echo: &Echo, command: &str, arguments: &Value, stream: &str) -> Result<(String, Socket)> {
    let id = echo.manager.submit(&format!("echo.{command}"), arguments)?;
    let socket = Socket::open(&echo.manager, &format!("/api/v1/jobs/{id}/streams/{stream}"))?;
    Ok((id, socket.map_err(|status| anyhow!("{stream}: {status}"))?))
}

/// Sends everything as far as there is credit and reads everything, granting as much as came.
fn exchange(socket: &mut Socket, input: &[u8]) -> Result<Vec<u8>> {
    let (mut at, mut room, mut ended, mut came) = (0, 256 * 1024_usize, false, Vec::new());
    loop {
        while at < input.len() && room > 0 {
            let to = input.len().min(at + room.min(PIECE));
            socket.send_bytes(input[at..to].to_vec())?;
            room -= to - at;
            at = to;
        }
        if at == input.len() && !std::mem::replace(&mut ended, true) {
            socket.send(&json!({"end": true}))?;
        }
        match socket.message()? {
            Message::Binary(bytes) => {
                came.extend_from_slice(&bytes);
                socket.send(&json!({"credit": bytes.len()}))?;
            }
            Message::Text(text) => {
                let said: Value = serde_json::from_str(&text)?;
                ensure!(said["error"].is_null(), "{said}");
                room += said["credit"].as_u64().unwrap_or(0) as usize;
                if said["end"] == true {
                    return Ok(came);
                }
            }
            Message::Close(_) => return Ok(came),
            _ => {}
        }
    }
}

fn to_a_program() -> Result<()> {
    let echo = echo()?;
    let input: Vec<u8> = (0..BYTES).map(|n| b'a' + (n % 26) as u8).collect();
    let (id, mut socket) = open(&echo, "shout", &json!({"machine": "larch"}), "terminal")?;
    let came = exchange(&mut socket, &input)?;
    ensure!(came == input.to_ascii_uppercase(), "{} bytes came back", came.len());
    let job = echo.manager.job_in(&id, &["succeeded"])?;
    ensure!(job["result"] == BYTES, "{job}");
    let (id, mut socket) = open(&echo, "send", &json!({"machine": "larch", "bytes": BYTES}), "out")?;
    ensure!(exchange(&mut socket, b"")? == sent(BYTES));
    echo.manager.job_in(&id, &["succeeded"])?;
    Ok(())
}

/// Resident memory of a process, in KiB.
fn resident(id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn a_slow_reader() -> Result<()> {
    let mut echo = echo()?;
    let whole = 512 * 1024 * 1024_u64;
    let processes = [echo.site.running()?.id(), echo.machines[0].agent()?.id()];
    let (id, mut socket) = open(&echo, "send", &json!({"machine": "larch", "bytes": whole}), "out")?;
    let take = |socket: &mut Socket, bytes: u64| -> Result<()> {
        let mut came = 0;
        while came < bytes {
            let Message::Binary(piece) = socket.message()? else { continue };
            came += piece.len() as u64;
            socket.send(&json!({"credit": piece.len()}))?;
        }
        Ok(())
    };
    take(&mut socket, 16 * 1024 * 1024)?;
    let before = processes.map(resident);
    // Now nothing is granted any more for a while, and hundreds of MiB wait at the other end.
    let begun = Instant::now();
    end_to_end::until("the time is over", Duration::from_secs(10), || {
        for (id, before) in processes.iter().zip(&before) {
            let (now, before) = (resident(*id)?, *before.as_ref().map_err(|error| anyhow!("{error}"))?);
            ensure!(now < before + 16 * 1024, "process {id} grew from {before} to {now} KiB");
        }
        Ok((begun.elapsed() > Duration::from_secs(3)).then_some(()))
    })?;
    ensure!(echo.manager.job(&id)?["state"] == "running", "the command did not wait for its reader");
    take(&mut socket, 16 * 1024 * 1024)?;
    echo.manager.post(&format!("/api/v1/jobs/{id}/cancel"), &json!({}))?;
    echo.manager.job_in(&id, &["cancelled", "failed"])?;
    Ok(())
}

fn computed_types() -> Result<()> {
    let echo = echo()?;
    let letters = |rows: &[Value]| rows.iter().filter_map(|row| row["letter"].as_str()).collect::<String>();
    let machine = "params=%7B%22machine%22%3A%22larch%22%7D";
    for address in ["echo/letters?limit=10".to_owned(), format!("echo/machine-letters?limit=10&{machine}")] {
        let first = echo.manager.get(&format!("/api/v1/{address}"))?;
        let next = first.headers.get("link").context("no next page")?.to_str()?.to_owned();
        let next = next.split(['<', '>']).nth(1).context("no address")?.to_owned();
        let rows = first.ok()?;
        let rows = rows.as_array().context("no rows")?;
        ensure!(letters(rows) == "abcdefghij" && rows[3]["position"] == 3, "{address}: {rows:?}");
        let rows = echo.manager.get(&next)?.ok()?;
        ensure!(letters(rows.as_array().context("no rows")?) == "klmnopqrst", "{next}: {rows}");
    }
    let problem = echo.manager.get("/api/v1/echo/machine-letters")?.refusal(400)?;
    ensure!(problem["fix"].is_string(), "{problem}");
    for words in [&["letters"][..], &["machine-letters", "--machine", "larch"]] {
        let output = cli(&echo, &[&["echo"], words, &["--all", "-o", "json"]].concat(), b"")?;
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        ensure!(letters(&rows) == "abcdefghijklmnopqrstuvwxyz", "{words:?}: {output:?}");
    }
    Ok(())
}
