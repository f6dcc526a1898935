//! How instances of a plugin end: asked to, by themselves, or by force, and nothing of them is left.

use crate::bed::{Bed, named_echo};
use plugin_host::{OpEvent, PluginState, Transport};
use schema::Code;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Whether the process lives; one that nobody has buried yet does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_closes_its_connection_is_ended() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("raw").await;
    let pid = bed.until("raw", PluginState::Ok).await.pid.unwrap().to_string();
    let problem = bed.run("raw", "close-socket", json!({})).await.unwrap_err();
    assert_eq!(problem.code, Code::Crashed, "{problem}");
    assert!(problem.message.contains("closed its connection"), "{problem}");
    until("it lives on", || !lives(&pid)).await;
    assert_eq!(bed.run("raw", "fine", json!({})).await.unwrap(), json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_seen_though_a_child_holds_the_socket_and_the_child_ends_too() {
    let bed = Bed::new(Transport::Runner).await;
    bed.load("raw").await;
    let problem = bed.run("raw", "fork-and-abort", json!({})).await.unwrap_err();
    assert_eq!(problem.code, Code::Crashed, "{problem}");
    assert!(problem.message.contains("SIGABRT"), "{problem}");
    let child = std::fs::read_to_string(bed.directory.path().join("state/plugins/raw/files/child.pid")).unwrap();
    until("the child lives on", || !lives(&child)).await;
    assert_eq!(bed.run("raw", "fine", json!({})).await.unwrap(), json!({"ok": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_stopped_ends_what_it_does_and_says_so() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        bed.load("echo").await;
        let mut lingering = bed.start("echo", "linger", json!({})).await;
        assert!(matches!(lingering.next().await, Some(OpEvent::Progress(_))));
        let interrupted = bed.start("echo", "count", json!({"to": 1000, "pause_ms": 1000})).await;
        bed.host.disable("echo").await;
        assert_eq!(lingering.result().await.unwrap(), json!("ended well"), "{transport:?}");
        let problem = interrupted.result().await.unwrap_err();
        assert_eq!((problem.code, problem.message.as_str()), (Code::Unavailable, "the plugin was stopped."));
        let kept = std::fs::read_to_string(bed.directory.path().join("state/plugins/echo/files/lingered.txt"));
        assert_eq!(kept.unwrap(), "ended well");
        assert_eq!(bed.until("echo", PluginState::Disabled).await.crashes, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_in_this_process_leaves_no_thread_behind() {
    let bed = Bed::new(Transport::InProcess).await;
    bed.host.load(&named_echo("leaky", bed.directory.path())).await.unwrap();
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let name = |task: &Path| std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        tasks.filter(|task| name(&task.path()).trim() == "plugin leaky").count()
    };
    for _ in 0..5 {
        bed.host.disable("leaky").await;
        bed.until("leaky", PluginState::Disabled).await;
        bed.host.enable("leaky").await;
        bed.until("leaky", PluginState::Ok).await;
        bed.run("leaky", "echo", json!({"text": "x"})).await.unwrap();
    }
    until("threads are left", || threads() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_while_it_crashes_again_and_again_all_come_to_an_end() {
    let bed = std::sync::Arc::new(Bed::new(Transport::Runner).await);
    bed.load("echo").await;
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let bed = bed.clone();
            tokio::spawn(async move {
                for call in 0..40 {
                    let crash = caller == 0 && call % 4 == 0;
                    let (command, input) =
                        if crash { ("crash", json!({"kind": "abort"})) } else { ("echo", json!({"text": "x"})) };
                    // Either way it ends.
                    let _ = bed.run("echo", command, input).await;
                }
            })
        })
        .collect();
    for caller in callers {
        tokio::time::timeout(Duration::from_secs(60), caller).await.expect("a call never ended").unwrap();
    }
}
