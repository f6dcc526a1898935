//! Audit records as the administrator writes them.

use identity::audit::Entry;
use identity::{Actor, ActorKind, Outcome};
use jobs::JobId;
use schema::JobState;
use serde_json::{Value, json};
use std::net::IpAddr;

/// What `actor` is about to do; written in the transaction that does it, or before.
pub(crate) fn entry(actor: &Actor, from: Option<IpAddr>, action: &str, target: Option<String>, detail: Value) -> Entry {
    let job = detail.get("job").and_then(Value::as_str).map(str::to_owned);
    let detail = if let Value::Object(detail) = detail { detail } else { schema::Object::new() };
    Entry {
        actor: actor.name.clone(),
        actor_kind: actor.kind,
        action: action.to_owned(),
        target,
        outcome: Outcome::Begun,
        address: from.map(|from| from.to_string()),
        job,
        detail,
    }
}

/// What came of a command of the core; that it was begun, and by whom, is recorded with the same job.
pub(crate) fn ended(job: JobId, command: &str, ended: &jobs::Outcome) -> Entry {
    let outcome = if ended.state == JobState::Succeeded { Outcome::Done } else { Outcome::Failed };
    let problem = ended.problem.as_ref().map(|problem| problem.message.clone());
    let entry = system(command, None, outcome, json!({"problem": problem}));
    Entry { job: Some(job.to_string()), ..entry }
}

/// What the administrator does by itself.
pub(crate) fn system(action: &str, target: Option<String>, outcome: Outcome, detail: Value) -> Entry {
    let detail = if let Value::Object(detail) = detail { detail } else { schema::Object::new() };
    Entry {
        actor: "administrator".into(),
        actor_kind: ActorKind::System,
        action: action.to_owned(),
        target,
        outcome,
        address: None,
        job: None,
        detail,
    }
}
