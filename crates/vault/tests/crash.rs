//! A keeper that is really killed, at a random moment, again and again, on a real folder: nothing that was acknowledged is lost,
//! and every snapshot that is listed is read back. `BAILIWICK_LONG=1` kills it a thousand times.
#![allow(clippy::unwrap_used)] // a test fails where it stands
#![allow(dead_code)] // the kit is shared with the tests of the keeper

#[path = "keeper/kit.rs"]
mod kit;
#[path = "crash/traced.rs"]
mod traced;

use kit::{Client, Files, files, is_long, options, restore, way};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use traced::{Phase, Traced};
use vault::storage::{Directory, Storage};
use vault::{Access, CollectOptions, Cost, OnDamage, Receiver, SessionOptions, SnapshotId, Vault};

const FOLDER: &str = "BAILIWICK_CRASH_FOLDER";
/// Different contents that are backed up.
const CONTENTS: u64 = 12;

fn wanted(content: u64) -> Files {
    [files(content, 4), files(content / 3, 6)].concat()
}

/// The process that is killed. Without the parent it does nothing.
#[test]
fn keeper_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let phase = folder.join("phase");
    let directory = Directory::open(&folder.join("vault")).unwrap();
    let vault = Vault::open(Arc::new(Traced::new(directory, &phase)), &way(), Access::Write).unwrap();
    let say = |text: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n@{text}").and_then(|()| out.flush()).unwrap();
    };
    say("ready".into());
    let mut random = StdRng::from_os_rng();
    loop {
        match random.random_range(0..8) {
            0..6 => {
                let content = random.random_range(0..CONTENTS);
                let source = format!("content {content}");
                let basis = vault.latest(&source, "site").unwrap().map(|summary| summary.id);
                let session = vault.begin(SessionOptions { basis, ..options(&source) }).unwrap();
                let draft = Client::new(&session).upload(&wanted(content)).unwrap();
                let received = session.commit(draft).unwrap();
                say(format!("took {} {content}", received.snapshot));
            }
            6 => {
                let ids = vault.snapshot_ids().unwrap();
                for id in ids.iter().take(ids.len() / 2) {
                    say(format!("removes {id}"));
                    vault.remove(&[*id], i64::MAX).unwrap();
                }
            }
            _ => {
                let options = CollectOptions { grace_ms: 0, ..CollectOptions::new(i64::MAX) };
                vault.collect(&options, &mut |_| ControlFlow::Continue(())).unwrap();
                say("collected".into());
            }
        }
    }
}

/// Runs the keeper for so long and kills it. Says what it had said.
fn kill_one(folder: &Path, after: Duration) -> Vec<String> {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keeper_that_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let is_ready = lines.by_ref().any(|line| line.unwrap() == "@ready");
    assert!(is_ready, "the keeper opened its vault");
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    lines.filter_map(|line| Some(line.ok()?.strip_prefix('@')?.to_owned())).collect()
}

fn take_note(said: &[String], taken: &mut BTreeMap<SnapshotId, u64>) {
    for line in said {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["took", id, content] => drop(taken.insert(id.parse().unwrap(), content.parse().unwrap())),
            ["removes", id] => drop(taken.remove(&id.parse().unwrap())),
            _ => {}
        }
    }
}

fn check(folder: &Path, taken: &BTreeMap<SnapshotId, u64>, is_thorough: bool) {
    let storage: Arc<dyn Storage> = Arc::new(Directory::open(&folder.join("vault")).unwrap());
    let vault = Vault::open(storage, &way(), Access::Write).unwrap();
    assert!(vault.troubles().is_empty());
    let listing = vault.snapshots().unwrap();
    assert!(listing.damaged.is_empty(), "{listing:?}");
    for (id, content) in taken {
        let source = format!("content {content}");
        assert!(listing.snapshots.iter().any(|summary| summary.id == *id && summary.source == source), "{id} was lost");
    }
    for summary in &listing.snapshots {
        let content: u64 = summary.source["content ".len()..].parse().unwrap();
        assert!(restore(&vault, summary.id).unwrap() == wanted(content), "{summary:?}");
    }
    if is_thorough {
        assert!(vault.scrub(OnDamage::Report, &mut |_| ControlFlow::Continue(())).unwrap().is_clean());
    }
}

#[test]
fn a_keeper_that_is_killed_loses_nothing_it_acknowledged() {
    let rounds = if is_long() { 1000 } else { 50 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let storage: Arc<dyn Storage> = Arc::new(Directory::create(&path.join("vault")).unwrap());
    drop(Vault::init(storage, "host", &way(), Cost::NORMAL).unwrap());
    let mut taken = BTreeMap::new();
    let mut hits: BTreeMap<Phase, u32> = BTreeMap::new();
    let mut acknowledged = 0;
    let mut random = StdRng::seed_from_u64(4711);
    for round in 0..rounds {
        let said = kill_one(path, Duration::from_micros(random.random_range(0..100_000)));
        acknowledged += said.iter().filter(|line| line.starts_with("took")).count();
        *hits.entry(traced::phase(&path.join("phase"))).or_default() += 1;
        take_note(&said, &mut taken);
        check(path, &taken, round % 10 == 0);
    }
    println!("killed {rounds} times, {acknowledged} snapshots were acknowledged; the keeper was at:");
    for (phase, count) in &hits {
        println!("{count:5}  {phase:?}");
    }
    assert!(acknowledged > rounds as usize / 2, "{acknowledged} snapshots were acknowledged");
    assert!(hits.len() > 3, "kills hit different phases: {hits:?}");
}
