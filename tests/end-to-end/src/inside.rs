//! The test program itself: as root it runs its cases in namespaces of its own, so that whatever they leave behind
//! (processes, networks, mounts) ends with it, however it ends.

use crate::process;
use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};

/// One test.
pub struct Case {
    pub name: &'static str,
    /// Why an ordinary user cannot run it, where that is so.
    pub root: Option<&'static str>,
    /// Only in long runs.
    pub long: bool,
    pub run: fn() -> Result<()>,
}

impl Case {
    /// A case that everybody can run.
    pub const fn new(name: &'static str, run: fn() -> Result<()>) -> Case {
        Case { name, root: None, long: false, run }
    }

    /// A case that needs root, and for what.
    #[must_use]
    pub const fn root(mut self, reason: &'static str) -> Case {
        self.root = Some(reason);
        self
    }

    /// A case of long runs only.
    #[must_use]
    pub const fn long(mut self) -> Case {
        self.long = true;
        self
    }
}

/// Marks that this process is already in its own namespaces.
const INSIDE: &str = "BAILIWICK_INSIDE";

/// Runs the cases that the arguments choose.
pub fn main(cases: Vec<Case>) -> ExitCode {
    let outcome = if process::is_root() && std::env::var_os(INSIDE).is_none() { enter() } else { run(cases) };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}

/// Starts this program again in namespaces of its own. Their first process ends with us, and all others with it.
fn enter() -> Result<ExitCode> {
    let mut child = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .stdin(Stdio::piped())
        .spawn()
        .context("unshare cannot be started")?;
    // Waiting would close it at once; it must be closed by our end alone.
    let held = child.stdin.take();
    let status = child.wait()?;
    drop(held);
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

fn run(cases: Vec<Case>) -> Result<ExitCode> {
    if std::env::var_os(INSIDE).is_some() {
        settle()?;
    }
    let arguments = Arguments::from_args();
    let long = std::env::var_os("BAILIWICK_LONG").is_some();
    let trials = cases.into_iter().filter(|case| long || !case.long).map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    Ok(conclusion.exit_code())
}

fn trial(case: Case) -> Trial {
    Trial::test(case.name, move || {
        if let Some(reason) = case.root.filter(|_| !process::is_root()) {
            return skip(case.name, reason).map_err(failed);
        }
        (case.run)().map_err(failed)
    })
}

fn failed(error: anyhow::Error) -> Failed {
    Failed::from(error.chain().map(ToString::to_string).collect::<Vec<_>>().join("\n  because: "))
}

/// Leaves a line for the sum of the whole run.
fn skip(name: &str, reason: &str) -> Result<()> {
    if let Some(file) = std::env::var_os("BAILIWICK_SKIPS") {
        let mut file = std::fs::File::options().append(true).create(true).open(file)?;
        writeln!(file, "{name}: needs root: {reason}")?;
    }
    Ok(())
}

/// Makes the new namespaces fit to work in, and ends with the process outside.
fn settle() -> Result<()> {
    process::run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "bailiwick-tests", "/run"]))?;
    std::fs::create_dir_all("/run/netns")?;
    process::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        std::process::exit(130);
    });
    Ok(())
}
