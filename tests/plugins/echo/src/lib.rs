//! A plugin that uses every service, stream and channel of the contract once, and crashes in every way it is asked to.
//!
//! Its name can be changed in a copy of the library: it is read from a marker (see [`NAME`]).

mod crash;
mod rows;
mod streams;
mod visits;

use sdk::prelude::*;
use sdk::schema::{Setting, SettingMerge, Stricter};

/// Name of the plugin, between two bars and filled up with spaces. A test that loads it under another name writes
/// that name into the same place of a copy of the library.
#[used]
static NAME: [u8; 64] = *b"bailiwick-test-plugin-name:|echo                               |";

/// The name in the marker.
pub fn name() -> String {
    // Read as a volatile value: the compiler must not know what a test may have written there.
    let marker = std::hint::black_box(&NAME);
    let text = String::from_utf8_lossy(marker);
    text.split('|').nth(1).unwrap_or_default().trim().to_owned()
}

#[derive(Args)]
struct Text {
    /// What to say back
    #[arg(positional)]
    text: String,
    /// Fail with this sentence instead
    #[arg(advanced)]
    fail: Option<String>,
}

async fn echo(ctx: Ctx, args: Text) -> Result<Value> {
    sdk::tracing::info!(text = %args.text, "echoing");
    match args.fail {
        Some(sentence) => Err(fault(sdk::schema::Code::Conflict, sentence).fix("Ask for something else.")),
        None => Ok(json!({"text": args.text, "role": ctx.role(), "machine": ctx.machine(), "job": ctx.call().job})),
    }
}

#[derive(Args)]
struct Count {
    /// How far to count
    #[arg(default = 10_u32)]
    to: u32,
    /// Milliseconds between two numbers
    #[arg(default = 0_u64)]
    pause_ms: u64,
    /// File to which a line is added for each number
    file: Option<String>,
    /// Pay no attention to being cancelled
    #[arg(default = false, advanced)]
    stubborn: bool,
}

/// Counts with progress and a checkpoint after each number, and goes on where it was cut off.
async fn count(ctx: Ctx, args: Count) -> Result<u32> {
    let from: u32 = ctx.resumed()?.unwrap_or(0);
    for n in from..args.to {
        if args.stubborn {
            std::thread::sleep(Duration::from_millis(args.pause_ms));
        } else {
            ctx.progress(f64::from(n) / f64::from(args.to), format!("{n}"))?;
            ctx.sleep(Duration::from_millis(args.pause_ms)).await?;
        }
        if let Some(file) = &args.file {
            use std::io::Write;
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
            writeln!(file, "{n}")?;
            file.sync_all()?;
        }
        ctx.checkpoint(n + 1).await?;
    }
    Ok(args.to)
}

async fn services(ctx: Ctx, (): ()) -> Result<Value> {
    let settings: Value = ctx.settings().await?;
    ctx.set_secret("key", Some("s3cret")).await?;
    let secret = ctx.secret("key").await?;
    ctx.set_secret("key", None).await?;
    let gone = ctx.secret("key").await?;
    let file = ctx.files_dir().await?.join("note.txt");
    std::fs::write(&file, "kept")?;
    let note = std::fs::read_to_string(&file)?;
    ctx.event("happened", json!({"what": "echo"})).await?;
    ctx.warn(fault(sdk::schema::Code::Unavailable, "this is a warning.")).await?;
    // Only the administrator knows of others.
    let machines = ctx.machines().await.map_or_else(|fault| json!(fault.0.code), |list| json!(list));
    let unknown = ctx.request("no.such", &json!({})).await.err().map(|f| f.0.code);
    let (secrets, others) = (json!([secret, gone]), json!([unknown]));
    Ok(json!({"settings": settings, "secrets": secrets, "note": note, "machines": machines, "refused": others}))
}

#[derive(Args)]
struct Peer {
    message: String,
    /// Machine to ask, from the administrator
    #[arg(advanced)]
    machine_id: Option<String>,
}

async fn ask_peer(ctx: Ctx, args: Peer) -> Result<Value> {
    ctx.peer_call(args.machine_id.as_deref(), json!({"message": args.message})).await
}

async fn answer_peer(ctx: Ctx, message: Value) -> Result<Value> {
    Ok(json!({"role": ctx.role(), "heard": message, "settings": ctx.settings::<Value>().await?}))
}

#[derive(Args)]
struct Chatter {
    /// How often to say something
    #[arg(default = 8_u32)]
    times: u32,
    /// Bytes of each message
    #[arg(default = 150_000_u32)]
    bytes: u32,
}

/// Says more than there is credit for, so that it has to wait for whoever listens.
async fn chatter(ctx: Ctx, args: Chatter) -> Result<u32> {
    for n in 0..args.times {
        ctx.checkpoint(json!({"n": n, "text": "x".repeat(args.bytes as usize)})).await?;
        ctx.warn(fault(sdk::schema::Code::Busy, format!("warning {n}."))).await?;
    }
    Ok(args.times)
}

/// Tells what it was told.
async fn hear(ctx: Ctx, data: Value) -> Result<()> {
    ctx.event("happened", json!({"heard": ctx.name(), "data": data})).await
}

async fn reconfigure(ctx: Ctx) -> Result<()> {
    let settings: Value = ctx.settings().await?;
    ctx.event("happened", json!({"settings": settings})).await
}

/// Waits to be stopped, and then needs a moment more.
async fn linger(ctx: Ctx, (): ()) -> Result<String> {
    let file = ctx.files_dir().await?.join("lingered.txt");
    ctx.doing("waiting")?;
    ctx.cancelled().await;
    sdk::tokio::time::sleep(Duration::from_millis(100)).await;
    std::fs::write(file, "ended well")?;
    Ok("ended well".to_owned())
}

/// Publishes a heartbeat row when it starts, then waits for the end.
async fn service(ctx: Ctx) -> Result<()> {
    rows::alive(&ctx).await?;
    ctx.cancelled().await;
    Ok(())
}

fn setting(title: &str, kind: FieldType, default: Value) -> Setting {
    let (title, merge) = (title.to_owned(), SettingMerge::Priority);
    Setting { title, description: String::new(), kind, default, merge, stricter: None }
}

pub fn app() -> App {
    let app = App::new("org.bailiwick.test.echo").name(&name()).title("Echo").icon("plug");
    let app = app
        .command("echo", "Say something back", echo)
        .command_options(|c| c.examples.push(json!({"text": "hello"}).as_object().cloned().unwrap_or_default()))
        .command("count", "Count slowly", count)
        .command_options(|c| {
            c.effect = Effect::Write;
            c.on_interrupt = OnInterrupt::Resume;
        })
        .command("services", "Use every service", services)
        .command("chatter", "Say a lot", chatter)
        .command("linger", "Wait to be stopped", linger)
        .command("peer", "Ask the other role", ask_peer)
        .peer(answer_peer)
        .on_event(hear)
        .on_configure(reconfigure)
        .service(Role::Machine, service)
        .service(Role::Administrator, service)
        .setting(
            "loudness",
            Setting {
                title: "Loudness".into(),
                description: String::new(),
                kind: FieldType::Int,
                default: json!(3),
                merge: SettingMerge::Max,
                stricter: Some(Stricter::Lower),
            },
        )
        .setting("shelf", setting("Shelf", FieldType::Path, json!("")))
        .setting("labels", setting("Labels", FieldType::Tags, json!([])))
        .manifest_options(|m| {
            m.events.push(sdk::schema::EventType {
                id: "happened".into(),
                title: "Something happened".into(),
                tone: Tone::Info,
            });
        });
    crash::declare(visits::declare(streams::declare(rows::declare(app))))
}
sdk::export!(app);
