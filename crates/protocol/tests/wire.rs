//! The bytes on the wire are what they were, and arbitrary bytes are refused without harm.
#![allow(clippy::unwrap_used)] // a test fails where it stands

use bytes::Bytes;
use proptest::prelude::*;
use protocol::*;
use schema::{Amount, Effect, JobState, Object, OnInterrupt, Problem, Progress, Query};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::{Debug, Write};
use uuid::Uuid;

const JOB: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001);

fn facts() -> Facts {
    Facts {
        name: "reception".into(),
        addresses: vec!["10.0.0.7".parse().unwrap(), "fe80::1".parse().unwrap()],
        macs: vec!["00:1b:44:11:3a:b7".into()],
        agent_version: "0.1.0".into(),
    }
}

fn report() -> PluginReport {
    PluginReport {
        name: "sample".into(),
        version: "1.2.3".into(),
        state: PluginState::Quarantined,
        cause: "It crashed five times.".into(),
        remedy: "Start it again.".into(),
        sandbox: vec!["user nobody".into()],
    }
}

fn offer() -> PluginOffer {
    PluginOffer {
        name: "sample".into(),
        version: "1.2.3".into(),
        blake3: "ab".repeat(32),
        size_bytes: 12,
        granted: None,
    }
}

fn hello() -> Hello {
    Hello {
        version: 1,
        oldest_version: 1,
        features: vec!["streams".into()],
        agent_version: "0.1.0".into(),
        boot_id: "b".into(),
        epoch: 7,
        known_jobs: vec![KnownJob { job: JOB, state: JobState::Running }],
        evidence: Evidence { machine_id: "m".into(), facts: facts() },
        policy_hash: String::new(),
        plugins: vec![report()],
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        features: vec!["streams".into()],
        time: "2026-01-31T12:00:00Z".into(),
        heartbeat_seconds: 15,
        store: "s".into(),
        plugins: vec![offer()],
        addresses: vec!["10.0.0.1:7443".into()],
        renew_only: false,
    }
}

fn refused() -> Refused {
    Refused { problem: Problem::bad_request("no"), retry_after_seconds: Some(60) }
}

fn section() -> SectionName {
    SectionName { plugin: "sample".into(), type_name: "thing".into(), section: "a".into() }
}

fn to_agent() -> Vec<ToAgent> {
    let (plugin, input) = ("sample".to_owned(), Object::from_iter([("n".to_owned(), json!(1))]));
    vec![
        ToAgent::Assign(Box::new(Assign {
            job: JOB,
            command: "sample.run".into(),
            input,
            operator: "ada".into(),
            timeout_seconds: Some(60),
            on_interrupt: OnInterrupt::Resume,
            effect: Effect::Write,
        })),
        ToAgent::Cancel { job: JOB },
        ToAgent::AckResult { job: JOB },
        ToAgent::AckRows { seq: 9, held: false },
        ToAgent::AckRows { seq: 10, held: true },
        ToAgent::SendSections { sections: vec![section()] },
        ToAgent::OpenStream { ticket: "t".into(), job: JOB, stream: "out".into() },
        ToAgent::OpenChannel { ticket: "t".into(), plugin: "demo".into(), key: "k".into() },
        ToAgent::PeerCall { call: 1, plugin: plugin.clone(), payload: json!({}) },
        ToAgent::Query { call: 2, plugin: plugin.clone(), type_name: "file".into(), query: Box::new(Query::default()) },
        ToAgent::CallCancelled { call: 2 },
        ToAgent::Response { call: 3, outcome: Outcome::Done(json!(null)) },
        ToAgent::Settings { plugin: plugin.clone(), values: Object::new() },
        ToAgent::Event { plugin, event: json!({"event": "changed"}) },
        ToAgent::Renewed { certificate: "AA==".into() },
        ToAgent::Plugins { plugins: vec![offer()] },
        ToAgent::Revoked { reason: "lost".into() },
        ToAgent::Goodbye(refused()),
        ToAgent::Heartbeat { time: "2026-01-31T12:00:00Z".into() },
    ]
}

fn from_agent() -> Vec<FromAgent> {
    let publish = json!({"type": "thing", "mode": "replace", "section": "a", "rows": [{"id": "1"}]});
    let reports = [
        JobReport::Accepted,
        JobReport::Running,
        JobReport::Waiting { text: "for a person".into() },
        JobReport::Progress { progress: Progress { fraction: Some(0.5), text: "half".into(), amount: None } },
        JobReport::Progress {
            progress: Progress { fraction: None, text: String::new(), amount: Some(Amount::bytes(5).of(9)) },
        },
        JobReport::Log { at: "2026-01-31T12:00:00Z".into(), level: "info".into(), text: "line".into() },
        JobReport::Finished {
            state: JobState::Failed,
            result: None,
            problem: Some(Problem::internal("broken")),
            ended_at: "2026-01-31T12:00:00Z".into(),
        },
    ];
    let mut messages: Vec<FromAgent> = reports.into_iter().map(|report| FromAgent::Job { job: JOB, report }).collect();
    messages.extend([
        FromAgent::Rows { seq: 9, plugin: "sample".into(), publish: serde_json::from_value(publish).unwrap() },
        FromAgent::Sections { sections: vec![SectionHash { name: section(), hash: "ab".into() }] },
        FromAgent::Renew { csr: "AA==".into() },
        FromAgent::Heartbeat { policy_hash: "p".into() },
        FromAgent::PeerReply { call: 1, outcome: Outcome::Done(json!({"a": 1})) },
        FromAgent::QueryReply { call: 2, outcome: Outcome::Problem(Problem::not_found("no")) },
        FromAgent::Request { call: 3, plugin: "sample".into(), method: "events.emit".into(), payload: json!({}) },
        FromAgent::PluginStatus { plugins: vec![report()] },
        FromAgent::Facts(facts()),
        FromAgent::Log { plugin: "sample".into(), level: "warn".into(), text: "line".into() },
    ]);
    messages
}

fn line<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &mut String, kind: Kind, message: &T) {
    let header = Header { kind, epoch: 7, seq: 3, ack: 2 };
    let bytes = Frame::encode(header, message, MAX_FRAME_BYTES).unwrap();
    let hex: String = bytes[..HEADER_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(text, "{hex} {}", std::str::from_utf8(&bytes[HEADER_BYTES..]).unwrap()).unwrap();
    let back = Frame::decode(bytes, MAX_FRAME_BYTES).unwrap();
    assert_eq!(back.header, header);
    assert_eq!(&back.message::<T>().unwrap(), message);
}

#[test]
fn the_bytes_of_version_1_are_what_they_were() {
    let mut text = String::new();
    line(&mut text, Kind::Hello, &hello());
    line(&mut text, Kind::Welcome, &welcome());
    line(&mut text, Kind::Refused, &refused());
    to_agent().iter().for_each(|message| line(&mut text, Kind::Message, message));
    from_agent().iter().for_each(|message| line(&mut text, Kind::Message, message));
    for frame in [
        StreamFrame::Data(Bytes::from_static(b"abc")),
        StreamFrame::Credit(65_536),
        StreamFrame::End,
        StreamFrame::Error(Problem::internal("gone")),
    ] {
        let hex: String = frame.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "stream {hex}").unwrap();
    }
    expectorate::assert_contents("tests/wire.golden.txt", &text);
}

#[test]
fn unknown_fields_and_variants_are_refused() {
    for message in from_agent() {
        let mut value = serde_json::to_value(&message).unwrap();
        let body = value.as_object_mut().unwrap().values_mut().next().unwrap();
        body.as_object_mut().unwrap().insert("machine".into(), json!("another"));
        assert!(serde_json::from_value::<FromAgent>(value).is_err(), "{message:?}");
    }
    assert!(serde_json::from_value::<FromAgent>(json!({"shutdown": {}})).is_err());
    assert!(serde_json::from_value::<ToAgent>(json!("run")).is_err());
}

fn decode_all(bytes: Bytes) {
    if let Ok(frame) = Frame::decode(bytes.clone(), MAX_FRAME_BYTES) {
        let _ = frame.message::<Hello>();
        let _ = frame.message::<Welcome>();
        let _ = frame.message::<FromAgent>();
        let _ = frame.message::<ToAgent>();
    }
    let _ = StreamFrame::decode(bytes);
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        decode_all(bytes.into());
    }

    #[test]
    fn damaged_messages_do_no_harm(which in 0usize..16, at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
        let messages = from_agent();
        let header = Header { kind: Kind::Message, epoch: 1, seq: 1, ack: 0 };
        let mut bytes = Frame::encode(header, &messages[which % messages.len()], MAX_FRAME_BYTES).unwrap().to_vec();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % length);
        decode_all(bytes.into());
    }

    #[test]
    fn stream_frames_come_back(data in proptest::collection::vec(any::<u8>(), 0..2000), credit in any::<u32>()) {
        for frame in [StreamFrame::Data(data.into()), StreamFrame::Credit(credit)] {
            prop_assert_eq!(StreamFrame::decode(frame.encode()).unwrap(), frame);
        }
    }
}

#[test]
fn an_administrator_that_knows_no_amounts_is_told_none() {
    let progress = Progress { fraction: Some(0.5), text: "half".into(), amount: Some(Amount::bytes(5).of(10)) };
    let message = FromAgent::Job { job: JOB, report: JobReport::Progress { progress: progress.clone() } };
    assert_eq!(message.clone().for_features(&[protocol::PROGRESS_AMOUNTS.to_owned()]), message);
    let progress = Progress { amount: None, ..progress };
    let bare = FromAgent::Job { job: JOB, report: JobReport::Progress { progress } };
    assert_eq!(message.for_features(&["streams".to_owned()]), bare);
}
