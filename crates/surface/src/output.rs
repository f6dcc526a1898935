//! Whether a result is what its command declares.

use jsonschema::error::ValidationErrorKind;
use schema::{Code, Command, Problem};
use serde_json::Value;

/// Checks a result against the output schema of its command; a command without one may answer anything.
///
/// # Errors
/// The first thing that does not fit, at its path (`total`, `rows[2].name`). The value itself, which may be a secret, is
/// never part of it.
pub fn validate_output(command: &Command, result: &Value) -> Result<(), Problem> {
    let Some(schema) = &command.output else { return Ok(()) };
    let validator = jsonschema::draft202012::new(schema).map_err(|error| {
        let message = format!("the result cannot be checked: its schema is wrong: {}.", error.masked());
        Problem::internal(message).fix("Tell the plugin's maker.")
    })?;
    let Err(error) = validator.validate(result) else { return Ok(()) };
    let mut field = dotted(error.instance_path().as_str());
    if let ValidationErrorKind::Required { property: Value::String(name) } = error.kind() {
        field = if field.is_empty() { name.clone() } else { format!("{field}.{name}") };
    }
    let place = if field.is_empty() { "the result" } else { field.as_str() };
    let message = format!("the result is not what the command declares: {place}: {}.", error.masked());
    let problem = Problem::new(Code::Internal, schema::neutral_text(&message));
    let problem = if field.is_empty() { problem } else { problem.at(schema::neutral_text(&field)) };
    Err(problem.fix("What the command did is done. Tell the plugin's maker."))
}

/// A JSON pointer as a path of an input is written.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{part}]"));
        } else {
            path.push_str(if path.is_empty() { "" } else { "." });
            path.push_str(&part);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(output: Value, result: &Value) -> Option<Problem> {
        let command = json!({"id": "a", "title": "A", "output": output});
        let command: Command = serde_json::from_value(command).unwrap();
        validate_output(&command, result).err()
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_path_and_never_shown() {
        let schema = json!({
            "type": "object", "required": ["rows"],
            "properties": {"rows": {"type": "array", "items": {
                "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}
            }}}
        });
        assert_eq!(fault(schema.clone(), &json!({"rows": [{"name": "x", "n": 1}]})), None);
        let field = |result: &Value| fault(schema.clone(), result).unwrap().field;
        assert_eq!(field(&json!({})).as_deref(), Some("rows"));
        assert_eq!(field(&json!({"rows": [{"name": "x"}, {}]})).as_deref(), Some("rows[1].name"));
        let wrong = fault(schema.clone(), &json!({"rows": [{"name": "x", "n": "s3cret"}]})).unwrap();
        assert_eq!(wrong.field.as_deref(), Some("rows[0].n"));
        assert!(!wrong.to_string().contains("s3cret"), "{wrong}");
        assert_eq!(field(&json!(null)), None);
    }

    #[test]
    fn a_command_that_declares_nothing_may_answer_anything() {
        let command: Command = serde_json::from_value(json!({"id": "a", "title": "A"})).unwrap();
        assert_eq!(validate_output(&command, &json!([1])), Ok(()));
        assert!(fault(json!({"type": 7}), &json!(1)).unwrap().to_string().contains("schema"));
    }
}
