//! What a connected agent may say, and when it is told that something is stored.

use crate::kit::{Event, Kit, rows};
use fleet::Status;
use protocol::{FromAgent, JobReport, Outcome, ToAgent};
use schema::{Code, JobState, Problem};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

fn finished() -> JobReport {
    JobReport::Finished {
        state: JobState::Succeeded,
        result: Some(json!({"n": 1})),
        problem: None,
        ended_at: "2026-01-01T00:00:00Z".into(),
    }
}

#[tokio::test]
async fn what_is_acknowledged_was_taken_over_by_the_sink() {
    let mut kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let mut session = kit.connect(&mut machine).await;
    session.say(&rows(7)).await;
    assert_eq!(session.next().await, Some(ToAgent::AckRows { seq: 7, held: false }));
    let job = Uuid::now_v7();
    session.say(&FromAgent::Job { job, report: finished() }).await;
    assert_eq!(session.next().await, Some(ToAgent::AckResult { job }));
    assert!(matches!(kit.event().await, Event::Hello(id, _) if id == machine.id));
    assert!(matches!(kit.event().await, Event::Rows(id, _, _) if id == machine.id));
    assert!(matches!(kit.event().await, Event::Job(id, known, _) if id == machine.id && known == job));
}

#[tokio::test]
async fn only_what_can_never_be_stored_is_acknowledged_without_being_stored() {
    let mut kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let job = Uuid::now_v7();
    let said = [
        (FromAgent::Job { job, report: finished() }, ToAgent::AckResult { job }),
        (rows(1), ToAgent::AckRows { seq: 1, held: false }),
    ];
    for code in Code::ALL {
        let hopeless = matches!(code, Code::PermissionDenied | Code::NotFound | Code::BadRequest | Code::Quota);
        *kit.sink.refuse.lock() = Some(Problem::new(code, "it was not stored."));
        for (message, acknowledgement) in &said {
            let mut session = kit.connect(&mut machine).await;
            session.say(message).await;
            match session.next().await {
                Some(ToAgent::Goodbye(goodbye)) => {
                    assert!(!hopeless, "{code} is said for ever");
                    assert!(goodbye.retry_after_seconds.is_some(), "{code}");
                }
                other => assert!(hopeless && other.as_ref() == Some(acknowledgement), "{code}: {other:?}"),
            }
            while hopeless && !matches!(kit.event().await, Event::Suspicion(id, _) if id == machine.id) {}
        }
    }
}

#[tokio::test]
async fn a_closed_connection_is_offline_at_once_and_a_silent_one_soon() {
    let mut kit = Kit::with_heartbeat(Duration::from_secs(1)).await;
    let mut machine = kit.machine().await;
    let session = kit.connect(&mut machine).await;
    kit.status(machine.id, Status::Online).await;
    drop(session);
    kit.status(machine.id, Status::Offline).await;
    while !matches!(kit.event().await, Event::Gone(id) if id == machine.id) {}

    let mut silent = kit.connect(&mut machine).await;
    kit.status(machine.id, Status::Online).await;
    let begun = std::time::Instant::now();
    kit.status(machine.id, Status::Offline).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "two beats may be missed");
    assert!(silent.next().await.is_none());
}

#[tokio::test]
async fn a_new_connection_takes_the_place_of_the_old() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let mut old = kit.connect(&mut machine).await;
    let mut new = kit.connect(&mut machine).await;
    assert!(matches!(old.next().await, Some(ToAgent::Goodbye(_))));
    kit.agents.send(machine.id, ToAgent::Cancel { job: Uuid::nil() }).unwrap();
    assert_eq!(new.next().await, Some(ToAgent::Cancel { job: Uuid::nil() }));
    kit.status(machine.id, Status::Online).await;
}

#[tokio::test]
async fn calls_are_answered_and_fail_when_the_machine_goes() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    assert!(kit.agents.peer_call(machine.id, "sample", json!({})).await.is_err());
    let mut session = kit.connect(&mut machine).await;
    let (agents, id) = (kit.agents.clone(), machine.id);
    let asked = tokio::spawn(async move { agents.peer_call(id, "sample", json!({"n": 1})).await });
    let Some(ToAgent::PeerCall { call, payload, .. }) = session.next().await else { panic!() };
    session.say(&FromAgent::PeerReply { call, outcome: Outcome::Done(payload) }).await;
    assert_eq!(asked.await.unwrap().unwrap(), json!({"n": 1}));

    let agents = kit.agents.clone();
    let asked = tokio::spawn(async move { agents.peer_call(id, "sample", json!({})).await });
    assert!(matches!(session.next().await, Some(ToAgent::PeerCall { .. })));
    drop(session);
    assert_eq!(asked.await.unwrap().unwrap_err().code, Code::Unavailable);
}

#[tokio::test]
async fn an_agent_that_does_not_read_fills_its_queue_and_nothing_else() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let _session = kit.connect(&mut machine).await;
    let big = ToAgent::Event { plugin: "sample".into(), event: json!("x".repeat(1_000_000)) };
    let mut sent = 0;
    while kit.agents.send(machine.id, big.clone()).is_ok() {
        sent += 1;
        assert!(sent < 1000, "the queue has no end");
        tokio::task::yield_now().await;
    }
    assert!(kit.agents.connected(machine.id));
}

#[tokio::test]
async fn what_is_never_answered_keeps_nothing_busy() {
    let mut kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let mut session = kit.connect(&mut machine).await;
    assert!(matches!(kit.event().await, Event::Hello(..)));
    let request = |call, method: &str| FromAgent::Request {
        call,
        plugin: "sample".into(),
        method: method.into(),
        payload: json!({}),
    };
    for call in 0..40 {
        session.say(&request(call, "hang")).await;
    }
    let mut ends = std::collections::BTreeMap::new();
    for _ in 0..40 {
        let Some(ToAgent::Response { outcome: Outcome::Problem(problem), .. }) = session.next().await else { panic!() };
        *ends.entry(problem.code.as_str()).or_insert(0) += 1;
    }
    assert_eq!(ends, [("busy", 8), ("deadline", 32)].into());
    session.say(&request(99, "events.emit")).await;
    let answer = session.next().await;
    assert!(matches!(answer, Some(ToAgent::Response { call: 99, outcome: Outcome::Done(_) })), "{answer:?}");

    let (agents, id) = (kit.agents.clone(), machine.id);
    let asked = tokio::spawn(async move { agents.peer_call(id, "sample", json!({})).await });
    let Some(ToAgent::PeerCall { call, .. }) = session.next().await else { panic!() };
    assert_eq!(session.next().await, Some(ToAgent::CallCancelled { call }));
    assert_eq!(asked.await.unwrap().unwrap_err().code, Code::Deadline);
}

#[tokio::test]
async fn requests_of_plugins_reach_the_administrator() {
    let mut kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let mut session = kit.connect(&mut machine).await;
    assert!(matches!(kit.event().await, Event::Hello(..)));
    let (plugin, method) = ("sample".to_owned(), "events.emit".to_owned());
    session.say(&FromAgent::Request { call: 3, plugin, method, payload: json!({"a": 1}) }).await;
    let outcome = Outcome::Done(json!({"a": 1}));
    assert_eq!(session.next().await, Some(ToAgent::Response { call: 3, outcome }));
    assert!(matches!(kit.event().await, Event::Request(id, method) if id == machine.id && method == "events.emit"));
}

#[tokio::test]
async fn settings_are_told_at_once_and_only_what_changed_later() {
    let kit = Kit::start().await;
    let mut machine = kit.machine().await;
    let values = |n: u32| json!({"interval": n}).as_object().unwrap().clone();
    *kit.sink.settings.lock() = vec![("one".into(), values(1)), ("two".into(), values(2))];
    let mut session = kit.connect(&mut machine).await;
    assert_eq!(session.next().await, Some(ToAgent::Settings { plugin: "one".into(), values: values(1) }));
    assert_eq!(session.next().await, Some(ToAgent::Settings { plugin: "two".into(), values: values(2) }));
    kit.sink.settings.lock()[1].1 = values(3);
    kit.settings.send_replace(());
    assert_eq!(session.next().await, Some(ToAgent::Settings { plugin: "two".into(), values: values(3) }));
}
