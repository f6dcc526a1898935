//! A plugin that breaks the rules of the verbs: its operation ends in a problem, the host goes on.

use crate::bed::{Bed, follow};
use plugin_host::Transport;
use schema::Code;
use serde_json::json;

/// What the raw plugin does wrong, and whether the host may shrug it off.
const WRONGS: &[(&str, bool)] = &[
    ("garbage-progress", false),
    ("garbage-result", false),
    ("garbage-rows", false),
    ("unknown-kind", false),
    ("long-message", false),
    ("long-frame", false),
    ("beyond-credit", false),
    ("deep-result", false),
    ("host-stream", false),
    ("many-streams", false),
    ("wild-grant", false),
    ("short-grant", false),
    ("wild-operation", true),
    ("wild-stream", true),
    ("two-ends", true),
    ("garbage-log", true),
    ("garbage-request", true),
    ("long-request", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn broken_rules_end_the_operation_and_nothing_else() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        bed.load("raw").await;
        for (wrong, harmless) in WRONGS {
            let mut operation = bed.start("raw", wrong, json!({})).await;
            let (_events, result) = follow(&mut operation).await;
            match result {
                Ok(value) => assert!(*harmless && value == json!({"ok": true}), "{wrong}: {value}"),
                Err(problem) => {
                    assert!(!harmless, "{transport:?} {wrong}: {problem}");
                    assert_eq!(problem.code, Code::Internal, "{wrong}: {problem}");
                    assert!(problem.message.contains("broke the contract"), "{wrong}: {problem}");
                }
            }
            assert_eq!(bed.run("raw", "fine", json!({})).await.unwrap(), json!({"ok": true}), "after {wrong}");
        }
        assert_eq!(bed.host.plugin("raw").unwrap().crashes, 0, "{transport:?}");
    }
}
