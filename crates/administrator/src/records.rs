//! Audit records as the administrator writes them.

use identity::audit::Entry;
use identity::{Actor, ActorKind, Outcome};
use serde_json::Value;

/// What `actor` is about to do; written in the transaction that does it, or before.
pub(crate) fn entry(actor: &Actor, action: &str, target: Option<String>, detail: Value) -> Entry {
    let job = detail.get("job").and_then(Value::as_str).map(str::to_owned);
    let address = detail.get("peer").and_then(Value::as_str).map(str::to_owned);
    let detail = if let Value::Object(detail) = detail { detail } else { schema::Object::new() };
    Entry {
        actor: actor.name.clone(),
        actor_kind: actor.kind,
        action: action.to_owned(),
        target,
        outcome: Outcome::Begun,
        address,
        job,
        detail,
    }
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
