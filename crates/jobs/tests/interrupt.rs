//! What becomes of jobs that were cut off, and of their progress at the end.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

use jiff::Timestamp;
use jobs::{Effect, Event, Job, MOST_ATTEMPTS, OperatorRef, Outcome, Submission, decide, submit};
use schema::{Cancel, JobEvent, JobState, JobTarget, Object, OnInterrupt, Problem, Progress};
use serde_json::json;

#[path = "simulation/memory.rs"]
mod memory;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A job of the administrator that runs and came to a checkpoint.
fn running(on_interrupt: OnInterrupt) -> Job {
    let mut store = memory::Memory::default();
    let asked = Submission {
        command: "a.b".into(),
        title: "B".into(),
        input: Object::new(),
        target: JobTarget::Administrator,
        machines: Vec::new(),
        group_name: None,
        operator: OperatorRef { id: "o".into(), name: "o".into() },
        idempotency_key: None,
        on_interrupt,
        cancel: Cancel::Safe,
        timeout_seconds: None,
        expires_seconds: None,
    };
    let id = submit(&mut store, asked, NOW).unwrap().job;
    let mut job = store.jobs[&id].clone();
    for event in [Event::Dispatch, Event::Accepted, Event::Started, Event::Checkpoint(json!(7))] {
        job = decide(&job, event, NOW).job;
    }
    assert_eq!((job.state, job.attempt), (JobState::Running, 1));
    job
}

#[test]
fn a_job_that_resumes_is_given_its_checkpoint_and_one_that_reruns_is_not() {
    for (on_interrupt, checkpoint) in [(OnInterrupt::Resume, Some(json!(7))), (OnInterrupt::Rerun, None)] {
        for cut in [Event::Lost, Event::Online { known: false }] {
            let decided = decide(&running(on_interrupt), cut, NOW);
            assert!(decided.effects.contains(&Effect::SendAssign), "{on_interrupt:?}");
            assert_eq!((decided.job.checkpoint, decided.job.attempt), (checkpoint.clone(), 2), "{on_interrupt:?}");
        }
    }
}

#[test]
fn a_job_that_reports_is_unknown_and_never_begun_again() {
    let decided = decide(&running(OnInterrupt::Report), Event::Online { known: false }, NOW);
    assert_eq!(decided.job.state, JobState::Unknown);
    assert!(!decided.effects.contains(&Effect::SendAssign));
}

#[test]
fn a_job_that_is_always_cut_off_ends() {
    let mut job = running(OnInterrupt::Resume);
    let mut begun = 1;
    while !job.state.is_final() {
        let decided = decide(&job, Event::Lost, NOW);
        begun += u32::from(decided.effects.contains(&Effect::SendAssign));
        job = decided.job;
    }
    assert_eq!((job.state, begun), (JobState::Unknown, MOST_ATTEMPTS));
    assert_eq!(job.checkpoint, None, "a job that has ended needs no checkpoint");
}

#[test]
fn a_job_that_is_being_cancelled_is_not_begun_again() {
    let job = decide(&running(OnInterrupt::Resume), Event::CancelRequested { by: "o".into() }, NOW).job;
    assert_eq!(decide(&job, Event::Lost, NOW).job.state, JobState::Cancelled);
}

#[test]
fn what_succeeded_was_all_the_way_and_what_did_not_is_as_far_as_it_came() {
    for (state, fraction) in [(JobState::Succeeded, 1.0), (JobState::Failed, 0.9)] {
        let told = Event::Progress(Progress { fraction: Some(0.9), text: "nearly".into(), amount: None });
        let job = decide(&running(OnInterrupt::Report), told, NOW).job;
        let outcome = Outcome { state, result: None, problem: None };
        assert_eq!(decide(&job, Event::Finished(outcome), NOW).job.progress.fraction, Some(fraction), "{state:?}");
    }
    // One that never told how far it was does not begin to at its end.
    let outcome = Outcome { state: JobState::Succeeded, result: None, problem: None };
    let job = decide(&running(OnInterrupt::Report), Event::Finished(outcome), NOW).job;
    assert_eq!(job.progress.fraction, None);
}

#[test]
fn what_is_done_in_part_has_its_result_and_says_what_is_missing() {
    let problem = Problem::not_found("2 things were left out.");
    let (result, told) = (Some(json!({"visited": 3})), Some(problem.clone()));
    let outcome = Outcome { state: JobState::Incomplete, result: result.clone(), problem: told.clone() };
    let decision = decide(&running(OnInterrupt::Report), Event::Finished(outcome), NOW);
    assert_eq!((decision.job.state, &decision.job.result), (JobState::Incomplete, &result));
    assert_eq!((&decision.job.problem, decision.job.ended_at), (&told, Some(NOW)));
    assert!(decision.effects.contains(&Effect::Ack), "{:?}", decision.effects);
    assert!(decision.effects.contains(&Effect::Notify(JobEvent::Problem { problem })), "{:?}", decision.effects);
    let late = decide(&decision.job, Event::CancelRequested { by: "ann".into() }, NOW);
    assert_eq!(late.job, decision.job, "it has ended");
}
