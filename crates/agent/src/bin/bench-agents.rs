//! Simulated agents for `cargo xtask bench fleet`: each enrols with a join token of its own, connects with mutual TLS,
//! says hello, sends heartbeats and answers every job at once. It stores nothing, so that the administrator's side is
//! what is measured. Five lines of JSON a second on standard output; it ends when standard input closes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use hyper::Method;
use identity::tls::{Trust, agent_config};
use identity::{DeviceKey, JoinToken};
use link::{Backoff, Dialer};
use protocol::{
    EnrolReply, EnrolRequest, Evidence, Facts, FromAgent, Hello, JobReport, Kind, Outcome, ToAgent, Welcome,
};
use rustls::ClientConfig;
use schema::JobState;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Simulated agents that load an administrator.
#[derive(Parser)]
struct Line {
    /// File of join tokens, one a line: as many agents as tokens.
    #[arg(long)]
    tokens: PathBuf,
    /// Handshakes under way at a time.
    #[arg(long, default_value_t = 200)]
    at_once: usize,
    /// Enrolments under way at a time: the port takes 64 strangers from one address.
    #[arg(long, default_value_t = 48)]
    enrol_at_once: usize,
    /// What every job ends with, as JSON that fits the command.
    #[arg(long, default_value = "null", value_parser = |text: &str| serde_json::from_str::<serde_json::Value>(text))]
    result: serde_json::Value,
}

#[derive(Default)]
struct Counters {
    enrolled: AtomicU64,
    connected: AtomicU64,
    connections: AtomicU64,
    failures: AtomicU64,
    heartbeats: AtomicU64,
    jobs: AtomicU64,
    acknowledged: AtomicU64,
    /// What every job ends with.
    result: serde_json::Value,
}

struct Agent {
    number: usize,
    address: String,
    tls: Arc<ClientConfig>,
    epoch: u64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let line = Line::parse();
    let text = match std::fs::read_to_string(&line.tokens) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("bench-agents: {} cannot be read: {error}", line.tokens.display());
            return ExitCode::FAILURE;
        }
    };
    let counters = Counters { result: line.result, ..Counters::default() };
    let (counters, turns) = (Arc::new(counters), Arc::new(Semaphore::new(line.at_once)));
    let enrolments = Arc::new(Semaphore::new(line.enrol_at_once));
    let tasks = TaskTracker::new();
    for (number, word) in text.lines().map(str::to_owned).enumerate() {
        let (counters, turns, enrolments) = (Arc::clone(&counters), Arc::clone(&turns), Arc::clone(&enrolments));
        tasks.spawn(async move {
            match enrolled(number, &word, &enrolments).await {
                Ok(agent) => {
                    counters.enrolled.fetch_add(1, Ordering::Relaxed);
                    live(agent, &counters, &turns).await;
                }
                Err(error) => eprintln!("bench-agents: agent {number} cannot enrol: {error}"),
            }
        });
    }
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    let (mut input, mut buffer) = (tokio::io::stdin(), [0u8; 64]);
    let begun = Instant::now();
    loop {
        tokio::select! {
            _ = tick.tick() => print(&counters, begun),
            read = input.read(&mut buffer) => if !matches!(read, Ok(1..)) { return ExitCode::SUCCESS },
        }
    }
}

fn print(counters: &Counters, begun: Instant) {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{}",
        json!({
            "seconds": begun.elapsed().as_secs_f64(),
            "enrolled": get(&counters.enrolled),
            "connected": get(&counters.connected),
            "connections": get(&counters.connections),
            "failures": get(&counters.failures),
            "heartbeats": get(&counters.heartbeats),
            "jobs": get(&counters.jobs),
            "acknowledged": get(&counters.acknowledged),
        })
    );
}

fn facts(number: usize) -> Facts {
    let [_, a, b, c] = (number as u32).to_be_bytes();
    Facts {
        name: format!("simulated-{number:05}"),
        addresses: vec![std::net::Ipv4Addr::new(10, a, b, c).into()],
        macs: vec![format!("02:00:00:{a:02x}:{b:02x}:{c:02x}")],
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn evidence(number: usize) -> Evidence {
    Evidence { machine_id: format!("simulated-{number}"), facts: facts(number) }
}

async fn enrolled(number: usize, word: &str, turns: &Semaphore) -> Result<Agent, Failure> {
    let (token, key): (JoinToken, _) = (word.trim().parse()?, DeviceKey::generate()?);
    let secret = token.secret.to_string();
    let request = EnrolRequest { secret, csr: STANDARD.encode(key.request()?), evidence: evidence(number) };
    let address = token.addresses.first().ok_or("a token without an address")?.to_string();
    let tls = Arc::new(agent_config(Trust::Fingerprint(token.authority), None)?);
    let turn = turns.acquire().await?;
    let dialer = Dialer { address: address.clone(), tls };
    let reply = dialer.fetch(Method::POST, "/enrol", serde_json::to_vec(&request)?.into(), 100_000).await?;
    drop(turn);
    if !reply.status.is_success() {
        return Err(String::from_utf8_lossy(&reply.body).into_owned().into());
    }
    let reply: EnrolReply = serde_json::from_slice(&reply.body)?;
    let authority = STANDARD.decode(&reply.authority)?.into();
    let client = (STANDARD.decode(&reply.certificate)?.into(), key.private_key());
    let mut tls = agent_config(Trust::Authority(authority), Some(client))?;
    tls.resumption = rustls::client::Resumption::disabled();
    Ok(Agent { number, address, tls: Arc::new(tls), epoch: 0 })
}

async fn live(mut agent: Agent, counters: &Counters, turns: &Semaphore) {
    let mut backoff = Backoff::default();
    loop {
        let begun = Instant::now();
        if session(&mut agent, counters, turns).await.is_err() {
            counters.failures.fetch_add(1, Ordering::Relaxed);
        }
        if begun.elapsed() > Duration::from_secs(10) {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next(rand::random(), None)).await;
    }
}

/// Counts a connection for as long as it is there.
struct Connected<'a>(&'a Counters);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn session(agent: &mut Agent, counters: &Counters, turns: &Semaphore) -> Result<(), Failure> {
    agent.epoch += 1;
    let turn = turns.acquire().await?;
    let dialer = Dialer { address: agent.address.clone(), tls: Arc::clone(&agent.tls) };
    let socket = dialer.websocket(protocol::LINK_PATH).await?;
    let (mut sender, mut receiver) = link::session(socket, Some(agent.epoch));
    let hello = Hello {
        version: protocol::VERSION,
        oldest_version: protocol::OLDEST_VERSION,
        features: Vec::new(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: "simulated".to_owned(),
        epoch: agent.epoch,
        known_jobs: Vec::new(),
        evidence: evidence(agent.number),
        policy_hash: String::new(),
        plugins: Vec::new(),
    };
    sender.send(Kind::Hello, &hello).await?;
    let frame = receiver.next().await?;
    drop(turn);
    if frame.header.kind != Kind::Welcome {
        return Err("not welcome".into());
    }
    let welcome: Welcome = frame.message()?;
    receiver.established();
    counters.connections.fetch_add(1, Ordering::Relaxed);
    counters.connected.fetch_add(1, Ordering::Relaxed);
    let _connected = Connected(counters);
    let every = Duration::from_secs(u64::from(welcome.heartbeat_seconds.max(1)));
    // Spread, as the agents of a real fleet are.
    let first = tokio::time::Instant::now() + every.mul_f64(rand::random());
    let mut heartbeat = tokio::time::interval_at(first, every);
    loop {
        tokio::select! {
            _ = heartbeat.tick() => {
                sender.send(Kind::Message, &FromAgent::Heartbeat { policy_hash: String::new() }).await?;
                counters.heartbeats.fetch_add(1, Ordering::Relaxed);
            }
            frame = receiver.next() => {
                for answer in answers(frame?.message()?, counters)? {
                    sender.send(Kind::Message, &answer).await?;
                }
            }
        }
    }
}

fn answers(message: ToAgent, counters: &Counters) -> Result<Vec<FromAgent>, Failure> {
    let unsupported = || Outcome::Problem(schema::Problem::new(schema::Code::UnsupportedByHost, "It is simulated."));
    Ok(match message {
        ToAgent::Assign(assign) => {
            counters.jobs.fetch_add(1, Ordering::Relaxed);
            let job = assign.job;
            let ended_at = jiff::Timestamp::now().to_string();
            let result = Some(counters.result.clone());
            let finished = JobReport::Finished { state: JobState::Succeeded, result, problem: None, ended_at };
            vec![FromAgent::Job { job, report: JobReport::Accepted }, FromAgent::Job { job, report: finished }]
        }
        ToAgent::AckResult { .. } => {
            counters.acknowledged.fetch_add(1, Ordering::Relaxed);
            Vec::new()
        }
        ToAgent::PeerCall { call, .. } => vec![FromAgent::PeerReply { call, outcome: unsupported() }],
        ToAgent::Query { call, .. } => vec![FromAgent::QueryReply { call, outcome: unsupported() }],
        ToAgent::Revoked { reason } => return Err(reason.into()),
        ToAgent::Goodbye(refused) => return Err(refused.problem.message.into()),
        _ => Vec::new(),
    })
}
