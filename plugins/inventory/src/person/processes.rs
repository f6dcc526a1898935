//! People by their processes: leaders of sessions at a terminal, and the servers of displays.

use super::{Accounts, Candidate, Evidence};
use crate::root::Root;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Ticks of `/proc/<pid>/stat` in a second, fixed in the kernel's interface.
const TICKS: u64 = 100;
/// Programs that wait at a terminal for somebody to come.
const WAITING: &[&str] = &["agetty", "getty", "mingetty", "fgetty", "login", "sulogin"];
const DISPLAYS: &[&str] = &[
    "Xorg",
    "X",
    "Xwayland",
    "Xvnc",
    "gnome-shell",
    "kwin_wayland",
    "kwin_x11",
    "sway",
    "weston",
    "labwc",
    "Hyprland",
    "cosmic-comp",
    "mutter",
    "wayfire",
    "cinnamon",
    "xfce4-session",
    "plasmashell",
];
/// Shells that people use; `sh` is what programs start.
const SHELLS: &[&str] = &["bash", "zsh", "fish", "ksh", "tcsh", "nu"];
/// Furthest ancestor that is asked.
const FURTHEST: usize = 32;

struct Process {
    command: String,
    parent: u32,
    session: u32,
    terminal: bool,
    started: u64,
}

/// Leaders of sessions at a terminal, and owners of displays.
pub(super) fn at_terminals(root: &Root, accounts: &Accounts) -> Vec<Candidate> {
    let processes = read(root);
    let found = processes.iter().filter(|(pid, process)| {
        let leader = process.terminal && process.session == **pid && !WAITING.contains(&process.command.as_str());
        leader || DISPLAYS.contains(&process.command.as_str())
    });
    let candidates = found.filter_map(|(pid, process)| {
        let screen = DISPLAYS.contains(&process.command.as_str());
        let evidence = if screen { Evidence::Screen } else { Evidence::Terminal };
        let from = if comes_by_ssh(&processes, *pid) { "ssh" } else { "local" };
        candidate(root, accounts, *pid, process, evidence, from)
    });
    // A display that the sign-in screen runs as root is nobody's.
    candidates.filter(|c| c.evidence != Evidence::Screen || c.is_human()).collect()
}

/// Shells without a terminal.
pub(super) fn shells(root: &Root, accounts: &Accounts) -> Vec<Candidate> {
    let processes = read(root);
    let found = processes.iter().filter(|(_, p)| SHELLS.contains(&p.command.trim_start_matches('-')));
    found.filter_map(|(pid, p)| candidate(root, accounts, *pid, p, Evidence::Terminal, "no terminal")).collect()
}

fn candidate(
    root: &Root,
    accounts: &Accounts,
    pid: u32,
    process: &Process,
    evidence: Evidence,
    from: &str,
) -> Option<Candidate> {
    // Who signed in stays the same through su and sudo.
    let signed_in = root.fact(&format!("/proc/{pid}/loginuid")).and_then(|text| text.parse().ok());
    let uid = signed_in.filter(|uid| *uid != u32::MAX).or_else(|| owner(root, pid))?;
    let from = Some(from.to_owned());
    Some(Candidate { uid: Some(uid), account: accounts.name(uid), evidence, since: since(root, process), from })
}

fn owner(root: &Root, pid: u32) -> Option<u32> {
    let text = root.text(&format!("/proc/{pid}/status"))?;
    text.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

fn since(root: &Root, process: &Process) -> Option<Timestamp> {
    let booted_at = crate::system::booted_at(root)?.0;
    let after = SignedDuration::from_secs(i64::try_from(process.started / TICKS).ok()?);
    booted_at.checked_add(after).ok()
}

fn comes_by_ssh(processes: &BTreeMap<u32, Process>, pid: u32) -> bool {
    let ancestors = std::iter::successors(processes.get(&pid), |process| processes.get(&process.parent));
    ancestors.take(FURTHEST).any(|process| process.command.starts_with("sshd"))
}

fn read(root: &Root) -> BTreeMap<u32, Process> {
    let pids = root.names("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, process(&root.text(&format!("/proc/{pid}/stat"))?)?))).collect()
}

/// `1234 (name) S parent group session terminal … started`; the name may hold anything, brackets too.
fn process(stat: &str) -> Option<Process> {
    let (left, right) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = right.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
    Some(Process {
        command: left.split_once('(')?.1.to_owned(),
        parent: u32::try_from(number(1)?).ok()?,
        session: u32::try_from(number(3)?).ok()?,
        terminal: number(4)? != 0,
        started: u64::try_from(number(19)?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let stat = "42 (a) b (c) S 1 42 42 34816 42 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 9 9";
        let process = process(stat).unwrap();
        assert_eq!((process.command.as_str(), process.parent, process.session), ("a) b (c", 1, 42));
        assert!(process.terminal);
        assert_eq!(process.started, 12345);
        assert!(super::process("").is_none() && super::process("1 (x) S").is_none());
    }
}
