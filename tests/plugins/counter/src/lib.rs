//! A plugin whose effects can be counted afterwards: every run leaves lines in a file of its own.

use sdk::prelude::*;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Parts of a run that takes checkpoints.
const STEPS: u32 = 5;

#[derive(Args)]
struct Append {
    /// Mark that tells this run from others
    tag: String,
    /// Milliseconds between the beginning and the end
    #[arg(default = 0u64)]
    hold_ms: u64,
}

/// Adds a line that is on the disk when this returns.
fn note(folder: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::options().append(true).create(true).open(folder.join("effects"))?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()
}

async fn append(ctx: Ctx, args: Append) -> Result<u64> {
    let folder = ctx.files_dir().await?;
    note(&folder, &format!("begin {}", args.tag))?;
    ctx.progress(0.5, "between the beginning and the end")?;
    ctx.sleep(Duration::from_millis(args.hold_ms)).await?;
    note(&folder, &format!("end {}", args.tag))?;
    Ok(args.hold_ms)
}

async fn append_in_steps(ctx: Ctx, args: Append) -> Result<u64> {
    let folder = ctx.files_dir().await?;
    let begin = ctx.resumed::<u32>()?.unwrap_or(0);
    for step in begin..STEPS {
        note(&folder, &format!("step-{step} {}", args.tag))?;
        ctx.checkpoint(step + 1).await?;
        ctx.progress(f64::from(step + 1) / f64::from(STEPS), format!("step {step}"))?;
        ctx.sleep(Duration::from_millis(args.hold_ms / u64::from(STEPS))).await?;
    }
    note(&folder, &format!("end {}", args.tag))?;
    Ok(args.hold_ms)
}

#[derive(Args)]
struct Keep {
    /// What to keep for a moment
    value: String,
}

/// Keeps a secret, reads it, and lets it go.
async fn keep(ctx: Ctx, args: Keep) -> Result<Value> {
    ctx.set_secret("kept", Some(&args.value)).await?;
    let kept = ctx.secret("kept").await?;
    ctx.set_secret("kept", None).await?;
    Ok(json!({"kept": kept, "gone": ctx.secret("kept").await?}))
}

/// Ends the whole process it runs in.
async fn crash(ctx: Ctx, (): ()) -> Result<()> {
    ctx.progress(0.5, "about to end")?;
    std::process::abort()
}

/// Answers something else than its command declares.
async fn misfit(_: Ctx, (): ()) -> Result<Value> {
    Ok(json!({"count": "many"}))
}

/// The same on the administrator as on a machine.
fn here(command: &mut sdk::schema::Command, on_interrupt: OnInterrupt) {
    command.on_interrupt = on_interrupt;
    command.target.on = sdk::schema::TargetKind::Administrator;
}

fn declared_misfit(command: &mut sdk::schema::Command) {
    command.output = Some(json!({"type": "object", "properties": {"count": {"type": "integer"}}}));
}

fn app() -> App {
    App::new("org.example.counter")
        .title("Counter")
        .command("append-here", "Append once here", append)
        .command_options(|command| here(command, OnInterrupt::Report))
        .command("append-again-here", "Append here, again if cut off", append)
        .command_options(|command| here(command, OnInterrupt::Rerun))
        .command("append-on-here", "Append here, going on where it was cut off", append_in_steps)
        .command_options(|command| here(command, OnInterrupt::Resume))
        .command("keep-here", "Keep a secret here", keep)
        .command_options(|command| here(command, OnInterrupt::Report))
        .command("keep", "Keep a secret", keep)
        .command("misfit", "Answer something else", misfit)
        .command_options(declared_misfit)
        .command("misfit-here", "Answer something else here", misfit)
        .command_options(|command| {
            declared_misfit(command);
            here(command, OnInterrupt::Report);
        })
        .command("append", "Append once", append)
        .command_options(|command| command.on_interrupt = OnInterrupt::Report)
        .command("append-again", "Append, again if cut off", append)
        .command_options(|command| command.on_interrupt = OnInterrupt::Rerun)
        .command("append-on", "Append, going on where it was cut off", append_in_steps)
        .command_options(|command| command.on_interrupt = OnInterrupt::Resume)
        .command("append-soon", "Append within seconds or not at all", append)
        .command_options(|command| command.expires_seconds = Some(2))
        .command("crash", "End the plugin", crash)
}

sdk::export!(app);
