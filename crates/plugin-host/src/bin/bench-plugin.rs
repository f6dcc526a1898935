//! `cargo xtask bench plugin`: what the plugin boundary costs. Prints a table, JSON with `--json`. Under the argument
//! `plugin-runner` it is a runner.

use abi::{Buffer, HostVerbs, PluginObject, PluginVerbs, host_object};
use futures::future::{BoxFuture, FutureExt};
use plugin_host::{CallMeta, Duplex, Host, HostConfig, Level, Method, OpEvent, Services, Transport};
use schema::{Code, Problem, Role};
use serde_json::{Value, json};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Calls that are timed one by one.
const CALLS: usize = 20_000;
/// Bytes of a stream.
const STREAM: u64 = 2 << 30;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("plugin-runner") {
        return plugin_host::runner_main();
    }
    match run() {
        Ok(figures) => {
            print(&figures, first.as_deref() == Some("--json"));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// One line of the table.
struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
}

fn run() -> Result<Vec<Figure>, Problem> {
    let library = build().map_err(|e| Problem::internal(format!("the test plugin cannot be built: {e}.")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Problem::internal(e.to_string()))?;
    let mut figures = boundary();
    for transport in [Transport::InProcess, Transport::Runner] {
        figures.extend(runtime.block_on(commands(transport, &library))?);
    }
    Ok(figures)
}

/// Builds the test plugin in the profile of this program.
fn build() -> std::io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let profile = this.parent().unwrap_or(Path::new("/"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "echo", "--lib"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        command.arg("--release");
    }
    command.arg("--target-dir").arg(profile.parent().unwrap_or(profile));
    if command.status()?.success() {
        Ok(profile.join("libecho.so"))
    } else {
        Err(std::io::Error::other("cargo failed"))
    }
}

/// A plugin that does next to nothing, to see what the way to it costs.
struct Nothing;

impl PluginVerbs for Nothing {
    fn start(&self, _: u64, _: &str, _: &[u8], payload: &[u8]) {
        if !payload.is_empty() {
            black_box(serde_json::from_slice::<Value>(payload).ok());
        }
    }

    fn signal(&self, op: u64, _: u32, _: u64, _: &[u8]) {
        black_box(op);
    }

    fn feed(&self, _: u64, _: u32, frame: Buffer) -> i64 {
        black_box(frame.len() as i64)
    }
}

struct Quiet;

impl HostVerbs for Quiet {
    fn emit(&self, _: u64, _: u32, _: u32, data: Buffer) -> i64 {
        black_box(data.len() as i64)
    }

    fn request(&self, _: u64, _: u64, _: &str, _: &[u8]) {}

    fn log(&self, _: u8, _: &str, _: &[u8]) {}
}

/// Nanoseconds of one call, the best of several rounds.
fn nanoseconds(calls: u32, mut call: impl FnMut()) -> f64 {
    let round = |call: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..calls).for_each(|_| call());
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
    };
    (0..7).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

fn boundary() -> Vec<Figure> {
    let (across, plain): (_, Box<dyn PluginVerbs>) = (PluginObject::local(Nothing), black_box(Box::new(Nothing)));
    let payload = json!({"text": "x".repeat(1000)}).to_string();
    let host = host_object(Arc::new(Quiet));
    let empty = nanoseconds(1_000_000, || across.signal(black_box(1), 0, 0, &[]));
    let empty_plain = nanoseconds(1_000_000, || plain.signal(black_box(1), 0, 0, &[]));
    let json = nanoseconds(100_000, || across.start(1, "command.invoke", &[], payload.as_bytes()));
    let json_plain = nanoseconds(100_000, || plain.start(1, "command.invoke", &[], payload.as_bytes()));
    let emit = nanoseconds(100_000, || {
        host.emit(1, 3, 1, Vec::with_capacity(64));
    });
    let figure = |what, value, unit| Figure { what, value, unit };
    vec![
        figure("empty call across the boundary", empty, "ns"),
        figure("empty call of a plain dyn", empty_plain, "ns"),
        figure("1 KiB of JSON across the boundary", json, "ns"),
        figure("1 KiB of JSON to a plain dyn", json_plain, "ns"),
        figure("1 KiB of JSON, over direct", (json / json_plain - 1.0) * 100.0, "%"),
        figure("emit of an owned buffer", emit, "ns"),
    ]
}

/// A host that offers nothing.
struct Nobody;

impl Services for Nobody {
    fn request(&self, _: &str, _: &CallMeta, _: &str, _: Value) -> BoxFuture<'static, Result<Value, Problem>> {
        async { Ok(Value::Null) }.boxed()
    }

    fn open_channel(
        &self,
        _: &str,
        _: &CallMeta,
        _: schema::ChannelOpen,
    ) -> BoxFuture<'static, Result<Duplex, Problem>> {
        async { Err(Problem::new(Code::UnsupportedByHost, "there is no other role.")) }.boxed()
    }

    fn log(&self, _: &str, _: Level, _: &str, _: Value) {}
}

async fn commands(transport: Transport, library: &Path) -> Result<Vec<Figure>, Problem> {
    let state = std::env::temp_dir().join(format!("bench-plugin-{}", std::process::id()));
    let config = HostConfig::runner(Role::Machine, state.clone()).map_err(|e| Problem::internal(e.to_string()))?;
    let host = Host::start(config.with_transport(transport), Arc::new(Nobody)).await?;
    host.load(library).await?;
    let names = match transport {
        Transport::InProcess => ["command in-process p50", "command in-process p99", "stream in-process"],
        Transport::Runner => ["command through a runner p50", "command through a runner p99", "stream from a runner"],
    };
    for _ in 0..1000 {
        call(&host).await?;
    }
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        call(&host).await?;
        times.push(begun.elapsed());
    }
    times.sort();
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let rate = stream(&host).await?;
    host.shutdown(Duration::from_secs(5)).await;
    // What is left of it is in the system's directory for such things.
    let _ = std::fs::remove_dir_all(state);
    Ok(vec![
        Figure { what: names[0], value: micros(times[CALLS / 2]), unit: "µs" },
        Figure { what: names[1], value: micros(times[CALLS * 99 / 100]), unit: "µs" },
        Figure { what: names[2], value: rate, unit: "GiB/s" },
    ])
}

async fn call(host: &Host) -> Result<Value, Problem> {
    let (method, input) = (Method::Command("count".to_owned()), json!({"to": 0}));
    host.call("echo", method, CallMeta::default(), input).await?.result().await
}

async fn stream(host: &Host) -> Result<f64, Problem> {
    let (method, input) = (Method::Command("send".to_owned()), json!({"bytes": STREAM, "piece": 65_536}));
    let mut operation = host.call("echo", method, CallMeta::default(), input).await?;
    let Some(OpEvent::Open { duplex, .. }) = operation.next().await else {
        return Err(Problem::internal("the command opened no stream."));
    };
    let (_sender, mut receiver) = duplex.split();
    let (begun, mut bytes) = (Instant::now(), 0_u64);
    while let Some(frame) = receiver.recv().await {
        bytes += frame?.len() as u64;
    }
    let rate = bytes as f64 / (1_u64 << 30) as f64 / begun.elapsed().as_secs_f64();
    operation.result().await.map(|_| rate)
}

fn print(figures: &[Figure], as_json: bool) {
    if as_json {
        let rows: Vec<Value> =
            figures.iter().map(|f| json!({"what": f.what, "value": f.value, "unit": f.unit})).collect();
        println!("{}", json!(rows));
        return;
    }
    for figure in figures {
        println!("{:<36} {:>10.2} {}", figure.what, figure.value, figure.unit);
    }
}
