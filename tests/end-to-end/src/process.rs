//! A program under test: its output kept, ended when dropped.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The folder of the programs that cargo built beside this one.
pub fn built() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    own.ancestors().nth(2).expect("tests and examples lie one folder below target/<profile>").to_path_buf()
}

/// One of the product's programs.
pub fn program(name: &str) -> PathBuf {
    built().join(name)
}

/// The repository's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders below the root").to_path_buf()
}

/// Whether this process may make namespaces and mounts.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A running program and every line it printed.
pub struct Running {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    pub fn start(name: &str, command: &mut Command) -> Result<Running> {
        Running::start_with_input(name, command, Stdio::null()).map(|(running, _)| running)
    }

    /// Starts it with this standard input, whose other end is returned where it is a pipe.
    pub fn start_with_input(name: &str, command: &mut Command, input: Stdio) -> Result<(Running, Option<ChildStdin>)> {
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name}: {command:?} cannot be started"))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let readers = vec![
            reader(child.stdout.take().expect("a pipe was asked for"), lines.clone()),
            reader(child.stderr.take().expect("a pipe was asked for"), lines.clone()),
        ];
        let input = child.stdin.take();
        Ok((Running { name: name.to_owned(), child, lines, readers }, input))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far, on both outputs.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line and returns it; fails with the whole output when the program ends first.
    pub fn line(&mut self, limit: Duration, is_it: impl Fn(&str) -> bool) -> Result<String> {
        crate::until("the line is printed", limit, || {
            if let Some(line) = self.lines().into_iter().find(|line| is_it(line)) {
                return Ok(Some(line));
            }
            if let Some(status) = self.child.try_wait()? {
                self.join();
                bail!("{} ended with {status}", self.name);
            }
            Ok(None)
        })
        .with_context(|| self.tail())
    }

    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn signal(&self, signal: &str) -> Result<()> {
        signal_to(self.id(), signal)
    }

    /// Waits for the end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let status = crate::until(&format!("{} has ended", self.name), limit, || Ok(self.child.try_wait()?))
            .with_context(|| self.tail())?;
        self.join();
        Ok(status)
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// The last lines it printed, for the message of a failed test.
    pub fn tail(&self) -> String {
        let lines = self.lines();
        let last = &lines[lines.len().saturating_sub(40)..];
        format!("{} printed:\n    {}", self.name, last.join("\n    "))
    }

    fn join(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.running() {
            // Runners are children of their host and end with it.
            self.signal("TERM").ok();
            if self.wait(Duration::from_secs(10)).is_err() {
                self.kill();
            }
        }
        if std::thread::panicking() || std::env::var_os("BAILIWICK_SHOW").is_some() {
            writeln!(std::io::stderr(), "{}", self.tail()).ok();
        }
    }
}

fn reader(pipe: impl std::io::Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}

/// Sends a signal by name to one process.
pub fn signal_to(id: u32, signal: &str) -> Result<()> {
    run(Command::new("kill").args([&format!("-{signal}"), &id.to_string()])).map(|_| ())
}

/// Children of a process and theirs, with the words each was started with.
pub fn children(id: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut next = vec![id];
    while let Some(parent) = next.pop() {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in list.split_whitespace().filter_map(|child| child.parse::<u32>().ok()) {
                let words = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
                found.push((child, String::from_utf8_lossy(&words).replace('\0', " ")));
                next.push(child);
            }
        }
    }
    found
}

/// Runs a program to its end and returns what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} cannot be started"))?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{command:?} ended with {}:\n{out}{err}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
