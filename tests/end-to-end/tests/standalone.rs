//! A module without an administrator: its settings, its ends, what it tells meanwhile, and `serve`.

use anyhow::{Context, Result, ensure};
use end_to_end::alone::{code, ended, is_private, json_of};
use end_to_end::process::{Running, program, run};
use end_to_end::site::free_port;
use end_to_end::{Alone, Case, Client};
use serde_json::{Value, json};
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("standalone::settings_come_from_options_environment_and_file", settings),
        Case::new("standalone::what_is_wrong_in_a_setting_is_named", wrong_settings),
        Case::new("standalone::its_state_is_nobody_elses_and_two_run_at_once", private_and_shared),
        Case::new("standalone::paths_are_those_of_where_it_was_started", paths),
        Case::new("standalone::done_in_part_is_an_end_of_its_own", in_part),
        Case::new("standalone::warnings_are_told_once", warnings),
        Case::new("standalone::progress_is_a_bar_on_a_terminal_and_lines_elsewhere", progress),
        Case::new("standalone::an_interruption_cancels_and_a_second_one_ends_at_once", interruption),
        Case::new("standalone::streams_are_bound_to_stdin_stdout_and_files", streams),
        Case::new("standalone::params_of_a_view_stand_where_the_manifest_says", params),
        Case::new("standalone::serve_is_a_whole_site_with_that_module_alone", serve),
    ]
}

fn settings() -> Result<()> {
    let alone = Alone::new("echo")?;
    let in_force = |command: &mut Command| -> Result<Value> {
        let told = json_of(command.args(["-o", "json"]))?;
        // The machine role asks the administrator's, and both have the same.
        ensure!(told["settings"]["loudness"] != Value::Null, "{told}");
        Ok(told["settings"].clone())
    };
    let ask = |words: &[&str]| alone.command(&[&["peer", "--message", "x"], words].concat());
    ensure!(in_force(&mut ask(&[]))?["loudness"] == 3);
    std::fs::write(alone.state().join("settings.toml"), "loudness = 4\nshelf = \"books\"\n")?;
    ensure!(in_force(&mut ask(&[]))?["loudness"] == 4);
    ensure!(in_force(ask(&[]).env("BAILIWICK_ECHO_LOUDNESS", "5"))?["loudness"] == 5);
    let all =
        in_force(ask(&["--loudness", "6", "--labels", "a", "--labels", "b,c"]).env("BAILIWICK_ECHO_LOUDNESS", "5"))?;
    ensure!(all["loudness"] == 6 && all["labels"] == json!(["a", "b,c"]), "{all}");
    ensure!(all["shelf"] == alone.state().join("books").display().to_string(), "{all}");
    let here = in_force(&mut ask(&["--shelf", "near"]))?;
    ensure!(here["shelf"] == alone.work().join("near").display().to_string(), "{here}");
    let own = alone.json(&["services", "--loudness", "7"])?;
    ensure!(own["settings"]["loudness"] == 7 && own["secrets"] == json!(["s3cret", null]), "{own}");
    ensure!(own["note"] == "kept" && own["machines"].as_array().is_some_and(|list| list.len() == 1), "{own}");
    ensure!(alone.json(&["notes", "--loudness", "8"])? == json!([]));
    let help = String::from_utf8(alone.run(&["peer", "--help"])?.stdout)?;
    let (_, settings) = help.split_once("Settings:").with_context(|| help.clone())?;
    for part in ["--loudness <INT>", "BAILIWICK_ECHO_LOUDNESS", "--shelf <PATH>", "--labels <VALUE>"] {
        ensure!(settings.contains(part), "{part} is not in {settings}");
    }
    Ok(())
}

fn wrong_settings() -> Result<()> {
    let alone = Alone::new("echo")?;
    let told = code(&alone.run(&["services", "--loudness", "loud"])?, 2)?;
    ensure!(told.contains("loudness: expected a whole number"), "{told}");
    let told = code(&ended(alone.command(&["services"]).env("BAILIWICK_ECHO_LOUDNESS", "loud"))?, 2)?;
    ensure!(told.contains("BAILIWICK_ECHO_LOUDNESS: expected a whole number"), "{told}");
    std::fs::create_dir_all(alone.state())?;
    let file = alone.state().join("settings.toml");
    std::fs::write(&file, "loudnes = 1")?;
    let told = code(&alone.run(&["notes"])?, 2)?;
    ensure!(told.contains(&file.display().to_string()) && told.contains("There are: loudness"), "{told}");
    Ok(())
}

fn private_and_shared() -> Result<()> {
    let alone = Alone::new("echo")?;
    let both = [
        alone.command(&["publish", "--notes", "50", "--total=false"]).spawn()?,
        alone.command(&["count", "--to", "50"]).spawn()?,
    ];
    for mut child in both {
        ensure!(child.wait()?.success());
    }
    let notes = alone.json(&["notes", "--all"])?;
    ensure!(notes.as_array().is_some_and(|rows| rows.len() == 51), "{notes}");
    ensure!(is_private(&alone.state())? && is_private(&alone.state().join("secrets"))?);
    let count: Vec<String> = notes.as_array().into_iter().flatten().map(|row| row["machine"].to_string()).collect();
    ensure!(count.iter().all(|machine| *machine == count[0]), "two machines in {notes}");
    Ok(())
}

fn paths() -> Result<()> {
    let alone = Alone::new("echo")?;
    let at = |name: &str| alone.work().join(name).display().to_string();
    let expected = json!({"visited": [at("a"), at("b"), "/c"], "standalone": true});
    ensure!(alone.json(&["visit", "a", "./b", "/c"])? == expected);
    ensure!(alone.json(&["visit", "--places", "a", "--places", "b", "/c"])? == expected);
    ensure!(alone.json(&["visit", "a", "b", "--pause-ms", "1", "/c"])? == expected);
    code(&alone.run(&["visit"])?, 2)?;
    code(&alone.run(&["visit", "a", "--machine", "x"])?, 2)?;
    Ok(())
}

fn in_part() -> Result<()> {
    let alone = Alone::new("echo")?;
    let output = alone.run(&["visit", "/a", "/no-b", "/no-c", "-o", "json"])?;
    let told = code(&output, 11)?;
    let result: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(result == json!({"visited": ["/a"], "standalone": true}), "{result}");
    for part in ["done in part: 2 things were left out.", "there is no /no-b.", "there is no /no-c."] {
        ensure!(told.matches(part).count() == 1, "{part} is not told once in {told}");
    }
    let told = code(&alone.run(&["visit", "/no-b", "/hopeless"])?, 5)?;
    ensure!(told.contains("/hopeless is hopeless.") && told.contains("there is no /no-b."), "{told}");
    Ok(())
}

fn warnings() -> Result<()> {
    let alone = Alone::new("echo")?;
    let told = code(&alone.run(&["services"])?, 0)?;
    ensure!(told.matches("this is a warning.").count() == 1, "{told}");
    let told = code(&alone.run(&["chatter", "--times", "3", "--bytes", "10"])?, 0)?;
    for n in 0..3 {
        ensure!(told.matches(&format!("warning {n}.")).count() == 1, "{told}");
    }
    Ok(())
}

fn progress() -> Result<()> {
    let alone = Alone::new("echo")?;
    let words = ["visit", "/a", "/b", "/c", "--size", "1MiB", "--pause-ms", "700", "-o", "json"];
    let output = alone.run(&words)?;
    let told = code(&output, 0)?;
    ensure!(told.starts_with("0 %, 0 B of 3 MiB: /a\n"), "{told}");
    ensure!(!told.contains('\r') && serde_json::from_slice::<Value>(&output.stdout).is_ok(), "{output:?}");
    // A terminal of its own, in which stderr and stdout are the same.
    let mut terminal = Command::new("script");
    let line = alone.command(&words[..8]);
    let line: Vec<String> = std::iter::once(line.get_program())
        .chain(line.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    terminal.args(["-qec", &format!("stty columns 100; {}", line.join(" ")), "/dev/null"]).current_dir(alone.work());
    let drawn = run(terminal.env("BAILIWICK_STATE", alone.state().parent().context("a state has a parent")?))?;
    for part in ["\r\u{1b}[K", "[####", "33 %  1 MiB of 3 MiB", "MiB/s", " s left"] {
        ensure!(drawn.contains(part), "{part:?} is not drawn in {drawn:?}");
    }
    ensure!(drawn.rsplit("\r\u{1b}[K").next().is_some_and(|rest| rest.contains("visited")), "{drawn:?}");
    Ok(())
}

fn interruption() -> Result<()> {
    let alone = Alone::new("echo")?;
    let interrupted = |words: &[&str]| -> Result<Running> {
        let mut running = Running::start("a count", &mut alone.command(words))?;
        running.line(Duration::from_secs(20), |line| line.contains("0 %") || line.contains("waiting"))?;
        running.signal("INT")?;
        running.line(Duration::from_secs(5), |line| line.contains("Once more ends it at once"))?;
        Ok(running)
    };
    let since = Instant::now();
    let mut running = interrupted(&["count", "--to", "100", "--pause-ms", "1000"])?;
    ensure!(running.wait(Duration::from_secs(10))?.code() == Some(6), "{}", running.tail());
    let mut running = interrupted(&["linger"])?;
    ensure!(running.wait(Duration::from_secs(10))?.success(), "it was given the time to end well: {}", running.tail());
    // One that pays no attention: told to begin, so that there is something to cancel.
    let mut words = alone.command(&["crash", "loop"]);
    let mut running = Running::start("a loop", &mut words)?;
    std::thread::sleep(Duration::from_millis(1500));
    running.signal("INT")?;
    running.line(Duration::from_secs(5), |line| line.contains("Once more ends it at once"))?;
    running.signal("INT")?;
    ensure!(running.wait(Duration::from_secs(3))?.code() == Some(12), "{}", running.tail());
    ensure!(since.elapsed() < Duration::from_secs(40));
    Ok(())
}

fn streams() -> Result<()> {
    let alone = Alone::new("echo")?;
    let output = alone.run(&["send", "--bytes", "1000003"])?;
    code(&output, 0)?;
    ensure!(output.stdout.len() == 1_000_003, "{} bytes", output.stdout.len());
    let output = alone.run(&["send", "--bytes", "1000", "--stream", "out=kept"])?;
    code(&output, 0)?;
    ensure!(String::from_utf8_lossy(&output.stdout).trim() == "1000", "{output:?}");
    ensure!(std::fs::read(alone.work().join("kept"))?.len() == 1000);
    let mut child = alone.command(&["shout"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("a pipe was asked for")?.write_all(b"loud and clear")?;
    ensure!(child.wait_with_output()?.stdout == b"LOUD AND CLEAR");
    Ok(())
}

fn params() -> Result<()> {
    let alone = Alone::new("echo")?;
    let asked = |words: &[&str]| -> Result<Value> {
        let rows = alone.json(&[&["shelves"], words].concat())?;
        let pair = |row: &Value| Some((row["name"].as_str()?.to_owned(), row["value"].clone()));
        Ok(rows.as_array().into_iter().flatten().filter_map(pair).collect())
    };
    ensure!(asked(&[])? == json!({}));
    ensure!(asked(&["in/side", "--shelf", "3"])? == json!({"folder": "in/side", "shelf": 3}));
    ensure!(asked(&["--folder", "x"])? == json!({"folder": "x"}));
    let told = code(&alone.run(&["shelves", "--shelf", "x"])?, 2)?;
    ensure!(told.contains("shelf: expected a whole number"), "{told}");
    Ok(())
}

fn serve() -> Result<()> {
    let alone = Alone::new("echo")?;
    let listen = free_port(Ipv4Addr::LOCALHOST)?;
    std::fs::create_dir(alone.work().join("books"))?;
    let words = ["serve", "--listen", &listen.to_string(), "--loudness", "9", "--shelf", "books"];
    let mut running = Running::start("the module", &mut alone.command(&words))?;
    let line = running.line(Duration::from_secs(60), |line| line.starts_with("Sign in:"))?;
    ensure!(line.contains(&format!("http://{listen}/sign-in/")), "{line}");
    let site = alone.state().join("site");
    let token = run(Command::new(program("bailiwick")).args(["token", "create", "me", "--state"]).arg(&site))?;
    let manager = Client::new(&format!("http://{listen}")).bearer(token.trim());
    let manifests = manager.get("/api/v1/manifests")?.ok()?;
    let names: Vec<&Value> = manifests.as_array().into_iter().flatten().map(|m| &m["plugin"]["name"]).collect();
    ensure!(names == ["fleet", "echo"], "{names:?}");
    let machine = end_to_end::soon("this machine is online with the module", || {
        let rows = manager.rows("fleet/plugins")?;
        let on_machine = rows.iter().any(|row| row["role"] == "machine" && row["state"] == "ok");
        Ok(manager.rows("fleet/machines")?.into_iter().find(|row| row["status"] == "online" && on_machine))
    })?;
    let cli = |words: &[&str]| -> Command {
        let mut command = Command::new(program("bailiwick"));
        command.args(words).env("BAILIWICK_URL", format!("http://{listen}")).env("BAILIWICK_TOKEN", token.trim());
        command
    };
    let name = machine["name"].as_str().context("a machine without a name")?;
    let services = json_of(&mut cli(&["echo", "services", "--machine", name, "--wait", "-o", "json"]))?;
    let settings = &services["result"]["settings"];
    let shelf = alone.work().join("books").display().to_string();
    ensure!(settings["loudness"] == 9 && settings["shelf"] == shelf, "{services}");
    let places = ["echo", "visit", "/no-b", "--places", "/a", "--pause-ms", "300"];
    let output = ended(cli(&places).args(["--machine", name, "--wait", "-o", "json"]))?;
    let told = code(&output, 11)?;
    ensure!(told.contains("there is no /no-b.") && told.contains("incomplete"), "{told}");
    let job: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(job["state"] == "incomplete" && job["problem"]["message"] == "there is no /no-b.", "{job}");
    ensure!(job["result"] == json!({"visited": ["/a"], "standalone": false}), "{job}");
    ensure!(job["progress"]["amount"] == json!({"done": 1, "total": 2, "unit": "items"}), "{job}");
    let rows = json_of(&mut cli(&["echo", "shelves", "--machine", name, "deep", "-o", "json"]))?;
    ensure!(rows == json!([{"name": "folder", "value": "deep"}]), "{rows}");
    let unknown = format!("%7B%22machine%22:%22{name}%22,%22nosuch%22:1%7D");
    manager.get(&format!("/api/v1/echo/shelves?params={unknown}"))?.refusal(400)?;
    let grants = std::fs::read_to_string(site.join("plugins/plugins.toml"))?;
    ensure!(grants.contains(&shelf), "{grants}");
    running.signal("INT")?;
    ensure!(running.wait(Duration::from_secs(20))?.success(), "{}", running.tail());
    Ok(())
}
