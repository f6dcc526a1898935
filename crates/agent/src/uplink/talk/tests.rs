use super::*;
use crate::journal::JobRecord;
use crate::testing::{assign, core, dropped_after, until};
use schema::JobState;

fn talk(core: &Arc<Core>) -> Arc<Talk> {
    core.outbox.connected();
    Arc::new(Talk {
        core: Arc::clone(core),
        heartbeat: Duration::from_secs(15),
        features: Vec::new(),
        time: (Timestamp::now(), Instant::now()),
        stored: AtomicU64::new(0),
        renewing: AtomicBool::new(false),
        calls: Mutex::default(),
        over: core.stop.child_token(),
    })
}

async fn known(core: &Core, job: Uuid) -> Option<JobRecord> {
    core.with_journal(move |journal| journal.job(job)).await.unwrap()
}

#[tokio::test]
async fn a_job_that_was_taken_over_runs_wherever_the_link_dies() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    let mut ended = false;
    for times in 1.. {
        if ended {
            break;
        }
        let (talk, job) = (talk(&core), Uuid::from_u128(times));
        let message = ToAgent::Assign(Box::new(assign(job)));
        ended = dropped_after(times as u32, talk.hear(message)).await;
        until("it is in the journal", async || known(&core, job).await.is_some()).await;
        until("it runs", async || core.running.get(job).is_some()).await;
    }
}

#[tokio::test]
async fn a_job_of_the_journal_that_does_not_run_is_begun_when_it_comes_again_or_the_link_does() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    let (first, second, third) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    for job in [first, second, third] {
        let (phase, accepted_at) = (Phase::Accepted, Timestamp::now());
        let record = JobRecord { assign: Some(assign(job)), phase, attempts: 0, checkpoint: None, accepted_at };
        core.with_journal(move |journal| journal.accept(job, &record)).await.unwrap();
    }
    jobs::assign(&core, assign(first)).await.unwrap();
    assert!(core.running.get(first).is_some());
    jobs::cancel(&core, second).await.unwrap();
    let cancelled = async || known(&core, second).await.unwrap().phase.state() == JobState::Cancelled;
    until("it is cancelled", cancelled).await;
    assert!(core.running.get(third).is_none());
    jobs::go_on(&core).await.unwrap();
    assert!(core.running.get(third).is_some());
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    let talk = talk(&core);
    let (sender, answering) = tokio::sync::oneshot::channel::<()>();
    talk.answer(7, async move {
        let _held_while_it_works = sender;
        std::future::pending().await
    });
    talk.hear(ToAgent::CallCancelled { call: 7 }).await.unwrap();
    let gone = tokio::time::timeout(crate::testing::SOON, answering).await;
    assert!(gone.expect("it is given up").is_err());
}

#[tokio::test]
async fn what_can_never_be_sent_is_let_go_and_whoever_waits_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let core = core(dir.path()).await;
    let talk = talk(&core);
    let deep = (0..protocol::MAX_DEPTH).fold(Value::Null, |inner, _| serde_json::json!([inner]));
    let (job, accepted_at) = (Uuid::from_u128(1), Timestamp::now());
    // As an earlier version may have left them in the journal.
    let end = Phase::Finished {
        state: JobState::Succeeded,
        result: Some(deep.clone()),
        problem: None,
        ended_at: accepted_at,
        acknowledged: false,
    };
    let record = JobRecord { assign: None, phase: end, attempts: 1, checkpoint: None, accepted_at };
    let rows = serde_json::json!({"type": "thing", "mode": "replace", "rows": [{"a": deep}]});
    let publish: schema::Publish = serde_json::from_value(rows).unwrap();
    core.with_journal(move |journal| {
        journal.accept(job, &record)?;
        journal.publish("sample", publish)
    })
    .await
    .unwrap();
    let rows = core.with_journal(|journal| journal.outgoing(0, usize::MAX)).await.unwrap().remove(0);
    let report = jobs::report(&known(&core, job).await.unwrap().phase);
    for message in [
        FromAgent::Job { job, report },
        FromAgent::Rows { seq: rows.seq, plugin: rows.plugin, publish: rows.publish },
        FromAgent::PeerReply { call: 3, outcome: Outcome::Done(deep) },
    ] {
        let error = protocol::Frame::check(&message).unwrap_err();
        talk.give_up(message, &error).await.unwrap();
    }
    let failed = async || known(&core, job).await.unwrap().phase.state() == JobState::Failed;
    until("the job has failed", failed).await;
    assert!(core.with_journal(|journal| journal.outgoing(0, usize::MAX)).await.unwrap().is_empty());
    let said = core.outbox.due().await.messages;
    let answered =
        |message: &FromAgent| matches!(message, FromAgent::PeerReply { call: 3, outcome: Outcome::Problem(_) });
    assert!(said.iter().any(answered), "{said:?}");
    let told = said.iter().filter(|message| matches!(message, FromAgent::Log { text, .. } if text.contains("deeper")));
    assert_eq!(told.count(), 3);
}
