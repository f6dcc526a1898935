//! The real agent against the real port.

use crate::kit::{Event, Kit, SOON};
use agent::{Options, run};
use fleet::{MachineId, Status};
use jiff::SignedDuration;
use protocol::{Assign, JobReport, ToAgent};
use schema::{JobState, Object, OnInterrupt};
use std::path::Path;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), agent::RunError>>,
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.task).await.unwrap().unwrap().unwrap();
    }
}

pub(crate) fn start(state: &Path, join: Option<String>) -> Running {
    let options = Options { state: state.to_owned(), join, plugins_in_process: true, runner: None };
    let stop = CancellationToken::new();
    Running { task: tokio::spawn(run(options, stop.clone())), stop }
}

pub(crate) async fn hello_of(kit: &mut Kit) -> MachineId {
    loop {
        if let Event::Hello(machine, _) = kit.event().await {
            return machine;
        }
    }
}

pub(crate) fn assign(job: Uuid, command: &str) -> ToAgent {
    ToAgent::Assign(Box::new(Assign {
        job,
        command: command.to_owned(),
        input: Object::new(),
        operator: "ada".into(),
        timeout_seconds: Some(60),
        on_interrupt: OnInterrupt::Report,
        effect: schema::Effect::Read,
    }))
}

pub(crate) async fn end_of(kit: &mut Kit, wanted: Uuid) -> (JobState, String) {
    loop {
        if let Event::Job(_, job, JobReport::Finished { state, problem, .. }) = kit.event().await
            && job == wanted
        {
            return (state, problem.map(|problem| problem.to_string()).unwrap_or_default());
        }
    }
}

#[tokio::test]
async fn a_machine_joins_is_online_and_comes_back_as_the_same() {
    let mut kit = Kit::start().await;
    let state = tempfile::tempdir().unwrap();
    let token = kit.token(SignedDuration::from_hours(1)).to_word().unwrap();
    let agent = start(state.path(), Some(token));
    let machine = hello_of(&mut kit).await;
    kit.status(machine, Status::Online).await;
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(kit.stored(machine).name, name);
    agent.stop().await;
    kit.status(machine, Status::Offline).await;
    let agent = start(state.path(), None);
    assert_eq!(hello_of(&mut kit).await, machine);
    agent.stop().await;
}

#[tokio::test]
async fn the_machines_own_policy_refuses_and_a_repeat_gets_the_same_answer() {
    let mut kit = Kit::start().await;
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("policy.toml"), "[commands]\ndeny = [\"sample.*\"]\n").unwrap();
    let token = kit.token(SignedDuration::from_hours(1)).to_word().unwrap();
    let agent = start(state.path(), Some(token));
    let machine = hello_of(&mut kit).await;
    let job = Uuid::now_v7();
    for _ in 0..2 {
        kit.agents.send(machine, assign(job, "sample.wipe")).unwrap();
        let (state, problem) = end_of(&mut kit, job).await;
        assert_eq!(state, JobState::Refused);
        assert!(problem.contains("sample.wipe") && problem.contains("policy.toml"), "{problem}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_job_cancelled_before_it_came_never_runs() {
    let mut kit = Kit::start().await;
    let state = tempfile::tempdir().unwrap();
    let token = kit.token(SignedDuration::from_hours(1)).to_word().unwrap();
    let agent = start(state.path(), Some(token));
    let machine = hello_of(&mut kit).await;
    let job = Uuid::now_v7();
    kit.agents.send(machine, ToAgent::Cancel { job }).unwrap();
    assert_eq!(end_of(&mut kit, job).await.0, JobState::Cancelled);
    kit.agents.send(machine, assign(job, "sample.run")).unwrap();
    assert_eq!(end_of(&mut kit, job).await.0, JobState::Cancelled);
    agent.stop().await;
}

#[tokio::test]
async fn a_result_is_repeated_until_it_is_acknowledged() {
    let mut kit = Kit::start().await;
    let state = tempfile::tempdir().unwrap();
    let token = kit.token(SignedDuration::from_hours(1)).to_word().unwrap();
    let first = start(state.path(), Some(token));
    let machine = hello_of(&mut kit).await;
    let unavailable = schema::Problem::new(schema::Code::Unavailable, "the disk is full");
    *kit.sink.refuse.lock() = Some(unavailable);
    let job = Uuid::now_v7();
    kit.agents.send(machine, ToAgent::Cancel { job }).unwrap();
    assert_eq!(end_of(&mut kit, job).await.0, JobState::Cancelled);
    first.stop().await;
    *kit.sink.refuse.lock() = None;
    let second = start(state.path(), None);
    assert_eq!(end_of(&mut kit, job).await.0, JobState::Cancelled, "it is said again by a later life");
    second.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_joining_is_said_plainly() {
    let kit = Kit::start().await;
    let used = kit.token(SignedDuration::from_hours(1));
    kit.enrol_with(&used, &identity::DeviceKey::generate().unwrap()).await.unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut unreachable = kit.token(SignedDuration::from_hours(1));
    unreachable.addresses = vec![nobody.to_string().parse().unwrap()];
    let mut impostor = kit.token(SignedDuration::from_hours(1));
    impostor.authority = identity::Fingerprint([7; 32]);
    let word = |token: &identity::JoinToken| Some(token.to_word().unwrap());
    let cases = [
        (None, "bailiwick fleet join-token"),
        (Some("nonsense!".to_owned()), "character"),
        (word(&used).map(|word| word[..word.len() - 3].to_owned()), "not complete"),
        (word(&used), "used already"),
        (word(&kit.token(SignedDuration::from_secs(-5))), "time is over"),
        (word(&unreachable), "nothing answers at"),
        (word(&impostor), "is not the administrator that made the join token"),
    ];
    for (join, expected) in cases {
        let state = tempfile::tempdir().unwrap();
        let options = Options { state: state.path().into(), join, plugins_in_process: true, runner: None };
        let error = run(options, CancellationToken::new()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

/// The test plugin with every feature, built once.
pub(crate) fn library() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "-p", "echo", "--lib", "--target-dir"]).arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    profile.join("libecho.so")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_fetched_publishes_rows_and_runs_each_job_once() {
    let mut kit = Kit::start().await;
    let path = library();
    let bytes = std::fs::read(&path).unwrap();
    let offer = protocol::PluginOffer {
        name: "echo".into(),
        version: "1".into(),
        blake3: blake3::hash(&bytes).to_hex().to_string(),
        size_bytes: bytes.len() as u64,
        granted: None,
    };
    kit.plugins.send_replace(std::sync::Arc::new(vec![administrator::agents::PluginFile { offer, path }]));
    let state = tempfile::tempdir().unwrap();
    let token = kit.token(SignedDuration::from_hours(1)).to_word().unwrap();
    let agent = start(state.path(), Some(token));
    let machine = hello_of(&mut kit).await;
    loop {
        if let Event::Rows(from, plugin, publish) = kit.event().await {
            assert_eq!((from, plugin.as_str()), (machine, "echo"));
            assert_eq!(publish.rows[0]["last_note"], "alive");
            break;
        }
    }
    let job = Uuid::now_v7();
    let ToAgent::Assign(mut run) = assign(job, "echo.echo") else { unreachable!() };
    run.input.insert("text".into(), "good morning".into());
    let run = ToAgent::Assign(run);
    kit.agents.send(machine, run.clone()).unwrap();
    let (mut begun, mut ended) = (0, 0);
    while ended == 0 {
        match kit.event().await {
            Event::Job(_, known, JobReport::Running) if known == job => begun += 1,
            Event::Job(_, known, JobReport::Finished { state, problem, .. }) if known == job => {
                assert_eq!(state, JobState::Succeeded, "{problem:?}");
                ended += 1;
            }
            _ => {}
        }
    }
    kit.agents.send(machine, run).unwrap();
    assert_eq!(end_of(&mut kit, job).await.0, JobState::Succeeded);
    assert_eq!(begun, 1);
    let heard = kit.agents.peer_call(machine, "echo", serde_json::json!("hi")).await.unwrap();
    assert_eq!((&heard["role"], &heard["heard"]), (&serde_json::json!("machine"), &serde_json::json!("hi")), "{heard}");

    let slow = Uuid::now_v7();
    let ToAgent::Assign(mut count) = assign(slow, "echo.count") else { unreachable!() };
    count.input = serde_json::from_value(serde_json::json!({"to": 100_000, "pause_ms": 50})).unwrap();
    kit.agents.send(machine, ToAgent::Assign(count)).unwrap();
    loop {
        match kit.event().await {
            Event::Job(_, known, JobReport::Progress { .. }) if known == slow => break,
            Event::Job(_, known, JobReport::Finished { problem, .. }) if known == slow => panic!("{problem:?}"),
            _ => {}
        }
    }
    let asked = std::time::Instant::now();
    kit.agents.send(machine, ToAgent::Cancel { job: slow }).unwrap();
    assert_eq!(end_of(&mut kit, slow).await.0, JobState::Cancelled);
    assert!(asked.elapsed() < SOON / 2);
    agent.stop().await;
}
