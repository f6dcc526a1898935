//! Who may do what, and what ends a session. The grants are written by hand here, not read from the product.

use anyhow::{Context, Result, ensure};
use end_to_end::{Case, Client, Site, Socket, Start};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("operators::grants_are_exactly_as_written", grants_are_exactly_as_written),
        Case::new("operators::foreign_origins_are_refused", foreign_origins_are_refused),
        Case::new("operators::set_up_is_unreachable_once_done", set_up_is_unreachable_once_done),
        Case::new("operators::a_manager_with_a_name_ends_the_set_up", a_named_manager_ends_the_set_up),
        Case::new("operators::streams_and_events_follow_the_grants", streams_and_events_follow_the_grants),
        Case::new("operators::sessions_end", sessions_end),
        Case::new("operators::guessing_passwords_is_slow", guessing_passwords_is_slow),
    ]
}

/// Who may: manager, operator, auditor.
type Grants = [bool; 3];
const ALL: Grants = [true, true, true];
const RUN: Grants = [true, true, false];
const AUDIT: Grants = [true, false, true];
const MANAGE: Grants = [true, false, false];
const ROLES: [&str; 3] = ["manager", "operator", "auditor"];

const VIEWS: &[(&str, Grants)] = &[
    ("fleet/machines", ALL),
    ("fleet/machine", ALL),
    ("fleet/groups", ALL),
    ("fleet/group", ALL),
    ("fleet/jobs", ALL),
    ("fleet/jobs-of-machine", ALL),
    ("fleet/job", ALL),
    ("fleet/job-parts", ALL),
    ("fleet/plugins", ALL),
    ("fleet/plugin", ALL),
    ("fleet/warnings", ALL),
    ("fleet/events", ALL),
    ("fleet/settings", ALL),
    ("fleet/setting", ALL),
    ("fleet/operators", AUDIT),
    ("fleet/tokens", AUDIT),
    ("fleet/audit", AUDIT),
    ("fleet/audit-record", AUDIT),
    ("hello/greetings", ALL),
    ("inventory/hardware", ALL),
    ("inventory/settings", ALL),
];

const COMMANDS: &[(&str, Grants)] = &[
    ("fleet.join-token", MANAGE),
    ("fleet.rename-machine", MANAGE),
    ("fleet.rebind", MANAGE),
    ("fleet.revoke", MANAGE),
    ("fleet.remove-machine", MANAGE),
    ("fleet.change-setting", MANAGE),
    ("fleet.reset-setting", MANAGE),
    ("fleet.create-group", MANAGE),
    ("fleet.rename-group", MANAGE),
    ("fleet.delete-group", MANAGE),
    ("fleet.add-to-group", MANAGE),
    ("fleet.remove-from-group", MANAGE),
    ("fleet.create-operator", MANAGE),
    ("fleet.set-role", MANAGE),
    ("fleet.set-password", MANAGE),
    ("fleet.remove-operator", MANAGE),
    ("fleet.create-token", MANAGE),
    ("fleet.revoke-token", MANAGE),
    ("hello.greet", RUN),
    ("inventory.scan", RUN),
];

const OTHERS: &[(&str, &str, Grants)] = &[
    ("GET", "/api/v1/session", ALL),
    ("GET", "/api/v1/manifests", ALL),
    ("GET", "/api/v1/jobs/00000000-0000-7000-8000-000000000000", ALL),
];

fn grants_are_exactly_as_written() -> Result<()> {
    let site = Site::with_local_agent()?;
    let clients: Vec<Client> = ROLES.iter().map(|role| site.client(role)).collect::<Result<_>>()?;
    let mut wrong = Vec::new();
    let mut cells = 0;
    let mut check = |method: &str, path: &str, grants: Grants| -> Result<()> {
        let body = (method == "POST").then(|| json!({}));
        for ((client, role), granted) in clients.iter().zip(ROLES).zip(grants) {
            cells += 1;
            let status = client.send(method, path, body.as_ref())?.status;
            // Past the check of rights, an empty or unknown input may still be refused for what it is.
            let was_granted = status != 401 && status != 403;
            if was_granted != granted || status >= 500 {
                wrong.push(format!("{method} {path} as {role}: {status}, written {granted}"));
            }
        }
        cells += 1;
        let status = site.stranger().send(method, path, body.as_ref())?.status;
        // Without a session and without an origin, either may be missed first.
        if status != 401 && status != 403 {
            wrong.push(format!("{method} {path} as a stranger: {status}"));
        }
        Ok(())
    };
    for (view, grants) in VIEWS {
        for more in ["", "/count", "/facets?fields=id"] {
            check("GET", &format!("/api/v1/{view}{more}"), *grants)?;
        }
    }
    for (command, grants) in COMMANDS {
        check("POST", &format!("/api/v1/commands/{command}"), *grants)?;
    }
    for (method, path, grants) in OTHERS {
        check(method, path, *grants)?;
    }
    println!("{cells} cells of role and endpoint");
    cancel_needs_the_right_to_run(&clients)?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    nothing_is_missing(&clients[0])
}

/// Whoever may only look cannot stop what others run.
fn cancel_needs_the_right_to_run(clients: &[Client]) -> Result<()> {
    let [manager, operator, auditor] = clients else { anyhow::bail!("three roles") };
    let machine = end_to_end::soon("this machine is online", || {
        Ok(manager.rows("fleet/machines")?.into_iter().find(|row| row["status"] == "online"))
    })?;
    let id = operator.submit("hello.greet", &json!({"to": "x", "seconds": 600, "machine": machine["id"]}))?;
    operator.job_in(&id, &["running"])?;
    let path = format!("/api/v1/jobs/{id}/cancel");
    auditor.post(&path, &json!({}))?.refusal(403)?;
    ensure!(operator.job(&id)?["state"] == "running");
    ensure!(manager.post(&path, &json!({}))?.status == 202);
    operator.job_in(&id, &["cancelled"])?;
    Ok(())
}

/// Every view and command of the core and of every shipped plugin stands in the tables above.
fn nothing_is_missing(manager: &Client) -> Result<()> {
    let manifests = manager.get("/api/v1/manifests")?.ok()?;
    let manifests = manifests.as_array().context("no manifests")?;
    ensure!(manifests.len() == 1 + end_to_end::site::SHIPPED.len(), "{} modules", manifests.len());
    let declared = |list: &str, mark: char| -> BTreeSet<String> {
        let of = |manifest: &Value| -> Vec<String> {
            let name = manifest["plugin"]["name"].as_str().unwrap_or_default().to_owned();
            let ids = manifest[list].as_array().into_iter().flatten().filter_map(|one| one["id"].as_str());
            ids.map(|id| format!("{name}{mark}{id}")).collect()
        };
        manifests.iter().flat_map(of).collect()
    };
    let written = |table: &[(&str, Grants)]| table.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>();
    let (views, commands) = (declared("views", '/'), declared("commands", '.'));
    ensure!(views == written(VIEWS), "views: {:?}", views.symmetric_difference(&written(VIEWS)));
    ensure!(commands == written(COMMANDS), "commands: {:?}", commands.symmetric_difference(&written(COMMANDS)));
    Ok(())
}

fn foreign_origins_are_refused() -> Result<()> {
    let site = Site::new()?;
    let person = site.signed_in()?;
    let cookie = person.headers().iter().find(|(name, _)| name == "cookie").context("no cookie")?.1.clone();
    let bare = site.stranger().with("cookie", &cookie);
    let body = json!({"name": "forged"});
    let port = site.url.rsplit(':').next().unwrap_or_default();
    let origins = [
        None,
        Some("null".to_owned()),
        Some("http://evil.example".to_owned()),
        Some(format!("{}0", site.url)),
        Some(format!("https://127.0.0.1:{port}")),
        Some(String::new()),
    ];
    for origin in &origins {
        let client = origin.iter().fold(bare.clone(), |client, origin| client.with("origin", origin));
        for path in ["/api/v1/commands/fleet.create-group", "/api/v1/session/password", "/api/v1/session/setup"] {
            let status = client.post(path, &body)?.status;
            ensure!(status == 403, "{path} from {origin:?}: {status}");
        }
        let status = client.send("DELETE", "/api/v1/session", None)?.status;
        ensure!(status == 403, "log-out from {origin:?}: {status}");
        for path in ["/api/v1/live", "/api/v1/jobs/00000000-0000-7000-8000-000000000000/events"] {
            match Socket::open(&client, path)? {
                Err(status) => ensure!(status == 403, "{path} from {origin:?}: {status}"),
                Ok(_) => anyhow::bail!("{path} was opened from {origin:?}"),
            }
        }
    }
    ensure!(person.row("fleet/groups", "name", "forged")?.is_none());
    ensure!(person.post("/api/v1/commands/fleet.create-group", &body)?.status == 202, "the own origin is refused");
    ensure!(Socket::open(&person, "/api/v1/live")?.is_ok(), "the own origin is refused");
    Ok(())
}

/// Gives the first operator a name and a password.
pub(crate) fn set_up(site: &Site, name: &str, password: &str) -> Result<Client> {
    let person = site.signed_in()?;
    let reply = person.post("/api/v1/session/setup", &json!({"name": name, "password": password}))?;
    ensure!(reply.status < 300, "set-up: {} {}", reply.status, reply.text);
    // A changed password may come with a new session.
    Ok(match reply.cookie() {
        Ok(cookie) => site.stranger().with("origin", &site.url).with("cookie", &cookie),
        Err(_) => person,
    })
}

/// Sends a request exactly as written and returns the first line of the answer.
fn raw(site: &Site, request: &str) -> Result<String> {
    let address = site.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(64 * 1024).read_to_string(&mut text).ok();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn set_up_is_unreachable_once_done() -> Result<()> {
    let mut site = Site::new()?;
    let first = set_up(&site, "ada", "a long enough password 1")?;
    let name =
        |client: &Client| -> Result<Value> { Ok(client.get("/api/v1/session")?.ok()?["operator"]["name"].clone()) };
    ensure!(name(&first)? == "ada");
    let body = json!({"name": "mallory", "password": "a long enough password 2"});
    let cookie =
        first.headers().iter().find(|(name, _)| name == "cookie").map(|(_, value)| value.clone()).unwrap_or_default();
    let paths = [
        "/api/v1/session/setup",
        "//api/v1/session/setup",
        "/api//v1/session/setup",
        "/api/v1/session/setup/",
        "/API/v1/session/setup",
        "/api/v1/session/Setup",
        "/api/v1/session/./setup",
        "/api/v1/session/link/../setup",
        "/api/v1/session/%73etup",
        "/api/v1/session%2Fsetup",
        "/api/v1/session/setup;x=1",
        "/api/v1/session/setup?setup=true",
        "/api/v1/session/setup%00",
        "/api/v1/session/setup.json",
        "/%2e/api/v1/session/setup",
        "/api/v1/session/setup#x",
        "/sign-in/../api/v1/session/setup",
        "\\api\\v1\\session\\setup",
    ];
    for path in paths {
        for who in ["", &format!("cookie: {cookie}\r\n")] {
            for more in [
                "",
                "x-http-method-override: POST\r\n",
                "x-forwarded-for: 127.0.0.1\r\nx-original-url: /api/v1/session/setup\r\n",
            ] {
                for method in ["POST", "PUT", "GET"] {
                    let text = body.to_string();
                    let request = format!(
                        "{method} {path} HTTP/1.1\r\nhost: {}\r\norigin: {}\r\n{who}{more}content-type: application/json\r\n\
                         content-length: {}\r\nconnection: close\r\n\r\n{text}",
                        site.url.trim_start_matches("http://"),
                        site.url,
                        text.len()
                    );
                    let answer = raw(&site, &request)?;
                    ensure!(!answer.contains(" 500"), "{method} {path}: {answer}");
                    let reached =
                        method != "GET" && answer.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
                    ensure!(!reached, "{method} {path}: {answer}");
                }
            }
        }
    }
    ensure!(name(&first)? == "ada", "the first operator was renamed");
    let stranger = site.stranger().with("origin", &site.url);
    stranger
        .post("/api/v1/session", &json!({"name": "mallory", "password": "a long enough password 2"}))?
        .refusal(401)?;
    // A restart offers no second first operator either: there is no link any more, or it leads to ada.
    site.stop()?;
    site.start()?;
    if let Ok(person) = site.signed_in() {
        let session = person.get("/api/v1/session")?.ok()?;
        ensure!(session["operator"]["setup"] != true && session["operator"]["name"] == "ada", "{session}");
        ensure!(person.post("/api/v1/session/setup", &body)?.status >= 400);
    }
    site.session("/api/v1/session", &json!({"name": "ada", "password": "a long enough password 1"}))?;
    Ok(())
}

fn a_named_manager_ends_the_set_up() -> Result<()> {
    let mut site = Site::new()?;
    let first = site.signed_in()?;
    let records = site.client("auditor")?.rows("fleet/audit")?;
    ensure!(records.iter().any(|r| r["action"] == "session.open" && r["operator"] == "first operator"), "{records:?}");
    let person = json!({"name": "ada", "role": "manager", "password": "a long enough password 1"});
    site.manager()?.run("fleet.create-operator", &person)?;
    let body = json!({"name": "mallory", "password": "a long enough password 2"});
    ensure!(first.get("/api/v1/session")?.status == 401, "the nameless operator still has a session");
    first.post("/api/v1/session/setup", &body)?.refusal(401)?;
    for _ in 0..2 {
        site.stop()?;
        site.start()?;
        ensure!(!site.sign_in.contains("/sign-in/"), "a link is printed: {}", site.sign_in);
        let operators = site.manager()?.rows("fleet/operators")?;
        ensure!(operators.len() == 1 && operators[0]["name"] == "ada", "{operators:?}");
    }
    let ada = site.session("/api/v1/session", &json!({"name": "ada", "password": "a long enough password 1"}))?;
    ada.post("/api/v1/session/setup", &body)?.refusal(404)?;
    Ok(())
}

/// A WebSocket needs the right, an origin of its own where it comes with a cookie, and a credential at all.
fn streams_and_events_follow_the_grants() -> Result<()> {
    let mut site = Site::with(Start { plugins: vec!["echo"], local_agent: true, ..Start::default() })?;
    let person = set_up(&site, "ada", "a long enough password 1")?;
    let manager = site.manager()?;
    crate::jobs::own_plugin_is_ready(&manager)?;
    let machine = end_to_end::soon("this machine has the plugin", || {
        let rows = manager.rows("fleet/plugins")?;
        Ok(rows.into_iter().find(|row| row["role"] == "machine" && row["state"] == "ok"))
    })?["machine"]["id"]
        .clone();
    let id = manager.submit("echo.shout", &json!({"machine": machine}))?;
    manager.job_in(&id, &["running"])?;
    let (stream, events) = (format!("/api/v1/jobs/{id}/streams/terminal"), format!("/api/v1/jobs/{id}/events"));
    let status = |client: &Client, path: &str| -> Result<u16> { Ok(Socket::open(client, path)?.err().unwrap_or(101)) };
    for (role, granted) in ROLES.iter().zip(RUN) {
        let client = site.client(role)?;
        ensure!(status(&client, &events)? == 101, "events as {role}");
        if !granted {
            ensure!(status(&client, &stream)? == 403, "a stream as {role}");
        }
    }
    let cookie = person.headers().iter().find(|(name, _)| name == "cookie").context("no cookie")?.1.clone();
    let bare = site.stranger().with("cookie", &cookie);
    for path in [&stream, &events] {
        for origin in ["null", "http://evil.example", ""] {
            ensure!(status(&bare.with("origin", origin), path)? == 403, "{path} from {origin}");
        }
        ensure!(status(&bare, path)? == 403, "{path} without an origin");
        let nobody = site.stranger().with("origin", &site.url);
        ensure!(status(&nobody, path)? == 401, "{path} without a credential");
        ensure!(status(&nobody.bearer("bw_wrong"), path)? == 401, "{path} with a wrong credential");
    }
    demoted_makers_lose_their_stream(&site, &person, &stream)?;
    manager.post(&format!("/api/v1/jobs/{id}/cancel"), &json!({}))?;
    site.stop()
}

/// The token of an operator who may not run commands any more keeps no stream of one.
fn demoted_makers_lose_their_stream(site: &Site, manager: &Client, stream: &str) -> Result<()> {
    let ben = json!({"name": "ben", "role": "manager", "password": "a long enough password 2"});
    let id = manager.run("fleet.create-operator", &ben)?["result"]["id"].clone();
    let session = site.session("/api/v1/session", &json!({"name": "ben", "password": "a long enough password 2"}))?;
    let job = session.run("fleet.create-token", &json!({"name": "bens", "role": "operator"}))?;
    let token = job["result"]["token"].as_str().context("no token")?.to_owned();
    let program = site.stranger().bearer(&token);
    let mut socket = Socket::open(&program, stream)?.map_err(|status| anyhow::anyhow!("stream: {status}"))?;
    socket.send_bytes(b"here".to_vec())?;
    end_to_end::soon("the command answers", || {
        Ok(matches!(socket.message()?, tungstenite::Message::Binary(bytes) if *bytes == *b"HERE").then_some(()))
    })?;
    manager.run("fleet.set-role", &json!({"operator": id, "role": "auditor"}))?;
    end_to_end::soon("the stream ends with the right", || match socket.message() {
        Err(_) | Ok(tungstenite::Message::Close(_)) => Ok(Some(())),
        Ok(_) => Ok(None),
    })
}

fn sessions_end() -> Result<()> {
    let site = Site::new()?;
    let first = set_up(&site, "ada", "a long enough password 1")?;
    first.run(
        "fleet.create-operator",
        &json!({"name": "ben", "role": "operator", "password": "a long enough password 2"}),
    )?;
    let sign_in = |password: &str| site.session("/api/v1/session", &json!({"name": "ben", "password": password}));
    let alive = |client: &Client| -> Result<bool> { Ok(client.get("/api/v1/session")?.status == 200) };
    let (one, two) = (sign_in("a long enough password 2")?, sign_in("a long enough password 2")?);
    ensure!(alive(&one)? && alive(&two)?);
    ensure!(one.send("DELETE", "/api/v1/session", None)?.status < 300);
    ensure!(!alive(&one)?, "a session outlived its log-out");
    ensure!(alive(&two)?, "another session ended with it");
    let mut live = Socket::open(&two, "/api/v1/live")?.map_err(|status| anyhow::anyhow!("live: {status}"))?;
    live.send(&json!({"subscribe": 1, "name": "fleet", "view": "machines", "query": {}}))?;
    live.wait("rows", Duration::from_secs(5), |message| message.get("rows").is_some())?;
    let ben = first.row("fleet/operators", "name", "ben")?.context("no ben")?["id"].clone();
    first.run("fleet.set-role", &json!({"operator": ben, "role": "auditor"}))?;
    ensure!(!alive(&two)?, "a session outlived the change of its role");
    end_to_end::soon("the open socket is closed too", || match live.message() {
        Err(_) | Ok(tungstenite::Message::Close(_)) => Ok(Some(())),
        Ok(_) => Ok(None),
    })?;
    let three = sign_in("a long enough password 2")?;
    let four = sign_in("a long enough password 2")?;
    let change = json!({"old": "a long enough password 2", "new": "a long enough password 3"});
    ensure!(three.post("/api/v1/session/password", &change)?.status < 300);
    ensure!(!alive(&four)?, "a session outlived the change of its password");
    ensure!(sign_in("a long enough password 2").is_err(), "the old password still works");
    sign_in("a long enough password 3")?;
    Ok(())
}

fn guessing_passwords_is_slow() -> Result<()> {
    let site = Site::new()?;
    set_up(&site, "ada", "a long enough password 1")?;
    let mut limited = false;
    for number in 0..60 {
        let client = site.stranger().with("origin", &site.url).with("x-forwarded-for", &format!("198.51.100.{number}"));
        let reply = client.post("/api/v1/session", &json!({"name": "ada", "password": format!("guess {number}")}))?;
        ensure!(reply.status == 401 || reply.status == 429, "{} {}", reply.status, reply.text);
        limited |= reply.status == 429;
    }
    ensure!(limited, "60 guesses went through, each under another forwarded address");
    ensure!(site.manager()?.get("/api/v1/session")?.status == 200, "others are locked out too");
    Ok(())
}
