use super::*;
use crate::journal::crash_tests::{Tape, open};
use crate::testing::{assign as assignment, core, core_with, until};
use serde_json::json;
use std::sync::atomic::Ordering;

async fn known(core: &Core, job: Uuid) -> JobRecord {
    core.with_journal(move |journal| journal.job(job)).await.unwrap().expect("it is in the journal")
}

fn said(core: &Core, job: Uuid) -> Vec<JobReport> {
    let messages = core.outbox.take().unwrap_or_default().messages;
    let reports = messages.into_iter().filter_map(|message| match message {
        FromAgent::Job { job: of, report } if of == job => Some(report),
        _ => None,
    });
    reports.collect()
}

#[tokio::test]
async fn an_end_is_told_only_when_it_is_stored_and_stored_when_the_disk_is_back() {
    let (dir, tape) = (tempfile::tempdir().unwrap(), Tape::default());
    let core = core_with(dir.path(), open(tape.clone()).unwrap()).await;
    core.outbox.connected();
    let job = Uuid::from_u128(1);
    assign(&core, assignment(job)).await.unwrap();
    tape.broken.store(true, Ordering::Release);
    cancel(&core, job).await.unwrap();
    let mut reports = Vec::new();
    let complained = async || {
        reports.extend(said(&core, job));
        reports.iter().any(|report| matches!(report, JobReport::Log { text, .. } if text.contains("Make room")))
    };
    until("the operator is told why", complained).await;
    assert!(!reports.iter().any(|report| matches!(report, JobReport::Finished { .. })), "{reports:?}");
    tape.broken.store(false, Ordering::Release);
    let told = async || said(&core, job).iter().any(|report| matches!(report, JobReport::Finished { .. }));
    until("the end is told", told).await;
    assert_eq!(known(&core, job).await.phase.state(), JobState::Cancelled);
}

#[tokio::test]
async fn an_end_that_no_message_takes_is_a_failure_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    let deep = (0..protocol::MAX_DEPTH).fold(json!(1), |inner, _| json!([inner]));
    let large = json!("x".repeat(protocol::MAX_FRAME_BYTES));
    for (n, result) in [deep, large].into_iter().enumerate() {
        let job = Uuid::from_u128(n as u128);
        let (phase, accepted_at) = (Phase::Running, Timestamp::now());
        let record = JobRecord { assign: Some(assignment(job)), phase, attempts: 1, checkpoint: None, accepted_at };
        core.with_journal(move |journal| journal.accept(job, &record)).await.unwrap();
        end(&core, job, End { state: JobState::Succeeded, result: Some(result), problem: None }).await;
        let phase = known(&core, job).await.phase;
        Frame::check(&FromAgent::Job { job, report: report(&phase) }).unwrap();
        let Phase::Finished { state, problem: Some(problem), .. } = phase else { panic!("{phase:?}") };
        assert_eq!((state, problem.code), (JobState::Failed, Code::Quota));
    }
}

#[tokio::test]
async fn secret_arguments_are_never_in_the_journal_and_go_with_the_end_of_their_job() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    let mut asked = assignment(Uuid::from_u128(1));
    asked.input.insert("password".into(), json!("correct horse"));
    assign(&core, asked.clone()).await.unwrap();
    let file = dir.path().join("secrets").join(asked.job.to_string());
    assert!(std::fs::read_to_string(&file).unwrap().contains("correct horse"));
    let in_journal = || {
        let bytes = std::fs::read(dir.path().join("journal.redb")).unwrap();
        bytes.windows(13).any(|window| window == b"correct horse")
    };
    assert!(!in_journal());
    let mut kept = known(&core, asked.job).await.assign.unwrap();
    secrets::bring_back(&core, &mut kept).unwrap();
    assert_eq!(kept, asked, "the command gets them");
    cancel(&core, asked.job).await.unwrap();
    until("they are gone", async || !file.exists()).await;
    assert!(!in_journal());
    std::fs::write(dir.path().join("secrets").join(Uuid::from_u128(9).to_string()), "{}").unwrap();
    go_on(&core).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("secrets")).unwrap().count(), 0, "nor after a crash");
}
