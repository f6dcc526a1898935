//! The same transcript over both transports, byte for byte: commands, faults, queries, streams, channels, services.

use crate::bed::{Bed, named_echo};
use bytes::Bytes;
use plugin_host::{CallMeta, Duplex, Method, OpEvent, Operation, Transport};
use schema::Role;
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;

/// What a caller sees of an operation, as text. Progress that followed on progress may have been passed over, so only
/// the last of a run of them is told.
async fn transcript(mut operation: Operation) -> String {
    let (mut lines, mut streams) = (Vec::new(), Vec::new());
    while let Some(event) = operation.next().await {
        let line = match event {
            OpEvent::Progress(progress) => format!("progress {progress:?}"),
            OpEvent::Rows(rows) => format!("rows {}", json!(rows)),
            OpEvent::Warn(problem) => format!("warn {}", json!(problem)),
            OpEvent::Checkpoint(value) => format!("checkpoint {}", short(&value)),
            OpEvent::Done(value) => format!("done {value}"),
            OpEvent::Part(value, problem) => format!("part {value} but {}", json!(problem)),
            OpEvent::Fault(problem) => format!("fault {}", json!(problem)),
            OpEvent::Open { name, duplex, .. } => {
                streams.push(tokio::spawn(exchange(duplex)));
                format!("open {name}")
            }
            OpEvent::Log { level, target, mut record } => {
                record["op"] = Value::Null;
                format!("log {level:?} {target} {record}")
            }
        };
        if line.starts_with("progress") && lines.last().is_some_and(|last: &String| last.starts_with("progress")) {
            lines.pop();
        }
        lines.push(line);
    }
    for stream in streams {
        lines.push(stream.await.unwrap());
    }
    lines.join("\n")
}

/// A value, or what tells it from others where it is long.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.len() < 200 { text } else { format!("{} bytes {}", text.len(), blake3::hash(text.as_bytes()).to_hex()) }
}

/// Sends half a megabyte and a word into a stream and tells what came out of it.
async fn exchange(duplex: Duplex) -> String {
    let (mut sender, mut receiver) = duplex.split();
    let sending = tokio::spawn(async move {
        for piece in [vec![b'a'; 700_000], b"end".to_vec()] {
            if sender.send(Bytes::from(piece)).await.is_err() {
                return;
            }
        }
        sender.finish();
    });
    let mut all = Vec::new();
    let end = loop {
        match receiver.recv().await {
            Some(Ok(frame)) => all.extend_from_slice(&frame),
            Some(Err(problem)) => break format!("{problem}"),
            None => break "finished".to_owned(),
        }
    };
    drop(receiver);
    sending.abort();
    format!("stream of {} bytes {} {end}", all.len(), blake3::hash(&all).to_hex())
}

/// Two roles of one plugin, joined.
async fn pair(transport: Transport, name: &str) -> (Bed, Bed) {
    let machine = Bed::with(transport, Role::Machine, |_| ()).await;
    let administrator = Bed::with(transport, Role::Administrator, |_| ()).await;
    for bed in [&machine, &administrator] {
        bed.memory.settings.lock().insert("loudness".to_owned(), json!(11));
        bed.host.load(&named_echo(name, bed.directory.path())).await.unwrap();
    }
    machine.memory.peer.set(administrator.host.clone()).ok().unwrap();
    administrator.memory.peer.set(machine.host.clone()).ok().unwrap();
    (machine, administrator)
}

fn meta() -> CallMeta {
    CallMeta { job: Some("j1".into()), machine: Some("m1".into()), operator: Some("ada".into()), ..CallMeta::default() }
}

/// Everything the echo plugin can do, told as text.
async fn everything(transport: Transport, name: &str) -> String {
    let (machine, administrator) = pair(transport, name).await;
    let mut told = String::new();
    let commands = [
        ("echo", json!({"text": "hällo"})),
        ("echo", json!({"text": "x", "fail": "no"})),
        ("echo", json!({"text": 5})),
        ("echo", json!({"wrong": "x"})),
        ("count", json!({"to": 5})),
        ("chatter", json!({})),
        ("services", json!({})),
        ("visit", json!({"places": ["a", "b"]})),
        ("visit", json!({"places": ["a", "no-b", "no-c"]})),
        ("visit", json!({"places": ["no-a", "hopeless"]})),
        ("publish", json!({"notes": 5})),
        ("publish", json!({"notes": 40_000})),
        ("send", json!({"bytes": 3_000_001, "piece": 10_007})),
        ("shout", json!({})),
        ("swallow", json!({})),
        ("peer", json!({"message": "psst"})),
        ("channel", json!({"bytes": 2_000_000})),
        ("channel", json!({"key": "slow", "bytes": 700_000})),
        ("crash", json!({"kind": "panic"})),
    ];
    for (command, input) in commands {
        for (role, bed) in [("machine", &machine), ("administrator", &administrator)] {
            let method = Method::Command(format!("{name}.{command}"));
            let operation = bed.host.call(name, method, meta(), input.clone()).await.unwrap();
            writeln!(told, "== {role} {command} {input}\n{}", transcript(operation).await).unwrap();
        }
    }
    let resumed = CallMeta { checkpoint: Some(json!(3)), attempt: 1, ..meta() };
    let others = [
        (Method::Query("letter".into()), meta(), json!({"page": {"limit": 3, "after": "5"}})),
        (Method::Query(format!("{name}.machine-letter")), meta(), json!({})),
        (Method::Query("letter".into()), meta(), json!({"nonsense": 1})),
        (Method::Command("count".into()), resumed, json!({"to": 5})),
        (Method::Event("joined".into()), meta(), json!({"machine": "m2"})),
        (Method::Configure, meta(), json!({"loudness": 4})),
    ];
    for (method, meta, payload) in others {
        let text = format!("== {method:?} {payload}");
        let operation = machine.host.call(name, method, meta, payload).await.unwrap();
        writeln!(told, "{text}\n{}", transcript(operation).await).unwrap();
    }
    told.push_str(&cut_short(&machine, name).await);
    for (role, bed) in [("machine", &machine), ("administrator", &administrator)] {
        for (kind, rows) in bed.memory.rows.lock().iter() {
            let rows = json!(rows);
            writeln!(told, "== rows of {role} {kind}\n{}", short(&rows)).unwrap();
        }
        writeln!(told, "== events of {role}\n{}", json!(*bed.memory.events.lock())).unwrap();
    }
    told.replace(name, "NAME")
}

/// What a command tells that is cancelled or takes too long.
async fn cut_short(machine: &Bed, name: &str) -> String {
    let mut told = String::new();
    let slow = json!({"to": 10, "pause_ms": 100_000});
    for (command, input) in [("linger", json!({})), ("count", slow.clone())] {
        let method = Method::Command(command.to_owned());
        let mut operation = machine.host.call(name, method, meta(), input).await.unwrap();
        let begun = operation.next().await;
        operation.cancel();
        writeln!(told, "== cancelled {command}\n{begun:?}\n{}", transcript(operation).await).unwrap();
    }
    let late = CallMeta { timeout_ms: Some(1500), ..meta() };
    let operation = machine.host.call(name, Method::Command("count".into()), late, slow).await.unwrap();
    writeln!(told, "== too late\n{}", transcript(operation).await).unwrap();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn both_transports_tell_the_same_byte_for_byte_under_any_name() {
    let name = format!("x{:08x}", std::process::id().wrapping_mul(2_654_435_761));
    let here = everything(Transport::InProcess, &name).await;
    let apart = everything(Transport::Runner, &name).await;
    for (a, b) in here.lines().zip(apart.lines()) {
        assert_eq!(a, b);
    }
    assert_eq!(here, apart);
    expectorate::assert_contents("tests/transcript.txt", &here);
    for part in [
        "stream of 3000001 bytes",
        "stream of 700003 bytes",
        r#""sent":2000000,"received":2000000,"right":true"#,
        r#""heard":{"message":"psst"}"#,
        r#""code":"panic","message":"asked to panic"#,
        r#""secrets":["s3cret",null]"#,
        r#"part {"visited":["a"],"standalone":false} but {"code":"not_found","message":"2 things were left out.""#,
    ] {
        assert!(here.contains(part), "{part} is not told in\n{here}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_operation_opens_a_thousand_channels() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let (machine, _administrator) = pair(transport, "echo").await;
        let operation = machine.start("echo", "channels", json!({"count": 1000})).await;
        assert_eq!(operation.result().await.unwrap(), json!(1000), "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_waits_for_a_reader_that_takes_its_time() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        bed.load("echo").await;
        let mut operation = bed.start("echo", "send", json!({"bytes": 64 * 1024 * 1024})).await;
        let Some(OpEvent::Open { duplex, .. }) = operation.next().await else { panic!("a stream is opened first") };
        let (_sender, mut receiver) = duplex.split();
        // While nothing is read, the command cannot end: it has credit for half a megabyte.
        assert!(tokio::time::timeout(std::time::Duration::from_millis(200), operation.next()).await.is_err());
        let mut bytes = 0;
        while let Some(frame) = receiver.recv().await {
            bytes += frame.unwrap().len();
        }
        assert_eq!((bytes, operation.result().await.unwrap()), (64 * 1024 * 1024, json!(64 * 1024 * 1024)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_deadline_and_a_dropped_caller_end_a_command() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Arc::new(Bed::new(transport).await);
        bed.load("echo").await;
        let slow = json!({"to": 1000, "pause_ms": 1000});
        let operation = bed.start("echo", "count", slow.clone()).await;
        operation.cancel();
        assert_eq!(operation.result().await.unwrap_err().code, schema::Code::Cancelled);
        let meta = CallMeta { timeout_ms: Some(50), ..CallMeta::default() };
        let late = bed.host.call("echo", Method::Command("count".into()), meta, slow.clone()).await.unwrap();
        assert_eq!(late.result().await.unwrap_err().code, schema::Code::Deadline);
        drop(bed.start("echo", "count", slow).await);
        assert_eq!(bed.run("echo", "echo", json!({"text": "x"})).await.unwrap()["text"], "x");
    }
}
