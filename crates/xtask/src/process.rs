//! Starting other programs: one line of error that says what was tried, and a limit of time.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Where a program is found on the path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether this process may administer the machine.
pub(crate) fn is_root() -> bool {
    // The owner of one's own folder in /proc is the effective user.
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Runs a program to its end with its output on this terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    let status = command.status().with_context(|| format!("`{line}` cannot be started"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// What a program printed, or the end of what it said when it failed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command.output().with_context(|| format!("`{line}` cannot be started"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program, shows what it prints, and hands every line of its standard output to `each` too.
/// It and all it started are ended when it takes longer than `limit`.
pub(crate) fn watch(command: &mut Command, limit: Duration, mut each: impl FnMut(&str)) -> Result<()> {
    let line = shown(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("`{line}` cannot be started"))?;
    let (done, finished) = mpsc::channel::<()>();
    let expired = Arc::new(AtomicBool::new(false));
    let guard = {
        let (expired, id) = (expired.clone(), child.id());
        std::thread::spawn(move || {
            if finished.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                expired.store(true, Ordering::SeqCst);
                end_tree(id);
            }
        })
    };
    let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
    for text in BufReader::new(stdout).split(b'\n') {
        let Ok(text) = text else { break };
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        each(&text);
    }
    let status = child.wait().with_context(|| format!("`{line}` was lost"))?;
    drop(done);
    guard.join().ok();
    if expired.load(Ordering::SeqCst) {
        bail!("`{line}` was ended: it took longer than {} minutes", limit.as_secs() / 60);
    }
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Ends a process and everything below it, children first.
fn end_tree(id: u32) {
    let parents = parents();
    let mut tree = vec![id];
    let mut next = 0;
    while next < tree.len() {
        let parent = tree[next];
        tree.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(child, _)| *child));
        next += 1;
    }
    for id in tree.iter().rev() {
        Command::new("kill").args(["-KILL", &id.to_string()]).stderr(Stdio::null()).status().ok();
    }
}

/// Every process and its parent.
fn parents() -> BTreeMap<u32, u32> {
    let Ok(folder) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let ids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| Some((id, parent(Path::new(&format!("/proc/{id}/stat")))?))).collect()
}

fn parent(stat: &Path) -> Option<u32> {
    // The name of the program stands in brackets and may hold anything, so read on from the last bracket.
    let text = fs::read_to_string(stat).ok()?;
    text[text.rfind(')')? + 1..].split_whitespace().nth(1)?.parse().ok()
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_its_children() {
        let begun = Instant::now();
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 50 & wait"]);
        let error = watch(&mut command, Duration::from_millis(300), |line| lines.push(line.to_owned())).unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
        assert_eq!(lines, ["begun"]);
        // The pipe is only closed once the child of the shell is gone too.
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_failed_program_is_named_with_its_arguments() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(error.to_string().contains("`sh -c exit 3` ended with exit status: 3"), "{error}");
    }
}
