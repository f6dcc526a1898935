//! The journal over a storage that loses power at every single write: what a call had returned is there afterwards, and
//! nothing else was made up.

use super::*;
use jiff::Timestamp;
use parking_lot::Mutex;
use protocol::Assign;
use redb::StorageBackend;
use schema::{JobState, OnInterrupt, PublishMode};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

#[derive(Clone, Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    Length(u64),
    Sync,
}

/// A file in memory that remembers everything that was done to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    /// Every write and sync fails, as of a full or broken disk.
    pub(crate) broken: Arc<AtomicBool>,
    now: Arc<Mutex<Vec<u8>>>,
    operations: Arc<Mutex<Vec<Operation>>>,
}

fn apply(image: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Write(offset, data) => {
            let (from, to) = (*offset as usize, *offset as usize + data.len());
            image.resize(image.len().max(to), 0);
            image[from..to].copy_from_slice(data);
        }
        Operation::Length(length) => image.resize(*length as usize, 0),
        Operation::Sync => {}
    }
}

impl Tape {
    fn record(&self, operation: Operation) -> Result<(), std::io::Error> {
        if self.broken.load(Ordering::Acquire) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        apply(&mut self.now.lock(), &operation);
        self.operations.lock().push(operation);
        Ok(())
    }
}

impl StorageBackend for Tape {
    fn len(&self) -> Result<u64, std::io::Error> {
        Ok(self.now.lock().len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        let now = self.now.lock();
        out.copy_from_slice(&now[offset as usize..offset as usize + out.len()]);
        Ok(())
    }
    fn set_len(&self, length: u64) -> Result<(), std::io::Error> {
        self.record(Operation::Length(length))
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.record(Operation::Sync)
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        self.record(Operation::Write(offset, data.to_vec()))
    }
}

pub(crate) fn open(tape: Tape) -> Result<Journal, JournalError> {
    Journal::over(move || Ok(Database::builder().set_cache_size(1024 * 1024).create_with_backend(tape.clone())?))
}

const JOBS: usize = 3;

fn job(n: usize) -> Uuid {
    Uuid::from_u128(n as u128 + 1)
}

fn record() -> JobRecord {
    JobRecord {
        assign: Some(Assign {
            job: job(0),
            command: "sample.run".into(),
            input: Default::default(),
            operator: "ada".into(),
            timeout_seconds: None,
            on_interrupt: OnInterrupt::Report,
            effect: Default::default(),
        }),
        phase: Phase::Accepted,
        attempts: 0,
        checkpoint: None,
        accepted_at: Timestamp::UNIX_EPOCH,
    }
}

fn finished() -> Phase {
    let (state, result) = (JobState::Succeeded, Some(json!({"n": 1})));
    Phase::Finished { state, result, problem: None, ended_at: Timestamp::UNIX_EPOCH, acknowledged: false }
}

/// How far a job is, in steps that must only ever go forward.
fn step(journal: &Journal, n: usize) -> usize {
    match journal.job(job(n)).unwrap() {
        None => 0,
        Some(JobRecord { phase: Phase::Accepted, .. }) => 1,
        Some(JobRecord { phase: Phase::Running, checkpoint: None, .. }) => 2,
        Some(JobRecord { phase: Phase::Running, .. }) => 3,
        Some(JobRecord { phase: Phase::Finished { .. }, .. }) => 4,
    }
}

/// Runs a history; each entry says after how many operations which state was promised: steps of jobs, rows in the spool.
fn history(tape: &Tape) -> Vec<(usize, [usize; JOBS], usize)> {
    let journal = open(tape.clone()).unwrap();
    let (mut steps, mut rows, mut promised) = ([0; JOBS], 0, Vec::new());
    let mut note = |steps: [usize; JOBS], rows: usize| promised.push((tape.operations.lock().len(), steps, rows));
    note(steps, rows);
    for n in 0..JOBS {
        journal.accept(job(n), &record()).unwrap();
        steps[n] = 1;
        note(steps, rows);
        journal.update(job(n), |record| record.phase = Phase::Running).unwrap();
        steps[n] = 2;
        note(steps, rows);
        let publish = json!({"type": "thing", "mode": PublishMode::Append, "rows": [{"id": n}]});
        journal.publish("sample", serde_json::from_value(publish).unwrap()).unwrap();
        rows += 1;
        note(steps, rows);
        journal.update(job(n), |record| record.checkpoint = Some(json!(n))).unwrap();
        steps[n] = 3;
        note(steps, rows);
        journal.update(job(n), |record| record.phase = finished()).unwrap();
        steps[n] = 4;
        note(steps, rows);
    }
    promised
}

#[test]
fn whatever_a_call_returned_survives_power_loss_at_every_write() {
    let tape = Tape::default();
    let promised = history(&tape);
    let operations = tape.operations.lock().clone();
    let first = promised[0].0;
    let mut points = 0;
    for crash in first..=operations.len() {
        let last_sync =
            operations[..crash].iter().rposition(|one| matches!(one, Operation::Sync)).map_or(0, |at| at + 1);
        // Everything written reached the disk, or only what was synced did.
        for reached in [crash, last_sync.max(first)] {
            let (_, steps, rows) = promised.iter().rev().find(|(after, ..)| *after <= reached).unwrap();
            let mut image = Vec::new();
            operations[..reached].iter().for_each(|operation| apply(&mut image, operation));
            let lost = Tape { now: Arc::new(Mutex::new(image)), ..Tape::default() };
            let journal = open(lost).unwrap_or_else(|error| panic!("after {reached} of {crash}: {error}"));
            for (n, promised) in steps.iter().enumerate() {
                let found = step(&journal, n);
                assert!(found >= *promised, "job {n} fell from {promised} to {found} after {reached} operations");
                assert!(found <= promised + 1, "job {n} went on by itself");
            }
            let found = journal.outgoing(0, usize::MAX).unwrap().len();
            assert!(found == *rows || found == rows + 1, "{found} rows of {rows} after {reached} operations");
            points += 1;
        }
    }
    assert!(points > 50, "{points} crash points are too few to mean anything");
}

#[test]
fn the_journal_goes_on_when_the_disk_does() {
    let tape = Tape::default();
    let journal = open(tape.clone()).unwrap();
    journal.accept(job(0), &record()).unwrap();
    tape.broken.store(true, Ordering::Release);
    for _ in 0..2 {
        let error = journal.accept(job(1), &record()).unwrap_err();
        assert!(error.to_string().contains("Make room on the disk"), "{error}");
        let rows = json!({"type": "thing", "mode": PublishMode::Append, "rows": [{"id": 1}]});
        journal.publish("sample", serde_json::from_value(rows).unwrap()).unwrap_err();
    }
    tape.broken.store(false, Ordering::Release);
    journal.accept(job(1), &record()).unwrap();
    assert_eq!((step(&journal, 0), step(&journal, 1)), (1, 1));
}

#[test]
fn the_file_is_its_owners_alone_and_keeps_no_arguments_of_a_job_that_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.redb");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let journal = Journal::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    journal.accept(job(0), &record()).unwrap();
    journal.end(job(0), finished()).unwrap();
    assert!(journal.job(job(0)).unwrap().unwrap().assign.is_none());
}
