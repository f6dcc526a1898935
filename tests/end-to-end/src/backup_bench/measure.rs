//! What a program, or a service meanwhile, takes: processor's time, time and memory, as the kernel counts them.

use crate::process::children;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often memory is looked at. What the kernel tells is the most there ever was.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Seconds of all processors.
    pub(super) user: f64,
    pub(super) system: f64,
    pub(super) wall: f64,
    /// Of all its processes together.
    pub(super) peak_mib: f64,
}

impl Cost {
    pub(super) fn cpu(&self) -> f64 {
        self.user + self.system
    }

    /// One after the other.
    pub(super) fn and(self, next: Cost) -> Cost {
        Cost {
            user: self.user + next.user,
            system: self.system + next.system,
            wall: self.wall + next.wall,
            peak_mib: self.peak_mib.max(next.peak_mib),
        }
    }
}

/// Runs a program to its end, which must be a good one, and says what it took and printed.
pub(super) fn run(command: &mut Command, scratch: &Path) -> Result<(Cost, String)> {
    let (out, err) = (scratch.join("stdout"), scratch.join("stderr"));
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    // What others left to be written is not to be paid here.
    rustix::fs::sync();
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
    let (id, is_over) = (child.id(), AtomicBool::new(false));
    let mut cost = std::thread::scope(|scope| -> Result<Cost> {
        let memory = scope.spawn(|| watch(id, &is_over));
        let pid = Pid::from_raw(i32::try_from(id)?).context("a process has a number")?;
        // It stays to be asked what it took.
        let ended = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let wall = begun.elapsed().as_secs_f64();
        is_over.store(true, Ordering::Relaxed);
        ended?;
        let (user, system) = times(id).context("the kernel does not tell what it took")?;
        let peak_mib = memory.join().ok().context("the memory was not watched")?;
        Ok(Cost { user, system, wall, peak_mib })
    })?;
    let status = child.wait()?;
    if !status.success() {
        bail!("{command:?} ended with {status}:\n{}{}", fs::read_to_string(&out)?, fs::read_to_string(&err)?);
    }
    cost.peak_mib = cost.peak_mib.max(0.1);
    Ok((cost, String::from_utf8_lossy(&fs::read(&out)?).into_owned()))
}

/// The most memory that a process and those below it had, in MiB.
fn watch(id: u32, is_over: &AtomicBool) -> f64 {
    let mut most: HashMap<u32, u64> = HashMap::new();
    while !is_over.load(Ordering::Relaxed) {
        for id in tree(id) {
            let peak = peak_kib(id).unwrap_or_default();
            let most = most.entry(id).or_default();
            *most = peak.max(*most);
        }
        std::thread::sleep(LOOK);
    }
    most.values().sum::<u64>() as f64 / 1024.0
}

fn tree(id: u32) -> Vec<u32> {
    let mut ids = vec![id];
    ids.extend(children(id).into_iter().map(|(child, _)| child));
    ids
}

fn peak_kib(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Seconds that a process and the children it waited for took, in user and in system mode.
fn times(id: u32) -> Option<(f64, f64)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program stands in brackets and may hold anything, so read on from the last bracket.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let seconds = |at: usize| fields.get(at)?.parse::<f64>().ok().map(|ticks| ticks / 100.0);
    Some((seconds(11)? + seconds(13)?, seconds(12)? + seconds(14)?))
}

/// A service that goes on running: what it took since it was last asked.
pub(super) struct Meter {
    id: u32,
    user: f64,
    system: f64,
    begun: Instant,
}

impl Meter {
    /// Starts to count anew.
    pub(super) fn start(id: u32) -> Meter {
        for id in tree(id) {
            // The most there ever was becomes what there is. Who may not ask for that counts from its start.
            fs::write(format!("/proc/{id}/clear_refs"), "5").ok();
        }
        let (user, system) = sum(id);
        Meter { id, user, system, begun: Instant::now() }
    }

    pub(super) fn stop(self) -> Cost {
        let (user, system) = sum(self.id);
        let peak: u64 = tree(self.id).into_iter().filter_map(peak_kib).sum();
        Cost {
            user: user - self.user,
            system: system - self.system,
            wall: self.begun.elapsed().as_secs_f64(),
            peak_mib: peak as f64 / 1024.0,
        }
    }
}

fn sum(id: u32) -> (f64, f64) {
    tree(id).into_iter().filter_map(times).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_takes_is_counted_with_its_children() {
        let scratch = tempfile::tempdir().unwrap();
        let busy = "python3 -c 'x = bytearray(64 << 20); sum(range(4_000_000))'; echo done";
        let (cost, printed) = run(Command::new("sh").args(["-c", busy]), scratch.path()).unwrap();
        assert_eq!(printed, "done\n");
        assert!(cost.user > 0.01 && cost.wall > 0.01 && cost.peak_mib > 64.0, "{cost:?}");
        let error = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"]), scratch.path()).unwrap_err();
        assert!(error.to_string().contains("no\n"), "{error}");
    }
}
