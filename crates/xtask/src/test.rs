//! `cargo xtask test`: every check in order, each with its time, and one closing line with the sum.

mod count;

use crate::{console, prepare, process, tidy, workspace};
use anyhow::{Context, Result, bail};
pub(crate) use count::Count;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// One check: what it is called, and what it does.
struct Step {
    name: &'static str,
    run: fn(&Run) -> Outcome,
}

/// How a step ended: what it counted, and why it failed.
pub(crate) struct Outcome {
    pub(crate) count: Count,
    pub(crate) error: Option<anyhow::Error>,
}

const STEPS: &[Step] = &[
    Step { name: "prepare", run: |_| whole(prepare::everything()) },
    Step { name: "tidy", run: |_| tidy::check() },
    Step { name: "format", run: |_| whole(process::run(&mut cargo(&["fmt", "--all", "--check"]))) },
    Step { name: "console types", run: |_| whole(npm(&["run", "--silent", "typecheck"])) },
    Step { name: "console tests", run: |_| counted(npm_command(&["test", "--silent"]), Duration::from_secs(600)) },
    Step { name: "console build", run: |_| whole(console::build()) },
    Step { name: "clippy", run: |_| whole(process::run(&mut clippy())) },
    Step { name: "build", run: |_| whole(process::run(&mut cargo(&["build", "--workspace", "--locked"]))) },
    Step { name: "tests", run: |run| counted(tests(run), Duration::from_secs(1500)) },
    Step { name: "end to end", run: |run| counted(end_to_end(run), Duration::from_secs(1800)) },
];

/// What this run was asked for.
struct Run {
    long: bool,
    filter: Option<String>,
    /// Tests that could not run here leave a line in this file, with the reason.
    skips: PathBuf,
}

/// Runs all steps, or only what `filter` names.
pub(crate) fn run(long: bool, filter: Option<&str>) -> Result<()> {
    let folder = workspace::target_folder().join("xtask");
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let skips = folder.join("skips");
    fs::write(&skips, "")?;
    let step_named = filter.is_some_and(|filter| STEPS.iter().any(|step| step.name == filter));
    let run = Run { long, filter: filter.filter(|_| !step_named).map(str::to_owned), skips };
    let chosen = |step: &&Step| match filter {
        Some(filter) if step_named => step.name == filter,
        Some(_) => ["prepare", "build", "tests", "end to end"].contains(&step.name),
        None => true,
    };
    let mut sum = Count::default();
    let mut report = Vec::new();
    for step in STEPS.iter().filter(chosen) {
        println!("── {}", step.name);
        let begun = Instant::now();
        let Outcome { mut count, error } = (step.run)(&run);
        if let Some(error) = &error {
            eprintln!("{error:#}");
            count.failed += u64::from(count.failed == 0);
        }
        let seconds = begun.elapsed().as_secs_f64();
        report.push(format!("{:6.1} s  {:16}{}", seconds, step.name, if count.failed > 0 { "failed" } else { "" }));
        let broken = count.failed > 0 && ["prepare", "build", "console build"].contains(&step.name);
        sum.add(&count);
        if broken {
            report.push(format!("the steps after `{}` need it and did not run", step.name));
            break;
        }
    }
    close(&run, sum, &report)
}

fn close(run: &Run, mut sum: Count, report: &[String]) -> Result<()> {
    let skips = fs::read_to_string(&run.skips)?;
    for line in skips.lines() {
        println!("skipped: {line}");
    }
    // A test that cannot run here ends well for its runner.
    let skipped = skips.lines().count() as u64;
    sum.passed = sum.passed.saturating_sub(skipped);
    sum.skipped += skipped;
    println!("\n{}\n\n{sum}", report.join("\n"));
    if sum.failed > 0 {
        bail!("");
    }
    Ok(())
}

fn whole(result: Result<()>) -> Outcome {
    let passed = u64::from(result.is_ok());
    Outcome { count: Count { passed, ..Count::default() }, error: result.err() }
}

fn counted(mut command: Command, limit: Duration) -> Outcome {
    let mut count = Count::default();
    let result = process::watch(&mut command, limit, |line| count.read(line));
    let empty = result.is_ok() && count.passed + count.failed + count.skipped == 0;
    let error = result.err().or_else(|| empty.then(|| anyhow::anyhow!("no test ran")));
    Outcome { count, error }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).env("CONSOLE_REQUIRED", "1").current_dir(workspace::root());
    command
}

fn clippy() -> Command {
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"])
}

fn tests(run: &Run) -> Command {
    let mut command = cargo(&["test", "--workspace", "--exclude", "end-to-end", "--no-fail-fast", "--locked"]);
    command.arg("--quiet");
    finish(command, run)
}

fn end_to_end(run: &Run) -> Command {
    // Features are those of the whole workspace, so that nothing is built a second time.
    finish(cargo(&["test", "--workspace", "--locked", "--test", "end-to-end"]), run)
}

fn finish(mut command: Command, run: &Run) -> Command {
    if run.long {
        command.env("BAILIWICK_LONG", "1");
    }
    command.env("BAILIWICK_SKIPS", &run.skips);
    if let Some(filter) = &run.filter {
        command.arg("--").arg(filter);
    }
    command
}

fn npm_command(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.args(arguments).env("NO_COLOR", "1").current_dir(console::folder());
    command
}

fn npm(arguments: &[&str]) -> Result<()> {
    process::run(&mut npm_command(arguments))
}
