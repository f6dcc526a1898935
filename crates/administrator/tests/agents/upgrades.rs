//! A plugin that is exchanged or taken away while the machine works with it.

use crate::kit::{Event, Kit, SOON};
use crate::whole::{assign, end_of, hello_of, library, start};
use administrator::agents::PluginFile;
use fleet::MachineId;
use jiff::SignedDuration;
use protocol::{JobReport, PluginOffer, ToAgent};
use schema::{JobState, OnInterrupt};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// The test plugin as another version of it: the same but for its hash.
pub(crate) fn version(dir: &tempfile::TempDir, version: u8) -> Arc<Vec<PluginFile>> {
    let path: PathBuf = dir.path().join(format!("{version}.so"));
    let mut bytes = std::fs::read(library()).unwrap();
    bytes.push(version);
    std::fs::write(&path, &bytes).unwrap();
    let blake3 = blake3::hash(&bytes).to_hex().to_string();
    let (name, version, size_bytes) = ("echo".into(), version.to_string(), bytes.len() as u64);
    Arc::new(vec![PluginFile { offer: PluginOffer { name, version, blake3, size_bytes, granted: None }, path }])
}

/// Starts to count, and waits until it does.
async fn counting(kit: &mut Kit, machine: MachineId, on_interrupt: OnInterrupt, to: u32) -> Uuid {
    let job = Uuid::now_v7();
    let ToAgent::Assign(mut count) = assign(job, "echo.count") else { unreachable!() };
    count.input = serde_json::from_value(json!({"to": to, "pause_ms": 20})).unwrap();
    count.on_interrupt = on_interrupt;
    kit.agents.send(machine, ToAgent::Assign(count)).unwrap();
    loop {
        match kit.event().await {
            Event::Job(_, known, JobReport::Progress { progress }) if known == job && progress.fraction > Some(0.0) => {
                return job;
            }
            Event::Job(_, known, JobReport::Finished { problem, .. }) if known == job => panic!("{problem:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_plugin_is_exchanged_goes_on_as_its_command_says_and_calls_wait() {
    let (mut kit, versions) = (Kit::start().await, tempfile::tempdir().unwrap());
    kit.plugins.send_replace(version(&versions, 1));
    let state = tempfile::tempdir().unwrap();
    let agent = start(state.path(), Some(kit.token(SignedDuration::from_hours(1)).to_word().unwrap()));
    let machine = hello_of(&mut kit).await;

    let job = counting(&mut kit, machine, OnInterrupt::Resume, 200).await;
    kit.plugins.send_replace(version(&versions, 2));
    let (agents, events) = (&kit.agents, &mut kit.events);
    let begun = async {
        while !matches!(events.recv().await, Some(Event::Job(_, known, JobReport::Running)) if known == job) {}
    };
    let calls = async {
        loop {
            agents.peer_call(machine, "echo", json!("hi")).await.unwrap();
        }
    };
    tokio::select! {
        () = begun => {}
        () = calls => {}
        () = tokio::time::sleep(SOON) => panic!("it is not begun again"),
    }
    let (ended, problem) = end_of(&mut kit, job).await;
    assert_eq!(ended, JobState::Succeeded, "{problem}");

    let job = counting(&mut kit, machine, OnInterrupt::Report, 100_000).await;
    kit.plugins.send_replace(version(&versions, 3));
    let (ended, problem) = end_of(&mut kit, job).await;
    assert_eq!(ended, JobState::Unknown, "{problem}");
    assert!(problem.contains("taken away"), "{problem}");
    agent.stop().await;
}
