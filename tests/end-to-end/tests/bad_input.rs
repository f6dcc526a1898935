//! Input that no well-meaning client sends: a clear refusal, and everybody else is served on.

use anyhow::{Result, ensure};
use end_to_end::{Case, Site, Socket};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("bad_input::requests_that_are_no_http", requests_that_are_no_http),
        Case::new("bad_input::bodies_that_are_no_command", bodies_that_are_no_command),
        Case::new("bad_input::queries_that_make_no_sense", queries_that_make_no_sense),
        Case::new("bad_input::frames_that_make_no_sense", frames_that_make_no_sense),
        Case::new("bad_input::slow_clients_hold_nobody_up", slow_clients_hold_nobody_up),
        Case::new("bad_input::bytes_on_the_agents_port", bytes_on_the_agents_port),
    ]
}

fn address(site: &Site) -> &str {
    site.url.trim_start_matches("http://")
}

/// Sends bytes and returns what comes back until the other side closes or falls silent.
fn throw(to: &str, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    // The other side may close while it is still being written to.
    stream.write_all(bytes).ok();
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).ok();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn requests_that_are_no_http() -> Result<()> {
    let site = Site::new()?;
    let long_header = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(20_000));
    let random: Vec<u8> = (0..4096).map(|_| rand::random()).collect();
    for (bytes, refused) in [
        (b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), false),
        (random, false),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), false),
        (long_header.into_bytes(), true),
        (many_headers.into_bytes(), true),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(1 << 20)).into_bytes(), true),
        (
            b"POST /api/v1/session HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}".to_vec(),
            true,
        ),
        (b"POST /api/v1/session HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(), false),
    ] {
        let answer = throw(address(&site), &bytes)?;
        ensure!(!answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 5"), "{answer}");
        ensure!(!refused || answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    ensure!(site.stranger().get("/")?.status == 200);
    Ok(())
}

fn bodies_that_are_no_command() -> Result<()> {
    let site = Site::new()?;
    let manager = site.manager()?;
    let post = |body: &str| -> Result<u16> {
        let request = ureq::http::Request::builder()
            .method("POST")
            .uri(format!("{}/api/v1/commands/fleet.create-group", site.url))
            .header("content-type", "application/json")
            .header("authorization", &manager.headers()[0].1)
            .body(body.to_owned())?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Ok(ureq::Agent::from(config).run(request)?.status().as_u16())
    };
    let nested = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"name\": 1}",
        "{\"name\": null}",
        "{\"nmae\": \"x\"}",
        "{\"name\": [\"x\"]}",
        "{\"name\":\"x\"} trailing",
        "\u{feff}{}",
        &nested,
        &"[".repeat(100_000),
    ] {
        let status = post(body)?;
        ensure!(status == 400 || status == 413 || status == 422, "{}: {status}", &body[..body.len().min(60)]);
    }
    let problem = manager.post("/api/v1/commands/fleet.create-group", &json!({"name": 1}))?.refusal(400)?;
    ensure!(problem["field"].as_str().is_some_and(|field| field.contains("name")), "{problem}");
    let huge = format!("{{\"name\": \"{}\"}}", "x".repeat(32 << 20));
    // A refusal may also close the connection before the whole body was taken in.
    if let Ok(status) = post(&huge) {
        ensure!(status == 413 || status == 400, "32 MiB: {status}");
    }
    let unknown = manager.post("/api/v1/commands/fleet.no-such-command", &json!({}))?;
    ensure!(unknown.refusal(404)?["code"] == "unknown_command");
    manager.post("/api/v1/commands/no-such-plugin.x", &json!({}))?.refusal(404)?;
    manager.post("/api/v1/commands/nonsense", &json!({}))?.refusal(404)?;
    manager.get("/api/v1/no-such-plugin/view")?.refusal(404)?;
    manager
        .get("/api/v1/jobs/not-an-id")?
        .refusal(404)
        .or_else(|_| manager.get("/api/v1/jobs/not-an-id")?.refusal(400))?;
    manager.run("fleet.create-group", &json!({"name": "still here"}))?;
    Ok(())
}

fn queries_that_make_no_sense() -> Result<()> {
    let site = Site::new()?;
    let manager = site.manager()?;
    for query in [
        "sort=no-such-field",
        "sort=--name",
        "limit=-1",
        "limit=99999999999999999999",
        "limit=abc",
        "after=zzz",
        "where=%7B",
        "where=%5B1%5D",
        "where=%5B%7B%22field%22:%22name%22,%22op%22:%22drop%22%7D%5D",
        "where=%5B%7B%22field%22:%22x%22%7D%5D",
        "fields=no-such-field",
        "at=yesterday",
        "params=%5B%5D",
        "group=no-such-field",
        "no-such-parameter=1",
    ] {
        let reply = manager.get(&format!("/api/v1/fleet/machines?{query}"))?;
        ensure!(reply.status < 500, "{query}: {} {}", reply.status, reply.text);
        if !query.starts_with("limit=9999") {
            reply.refusal(400).map_err(|error| error.context(query))?;
        }
    }
    for hostile in
        ["%27", "%22", "%27%20OR%201=1--", "%00", "%F0%9F%92%A9", "*", "%22%22%22", "a%20AND", "NEAR(", "name:"]
    {
        for query in
            [format!("q={hostile}"), format!("where=%5B%7B%22field%22:%22name%22,%22value%22:%22{hostile}%22%7D%5D")]
        {
            let reply = manager.get(&format!("/api/v1/fleet/machines?{query}"))?;
            ensure!(reply.status == 200 || reply.status == 400, "{query}: {} {}", reply.status, reply.text);
        }
    }
    Ok(())
}

fn frames_that_make_no_sense() -> Result<()> {
    let site = Site::new()?;
    let manager = site.manager()?;
    let nested = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{\"subscribe\": []}",
        "{\"subscribe\": 1}",
        "{\"subscribe\":1,\"name\":\"fleet\",\"view\":\"nothing\"}",
        "{\"unsubscribe\": 99}",
        &nested,
    ] {
        let mut live = Socket::open(&manager, "/api/v1/live")?.map_err(|status| anyhow::anyhow!("live: {status}"))?;
        live.send_text(text)?;
        // Either answer is clear: a problem, or the end of the connection. What counts is that it is not silence.
        live.send(&json!({"subscribe": 2, "name": "fleet", "view": "machines", "query": {}})).ok();
        let answer = live.message();
        ensure!(
            answer.is_ok() || answer.is_err_and(|error| !error.to_string().contains("timed out")),
            "{text}: silence"
        );
    }
    let mut live = Socket::open(&manager, "/api/v1/live")?.map_err(|status| anyhow::anyhow!("live: {status}"))?;
    live.send_bytes(vec![0; 64 << 20]).ok();
    live.message().ok();
    let mut fresh = Socket::open(&manager, "/api/v1/live")?.map_err(|status| anyhow::anyhow!("live: {status}"))?;
    fresh.send(&json!({"subscribe": 3, "name": "fleet", "view": "machines", "query": {}}))?;
    fresh.wait("rows after the abuse", Duration::from_secs(5), |message| message.get("rows").is_some())?;
    Ok(())
}

fn slow_clients_hold_nobody_up() -> Result<()> {
    let site = Site::new()?;
    let manager = site.manager()?;
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(address(&site))?;
        let begun = if number % 2 == 0 {
            "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "
        } else {
            "POST /api/v1/session HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n{"
        };
        stream.write_all(begun.as_bytes())?;
        slow.push(stream);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        manager.rows("fleet/machines")?;
    }
    ensure!(begun.elapsed() < Duration::from_secs(5), "20 requests took {:?} beside slow clients", begun.elapsed());
    let limit = Duration::from_secs(60);
    end_to_end::until("a client that never ends its request is sent away", limit, || {
        slow[0].set_read_timeout(Some(Duration::from_millis(200)))?;
        match slow[0].read(&mut [0; 1024]) {
            Ok(0) => Ok(Some(())),
            Ok(_) => Ok(None),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(_) => Ok(Some(())),
        }
    })
}

fn bytes_on_the_agents_port() -> Result<()> {
    let site = Site::with_local_agent()?;
    let manager = site.manager()?;
    let random: Vec<u8> = (0..65536).map(|_| rand::random()).collect();
    for bytes in
        [b"GET /install HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), random, b"\x16\x03\x01\xff\xff".to_vec(), Vec::new()]
    {
        let answer = throw(&site.agents.to_string(), &bytes)?;
        ensure!(!answer.contains("HTTP/1.1 200"), "plain text was answered: {answer}");
    }
    let online = || Ok(manager.rows("fleet/machines")?.into_iter().find(|row| row["status"] == "online"));
    end_to_end::soon("this machine is online", online)?;
    Ok(())
}
