//! Plugins that go wrong in a runner: the host and every other plugin go on serving.

use crate::bed::Bed;
use plugin_host::{HostConfig, PluginState, Transport};
use schema::{Code, Role};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Another plugin that is called all the time; not one call may be lost.
struct Neighbour {
    stop: Arc<AtomicBool>,
    calls: JoinHandle<u64>,
}

impl Neighbour {
    fn begin(bed: &Arc<Bed>) -> Neighbour {
        let (bed, stop) = (bed.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let calls = tokio::spawn(async move {
            let mut served = 0;
            while !stopped.load(Ordering::Relaxed) {
                bed.run("hello", "greet", json!({"to": "x"})).await.unwrap();
                served += 1;
            }
            served
        });
        Neighbour { stop, calls }
    }

    /// How many calls were served.
    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.calls.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_a_neighbour_serves_on() {
    let little = |config: &mut HostConfig| config.limits.memory_mib = 1024;
    let bed = Arc::new(Bed::with(Transport::Runner, Role::Machine, little).await);
    bed.load("echo").await;
    bed.load("hello").await;
    for kind in ["segfault", "abort", "panic", "loop", "leak", "hang"] {
        let neighbour = Neighbour::begin(&bed);
        let operation = bed.start("echo", "crash", json!({"kind": kind})).await;
        if matches!(kind, "loop" | "hang") {
            operation.cancel();
        }
        let problem = operation.result().await.unwrap_err();
        let expected = match kind {
            "panic" => Code::Panic,
            "loop" | "hang" => Code::Cancelled,
            _ => Code::Crashed,
        };
        assert_eq!(problem.code, expected, "{kind}: {problem}");
        assert_eq!(bed.run("echo", "echo", json!({"text": kind})).await.unwrap()["text"], kind);
        assert!(neighbour.end().await > 0, "{kind}");
    }
    assert_eq!(bed.host.plugin("hello").unwrap().crashes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_crash_ends_in_a_problem_and_a_new_start() {
    let little = |config: &mut HostConfig| config.limits.memory_mib = 1024;
    let bed = Bed::with(Transport::Runner, Role::Machine, little).await;
    bed.load("echo").await;
    bed.load("hello").await;
    for (kind, words) in [
        ("segfault", "SIGSEGV"),
        ("abort", "SIGABRT"),
        ("leak", "SIGABRT"),
        ("stack", "SIGSEGV"),
        ("exit", "exit code 7"),
    ] {
        let problem = bed.run("echo", "crash", json!({"kind": kind})).await.unwrap_err();
        assert_eq!(problem.code, Code::Crashed, "{kind}: {problem}");
        assert!(problem.message.contains(words) && !problem.message.contains('\n'), "{kind}: {problem}");
        assert!(bed.run("hello", "greet", json!({"to": kind})).await.is_ok());
        assert_eq!(bed.run("echo", "echo", json!({"text": kind})).await.unwrap()["text"], kind);
    }
    let panic = bed.run("echo", "crash", json!({"kind": "panic"})).await.unwrap_err();
    assert_eq!(panic.code, Code::Panic);
    assert_eq!(bed.host.plugin("echo").unwrap().crashes, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_stop_is_stopped() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("echo").await;
    bed.load("hello").await;
    for kind in ["loop", "hang"] {
        let operation = bed.start("echo", "crash", json!({"kind": kind})).await;
        assert!(bed.run("echo", "echo", json!({"text": "beside"})).await.is_ok(), "a busy command blocks no other");
        let pid = bed.host.plugin("echo").unwrap().pid;
        operation.cancel();
        let problem = operation.result().await.unwrap_err();
        assert_eq!(problem.code, Code::Cancelled);
        assert!(problem.message.contains("ended by force"), "{problem}");
        assert!(bed.run("echo", "echo", json!({"text": "again"})).await.is_ok());
        assert_ne!(bed.host.plugin("echo").unwrap().pid, pid);
    }
    assert!(bed.run("hello", "greet", json!({"to": "x"})).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_blocks_in_a_call_is_noticed() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("raw").await;
    let blocked = bed.start("raw", "block", json!({})).await;
    let problem = blocked.result().await.unwrap_err();
    assert_eq!(problem.code, Code::Crashed);
    assert!(problem.message.contains("did not return from a call"), "{problem}");
    assert!(bed.run("raw", "fine", json!({})).await.is_ok());
    let here = Bed::new(Transport::InProcess).await;
    here.load("raw").await;
    here.load("hello").await;
    let blocked = here.start("raw", "block", json!({})).await;
    assert!(here.run("hello", "greet", json!({"to": "x"})).await.is_ok());
    assert_eq!(blocked.result().await.unwrap_err().code, Code::Crashed);
    assert_eq!(here.until("raw", PluginState::Failed).await.state, PluginState::Failed);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_crashes_lead_into_quarantine_until_an_operator_says_otherwise() {
    let bed = Bed::with(Transport::Runner, Role::Machine, |config| config.limits.quarantine_after = 3).await;
    bed.load("echo").await;
    for _ in 0..3 {
        bed.run("echo", "crash", json!({"kind": "segfault"})).await.unwrap_err();
    }
    let status = bed.until("echo", PluginState::Quarantined).await;
    assert!(status.cause.unwrap().contains("SIGSEGV") && status.remedy.is_some() && status.manifest.is_some());
    assert_eq!(bed.run("echo", "echo", json!({"text": "x"})).await.unwrap_err().code, Code::Crashed);
    bed.host.enable("echo").await;
    bed.until("echo", PluginState::Ok).await;
    assert!(bed.run("echo", "echo", json!({"text": "x"})).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_segfaults_lose_nothing_elsewhere() {
    let crashes = if std::env::var_os("BAILIWICK_LONG").is_some() { 1000 } else { 200 };
    let bed = Arc::new(Bed::new(Transport::Runner).await);
    bed.load("echo").await;
    bed.load("hello").await;
    let neighbour = Neighbour::begin(&bed);
    let mut back = Vec::new();
    for _ in 0..crashes {
        let problem = bed.run("echo", "crash", json!({"kind": "segfault"})).await.unwrap_err();
        assert_eq!(problem.code, Code::Crashed, "{problem}");
        let since = Instant::now();
        bed.run("echo", "echo", json!({"text": "back"})).await.unwrap();
        back.push(since.elapsed());
    }
    let served = neighbour.end().await;
    back.sort();
    println!(
        "{crashes} crashes, {served} requests served elsewhere, serving again p50 {:?} p99 {:?}",
        back[crashes / 2],
        back[crashes * 99 / 100]
    );
    assert!(served > 0);
    assert_eq!(bed.host.plugin("echo").unwrap().crashes, crashes as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_may_do_only_what_it_needs_and_says_so() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("echo").await;
    bed.until("echo", PluginState::Ok).await;
    let sandbox = bed.host.plugin("echo").unwrap().sandbox.unwrap();
    assert!(sandbox.seccomp.starts_with("denies") || !sandbox.missing.is_empty(), "{sandbox:?}");
    let forbidden = bed.directory.path().join("stolen");
    let input = json!({"to": 1, "file": forbidden});
    if sandbox.landlock == "in full" {
        assert!(bed.run("echo", "count", input).await.is_err());
        assert!(!forbidden.exists());
    }
    assert!(bed.run("echo", "count", json!({"to": 1, "file": "own.txt"})).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn runners_end_with_their_host() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("hello").await;
    let pid = bed.until("hello", PluginState::Ok).await.pid.unwrap();
    bed.host.shutdown(Duration::from_secs(5)).await;
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}
