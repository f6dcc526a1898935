//! Secrets that pass through the administrator without being stored: arguments on their way to the command that needs
//! them, results on their way to the operator who asked for them. They are in memory only, and handed out once.

use jobs::JobId;
use parking_lot::Mutex;
use schema::{Command, FieldType, Object};
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a secret result waits for its operator.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// What stands in the stored result in the place of a secret.
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

/// Takes the secret arguments of `command` out of `input`.
pub(crate) fn split_input(command: &Command, input: &mut Object) -> Object {
    let names = secret_properties(Some(&command.input));
    names.into_iter().filter_map(|name| input.shift_remove(&name).map(|value| (name, value))).collect()
}

impl Once {
    /// Keeps the secret arguments of a job until it is given out.
    pub(crate) fn keep_input(&self, job: JobId, secrets: Object) {
        if !secrets.is_empty() {
            self.inputs.lock().insert(job, secrets);
        }
    }

    /// The secret arguments of a job, once.
    pub(crate) fn take_input(&self, job: JobId) -> Option<Object> {
        self.inputs.lock().remove(&job)
    }

    /// A copy, for an assignment that may have to be sent again.
    pub(crate) fn input(&self, job: JobId) -> Option<Object> {
        self.inputs.lock().get(&job).cloned()
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
}
