//! `POST /api/v1/commands/<id>`: checks and authorizes, then stores job and audit record in one transaction.

use super::auth::Caller;
use super::problem::Answer;
use crate::app::App;
use crate::once;
use crate::submission::{self, Asked};
use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use identity::audit::{self, Entry};
use jobs::{OperatorRef, Submission};
use schema::{Command, InputSchema, JobTarget, Object, Problem, TargetKind};
use serde_json::{Value, json};
use std::sync::Arc;

/// Most machines of one request; a group may have more.
const MAX_MACHINES: usize = 1000;

pub(super) async fn submit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer<Response> {
    let mut arguments = read_body(&body)?;
    let modules = app.modules.current();
    let (manifest, command) = modules.command(&id)?;
    let id = manifest.command_id(&command.id);
    let target = take_target(command, &mut arguments)?;
    let mut input = surface::validate_input(command, &arguments)?;
    let schema = InputSchema::read(&command.input)?;
    let redacted = audit::redact(&input, &schema);
    let secrets = once::take_out(&schema.properties, &mut input);

    let operator = OperatorRef { id: caller.actor.id.to_string(), name: caller.actor.name.clone() };
    let mut submission = Submission::new(&id, command, input, operator);
    submission.target = target;
    submission.idempotency_key = idempotency_key(&headers)?;
    let mut entry = Entry::by(&caller.actor, id);
    entry.address = caller.peer.map(|from| from.to_string());
    let job = submission::store(&app, Asked { submission, secrets, redacted, entry, unless_open: false }).await?;
    let location = format!("/api/v1/jobs/{job}");
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(json!({"job": job}))).into_response())
}

fn read_body(body: &[u8]) -> Result<Object, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Object::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Err(Problem::bad_request("the body is one JSON object with the arguments.")),
        Err(error) => Err(Problem::bad_request(format!("the body is not JSON: {error}."))
            .fix("Send one JSON object with the arguments.")),
    }
}

/// Takes `machine`, `machines` or `group` out of the arguments of a command that is run on machines.
fn take_target(command: &Command, arguments: &mut Object) -> Result<JobTarget, Problem> {
    if command.target.on != TargetKind::Machine {
        return Ok(JobTarget::Administrator);
    }
    let mut targets = Vec::new();
    if let Some(value) = arguments.shift_remove("machine") {
        targets.push(JobTarget::Machine(text("machine", value)?));
    }
    if let Some(value) = arguments.shift_remove("machines") {
        let Value::Array(list) = value else { return Err(Problem::bad_request("expected a list.").at("machines")) };
        if list.is_empty() || list.len() > MAX_MACHINES {
            let message = format!("a request names 1 to {MAX_MACHINES} machines.");
            return Err(Problem::bad_request(message).at("machines").fix("Make a group of them for more."));
        }
        let names = list.into_iter().map(|value| text("machines", value)).collect::<Result<_, _>>()?;
        targets.push(JobTarget::Machines(names));
    }
    if let Some(value) = arguments.shift_remove("group") {
        targets.push(JobTarget::Group(text("group", value)?));
    }
    match (targets.pop(), targets.is_empty()) {
        (Some(target), true) => Ok(target),
        (None, _) => Err(Problem::bad_request("it is not said on which machine.")
            .at("machine")
            .fix("Give \"machine\", \"machines\" or \"group\" beside the arguments.")),
        (Some(_), false) => Err(Problem::bad_request("give only one of machine, machines and group.").at("machine")),
    }
}

fn text(name: &str, value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= 200 => Ok(text),
        _ => Err(Problem::bad_request("expected a name or id.").at(name)),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let refuse = || Problem::bad_request("an Idempotency-Key is visible ASCII.").at("Idempotency-Key");
    key.to_str().map(|key| Some(key.to_owned())).map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(on: &str) -> Command {
        serde_json::from_value(json!({"id": "a", "title": "A", "target": {"on": on}})).unwrap()
    }

    #[test]
    fn a_command_on_machines_says_on_which() {
        let take = |mut arguments: Value| {
            take_target(&command("machine"), arguments.as_object_mut().unwrap()).map_err(|p| p.field.unwrap())
        };
        assert_eq!(take(json!({"machine": "a"})), Ok(JobTarget::Machine("a".into())));
        assert_eq!(take(json!({"machines": ["a", "b"]})), Ok(JobTarget::Machines(vec!["a".into(), "b".into()])));
        assert_eq!(take(json!({"group": "g"})), Ok(JobTarget::Group("g".into())));
        assert_eq!(take(json!({})), Err("machine".into()));
        assert_eq!(take(json!({"machine": "a", "group": "g"})), Err("machine".into()));
        assert_eq!(take(json!({"machines": []})), Err("machines".into()));
        assert_eq!(take(json!({"machine": 7})), Err("machine".into()));
    }

    #[test]
    fn a_command_of_the_administrator_may_have_an_argument_of_that_name() {
        let mut arguments = json!({"machine": "a"});
        let target = take_target(&command("administrator"), arguments.as_object_mut().unwrap());
        assert_eq!(target, Ok(JobTarget::Administrator));
        assert_eq!(arguments, json!({"machine": "a"}));
    }
}
