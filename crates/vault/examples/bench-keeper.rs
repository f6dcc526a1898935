//! What a keeper costs: memory and time of its index, and collecting garbage while backups go on.
//!
//! Chunks are made up and tiny, so that their number is what is measured: `bench-keeper [--json] [CHUNKS [FOLDER]]`, a million
//! without more words, in a folder that is removed afterwards.

use serde_json::{Value, json};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use vault::storage::{Directory, Storage};
use vault::{
    Access, CollectOptions, Cost, Draft, Fingerprint, Mode, OnDamage, Receiver, Segment, SegmentKind, Session,
    SessionOptions, StreamRef, Trust, Vault, WayIn,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CHUNK: usize = 256;
const PER_SEGMENT: u64 = 2048;
const SNAPSHOTS: u64 = 100;
const NOW: i64 = 1_700_000_000_000;

fn main() -> Outcome<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let is_json = words.first().is_some_and(|word| word == "--json");
    words.drain(..usize::from(is_json));
    let chunks: u64 = words.first().map_or(Ok(1_000_000), |word| word.parse())?;
    let folder = match words.get(1) {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    let mut results = Vec::new();
    fill(folder.path(), chunks, &mut results)?;
    look_up(folder.path(), chunks, &mut results)?;
    collect(folder.path(), chunks, &mut results)?;
    check(folder.path(), &mut results)?;
    for result in &results {
        if is_json {
            println!("{result}");
        } else {
            let numbers = result.as_object().into_iter().flatten().map(|(name, value)| format!("{name} {value}"));
            println!("{}", numbers.collect::<Vec<_>>().join("  "));
        }
    }
    Ok(())
}

/// Takes that many chunks, in a hundred snapshots of different sources.
fn fill(folder: &Path, chunks: u64, results: &mut Vec<Value>) -> Outcome<()> {
    let vault = Vault::init(Arc::new(Directory::create(folder)?), "host", &way(), Cost::NORMAL)?;
    let clock = Clock::start();
    for number in 0..SNAPSHOTS {
        back_up(&vault, &format!("source {number}"), number * chunks / SNAPSHOTS..(number + 1) * chunks / SNAPSHOTS)?;
    }
    drop(vault);
    results.push(clock.stop("fill", json!({ "chunks": chunks })));
    Ok(())
}

/// Opens the vault and asks for chunks that it has, and for as many that it has not.
fn look_up(folder: &Path, chunks: u64, results: &mut Vec<Value>) -> Outcome<()> {
    let clock = Clock::start();
    let vault = open(folder)?;
    results.push(clock.stop("open", json!({})));
    let session = vault.begin(options("asks"))?;
    let resident = resident_kib();
    for (name, first) in [("have", 0), ("have not", chunks)] {
        let count = chunks.min(1_000_000);
        let step = (chunks / count).max(1);
        let asked: Vec<Fingerprint> = (0..count).map(|n| fingerprint(first + n * step)).collect();
        let clock = Clock::start();
        let mut yes = 0_u64;
        for batch in asked.chunks(Session::BATCH) {
            yes += session.have(batch)?.iter().map(|has| u64::from(*has)).sum::<u64>();
        }
        results.push(clock.stop(name, json!({ "asked": count, "yes": yes, "resident_kib_before": resident })));
    }
    Ok(())
}

/// Removes one snapshot of a hundred and collects, while a client backs up without a pause.
fn collect(folder: &Path, chunks: u64, results: &mut Vec<Value>) -> Outcome<()> {
    let vault = open(folder)?;
    let first = vault.snapshot_ids()?[SNAPSHOTS as usize / 2];
    vault.remove(&[first], NOW)?;
    let is_over = AtomicBool::new(false);
    let backups = AtomicU64::new(0);
    std::thread::scope(|scope| -> Outcome<()> {
        let client = scope.spawn(|| -> Outcome<()> {
            for number in 0.. {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                let start = 2 * chunks + number * 100;
                back_up(&vault, "busy", start..start + 100)?;
                backups.fetch_add(1, Ordering::Relaxed);
                // A client has other things to do: what is measured is that it need not wait.
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            Ok(())
        });
        for percent in [60, 100] {
            let before = backups.load(Ordering::Relaxed);
            let clock = Clock::start();
            let options = CollectOptions { grace_ms: -1, repack_below_percent: percent, ..CollectOptions::new(NOW) };
            let report = vault.collect(&options, &mut |_| ControlFlow::Continue(()))?;
            let backups = backups.load(Ordering::Relaxed) - before;
            let more = json!({
                "repack_below_percent": percent,
                "unneeded": report.chunks_unneeded,
                "needed": report.chunks_needed,
                "packs_deleted": report.packs_deleted,
                "bytes_deleted": report.bytes_deleted,
                "bytes_written": report.bytes_written,
                "backups_meanwhile": backups,
            });
            results.push(clock.stop("collect", more));
        }
        is_over.store(true, Ordering::Release);
        client.join().map_err(|_| "the client panicked")?
    })
}

/// Accounts, and a scrub that has to find everything whole.
fn check(folder: &Path, results: &mut Vec<Value>) -> Outcome<()> {
    let vault = open(folder)?;
    let clock = Clock::start();
    let accounts = vault.accounts(&mut |_| ControlFlow::Continue(()))?;
    let fair: u64 = accounts.sources.iter().map(|account| account.fair_bytes).sum();
    assert_eq!(fair + accounts.unneeded_bytes, accounts.stored_bytes, "accounts add up");
    results.push(clock.stop("accounts", json!({ "stored_bytes": accounts.stored_bytes })));
    let clock = Clock::start();
    vault.rebuild_index(&mut |_| ControlFlow::Continue(()))?;
    results.push(clock.stop("rebuild", json!({})));
    let clock = Clock::start();
    let report = vault.scrub(OnDamage::Report, &mut |_| ControlFlow::Continue(()))?;
    assert!(report.affected.is_empty(), "every snapshot has all that it needs");
    results.push(clock.stop("scrub", json!({ "chunks": report.chunks })));
    Ok(())
}

fn way() -> WayIn {
    WayIn::host([7; 32])
}

fn open(folder: &Path) -> Outcome<Arc<Vault>> {
    let storage: Arc<dyn Storage> = Arc::new(Directory::open(folder)?);
    Ok(Vault::open(storage, &way(), Access::Write)?)
}

fn options(source: &str) -> SessionOptions {
    SessionOptions {
        source: source.to_owned(),
        domain: "bench".to_owned(),
        mode: Mode::Managed,
        basis: None,
        trust: Trust::Own,
        now_ms: NOW,
    }
}

fn plain(number: u64) -> [u8; CHUNK] {
    let mut out = [0; CHUNK];
    out[..8].copy_from_slice(&number.to_le_bytes());
    out
}

fn fingerprint(number: u64) -> Fingerprint {
    Fingerprint::of(None, &plain(number))
}

fn back_up(vault: &Arc<Vault>, source: &str, numbers: std::ops::Range<u64>) -> Outcome<()> {
    let session = vault.begin(options(source))?;
    let (mut refs, mut at) = (Vec::new(), numbers.start);
    while at < numbers.end {
        let end = numbers.end.min(at + PER_SEGMENT);
        let plains: Vec<[u8; CHUNK]> = (at..end).map(plain).collect();
        let names: Vec<Fingerprint> = plains.iter().map(|plain| Fingerprint::of(None, plain)).collect();
        refs.extend(names.iter().flat_map(|name| name.id.0));
        let lengths = vec![CHUNK as u32; plains.len()];
        let bytes = plains.concat();
        session.put(Segment { lengths, names, kind: SegmentKind::Plain, bytes })?;
        at = end;
    }
    let mut stream = StreamRef::default();
    for chunk in refs.chunks(64 << 10) {
        let name = Fingerprint::of(None, chunk);
        let (lengths, bytes) = (vec![chunk.len() as u32], chunk.to_vec());
        session.put(Segment { lengths, names: vec![name], kind: SegmentKind::Plain, bytes })?;
        stream.chunks.push((name.id, chunk.len() as u32));
    }
    session.commit(Draft { refs: stream, ..Draft::default() })?;
    Ok(())
}

/// Seconds of the wall clock and of all processors.
struct Clock {
    wall: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Clock {
        Clock { wall: Instant::now(), cpu: cpu_seconds() }
    }

    fn stop(self, name: &str, more: Value) -> Value {
        let thousandths = |seconds: f64| (seconds * 1000.0).round() / 1000.0;
        let mut result = json!({
            "what": name,
            "wall_seconds": thousandths(self.wall.elapsed().as_secs_f64()),
            "cpu_seconds": thousandths(cpu_seconds() - self.cpu),
            "resident_kib": resident_kib(),
        });
        if let (Value::Object(result), Value::Object(more)) = (&mut result, more) {
            result.extend(more);
        }
        result
    }
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
