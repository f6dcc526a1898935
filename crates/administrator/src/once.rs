//! Secrets that pass through the administrator without being stored: arguments on their way to the command that needs
//! them, results on their way to the operator who asked for them. They are in memory only: arguments until their job has
//! ended, results until they were handed out once.

use indexmap::IndexMap;
use jobs::{Job, JobId};
use parking_lot::Mutex;
use schema::{Code, Command, FieldType, InputProperty, InputSchema, Object, Problem};
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a secret result waits for its operator.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// What stands in a stored input or result in the place of a secret.
const TAKEN_OUT: Value = Value::Null;

/// Secret parts of inputs and results of jobs.
#[derive(Debug, Default)]
pub(crate) struct Once {
    inputs: Mutex<HashMap<JobId, Object>>,
    results: Mutex<HashMap<JobId, (Instant, Object)>>,
}

/// Properties of a schema that are marked as secret.
pub(crate) fn secret_properties(schema: Option<&Value>) -> Vec<String> {
    let properties = schema.and_then(|s| s.get("properties")).and_then(Value::as_object);
    let secret = serde_json::to_value(FieldType::Secret).unwrap_or_default();
    let marked = properties.into_iter().flatten().filter(|(_, p)| p.get("x-type") == Some(&secret));
    marked.map(|(name, _)| name.clone()).collect()
}

/// Takes the secret arguments out of `input`, nested ones too, and leaves a mark where each was, so that it is known
/// that there was one. An argument that is null is as good as absent.
pub(crate) fn take_out(properties: &IndexMap<String, InputProperty>, input: &mut Object) -> Object {
    let mut secrets = Object::new();
    for (name, property) in properties {
        match input.get_mut(name) {
            Some(Value::Null) if is_secret(property) => drop(input.shift_remove(name)),
            Some(value) if is_secret(property) => {
                drop(secrets.insert(name.clone(), std::mem::replace(value, TAKEN_OUT)))
            }
            Some(Value::Object(inner)) => {
                let inner = take_out(&property.properties, inner);
                if !inner.is_empty() {
                    secrets.insert(name.clone(), Value::Object(inner));
                }
            }
            _ => {}
        }
    }
    secrets
}

/// Puts `secrets` where they were taken out of `input`.
fn put_back(input: &mut Object, secrets: Object) {
    for (name, secret) in secrets {
        match (input.get_mut(&name), secret) {
            (Some(Value::Object(inner)), Value::Object(secrets)) => put_back(inner, secrets),
            (_, secret) => drop(input.insert(name, secret)),
        }
    }
}

/// Whether a secret was taken out of this stored input.
fn lacks(properties: &IndexMap<String, InputProperty>, input: &Object) -> bool {
    properties.iter().any(|(name, property)| match input.get(name) {
        Some(value) if is_secret(property) => *value == TAKEN_OUT,
        Some(Value::Object(inner)) => lacks(&property.properties, inner),
        _ => false,
    })
}

/// A list with a secret in its items is one secret as a whole.
fn is_secret(property: &InputProperty) -> bool {
    let within = |items: &InputProperty| is_secret(items) || items.properties.values().any(is_secret);
    property.domain == Some(FieldType::Secret) || property.items.as_deref().is_some_and(within)
}

impl Once {
    /// Keeps the secret arguments of a job until it has ended.
    pub(crate) fn keep_input(&self, job: JobId, secrets: Object) {
        if !secrets.is_empty() {
            self.inputs.lock().insert(job, secrets);
        }
    }

    /// The job has ended, or was never stored.
    pub(crate) fn forget_input(&self, job: JobId) {
        self.inputs.lock().remove(&job);
    }

    /// Whether these are the secrets of the job, as far as they are still known.
    pub(crate) fn same_input(&self, job: JobId, secrets: &Object) -> bool {
        self.inputs.lock().get(&job).is_none_or(|kept| kept == secrets)
    }

    /// The input of a job as its command is to see it.
    ///
    /// # Errors
    /// A secret of it is gone: it was in memory only.
    pub(crate) fn whole_input(&self, job: &Job, command: Option<&Command>) -> Result<Object, Problem> {
        let mut input = job.input.clone();
        if let Some(secrets) = self.inputs.lock().get(&job.id).cloned() {
            put_back(&mut input, secrets);
            return Ok(input);
        }
        let schema = command.and_then(|command| InputSchema::read(&command.input).ok());
        if schema.is_some_and(|schema| lacks(&schema.properties, &input)) {
            let message = "its secret arguments are never stored, and the administrator that had them went down.";
            return Err(Problem::new(Code::Unavailable, message).fix("Run it again, and give them again."));
        }
        Ok(input)
    }

    /// Takes the properties `names` out of `result` and keeps them for the operator.
    pub(crate) fn keep(&self, job: JobId, names: Vec<String>, result: &mut Value) {
        let Some(result) = result.as_object_mut() else { return };
        let mut secrets = Object::new();
        for name in names {
            if let Some(value) = result.get_mut(&name) {
                secrets.insert(name, std::mem::replace(value, TAKEN_OUT));
            }
        }
        if !secrets.is_empty() {
            let mut results = self.results.lock();
            results.retain(|_, (at, _)| at.elapsed() < KEPT);
            results.insert(job, (Instant::now(), secrets));
        }
    }

    /// Puts the kept secrets of a job back into its result, once.
    pub(crate) fn hand_out(&self, job: JobId, result: &mut Value) {
        let kept = self.results.lock().remove(&job).filter(|(at, _)| at.elapsed() < KEPT);
        if let (Some((_, secrets)), Some(result)) = (kept, result.as_object_mut()) {
            result.extend(secrets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_result_is_handed_out_once_and_never_stored() {
        let schema = json!({"properties": {"token": {"type": "string", "x-type": "secret"}, "id": {"type": "string"}}});
        let (once, job) = (Once::default(), JobId::new());
        let mut stored = json!({"token": "s3cret", "id": "7"});
        once.keep(job, secret_properties(Some(&schema)), &mut stored);
        assert_eq!(stored, json!({"token": null, "id": "7"}));
        let (mut first, mut second) = (stored.clone(), stored.clone());
        once.hand_out(job, &mut first);
        once.hand_out(job, &mut second);
        assert_eq!(first, json!({"token": "s3cret", "id": "7"}));
        assert_eq!(second, stored);
    }

    fn schema() -> InputSchema {
        let secret = json!({"type": "string", "x-type": "secret"});
        let login = json!({"type": "object", "properties": {"user": {"type": "string"}, "password": secret}});
        let keys = json!({"type": "array", "items": secret});
        let schema = json!({"type": "object", "properties": {"to": {"type": "string"}, "login": login, "keys": keys, "pin": secret}});
        InputSchema::read(&schema).unwrap()
    }

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn secrets_leave_a_mark_wherever_they_were_and_find_their_way_back() {
        let schema = schema();
        let given = object(json!({"to": "x", "login": {"user": "ada", "password": "p"}, "keys": ["k"], "pin": null}));
        let mut stored = given.clone();
        let secrets = take_out(&schema.properties, &mut stored);
        assert_eq!(stored, object(json!({"to": "x", "login": {"user": "ada", "password": null}, "keys": null})));
        assert!(lacks(&schema.properties, &stored), "it is not known that there were secrets");
        let mut whole = stored.clone();
        put_back(&mut whole, secrets);
        assert_eq!(whole, object(json!({"to": "x", "login": {"user": "ada", "password": "p"}, "keys": ["k"]})));
        assert!(!lacks(&schema.properties, &whole));
        assert!(!lacks(&schema.properties, &object(json!({"to": "x"}))), "an optional secret that was not given");
    }

    #[test]
    fn another_secret_under_the_same_key_is_noticed_while_the_first_is_known() {
        let (once, job) = (Once::default(), JobId::new());
        let (first, other) = (object(json!({"pin": "1"})), object(json!({"pin": "2"})));
        once.keep_input(job, first.clone());
        assert!(once.same_input(job, &first) && !once.same_input(job, &other));
        once.forget_input(job);
        assert!(once.same_input(job, &other) && once.inputs.lock().is_empty());
    }
}
