//! A plugin that breaks the rules of the verbs: its operation ends in a problem, the host goes on.

use crate::bed::{Bed, follow};
use plugin_host::Transport;
use schema::Code;
use serde_json::json;

/// What becomes of an operation whose plugin breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    Breach,
    Quota,
    /// The host shrugs it off.
    Nothing,
}

/// What the raw plugin does wrong.
const WRONGS: &[(&str, Becomes)] = &[
    ("garbage-progress", Becomes::Breach),
    ("garbage-result", Becomes::Breach),
    ("garbage-rows", Becomes::Breach),
    ("unknown-kind", Becomes::Breach),
    ("long-message", Becomes::Quota),
    ("long-frame", Becomes::Breach),
    ("beyond-credit", Becomes::Breach),
    ("deep-result", Becomes::Quota),
    ("host-stream", Becomes::Breach),
    ("many-streams", Becomes::Breach),
    ("wild-grant", Becomes::Breach),
    ("short-grant", Becomes::Breach),
    ("wild-operation", Becomes::Nothing),
    ("wild-stream", Becomes::Nothing),
    ("two-ends", Becomes::Nothing),
    ("garbage-log", Becomes::Nothing),
    ("garbage-request", Becomes::Nothing),
    ("long-request", Becomes::Nothing),
];

#[tokio::test(flavor = "multi_thread")]
async fn both_transports_tell_the_same_credit() {
    let mut told = Vec::new();
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        bed.load("raw").await;
        let mut operation = bed.start("raw", "credit", json!({})).await;
        // The stream is kept and not read, so that nothing is granted.
        let (_events, result) = follow(&mut operation).await;
        told.push(result.unwrap());
    }
    assert_eq!(told[0], told[1]);
    let left: Vec<i64> = serde_json::from_value(told[0].clone()).unwrap();
    assert!(left[..4].windows(2).all(|two| two[1] < two[0]) && left[4] == left[3], "{left:?}");
    assert_eq!(left[8..], [0, abi::GONE], "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_rules_end_the_operation_and_nothing_else() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        bed.load("raw").await;
        for (wrong, becomes) in WRONGS {
            let mut operation = bed.start("raw", wrong, json!({})).await;
            let (_events, result) = follow(&mut operation).await;
            let became = match result {
                Ok(value) => {
                    assert_eq!(value, json!({"ok": true}), "{wrong}");
                    Becomes::Nothing
                }
                Err(problem) if problem.code == Code::Quota => Becomes::Quota,
                Err(problem) => {
                    assert_eq!(problem.code, Code::Internal, "{wrong}: {problem}");
                    assert!(problem.message.contains("broke the contract"), "{wrong}: {problem}");
                    Becomes::Breach
                }
            };
            assert_eq!(became, *becomes, "{transport:?} {wrong}");
            assert_eq!(bed.run("raw", "fine", json!({})).await.unwrap(), json!({"ok": true}), "after {wrong}");
        }
        assert_eq!(bed.host.plugin("raw").unwrap().crashes, 0, "{transport:?}");
    }
}
