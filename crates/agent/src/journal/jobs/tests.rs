use super::*;
use crate::testing::assign;
use serde_json::json;

fn journal() -> (tempfile::TempDir, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&dir.path().join("journal.redb")).unwrap();
    (dir, journal)
}

fn record(job: Uuid) -> JobRecord {
    let (phase, accepted_at) = (Phase::Accepted, Timestamp::UNIX_EPOCH);
    JobRecord { assign: Some(assign(job)), phase, attempts: 0, checkpoint: None, accepted_at }
}

fn ended(at: Timestamp, bytes: usize) -> Phase {
    let (state, result) = (JobState::Succeeded, Some(json!("x".repeat(bytes))));
    Phase::Finished { state, result, problem: None, ended_at: at, acknowledged: false }
}

fn run(journal: &Journal, job: u128, at: Timestamp, bytes: usize) -> Uuid {
    let job = Uuid::from_u128(job);
    journal.accept(job, &record(job)).unwrap();
    journal.end(job, ended(at, bytes)).unwrap();
    job
}

#[test]
fn an_ended_job_is_answered_and_not_among_the_open_ones() {
    let (_dir, journal) = journal();
    let now = Timestamp::now();
    let job = run(&journal, 1, now, 10);
    assert_eq!(journal.open_jobs().unwrap(), [job]);
    assert_eq!(journal.known_jobs().unwrap()[0].state, JobState::Succeeded);
    journal.acknowledge(job, now).unwrap();
    assert!(journal.open_jobs().unwrap().is_empty() && journal.known_jobs().unwrap().is_empty());
    let known = journal.accept(job, &record(job)).unwrap().expect("it is known, and not run again");
    assert!(matches!(known.phase, Phase::Finished { acknowledged: true, .. }));
    assert!(known.assign.is_none());
}

#[test]
fn what_is_kept_of_ended_jobs_is_bounded_in_time_and_bytes() {
    let (_dir, journal) = journal();
    let now = Timestamp::now();
    let old = run(&journal, 1, now - KEPT - SignedDuration::from_secs(1), 10);
    journal.acknowledge(old, now).unwrap();
    assert!(journal.job(old).unwrap().is_none());
    let megabytes = (2..22).map(|n| run(&journal, n, now + SignedDuration::from_secs(n as i64), 1 << 20));
    let megabytes: Vec<Uuid> = megabytes.collect();
    megabytes.iter().for_each(|job| journal.acknowledge(*job, now).unwrap());
    let kept: Vec<bool> = megabytes.iter().map(|job| journal.job(*job).unwrap().is_some()).collect();
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 15);
    assert!(kept.is_sorted(), "the oldest go first");
}

#[test]
fn a_journal_of_an_earlier_version_is_taken_over() {
    let (dir, journal) = journal();
    let (open, done) = (run(&journal, 1, Timestamp::now(), 10), Uuid::from_u128(2));
    let mut old = record(done);
    old.phase = ended(Timestamp::now(), 10);
    if let Phase::Finished { acknowledged, .. } = &mut old.phase {
        *acknowledged = true;
    }
    journal.accept(done, &old).unwrap();
    drop(journal);
    let journal = Journal::open(&dir.path().join("journal.redb")).unwrap();
    assert_eq!(journal.open_jobs().unwrap(), [open]);
    assert!(journal.job(done).unwrap().is_some());
}

#[test]
fn the_list_of_open_jobs_fits_into_a_hello() {
    let longest = KnownJob { job: Uuid::max(), state: JobState::Succeeded };
    let each = serde_json::to_vec(&longest).unwrap().len() + 1;
    assert!(each * (MOST_OPEN as usize) < protocol::MAX_HELLO_BYTES - 128 * 1024);
    let (_dir, journal) = journal();
    journal
        .write(|transaction| {
            let mut open = transaction.open_table(JOBS)?;
            for n in 0..u128::from(MOST_OPEN) {
                open.insert(n.to_be_bytes(), serde_json::to_vec(&record(Uuid::from_u128(n)))?.as_slice())?;
            }
            Ok(())
        })
        .unwrap();
    let one_more = Uuid::max();
    assert!(matches!(journal.accept(one_more, &record(one_more)), Err(JournalError::TooManyJobs)));
    assert!(journal.accept(Uuid::from_u128(7), &record(one_more)).unwrap().is_some(), "a known one is answered");
}
