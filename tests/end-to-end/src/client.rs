//! An HTTP client that keeps refusals as answers.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use ureq::http::{HeaderMap, Request};

/// One who talks to the administrator, with the headers that make him known.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    pub url: String,
    headers: Vec<(String, String)>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("no JSON: {} {}", self.status, self.text))
    }

    /// The body of an answer that is no refusal.
    pub fn ok(self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        if self.text.is_empty() { Ok(Value::Null) } else { self.json() }
    }

    /// The `problem+json` of a refusal with this status.
    pub fn refusal(&self, status: u16) -> Result<Value> {
        ensure!(self.status == status, "expected {status}, got {} {}", self.status, self.text);
        let kind = self.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or("none");
        ensure!(kind.starts_with("application/problem+json"), "a refusal of type {kind}: {}", self.text);
        let problem = self.json()?;
        ensure!(problem["message"].as_str().is_some_and(|text| !text.is_empty()), "no sentence in {problem}");
        Ok(problem)
    }

    /// The session cookie that was set, as a client would send it back.
    pub fn cookie(&self) -> Result<String> {
        let set = self.headers.get("set-cookie").context("no cookie was set")?.to_str()?;
        Ok(set.split(';').next().unwrap_or(set).to_owned())
    }
}

impl Client {
    /// Nobody in particular.
    pub fn new(url: &str) -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Client { agent: config.into(), url: url.trim_end_matches('/').to_owned(), headers: Vec::new() }
    }

    /// The same with one more header on every request.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Client {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    #[must_use]
    pub fn bearer(&self, token: &str) -> Client {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// The headers that go with every request.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let mut response =
            self.agent.run(request.body(body)?).with_context(|| format!("{method} {path} at {}", self.url))?;
        let text = response.body_mut().read_to_string()?;
        Ok(Reply { status: response.status().as_u16(), headers: response.headers().clone(), text })
    }

    pub fn get(&self, path: &str) -> Result<Reply> {
        self.send("GET", path, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send("POST", path, Some(body))
    }

    /// Rows of a view, as `fleet/machines`.
    pub fn rows(&self, view: &str) -> Result<Vec<Value>> {
        match self.get(&format!("/api/v1/{view}"))?.ok()? {
            Value::Array(rows) => Ok(rows),
            other => bail!("no rows: {other}"),
        }
    }

    /// The row whose field has this value, if there is one.
    pub fn row(&self, view: &str, field: &str, value: &str) -> Result<Option<Value>> {
        Ok(self.rows(view)?.into_iter().find(|row| row[field] == value))
    }

    /// Submits a command and returns the id of its job.
    pub fn submit(&self, command: &str, arguments: &Value) -> Result<String> {
        self.submit_once(command, arguments, &format!("{:032x}", rand::random::<u128>()))
    }

    /// Submits a command under an idempotency key of the caller's.
    pub fn submit_once(&self, command: &str, arguments: &Value, key: &str) -> Result<String> {
        let reply = self.with("idempotency-key", key).post(&format!("/api/v1/commands/{command}"), arguments)?;
        ensure!(reply.status == 202, "{command} {arguments}: {} {}", reply.status, reply.text);
        Ok(reply.json()?["job"].as_str().with_context(|| format!("no job in {}", reply.text))?.to_owned())
    }

    pub fn job(&self, id: &str) -> Result<Value> {
        self.get(&format!("/api/v1/jobs/{id}"))?.ok()
    }

    /// Waits until a job is in one of these states.
    pub fn job_in(&self, id: &str, states: &[&str]) -> Result<Value> {
        self.job_within(id, states, Duration::from_secs(60))
    }

    pub fn job_within(&self, id: &str, states: &[&str], limit: Duration) -> Result<Value> {
        let mut last = json!(null);
        crate::until(&format!("job {id} is {}", states.join(" or ")), limit, || {
            last = self.job(id)?;
            Ok(states.iter().any(|state| last["state"] == *state).then(|| last.clone()))
        })
        .with_context(|| format!("the job is {last}"))
    }

    /// Runs a command to its end and returns the job, which must have succeeded.
    pub fn run(&self, command: &str, arguments: &Value) -> Result<Value> {
        let id = self.submit(command, arguments)?;
        let job = self.job_in(&id, FINAL)?;
        ensure!(job["state"] == "succeeded", "{command} {arguments}: {job}");
        Ok(job)
    }
}

/// States in which nothing more happens to a job.
pub const FINAL: &[&str] = &["succeeded", "failed", "incomplete", "cancelled", "expired", "refused", "unknown"];
