use super::*;
use serde_json::json;

fn full() -> Outbox {
    let outbox = Outbox::default();
    outbox.connected();
    for call in 0..MOST_WAITING as u64 {
        outbox.say(FromAgent::PeerReply { call, outcome: Outcome::Done(Value::Null) });
    }
    outbox
}

#[tokio::test]
async fn a_request_that_finds_no_room_is_refused_at_once() {
    let outbox = full();
    let problem = outbox.request("sample", "secrets.get", json!({})).await.unwrap_err();
    assert_eq!(problem.code, Code::Busy);
    assert_eq!(outbox.inner.lock().waiting.len(), MOST_WAITING);
}

#[tokio::test]
async fn lines_of_logs_make_room_and_answers_do_not() {
    let outbox = full();
    let said = |outbox: &Outbox| matches!(outbox.inner.lock().waiting.back(), Some(FromAgent::Heartbeat { .. }));
    outbox.say(FromAgent::Heartbeat { policy_hash: String::new() });
    assert!(!said(&outbox));
    let line = FromAgent::Log { plugin: "sample".into(), level: "warn".into(), text: String::new() };
    outbox.inner.lock().waiting[5] = line;
    outbox.say(FromAgent::Heartbeat { policy_hash: String::new() });
    assert!(said(&outbox));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_answered_or_given_up_leaves_nothing_behind() {
    let outbox = Outbox::default();
    outbox.connected();
    let problem = outbox.request("sample", "secrets.get", json!({})).await.unwrap_err();
    assert_eq!(problem.code, Code::Deadline);
    assert!(outbox.inner.lock().calls.is_empty());
    let asked = outbox.request("sample", "secrets.get", json!({}));
    assert!(!crate::testing::dropped_after(1, asked).await);
    assert!(outbox.inner.lock().calls.is_empty());
}
